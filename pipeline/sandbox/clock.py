"""A clock that can be put forward, so that a week of a vendor's time passes in a second."""

import asyncio

from pipeline.sandbox.window import Clock


class MovableClock:
    """Seconds since 1970 by another clock, and what that one has been moved by."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._moved_by = 0.0
        self._moved = asyncio.Event()

    def __call__(self) -> float:
        return self._base() + self._moved_by

    def move(self, seconds: float) -> None:
        """Moves the time at once; whoever sleeps past it wakes up."""
        self._moved_by += seconds
        self._tell()

    def restore(self) -> None:
        """Shows the other clock's time again."""
        self._moved_by = 0.0
        self._tell()

    async def sleep(self, seconds: float) -> None:
        """Waits until so much time has passed, be it by the event loop or because it was moved.

        The event loop's time counts too because a test's clock may stand still.
        """
        loop = asyncio.get_running_loop()
        due, end = self() + seconds, loop.time() + seconds
        while (left := min(due - self(), end - loop.time())) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                return

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
