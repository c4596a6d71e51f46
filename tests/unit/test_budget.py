"""The allowance is kept in every window, however it is cut, across restarts and clock steps."""

import heapq
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.budget import Budget
from pipeline.clock import SECOND
from pipeline.model import Priority
from pipeline.outbox import Entry
from pipeline.settings import Duration, RateLimit
from tests.fakes import FakeClock

_PER = 900
_LIMIT = RateLimit(requests=100, per=Duration(_PER))
_SMALL = RateLimit(requests=3, per=Duration(10), reserve=0)
_TIMEOUT = 30 * SECOND


def _entry(clock: FakeClock, *, ended: bool = True) -> Entry:
    """An attempt that starts now, and ends now if it does."""
    return Entry(
        started_at=clock.now(),
        started_boot=clock.boot(),
        boot_id=clock.boot_id,
        timeout=_TIMEOUT,
        ended_at=clock.now() if ended else None,
        ended_boot=clock.boot() if ended else None,
    )


def _restored(clock: FakeClock, entries: Iterable[Entry], limit: RateLimit = _LIMIT) -> Budget:
    budget = Budget(limit, clock)
    budget.restore(entries)
    return budget


async def test_a_slot_is_free_again_a_window_and_a_margin_after_the_answer(
    clock: FakeClock,
) -> None:
    """The answer is the latest moment at which the peer can have counted it."""
    budget = Budget(_LIMIT, clock)
    budget.take()
    clock.advance(20)
    assert budget.used == 1, "under way"
    budget.ended()
    clock.advance(_PER + 0.499)
    assert budget.used == 1
    clock.advance(0.001)
    assert (budget.used, budget.left()) == (0, 100)


@pytest.mark.parametrize(
    ("urgent", "lesser", "spared"),
    [(0, 80, 20), (10, 71, 22), (30, 49, 51), (60, 10, 90), (90, 0, 92)],
)
async def test_what_is_not_urgent_spares_what_urgent_work_will_need(
    clock: FakeClock, urgent: int, lesser: int, spared: int
) -> None:
    """Its slots are taken for a whole window, and a busy quarter of an hour follows a quiet one."""
    budget = Budget(_LIMIT, clock)
    pause = budget.window / SECOND / 100
    for _ in range(4):  # windows
        for slot in range(100):
            if slot < urgent:
                budget.ended(budget.take(Priority.NEW))
            clock.advance(pause)
    clock.advance(0.001)
    assert budget.spared == spared, "and the estimates reckon with it"
    gone = 0
    for _ in range(100):
        if budget.reach() < Priority.BACKFILL:
            break
        budget.ended(budget.take(Priority.BACKFILL))
        budget._spaced_for = False  # noqa: SLF001 - as if it had left long ago
        gone += 1
    assert gone == lesser


async def test_a_slot_that_was_given_back_was_not_taken(clock: FakeClock) -> None:
    """What turned out to be told already needed none."""
    budget = Budget(_LIMIT, clock)
    for _ in range(200):
        assert budget.reach() == Priority.BACKFILL
        budget.give_back(Priority.TAG, budget.take(Priority.TAG))


async def test_it_tells_when_the_next_slot_is_free(clock: FakeClock) -> None:
    """All of a burst come free together, a window later, and not evenly until then."""
    budget = Budget(_LIMIT, clock)
    for _ in range(99):
        budget.ended(budget.take())
    assert budget.next_slot() is None
    clock.advance(10)
    budget.ended(budget.take())
    assert budget.next_slot() == pytest.approx(_PER + 0.5 - 10)
    budget.lend(30)
    budget.lend(30)
    assert budget.next_slot() == pytest.approx(_PER + 0.5 - 10), "two too many are waited for"


async def test_short_windows_have_a_smaller_margin(clock: FakeClock) -> None:
    """Half a second of a sandbox's two would be a quarter of the allowance."""
    budget = Budget(RateLimit(requests=1, per=Duration(2)), clock)
    budget.take()
    budget.ended()
    clock.advance(2.009)
    assert budget.used == 1
    clock.advance(0.001)
    assert budget.used == 0


async def test_a_request_that_never_left_gives_its_slot_back(clock: FakeClock) -> None:
    """Nothing was spent."""
    budget = Budget(_LIMIT, clock)
    budget.take()
    budget.give_back()
    assert budget.used == 0


