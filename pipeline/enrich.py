"""Fetches what a webhook only names: the booking's customer, the venue.

One of these runs for each source, so that a venue whose ROLLER is in trouble holds up no other.
"""

import asyncio
from collections.abc import Collection
from weakref import WeakValueDictionary

import msgspec

from pipeline.clock import SECOND, micros, moment
from pipeline.errors import NotYet, OutboxUnavailable, PipelineError, Reject, Skip
from pipeline.feed import Feed
from pipeline.fetch import Fetcher, Occasion, unknown_customer
from pipeline.flight import SharedFetch
from pipeline.heed import DELETED, NOTICED, Heeder
from pipeline.lane import Fate, Verdict
from pipeline.log import trace
from pipeline.means import Means
from pipeline.model import Action, Booking, Event, EventState, Kind, Origin, Phase
from pipeline.outbox import KnownBooking
from pipeline.plugin import Mapper, Source
from pipeline.products import Products
from pipeline.visit import end_of
from pipeline.wire import recorded_by

#: Events of one source that are enriched at the same time.
_WORKERS = 8

#: Seconds of a worker's lease, waiting for the limiter aside: longer than its requests can take.
_LEASE = 300.0

_DAY = 86_400 * SECOND

#: What an event says of a booking that the source need not know any more.
_GONE = frozenset({Action.CANCELLED, Action.DELETED})

_PAUSE = 1.0


class _Answers:
    """Hears whether the source has answered anything; its requests are not kept."""

    def __init__(self) -> None:
        self.heard = False

    async def leaving(self, method: str, path: str) -> None:
        """Let any request leave."""

    def answered(self, _status: int) -> None:
        """Take note that there was an answer."""
        self.heard = True


