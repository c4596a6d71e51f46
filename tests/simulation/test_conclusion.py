"""What a simulation is said to have shown: somebody will sign a contract for it."""

from typing import Any

import msgspec
import pytest

from pipeline.simulation.conclusion import draw
from pipeline.simulation.outcome import Allowance, Backlog, Outcome

_OUTCOME = Outcome(
    days=7,
    outage_s=0.0,
    bookings=2000,
    deliveries=10_000,
    requests=12_000,
    token_requests=7,
    requests_per_booking=6.0,
    needed_per_day=1714.0,
    allowed_per_day=9600.0,
    allowance=Allowance(
        requests=100, per_s=900.0, reserve=20, used=0.18, busiest_window=80, refused=0
    ),
    classes={},
    backlog=Backlog(most=40, most_at_s=1000.0, worked_off_after_s=60.0, left=0, late=0),
    suffices=False,
    conclusion="",
)


def _drawn(*, late: int = 0, left: int = 0, used: float = 0.18, **fields: Any) -> Outcome:
    replace = msgspec.structs.replace
    backlog = replace(_OUTCOME.backlog, left=left, late=late)
    allowance = replace(_OUTCOME.allowance, used=used)
    return draw(replace(_OUTCOME, backlog=backlog, allowance=allowance, **fields))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "The allowance suffices: 18% of it was used."),
        ({"left": 500}, "The allowance suffices: "),
        ({"left": 96, "late": 96}, "The allowance suffices: "),
        ({"used": 0.9}, "The allowance just suffices: 90% of it was used"),
        ({"outage_s": 3600.0}, "The allowance suffices, outage included"),
        ({"bookings": 1, "deliveries": 5, "left": 5}, "The allowance suffices: "),
    ],
    ids=["all told", "it has just come", "some minutes' work", "full", "outage", "the only one"],
)
def test_it_suffices(found: dict[str, Any], said: str) -> None:
    """What has just come is told in the minutes after the end."""
    outcome = _drawn(**found)
    assert outcome.suffices
    assert outcome.conclusion.startswith(said)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"left": 97, "late": 97}, "It is not shown"),
        ({"left": 20, "late": 20, "deliveries": 20}, "It is not shown"),
        ({"left": 1, "late": 1, "deliveries": 20}, "It is not shown"),
        ({"left": 18, "late": 18, "needed_per_day": 20.0, "allowed_per_day": 24.0},
         "The allowance does not suffice: 20 requests a day are needed and 24 allowed"),
        ({"left": 900, "late": 800, "needed_per_day": 9000.0}, "The allowance does not suffice: "),
        ({"bookings": 0, "deliveries": 0, "requests": 0}, "Nothing was booked"),
    ],
    ids=["more than some minutes' work", "all that came", "one of few", "few are allowed",
         "too many", "nothing came"],
)  # fmt: skip
def test_it_does_not(found: dict[str, Any], said: str) -> None:
    """However little it is, if it is much of what came, or of what may be sent."""
    outcome = _drawn(**found)
    assert not outcome.suffices
    assert outcome.conclusion.startswith(said)


def test_what_would_do_is_more_than_what_did_not() -> None:
    """Else the advice would be the same allowance again."""
    found = _drawn(left=900, late=800, needed_per_day=9000.0)
    assert "118 requests in 15 min would do" in found.conclusion
