"""Makes the deliveries that an enriched event asks for."""

from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from pipeline.consent import remembered
from pipeline.errors import OutboxUnavailable, Reject, Retry, Skip, UnknownOutcome
from pipeline.feed import Feed
from pipeline.follow import visits_due
from pipeline.gather import Truth
from pipeline.guest import has_news, profile_is_told, record_of, takes_back, taking_back
from pipeline.log import trace
from pipeline.means import Means
from pipeline.model import (
    DeliveryKind,
    DeliveryState,
    Event,
    EventState,
    Facts,
    Kind,
    Nothing,
    Origin,
    Priority,
)
from pipeline.outbox import About, Heard, Hearer, Intent, Remembered, TakenBack, VisitDue
from pipeline.plugin import Destination
from pipeline.sendable import sendable_guest
from pipeline.tags import distinct_roles
from pipeline.transform import next_step, priority

#: Events taken from the queue at a time.
_AT_ONCE = 32


class _Owed(Struct, kw_only=True):
    """What comes of one event."""

    intents: list[Intent] = []
    heard: list[Remembered] = []
    visits: list[VisitDue] = []
    taken_back: list[TakenBack] = []

    def destinations(self) -> set[str]:
        """Name those that are owed something."""
        told = {intent.destination for intent in self.intents}
        told |= {taken.hearer.destination for taken in self.taken_back}
        return told | {visit.destination for visit in self.visits}


