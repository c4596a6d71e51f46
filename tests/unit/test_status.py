"""The counters add up to the two equations that the document promises."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import DeliveryState, EventState
from pipeline.outbox import Count
from pipeline.status import Unread, some_of, tally

_names = st.sampled_from(["leeds", "york", "stampede"])
_numbers = st.integers(0, 10**9)
_events = st.builds(
    Count,
    what=st.just("event"),
    owner=_names,
    state=st.sampled_from([*map(str, EventState), "duplicates"]),
    n=_numbers,
)
_deliveries = st.builds(
    Count,
    what=st.just("delivery"),
    owner=_names,
    state=st.sampled_from([str(state) for state in DeliveryState]),
    n=_numbers,
)


def test_nothing_is_zero_everywhere() -> None:
    """Scripts read every key from the first second."""
    found = tally([])
    assert found.events == {
        "accepted": 0,
        "waiting": 0,
        "processing": 0,
        "done": 0,
        "parked": 0,
        "ignored": 0,
        "duplicates": 0,
    }
    assert found.deliveries == {
        "created": 0,
        "waiting": 0,
        "sending": 0,
        "delivered": 0,
        "superseded": 0,
        "skipped": 0,
        "parked": 0,
        "dropped": 0,
        "erased": 0,
    }
    assert (found.waiting, found.unfinished) == ({}, 0)


@given(st.lists(_events | _deliveries))
def test_everything_accepted_and_created_is_somewhere(counts: list[Count]) -> None:
    """Nothing is lost, nothing counts twice, and a duplicate is no event."""
    found = tally(counts)
    events, deliveries = dict(found.events), dict(found.deliveries)
    duplicates, accepted, created = (
        events.pop("duplicates"),
        events.pop("accepted"),
        deliveries.pop("created"),
    )
    assert accepted == sum(events.values())
    assert created == sum(deliveries.values())
    assert accepted + duplicates + created == sum(one.n for one in counts)
    assert sum(found.waiting.values()) == deliveries["waiting"] + deliveries["sending"]


def test_what_waits_is_told_by_destination() -> None:
    """Each has its own allowance, and its own estimate."""
    found = tally(
        Count(what="delivery", owner=owner, state=state, n=n)
        for owner, state, n in [
            ("stampede", "waiting", 3),
            ("stampede", "sending", 2),
            ("stampede", "delivered", 9),
            ("spotler", "waiting", 1),
        ]
    )
    assert found.waiting == {"stampede": 5, "spotler": 1}


def test_of_many_parts_that_are_not_read_some_are_told_of() -> None:
    """A night in which ROLLER failed leaves a hundred days out, and each would be a sentence."""
    part = Unread(what="the bookings of x", reason="503", forbidden=False, again_at="y")
    sentence = "the bookings of x are not read: 503; tried again at y"
    assert some_of([part] * 3) == [sentence] * 3
    assert some_of([part] * 5) == [sentence] * 3 + ["2 more parts of its reports are not read"]
    assert some_of([]) == []
