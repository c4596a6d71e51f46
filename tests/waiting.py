"""Waits for a condition; the only place in the tests that sleeps."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

#: Seconds between two looks. They grow to a sixth of what was waited: looking is work too, and is
#: done on the cores that are waited for.
_STEPS = (0.01, 0.1)

#: For what becomes true in a fraction of it, on a machine where others are busy too. A wait ends as
#: soon as its condition holds, so only a test that fails takes so long.
LONG = 60.0


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], *, timeout: float = LONG
) -> None:
    """Return once the condition is true; AssertionError when it is not in time."""
    begun = time.monotonic()
    least, most = _STEPS
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        waited = time.monotonic() - begun
        if waited > timeout:
            name = getattr(condition, "__name__", repr(condition))
            msg = f"{name} did not become true within {timeout:g} s"
            raise AssertionError(msg)
        await asyncio.sleep(min(max(least, waited / 6), most))


async def turn() -> None:
    """Let every task that can go on do so once."""
    await asyncio.sleep(0)