async def test_a_slot_that_is_lent_is_gone_for_the_longest_request_and_a_window(
    clock: FakeClock,
) -> None:
    """Another process sends the request, and may end without telling how it went."""
    budget = Budget(_LIMIT, clock)
    budget.lend(30)
    clock.advance(30 + _PER + 0.499)
    assert budget.used == 1
    clock.advance(0.001)
    assert budget.used == 0


async def test_the_reserve_is_for_what_is_urgent(clock: FakeClock) -> None:
    """A backlog of tags must not keep a new booking waiting for a quarter of an hour."""
    budget = Budget(_LIMIT, clock)
    assert budget.reach() == Priority.BACKFILL
    for _ in range(80):
        budget.take()
    assert budget.reach() == Priority.URGENT
    for _ in range(20):
        budget.take()
    assert budget.reach() == 0


@pytest.mark.parametrize(("reserve", "last"), [(12, 3), (20, 5), (99, 5), (3, 0), (0, 0)])
async def test_a_quarter_of_the_reserve_is_for_first_requests(
    clock: FakeClock, reserve: int, last: int
) -> None:
    """What goes on would take each slot as it comes free, and who comes new would wait for one."""
    budget = Budget(RateLimit(requests=100, per=Duration(_PER), reserve=reserve), clock)
    theirs = []
    for _ in range(100):
        theirs.append(budget.is_for_newcomers())
        budget.take()
    assert theirs == [False] * (100 - last) + [True] * last


async def test_what_is_not_urgent_is_spaced(clock: FakeClock) -> None:
    """A backlog neither spends the window at once nor stands in a newcomer's way."""
    budget = Budget(_LIMIT, clock)
    budget.take(Priority.NEW)
    await budget.leave(Priority.NEW)
    assert budget.reach() == Priority.BACKFILL, "what is urgent spaces nothing"
    budget.take(Priority.TAG)
    await budget.leave(Priority.TAG)
    assert budget.reach() == Priority.URGENT
    assert budget.next_change() == pytest.approx(9.005)


async def test_two_that_are_not_urgent_are_not_chosen_before_the_first_has_left(
    clock: FakeClock,
) -> None:
    """The spacing counts from the moment of leaving, and the choice comes before."""
    budget = Budget(_LIMIT, clock)
    holder = budget.take(Priority.TAG)
    assert budget.reach() == Priority.URGENT
    assert budget.next_change() == pytest.approx(9.005), "not at once, or the lane would spin"
    budget.give_back(Priority.TAG, holder)
    assert budget.reach() == Priority.BACKFILL, "what never left has used up no interval"


async def test_a_restart_is_no_way_around_the_spacing(clock: FakeClock) -> None:
    """A restart loop would spend the window at once."""
    clock.advance(10)
    entries = [_entry(clock)]
    clock.advance(2)
    budget = _restored(clock, entries)
    assert budget.reach() == Priority.URGENT
    assert budget.next_change() == pytest.approx(9.005 - 2)
    clock.advance(9.005 - 2)
    assert budget.reach() == Priority.BACKFILL


async def test_one_in_ten_outside_the_reserve_is_for_the_lesser_classes(clock: FakeClock) -> None:
    """Else an hour of bookings would keep every tag waiting."""
    budget = Budget(_LIMIT, clock)
    chosen = []
    for _ in range(100):
        chosen.append(budget.is_for_lesser())
        budget.ended(budget.take(Priority.NEW))
    assert [place for place, lesser in enumerate(chosen, 1) if lesser] == [
        10, 20, 30, 40, 50, 60, 70, 80
    ], "none of the reserve"  # fmt: skip


async def test_one_in_ten_is_for_the_lesser_classes_also_while_the_urgent_take_all(
    clock: FakeClock,
) -> None:
    """With more bookings than slots none outside the reserve would ever be seen to be free."""
    budget = Budget(_LIMIT, clock)
    lesser = 0
    for window in range(11):
        for _ in range(100):
            lesser += window > 0 and budget.is_for_lesser()
            budget.ended(budget.take(Priority.NEW))
            clock.advance(_PER / 100 if window == 0 else 0)
            if not budget.left():
                clock.advance(budget.next_change())
    assert lesser == pytest.approx(80, abs=2), "eight of the hundred in each window"


