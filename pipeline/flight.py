"""A lock for what many need and one fetches: its failure is that of all who waited for it."""

import asyncio
from types import TracebackType


class SharedFetch:
    """Enter, look whether it is there by now, and fetch it if not.

    Who waited while another one's fetch failed is told that failure, in place of failing by itself
    once more: a peer that refuses our secret is asked once for eight workers. A fetch that was
    cancelled is nobody's failure, and the next one tries.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._ended = 0
        self._failure: Exception | None = None

    async def __aenter__(self) -> None:
        """Wait for whoever is at it; raises what they failed with."""
        ended = self._ended
        await self._lock.acquire()
        if self._failure is not None and self._ended != ended:
            self._lock.release()
            raise self._failure

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Let the next one in."""
        self._lock.release()
        if exc is None or isinstance(exc, Exception):
            self._ended += 1
            self._failure = exc
