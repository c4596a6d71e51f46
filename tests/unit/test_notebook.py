"""Calls and drift are counted, and written down now and then."""

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.clock import SECOND
from pipeline.drift import MOST_NAMES
from pipeline.errors import OutboxUnavailable
from pipeline.log import Log
from pipeline.model import Event
from pipeline.notebook import CALLS, DRIFT, Notebook
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.status import calls_this_month, differences
from tests.fakes import NOON, FakeClock
from tests.outbox.support import look

_COLOUR = "new booking.colour string"


class _Drift:
    """Sees what a test has it see."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def look(self, event: Event) -> None:
        """There is nothing to look at."""

    def take(self) -> Mapping[str, int]:
        seen, self.seen = self.seen, {}
        return seen


class _Desk:
    """A notebook, and all around it."""

    def __init__(self, outbox: SqliteOutbox, clock: FakeClock) -> None:
        self.lines = io.StringIO()
        self.log = Log(clock, level="info", style="json", sink=self.lines)
        self.drift = _Drift()
        peers = {"roller.leeds": "leeds", "roller.york": "york"}
        drifts = {"leeds": self.drift, "york": None}
        self.notebook = Notebook(peers, drifts, outbox.noted, clock, self.log)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


async def test_each_request_of_a_source_counts_in_its_month(path: Path) -> None:
    """ROLLER's contracts cap the calls of a month."""
    clock = FakeClock()
    async with open_outbox(path) as outbox:
        notebook = _Desk(outbox, clock).notebook
        for peer in ("roller.leeds", "roller.leeds", "roller.york", "stampede.leeds"):
            notebook.sent(peer)
        clock.advance(10 * 86_400)  # it is December
        notebook.sent("roller.leeds")
        notes = await notebook.read()
        assert calls_this_month(notes, "leeds", now=NOON) == 2
        assert calls_this_month(notes, "leeds", now=clock.now()) == 1
        assert calls_this_month(notes, "york", now=NOON) == 1
        assert calls_this_month(notes, "stampede", now=NOON) == 0
        assert look(path, "SELECT count(*) FROM noted") == [(0,)], "nothing is written yet"
        assert await notebook.once() == 60.0
        notebook.sent("roller.leeds")
        assert calls_this_month(await notebook.read(), "leeds", now=clock.now()) == 2
        await notebook.write()
    assert look(path, "SELECT source, name, n FROM noted ORDER BY source, name") == [
        ("leeds", "2026-11", 2), ("leeds", "2026-12", 2), ("york", "2026-11", 1),
    ]  # fmt: skip
    async with open_outbox(path) as outbox:
        notebook = _Desk(outbox, clock).notebook
        assert notebook.called("leeds", 3)
        assert not notebook.called("bath", 3)
        assert calls_this_month(await notebook.read(), "leeds", now=clock.now()) == 5


async def test_drift_is_told_with_when_it_was_seen_and_logged_once(path: Path) -> None:
    """A line for every message would bury it."""
    clock = FakeClock()
    async with open_outbox(path) as outbox:
        desk = _Desk(outbox, clock)
        for n in (2, 3):
            desk.drift.seen = {_COLOUR: n, "missing booking.total": 1}
            await desk.notebook.write()
            clock.advance(60)
        desk.drift.seen = {"new (others)": 1}
        assert [str(one) for one in differences(await desk.notebook.read(), "leeds")] == [
            "new (others)", "missing booking.total", "new booking.colour (string)",
        ]  # fmt: skip
        await desk.notebook.write()
        [colour] = [
            one
            for one in differences(await desk.notebook.read(), "leeds")
            if one.field == "booking.colour"
        ]
        assert (colour.what, colour.type, colour.count) == ("new", "string", 5)
        assert colour.first_seen == "2026-11-21T12:00:00.000Z"
        assert colour.last_seen == "2026-11-21T12:01:00.000Z"
        assert differences(await desk.notebook.read(), "york") == ()
    desk.log.flush()
    lines = desk.lines.getvalue().splitlines()
    assert [line.count(_COLOUR) for line in lines if "drifted" in line] == [1, 0]


async def test_what_cannot_be_written_is_counted_later(path: Path) -> None:
    """A full disk for an hour must not make the month look cheap."""
    clock = FakeClock()
    async with open_outbox(path) as outbox:
        desk = _Desk(outbox, clock)
        desk.notebook.sent("roller.leeds")
        moved = path.with_suffix(".away")
        path.rename(moved)
        with pytest.raises(OutboxUnavailable):
            await desk.notebook.once()
        desk.notebook.sent("roller.leeds")
        moved.rename(path)
        await desk.notebook.once()
        assert look(path, "SELECT n FROM noted") == [(2,)]
        await desk.notebook.once()
        assert look(path, "SELECT n FROM noted") == [(2,)], "what is written is not written again"


async def test_each_has_its_own_room(path: Path) -> None:
    """Names of fields cannot crowd out the calls."""
    clock = FakeClock()
    async with open_outbox(path) as outbox:
        desk = _Desk(outbox, clock)
        desk.drift.seen = {f"new booking.x{n} string": 1 for n in range(MOST_NAMES + 5)}
        await desk.notebook.write()
        clock.advance(86_400 * SECOND / SECOND)
        desk.notebook.sent("roller.leeds")
        await desk.notebook.write()
    counts = dict(look(path, "SELECT what, count(*) FROM noted GROUP BY what"))
    assert counts == {CALLS: 1, DRIFT: MOST_NAMES + 1}
