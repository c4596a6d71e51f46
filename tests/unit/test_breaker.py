"""A peer in trouble is probed and not hammered, and one bad item is no trouble."""

import random

import pytest

from pipeline.breaker import Breaker
from pipeline.config import RetryPolicy
from pipeline.settings import Duration
from tests.fakes import FakeClock


@pytest.fixture
def breaker(clock: FakeClock) -> Breaker:
    policy = RetryPolicy(first=Duration(2), max=Duration(60))
    return Breaker(policy, clock, random.Random(1))


def _open(breaker: Breaker) -> None:
    for item in range(5):
        breaker.failed(item)
    assert breaker.is_open


def test_five_different_items_in_a_row_open_it() -> None:
    """Then it is the peer and not an item."""
    breaker = Breaker(RetryPolicy(), FakeClock(), random.Random(1))
    for item in range(4):
        breaker.failed(item)
        assert not breaker.is_open
        assert breaker.wait() == 0
    breaker.failed(4)
    assert breaker.is_open
    assert breaker.wait() > 0


def test_one_item_that_always_fails_does_not_open_it(breaker: Breaker) -> None:
    """A booking that the peer stumbles over must not hold up the others."""
    for _ in range(100):
        breaker.failed(1)
    assert not breaker.is_open


def test_a_success_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    """In a row, that is."""
    for item in range(20):
        breaker.failed(item)
        if item % 4 == 3:
            breaker.succeeded()
    assert not breaker.is_open


def test_a_success_closes_it(breaker: Breaker) -> None:
    """The peer is back."""
    _open(breaker)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.wait() == 0
    breaker.failed(1)
    assert not breaker.is_open, "the count starts anew"


def test_probes_become_rarer_up_to_the_longest_wait(breaker: Breaker, clock: FakeClock) -> None:
    """From `retry.first` doubling to `retry.max`, with jitter."""
    _open(breaker)
    for longest in (2, 4, 8, 16, 32, 60, 60):
        pause = breaker.wait()
        assert longest / 2 <= pause <= longest
        clock.advance(pause)
        assert breaker.wait() == 0
        breaker.probing()
        breaker.failed(1)


def test_only_one_probe_is_under_way(breaker: Breaker, clock: FakeClock) -> None:
    """The others wait for what it finds out."""
    _open(breaker)
    clock.advance(60)
    breaker.probing()
    assert breaker.wait() > 0
    breaker.abandon()
    assert breaker.wait() == 0, "it told nothing, so another may go"


def test_what_was_under_way_when_it_opened_is_no_further_probe(
    breaker: Breaker, clock: FakeClock
) -> None:
    """Eight requests that fail together count as one."""
    _open(breaker)
    first = breaker.wait()
    for item in range(5, 8):
        breaker.failed(item)
    assert breaker.wait() == first


def test_the_peers_own_pause_is_kept(breaker: Breaker, clock: FakeClock) -> None:
    """Retry-After, also when it comes with what was under way."""
    breaker.trip(after=100)
    assert breaker.wait() == 100
    breaker.trip(after=200)
    assert breaker.wait() == 200
    breaker.trip(after=50)
    assert breaker.wait() == 200


def test_a_stepped_clock_neither_shortens_nor_lengthens_the_pause(
    breaker: Breaker, clock: FakeClock
) -> None:
    """NTP must not set the pace."""
    breaker.trip(after=100)
    clock.step(-86_400)
    assert breaker.wait() == 100
    clock.step(2 * 86_400)
    assert breaker.wait() == 100
