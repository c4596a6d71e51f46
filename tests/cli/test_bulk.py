"""What one command changes of much: through the daemon when it runs, else on the outbox at rest."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from pipeline.cli import main
from pipeline.config import load
from pipeline.model import DeliveryState, EventState
from pipeline.outbox import Intent
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.status import Status
from tests.cli.test_commands import config
from tests.http.support import listening
from tests.outbox.support import LEASE, arrival, claimed, conserved, intent, look

__all__ = ["config"]

#: Before now by any clock.
_THEN = 1_700_000_000_000_000


def _parked(destination: str, reason: str) -> Intent:
    made = intent(state=DeliveryState.PARKED, reason=reason)
    return msgspec.structs.replace(made, destination=destination)


async def _fill(outbox: SqliteOutbox) -> None:
    """Park events of two sources, and deliveries to two destinations, one in doubt."""
    owed = [("stampede", "refused")] * 2 + [("stampede", "unknown outcome"), ("spotler", "refused")]
    for number, one in enumerate(owed):
        receipt = await outbox.intake.accept(arrival(f"s{number}", booking=f"b{number}", at=_THEN))
        lease = {"now": _THEN, "until": _THEN + LEASE}
        [event] = await outbox.events.claim([receipt.event], **lease)
        await outbox.deliveries.settle(event, [_parked(*one)], now=_THEN)
    for number, source in enumerate(["leeds", "leeds", "york"]):
        came = arrival(f"p{number}", source=source, at=_THEN)
        await outbox.intake.accept(
            msgspec.structs.replace(came, state=EventState.PARKED, reason="unreadable: x")
        )


@pytest.fixture
async def full(config: Path) -> Path:
    """A configuration whose outbox has parked rows, and no daemon."""
    async with open_outbox(load(config).outbox.path) as outbox:
        await _fill(outbox)
    return config


async def _run(config: Path, *arguments: str) -> int:
    return await asyncio.to_thread(main, [*arguments, "--config", str(config)])


def _states(config: Path) -> dict[str, str]:
    sql = """SELECT 'e' || id, state FROM event WHERE id > 4
             UNION ALL SELECT 'd' || id, state FROM delivery"""
    return dict(look(load(config).outbox.path, sql))


def _moved(config: Path) -> set[str]:
    return {name for name, state in _states(config).items() if state != "parked"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["events", "--state", "parked"], "This will retry 3 events. Go on?"),
        (["events", "--state", "parked", "--source", "leeds"], "This will retry 2 events. Go on?"),
        (["events", "--state", "parked", "--source", "york"], "This will retry 1 event. Go on?"),
        (["deliveries", "--state", "parked"], "This will retry 3 deliveries. Go on?"),
        (
            ["deliveries", "--state", "parked", "--destination", "stampede"],
            "This will retry 2 deliveries. Go on?",
        ),
        (["deliveries", "d1", "d4"], "This will retry 2 deliveries. Go on?"),
    ],
)
async def test_the_question_names_the_number_that_will_be_touched(
    full: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    """Whoever is told three and sees two done looks for the third."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "n\n")
    kind, *rest = arguments
    assert await _run(full, kind, "retry", *rest) == 1
    assert said in capsys.readouterr().err
    assert not _moved(full)


@asynccontextmanager
async def _daemon(config: Path) -> AsyncIterator[None]:
    """Have a real desk answer at the configuration's admin address, with no stage behind it."""
    folder = config.parent / "daemon"
    folder.mkdir()
    async with listening(folder) as here:
        await _fill(here.outbox)
        text = (folder / "config.toml").read_text()
        admin = f'admin = "127.0.0.1:{here.admin.where}"'
        config.write_text(text.replace('admin = "127.0.0.1:0"', admin))
        config.with_name("outbox.db").unlink()
        config.with_name("outbox.db").symlink_to(folder / "outbox.db")
        yield


@pytest.mark.parametrize("running", [True, False], ids=["running", "at rest"])
@pytest.mark.parametrize(
    ("arguments", "moved"),
    [
        (["events", "retry", "--state", "parked", "--source", "york"], {"e7"}),
        (["events", "retry", "--state", "parked"], {"e5", "e6", "e7"}),
        (["deliveries", "retry", "--state", "parked", "--destination", "stampede"], {"d1", "d2"}),
        (["deliveries", "retry", "--state", "parked"], {"d1", "d2", "d4"}),
        (["events", "drop", "e5"], {"e5"}),
        (["deliveries", "drop", "d2", "d4"], {"d2", "d4"}),
    ],
)
async def test_it_touches_what_was_asked_for_and_nothing_else(
    full: Path,
    capsys: pytest.CaptureFixture[str],
    running: bool,
    arguments: list[str],
    moved: set[str],
) -> None:
    """Retried waits, dropped has ended; what is of another peer stays where it is."""
    command = [*arguments, "--yes"]
    if running:
        async with _daemon(full):
            assert await _run(full, *command) == 0
            states = _states(full)
    else:
        assert await _run(full, *command) == 0
        states = _states(full)
    ended = {"events": "ignored", "deliveries": "dropped"}[arguments[0]]
    expected = "waiting" if arguments[1] == "retry" else ended
    assert {name: states[name] for name in moved} == dict.fromkeys(moved, expected)
    assert {name for name, state in states.items() if state != "parked"} == moved
    verb = "will be tried again." if arguments[1] == "retry" else "dropped."
    word = (
        arguments[0]
        if len(moved) > 1
        else {"events": "event", "deliveries": "delivery"}[arguments[0]]
    )
    assert f"{len(moved)} {word} {verb}" in capsys.readouterr().out
    conserved(load(full).outbox.path)


async def test_what_is_of_another_destination_is_not_told_of(
    full: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one in doubt is at Stampede."""
    for name, told in (("spotler", False), ("stampede", True)):
        retry = ["deliveries", "retry", "--state", "parked", "--destination", name, "--yes"]
        assert await _run(full, *retry) == 0
        assert ("Left alone" in capsys.readouterr().err) is told


async def test_what_a_daemon_had_begun_when_it_ended_can_be_changed(full: Path) -> None:
    """Without one, nobody is working on it, whatever its row says."""
    async with open_outbox(load(full).outbox.path) as outbox:
        await claimed(outbox, "begun", booking="begun")
    assert _states(full)["e8"] == "processing"
    assert await _run(full, "events", "drop", "e8", "--yes") == 0
    assert _states(full)["e8"] == "ignored"


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _answering(config: Path, asked: list[Any]) -> Handler:
    """Be a daemon that always parks again at once what it is told to retry."""
    status = Status(
        running=True, started_at=None, ready=True, reasons=(), events={}, deliveries={},
        oldest_waiting_s=None,
    )  # fmt: skip

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(body=msgspec.json.encode(status))
        asked.append(msgspec.json.decode(await request.read()))
        more = len(asked) < 3
        return web.json_response({"changed": 500, "refused": 0, "before": 77, "more": more})

    return answer


async def test_each_batch_goes_on_from_the_moment_of_the_first(
    full: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What parks again meanwhile would else be retried for ever."""
    asked: list[Any] = []
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answering(full, asked))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        admin = load(full).server.admin
        await web.TCPSite(runner, admin.host, admin.port).start()
        retry = ["events", "retry", "--state", "parked", "--source", "leeds", "--yes"]
        assert await _run(full, *retry) == 0
    finally:
        await runner.cleanup()
    assert [one["before"] for one in asked] == [None, 77, 77]
    assert {one["source"] for one in asked} == {"leeds"}
    assert "1,500 events will be tried again." in capsys.readouterr().out
