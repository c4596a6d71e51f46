"""What people are shown names no guest."""

from datetime import date

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.mask import Mask
from pipeline.model import Request
from tests.unit.made import guest


def test_each_value_gives_way_to_a_word_that_says_what_it_was() -> None:
    """Whoever checks a mapping must still see that the phone is in the phone's field."""
    mask = Mask(guest(born=date(1990, 1, 31)), "GB")
    body = {
        "contact": {"mail": "anna@example.com", "called": ["Anna", "Example", "Anna Example"]},
        "phone": "+447400123456",
        "raw": "07400 123456",
        "born": "1990-01-31",
        "party": 3,
        "vip": None,
    }
    hidden = mask.request(
        Request(method="PUT", path="/people/anna@example.com/x", body=msgspec.json.encode(body))
    )
    assert msgspec.json.decode(hidden.body) == {
        "contact": {
            "mail": "<e-mail>",
            "called": ["<first name>", "<last name>", "<first name> <last name>"],
        },
        "phone": "<phone>",
        "raw": "<phone>",
        "born": "<date of birth>",
        "party": 3,
        "vip": None,
    }
    assert (hidden.method, hidden.path) == ("PUT", "/people/<e-mail>/x")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("ANNA", "<first name>"),
        ("for Anna's birthday", "for <first name>'s birthday"),
        ("write to somebody.else@example.com", "write to <e-mail>"),
        ("Anna@Example.COM", "<e-mail>"),
        ("Online", "Online"),
        ("2026-07-04T18:30:00+01:00", "2026-07-04T18:30:00+01:00"),
    ],
)
def test_it_is_hidden_wherever_it_stands(text: str, hidden: str) -> None:
    """A name in a field that is not made for names is still a name; a date is none."""
    assert Mask(guest(), "GB").text(text) == hidden


def test_a_short_name_does_not_blacken_other_words() -> None:
    """A preview full of holes could not be read."""
    mask = Mask(guest(first="Al", last="O"), "GB")
    assert mask.text("Al O") == "<first name> <last name>"
    assert mask.text("also Online") == "also Online"


def test_a_name_that_is_one_of_our_words_leaves_them_whole() -> None:
    """One letter suffices: <e-mail> has an e of its own."""
    for first, last in (("E", "Mail"), ("Name", "First"), ("e", "Phone")):
        mask = Mask(guest(first=first, last=last), "GB")
        text = f"{first} {last}, anna@example.com, +447400123456, {first}"
        assert mask.text(text) == "<first name> <last name>, <e-mail>, <phone>, <first name>"


def test_without_a_guest_only_addresses_are_hidden() -> None:
    """There may be none, and still an address in what the source says."""
    assert Mask(None, "").text("Anna, anna@example.com") == "Anna, <e-mail>"


def test_an_empty_name_hides_nothing() -> None:
    """An empty pattern would be found everywhere."""
    assert Mask(guest(first=" ", last=None, phone=""), "GB").text("Online") == "Online"


@example(name="Groß", around="")
@given(
    name=st.text(st.characters(categories=["L", "M"]), min_size=3),
    around=st.text(st.characters(categories=["N", "P", "S", "Z"])),
)
def test_a_name_in_any_script_is_hidden_in_any_text(name: str, around: str) -> None:
    """People are called what they are called; a folded sharp s, for one, is two letters."""
    assume(name not in "<first name><e-mail>")
    mask = Mask(guest(first=name, last=None, email=None, phone=None), "GB")
    assert name not in mask.text(f"{around}{name}{around}")


def test_a_long_text_is_read_in_no_time() -> None:
    """A pattern that takes quadratic time would take minutes over this."""
    assert Mask(guest(), "GB").text("@" + "a" * 1_000_000) == "<e-mail>"
