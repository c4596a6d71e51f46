"""Waits double, spread, and are never shorter than what the peer asked for."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backoff import wait
from pipeline.clock import SECOND
from pipeline.config import RetryPolicy

_POLICY = RetryPolicy()  # 2 s, doubling to an hour


@pytest.mark.parametrize(
    ("attempt", "longest"),
    [(1, 2), (2, 4), (3, 8), (10, 1024), (11, 2048), (12, 3600), (13, 3600), (10_000, 3600)],
)
def test_a_wait_doubles_up_to_the_longest(attempt: int, longest: float) -> None:
    """A peer that is down for an hour is not asked a thousand times."""
    waits = [
        wait(_POLICY, attempt, floor=None, dice=random.Random(seed)) / SECOND for seed in range(200)
    ]
    assert longest / 2 <= min(waits) < longest * 0.6
    assert longest * 0.9 < max(waits) <= longest


@given(st.integers(1, 10**6), st.none() | st.floats(0, 86_400), st.integers())
def test_jitter_never_shortens_what_the_peer_asked_for(
    attempt: int, floor: float | None, seed: int
) -> None:
    """Coming back early is the one thing that it forbade."""
    found = wait(_POLICY, attempt, floor=floor, dice=random.Random(seed))
    assert found >= round((floor or 0) * SECOND)
    assert found <= round(max(_POLICY.max, floor or 0) * SECOND)
    assert found >= _POLICY.first / 2 * SECOND
