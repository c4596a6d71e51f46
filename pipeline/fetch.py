"""Asks one source, within its limit, and keeps what it says.

The stage enrich asks when an event comes in, and deliver again when what was fetched then has
become too old to be sent.
"""

from collections.abc import Awaitable
from typing import TypeVar

from aiolimiter import AsyncLimiter

from pipeline.errors import OutboxUnavailable, Outdated, PipelineError
from pipeline.lane import Lane
from pipeline.means import Means
from pipeline.model import Booking, Guest
from pipeline.plugin import Source

#: Seconds after which a guest whom the source could not tell is asked for again, at the least.
_PAUSE = 60.0

_T = TypeVar("_T")


class Fetcher:
    """The way to ask one source."""

    def __init__(
        self, name: str, source: Source, *, limiter: AsyncLimiter, lane: Lane, means: Means
    ) -> None:
        self.lane = lane
        self._name = name
        self._source = source
        self._limiter = limiter
        self._events = means.outbox.events
        self._clock = means.clock

    async def booking(self, booking: str) -> Booking | None:
        """Ask for a booking; None when the source has none by this id."""
        return await self._ask(self._source.fetch_booking(booking))

    async def guest(self, customer: str) -> Guest | None:
        """Ask for a guest, and keep what is said; None when the source has none by this id."""
        await self._limiter.acquire()
        fetched_at = self._clock.now()
        guest = await self._source.fetch_guest(customer)
        self.lane.succeeded()
        if guest is not None:
            await self._events.learn_guest(self._name, guest, fetched_at=fetched_at)
        return guest

    async def venue(self) -> None:
        """Ask for the venue, and keep what is said."""
        now = self._clock.now()
        details = await self._ask(self._source.fetch_venue())
        await self._events.learn_venue(self._name, details, fetched_at=now)

    async def refresh(self, customer: str) -> None:
        """Ask anew for a guest who is about to be told, or forget one who is gone.

        Raises Outdated when the source cannot tell just now: that is no fault of the destination,
        nor of the guest.
        """
        breaker = self.lane.breaker
        if rest := breaker.wait():
            raise Outdated(f"{self._name} cannot be asked for the guest: {self.lane.last_error}",
                           after=max(rest, _PAUSE))  # fmt: skip
        # With no event that is due, nobody else would ever try whether the source is back.
        probe = breaker.is_open
        breaker.probing()
        try:
            guest = await self.guest(customer)
        except OutboxUnavailable:
            raise
        except PipelineError as exc:
            failure = self.lane.stumbled(exc)
            raise Outdated(f"the guest is not fetched anew: {failure.reason}",
                           after=max(breaker.rest(), _PAUSE)) from exc  # fmt: skip
        finally:
            if probe:
                breaker.abandon()
        if guest is None:
            await self._events.lose_guest(self._name, customer, at=self._clock.now())

    async def _ask(self, question: Awaitable[_T]) -> _T:
        await self._limiter.acquire()
        answer = await question
        self.lane.succeeded()
        return answer
