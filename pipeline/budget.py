"""The allowance of a destination: at most so many requests in any window, however it is cut.

A leaky bucket of 100 per 900 s lets 199 through in the worst 900 s and forgets at a restart. So the
ledger decides: an attempt is on disk before its request leaves, and its slot is free again one
window and a margin after its answer came, which is the latest moment at which the peer can have
counted it. aiolimiter only spaces what is not urgent, so that a backlog neither spends the window
at once nor stands in a newcomer's way.
"""

import heapq
from collections.abc import Iterable

from aiolimiter import AsyncLimiter

from pipeline.clock import SECOND, Clock
from pipeline.model import Priority
from pipeline.outbox import Entry
from pipeline.settings import RateLimit

#: Clocks and delivery of packets are not exact: half a second, or for the short windows of a
#: sandbox a two-hundredth of the window.
_MARGIN = 0.5

#: Seconds to hold back after a 429 that names none, and how often they double at most.
_HOLD = 60.0
_DOUBLINGS = 6


class Budget:
    """Counts slots on the boot clock, which no one can step."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        margin = min(_MARGIN, limit.per / 200)
        self.limit = limit
        self.window = round((limit.per + margin) * SECOND)
        self._clock = clock
        self._open = 0
        self._free_at: list[int] = []
        self._held_until = 0
        self._refusals = 0
        self._spaced_until = 0
        self._spacing = AsyncLimiter(1, (limit.per + margin) / limit.requests)

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take over what the ledger says was spent, by this process's predecessors too.

        Within one boot the boot clock decides, and across a reboot the wall clock; when that is
        before the newest start it has been stepped back, and every entry counts as begun now. An
        attempt that a crash left open counts as ended when it would have timed out, which after a
        quick restart is still to come.
        """
        entries = list(entries)
        now, boot = self._clock.now(), self._clock.boot()
        newest = max((entry.started_at for entry in entries), default=0)
        for entry in entries:
            ended = entry.ended_boot
            took = entry.timeout if ended is None else ended - entry.started_boot
            if entry.boot_id == self._clock.boot_id:
                age = boot - entry.started_boot - took
            elif now < newest:
                age = -took
            else:
                age = now - max(entry.started_at + took, entry.ended_at or 0)
            # An age below 0 is an attempt whose time-out is still to come.
            if age < self.window:
                heapq.heappush(self._free_at, boot - age + self.window)

    @property
    def used(self) -> int:
        """The slots that are taken now."""
        self._expire()
        return self._open + len(self._free_at)

    def left(self) -> int:
        """Tell how many slots are free now; none while the peer has asked for a pause."""
        if self._clock.boot() < self._held_until:
            return 0
        return max(self.limit.requests - self.used, 0)

    def give_back(self) -> None:
        """Give back a slot whose request never left."""
        self._open -= 1

    def reach(self) -> int:
        """Tell the last class that may go now; 0 when none may."""
        left = self.left()
        if not left:
            return 0
        if left > self.limit.reserved and self._spacing.has_capacity():
            return Priority.BACKFILL
        return Priority.URGENT

    async def space(self, priority: int) -> None:
        """Take note that a request of this class goes, for the spacing of the next."""
        if priority > Priority.URGENT and self._spacing.has_capacity():
            await self._spacing.acquire()
            self._spaced_until = self._clock.boot() + round(self._spacing.time_period * SECOND)

    def take(self) -> None:
        """Take a slot for a request that is about to leave."""
        self._open += 1

    def ended(self) -> None:
        """Start the window of a slot whose answer or time-out has come."""
        self._open -= 1
        heapq.heappush(self._free_at, self._clock.boot() + self.window)

    def lend(self, longest: float) -> None:
        """Take a slot for a request of another process, which ends within `longest` seconds."""
        ends = self._clock.boot() + round(longest * SECOND)
        heapq.heappush(self._free_at, ends + self.window)

    def hold(self, asked: float | None) -> float:
        """Let no request go for as long as the peer asks, else a minute at most, doubling.

        To be called for an answer 429, and gives the seconds; an `answered` in between ends the
        doubling.
        """
        boot = self._clock.boot()
        if boot >= self._held_until:  # else it belongs to the incident that is held for already
            self._refusals += 1
        pause = asked
        if pause is None:
            pause = min(self.limit.per, _HOLD) * 2 ** min(max(self._refusals - 1, 0), _DOUBLINGS)
        self._held_until = max(self._held_until, boot + round(pause * SECOND))
        return pause

    def answered(self) -> None:
        """Take note that the peer takes requests."""
        self._refusals = 0

    def next_change(self) -> float:
        """Tell in how many seconds more may go than now, at the latest."""
        boot = self._clock.boot()
        if boot < self._held_until:
            return (self._held_until - boot) / SECOND
        if self.left() > self.limit.reserved:
            return max(self._spaced_until - boot, 0) / SECOND
        self._expire()
        if not self._free_at:
            return self.window / SECOND
        return max(self._free_at[0] - boot, 0) / SECOND

    def _expire(self) -> None:
        boot = self._clock.boot()
        while self._free_at and self._free_at[0] <= boot:
            heapq.heappop(self._free_at)