async def test_a_turn_that_comes_too_early_is_kept_from_the_urgent(clock: FakeClock) -> None:
    """A burst would take every slot in the nine seconds that two tags are apart."""
    budget = Budget(_LIMIT, clock)
    urgent = 0
    while budget.reach():
        if budget.must_keep():
            budget.keep()
        elif budget.is_for_lesser():
            await _send(budget, Priority.TAG)
        else:
            await _send(budget, Priority.NEW)
            urgent += 1
    assert (urgent, budget.left()) == (92, 7), "one went at its turn"
    assert not budget.is_for_lesser(), "the next one is to wait for its time"
    assert budget.next_change() == pytest.approx(9.005)


async def test_what_is_kept_goes_to_the_others_once_nobody_wants_it(clock: FakeClock) -> None:
    """The tags have been dropped, or their guest has gone."""
    budget = Budget(_LIMIT, clock)
    await _send(budget, Priority.TAG)
    for _ in range(99):
        if budget.must_keep():
            budget.keep()
        if budget.reach():
            await _send(budget, Priority.NEW)
    assert (budget.reach(), budget.left()) == (0, 8)
    budget.pass_by()
    assert (budget.reach(), budget.left()) == (Priority.URGENT, 8)


async def test_a_slot_that_comes_free_is_waited_for_as_well_as_the_spacing(
    clock: FakeClock,
) -> None:
    """What is urgent must not wait for a tag's time when its own slot is free before that."""
    budget = Budget(_LIMIT, clock)
    await _send(budget, Priority.NEW)
    clock.advance(_PER - 1)
    await _send(budget, Priority.TAG)
    assert budget.next_change() == pytest.approx(1.5)


async def test_a_source_that_floods_gets_half_of_the_reserve(clock: FakeClock) -> None:
    """The others find the rest, so that their bookings go at once all the same."""
    budget = Budget(_LIMIT, clock)
    taken = 0
    while budget.left() and budget.admits("floods"):
        budget.ended(budget.take(Priority.NEW, "floods"))
        taken += 1
    assert taken == 80 + 10
    for source in ("leeds", "york", "leeds", "bath"):
        assert budget.admits(source)
        budget.ended(budget.take(Priority.NEW, source))
    assert not budget.admits("floods")
    clock.advance(_PER + 0.5)
    assert budget.admits("floods"), "its slots are free again"


async def test_slots_of_the_reserve_come_back_to_it(clock: FakeClock) -> None:
    """Used or not."""
    budget = Budget(RateLimit(requests=4, per=Duration(_PER), reserve=4), clock)
    holders = [budget.take(Priority.NEW, "leeds") for _ in range(2)]
    assert (holders, budget.admits("leeds")) == (["leeds", "leeds"], False)
    budget.give_back(Priority.NEW, holders[0])
    assert budget.admits("leeds")
    budget.take(Priority.NEW, "leeds")
    budget.ended(holders[1])
    assert not budget.admits("leeds")
    clock.advance(_PER + 0.5)
    assert budget.admits("leeds")


async def test_a_slot_that_is_passed_by_is_not_offered_again(clock: FakeClock) -> None:
    """None of the lesser classes was due."""
    budget = Budget(_LIMIT, clock)
    for _ in range(9):
        budget.take(Priority.NEW)
    assert budget.is_for_lesser()
    budget.pass_by()
    assert not budget.is_for_lesser()


async def test_the_next_change_is_when_a_slot_comes_free(clock: FakeClock) -> None:
    """The lane sleeps until then."""
    budget = Budget(_SMALL, clock)
    for _ in range(3):
        budget.take()
        budget.ended()
        clock.advance(1)
    assert budget.next_change() == pytest.approx(10 + 0.05 - 3)
    clock.advance(budget.next_change())
    assert budget.left() == 1


async def test_while_all_slots_are_under_way_only_an_answer_can_change_anything(
    clock: FakeClock,
) -> None:
    """The end of a request rings; until then a window is soon enough."""
    budget = Budget(_SMALL, clock)
    for _ in range(3):
        budget.take()
    assert budget.next_change() == pytest.approx(10.05)


async def test_a_429_holds_everything(clock: FakeClock) -> None:
    """The peer has counted otherwise than we have, and it is the one that decides."""
    budget = Budget(_LIMIT, clock)
    assert budget.hold(120) == 120
    assert (budget.left(), budget.reach(), budget.next_change()) == (0, 0, 120)
    clock.advance(120)
    assert budget.left() == 100


