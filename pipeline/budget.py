"""The allowance of a destination: at most so many requests in any window, however it is cut.

A leaky bucket of 100 per 900 s lets 199 through in the worst 900 s and forgets at a restart. So the
ledger decides: an attempt is on disk before its request leaves, and its slot is free again one
window and a margin after its answer came, which is the latest moment at which the peer can have
counted it. aiolimiter only spaces what is not urgent, so that a backlog neither spends the window
at once nor stands in a newcomer's way.
"""

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterable

from aiolimiter import AsyncLimiter

from pipeline.caution import Caution
from pipeline.clock import SECOND, Clock
from pipeline.model import Priority
from pipeline.outbox import Entry, Restraint
from pipeline.settings import RateLimit
from pipeline.share import Share

#: Clocks and delivery of packets are not exact: half a second, or for the short windows of a
#: sandbox a two-hundredth of the window.
_MARGIN = 0.5

#: In place of the source that holds a slot of the reserve: it is none of it; nobody knows who.
_NO_RESERVE = ""
_ANYONE = "?"

#: Of the slots outside the reserve one in so many goes to the oldest of the classes 4 and 5.
_LESSER = 10

#: Of the reserve, one in so many is for opt-outs and for the first request of a new booking, and at
#: most so many are. When all others are taken, a slot comes free every 9 seconds, and of 30 such
#: bookings in a window one comes every 30: of five slots one is free at nearly any time.
_NEWCOMERS = 4
_MOST_NEWCOMERS = 5

#: How many windows tell how much urgent work there is; the 99 % quantile of the normal
#: distribution; and how many requests come together, which is how chance makes their number swing:
#: a new guest's look-up, the guest and the booking.
_MEMORY = 4
_QUANTILE = 2.33
_TOGETHER = 3