class Enricher:
    """The stage enrich, for one source."""

    def __init__(
        self,
        name: str,
        source: Source,
        fetcher: Fetcher,
        *,
        mappers: Collection[Mapper],
        means: Means,
        arrivals: Feed[int],
        enriched: Feed[Event],
    ) -> None:
        self.fetcher = fetcher
        self.lane = fetcher.lane
        self._name = name
        self._source = source
        #: None where the source names none, or they are not to be asked for.
        self.products = (
            Products(name, source.catalogue, fetcher, means) if source.catalogue else None
        )
        #: Some destination takes the source.
        self._is_mapped = bool(mappers)
        # Three calls at most, each behind those of all other workers.
        waits = 3 * _WORKERS * fetcher.spacing
        self._lease = round((_LEASE + waits) * SECOND)
        self._outbox = means.outbox
        self._gatherer = means.gatherer
        self._arrivals = arrivals
        self._enriched = enriched
        self._clock = means.clock
        self._log = means.log
        self._free = asyncio.Semaphore(_WORKERS)
        self._stopping = False
        self._venue_fetch = SharedFetch()
        notices = source.notices
        self._heeder: Heeder | None = None
        if notices is not None:
            self._heeder = Heeder(
                name,
                notices,
                fetcher,
                means,
                wants_visits=any(mapper.visit_updates for mapper in mappers),
                know_venue=self._know_venue,
            )
        self._bookings: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self) -> None:
        """Work until stopped; what is under way is finished first."""
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping:
                try:
                    events, probe = await self._take()
                except OutboxUnavailable as exc:
                    self._log.error("outbox failed", stage="enrich", reason=str(exc))
                    await self._arrivals.wait(_PAUSE)
                    continue
                except Exception as exc:  # noqa: BLE001 - one lane must not end the daemon
                    self._log.error("failed unexpectedly", stage="enrich", trace=trace(exc))
                    self.lane.stumbled(exc)
                    continue
                for event in events:
                    await self._free.acquire()
                    work = self._work(event, is_probe=probe)
                    tasks.create_task(work, name=f"enrich e{event.id}")

    def stop(self) -> None:
        """Take no more events."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Look at the outbox at once."""
        self._arrivals.ring()

    async def _take(self) -> tuple[list[Event], bool]:
        """Lease what comes next: what has just arrived, else what is due in the outbox.

        Tells also whether it is a probe; nothing after each wait.
        """
        pause = self.lane.breaker.wait()
        if pause or self._free.locked():
            await self._arrivals.wait(pause or _PAUSE)
            return [], False
        probe = self.lane.breaker.is_open
        now = self._clock.now()
        until = now + self._lease
        events: list[Event] = []
        if not probe and (ids := self._arrivals.take(_WORKERS)):
            events = await self._outbox.events.claim(ids, now=now, until=until)
        if not events:
            limit = 1 if probe else _WORKERS
            events = await self._outbox.events.claim_due(
                self._name, now=now, until=until, limit=limit
            )
        if not events:
            due = await self._outbox.events.next_due(self._name)
            await self._arrivals.wait(60.0 if due is None else max((due - now) / SECOND, 0.001))
        elif probe:
            self.lane.breaker.probing()
        return events, probe

    async def _work(self, event: Event, *, is_probe: bool) -> None:
        try:
            if self.lane.breaker.is_open and not is_probe:
                await self._put_back(event)  # what came meanwhile has changed what may go
            else:
                await self._try(event)
        except OutboxUnavailable as exc:
            # Its lease ends by itself, and then it is tried again.
            self._log.error("outbox failed", stage="enrich", event=event.id, reason=str(exc))
        except Exception as exc:  # noqa: BLE001 - likewise; it failed where it was to be recorded
            self._log.error("failed unexpectedly", event=event.id, trace=trace(exc))
        finally:
            if is_probe:
                self.lane.breaker.abandon()
            self._free.release()
            self._arrivals.ring()

    async def _try(self, event: Event) -> None:
        answers = _Answers()
        try:
            with recorded_by(answers):
                enriched = await self._enrich(event)
        except OutboxUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - the one place; the lane judges it
            if not isinstance(exc, PipelineError):
                self._log.error("failed unexpectedly", event=event.id, trace=trace(exc))
            if isinstance(exc, Reject) and answers.heard:
                self.lane.succeeded()  # the peer answers, so it is not the peer's trouble
            verdict = self.lane.judge(
                exc,
                item=event.id,
                attempts=event.attempts,
                first_failure_at=event.first_failure_at,
            )
            await self._record(event, verdict)
        else:
            if enriched is not None:
                # Without its body, which no stage needs any more: what waits in memory stays small.
                await self._enriched.put(msgspec.structs.replace(enriched, body=b""))

    async def _put_back(self, event: Event) -> None:
        now = self._clock.now()
        reason = self.lane.last_error
        await self._outbox.events.give_back(
            event.id, due_at=now, reason=reason, failed=False, now=now
        )

    async def _record(self, event: Event, verdict: Verdict) -> None:
        now = self._clock.now()
        if verdict.fate is Fate.BACK:
            await self._outbox.events.give_back(
                event.id,
                due_at=verdict.due_at,
                reason=verdict.reason,
                failed=verdict.failed,
                now=now,
            )
            self._log.warning("held back", event=event.id, reason=verdict.reason)
            return
        state = EventState.PARKED if verdict.fate is Fate.PARK else EventState.IGNORED
        await self._outbox.events.finish(event.id, state, verdict.reason, now=now)
        self._log.info(state.value, event=event.id, reason=verdict.reason)

    async def _enrich(self, event: Event) -> Event | None:
        """Learn what the event's deliveries need; Skip when it has none, None at its end."""
        is_theirs = event.origin is Origin.WEBHOOK and not self._is_light(event)
        if self._is_mapped and self._source.drift and is_theirs:
            self._source.drift.look(event)
        if event.kind is Kind.OTHER:
            event = await self._read_anew(event)
        if self._heeder and event.kind in NOTICED:
            event = await self._heeder.lighten(event)
        if not self._is_mapped:
            raise Skip("no destination")
        if self._heeder and event.kind in NOTICED:
            return await self._heeder.heed(event)
        if event.kind is not Kind.BOOKING:
            raise Skip("not used")
        await self._know(event)
        return event

    async def _know(self, event: Event) -> None:
        """Learn the venue, the booking, and who made it, if this event is its newest."""
        await self._know_venue()
        booking, is_newest = await self._know_booking(event)
        if not booking.customer:
            return
        if is_newest and booking.phase is not Phase.DRAFT:
            gone = booking.phase is Phase.CANCELLED
            await self._know_guest(event, booking.customer, is_cancelled=gone)
            if self.products:
                await self.products.know(booking)
        elif await self._outbox.people.is_erased(event.source, booking.customer):
            await self._outbox.events.rewrite(event.id, None)

    def _is_light(self, event: Event) -> bool:
        """Tell whether the body is as it came no more: what is missing there we have left out."""
        return self._heeder is not None and event.kind in NOTICED and self._heeder.is_light(event)

    async def _read_anew(self, event: Event) -> Event:
        """Read what could not be read when it came: that was perhaps an older version."""
        found = self._source.envelope(event.body)
        if found.kind is Kind.OTHER:
            return event
        await self._outbox.events.file_anew(event.id, found, now=self._clock.now())
        return msgspec.structs.replace(
            event,
            kind=found.kind,
            action=found.action,
            occurred_at=found.occurred_at,
            booking=found.booking,
            reference=found.reference,
        )

    async def _know_booking(self, event: Event) -> tuple[Booking, bool]:
        """Learn the booking's state; tell also whether this event is the newest of it."""
        booking = self._read(event) if event.body else await self._fetch(event)
        # One after the other, for two that tie must see each other.
        async with self._bookings.setdefault(booking.id, asyncio.Lock()):
            return await self._learn_booking(event, booking)

    async def _learn_booking(self, event: Event, booking: Booking) -> tuple[Booking, bool]:
        at = event.as_of
        known = await self._outbox.facts.booking(event.source, booking.id)
        if known and known.occurred_at > at:
            return known.booking, False
        if _is_ambiguous(known, booking, event):
            # Only the source can tell; its answer is the truth at least as of this event.
            booking = await self.fetcher.booking(booking.id) or booking
        await self._outbox.events.learn_booking(event, booking)
        if event.origin is Origin.BACKFILL and booking.phase is Phase.ACTIVE:
            await self._know_past_visit(event, booking)
        return booking, True

    async def _know_past_visit(self, event: Event, booking: Booking) -> None:
        """Take a visit that is over for one that happened, in what was before our time.

        Not in what reconciliation finds: whoever did not come has no ticket that was redeemed.
        """
        venue = await self._gatherer.venue(self._name)
        if venue is None:
            return
        end = micros(end_of(booking, venue, moment(event.as_of)))
        if end <= self._clock.now():
            await self._outbox.visits.learn(event.source, booking.id, at=end, event=event.id)

    def _read(self, event: Event) -> Booking:
        booking = self._source.booking(event)
        if booking.id != event.booking:
            raise Reject("the message names two bookings")
        return booking

    async def _fetch(self, event: Event) -> Booking:
        """Ask for the booking of an event that came without one, unless it is known by now."""
        known = await self._outbox.facts.booking(event.source, event.booking or "")
        if known and known.occurred_at >= event.as_of:
            return known.booking
        booking = await self.fetcher.booking(event.booking or "")
        if booking is None and event.action in _GONE:
            return await self._gone(event, known)
        if booking is None:
            raise Reject("the source does not know the booking")
        return booking

    async def _gone(self, event: Event, known: KnownBooking | None) -> Booking:
        """Give a booking that the source has deleted: as it was, and cancelled."""
        if known is None:
            booking = event.booking or ""
            if await self._outbox.sweeps.as_of(event.source, "booking", [booking]):
                raise Reject("the source has deleted the booking, and it is not kept here")
        if known is None or known.booking.phase is Phase.DRAFT:
            raise Skip("deleted before it was told")
        return msgspec.structs.replace(known.booking, phase=Phase.CANCELLED, status="Cancelled")

    async def _know_guest(self, event: Event, customer: str, *, is_cancelled: bool) -> None:
        """Learn the guest, unless they were fetched after the event came in."""
        known = await self._outbox.facts.guest(event.source, customer)
        if known and known.answers(event, self._clock.now()):
            return
        if known is None:
            # A message of theirs that comes meanwhile is of somebody whom we know.
            await self._outbox.people.expect(event.source, customer)
        if await self.fetcher.guest(customer, Occasion(event=event.id)):
            return
        erased = await self._outbox.people.is_erased(event.source, customer)
        if erased:
            await self._outbox.events.rewrite(event.id, None)
        if is_cancelled:
            return  # what was told of the booking is cancelled where it was told
        if erased:
            raise Skip(DELETED)
        raise unknown_customer(event.attempts)

    async def _know_venue(self) -> None:
        """Ask for the venue once a day, where the configuration does not say it all."""
        if self._gatherer.is_configured(self._name):
            return
        async with self._venue_fetch:
            known = await self._outbox.facts.venue(self._name)
            now = self._clock.now()
            if known is None or known.fetched_at + _DAY <= now:
                await self.fetcher.venue()
            if await self._gatherer.venue(self._name) is None:
                raise NotYet(
                    "the source does not tell the venue's timezone, currency and country: "
                    f"set them in [sources.{self._name}]"
                )


def _is_ambiguous(known: KnownBooking | None, booking: Booking, event: Event) -> bool:
    """Tell whether the message does not settle the booking's state: a tie, or fields missing.

    A message that is taken again after a crash meets itself; that is no tie.
    """
    if known is None:
        return booking.is_partial
    tie = known.occurred_at == event.as_of and known.event != event.id
    return tie and known.booking != msgspec.structs.replace(booking, tickets=())