class Intender:
    """The stage transform: its one task turns events into deliveries, in order."""

    def __init__(
        self,
        means: Means,
        destinations: Mapping[str, Destination],
        feed: Feed[Event],
        lanes: Mapping[str, Feed[int]],
    ) -> None:
        self._outbox = means.outbox
        self._gatherer = means.gatherer
        self._destinations = destinations
        self._feed = feed
        self._lanes = lanes
        self._clock = means.clock
        self._log = means.log
        self._stopping = False

    async def run(self) -> None:
        """Work until stopped; what is in the queue is finished first."""
        while True:
            events = self._feed.take(_AT_ONCE)
            if not events and self._stopping:
                return
            if not events:
                await self._feed.wait()
            for event in events:
                try:
                    await self._settle(event)
                except OutboxUnavailable as exc:
                    # Its lease ends by itself, and then it is enriched again.
                    self._log.error(
                        "outbox failed", stage="transform", event=event.id, reason=str(exc)
                    )
                except Exception as exc:  # noqa: BLE001 - one event must not end the daemon
                    self._log.error("failed unexpectedly", event=event.id, trace=trace(exc))
                    await self._park(event, exc)

    def stop(self) -> None:
        """End once the queue is empty; to be called when nothing is put into it any more."""
        self._stopping = True
        self._feed.ring()

    async def _settle(self, event: Event) -> None:
        now = self._clock.now()
        owed = await self._owed(event, now)
        settled = await self._outbox.deliveries.settle(
            event, owed.intents, owed.heard, owed.visits, owed.taken_back, now=now
        )
        made = len(owed.intents) + len(owed.visits)
        self._log.info("enriched", event=event.id, source=event.source, deliveries=made)
        for one in settled:
            if one.superseded_by is not None:
                self._log.info(
                    "superseded", event=event.id, delivery=one.delivery, by=one.superseded_by
                )
            elif one.reason is not None:
                self._log.info(
                    one.state.value, event=event.id, delivery=one.delivery, reason=one.reason
                )
        for destination in owed.destinations():
            self._lanes[destination].offer(event.id)

    async def _park(self, event: Event, exc: Exception) -> None:
        reason = f"unexpected {type(exc).__name__}: see the log"
        now = self._clock.now()
        with suppress(OutboxUnavailable):
            await self._outbox.events.finish(event.id, EventState.PARKED, reason, now=now)

    async def _owed(self, event: Event, now: int) -> _Owed:
        owed = _Owed()
        for name, destination in self._destinations.items():
            if event.source not in destination.sources:
                continue
            match event.kind:
                case Kind.CUSTOMER:
                    await self._of_customer(event, name, destination, owed, now)
                case Kind.REDEMPTION:
                    await self._of_visit(event, name, destination, owed, now)
                case _:
                    await self._of_booking(event, name, destination, owed, now)
        if event.origin is not Origin.WEBHOOK:
            owed.intents[:] = map(_unhurried, owed.intents)
        return owed

    async def _of_booking(
        self, event: Event, name: str, destination: Destination, owed: _Owed, now: int
    ) -> None:
        truth = await self._gatherer.truth(event.source, event.booking, None)
        stale = (truth.occurred_at or 0) > event.as_of
        facts = await self._gatherer.facts(truth, name, wary=event.wary, now=now)
        owed.intents += self._at(name, destination, facts, stale=stale)
        owed.taken_back += _taken_back(event, name, destination, facts, truth)
        if not has_news(facts, destination.mapper):
            owed.heard += _heard(name, facts, truth)
        owed.visits += self._visits(name, destination, facts, truth, told_anyway=True)

    async def _of_visit(
        self, event: Event, name: str, destination: Destination, owed: _Owed, now: int
    ) -> None:
        for booking in event.visited:
            truth = await self._gatherer.truth(event.source, booking, None)
            facts = await self._gatherer.facts(truth, name, wary=event.wary, now=now)
            owed.visits += self._visits(name, destination, facts, truth, told_anyway=False)

    async def _of_customer(
        self, event: Event, name: str, destination: Destination, owed: _Owed, now: int
    ) -> None:
        customer = event.customer or ""
        truth = await self._gatherer.truth(event.source, None, customer)
        if truth.guest is None:  # gone since
            return
        told = await self._outbox.people.is_told(name, event.source, customer)
        mapper = destination.mapper
        facts = await self._gatherer.facts(truth, name, wary=event.wary, now=now)
        if intents := await self._now_sendable(event, name, destination, customer, now):
            owed.intents += intents
        elif told or event.origin is Origin.BACKFILL:
            owed.intents += self._guest(name, destination, facts, customer, Priority.CHANGED)
        owed.taken_back += _taken_back(event, name, destination, facts, truth)
        if not has_news(facts, mapper):
            owed.heard += _heard(name, facts, truth)

    async def _now_sendable(
        self, event: Event, name: str, destination: Destination, customer: str, now: int
    ) -> list[Intent]:
        """Give what is owed of a booking that could not be told because of its guest, and now can.

        Of several it is the newest.
        """
        found = await self._outbox.people.unsendable(name, event.source, customer)
        if found is None:
            return []
        truth = await self._gatherer.truth(event.source, found.booking, None)
        if truth.booking is None or truth.booking.customer != customer:
            return []
        facts = await self._gatherer.facts(truth, name, wary=event.wary, now=now)
        intents = self._at(name, destination, facts, stale=False)
        if intents[0].state is not DeliveryState.WAITING:
            return []
        about = About(
            booking=found.booking,
            reference=found.reference,
            as_of=found.as_of if truth.occurred_at is None else truth.occurred_at,
        )
        return [msgspec.structs.replace(one, about=about) for one in intents]

    def _visits(
        self, name: str, destination: Destination, facts: Facts, truth: Truth, *, told_anyway: bool
    ) -> list[VisitDue]:
        seal = self._outbox.seal
        return visits_due(name, destination.mapper, facts, truth, seal, told_anyway=told_anyway)

    def _at(
        self, name: str, destination: Destination, facts: Facts, *, stale: bool
    ) -> list[Intent]:
        """Give what one destination is owed: always the booking, the rest where it is not told."""
        booking, mapper = self._booking(name, destination, facts), destination.mapper
        customer = facts.booking.customer if facts.booking else None
        if customer is None:
            return [booking]
        goes = booking.state is DeliveryState.WAITING and not stale

        made = [booking]
        if mapper.registrar or not facts.booking:
            return made
        if goes or not booking.waits:
            # A guest who is known hears of changes with any booking, and a new one with their own.
            first = booking.priority if booking.waits else Priority.CHANGED
            made += self._guest(name, destination, facts, customer, first)
        roles = distinct_roles(mapper.tag_roles, facts.booking) if goes else ()
        return made + [
            Intent(
                destination=name,
                kind=DeliveryKind.TAG,
                detail=role,
                state=DeliveryState.WAITING,
                priority=Priority.TAG,
                customer=customer,
                waits=booking.waits,
            )
            for role in roles
            if self._is_owed(DeliveryKind.TAG, role, destination, facts)
        ]

    def _guest(
        self, name: str, destination: Destination, facts: Facts, customer: str, priority: int
    ) -> list[Intent]:
        """Give the guest's details, where they are told by a call of their own and may be."""
        if destination.mapper.registrar:
            return []
        owed = self._is_owed(DeliveryKind.GUEST, "", destination, facts)
        if owed is None:
            return []
        return [
            Intent(
                destination=name,
                kind=DeliveryKind.GUEST,
                state=DeliveryState.WAITING,
                priority=priority,
                customer=customer,
                spare=not owed,
            )
        ]

    def _booking(self, name: str, destination: Destination, facts: Facts) -> Intent:
        state, reason = DeliveryState.WAITING, None
        try:
            step = next_step(DeliveryKind.BOOKING, "", facts, destination.mapper, self._outbox.seal)
            if isinstance(step, Nothing):
                state, reason = DeliveryState.SKIPPED, step.reason
        except Skip as exc:
            state, reason = DeliveryState.SKIPPED, exc.reason
        except (Retry, UnknownOutcome):
            pass  # it waits for the venue, or for the request that may be under way just now
        except Reject as exc:
            state, reason = DeliveryState.PARKED, exc.reason
        return Intent(
            destination=name,
            kind=DeliveryKind.BOOKING,
            state=state,
            reason=reason,
            priority=priority(facts),
            customer=facts.booking.customer if facts.booking else None,
            waits=facts.told_guest is None or facts.told_guest.remote_id is None,
        )

    def _is_owed(
        self, kind: DeliveryKind, detail: str, destination: Destination, facts: Facts
    ) -> bool | None:
        """Tell whether something is to be sent; None if it may not be, or not as it is."""
        mapper, seal = destination.mapper, self._outbox.seal
        try:
            step = next_step(kind, detail, facts, mapper, seal)
            sendable_guest(facts)
        except (Skip, Reject, Retry):
            return None
        if kind is DeliveryKind.GUEST and takes_back(facts, mapper):
            return not profile_is_told(facts, mapper, seal)  # the rest goes by the opt-out
        return not isinstance(step, Nothing)


