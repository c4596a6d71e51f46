"""Where output cannot go, and what is no text: a sentence and an exit code, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.cli.test_commands import config

__all__ = ["config"]


def _run(
    arguments: list[str], *, stdout: str | None = None, **environment: str
) -> tuple[int, str, str]:
    with Path(stdout or os.devnull).open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file if stdout else subprocess.PIPE,
            stderr=subprocess.PIPE,
            # As a shell starts it: what is written last is written at its end.
            env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
            timeout=60,
            check=False,
        )
    return done.returncode, (done.stdout or b"").decode(errors="replace"), done.stderr.decode()


_on_a_full_disk = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="this system has no /dev/full"
)


@_on_a_full_disk
@pytest.mark.parametrize("command", [["--help"], ["check"], ["check", "--json"]], ids=" ".join)
def test_a_full_disk_is_a_sentence(config: Path, command: list[str]) -> None:
    """The report is lost, so it did not work; why is said, and Python adds nothing at its end."""
    code, _, said = _run(command, stdout="/dev/full", PIPELINE_CONFIG=str(config))
    assert (code, said) == (1, "pipeline: No space left on device\n")


def test_a_terminal_that_cannot_show_a_letter_gets_another(config: Path) -> None:
    """Its name is in the configuration, and a cron job has no locale."""
    config.write_text(config.read_text() + 'visit_updates = ["complete"]\n')
    folder = config.parent / "Zażółć"
    folder.mkdir()
    moved = config.rename(folder / "config.toml")
    code, shown, said = _run(["status", "--config", str(moved)], PYTHONIOENCODING="ascii")
    assert (code, said) == (69, "")
    assert "there is no outbox at" in shown


@pytest.mark.parametrize(
    "command", [["explain"], ["events", "list", "--source"], ["deliveries", "retry"], ["preview"]]
)
def test_an_argument_that_is_no_text_is_wrong_usage(
    config: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """It can be in no outbox, and no file of ours has such a name."""
    odd = os.fsdecode(b"\xff")
    assert main([*command, odd, "--config", str(config)]) == 2
    assert capsys.readouterr().err == "pipeline: '\\udcff' is not UTF-8 text\n"


@pytest.mark.parametrize("command", ["status", "explain", "check"])
def test_a_file_that_cannot_be_is_a_sentence(
    config: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Whatever the system says of it: here, that its name is too long."""
    name = "x" * 300
    config.write_text(config.read_text() + f'[outbox]\npath = "{name}"\n')
    where = str(config.with_name(name)) if command == "check" else str(config)
    more = ["e1"] if command == "explain" else []
    assert main([command, *more, "--config", where]) == (78 if command == "check" else 1)
    assert "File name too long" in capsys.readouterr().err
