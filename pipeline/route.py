"""Tells which page of a source's reports a run reads next, and which it leaves to another run.

First come the signed waivers of its days and of those before them, as far as no run has read them
yet; then day by day the other reports. What cannot be read is a part: a run of its own.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from pipeline.days import DAY, day_of
from pipeline.model import Origin
from pipeline.outbox import Asked, Place, Run, RunState, Sums, Sweeps
from pipeline.reports import Page, Report

#: Times that a report of a day is gone back in. One that changes more often under our hands, or
#: does not count its rows as it should, is read on to its end: each day is read twice.
_MOST_BACKS = 8

_replace = msgspec.structs.replace


def reports_of(asked: Asked) -> Sequence[Report]:
    """Name what a run reads, in this order.

    A backfill of bookings fetches each one's guest, so it needs no report of them.
    """
    if asked.only is not None:
        return (asked.only,)
    if asked.origin is Origin.RECONCILE:
        return tuple(Report)
    return (Report.WAIVERS, Report.CUSTOMERS if asked.guests_only else Report.BOOKINGS)


class Route:
    """The way through the reports of one source."""

    def __init__(self, source: str, sweeps: Sweeps, waivers: timedelta | None) -> None:
        self._source = source
        self._sweeps = sweeps
        #: For how long a signed waiver holds; None where none are read.
        self._waivers = waivers

    @property
    def reads_waivers(self) -> bool:
        """Whether the report of signed waivers is read."""
        return self._waivers is not None

    async def first(self, asked: Asked, today: date) -> Place:
        """Give the page that a run begins with."""
        first = Place(day=asked.since, report=reports_of(asked)[1])
        if days := await self._unread(self._waivers_since(asked), today, await self._left()):
            first = Place(day=days[0], report=Report.WAIVERS)
        return first

    async def waiver_days(self, asked: Asked, today: date) -> Sequence[date]:
        """Give the days whose signed waivers a run would read before anything else."""
        return await self._unread(self._waivers_since(asked), today, left=())

    async def lacking(self, asked: Asked) -> Sequence[Run]:
        """Give the parts that hold signed waivers which a run should have read before it goes on.

        A backfill takes nobody in while there are any: it brings many who may never have booked, to
        tell a destination of a minor cannot be undone, and whoever asked for it can see to the
        permission. A reconciliation goes on, for bookings must not wait for ever: whom it finds, a
        webhook should have told of, and those do not wait for a report either.
        """
        if asked.origin is not Origin.BACKFILL or asked.dry_run or self._waivers is None:
            return ()
        since = self._waivers_since(asked)
        return [one for one in await self._left() if one.asked.until >= since]

    async def is_left(self, run: Run) -> bool:
        """Tell whether what is next is forbidden, and a part already."""
        asked, place = run.asked, run.place
        if asked.only is not None or asked.dry_run:
            return False
        return any(
            one.forbidden
            and one.place.day <= place.day <= one.asked.until
            and (one.asked.only, one.asked.origin, one.asked.guests_only)
            == (place.report, asked.origin, asked.guests_only)
            for one in await self._sweeps.parts(self._source)
        )

    def _waivers_since(self, asked: Asked) -> date:
        return asked.since - (self._waivers or timedelta())

    async def _left(self) -> Sequence[Run]:
        """Give the parts that hold signed waivers."""
        parts = await self._sweeps.parts(self._source)
        return [one for one in parts if one.asked.only is Report.WAIVERS]

    async def _unread(self, first: date, last: date, left: Sequence[Run]) -> Sequence[date]:
        """Give the days whose waivers have not been read whole, and are not `left` to a part.

        The last one, which is today as a rule, never was.
        """
        if self._waivers is None:
            return ()
        known = set(await self._sweeps.waiver_days(self._source, first))
        days = ((last - first) // DAY + 1) if last >= first else 0
        return [
            day
            for day in (first + n * DAY for n in range(days))
            if day not in known and not any(one.place.day <= day <= one.asked.until for one in left)
        ]

    async def ahead(self, run: Run, page: Page, zone: ZoneInfo) -> Run:
        """Go to the next page, or to what comes after the report."""
        if page.more:
            place = _replace(run.place, page=page.number + 1, rows=page.rows, size=page.wanted)
            return _replace(run, place=place)
        return await self.after_report(run, zone)

    async def after_report(self, run: Run, zone: ZoneInfo, left: Sequence[Run] = ()) -> Run:
        """Go to the next day of waivers, the next report or day, or come to the end."""
        place, reports = run.place, reports_of(run.asked)
        if place.report is Report.WAIVERS:
            left = (*left, *([] if run.asked.only else await self._left()))
            if days := await self._unread(place.day + DAY, self._last_day(run, zone), left):
                return _replace(run, place=Place(day=days[0], report=Report.WAIVERS))
            if run.asked.only is None:
                return _replace(run, place=Place(day=run.asked.since, report=reports[1]))
            return await self._end(run, zone)
        later = reports[reports.index(place.report) + 1 :]
        if later:
            return _replace(run, place=Place(day=place.day, report=later[0]))
        if place.day < run.asked.until:
            first = next(one for one in reports if one is not Report.WAIVERS)
            return _replace(run, place=Place(day=place.day + DAY, report=first))
        return await self._end(run, zone)

    async def _end(self, run: Run, zone: ZoneInfo) -> Run:
        watermark = await self._watermark(run, zone)
        return _replace(run, state=RunState.DONE, reason=None, forbidden=False, watermark=watermark)

    async def _watermark(self, run: Run, zone: ZoneInfo) -> date | None:
        """Tell up to which day everything has been read or left to a part, if this run adds to it.

        A day is read whole once it was over when the run began. A run that leaves days out after
        the watermark does not move it.
        """
        if run.asked.origin is not Origin.RECONCILE or run.asked.dry_run or run.asked.only:
            return None
        today = day_of(run.started_at, zone)
        whole = min(run.asked.until, today - DAY)
        before = await self._sweeps.watermark(self._source)
        if before is None or before > today:  # then it is of a clock that was set back since
            first = day_of(await self._sweeps.begun() or run.started_at, zone)
            is_all = run.asked.until > whole and run.asked.since <= first
            return whole if is_all else None
        return max(before, whole) if run.asked.since <= before + DAY else before

    def part(self, run: Run, zone: ZoneInfo, *, whole: bool) -> Run:
        """Make what is skipped a run of its own: a day of a report, or all that is left of it."""
        place = Place(day=run.place.day, report=run.place.report)
        last = self._last_day(run, zone) if whole else place.day
        asked = _replace(run.asked, since=place.day, until=last, only=place.report, dry_run=False)
        return _replace(run, asked=asked, place=place, sums=Sums())

    def _last_day(self, run: Run, zone: ZoneInfo) -> date:
        """Give the last day on which a run reads the report that it is in."""
        if run.place.report is Report.WAIVERS and run.asked.only is None:
            return day_of(run.started_at, zone)
        return run.asked.until


def read_whole(run: Run, page: Page, zone: ZoneInfo) -> date | None:
    """Give the day whose waivers have all been read with this page, if that is so.

    Not before the second night after it: until then some may not have been reported yet.
    """
    place = run.place
    if place.report is not Report.WAIVERS or page.more:
        return None
    return place.day if place.day < day_of(run.started_at, zone) - DAY else None


def moved_up(place: Place, page: Page) -> Place | None:
    """Give the page to go back to when rows before this one have gone; None when none have.

    What is modified leaves its day for today, and all that is behind it moves up: some of it to
    pages that have been read.
    """
    if place.rows is None or page.rows is None or page.rows >= place.rows or page.number == 1:
        return None
    if place.backs >= _MOST_BACKS:
        return None
    pages = -(-(place.rows - page.rows) // page.size)
    return _replace(
        place,
        page=max(page.number - pages, 1),
        rows=page.rows,
        size=page.wanted,
        backs=place.backs + 1,
    )
