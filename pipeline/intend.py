"""Makes the deliveries that an enriched event asks for."""

from collections.abc import Mapping
from contextlib import suppress

from pipeline.consent import remembered
from pipeline.errors import OutboxUnavailable, Reject, Retry, Skip, UnknownOutcome
from pipeline.feed import Feed
from pipeline.gather import Truth
from pipeline.log import trace
from pipeline.means import Means
from pipeline.model import (
    DeliveryKind,
    DeliveryState,
    Event,
    EventState,
    Facts,
    Nothing,
    Origin,
    Priority,
)
from pipeline.outbox import Intent, Remembered
from pipeline.plugin import Destination
from pipeline.transform import distinct_roles, next_step, priority, record_of, takes_back

#: What tells all that there is to tell of a guest.
_OF_GUESTS = {DeliveryKind.GUEST, DeliveryKind.CONSENT}

#: Events taken from the queue at a time.
_AT_ONCE = 32


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
        intents, remembered = await self._intents(event, now)
        settled = await self._outbox.deliveries.settle(event, intents, remembered, now=now)
        self._log.info("enriched", event=event.id, source=event.source, deliveries=len(intents))
        for one in settled:
            if one.superseded_by is not None:
                self._log.info(
                    "superseded", event=event.id, delivery=one.delivery, by=one.superseded_by
                )
            elif one.reason is not None:
                self._log.info(
                    one.state.value, event=event.id, delivery=one.delivery, reason=one.reason
                )
        for destination in {intent.destination for intent in intents}:
            self._lanes[destination].offer(event.id)

    async def _park(self, event: Event, exc: Exception) -> None:
        reason = f"unexpected {type(exc).__name__}: see the log"
        now = self._clock.now()
        with suppress(OutboxUnavailable):
            await self._outbox.events.finish(event.id, EventState.PARKED, reason, now=now)

    async def _intents(self, event: Event, now: int) -> tuple[list[Intent], list[Remembered]]:
        truth = await self._gatherer.truth(event.source, event.booking, None)
        stale = (truth.occurred_at or 0) > (event.occurred_at or event.received_at)
        wary = event.origin is not Origin.WEBHOOK
        intents: list[Intent] = []
        remembered: list[Remembered] = []
        for name, destination in self._destinations.items():
            if event.source in destination.sources:
                facts = await self._gatherer.facts(truth, name, wary=wary, now=now)
                mine = self._at(name, destination, facts, stale=stale)
                intents += mine
                if not any(intent.kind in _OF_GUESTS for intent in mine):
                    remembered += _remembered(name, facts, truth)
        return intents, remembered

    def _at(
        self, name: str, destination: Destination, facts: Facts, *, stale: bool
    ) -> list[Intent]:
        """Give what one destination is owed: always the booking, the rest where it is not told."""
        intent, mapper = self._booking(name, destination, facts), destination.mapper
        known = facts.told_guest is not None and facts.told_guest.remote_id is not None
        goes = intent.state is DeliveryState.WAITING and not stale
        wanted: list[tuple[DeliveryKind, str, int]] = []
        if takes_back(facts, mapper):
            wanted.append((DeliveryKind.CONSENT, "", Priority.OPT_OUT))
        elif not mapper.registrar and (goes or known):
            # A guest who is known hears of changes with any booking, and a new one with their own.
            wanted.append((DeliveryKind.GUEST, "", Priority.CHANGED if known else intent.priority))
        if facts.booking and goes and not mapper.registrar:
            roles = distinct_roles(mapper.tag_roles, facts.booking)
            wanted += [(DeliveryKind.TAG, role, Priority.TAG) for role in roles]
        customer = facts.booking.customer if facts.booking else None
        return [intent] + [
            Intent(
                destination=name,
                kind=kind,
                detail=detail,
                state=DeliveryState.WAITING,
                priority=priority_,
                customer=customer,
                waits=not known,
            )
            for kind, detail, priority_ in wanted
            if customer and self._is_owed(kind, detail, destination, facts)
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
    ) -> bool:
        try:
            step = next_step(kind, detail, facts, destination.mapper, self._outbox.seal)
        except (Skip, Reject, Retry):
            return False
        return not isinstance(step, Nothing)


def _remembered(name: str, facts: Facts, truth: Truth) -> list[Remembered]:
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
