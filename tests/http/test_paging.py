"""A report is read to its end and no further, however its pages are counted."""

import io
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from pipeline.clock import SECOND
from pipeline.errors import Throttled
from pipeline.log import Log
from pipeline.model import Origin
from pipeline.outbox import Asked, Place, Run, RunState
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.reports import Page, Report, Reports
from pipeline.settings import Duration, RateLimit
from pipeline.sweep import Sweep
from tests.fakes import NOON, FakeClock
from tests.http.sweeping import field

_DAY = date(2026, 11, 20)
_ASKED = Asked(origin=Origin.BACKFILL, since=_DAY, until=_DAY)
_ZONE = ZoneInfo("Europe/London")


class _Odd:
    """Reports of ten pages, whose number of rows is told in an odd way."""

    rate_limit = RateLimit(requests=1000, per=Duration(1))

    def __init__(self, rows: Sequence[int], *, wanted: int = 500) -> None:
        self.asked: list[tuple[int, int | None]] = []
        self._rows = rows
        self._wanted = wanted

    async def page(
        self, report: Report, day: date, number: int = 1, wanted: int | None = None
    ) -> Page:
        """Give an empty page; the waivers have only one."""
        if report is Report.WAIVERS:
            return Page(found=(), more=False, rows=0, size=500)
        rows = self._rows[min(len(self.asked), len(self._rows) - 1)]
        self.asked.append((number, wanted))
        return Page(
            found=(), more=number < 10, rows=rows, size=100, number=number, wanted=self._wanted
        )

    def change_of(self, customer: str) -> bytes:
        """Write nothing."""
        return b""


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[SqliteOutbox]:
    """An empty one."""
    async with open_outbox(tmp_path / "outbox.db") as made:
        yield made


def _sweep(outbox: SqliteOutbox, reports: Reports) -> Sweep:
    clock = FakeClock(now=NOON)
    log = Log(clock, level="error", style="json", sink=io.StringIO())
    return Sweep("leeds", reports, outbox, clock, log, adults_only=True, waivers=timedelta(days=1))


async def _read(sweep: Sweep, run: Run, *, steps: int = 200) -> Run:
    for _ in range(steps):
        if run.state is RunState.DONE:
            return run
        run = await sweep.step(run, _ZONE)
    raise AssertionError(run.place)


async def test_a_report_that_shrinks_with_each_page_comes_to_an_end(outbox: SqliteOutbox) -> None:
    """It may count what is left, and not what there is; each page more is a call."""
    reports = _Odd(range(1000, 0, -5))
    sweep = _sweep(outbox, reports)
    await _read(sweep, await sweep.begin(_ASKED, _DAY))
    numbers = [number for number, _ in reports.asked]
    assert set(numbers) == set(range(1, 11))
    assert len(numbers) <= 10 + 2 * 8


async def test_a_report_that_has_shrunk_is_gone_back_in(outbox: SqliteOutbox) -> None:
    """Rows have moved up to the page before."""
    reports = _Odd([1000, 1000, 950])
    sweep = _sweep(outbox, reports)
    await _read(sweep, await sweep.begin(_ASKED, _DAY))
    assert [number for number, _ in reports.asked] == [1, 2, 3, *range(2, 11)]


async def test_the_size_of_its_pages_is_kept_over_a_crash(outbox: SqliteOutbox) -> None:
    """A page of another size begins at another row."""
    reports = _Odd([1000], wanted=100)
    sweep = _sweep(outbox, reports)
    run = await sweep.begin(_ASKED, _DAY)
    while run.place.page < 3:
        run = await sweep.step(run, _ZONE)
    kept = await outbox.sweeps.run(run.id)
    assert kept is not None
    again = _Odd([1000], wanted=100)
    await _sweep(outbox, again).step(kept, _ZONE)
    assert again.asked == [(3, 100)]


async def test_a_report_without_an_end_is_left_out(tmp_path: Path) -> None:
    """As one is that gives its first page again and again."""
    async with field(tmp_path) as here:
        day = date(2026, 10, 6)
        run = await here.sweeper.begin(Origin.RECONCILE, since=day, until=day)
        place = Place(day=day, report=Report.BOOKINGS, page=5001)
        await here.outbox.sweeps.keep(msgspec.structs.replace(run, place=place), now=0)
        assert (await here.ran()).asked.only is Report.BOOKINGS
        [part] = await here.outbox.sweeps.parts("leeds")
        assert part.reason == "its report has more than 5000 pages"
        assert [name for name, _, _ in await here.asked()] == ["customers"]


async def test_what_was_asked_counts_for_the_next_process(tmp_path: Path) -> None:
    """A daemon that is started anew would else send a burst more than ROLLER allows."""
    async with field(tmp_path) as here:
        await here.sweeper.begin(Origin.RECONCILE)
        await here.ran()
        asked = len(await here.asked())
        each = 12.5 / 20 * SECOND
        expected = pytest.approx(here.clock.now() + asked * each, abs=SECOND)
        assert await here.outbox.sweeps.pace("leeds") == expected
        # As another process would.
        next_one = here.made(here.config).sweepers["leeds"]
        await next_one.begin(Origin.RECONCILE, since=date(2026, 10, 7))
        await next_one.once()
        more = len(await here.asked()) - asked
        assert more > 0
        expected = pytest.approx(here.clock.now() + (asked + more) * each, abs=SECOND)
        assert next_one.spent == expected


async def test_a_survey_keeps_to_the_pause_that_roller_asks_for(tmp_path: Path) -> None:
    """And what runs beside it keeps to the one that the survey was asked for."""
    async with field(tmp_path) as here:
        asked = await here.sweeper.plan(Origin.BACKFILL, since=date(2026, 10, 6))
        await here.control("faults", kind="429", path="/data/*", count=1)
        with pytest.raises(Throttled, match="429"):
            await here.sweeper.survey(asked)
        assert await here.sweeper.once() == 60
        with pytest.raises(Throttled, match="leeds is left alone just now: ask again in 1 min"):
            await here.sweeper.survey(asked)
        assert len(await here.asked()) == 1
        here.clock.advance(60)
        assert (await here.sweeper.survey(asked)).pages > 0


async def test_a_survey_is_of_the_same_allowance(tmp_path: Path) -> None:
    """ROLLER counts it with the pages of what runs beside it."""
    async with field(tmp_path) as here:
        asked = await here.sweeper.plan(Origin.BACKFILL, since=date(2026, 9, 1))
        found = await here.sweeper.survey(asked)
        each = 12.5 / 20
        assert here.sweeper.spent == pytest.approx(here.clock.now() + 14 * each * SECOND, abs=2)
        assert await here.outbox.sweeps.pace("leeds") == here.sweeper.spent
        # 37 days of bookings, and their waivers with those of the day before.
        assert found.pages == 37 + 38
        assert found.reading == pytest.approx(found.pages * each)
