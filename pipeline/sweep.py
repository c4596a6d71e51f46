"""Reads what a source reports day by day, and takes in what is missing.

A run goes through its days, the newest last; of each day through the reports, and of each report
through the pages. Only a page is in memory. What is taken in has a key of its modification, so a
page that is read again, after a crash or because a day is read twice, takes in nothing twice.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import msgspec
from aiolimiter import AsyncLimiter
from msgspec import Struct

from pipeline.clock import Clock, iso
from pipeline.days import DAY, day_of
from pipeline.log import Log
from pipeline.model import Action, Arrival, EventState, Guest, Kind, Origin, Phase
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

_replace = msgspec.structs.replace


def reports_of(asked: Asked) -> Sequence[Report]:
    """Name what a run reads of each day, in this order.

    A backfill of bookings fetches each one's guest, so it needs no report of them.
    """
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
    ) -> None:
        self._source = source
        self._reports = reports
        self._outbox = outbox
        self._clock = clock
        self._log = log
        self._adults_only = adults_only
        limit = reports.rate_limit
        self._limiter = AsyncLimiter(limit.requests, limit.per)
        #: The last booking of the page before, which may go on on the next one.
        self._last: tuple[int, date, str] | None = None

    async def step(self, run: Run, zone: ZoneInfo) -> Run:
        """Read the page that is next, take in what is missing, and note how far the run is.

        Raises Failure when it cannot be read.
        """
        place = run.place
        await self._limiter.acquire()
        page = await self._reports.page(place.report, place.day, place.page)
        if (before := _moved_up(place, page)) is not None:
            run = _replace(run, place=before)
        else:
            sums = await self._take_in(run, page, zone)
            run = await self._ahead(_replace(run, sums=sums), page, zone)
        await self._outbox.sweeps.keep(run, now=self._clock.now())
        if run.state is RunState.DONE:
            self._tell(run)
        return run

    async def _take_in(self, run: Run, page: Page, zone: ZoneInfo) -> Sums:
        """Take in what a page has that is missing, and add it all up."""
        verdicts = await self._sift(run.asked, page.found, zone)
        missing = [
            self._arrival(run.asked.origin, one, verdict.at)
            for one, verdict in zip(page.found, verdicts, strict=True)
            if isinstance(verdict, Missing)
        ]
        # A booking that goes on from the page before was counted there.
        fresh = verdicts[self._goes_on(run, page.found) :]
        taken_in = sum(isinstance(one, Missing) for one in fresh)
        repeated = 0
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
            case ReportedMinor(customer=customer, modified_at=at):
                return Known() if customer in known.minors else Missing(at=at)

    def _newcomer(self, guest: Guest, at: int, zone: ZoneInfo, *, is_minor: bool) -> Verdict:
        if is_minor:
            return Unsendable(reason="minor")
        today = day_of(self._clock.now(), zone) if self._adults_only else None
        return sift_newcomer(guest, at, today)

    def _arrival(self, origin: Origin, one: Reported, at: int) -> Arrival:
        """Make an event of what is missing; a booking and a guest are fetched for it."""
        booking = reference = None
        action = Action.UPDATED
        if isinstance(one, ReportedBooking):
            if one.booking.phase is Phase.CANCELLED:
                action = Action.CANCELLED
            kind, what, body = Kind.BOOKING, one.booking.id, b""
            booking, reference = one.booking.id, one.booking.reference
        elif isinstance(one, ReportedGuest):
            customer = one.guest.customer
            kind, what = Kind.CUSTOMER, f"customer:{customer}"
            body = self._reports.change_of(customer)
        else:
            kind, what, body = Kind.SIGNED_WAIVER, f"minor:{one.customer}", one.message
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
        """Go to the next page, report or day, or come to the end."""
        place, reports = run.place, reports_of(run.asked)
        if page.more:
            return _replace(run, place=_replace(place, page=place.page + 1, rows=page.rows))
        later = reports[reports.index(place.report) + 1 :]
        if later:
            return _replace(run, place=Place(day=place.day, report=later[0]))
        if place.day < run.asked.until:
            return _replace(run, place=Place(day=place.day + DAY, report=reports[0]))
        watermark = await self._watermark(run, zone)
        return _replace(run, state=RunState.DONE, reason=None, watermark=watermark)

    async def _watermark(self, run: Run, zone: ZoneInfo) -> date | None:
        """Tell up to which day everything has been read, if this run adds to it.

        A day is read whole once it was over when the run began. A run that leaves days out after
        the watermark does not move it.
        """
        if run.asked.origin is not Origin.RECONCILE or run.asked.dry_run:
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


def _moved_up(place: Place, page: Page) -> Place | None:
    """Give the page to go back to when rows before this one have gone; None when none have.

    What is modified leaves its day for today, and all that is behind it moves up: some of it to
    pages that have been read.
    """
    if place.rows is None or page.rows is None or page.rows >= place.rows or place.page == 1:
        return None
    pages = -(-(place.rows - page.rows) // page.size)
    return _replace(place, page=max(place.page - pages, 1), rows=page.rows)
