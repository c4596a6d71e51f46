"""When work will be done, as far as the allowance decides it."""

import pytest

from pipeline.estimate import Load, Pace, load, seconds
from pipeline.model import DeliveryKind
from pipeline.outbox import Owed

_PACE = {"allowed": 100, "spared": 20, "used": 0, "per_s": 900.0}


@pytest.mark.parametrize(
    ("pace", "urgent", "lesser", "expected"),
    [
        ({}, 0, 0, 0),
        # What is urgent goes at once, while there are slots; then one every 9 s.
        ({}, 100, 0, 0),
        ({}, 101, 0, 9),
        ({"used": 100}, 1, 0, 9),
        ({"used": 40}, 100, 0, 360),
        # The rest is spaced from the first one on.
        ({}, 0, 1, 0),
        ({}, 0, 2, 9),
        ({}, 0, 80, 79 * 9),
        # Beyond what is free, 80 go in a window.
        ({}, 0, 160, 79 * 9 + 900),
        ({"used": 80}, 0, 1, 11.25),
        ({"used": 100}, 0, 80, 900),
        # It goes after what is urgent, and leaves the reserve.
        ({}, 70, 10, 9 * 9),
        ({}, 80, 1, 11.25),
        ({}, 110, 1, 90 + 11.25),
        # A shrunk allowance is slower; and may be overdrawn.
        ({"allowed": 50, "spared": 10}, 51, 0, 18),
        ({"allowed": 50, "spared": 10, "used": 90}, 1, 0, 18),
        # A pause comes before all, also before what could go at once.
        ({"pause_s": 60.0}, 1, 0, 60),
        ({"pause_s": 60.0}, 101, 0, 69),
        ({"used": 100, "next_slot_s": 890.0}, 1, 0, 890),
        ({"used": 100, "next_slot_s": 890.0}, 3, 0, 908),
        ({"used": 100, "next_slot_s": 890.0}, 0, 1, 890),
        # A single slot that is all reserve is a setting nobody can make; it must not divide by 0.
        ({"allowed": 1, "spared": 1}, 0, 2, 900),
    ],
)
def test_the_last_request_leaves_after(
    pace: dict[str, float], urgent: int, lesser: int, expected: float
) -> None:
    """The numbers of Stampede: 100 in 15 minutes, of which 20 are for what is urgent."""
    made = Pace(**{**_PACE, **pace})  # type: ignore[arg-type]
    assert seconds(made, Load(urgent=urgent, lesser=lesser)) == pytest.approx(expected)


def _owed(priority: int, kind: DeliveryKind, n: int) -> Owed:
    return Owed(destination="stampede", priority=priority, kind=kind, n=n)


_OWED = [
    _owed(2, DeliveryKind.GUEST, 10),
    _owed(2, DeliveryKind.BOOKING, 20),
    _owed(5, DeliveryKind.TAG, 30),
    _owed(6, DeliveryKind.BOOKING, 5),
]


def test_a_guest_is_two_requests_and_all_else_one() -> None:
    """Looked up, and then made: a booking of a new guest takes three."""
    assert load(_OWED) == Load(urgent=40, lesser=35)
    assert load([]) == Load()


@pytest.mark.parametrize(
    ("until", "urgent", "lesser"),
    [((1, 0.0), 0, 0), ((2, 0.5), 20, 0), ((5, 0.0), 40, 0), ((5, 0.1), 40, 3), ((6, 0.8), 40, 34)],
)
def test_only_what_goes_before_counts(
    until: tuple[int, float], urgent: float, lesser: float
) -> None:
    """The classes before its own, and such a part of its own."""
    assert load(_OWED, until=until) == Load(urgent=urgent, lesser=lesser)
