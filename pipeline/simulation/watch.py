"""Sees what the outbox is told, and notes when: by the simulation's own time, which none steps."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from msgspec import Struct, field

from pipeline.model import Delivery, DeliveryState, Event
from pipeline.outbox import Became, Deliveries, Ledger, Opening, Settled
from pipeline.outbox.sqlite import SqliteOutbox

#: Deliveries that are no backlog: some bookings of a quiet hour.
_LITTLE = 10


class Way(Struct, kw_only=True):
    """What became of an event's deliveries of one class at one destination, in seconds."""

    source: str
    destination: str
    priority: int
    accepted: float
    first_left: float | None = None
    last_ended: float | None = None
    delivered: bool = False


class Backlog(Struct, kw_only=True):
    """The most deliveries that were open at a time, when that was, and when they were done."""

    most: int = 0
    most_at: float = 0.0
    #: None when they were not.
    worked_off_at: float | None = None


class Watch(Struct, kw_only=True):
    """All that is noted."""

    ways: dict[tuple[str, int, int], Way] = field(default_factory=dict)
    #: By destination: when each request left, token requests included.
    left: dict[str, list[float]] = field(default_factory=dict)
    #: Of these, those that fetched a token.
    tokens: int = 0
    open: set[int] = field(default_factory=set)
    backlog: Backlog = field(default_factory=Backlog)
    bookings: set[tuple[str, str]] = field(default_factory=set)
    #: Events: when they came in, and of which source.
    came: dict[int, tuple[float, str]] = field(default_factory=dict)
    _claimed: dict[int, Way] = field(default_factory=dict)

    def look_at(self, outbox: SqliteOutbox) -> None:
        """See all that is told to this outbox from now on."""
        outbox.deliveries = cast("Deliveries", _Deliveries(outbox.deliveries, self))
        outbox.ledger = cast("Ledger", _Ledger(outbox.ledger, self))

    def accepted(self, event: int, source: str) -> None:
        """Note that an event came in."""
        self.came.setdefault(event, (_time(), source))

    def settled(self, event: Event, settled: Sequence[Settled]) -> None:
        """Note what deliveries were made, and which of them have ended by that."""
        if event.booking:
            self.bookings.add((event.source, event.booking))
        for one in settled:
            if one.state is DeliveryState.WAITING:
                self.open.add(one.delivery)
            else:
                self.open.discard(one.delivery)
        if len(self.open) > self.backlog.most:
            self.backlog = Backlog(most=len(self.open), most_at=_time())

    def claimed(self, delivery: Delivery) -> None:
        """Note whose turn it is."""
        accepted, source = self.came.get(delivery.event, (_time(), delivery.source))
        key = (delivery.destination, delivery.event, delivery.priority)
        way = Way(
            source=source,
            destination=delivery.destination,
            priority=delivery.priority,
            accepted=accepted,
        )
        self._claimed[delivery.id] = self.ways.setdefault(key, way)

    def leaving(self, opening: Opening) -> None:
        """Note that a request leaves."""
        now = _time()
        self.left.setdefault(opening.destination, []).append(now)
        if opening.delivery is None:
            self.tokens += 1
        elif (way := self._claimed.get(opening.delivery)) and way.first_left is None:
            way.first_left = now

    def ended(self, delivery: Delivery, *, delivered: bool) -> None:
        """Note that nothing more is to be sent for a delivery."""
        way = self._claimed.pop(delivery.id, None)
        if way:
            way.last_ended = _time()
            way.delivered |= delivered
        self.open.discard(delivery.id)
        # Where few have gathered, some are most of them.
        little = min(_LITTLE, self.backlog.most // 10)
        if self.backlog.worked_off_at is None and len(self.open) <= little:
            self.backlog.worked_off_at = _time()


class _Deliveries:
    """The outbox's deliveries, overheard: what is asked of them is passed on as it is."""

    def __init__(self, inner: Deliveries, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def settle(self, event: Event, *what: Any, **how: Any) -> list[Settled]:
        settled = await self._inner.settle(event, *what, **how)
        self._watch.settled(event, settled)
        return settled

    async def claim(self, *what: Any, **how: Any) -> Delivery | None:
        delivery = await self._inner.claim(*what, **how)
        if delivery is not None:
            self._watch.claimed(delivery)
        return delivery

    async def succeed(self, delivery: Delivery, *what: Any, more: bool, **how: Any) -> list[Became]:
        became = await self._inner.succeed(delivery, *what, more=more, **how)
        if not more:
            self._watch.ended(delivery, delivered=True)
        return became

    async def close(self, delivery: Delivery, *what: Any, **how: Any) -> list[Became]:
        became = await self._inner.close(delivery, *what, **how)
        self._watch.ended(delivery, delivered=False)
        return became


class _Ledger:
    """The outbox's ledger, overheard."""

    def __init__(self, inner: Ledger, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def open(self, opening: Opening) -> int:
        attempt = await self._inner.open(opening)
        self._watch.leaving(opening)
        return attempt


def _time() -> float:
    return asyncio.get_running_loop().time()
