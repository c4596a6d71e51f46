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
from pipeline.days import day_of
from pipeline.errors import Reject
from pipeline.log import Log
from pipeline.model import Action, Arrival, EventState, Guest, Kind, Minor, Origin, Phase
from pipeline.outbox import Asked, Outbox, Run, RunState, Sums
from pipeline.reports import (
    Page,
    Reported,
    ReportedBooking,
    ReportedGuest,
    ReportedMinor,
    Reports,
)
from pipeline.route import Route, moved_up, read_whole
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

#: Pages of a report of a day, 500,000 rows; one that goes on after them has no end.
_MOST_PAGES = 5000

#: Bookings that were taken in and may not be known yet: more than ever wait, see `Room.is_crowded`.
_NOT_ENRICHED = 2000

_NO_BOOKING = Unsendable(reason="no booking")

_replace = msgspec.structs.replace


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
        waivers: timedelta | None,
    ) -> None:
        self.reports = reports
        self.route = Route(source, outbox.sweeps, waivers)
        self.tempo = Tempo(reports.rate_limit, clock, lambda: outbox.sweeps.pace(source))
        self._source = source
        self._outbox = outbox
        self._clock = clock
        self._log = log
        self._adults_only = adults_only
        #: The last booking of the page before, which may go on on the next one.
        self._last: tuple[int, date, str] | None = None
        #: Of the run that is made: by whom bookings are that it has found to be missing, as hashes,
        #: for there may be many. They are asked for with their bookings.
        self._booked: tuple[int, dict[int, None]] = (0, {})

    async def begin(self, asked: Asked, today: date) -> Run:
        """Note a run that is to be made."""
        first, now = await self.route.first(asked, today), self._clock.now()
        return await self._outbox.sweeps.begin(self._source, asked, first, now=now)

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
        if (before := moved_up(place, page)) is not None:
            run = _replace(run, place=before)
        else:
            sums = await self._take_in(run, page, zone)
            whole = read_whole(run, page, zone)
            run = _replace(run, sums=sums, tries=0, due_at=0, forbidden=False)
            run = await self.route.ahead(run, page, zone)
        await self._outbox.sweeps.keep(
            run, now=self._clock.now(), waivers=whole, free_at=self.tempo.free_at
        )
        if run.state is RunState.DONE:
            self._tell(run)
        return run

    async def skip(self, run: Run, zone: ZoneInfo, part: Run | None = None) -> Run:
        """Leave the report unread on this day: to this part, or to one that there is."""
        run = await self.route.after_report(run, zone, left=() if part is None else (part,))
        now = self._clock.now()
        if part is None:
            await self._outbox.sweeps.keep(run, now=now)
        else:
            await self._outbox.sweeps.leave(run, part, now=now)
        if run.state is RunState.DONE:
            self._tell(run)
        return run

    async def _take_in(self, run: Run, page: Page, zone: ZoneInfo) -> Sums:
        """Take in what a page has that is missing, and add it all up."""
        verdicts = self._with_bookings(run, page, await self._sift(run.asked, page.found, zone))
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

    def _with_bookings(
        self, run: Run, page: Page, verdicts: Sequence[Verdict]
    ) -> Sequence[Verdict]:
        """Call those customers known who come with a booking of this very run.

        It may not be taken in yet, and of a dry run it never is.
        """
        if self._booked[0] != run.id:
            self._booked = (run.id, {})
        booked = self._booked[1]
        found = list(zip(page.found, verdicts, strict=True))
        booked |= {
            hash(one.booking.customer): None
            for one, verdict in found
            if isinstance(one, ReportedBooking) and isinstance(verdict, Missing)
        }
        while len(booked) > _NOT_ENRICHED and not run.asked.dry_run:
            del booked[next(iter(booked))]
        return [
            Known()
            if verdict == _NO_BOOKING
            and isinstance(one, ReportedGuest)
            and hash(one.guest.customer) in booked
            else verdict
            for one, verdict in found
        ]

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
            erased=await sweeps.as_of(source, "erased", minors) if minors else {},
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
                is_new = customer not in known.minors and customer not in known.erased
                return Unsendable(reason="minor") if is_new else Known()

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
    #: Of whom nothing is kept that comes later.
    erased: Mapping[str, int]
