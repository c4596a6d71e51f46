"""Limits on the number of requests, as strict as a vendor may count them."""

import time
from collections import deque
from collections.abc import Callable

Clock = Callable[[], float]


class SlidingWindow:
    """At most `requests` in any `per` seconds; a refused request does not count.

    A request leaves the window exactly `per` seconds after it arrived.
    """

    def __init__(self, requests: int, per: float, clock: Clock = time.time) -> None:
        self.requests = requests
        self.per = per
        self.refused = 0
        #: the most that ever stood in the window at once
        self.peak = 0
        self._clock = clock
        self._admitted: deque[float] = deque()

    def used(self) -> int:
        """How many requests stand in the window now."""
        oldest_that_counts = self._clock() - self.per
        while self._admitted and self._admitted[0] <= oldest_that_counts:
            self._admitted.popleft()
        return len(self._admitted)

    def clear(self) -> None:
        """Forgets who stands in the window; what was counted in all stays."""
        self._admitted.clear()

    def admit(self) -> float | None:
        """Counts a request and returns None, or returns the seconds until one would be admitted."""
        if self.used() >= self.requests:
            self.refused += 1
            oldest = self._admitted[0] if self._admitted else self._clock()
            return oldest + self.per - self._clock()
        self._admitted.append(self._clock())
        self.peak = max(self.peak, len(self._admitted))
        return None


class CoolingWindow(SlidingWindow):
    """A sliding window whose excess is followed by a time in which everything is refused."""

    def __init__(self, requests: int, per: float, cooling: float, clock: Clock = time.time) -> None:
        super().__init__(requests, per, clock)
        self.cooling = cooling
        self._cool_until = float("-inf")

    def clear(self) -> None:
        """Forgets who stands in the window, and ends the cooling-off."""
        super().clear()
        self._cool_until = float("-inf")

    def admit(self) -> float | None:
        """As in a sliding window; a refusal starts the cooling-off, it never prolongs it."""
        now = self._clock()
        if now < self._cool_until:
            self.refused += 1
            return self._cool_until - now
        if super().admit() is None:
            return None
        self._cool_until = now + self.cooling
        return self.cooling
