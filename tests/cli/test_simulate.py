"""`pipeline simulate`: capacity before a contract is signed."""

import msgspec
import pytest

from pipeline.cli import main
from pipeline.simulation.outcome import Outcome

_SMALL = ["simulate", "--days", "0.5", "--bookings-per-day", "40", "--venues", "2"]


def _outcome(capsys: pytest.CaptureFixture[str], *more: str) -> Outcome:
    assert main([*_SMALL, "--json", *more]) == 0
    return msgspec.json.decode(capsys.readouterr().out, type=Outcome)


def test_it_says_that_an_allowance_suffices(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence is what most people read."""
    assert main([*_SMALL, "--outage", "1h"]) == 0
    shown = capsys.readouterr().out
    assert "new, cancelled" in shown
    assert "The allowance suffices" in shown
    assert "99 %" in shown


def test_it_says_that_one_does_not_and_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody will pay for what it says."""
    found = _outcome(capsys, "--requests", "1", "--per", "1h", "--reserve", "0")
    assert not found.suffices
    assert found.backlog.left > 20
    assert found.allowance.busiest_window == 1
    assert "does not suffice" in found.conclusion
    assert " would do" in found.conclusion


def test_the_same_seed_gives_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Two people who discuss a number must see the same one."""
    first, again = _outcome(capsys, "--seed", "5"), _outcome(capsys, "--seed", "5")
    assert first == again
    assert first != _outcome(capsys, "--seed", "6")
    assert first.allowance.refused == 0
    assert set(first.classes) >= {"2", "5"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--outage", "6 hours"], "expected a duration such as"),
        (["--outage", "2d"], "--outage begins after 4 h and would outlive all of it"),
        (["--outage", "8h"], "--outage begins after 4 h and would outlive all of it"),
        (["--days", "4", "--outage", "64h"], "--outage begins after 32 h and would outlive"),
        (["--returning", "30%"], "expected a share from 0 to 1"),
        (["--bookings-per-day", "0"], "expected a number above 0"),
        (["--venues", "0"], "expected a whole number from 1"),
        (["--requests", "10", "--reserve", "10"], "must be at least 0 and below requests"),
        (["--tags", "colour"], "some of source,channel,status"),
        (["--days", "366", "--bookings-per-day", "1000000", "--requests", "9999"], "fewer --days"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """And not by a simulation that takes for ever, or of something else."""
    try:
        code = main([*_SMALL, *arguments])
    except SystemExit as stopped:
        code = stopped.code  # type: ignore[assignment]  # argparse gives a number
    assert code == 2
    assert said in capsys.readouterr().err
