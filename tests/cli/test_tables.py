"""Tables for a script, for a narrow terminal, and for one that wants no colour."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.cli import main
from pipeline.config import load
from pipeline.model import DeliveryState
from pipeline.outbox.sqlite import open_outbox
from tests.cli.test_commands import config
from tests.outbox.support import arrival, change, intent, settled
from tests.waiting import LONG

__all__ = ["config"]

_REFERENCE = "REF-2026-0123456789"
_REASON = "Stampede answered 422: " + "phone: not a number that can be dialled; " * 5


@pytest.fixture
async def told(config: Path) -> Path:
    """A configuration whose outbox has one delivery, parked for a long reason."""
    async with open_outbox(load(config).outbox.path) as outbox:
        await asyncio.gather(*(outbox.intake.accept(arrival(f"k{n}")) for n in range(1200)))
        parked = intent(state=DeliveryState.PARKED, reason=_REASON)
        await settled(outbox, "one", parked, booking="b")
    for table in ("event", "delivery"):
        change(load(config).outbox.path, f"UPDATE {table} SET reference = ?", _REFERENCE)
    return config


#: Runs several commands in one process, each told apart by a line that none of them prints, and
#: each on a terminal of so many columns, with colour or without.
_IN_TURN = """
import fcntl, json, os, struct, sys, termios
from pipeline.cli import main
for columns, no_colour, arguments in json.loads(sys.argv[1]):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.environ.pop("NO_COLOR", None)
    if no_colour:
        os.environ["NO_COLOR"] = "1"
    try:
        main(arguments)
    except SystemExit:  # so --help ends
        pass
    print("-- that was all --", flush=True)
"""


class _Try(NamedTuple):
    """A command on a terminal of so many columns."""

    columns: int
    no_colour: bool
    arguments: Sequence[str]


def _on_terminal(*commands: _Try) -> list[str]:
    """Run commands on a terminal, and give all that each has sent to it."""
    ours, theirs = pty.openpty()
    unset = {"COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    with subprocess.Popen(
        [sys.executable, "-c", _IN_TURN, json.dumps(commands)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=kept | {"TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        sent = b""
        with suppress(OSError):  # so Linux says that the other end is closed
            while part := os.read(ours, 65_536):
                sent += part
        os.close(ours)
        process.wait(timeout=LONG)
    *shown, rest = sent.decode().split("-- that was all --\r\n")
    assert (len(shown), rest) == (len(commands), "")
    return shown


def test_what_is_no_terminal_gets_each_row_in_one_line_and_all_of_it(
    told: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`| grep` looks at lines, and `| awk` takes the first word."""
    monkeypatch.setenv("COLUMNS", "40")
    for command in (["deliveries", "list"], ["events", "list", "--limit", "1"]):
        assert main([*command, "--config", str(told)]) == 0
        [row] = [line for line in capsys.readouterr().out.splitlines() if _REFERENCE in line]
        assert row.split()[0] in {"d1", "e1201"}
        assert (_REASON.strip() in row) is (command[0] == "deliveries")


def test_a_narrow_terminal_gets_fewer_columns_and_no_broken_word_to_copy(told: Path) -> None:
    """An id that ends in dots is of no use."""
    where = ["--config", str(told)]
    deliveries = ["deliveries", "list", *where]
    shown, events, wide = _on_terminal(
        _Try(80, True, deliveries),
        _Try(80, True, ["events", "list", *where]),
        _Try(160, True, deliveries),
    )
    lines = shown.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 80
    [row] = [line for line in lines if "d1 " in line]
    for word in ("d1", "stampede", "booking", _REFERENCE, "parked"):
        assert word in row.split()
    assert "…" not in shown
    [header] = [line for line in lines if line.split()[:1] == ["id"]]
    assert header.split() == ["id", "destination", "kind", "reference", "state", "reason"]
    assert "e1201 " in events
    assert "…" not in events
    assert "due_at" in wide


def test_no_colour_is_no_escape_at_all(told: Path) -> None:
    """Bold and italics are escapes too; a log of a terminal has them in it for ever."""
    where = ["--config", str(told)]
    lists = [[*command, *where] for command in (["deliveries", "list"], ["status"], ["check"])]
    commands = [["--help"], ["check", "--help"], *lists]
    shown = _on_terminal(*(_Try(100, no, command) for no in (False, True) for command in commands))
    coloured, plain = shown[: len(commands)], shown[len(commands) :]
    for command, with_it, without in zip(commands, coloured, plain, strict=True):
        assert "\x1b" in with_it, command
        assert "\x1b" not in without, command
