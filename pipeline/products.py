"""Reads the products of one source, every so often and when a booking names one unheard of.

What they say goes along with a booking and holds none up: see `transform.py`.
"""

import asyncio
from contextlib import suppress

from pipeline.catalogue import Catalogue
from pipeline.clock import SECOND
from pipeline.errors import OutboxUnavailable, PipelineError, Reject
from pipeline.fetch import Fetcher
from pipeline.flight import SharedFetch
from pipeline.means import Means
from pipeline.model import Booking

#: Seconds between two readings at least, whatever is unknown.
_AT_LEAST = 60.0

#: Seconds that a booking waits at most for a product that it names to be heard of.
_PATIENCE = 10.0

#: Ids that are remembered as looked for in vain.
_MOST_SOUGHT = 10_000


class Products:
    """An errand, and what enrich asks when a booking has come."""

    def __init__(self, source: str, catalogue: Catalogue, fetcher: Fetcher, means: Means) -> None:
        self.name = f"products of {source}"
        self._source = source
        self._catalogue = catalogue
        self._fetcher = fetcher
        self._shelf = means.outbox.products
        self._clock = means.clock
        self._log = means.log
        self._reading = SharedFetch()
        self._read_at: int | None = None
        #: What the source does not name: it need not be asked for that again and again.
        self._sought: set[str] = set()

    async def once(self) -> float:
        """Read them if it is time, and give the seconds until it is time again."""
        if left := await self._left():
            return left
        if pause := max(self._fetcher.lane.breaker.wait(), self._fetcher.pause()):
            return pause
        try:
            async with self._reading:
                await self._read()
        except Reject as exc:
            # It will not be otherwise in five minutes, and each call counts.
            self._log.warning("failed", errand=self.name, reason=exc.reason)
            return self._catalogue.every
        return await self._left() or _AT_LEAST

    async def know(self, booking: Booking) -> None:
        """Read them if the booking names one unheard of: bounded in time, and never a failure."""
        if self._fetcher.lane.breaker.is_open or not await self._unheard(booking):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._look_for(booking)

    async def _look_for(self, booking: Booking) -> None:
        try:
            async with self._reading:
                unheard = await self._unheard(booking)
                if unheard and await self._read():
                    if len(self._sought) > _MOST_SOUGHT:
                        self._sought.clear()
                    self._sought |= await self._unheard(booking)
        except OutboxUnavailable:
            raise
        except PipelineError as exc:
            self._log.warning("failed", errand=self.name, reason=str(exc))

    async def _unheard(self, booking: Booking) -> set[str]:
        """Name those of its products that are neither known nor known to be unknown."""
        named = {item.product for item in booking.items if item.product}
        return named - (await self._shelf.known(self._source)).keys() - self._sought

    async def _read(self) -> bool:
        """Read them all, unless that was just done; tell whether it is done."""
        boot = self._clock.boot()
        if self._read_at is not None and boot - self._read_at < _AT_LEAST * SECOND:
            return False
        self._read_at, now = boot, self._clock.now()
        products = await self._fetcher.ask(self._catalogue.fetch_products)
        changed = await self._shelf.learn(self._source, products, fetched_at=now)
        self._log.debug("read", errand=self.name, products=len(products), changed=changed)
        return True

    async def _left(self) -> float:
        """Tell how many seconds are left until it is time; a clock that was set back says: now."""
        fetched_at = await self._shelf.fetched_at(self._source)
        now = self._clock.now()
        if fetched_at is None or fetched_at > now:
            return 0.0
        return max(fetched_at - now + self._catalogue.every * SECOND, 0.0) / SECOND
