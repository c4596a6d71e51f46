"""Personal data is taken out of what a peer says."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Guest
from pipeline.redact import printable, private, redact


@pytest.mark.parametrize(
    ("text", "told", "shown"),
    [
        ("nothing personal", ["Anna"], "nothing personal"),
        ("Anna is ANNA is anna", ["Anna"], "… is … is …"),
        ("Annabel and Anna", ["Anna", "Annabel"], "… and …"),
        ("Li is not Line", ["Li"], "… is not Line"),
        ("LI is li", ["Li"], "… is …"),
        ("李明 is blocked", ["明", "李"], "… is blocked"),
        ("liwu is Li Wu", ["Li", "Wu"], "… is … …"),
        ("Zoë Müllerová", ["Zoe\u0308", "Mu\u0308llerova\u0301"], "… …"),
        ("ZOE MULLEROVA", ["Zoë", "Müllerová"], "… …"),
        ("\uff3aoë, Stra\u00adße, STRASSE", ["Zoë", "Straße"], "…, …, …"),
        ("O&#39;Brien, O&amp;#39;Brien, O%27Brien", ["O'Brien"], "…, …, …"),
        ("Ada+Lovelace", ["Ada", "Lovelace"], "…+…"),
        ("ada%40example.com, ada%2540example.com", [], "…, …"),
        ('is "a b"@example.com taken', [], "is … taken"),
        ("anna li wu", ["anna li", "li wu"], "…"),
        ("is 5 - 5", ["5", "-"], "is … - …"),
        ("call 07400/123456, 07400\u2013123456, 07400_123456", [], "call …"),
        ("٠٧٤٠٠١٢٣٤٥٦ or 0 7 4 0 0 1 2 3", [], "… or …"),
        ("12-34.5 is short", ["12345"], "… is short"),
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


@pytest.mark.parametrize("part", ["a", "&amp;", "%2525", "1 ", '"', "\ufdfa", "a@"])
def test_of_a_huge_text_no_more_is_looked_at_than_may_be_shown(part: str) -> None:
    """The event loop would stand still meanwhile."""
    shown = {
        redact(part * count, ["Anna", *private(Guest(customer="c", first=part * count))])
        for count in (10_000, 100_000)
    }
    assert len(shown) == 1


def test_what_stands_where_a_text_is_cut_does_not_show() -> None:
    """Half of a name is a name."""
    for before in range(3950, 4010):
        text = ("a@b.example " * 400)[:before] + " Adalbertine"
        assert "Adal" not in redact(text + " is blocked", ["Adalbertine"])


def test_all_that_a_guest_is_known_by_is_told() -> None:
    """A peer may quote one word of a name, or the e-mail without its domain."""
    guest = Guest(
        customer="c",
        first="Mary-Ann",
        last="O'Brien",
        email="ada.l@example.com",
        phone="07400 123456",
        born=date(1980, 2, 3),
    )
    told = private(guest)
    quoted = "Ann, Brien, MARY, ada.l, +447400123456, 1980-02-03, 03/02/1980, Mary Ann O\u2019Brien"
    assert not re.search("[a-z0-9]{2,}", redact(quoted, told))
    assert private(Guest(customer="c")) == ()
    assert len(private(Guest(customer="c", first="a " * 100_000))) < 100


def test_a_peers_name_for_something_is_one_short_line() -> None:
    """A table of names of 200 kB is none."""
    assert printable("Leeds\n\x1b[31m\u202eOne") == "Leeds  [31m One"
    assert len(printable("x" * 200_000)) == 120


@given(st.text(), st.lists(st.text(min_size=3), max_size=3), st.text())
def test_what_was_told_never_shows(before: str, told: list[str], after: str) -> None:
    """Whatever stands around it."""
    words = [" ".join(one.split()) for one in told]
    words = [word for word in words if len(word) >= 3 and word.isascii()]
    shown = redact(f"{before} {' '.join(words)} {after}", words)
    assert not any(word in shown for word in words)