async def test_a_shorter_pause_does_not_end_a_longer_one(clock: FakeClock) -> None:
    """Eight requests under way may bring eight different answers."""
    budget = Budget(_LIMIT, clock)
    budget.hold(120)
    budget.hold(5)
    assert budget.next_change() == 120


async def test_a_429_without_a_time_holds_for_a_minute_and_doubles(clock: FakeClock) -> None:
    """Each time it comes again after the pause, and not for each request under way."""
    budget = Budget(_LIMIT, clock)
    pauses = []
    for _ in range(9):
        left_at = clock.boot()
        clock.advance(1)
        budget.refused(left_at)
        pauses.append(budget.hold(None))
        budget.refused(left_at)
        assert budget.hold(None) == pauses[-1], "the same incident"
        clock.advance(pauses[-1])
    assert pauses == [60, 120, 240, 480, 960, 1920, 3840, 3840, 3840]
    budget.answered()
    budget.refused(clock.boot())
    assert budget.hold(None) == 60


async def _send(budget: Budget, priority: int) -> None:
    holder = budget.take(priority)
    await budget.leave(priority)
    budget.ended(holder)


def _refused(budget: Budget, clock: FakeClock) -> None:
    left_at = clock.boot()
    clock.advance(1)
    budget.refused(left_at)


async def test_each_incident_takes_a_tenth_off_and_never_more_than_half(clock: FakeClock) -> None:
    """The peer counts otherwise than we do, or somebody else uses the same key."""
    budget = Budget(_LIMIT, clock)
    allowed = []
    for _ in range(7):
        _refused(budget, clock)
        allowed.append(budget.allowed)
    assert allowed == [90, 80, 70, 60, 50, 50, 50]
    assert (budget.left(), budget.reserved) == (50, 10), "the reserve shrinks in step"
    assert budget.for_newcomers == 2, "and what is for newcomers"


async def test_answers_to_what_had_left_before_are_of_the_same_incident(clock: FakeClock) -> None:
    """Eight are under way, and a pause of no seconds does not make eight incidents of it."""
    budget = Budget(_LIMIT, clock)
    left_at = clock.boot()
    for _ in range(8):
        clock.advance(1)
        budget.refused(left_at)
        budget.hold(0)
    assert budget.allowed == 90


async def test_a_clean_window_gives_a_twentieth_back(clock: FakeClock) -> None:
    """Slowly, for the reason is not known to be gone."""
    budget = Budget(_LIMIT, clock)
    for _ in range(2):
        _refused(budget, clock)
    seen = []
    for _ in range(5):
        clock.advance(_PER + 0.499)
        seen.append(budget.allowed)
        clock.advance(0.001)
        seen.append(budget.allowed)
    assert seen == [80, 85, 85, 90, 90, 95, 95, 100, 100, 100]


