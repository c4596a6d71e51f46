"""Asking about an outbox whose daemon does not answer, or is not the one that was meant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from pipeline.cli import main
from pipeline.config import load
from pipeline.outbox.sqlite import open_outbox
from pipeline.status import Status
from tests.cli.test_commands import config
from tests.e2e.world import World
from tests.outbox.support import arrival, change, look

__all__ = ["config"]


async def _run(config: Path, *arguments: str) -> int:
    return await asyncio.to_thread(main, [*arguments, "--config", str(config)])


async def _fill(config: Path) -> None:
    async with open_outbox(load(config).outbox.path) as outbox:
        await outbox.intake.accept(arrival("one"))


@asynccontextmanager
async def _another_program(config: Path) -> AsyncIterator[None]:
    """Have something listen at server.admin that is no pipeline."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    admin = load(config).server.admin
    async with await asyncio.start_server(talk, admin.host, admin.port):
        yield


async def test_another_program_in_its_place_does_not_hide_the_outbox(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file says where a booking is, whoever listens at the port."""
    await _fill(config)
    async with _another_program(config):
        assert await _run(config, "explain", "e1") == 0
        out, err = capsys.readouterr()
        assert "e1 (booking updated) from leeds came" in out
        assert "is not a pipeline of this version" in err
        assert await _run(config, "status", "--json") == 69
    found = msgspec.json.decode(capsys.readouterr().out, type=Status)
    assert (found.running, found.events["waiting"]) == (False, 1)
    assert "is not a pipeline of this version" in found.reasons[0]


async def test_another_program_in_its_place_does_not_keep_the_outbox_from_being_changed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a daemon runs is told by the lock, and not by who has its port."""
    await _fill(config)
    path = load(config).outbox.path
    async with _another_program(config):
        async with open_outbox(path):
            assert await _run(config, "events", "drop", "e1", "--yes") == 1
        assert "is not a pipeline of this version" in capsys.readouterr().err
        assert look(path, "SELECT state FROM events") == [("waiting",)]
        assert await _run(config, "events", "drop", "e1", "--yes") == 0
    assert look(path, "SELECT state FROM events") == [("ignored",)]


async def test_a_daemon_that_refuses_us_is_not_said_to_be_none(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its token has been changed since it started."""
    here.replace("[outbox]", 'admin_token = "sesame"\n[outbox]')
    async with here.running():
        await here.book(booking={})
        here.replace('"sesame"', '"another"')
        assert await _run(here.path, "status") == 69
        out = capsys.readouterr().out
        assert await _run(here.path, "explain", "e1") == 0
        told, note = capsys.readouterr()
        here.replace('"another"', '"sesame"')
    assert "refuses server.admin_token" in out
    assert "running, and cannot be asked" in out
    assert "refuses server.admin_token" in note
    assert "no daemon is running" not in told


async def test_a_daemon_that_listens_elsewhere_is_found_by_its_lock(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """server.admin was changed, and the daemon not restarted."""
    await _fill(config)
    assert await _run(config, "status") == 69
    assert "not running" in capsys.readouterr().out
    async with open_outbox(load(config).outbox.path):
        assert await _run(config, "status") == 69
        out = capsys.readouterr().out
        assert await _run(config, "explain", "e1") == 0
    assert "not running" not in out
    assert "is server.admin another one than when it was started?" in out
    told, note = capsys.readouterr()
    assert "no daemon is running" not in told
    assert "a daemon holds" in note


async def test_what_only_calls_itself_an_outbox_is_a_sentence(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No table's name is of any use to whoever reads it."""
    await _fill(config)
    change(load(config).outbox.path, "DROP TABLE counter")
    for command in (["status"], ["explain", "e1"], ["events", "list"]):
        assert await _run(config, *command) == 1
        err = capsys.readouterr().err
        assert "its tables are not those of this version (see counter" in err
        assert "no such table" not in err


async def test_dropping_says_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be undone, so it is read before."""
    for kind, said in (("events", "is ignored from now on"), ("deliveries", "counts as done")):
        with pytest.raises(SystemExit):
            main([kind, "drop", "--help"])
        assert said in " ".join(capsys.readouterr().out.split())
