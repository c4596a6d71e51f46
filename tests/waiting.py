"""Waits for a condition; the only place in the tests that sleeps."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_STEP = 0.01


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], *, timeout: float = 10.0
) -> None:
    """Return once the condition is true; AssertionError when it is not in time."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        if time.monotonic() > deadline:
            name = getattr(condition, "__name__", repr(condition))
            msg = f"{name} did not become true within {timeout:g} s"
            raise AssertionError(msg)
        await asyncio.sleep(_STEP)


async def turn() -> None:
    """Let every task that can go on do so once."""
    await asyncio.sleep(0)
