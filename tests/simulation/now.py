"""The time of a simulation."""

import asyncio


def now() -> float:
    """Tell the time, in seconds since it began."""
    return asyncio.get_running_loop().time()
