"""A failure is the item's or the peer's, and only the item's own ones age it."""

import random

import pytest

from pipeline.clock import SECOND
from pipeline.config import RetryPolicy
from pipeline.errors import (
    LaneFailure,
    NoAnswer,
    NotYet,
    Outdated,
    Reject,
    Retry,
    Skip,
    Throttled,
    TokenRefused,
    Unauthorized,
    Unreachable,
    Unreadable,
)
from pipeline.lane import Fate, Lane, LaneState, Verdict
from tests.fakes import NOON, FakeClock

_DAYS = 86_400 * SECOND


@pytest.fixture
def lane(clock: FakeClock) -> Lane:
    return Lane(RetryPolicy(), clock, random.Random(1))


def _judge(
    lane: Lane, exc: Exception, *, item: int = 1, attempts: int = 0, since: int | None = None
) -> Verdict:
    return lane.judge(exc, item=item, attempts=attempts, first_failure_at=since)


@pytest.mark.parametrize(
    ("exc", "fate", "reason", "own"),
    [
        (Retry("again"), Fate.BACK, "again", True),
        (NoAnswer("silence"), Fate.BACK, "silence", True),
        (NotYet("first the guest"), Fate.BACK, "first the guest", True),
        (Throttled("slow down", after=60), Fate.BACK, "slow down", False),
        (Unreachable("no connection"), Fate.BACK, "no connection", False),
        (TokenRefused("401"), Fate.BACK, "401", False),
        (Unauthorized("wrong secret"), Fate.BACK, "wrong secret", False),
        (LaneFailure("trouble"), Fate.BACK, "trouble", False),
        (Reject("finer than GBP"), Fate.PARK, "finer than GBP", False),
        (Unreadable("total: not finite"), Fate.PARK, "unreadable: total: not finite", False),
        (Skip("minor"), Fate.SKIP, "minor", False),
        (KeyError("anna@example.com"), Fate.BACK, "unexpected KeyError: see the log", True),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_the_exception_says_what_becomes_of_the_item(
    lane: Lane, exc: Exception, fate: Fate, reason: str, own: bool
) -> None:
    """It is the only thing that the worker goes by."""
    verdict = _judge(lane, exc)
    assert (verdict.fate, verdict.reason, verdict.failed) == (fate, reason, own)


def test_an_items_own_failure_makes_it_wait(lane: Lane, clock: FakeClock) -> None:
    """Longer each time, and not before the peer's Retry-After."""
    first = _judge(lane, Retry("again"), attempts=0).due_at - clock.now()
    later = _judge(lane, Retry("again"), attempts=8).due_at - clock.now()
    asked = _judge(lane, Retry("again", after=7200), attempts=0).due_at - clock.now()
    assert 1 * SECOND <= first <= 2 * SECOND
    assert 256 * SECOND <= later <= 512 * SECOND
    assert asked == 7200 * SECOND


def test_a_failure_of_the_lane_makes_no_item_wait(lane: Lane, clock: FakeClock) -> None:
    """When the peer is back it goes on at once, in order."""
    assert _judge(lane, Unreachable("no connection"), attempts=9).due_at == clock.now()


def test_an_item_is_given_up_after_four_days_of_its_own_failures(
    lane: Lane, clock: FakeClock
) -> None:
    """Counted from its first, not from when it came in."""
    young = _judge(lane, Retry("again"), since=clock.now() - 4 * _DAYS + 1)
    old = _judge(lane, Retry("again"), since=clock.now() - 4 * _DAYS)
    assert young.fate is Fate.BACK
    assert (old.fate, old.reason) == (Fate.PARK, "given up: again")


@pytest.mark.parametrize(
    "exc", [Throttled("429"), Unreachable("down"), Unauthorized("no")], ids=str
)
def test_nothing_is_given_up_for_the_lanes_failures(
    lane: Lane, clock: FakeClock, exc: Exception
) -> None:
    """A month's outage parks nothing."""
    assert _judge(lane, exc, since=clock.now() - 30 * _DAYS).fate is Fate.BACK


@pytest.mark.parametrize(
    ("exc", "state"),
    [
        (Throttled("429", after=60), LaneState.THROTTLED),
        (Unauthorized("wrong secret"), LaneState.UNAUTHORIZED),
        (Unreachable("no connection"), LaneState.DOWN),
        (LaneFailure("trouble"), LaneState.DOWN),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_the_lanes_trouble_is_shown_until_a_success(
    lane: Lane, exc: Exception, state: LaneState
) -> None:
    """`status` tells the person what to mend."""
    _judge(lane, exc)
    assert (lane.state, lane.last_error) == (state, str(exc))
    assert lane.breaker.wait() > 0
    lane.succeeded()
    assert (lane.state, lane.last_error, lane.breaker.wait()) == (LaneState.UP, None, 0)


@pytest.mark.parametrize(
    ("exc", "state", "reason"),
    [
        (Unauthorized("wrong secret"), LaneState.UNAUTHORIZED, "wrong secret"),
        (Throttled("429", after=60), LaneState.THROTTLED, "429"),
        (NoAnswer("silence"), LaneState.DOWN, "silence"),
        (Reject("404"), LaneState.DOWN, "404"),
        (Unreadable("odd"), LaneState.DOWN, "odd"),
        (KeyError("anna@example.com"), LaneState.DOWN, "unexpected KeyError: see the log"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_what_met_no_item_is_the_lanes_and_waits_longer_each_time(
    lane: Lane, clock: FakeClock, exc: Exception, state: LaneState, reason: str
) -> None:
    """A token that cannot be had, or a mistake of ours: it must neither end nor spin."""
    waits = []
    for _ in range(3):
        assert lane.stumbled(exc).reason == reason
        waits.append(lane.breaker.wait())
        clock.advance(waits[-1])
    assert (lane.state, lane.last_error) == (state, reason)
    assert waits == sorted(waits)
    assert waits[0] >= 1


def test_a_refused_token_that_met_no_item_does_not_hold_the_probe(
    lane: Lane, clock: FakeClock
) -> None:
    """Nothing would go until a probe has ended that is not under way."""
    _judge(lane, Unreachable("no connection"))
    clock.advance(lane.breaker.wait())
    lane.stumbled(TokenRefused("401"))
    assert lane.breaker.wait() == 0


def test_the_first_refused_token_costs_nothing(lane: Lane) -> None:
    """Tokens end; a fresh one cures it."""
    _judge(lane, TokenRefused("401"))
    assert (lane.state, lane.breaker.wait()) == (LaneState.UP, 0)


def test_a_fresh_token_that_is_refused_too_is_the_credentials(lane: Lane) -> None:
    """It would go round at the speed of the network."""
    _judge(lane, TokenRefused("401"))
    _judge(lane, TokenRefused("401"))
    assert lane.state is LaneState.UNAUTHORIZED
    assert lane.breaker.wait() > 0


def test_late_refusals_of_a_token_that_is_gone_do_not_count(lane: Lane) -> None:
    """Eight requests were under way with it."""
    _judge(lane, TokenRefused("401"))
    for item in range(7):
        _judge(lane, TokenRefused("401", late=True), item=item)
    assert lane.state is LaneState.UP


def test_tokens_may_end_once_between_successes(lane: Lane) -> None:
    """Every day, for years."""
    for _ in range(10):
        _judge(lane, TokenRefused("401"))
        assert lane.state is LaneState.UP
        lane.succeeded()


def test_failures_of_many_items_are_the_lanes(lane: Lane) -> None:
    """Five in a row."""
    for item in range(5):
        _judge(lane, Retry("500"), item=item)
    assert (lane.state, lane.last_error) == (LaneState.DOWN, "500")


@pytest.mark.parametrize("exc", [NotYet("the venue is not known"), KeyError("x"), Reject("400")])
def test_what_is_not_the_peers_fault_leaves_the_lane_open(lane: Lane, exc: Exception) -> None:
    """Our own mistakes and unknown venues must not stop the rest."""
    for item in range(20):
        _judge(lane, exc, item=item)
    assert (lane.state, lane.breaker.wait()) == (LaneState.UP, 0)


def test_the_wait_of_a_throttled_lane_is_what_the_peer_asked_for(lane: Lane) -> None:
    """Its Retry-After is a floor."""
    _judge(lane, Throttled("429", after=120))
    assert lane.breaker.wait() == 120


def test_an_item_whose_source_cannot_be_asked_waits_and_does_not_age(lane: Lane) -> None:
    """Its destination is well, and it is the source that is in trouble."""
    verdict = _judge(lane, Outdated("ROLLER answered 500", after=60), attempts=9, since=0)
    assert (verdict.fate, verdict.failed) == (Fate.BACK, False)
    assert verdict.due_at == NOON + 60 * SECOND
    assert (lane.state, lane.last_error) == (LaneState.UP, None)
