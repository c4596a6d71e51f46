"""Keeps what a source says of a guest, and lets all destinations hear of an opt-out that is in it.

Whatever the guest was asked for: the booking of an event may be somebody else's by the time that
its deliveries are made, and what is fetched for one destination's delivery comes with no event.
Then who has taken something back would be told of it with their next booking, and perhaps never.
"""

from collections.abc import Mapping

from pipeline.feed import Feed
from pipeline.fetch import Occasion
from pipeline.guest import person, taking_back
from pipeline.means import Means
from pipeline.model import Delivery, DeliveryKind, Guest
from pipeline.outbox import Heard, Hearer
from pipeline.plugin import Destination

_OF_GUESTS = frozenset({DeliveryKind.GUEST, DeliveryKind.CONSENT})
_REGISTERING = _OF_GUESTS | {DeliveryKind.BOOKING}


class Hearing:
    """Hears what all sources say of guests, for all destinations."""

    def __init__(
        self,
        means: Means,
        destinations: Mapping[str, Destination],
        lanes: Mapping[str, Feed[int]],
    ) -> None:
        self._outbox = means.outbox
        self._clock = means.clock
        self._log = means.log
        self._destinations = destinations
        self._lanes = lanes

    async def keep(self, source: str, guest: Guest, fetched_at: int, occasion: Occasion) -> None:
        """Keep a guest's details as fetched then, and owe what they take back."""
        hearers = [
            Hearer(
                destination=name,
                takes_back=taking_back(source, guest, fetched_at, destination.mapper),
                kinds=_REGISTERING if destination.mapper.registrar else _OF_GUESTS,
            )
            for name, destination in self._destinations.items()
            if source in destination.sources and not _tells_itself(occasion.delivery, name)
        ]
        heard = Heard(
            source=source,
            guest=guest,
            person=person(guest, self._outbox.seal),
            fetched_at=fetched_at,
            event=occasion.event,
            delivery=occasion.delivery.id if occasion.delivery else None,
            wary=bool(occasion.delivery and occasion.delivery.wary),
        )
        owed = await self._outbox.deliveries.hear(heard, hearers, now=self._clock.now())
        for one in owed:
            about = {"event": occasion.event, "delivery": one.delivery}
            self._log.info("opt-out found", **about, destination=one.destination)
            for old in one.replaced:
                self._log.info("superseded", event=occasion.event, delivery=old, by=one.delivery)
            self._lanes[one.destination].offer(one.delivery)


def _tells_itself(delivery: Delivery | None, destination: str) -> bool:
    """Tell whether a delivery is that of an opt-out there: it has heard of this one now."""
    return (
        delivery is not None
        and delivery.destination == destination
        and delivery.kind is DeliveryKind.CONSENT
    )