class Budget:
    """Counts slots on the boot clock, which no one can step."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        margin = min(_MARGIN, limit.per / 200)
        self.limit = limit
        self.window = round((limit.per + margin) * SECOND)
        self._clock = clock
        self._open = 0
        #: When slots are free again, and who holds them of the reserve.
        self._free_at: list[tuple[int, str]] = []
        #: Slots of the reserve that are taken, by their holders.
        self._reserve: Counter[str] = Counter()
        #: What visits and tags have of the slots outside the reserve.
        self._share = Share(_LESSER)
        self._caution = Caution(limit.per, self.window, clock)
        #: A request that is not urgent is chosen and has not left.
        self._spaced_for = False
        self._spaced_until = 0
        #: When slots were taken, for what is urgent and for the rest.
        self._urgent_at: deque[int] = deque()
        self._lesser_at: deque[int] = deque()
        self._spacing = AsyncLimiter(1, self._interval)

    def restore(self, entries: Iterable[Entry], learnt: Restraint | None = None) -> None:
        """Take over what the ledger says was spent, by this process's predecessors too.

        Within one boot the boot clock decides, and across a reboot the wall clock; when that is
        before the newest start it has been stepped back, and every entry counts as begun now. An
        attempt that a crash left open counts as ended when it would have timed out, which after a
        quick restart is still to come. What was learnt from a 429 is as old by the same rule.
        """
        entries = list(entries)
        boot = self._clock.boot()
        newest = max((entry.started_at for entry in entries), default=0)
        newest = max(newest, learnt.at if learnt else 0)
        for entry in entries:
            ended = entry.ended_boot
            took = entry.timeout if ended is None else ended - entry.started_boot
            if entry.boot_id == self._clock.boot_id:
                age = boot - entry.started_boot - took
            else:
                ended_at = max(entry.started_at + took, entry.ended_at or 0)
                age = self._age(ended_at, newest, at_least=-took)
            # An age below 0 is an attempt whose time-out is still to come.
            if age < self.window:
                self._free(boot - age + self.window, _NO_RESERVE)
            if age + took < round(self._interval * SECOND):
                # Nobody knows what it was for: a restart must not be a way around the spacing.
                next_ = boot - age - took + round(self._interval * SECOND)
                self._spaced_until = max(self._spaced_until, next_)
        # Which slots were of the reserve is not written down: the last ones, if so many are used.
        of_reserve = max(self.used - (self.limit.requests - self.reserved), 0)
        self._free_at = [
            (at, _ANYONE if place < of_reserve else _NO_RESERVE)
            for place, (at, _) in enumerate(sorted(self._free_at))
        ]
        self._reserve[_ANYONE] = min(of_reserve, len(self._free_at))
        if learnt is not None:
            same = learnt.boot_id == self._clock.boot_id
            age = boot - learnt.boot if same else self._age(learnt.at, newest)
            self._caution.restore(learnt, began=boot - age)

    @property
    def allowed(self) -> int:
        """The requests that a window may have now: fewer than configured after a 429."""
        return self._caution.allowed(self.limit.requests)

    @property
    def spacing(self) -> int:
        """The microseconds from one request to the next, once all slots are taken."""
        return round(self._interval * SECOND)

    @property
    def reserved(self) -> int:
        """How many of them are for what is urgent."""
        return self.limit.reserved * self.allowed // self.limit.requests

    @property
    def for_newcomers(self) -> int:
        """How many of the reserve are for opt-outs and for the first requests of new bookings."""
        return min(self.reserved // _NEWCOMERS, _MOST_NEWCOMERS)

    @property
    def spared(self) -> int:
        """How many of them what is not urgent leaves: the reserve, or what urgent work needs."""
        return max(self.reserved, self._needed())

    @property
    def used(self) -> int:
        """The slots that are taken now."""
        self._expire()
        return self._open + len(self._free_at)

    @property
    def held(self) -> float:
        """For how many seconds nothing may go because of a 429."""
        return self._caution.held()

    def next_slot(self) -> float | None:
        """Tell in how many seconds a used slot is free again, while none is; None while one is."""
        if self.allowed > self.used:
            return None
        over = self.used - self.allowed
        times = sorted(at for at, _ in self._free_at)
        if over >= len(times):
            return self.window / SECOND
        return max(times[over] - self._clock.boot(), 0) / SECOND

    def left(self) -> int:
        """Tell how many slots are free now; none while the peer has asked for a pause."""
        if self._caution.held():
            return 0
        return max(self.allowed - self.used, 0)

    def reach(self) -> int:
        """Tell the last class that may go now, but for a turn of the lesser; 0 when none may."""
        left = self._left_to_all()
        if not left:
            return 0
        if left > self.reserved and self._is_spaced() and self._spares_enough():
            return Priority.BACKFILL
        return Priority.URGENT

    def is_for_lesser(self) -> bool:
        """Tell whether the next slot is for the oldest of classes 4 and 5, whatever waits above.

        That is one in ten of those outside the reserve, also where what is urgent would take all.
        """
        return self._is_their_turn() and self._is_spaced()

    def is_for_newcomers(self) -> bool:
        """Tell whether the next slot is one of the last, which are for who has not had any.

        That is for opt-outs, and for the first request of a new booking.
        """
        return self._left_to_all() <= self.for_newcomers

    def must_keep(self) -> bool:
        """Tell whether the next slot is for classes 4 and 5, and they may not go yet.

        It is to be kept for them, or passed by.
        """
        return self._share.is_next and self._is_their_turn() and not self._is_spaced()

    def keep(self) -> None:
        """Keep the slot that is for classes 4 and 5 from others until they may go."""
        self._share.keep()

    def pass_by(self) -> None:
        """Let the slots that are for classes 4 and 5 go to others, for none of those is due."""
        self._share.waive()

    def admits(self, source: str) -> bool:
        """Tell whether a source may take the next slot, should it be one of the reserve.

        Each may hold of it as many as are still free: one that floods gets half of it, and who
        comes now and then finds the rest. (Choudhury and Hahne's dynamic threshold.)
        """
        free = self._reserve_left()
        return self._left_to_all() > free or self._reserve[source] < free

    def take(self, priority: int = Priority.URGENT, source: str = _ANYONE) -> str:
        """Take a slot for a request that is about to leave; give who holds it of the reserve.

        That is to be said again when it ends, and empty for a slot outside the reserve. What is not
        urgent spaces the next such from its leaving on.
        """
        urgent = priority <= Priority.URGENT
        (self._urgent_at if urgent else self._lesser_at).append(self._clock.boot())
        holder = source if urgent and self._left_to_all() <= self._reserve_left() else _NO_RESERVE
        self._open += 1
        if holder:
            self._reserve[holder] += 1
        else:
            self._share.give(to_owner=priority in {Priority.VISIT, Priority.TAG})
        if not urgent:
            self._spaced_for = True
        return holder

    async def leave(self, priority: int) -> None:
        """Take note that the request leaves, for the spacing of the next."""
        if priority <= Priority.URGENT:
            return
        self._spaced_for = False
        if self._spacing.time_period != self._interval:
            self._spacing = AsyncLimiter(1, self._interval)
        if self._spacing.has_capacity():
            await self._spacing.acquire()
        self._spaced_until = self._clock.boot() + round(self._interval * SECOND)

    def give_back(self, priority: int = Priority.URGENT, holder: str = _NO_RESERVE) -> None:
        """Give back a slot whose request never left."""
        self._open -= 1
        times = self._urgent_at if priority <= Priority.URGENT else self._lesser_at
        if times:
            times.pop()
        if holder:
            self._reserve[holder] -= 1
        else:
            self._share.give_back()
        if priority > Priority.URGENT:
            self._spaced_for = False

    def ended(self, holder: str = _NO_RESERVE) -> None:
        """Start the window of a slot whose answer or time-out has come."""
        self._open -= 1
        self._free(self._clock.boot() + self.window, holder)

    def lend(self, longest: float) -> None:
        """Take a slot for a request of another process, which ends within `longest` seconds."""
        ends = self._clock.boot() + round(longest * SECOND)
        self._free(ends + self.window, _NO_RESERVE)

    def refused(self, left_at: int) -> None:
        """Learn from an answer 429 to a request that left then, by the boot clock."""
        self._caution.refused(left_at)

    def hold(self, asked: float | None) -> float:
        """Let no request go for as long as the peer asks, else a minute at most, doubling.

        To be called for an answer 429, and gives the seconds; an `answered` in between ends the
        doubling.
        """
        return self._caution.hold(asked)

    def answered(self) -> None:
        """Take note that the peer takes requests."""
        self._caution.answered()

    def learnt(self) -> Restraint | None:
        """Give what is to outlive a restart; None before any 429."""
        return self._caution.learnt()

    def next_change(self) -> float:
        """Tell in how many seconds more may go than now, at the latest."""
        boot = self._clock.boot()
        if held := self._caution.held():
            return held
        next_slot = max(self._free_at[0][0] - boot, 0) / SECOND if self._free_at else math.inf
        if self._share.kept or (self.left() > self.reserved and self._spares_enough()):
            if self._spaced_for:  # its end rings, or else the next one waits from its leaving on
                return min(self._interval, next_slot)
            return min(max(self._spaced_until - boot, 0) / SECOND, next_slot)
        return min(self.window / SECOND, next_slot)

    @property
    def _interval(self) -> float:
        return self.window / SECOND / self.allowed

    def _spares_enough(self) -> bool:
        """Tell whether what is not urgent leaves enough for the urgent work that may come."""
        _forget(self._lesser_at, self._clock.boot() - self.window)
        return len(self._lesser_at) < self.allowed - self._needed()

    def _needed(self) -> int:
        """Give how many slots urgent work needs in 99 of 100 windows, at its rate of the last ones.

        A slot is taken for a whole window, so it must be spared before it is needed. Some go to the
        others in any case: one in ten is what the oldest of them are to have.
        """
        _forget(self._urgent_at, self._clock.boot() - _MEMORY * self.window)
        mean = len(self._urgent_at) / _MEMORY
        needed = math.floor(mean + _QUANTILE * math.sqrt(_TOGETHER * mean))
        return min(needed, self.allowed - (self.allowed - self.reserved) // _LESSER)

    def _is_spaced(self) -> bool:
        return (
            not self._spaced_for
            and self._clock.boot() >= self._spaced_until
            and self._spacing.has_capacity()
        )

    def _left_to_all(self) -> int:
        return max(self.left() - self._share.kept, 0)

    def _is_their_turn(self) -> bool:
        if self._share.kept:
            return self.left() > 0
        return self._share.is_next and self.left() > self._reserve_left()

    def _reserve_left(self) -> int:
        return max(self.reserved - self._reserve.total(), 0)

    def _age(self, at: int, newest: int, *, at_least: int = 0) -> int:
        """Tell how long ago a time of another boot is, by the wall clock as far as it is right."""
        now = self._clock.now()
        return at_least if now < newest else max(now - at, at_least)

    def _free(self, at: int, holder: str) -> None:
        heapq.heappush(self._free_at, (at, holder))

    def _expire(self) -> None:
        boot = self._clock.boot()
        while self._free_at and self._free_at[0][0] <= boot:
            _, holder = heapq.heappop(self._free_at)
            if holder:
                self._reserve[holder] -= 1


def _forget(times: deque[int], before: int) -> None:
    while times and times[0] <= before:
        times.popleft()