@pytest.mark.parametrize(("requests", "least"), [(1, 1), (2, 1), (3, 2), (7, 4), (100, 50)])
async def test_small_allowances_shrink_too_and_keep_their_half(
    clock: FakeClock, requests: int, least: int
) -> None:
    """A tenth of three is one."""
    budget = Budget(RateLimit(requests=requests, per=Duration(_PER), reserve=0), clock)
    _refused(budget, clock)
    assert budget.allowed == max(requests - max(requests // 10, 1), least)
    for _ in range(9):
        _refused(budget, clock)
    assert budget.allowed == least


@pytest.mark.parametrize(
    ("boot", "step", "passed"),
    [("first", 0, 100), ("first", -3600, 100), ("second", 0, 100), ("second", -3600, 0)],
    ids=["same boot", "same boot, clock went back", "other boot", "other boot, clock went back"],
)
async def test_what_a_429_has_taught_survives_a_restart(
    clock: FakeClock, boot: str, step: float, passed: float
) -> None:
    """By the same rule as the slots: else a restart would be a way around the pause."""
    before = Budget(_LIMIT, clock)
    _refused(before, clock)
    before.hold(600)
    learnt = before.learnt()
    clock.advance(100)
    if boot != clock.boot_id:
        clock.reboot(boot)
    clock.step(step)
    budget = Budget(_LIMIT, clock)
    budget.restore([], learnt)
    assert (budget.held, budget.allowed, budget.left()) == (600 - passed, 90, 0)
    clock.advance(600 - passed)
    assert budget.left() == 90
    clock.advance(_PER + 0.5 - 600)
    assert budget.allowed == 95


async def test_what_survives_once_survives_again(clock: FakeClock) -> None:
    """A second restart must not begin the pause anew."""
    before = Budget(_LIMIT, clock)
    _refused(before, clock)
    before.hold(600)
    clock.reboot("second")
    again = Budget(_LIMIT, clock)
    again.restore([], before.learnt())
    clock.advance(100)
    third = Budget(_LIMIT, clock)
    third.restore([], again.learnt())
    assert third.held == 500


async def test_a_restart_forgets_nothing(clock: FakeClock) -> None:
    """A restart loop would otherwise have no limit at all."""
    entries = []
    for _ in range(100):
        entries.append(_entry(clock))
        clock.advance(1)
    budget = _restored(clock, entries)
    assert budget.left() == 0
    clock.advance(_PER + 0.5 - 100)
    assert budget.left() == 1
    clock.advance(99)
    assert budget.left() == 100


@pytest.mark.parametrize("step", [-86_400, -1, 1, 86_400])
async def test_within_a_boot_a_stepped_wall_clock_does_not_matter(
    clock: FakeClock, step: float
) -> None:
    """NTP sets it minutes after the start, and a person whenever they like."""
    entries = [_entry(clock)]
    clock.advance(100)
    clock.step(step)
    budget = _restored(clock, entries)
    clock.advance(_PER + 0.5 - 100 - 0.001)
    assert budget.used == 1
    clock.advance(0.001)
    assert budget.used == 0


async def test_after_a_reboot_the_wall_clock_decides(clock: FakeClock) -> None:
    """Nothing else has gone on."""
    entries = [_entry(clock)]
    clock.advance(100)
    clock.reboot("second")
    budget = _restored(clock, entries)
    clock.advance(_PER + 0.5 - 100 - 0.001)
    assert budget.used == 1
    clock.advance(0.001)
    assert budget.used == 0


async def test_a_clock_that_went_back_over_a_reboot_counts_all_from_now(clock: FakeClock) -> None:
    """Nobody knows how long it was off: the longest wait is the safe one."""
    entries = [_entry(clock)]
    clock.advance(1000)
    entries.append(_entry(clock))
    clock.reboot("second")
    clock.step(-0.001)
    budget = _restored(clock, entries)
    clock.advance(_PER + 0.499)
    assert budget.used == 2
    clock.advance(0.001)
    assert budget.used == 0


@pytest.mark.parametrize(
    ("boot", "step", "counts"),
    [("first", 0, 29), ("second", 0, 29), ("second", -3600, 30)],
    ids=["same boot", "other boot", "other boot, clock went back"],
)
async def test_an_attempt_that_a_crash_left_open_ends_at_its_time_out(
    clock: FakeClock, boot: str, step: float, counts: float
) -> None:
    """The peer may have counted it up to then."""
    entries = [_entry(clock, ended=False)]
    clock.advance(1)
    if boot != clock.boot_id:
        clock.reboot(boot)
    clock.step(step)
    budget = _restored(clock, entries)
    clock.advance(counts + _PER + 0.5 - 0.001)
    assert budget.used == 1
    clock.advance(0.001)
    assert budget.used == 0


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_clock_that_was_set_during_a_request_frees_no_slot_early(
    clock: FakeClock, step: float
) -> None:
    """Its two times are of two clocks, so to speak: the later reading counts."""
    entry = _entry(clock)
    clock.advance(5)
    clock.step(step)
    entry = msgspec.structs.replace(entry, ended_at=clock.now(), ended_boot=clock.boot())
    clock.reboot("second")
    budget = _restored(clock, [entry])
    clock.advance(_PER + 0.499)
    assert budget.used == 1


async def test_a_quick_reboot_does_not_look_like_a_clock_that_went_back(clock: FakeClock) -> None:
    """The time-out of what a crash left open is still to come; the rest is as old as it is."""
    entries = [_entry(clock)]
    clock.advance(_PER)
    left_open = _entry(clock)
    closed = msgspec.structs.replace(
        left_open, ended_at=clock.now() + _TIMEOUT, ended_boot=clock.boot() + _TIMEOUT
    )
    clock.advance(5)
    clock.reboot("second")
    assert _restored(clock, [*entries, closed]).used == 1


async def test_old_entries_are_no_burden(clock: FakeClock) -> None:
    """The ledger is also the history."""
    entries = [_entry(clock) for _ in range(1000)]
    clock.advance(_PER + 0.5)
    assert _restored(clock, entries).used == 0


async def test_nearly_all_that_may_be_used_is_used(clock: FakeClock) -> None:
    """At least 99 % while there is work: half a second in a quarter of an hour is lost."""
    budget = Budget(_LIMIT, clock)
    sent, began = 0, clock.boot()
    while clock.boot() - began < 100 * _PER * SECOND:
        while budget.reach():
            budget.take()
            budget.ended()
            sent += 1
        clock.advance(max(budget.next_change(), 0.001))
    assert sent >= 0.99 * 100 * 100


class _World:
    """A daemon that sends whenever it may, and a peer that counts strictly."""

    def __init__(self, limit: RateLimit) -> None:
        self.clock = FakeClock()
        #: True time, which nobody steps.
        self.time = 0
        #: When the peer counted each request.
        self.counted: list[int] = []
        self._limit = limit
        self._ledger: list[Entry] = []
        self._budget = Budget(limit, self.clock)
        self._pending: list[tuple[int, int]] = []

    def go(self, latency: float, counted: float) -> None:
        """Send if it is allowed; the peer counts after a part of the latency."""
        if not self._budget.reach():
            return
        self._budget.take()
        ends = self.time + round(latency * SECOND)
        heapq.heappush(self._pending, (ends, len(self._ledger)))
        self._ledger.append(_entry(self.clock, ended=False))
        self.counted.append(self.time + round(latency * SECOND * counted))

    def advance(self, seconds: float) -> None:
        """Let time pass, and answers come."""
        until = self.time + round(seconds * SECOND)
        while self._pending and self._pending[0][0] <= until:
            ends, number = heapq.heappop(self._pending)
            self._pass(ends)
            self._budget.ended()
            self._ledger[number] = msgspec.structs.replace(
                self._ledger[number], ended_at=self.clock.now(), ended_boot=self.clock.boot()
            )
        self._pass(until)

    def restart(self) -> None:
        """Crash, and start again at once: what was under way stays open in the ledger."""
        self._pending.clear()
        self._budget = Budget(self._limit, self.clock)
        self._budget.restore(self._ledger)

    def reboot(self, back: float) -> None:
        """Start the machine again, with a clock that may have gone back."""
        self.clock.reboot(f"boot at {self.time}")
        self.clock.step(-back)
        self.restart()

    def _pass(self, until: int) -> None:
        self.clock.advance((until - self.time) / SECOND)
        self.time = until

    def most_in_a_window(self) -> int:
        """Count as a strict sliding window does."""
        times = sorted(self.counted)
        per = round(self._limit.per * SECOND)
        return max((sum(start <= one < start + per for one in times) for start in times), default=0)


_go = st.tuples(st.just("go"), st.floats(0, 29.9), st.floats(0, 1))
_advance = st.tuples(st.just("advance"), st.sampled_from([0.001, 0.5, 3.0, 9.9, 10.05, 40.1]))
_restart = st.tuples(st.just("restart"))
_step = st.tuples(st.just("step"), st.floats(-10_000, 10_000))
_reboot = st.tuples(st.just("reboot"), st.sampled_from([0.0, 0.0, 5.0, 1_000.0]))


async def _play(moves: Sequence[tuple[object, ...]]) -> _World:
    world = _World(_SMALL)
    for name, *arguments in moves:
        match name, arguments:
            case "step", [float(seconds)]:
                world.clock.step(seconds)
            case "reboot", [float(back)]:
                world.reboot(back)
            case "restart", _:
                world.restart()
            case "advance", [float(seconds)]:
                world.advance(seconds)
            case "go", [float(latency), float(counted)]:
                world.go(latency, counted)
            case _:
                raise AssertionError(name)
    return world


@settings(max_examples=150)
@given(st.lists(_go | _go | _advance | _restart | _step, min_size=10, max_size=60))
async def test_never_more_than_allowed_in_any_window_of_one_boot(
    moves: list[tuple[object, ...]],
) -> None:
    """Whatever the latency, the restarts and the steps of the clock."""
    world = await _play(moves)
    assert world.most_in_a_window() <= _SMALL.requests


@settings(max_examples=150)
@given(st.lists(_go | _go | _advance | _restart | _reboot, min_size=10, max_size=60))
async def test_never_more_than_allowed_in_any_window_across_reboots(
    moves: list[tuple[object, ...]],
) -> None:
    """Whatever the latency, and however far the clock went back."""
    world = await _play(moves)
    assert world.most_in_a_window() <= _SMALL.requests
