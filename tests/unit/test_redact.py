"""Personal data is taken out of what a peer says."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.redact import redact


@pytest.mark.parametrize(
    ("text", "told", "shown"),
    [
        ("nothing personal", ["Anna"], "nothing personal"),
        ("Anna is ANNA is anna", ["Anna"], "… is … is …"),
        ("Annabel and Anna", ["Anna", "Annabel"], "… and …"),
        ("Li is not Line", ["Li"], "… is not Line"),
        ("Mary\n Ann is taken", ["Mary  Ann"], "… is taken"),
        ("a.b*c", ["a.b*c"], "…"),
        ("all of it", ["", " "], "all of it"),
        ('"bea@example.com" <bea@example.com>', [], '"…" <…>'),
        ("call +44 (7400) 123-456 now", [], "call … now"),
        ("code 400, line 12345", [], "code 400, line 12345"),
        ("tabs\tand\nlines", [], "tabs and lines"),
        ("bell\x07 and \x1b[31m", [], "bell  and  [31m"),
    ],
)
def test_what_is_personal_is_replaced(text: str, told: list[str], shown: str) -> None:
    """Reasons go to logs, lists and alerts."""
    assert redact(text, told) == shown


def test_a_long_text_is_cut() -> None:
    """A stack trace is no sentence."""
    shown = redact("word " * 200)
    assert len(shown) == 300
    assert shown.endswith("…")


def test_a_huge_text_takes_no_time() -> None:
    """The event loop would stand still meanwhile."""
    began = time.perf_counter()
    redact("a" * 1_000_000, ["Anna"])
    assert time.perf_counter() - began < 1.0


@given(st.text(), st.lists(st.text(min_size=3), max_size=3), st.text())
def test_what_was_told_never_shows(before: str, told: list[str], after: str) -> None:
    """Whatever stands around it."""
    words = [" ".join(one.split()) for one in told]
    words = [word for word in words if len(word) >= 3 and "…" not in word]
    shown = redact(f"{before} {' '.join(words)} {after}", words)
    assert not any(word in shown for word in words)
