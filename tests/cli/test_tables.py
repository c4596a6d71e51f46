"""Tables for a script, for a narrow terminal, and for one that wants no colour."""

import asyncio
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

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


#: Runs several commands in one process, each told apart by a line that none of them prints.
_IN_TURN = """
import json, sys
from pipeline.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit:  # so --help ends
        pass
    print("-- that was all --", flush=True)
"""


def _on_terminal(columns: int, *commands: Sequence[str], **environment: str) -> list[str]:
    """Run commands on a terminal of so many columns, and give all that each has sent to it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    unset = {"COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    with subprocess.Popen(
        [sys.executable, "-c", _IN_TURN, json.dumps(commands)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=kept | {"TERM": "xterm-256color"} | environment,
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
    commands = (["deliveries", "list", *where], ["events", "list", *where])
    shown, events = _on_terminal(80, *commands, NO_COLOR="1")
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
    [wide] = _on_terminal(160, commands[0], NO_COLOR="1")
    assert "due_at" in wide


def test_no_colour_is_no_escape_at_all(told: Path) -> None:
    """Bold and italics are escapes too; a log of a terminal has them in it for ever."""
    where = ["--config", str(told)]
    lists = [[*command, *where] for command in (["deliveries", "list"], ["status"], ["check"])]
    commands = [["--help"], ["check", "--help"], *lists]
    coloured = _on_terminal(100, *commands)
    plain = _on_terminal(100, *commands, NO_COLOR="1")
    for command, with_it, without in zip(commands, coloured, plain, strict=True):
        assert "\x1b" in with_it, command
        assert "\x1b" not in without, command