def _unhurried(intent: Intent) -> Intent:
    """Let what was found by looking, and not told, go last."""
    return msgspec.structs.replace(intent, priority=Priority.BACKFILL)


def _taken_back(
    event: Event, name: str, destination: Destination, facts: Facts, truth: Truth
) -> list[TakenBack]:
    """Give what a destination was told that the guest takes back.

    It was owed when the guest was fetched, unless the destination was told otherwise since then:
    by another record of the same person.
    """
    guest, mapper = facts.guest, destination.mapper
    if guest is None or facts.guest_at is None or not takes_back(facts, mapper):
        return []
    heard = Heard(
        source=facts.source,
        guest=guest,
        person=truth.person,
        fetched_at=facts.guest_at,
        event=event.id,
    )
    takes = taking_back(facts.source, guest, facts.guest_at, mapper)
    hearer = Hearer(destination=name, takes_back=takes, kinds=())
    return [TakenBack(heard=heard, hearer=hearer)]


def _heard(name: str, facts: Facts, truth: Truth) -> list[Remembered]:
    """Note what a guest's record says, where the destination knows the guest and is not told."""
    guest, told = facts.guest, facts.told_guest
    if not (guest and told and told.consent and truth.person):
        return []
    record = record_of(facts.source, guest)
    before = told.consent.behind.get(record)
    said = remembered(guest.consent, before)
    if said == before:
        return []
    return [Remembered(destination=name, person=truth.person, record=record, said=said)]
