"""ROLLER's guests are read to the fields that a destination can use, and no further."""

from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Consent, Gender, Guest, GuestConsent
from pipeline.sources.roller.guests import read_guest
from tests.unit.made import NO, UNKNOWN, YES


def _read(**fields: Any) -> Guest:
    found = read_guest("7", msgspec.json.encode({"firstName": "Anna"} | fields))
    assert found is not None
    return found


def test_a_whole_guest_is_read() -> None:
    """The documented answer, with what must not be kept."""
    body = b"""{"firstName":"Anna","lastName":"Example","email":"anna@example.com",
        "phone":"07400 123456","dateOfBirth":"1990-05-31","gender":"Female",
        "acceptMarketing":true,"acceptMarketingSMS":false,"taxIdentificationNumber":"T1",
        "address":{"street":"1 High Street"},"flags":[{"type":"Medical","comment":"asthma"}]}"""
    found = read_guest("7", body)
    assert found == Guest(
        customer="7",
        first="Anna",
        last="Example",
        email="anna@example.com",
        phone="07400 123456",
        gender=Gender.FEMALE,
        born=date(1990, 5, 31),
        consent=GuestConsent(email=YES, sms=NO),
    )
    assert b"asthma" not in msgspec.json.encode(found)


@pytest.mark.parametrize(
    ("raw", "consent"),
    [
        ("true", YES),
        ("  true ", YES),
        ("false", NO),
        ("null", UNKNOWN),
        ('"true"', UNKNOWN),
        ('"yes"', UNKNOWN),
        ("1", UNKNOWN),
        ("{}", UNKNOWN),
    ],
)
@pytest.mark.parametrize(
    "name", ["acceptMarketingSms", "acceptMarketingSMS", "AcceptMarketingSms", "acceptmarketingsms"]
)
def test_consent_to_sms_is_read_in_any_spelling(name: str, raw: str, consent: Consent) -> None:
    """The documentation and the wire differ, and a flag that is missed is a lost opt-out."""
    found = read_guest("7", f'{{"firstName":"A","{name}":{raw}}}'.encode())
    assert found is not None
    assert found.consent == GuestConsent(sms=consent)


def test_absent_consent_is_unknown() -> None:
    """It is neither a yes nor a no."""
    assert _read().consent == GuestConsent(email=UNKNOWN, sms=UNKNOWN)


@pytest.mark.parametrize(
    ("first", "second", "consent"),
    [
        (True, False, NO),
        (False, True, NO),
        (False, None, NO),
        (None, False, NO),
        (True, None, YES),
        (None, True, YES),
    ],
)
def test_of_two_spellings_the_more_careful_one_counts(
    first: bool | None, second: bool | None, consent: Consent
) -> None:
    """ROLLER may come to send both for a while."""
    both = {"acceptMarketingSms": first, "acceptMarketingSMS": second}
    assert _read(**both).consent.sms is consent


@pytest.mark.parametrize(
    ("raw", "gender"),
    [
        ("Male", Gender.MALE),
        ("female", Gender.FEMALE),
        (" Other ", Gender.OTHER),
        ("PreferNotToSay", None),
        ("Martian", None),
        ("", None),
        (None, None),
        (1, None),
    ],
)
def test_gender_is_read_where_it_is_told(raw: object, gender: Gender | None) -> None:
    """Who prefers not to say has said nothing."""
    assert _read(gender=raw).gender is gender


@pytest.mark.parametrize(
    ("raw", "born"),
    [
        ("2010-02-28", date(2010, 2, 28)),
        ("2010-02-28T00:00:00Z", date(2010, 2, 28)),
        ("2010-02-30", None),
        ("", None),
        (None, None),
        (20100228, None),
    ],
)
def test_a_birthday_is_read_where_it_is_a_date(raw: object, born: date | None) -> None:
    """It decides whether somebody is a minor."""
    assert _read(dateOfBirth=raw).born == born


def test_a_field_of_the_wrong_type_is_left_out() -> None:
    """One odd field must not lose the guest."""
    found = _read(lastName=["x"], email={"a": 1}, phone=447400123456, acceptMarketing=True)
    assert (found.first, found.last, found.email, found.phone) == ("Anna", None, None, None)
    assert found.consent.email is YES


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'"guest"', b'{"message":"Guest does not exist"}', b"<html>",
     b'{"firstName":"\xff"}', b'{"flags":' + b"[" * 100_000],
    ids=lambda body: body[:30].decode(errors="replace"),
)  # fmt: skip
def test_what_is_not_a_guest_is_none(body: bytes) -> None:
    """A proxy's page with a 200 must not become a guest without an e-mail."""
    assert read_guest("7", body) is None


@given(st.binary() | st.dictionaries(st.text(), st.text()).map(msgspec.json.encode))
def test_no_answer_breaks_the_reading(body: bytes) -> None:
    """The vendor may answer anything."""
    read_guest("7", body)
