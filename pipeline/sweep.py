"""Reads what a source reports day by day, and takes in what is missing.

A run first learns who is a minor: it reads the signed waivers of all its days and of those before
them for as long as a waiver holds, as far as no run has read them yet. Then it goes through its own
days, the newest last; of each day through the other reports, and of each report through the pages.
Only a page is in memory. What is taken in has a key of its modification, so a page that is read
again, after a crash or because a day is read twice, takes in nothing twice.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from pipeline.clock import Clock, iso
from pipeline.days import DAY, day_of
from pipeline.errors import Reject
from pipeline.log import Log
from pipeline.model import Action, Arrival, EventState, Guest, Kind, Minor, Origin, Phase
from pipeline.outbox import Asked, Outbox, Place, Run, RunState, Sums
from pipeline.reports import (
    Page,
    Report,
    Reported,
    ReportedBooking,
    ReportedGuest,
    ReportedMinor,
    Reports,
)
from pipeline.sift import (
    Known,
    Missing,
    Unsendable,
    Verdict,
    is_settled,
    sift_booking,
    sift_guest,
    sift_newcomer,
)
from pipeline.tempo import Tempo

#: Times that a report of a day is gone back in. One that changes more often under our hands, or
#: does not count its rows as it should, is read on to its end: each day is read twice.
_MOST_BACKS = 8

#: Pages of a report of a day, 500,000 rows; one that goes on after them has no end.
_MOST_PAGES = 5000

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


class Sweep:
    """Goes through the reports of one source."""

    def __init__(
        self,
        source: str,
        reports: Reports,
        outbox: Outbox,
        clock: Clock,
        log: Log,
        *,
        adults_only: bool,
        waivers: timedelta,
    ) -> None:
        self.reports = reports
        self.tempo = Tempo(reports.rate_limit, clock, lambda: outbox.sweeps.pace(source))
        self._source = source
        self._outbox = outbox
        self._clock = clock
        self._log = log
        self._adults_only = adults_only
        #: For how long a signed waiver holds.
        self._waivers = waivers
        #: The last booking of the page before, which may go on on the next one.
        self._last: tuple[int, date, str] | None = None

    async def begin(self, asked: Asked, today: date) -> Run:
        """Note a run that is to be made."""
        first = Place(day=asked.since, report=reports_of(asked)[1])
        if days := await self._unread(self._waivers_since(asked), today, await self._left()):
            first = Place(day=days[0], report=Report.WAIVERS)
        now = self._clock.now()
        return await self._outbox.sweeps.begin(self._source, asked, first, now=now)

    async def waiver_days(self, asked: Asked, today: date) -> Sequence[date]:
        """Give the days whose signed waivers a run would read before anything else."""
        return await self._unread(self._waivers_since(asked), today, left=())

    async def lacking(self, asked: Asked) -> Sequence[Run]:
        """Give the parts that hold signed waivers which a run should have read before it goes on.

        A reconciliation goes on without them, as webhooks do: it tells who has booked, and of them
        again. A backfill brings everybody at once, and can wait until a person sees to it.
        """
        if asked.origin is not Origin.BACKFILL or asked.dry_run:
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
            for one in await self._outbox.sweeps.parts(self._source)
        )

    def _waivers_since(self, asked: Asked) -> date:
        return asked.since - self._waivers

    async def _left(self) -> Sequence[Run]:
        """Give the parts that hold signed waivers."""
        parts = await self._outbox.sweeps.parts(self._source)
        return [one for one in parts if one.asked.only is Report.WAIVERS]

    async def _unread(self, first: date, last: date, left: Sequence[Run]) -> Sequence[date]:
        """Give the days whose waivers have not been read whole, and are not `left` to a part.

        The last one, which is today as a rule, never was.
        """
        known = set(await self._outbox.sweeps.waiver_days(self._source, first))
        days = ((last - first) // DAY + 1) if last >= first else 0
        return [
            day
            for day in (first + n * DAY for n in range(days))
            if day not in known and not any(one.place.day <= day <= one.asked.until for one in left)
        ]

    async def step(self, run: Run, zone: ZoneInfo) -> Run:
        """Read the page that is next, take in what is missing, and note how far the run is.

        Raises Failure when it cannot be read.
        """
        place = run.place
        if place.page > _MOST_PAGES:
            raise Reject(f"its report has more than {_MOST_PAGES} pages")
        await self.tempo.turn()
        page = await self.reports.page(place.report, place.day, place.page, place.size)
        whole = None
        if (before := _moved_up(place, page)) is not None:
            run = _replace(run, place=before)
        else:
            sums = await self._take_in(run, page, zone)
            whole = _read_whole(run, page, zone)
            run = _replace(run, sums=sums, tries=0, due_at=0, forbidden=False)
            run = await self._ahead(run, page, zone)
        await self._outbox.sweeps.keep(
            run, now=self._clock.now(), waivers=whole, free_at=self.tempo.free_at
        )
        if run.state is RunState.DONE:
            self._tell(run)
        return run

    async def skip(self, run: Run, zone: ZoneInfo, part: Run | None = None) -> Run:
        """Leave the report unread on this day: to this part, or to one that there is."""
        run = await self._after_report(run, zone, left=() if part is None else (part,))
        now = self._clock.now()
        if part is None:
            await self._outbox.sweeps.keep(run, now=now)
        else:
            await self._outbox.sweeps.leave(run, part, now=now)
        if run.state is RunState.DONE:
            self._tell(run)
        return run

    def part(self, run: Run, zone: ZoneInfo, *, forbidden: bool) -> Run:
        """Make what is skipped a run of its own."""
        place = Place(day=run.place.day, report=run.place.report)
        last = self._last_day(run, zone) if forbidden else place.day
        asked = _replace(run.asked, since=place.day, until=last, only=place.report, dry_run=False)
        return _replace(run, asked=asked, place=place, sums=Sums(), forbidden=forbidden)

    def _last_day(self, run: Run, zone: ZoneInfo) -> date:
        """Give the last day on which a run reads the report that it is in."""
        if run.place.report is Report.WAIVERS and run.asked.only is None:
            return day_of(run.started_at, zone)
        return run.asked.until

    async def _take_in(self, run: Run, page: Page, zone: ZoneInfo) -> Sums:
        """Take in what a page has that is missing, and add it all up."""
        verdicts = await self._sift(run.asked, page.found, zone)
        missing = [
            self._arrival(run.asked.origin, one, verdict.at)
            for one, verdict in zip(page.found, verdicts, strict=True)
            if isinstance(verdict, Missing) and not isinstance(one, ReportedMinor)
        ]
        # A booking that goes on from the page before was counted there.
        fresh = verdicts[self._goes_on(run, page.found) :]
        taken_in = sum(isinstance(one, Missing) for one in fresh)
        repeated = 0
        await self._learn(page.found, verdicts)
        if not run.asked.dry_run:
            receipts = await asyncio.gather(*map(self._outbox.intake.accept, missing))
            of_fresh = receipts[len(receipts) - taken_in :]
            repeated = sum(receipt.duplicate for receipt in of_fresh)
        reasons = Counter(run.sums.unsendable)
        reasons.update(one.reason for one in fresh if isinstance(one, Unsendable))
        if page.unreadable:
            reasons["unreadable"] += page.unreadable
        known = sum(isinstance(one, Known) for one in fresh)
        return Sums(
            seen=run.sums.seen + len(fresh) + page.unreadable,
            known=run.sums.known + known + repeated,
            taken_in=run.sums.taken_in + taken_in - repeated,
            unsendable=dict(reasons),
        )

    async def _learn(self, found: Sequence[Reported], verdicts: Sequence[Verdict]) -> None:
        """Keep at once who is a minor, also of a dry run: whoever is judged after it may be one.

        As events they would be a year's work of the queue, and be known when that has come to them.
        """
        minors = {
            one.customer: Minor(born=one.born)
            for one, verdict in zip(found, verdicts, strict=True)
            if isinstance(one, ReportedMinor) and isinstance(verdict, Unsendable)
        }
        if minors:
            await self._outbox.people.learn_minors(self._source, minors, at=self._clock.now())

    def _goes_on(self, run: Run, found: Sequence[Reported]) -> bool:
        """Tell whether the first booking is the last one of the page before."""
        last, self._last = self._last, None
        bookings = [one.booking.id for one in found if isinstance(one, ReportedBooking)]
        if not bookings:
            return False
        self._last = (run.id, run.place.day, bookings[-1])
        return last == (run.id, run.place.day, bookings[0])

    async def _sift(self, asked: Asked, found: Sequence[Reported], zone: ZoneInfo) -> list[Verdict]:
        bookings = [one.booking.id for one in found if isinstance(one, ReportedBooking)]
        guests = [one.guest.customer for one in found if isinstance(one, ReportedGuest)]
        minors = [one.customer for one in found if isinstance(one, ReportedMinor)]
        sweeps, source = self._outbox.sweeps, self._source
        known = _AsOf(
            bookings=await sweeps.as_of(source, "booking", bookings) if bookings else {},
            guests=await sweeps.as_of(source, "guest", guests) if guests else {},
            minors=await sweeps.as_of(source, "minor", minors + guests) if minors or guests else {},
        )
        return [await self._judge(asked, one, known, zone) for one in found]

    async def _judge(self, asked: Asked, one: Reported, known: "_AsOf", zone: ZoneInfo) -> Verdict:
        facts, source = self._outbox.facts, self._source
        match one:
            case ReportedBooking(booking=booking, modified_at=at):
                as_of = known.bookings.get(booking.id)
                near = as_of is not None and not is_settled(at, as_of)
                before = await facts.booking(source, booking.id) if near else None
                return sift_booking(booking, at, as_of, before.booking if before else None)
            case ReportedGuest(guest=guest, modified_at=at):
                as_of = known.guests.get(guest.customer)
                if asked.guests_only and as_of is None:
                    return self._newcomer(guest, at, zone, is_minor=guest.customer in known.minors)
                near = as_of is not None and not is_settled(at, as_of)
                was = await facts.guest(source, guest.customer) if near else None
                return sift_guest(guest, at, as_of, was.guest if was else None)
            case ReportedMinor(customer=customer):
                return Known() if customer in known.minors else Unsendable(reason="minor")

    def _newcomer(self, guest: Guest, at: int, zone: ZoneInfo, *, is_minor: bool) -> Verdict:
        if is_minor:
            return Unsendable(reason="minor")
        today = day_of(self._clock.now(), zone) if self._adults_only else None
        return sift_newcomer(guest, at, today)

    def _arrival(self, origin: Origin, one: ReportedBooking | ReportedGuest, at: int) -> Arrival:
        """Make an event of what is missing; a booking and a guest are fetched for it."""
        booking = reference = None
        action = Action.UPDATED
        if isinstance(one, ReportedBooking):
            if one.booking.phase is Phase.CANCELLED:
                action = Action.CANCELLED
            kind, what, body = Kind.BOOKING, one.booking.id, b""
            booking, reference = one.booking.id, one.booking.reference
        else:
            customer = one.guest.customer
            kind, what = Kind.CUSTOMER, f"customer:{customer}"
            body = self.reports.change_of(customer)
        return Arrival(
            source=self._source,
            origin=origin,
            key=f"{origin}:{what}:{iso(one.modified_at)}",
            kind=kind,
            action=action,
            occurred_at=at,
            booking=booking,
            reference=reference,
            received_at=self._clock.now(),
            state=EventState.WAITING,
            reason=None,
            body=body,
        )

    async def _ahead(self, run: Run, page: Page, zone: ZoneInfo) -> Run:
        """Go to the next page, or to what comes after the report."""
        if page.more:
            place = _replace(run.place, page=page.number + 1, rows=page.rows, size=page.wanted)
            return _replace(run, place=place)
        return await self._after_report(run, zone)

    async def _after_report(self, run: Run, zone: ZoneInfo, left: Sequence[Run] = ()) -> Run:
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
        whole = min(run.asked.until, day_of(run.started_at, zone) - DAY)
        before = await self._outbox.sweeps.watermark(self._source)
        if before is None:
            return whole if run.asked.until > whole else None
        return max(before, whole) if run.asked.since <= before + DAY else before

    def _tell(self, run: Run) -> None:
        asked, sums = run.asked, run.sums
        self._log.info(
            "reconciled" if asked.origin is Origin.RECONCILE else "backfilled",
            source=self._source,
            since=asked.since.isoformat(),
            until=asked.until.isoformat(),
            **({} if asked.only is None else {"report": asked.only.value}),
            dry_run=asked.dry_run,
            seen=sums.seen,
            known=sums.known,
            taken_in=sums.taken_in,
            not_sendable=sums.unsendable,
        )


class _AsOf(Struct, frozen=True, kw_only=True):
    """As of when what is on a page is known, by its key."""

    bookings: Mapping[str, int]
    guests: Mapping[str, int]
    minors: Mapping[str, int]


def _read_whole(run: Run, page: Page, zone: ZoneInfo) -> date | None:
    """Give the day whose waivers have all been read with this page, if that is so.

    Not before the second night after it: until then some may not have been reported yet.
    """
    place = run.place
    if place.report is not Report.WAIVERS or page.more:
        return None
    return place.day if place.day < day_of(run.started_at, zone) - DAY else None


def _moved_up(place: Place, page: Page) -> Place | None:
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
