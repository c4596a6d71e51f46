"""A guest's details are such as a destination can use, or left out."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contact import contact, e164, email_of, has_grown_up, is_minor
from pipeline.errors import Skip
from pipeline.model import Minor
from tests.unit.made import LONDON, guest


@pytest.mark.parametrize(
    ("raw", "email"),
    [
        ("anna@example.com", "anna@example.com"),
        ("  Anna.B+x@EXAMPLE.Com\t\n", "anna.b+x@example.com"),
        ("anna@müller.de", "anna@müller.de"),
        ("anna@xn--mller-kva.de", "anna@müller.de"),
        ("Jörg@example.com", "jörg@example.com"),
        # o and a combining diaeresis: the same letter, so the same person.
        ("jo\u0308rg@example.com", "jörg@example.com"),
        ("o'neil@example.com", "o'neil@example.com"),
    ],
)
def test_spellings_of_one_address_are_one_person(raw: str, email: str) -> None:
    """The e-mail is the identity: two spellings would be two guests."""
    assert email_of(guest(email=raw)) == email


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "no e-mail"),
        ("", "no e-mail"),
        (" \t", "no e-mail"),
        ("anna", "unusable e-mail"),
        ("anna@", "unusable e-mail"),
        ("anna@example", "unusable e-mail"),
        ("anna@example..com", "unusable e-mail"),
        ("anna@example.com; bea@example.com", "unusable e-mail"),
        ("Anna <anna@example.com>", "unusable e-mail"),
        ("anna@localhost", "unusable e-mail"),
        ("anna@[127.0.0.1]", "unusable e-mail"),
        ("a" * 250 + "@example.com", "unusable e-mail"),
        ("anna\x00@example.com", "unusable e-mail"),
        ("anna@example.com\nBcc: x@example.com", "unusable e-mail"),
    ],
)
def test_a_guest_without_a_usable_email_is_skipped(raw: str | None, reason: str) -> None:
    """Stampede cannot hold one, and the reason is what people look for in the list."""
    with pytest.raises(Skip) as caught:
        email_of(guest(email=raw))
    assert caught.value.reason == reason
    assert caught.value.__cause__ is None, "the library's text quotes the address"


@given(st.emails() | st.text())
def test_normalising_again_changes_nothing(raw: str) -> None:
    """A guest read back from anywhere is still the same person; junk raises nothing but Skip."""
    try:
        once = email_of(guest(email=raw))
    except Skip:
        return
    assert email_of(guest(email=once)) == once
    assert once == once.strip().lower()


@pytest.mark.parametrize(
    ("raw", "country", "number"),
    [
        ("07400 123456", "GB", "+447400123456"),
        ("+44 7400 123456", "SE", "+447400123456"),
        ("0044 7400 123456", "GB", "+447400123456"),
        ("(0)7400-123.456", "GB", "+447400123456"),
        ("07400 123456 ext. 12", "GB", "+447400123456"),
        ("0412 345 678", "AU", "+61412345678"),
        # Guernsey's numbers begin as mobile ones of the mainland do.
        ("07911 123456", "GB", "+447911123456"),
        ("12345678", "GB", None),
        ("555-0143", "US", None),
        ("0000000000", "GB", None),
        ("+44 1", "GB", None),
        ("call me", "GB", None),
        ("-", "GB", None),
        ("", "GB", None),
        (None, "GB", None),
        ("9" * 1_000, "GB", None),
    ],
)
def test_a_phone_number_is_e164_or_left_out(
    raw: str | None, country: str, number: str | None
) -> None:
    """A number that Stampede refuses would lose the whole guest."""
    assert e164(raw, country) == number


@given(st.text())
def test_no_text_breaks_the_reading_of_phone_numbers(raw: str) -> None:
    """ROLLER's field is free text."""
    number = e164(raw, "GB")
    assert number is None or number.startswith("+")


@pytest.mark.parametrize(
    ("born", "today", "minor"),
    [
        (date(2008, 11, 21), date(2026, 11, 20), True),
        (date(2008, 11, 21), date(2026, 11, 21), False),
        (date(2008, 2, 29), date(2026, 2, 28), True),
        (date(2008, 2, 29), date(2026, 3, 1), False),
        (date(2030, 1, 1), date(2026, 11, 21), True),
        (date(1900, 1, 1), date(2026, 11, 21), False),
        (None, date(2026, 11, 21), False),
    ],
    ids=["day before", "18th birthday", "leap day before", "leap day", "future", "old", "unknown"],
)
def test_a_guest_is_a_minor_until_the_eighteenth_birthday(
    born: date | None, today: date, minor: bool
) -> None:
    """Nobody under 18 is marketed to."""
    assert is_minor(guest(born=born), today) is minor


@pytest.mark.parametrize(
    ("waiver", "record", "grown"),
    [
        (None, None, False),
        (date(2008, 11, 21), None, True),
        (date(2008, 11, 22), None, False),
        (None, date(1980, 1, 1), False),
        (None, date(2015, 1, 1), False),
        (date(2008, 11, 21), date(2008, 11, 22), False),
        (date(2008, 11, 22), date(2008, 11, 21), False),
        (date(1990, 1, 1), date(1990, 1, 1), True),
    ],
)
def test_whom_a_waiver_calls_a_minor_is_one_until_a_known_eighteenth_birthday(
    waiver: date | None, record: date | None, grown: bool
) -> None:
    """Nobody grows up by not having a date of birth, by having two, or by their parent's."""
    found = has_grown_up(Minor(born=waiver), guest(born=record), date(2026, 11, 21))
    assert found is grown


def test_blank_names_are_no_names() -> None:
    """An empty name would overwrite one that Stampede has."""
    shown = contact(guest(first="  ", last=" Example "), LONDON)
    assert (shown.first, shown.last) == (None, "Example")


def test_an_unusable_phone_does_not_lose_the_guest() -> None:
    """The e-mail is enough for a guest."""
    shown = contact(guest(phone="ask reception"), LONDON)
    assert (shown.email, shown.phone) == ("anna@example.com", None)
