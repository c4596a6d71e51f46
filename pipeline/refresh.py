"""Fetches a guest anew who is about to be told, and lets all destinations hear of an opt-out.

It came with no event: without that, those for which nothing was fetched would be told with the
guest's next one, and perhaps never.
"""

import functools
from collections.abc import Mapping

from pipeline.feed import Feed
from pipeline.fetch import Fetcher
from pipeline.guest import person, taking_back
from pipeline.means import Means
from pipeline.model import Delivery, DeliveryKind, Guest
from pipeline.outbox import Hearer
from pipeline.plugin import Destination

_OF_GUESTS = frozenset({DeliveryKind.GUEST, DeliveryKind.CONSENT})
_REGISTERING = _OF_GUESTS | {DeliveryKind.BOOKING}


class Refresher:
    """Makes guests' details fresh, of all sources and for all destinations."""

    def __init__(
        self,
        means: Means,
        fetchers: Mapping[str, Fetcher],
        destinations: Mapping[str, Destination],
        lanes: Mapping[str, Feed[int]],
    ) -> None:
        self._outbox = means.outbox
        self._clock = means.clock
        self._log = means.log
        self._fetchers = fetchers
        self._destinations = destinations
        self._lanes = lanes

    async def refresh(self, delivery: Delivery, customer: str) -> None:
        """Ask anew for the guest of a delivery, and keep what is said; see `Fetcher.refresh`."""
        keep = functools.partial(self._keep, delivery)
        fetcher = self._fetchers[delivery.source]
        await fetcher.refresh(customer, tries=delivery.attempts, keep=keep)

    async def _keep(self, delivery: Delivery, guest: Guest, fetched_at: int) -> None:
        hearers = [
            Hearer(
                destination=name,
                takes_back=taking_back(delivery.source, guest, fetched_at, destination.mapper),
                kinds=_REGISTERING if destination.mapper.registrar else _OF_GUESTS,
            )
            for name, destination in self._destinations.items()
            if delivery.source in destination.sources and not _tells_itself(delivery, name)
        ]
        owed = await self._outbox.deliveries.refresh(
            delivery,
            guest,
            person(guest, self._outbox.seal),
            hearers,
            fetched_at=fetched_at,
            now=self._clock.now(),
        )
        for one in owed:
            about = {"event": delivery.event, "delivery": one.delivery}
            self._log.info("opt-out found", **about, destination=one.destination)
            for old in one.replaced:
                self._log.info("superseded", event=delivery.event, delivery=old, by=one.delivery)
            self._lanes[one.destination].offer(one.delivery)


def _tells_itself(delivery: Delivery, destination: str) -> bool:
    """Tell whether a delivery tells its destination of an opt-out as soon as it knows of one."""
    return delivery.destination == destination and delivery.kind in _OF_GUESTS
