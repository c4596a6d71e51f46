"""How long to wait after a failure."""

import random

from pipeline.clock import SECOND
from pipeline.config import RetryPolicy


def wait(policy: RetryPolicy, attempt: int, *, floor: float | None, dice: random.Random) -> int:
    """Give the microseconds until the next try after the `attempt`-th failure (from 1).

    It doubles from `first` to `max`; jitter takes up to half away, so that what failed together
    does not come back together. `floor` is the peer's Retry-After, which jitter never shortens.
    """
    # The exponent is bounded because 2.0 ** 1024 overflows.
    ceiling = min(policy.first * 2.0 ** min(attempt - 1, 32), policy.max)
    jittered = ceiling * dice.uniform(0.5, 1.0)
    return round(max(jittered, floor or 0.0) * SECOND)
