"""Asks one source, within its limit, and keeps what it says.

The stage enrich asks when an event comes in, and deliver again when what was fetched then has
become too old to be sent.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from zlib import crc32

from aiolimiter import AsyncLimiter
from msgspec import Struct

from pipeline.clock import SECOND
from pipeline.errors import (
    LaneFailure,
    NotYet,
    OutboxUnavailable,
    Outdated,
    PipelineError,
    Reject,
    Retry,
    Throttled,
)
from pipeline.lane import Lane
from pipeline.means import Means
from pipeline.model import Booking, Delivery, Guest
from pipeline.plugin import Source

#: Seconds after which a guest whom the source could not tell is asked for again, at the least.
_PAUSE = 60.0

#: A guest may be there a little later than their booking, and one answer 404 is no proof.
_TRIES_FOR_A_GUEST = 6

_T = TypeVar("_T")


class Occasion(Struct, frozen=True, kw_only=True):
    """What a guest is asked for."""

    event: int
    delivery: Delivery | None = None


#: Keeps what a source has said of a guest, when that was, and on what occasion.
Keep = Callable[[str, Guest, int, Occasion], Awaitable[None]]


class Fetcher:
    """The way to ask one source."""

    def __init__(
        self,
        name: str,
        source: Source,
        *,
        keep: Keep,
        limiter: AsyncLimiter,
        lane: Lane,
        means: Means,
    ) -> None:
        self.lane = lane
        self._name = name
        self._source = source
        self._keep = keep
        self._limiter = limiter
        self._events = means.outbox.events
        self._clock = means.clock
        #: Until when, by the clock of the boot, the source has asked for nothing to be asked.
        self._resume_at = 0

    @property
    def spacing(self) -> float:
        """Seconds from one request to the next, once the limit is reached."""
        return self._limiter.time_period / self._limiter.max_rate

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a request's turn within the limit, and take note of what comes of it.

        Every request to the source goes through here, so that none leaves in the pause that an
        answer 429 asks for: a success that was on its way all the while does not end it. Raises
        Throttled during the pause.
        """
        await self._limiter.acquire()
        if pause := self.pause():
            raise Throttled("it has asked for fewer requests", after=pause)
        try:
            yield
        except Throttled as exc:
            resume_at = self._clock.boot() + round((exc.after or _PAUSE) * SECOND)
            self._resume_at = max(self._resume_at, resume_at)
            raise
        if not self.pause():
            self.lane.succeeded()

    def pause(self) -> float:
        """Tell for how many seconds the source is to be left alone after an answer 429."""
        return max(self._resume_at - self._clock.boot(), 0) / SECOND

    async def booking(self, booking: str) -> Booking | None:
        """Ask for a booking; None when the source has none by this id."""
        async with self.turn():
            return await self._source.fetch_booking(booking)

    async def booking_of(self, ticket: str) -> str | None:
        """Ask which booking a ticket is of; None when the source does not tell."""
        notices = self._source.notices
        async with self.turn():
            return None if notices is None else await notices.find_booking(ticket)

    async def guest(self, customer: str, occasion: Occasion) -> Guest | None:
        """Ask for a guest, and keep what is said; None when the source has none by this id."""
        async with self.turn():
            fetched_at = self._clock.now()
            guest = await self._source.fetch_guest(customer)
        if guest is not None:
            await self._keep(self._name, guest, fetched_at, occasion)
        return guest

    async def venue(self) -> None:
        """Ask for the venue, and keep what is said."""
        now = self._clock.now()
        async with self.turn():
            details = await self._source.fetch_venue()
        await self._events.learn_venue(self._name, details, fetched_at=now)

    async def ask(self, question: Callable[[], Awaitable[_T]]) -> _T:
        """Ask something that no event waits for; LaneFailure while the source is in trouble.

        Trouble that only now comes to light holds up all that is asked of the source.
        """
        breaker = self.lane.breaker
        if pause := breaker.wait():
            raise LaneFailure(f"it is not asked just now: {self.lane.last_error}", after=pause)
        breaker.probing()
        try:
            async with self.turn():
                return await question()
        except LaneFailure as exc:
            self.lane.lane_failed(exc)
            raise
        finally:
            breaker.abandon()

    async def refresh(self, delivery: Delivery, customer: str) -> None:
        """Ask anew for a guest who is about to be told, or forget one who is gone.

        Raises Outdated while the source as a whole is in trouble, which is the delivery's fault as
        little as the destination's, and NotYet or Reject for this guest's own.
        """
        breaker = self.lane.breaker
        pause = breaker.wait()
        if pause:
            reason = f"the guest cannot be asked for at {self._name}: {self.lane.last_error}"
            raise Outdated(reason, after=max(pause, _PAUSE))
        breaker.probing()  # without an event to fetch, nobody else finds out that it works again
        try:
            guest = await self.guest(customer, Occasion(event=delivery.event, delivery=delivery))
        except OutboxUnavailable:
            raise
        except LaneFailure as exc:
            self.lane.lane_failed(exc)
            after = max(breaker.wait(), _PAUSE)
            raise Outdated(f"the guest is not fetched anew: {exc.reason}", after=after) from exc
        except Retry as exc:
            self.lane.unanswered(exc, _item(customer))
            raise NotYet(f"the guest is not fetched anew: {exc.reason}", after=exc.after) from exc
        except PipelineError as exc:
            raise Reject(f"the guest cannot be fetched anew: {exc}") from exc
        finally:
            breaker.abandon()
        if guest is None:
            unknown = unknown_customer(delivery.attempts)
            if isinstance(unknown, NotYet):
                raise unknown
            await self._events.lose_guest(self._name, customer, at=self._clock.now())


def unknown_customer(attempts: int) -> NotYet | Reject:
    """Give what it means that the source has no such guest, after so many failed attempts."""
    if attempts + 1 < _TRIES_FOR_A_GUEST:
        return NotYet("the source does not know the customer yet")
    return Reject("the source does not know the customer")


def _item(customer: str) -> int:
    """Number a guest among the items that a lane fails with; events are counted from 1."""
    return -1 - crc32(customer.encode())
