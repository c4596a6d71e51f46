"""The shelf that the reports are read from."""

import time

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sandbox.roller.shelf import Shelf

_KEYS = st.integers(0, 5)
_TIMES = st.integers(0, 6).map(float)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _KEYS, _TIMES, st.integers(0, 3)),
        st.tuples(st.just("remove"), _KEYS, st.just(0.0), st.just(0)),
    )
)


@given(steps=_STEPS, start=_TIMES, end=_TIMES)
def test_a_window_holds_what_was_modified_in_it_last(
    steps: list[tuple[str, int, float, int]], start: float, end: float
) -> None:
    """Whatever was put, moved and removed: as a plain search through everything finds it."""
    shelf, plain = Shelf[int, str](), dict[int, tuple[float, int, int]]()
    for number, (what, key, at, rows) in enumerate(steps):
        if what == "put":
            shelf.put(key, f"{number}", at, rows=rows)
            plain[key] = (at, number, rows)
        else:
            shelf.remove(key)
            plain.pop(key, None)
    inside = sorted((at, n, key) for key, (at, n, _) in plain.items() if start <= at < end)
    expected = [(key, f"{n}", row) for _, n, key in inside for row in range(plain[key][2])]
    found = shelf.rows(shelf.window(start, end))
    assert [(key, held.value, row) for key, held, row in found] == expected
    assert set(shelf) == set(plain)


def test_a_record_keeps_the_time_at_which_it_came() -> None:
    """A report shows when it was created, too."""
    shelf = Shelf[str, int]()
    shelf.put("a", 1, 10.0)
    shelf.put("a", 2, 20.0)
    held = shelf.find("a")
    assert held is not None
    assert (held.value, held.created, held.modified) == (2, 10.0, 20.0)


def test_a_page_costs_no_more_when_there_is_a_thousand_times_as_much() -> None:
    """Many pages are read of a large past: none may search through everything."""
    few, many = (_least_time(_filled(rows)) for rows in (300, 300_000))
    # A search through them all takes some hundred times as long.
    assert many < 20 * few


def _filled(rows: int) -> Shelf[int, int]:
    shelf = Shelf[int, int]()
    for number in range(rows):
        shelf.put(number, number, float(number))
    return shelf


def _least_time(shelf: Shelf[int, int]) -> float:
    """CPU time of reading a page, when nothing else came in between."""
    times = []
    for _ in range(30):
        began = time.thread_time()
        places = shelf.window(100.0, 250.0)
        assert len(shelf.rows(places[50:150])) == 100
        times.append(time.thread_time() - began)
    return min(times)
