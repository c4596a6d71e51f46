"""`pipeline status`: what a file knows without a daemon, and how gaps and runs are told."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import date
from pathlib import Path

import msgspec
import pytest

from pipeline.cli import main
from pipeline.clock import SECOND
from pipeline.model import Origin
from pipeline.outbox import Asked, Note, Place, RunState
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.reports import Report
from pipeline.status import Status
from tests.fakes import NOON
from tests.outbox.support import arrival

_CONFIG = """
[outbox]
path = "outbox.db"
[server]
admin = "unix:nobody.sock"
[sources.leeds]
type = "roller"
client_id = "a"
client_secret = "b"
webhook_key = "c"
[destinations.stampede]
type = "stampede"
client_id = "d"
client_secret = "e"
venues = { leeds = "A1B2C3D4E5F6" }
"""
_DAY = date(2026, 11, 20)
_HOUR = 3600 * SECOND

_status = msgspec.json.Decoder(Status)


class _Shown:
    """An outbox at rest, and what is said of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys
        (folder / "config.toml").write_text(_CONFIG)

    def outbox(self) -> AbstractAsyncContextManager[SqliteOutbox]:
        """Open it as a daemon does."""
        return open_outbox(self._folder / "outbox.db")

    async def text(self, *options: str) -> str:
        """Give what the command prints."""
        command = ["status", *options, "--config", str(self._folder / "config.toml")]
        assert await asyncio.to_thread(main, command) == 69
        return self._capsys.readouterr().out

    async def said(self, *command: str) -> tuple[str, str]:
        """Give what another command prints, and what it complains of."""
        config = ["--config", str(self._folder / "config.toml")]
        assert await asyncio.to_thread(main, [*command, *config]) == 0
        return self._capsys.readouterr()

    async def document(self) -> Status:
        """Give its document."""
        return _status.decode(await self.text("--json"))


@pytest.fixture
def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> _Shown:
    """A configuration whose daemon does not run."""
    return _Shown(tmp_path, capsys)


async def _reconcile(outbox: SqliteOutbox, state: RunState, reason: str | None = None) -> None:
    asked = Asked(origin=Origin.RECONCILE, since=_DAY, until=_DAY)
    run = await outbox.sweeps.begin(
        "leeds", asked, Place(day=_DAY, report=Report.WAIVERS), now=NOON
    )
    await outbox.webhooks.hand_over("leeds", run.id)
    ended = msgspec.structs.replace(run, state=state, reason=reason)
    await outbox.sweeps.keep(ended, now=NOON + _HOUR)


async def test_without_a_daemon_the_file_tells_what_came_and_what_was_reconciled(
    shown: _Shown,
) -> None:
    """Whoever comes to a daemon that is down wants to know since when."""
    async with shown.outbox() as outbox:
        await outbox.intake.accept(arrival("m", at=NOON))
        await _reconcile(outbox, RunState.DONE)
    source = (await shown.document()).sources["leeds"]
    assert (source.last_event_at, source.last_reconcile_at) == (
        "2026-11-21T12:00:00.000Z", "2026-11-21T13:00:00.000Z",
    )  # fmt: skip
    assert source.reconcile is not None
    assert (source.reconcile.state, source.gap, source.state) == ("done", None, "unknown")
    text = await shown.text()
    assert "last event: 2026-11-21T12:00:00" in text
    assert "reconcile 2026-11-20 to 2026-11-20 done" in text
    assert "only a running daemon knows" in text
    assert "webhook unknown" not in text


async def test_a_gap_is_told_until_it_has_been_read(shown: _Shown) -> None:
    """Since when, and what becomes of it."""
    async with shown.outbox() as outbox:
        await outbox.intake.accept(arrival("m", at=NOON))
        await outbox.webhooks.miss("leeds")
    since = "webhooks may be missing since 2026-11-21T12:00:00.000Z: once all come again"
    assert since in await shown.text()
    async with shown.outbox() as outbox:
        await outbox.webhooks.seen("leeds", ["1"], now=NOON + _HOUR)
    text = await shown.text()
    assert "from 2026-11-21T12:00:00.000Z to 2026-11-21T13:00:00.000Z: ROLLER is asked" in text
    assert "once the daemon runs" in text
    async with shown.outbox() as outbox:
        await _reconcile(outbox, RunState.FAILED, "no")
    found = await shown.document()
    gap = found.sources["leeds"].gap
    assert gap is not None
    assert (gap.state, gap.reason) == ("failed", "no")
    [told] = [one for one in found.reasons if one.startswith("sources.leeds: ")]
    assert "cannot be read: no." in told
    assert told.endswith("at once by `pipeline reconcile --since 2026-11-20`")
    async with shown.outbox() as outbox:
        await _reconcile(outbox, RunState.DONE)
    assert (await shown.document()).sources["leeds"].gap is None


async def test_a_difference_that_was_seen_once_is_no_times(shown: _Shown) -> None:
    """Nor is it from a day to the same day."""
    once = Note(source="leeds", what="drift", name="new a.b null", n=1, first_at=NOON, last_at=NOON)
    often = msgspec.structs.replace(once, name="missing c.d", n=2)
    async with shown.outbox() as outbox:
        await outbox.noted.add([once, often], most=9, rest="")
    text = await shown.text()
    assert "new a.b (null): once, 2026-11-21" in text
    assert "missing c.d: 2 times from 2026-11-21 to 2026-11-21" in text


async def test_what_a_source_waits_for_is_not_told_to_whoever_asks_for_an_event(
    shown: _Shown,
) -> None:
    """It has nothing to do with it."""
    async with shown.outbox() as outbox:
        await outbox.intake.accept(arrival("m", at=NOON))
        await _reconcile(outbox, RunState.WAITING, "ROLLER answered 500 to /data")
    assert "ROLLER answered 500" in await shown.text()
    out, err = await shown.said("explain", "e1")
    assert ("e1 (booking updated)" in out, "no daemon answers" in err) == (True, True)
    assert "500" not in out + err


async def test_a_run_that_waits_for_a_daemon_is_not_said_to_run(shown: _Shown) -> None:
    """Nobody goes on with it."""
    async with shown.outbox() as outbox:
        await _reconcile(outbox, RunState.RUNNING)
    text = await shown.text()
    assert "reconcile 2026-11-20 to 2026-11-20 goes on at 2026-11-20 with the daemon" in text


async def test_before_there_is_an_outbox_nothing_is_known(shown: _Shown) -> None:
    """And that is no error of its own."""
    source = (await shown.document()).sources["leeds"]
    assert (source.last_event_at, source.reconcile) == (None, None)
    assert "last event: none yet" in await shown.text()
