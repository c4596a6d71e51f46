"""The circuit breaker of a lane: a peer in trouble is probed, not hammered."""

import random

from pipeline import backoff
from pipeline.clock import SECOND, Clock
from pipeline.config import RetryPolicy

#: Failures in a row, of different items, that make it the peer's trouble.
_FAILURES = 5


class Breaker:
    """Closed, or open until a probe is due; a success closes it."""

    def __init__(self, policy: RetryPolicy, clock: Clock, dice: random.Random) -> None:
        self._policy = policy
        self._clock = clock
        self._dice = dice
        self._failed: set[int] = set()
        self._probes = 0
        self._probe_at = 0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether only probes may go."""
        return self._probes > 0

    def wait(self) -> float:
        """Tell how many seconds until something may be tried; 0 when it may be now."""
        if not self.is_open:
            return 0.0
        if self._probing:
            return self._policy.max
        return self.rest()

    def rest(self) -> float:
        """Tell how many seconds until a probe may go, be one under way or not."""
        return max(self._probe_at - self._clock.boot(), 0) / SECOND if self.is_open else 0.0

    def probing(self) -> None:
        """Take note that the one probe is on its way."""
        self._probing = self.is_open

    def abandon(self) -> None:
        """Take note that the probe was not sent after all, or told nothing of the peer."""
        self._probing = False

    def succeeded(self) -> None:
        """Close: the peer answers."""
        self._failed.clear()
        self._probes = 0
        self._probing = False

    def failed(self, item: int) -> None:
        """Count a failure of this item; open when too many different ones failed in a row."""
        self._failed.add(item)
        if self.is_open or len(self._failed) >= _FAILURES:
            self.trip()

    def trip(self, *, after: float | None = None) -> None:
        """Open at once, or stay open: the next probe is later than the last, and after `after`."""
        if self.is_open and not self._probing:
            # The rest of what was under way when it opened: it is no further probe.
            self._probe_at = max(self._probe_at, self._clock.boot() + round((after or 0) * SECOND))
            return
        self._probes += 1
        self._probing = False
        pause = backoff.wait(self._policy, self._probes, floor=after, dice=self._dice)
        self._probe_at = self._clock.boot() + pause
