"""The bounded queue between two stages: the fast lane beside the outbox.

It carries what has just changed. When it is full the work stays in the outbox, where the next stage
finds it as soon as it has time, so memory does not grow with the backlog.
"""

import asyncio
from typing import Generic, TypeVar

_T = TypeVar("_T")

#: No wait is longer than a minute, so that a stepped wall clock is noticed.
_LONGEST_WAIT = 60.0


class Feed(Generic[_T]):
    """A bounded queue whose reader can also be woken without an item."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[_T] = asyncio.Queue(size)
        self._bell = asyncio.Event()

    def offer(self, item: _T) -> None:
        """Add an item if there is room, and wake the reader in any case."""
        if not self._queue.full():
            self._queue.put_nowait(item)
        self._bell.set()

    async def put(self, item: _T) -> None:
        """Add an item, waiting for room."""
        await self._queue.put(item)
        self._bell.set()

    def take(self, most: int) -> list[_T]:
        """Take what is there, up to so many."""
        return [self._queue.get_nowait() for _ in range(min(most, self._queue.qsize()))]

    @property
    def size(self) -> int:
        """How many items are in it."""
        return self._queue.qsize()

    def ring(self) -> None:
        """Wake the reader: something changed that is not an item."""
        self._bell.set()

    async def wait(self, seconds: float = _LONGEST_WAIT) -> bool:
        """Wait until there is an item or a ring, or for so long (a minute at most).

        Tells whether there was one.
        """
        try:
            async with asyncio.timeout(min(seconds, _LONGEST_WAIT)):
                return await self._bell.wait()
        except TimeoutError:
            return False
        finally:
            self._bell.clear()
