"""Keeps to a source's allowance for reports: whoever asks for one waits here.

ROLLER counts all requests of its Reporting API together, whoever sends them and why. What has been
sent is kept in the outbox with each page, so that a start does not send as much once more at once.
"""

from collections.abc import Awaitable, Callable

from aiolimiter import AsyncLimiter

from pipeline.clock import SECOND, Clock
from pipeline.settings import RateLimit


class Tempo:
    """A leaky bucket that knows when it is empty."""

    def __init__(
        self, limit: RateLimit, clock: Clock, begin: Callable[[], Awaitable[int]] | None = None
    ) -> None:
        """Take `begin` to tell when the bucket was to be empty, when it was last written down."""
        self._limiter = AsyncLimiter(limit.requests, limit.per)
        self._most = limit.requests
        self._each = limit.per * SECOND / limit.requests
        self._clock = clock
        self._begin = begin
        #: When it is empty again, by the wall clock: another process may be the next to ask.
        self.free_at = 0

    async def turn(self) -> None:
        """Wait until a request may leave, and count it."""
        if self._begin is not None:
            begin, self._begin = self._begin, None
            await self.resume(await begin())
        await self._limiter.acquire()
        self.free_at = round(max(self.free_at, self._clock.now()) + self._each)

    async def resume(self, free_at: int) -> None:
        """Take it for as full as it was left; a clock that was set back makes it full at most."""
        drops = min((free_at - self._clock.now()) / self._each, self._most)
        if drops > 0:
            await self._limiter.acquire(drops)
            self.free_at = round(self._clock.now() + drops * self._each)
