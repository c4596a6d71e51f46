"""The limits of the simulated APIs."""

from pipeline.sandbox.window import CoolingWindow, SlidingWindow
from tests.sandbox.support import Clock


def test_never_more_than_the_limit_in_any_window() -> None:
    """A bucket that refills would let nearly twice the limit through: the sandbox must not."""
    clock = Clock()
    window = SlidingWindow(3, 10.0, clock)
    admitted = []
    for _ in range(200):
        if window.admit() is None:
            admitted.append(clock.now)
        clock.now += 0.7
    assert all(later - first >= 10.0 for first, later in zip(admitted, admitted[3:], strict=False))
    assert len(admitted) >= 200 * 0.7 / 10.7 * 3


def test_a_slot_is_free_exactly_when_the_oldest_request_leaves() -> None:
    """A daemon that waits as long as it must is not refused."""
    clock = Clock()
    window = SlidingWindow(1, 900.0, clock)
    assert window.admit() is None
    clock.now += 899.0
    assert window.admit() == 1.0
    clock.now += 1.0
    assert window.admit() is None


def test_a_refused_request_does_not_count() -> None:
    """Otherwise whoever knocks too often would never be let in again."""
    clock = Clock()
    window = SlidingWindow(2, 10.0, clock)
    for _ in range(2):
        window.admit()
    clock.now += 9.0
    for _ in range(5):
        assert window.admit() is not None
    clock.now += 1.0
    assert window.used() == 0
    assert window.refused == 5
    assert window.peak == 2


def test_after_an_excess_everything_is_refused_until_it_has_cooled_off() -> None:
    """ROLLER punishes an excess with a minute of refusals, also when the window is long free."""
    clock = Clock()
    window = CoolingWindow(2, 60.0, 60.0, clock)
    assert [window.admit(), window.admit()] == [None, None]
    clock.now += 50.0
    assert window.admit() == 60.0
    clock.now += 59.0
    assert window.used() == 0
    assert window.admit() == 1.0
    clock.now += 1.0
    assert window.admit() is None
