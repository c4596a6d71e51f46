"""ROLLER's messages about people are read however they are wrapped, and nothing of them is kept."""

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import micros
from pipeline.errors import Unreadable
from pipeline.model import Kind
from pipeline.notice import Redeemed, Waived
from pipeline.sources.roller.messages import read_booking, read_envelope, read_search
from pipeline.sources.roller.notices import names, read_customer, read_redeemed, read_waived, shrink
from tests.unit.test_roller_messages import _DETAIL

#: As documented, with what must not be kept.
_CUSTOMER = {
    "customerId": 15617281,
    "firstName": "Marker",
    "email": "marker@example.com",
    "flags": [{"type": "Medical", "comment": "Marker"}],
}
_REDEMPTION = {
    "redemptionDate": "2026-05-31T18:31:02Z",
    "ticketHolderName": "Marker",
    "ticketId": "T-1",
    "photoUrl": "https://example.com/Marker.jpg",
    "quantityRedeemed": 1,
    "customerId": 15617281,
    "customerFlags": [{"type": "Medical", "comment": "Marker"}],
}
_ADULT = {
    "signedWaiverId": 1, "waiverId": 13, "firstName": "Marker", "guestId": 5,
    "dateOfBirth": "1985-05-17", "email": "marker@example.com", "isForMinor": False,
    "createdDate": "2026-05-31T18:31:02.1234567Z",
}  # fmt: skip
_CHILD = {
    "signedWaiverId": 2, "parentSignedWaiverId": 1, "waiverId": 13, "firstName": "Marker",
    "guestId": 6, "dateOfBirth": "2015-02-28", "isForMinor": True,
    "createdDate": "2026-05-31T18:31:02.1234567Z",
}  # fmt: skip

_TYPES = {Kind.CUSTOMER: 4, Kind.REDEMPTION: 3, Kind.SIGNED_WAIVER: 7}


def _message(data: object, kind: Kind = Kind.CUSTOMER) -> bytes:
    outside = {"id": "e7", "type": _TYPES[kind], "eventType": 2, "eventDate": "2026-05-31T00:00Z"}
    return msgspec.json.encode(outside | {"data": data})


@pytest.mark.parametrize(
    "data",
    [
        {"customer": _CUSTOMER},
        {"guest": _CUSTOMER},
        _CUSTOMER,
        [_CUSTOMER],
        {"Customer": [_CUSTOMER]},
        {"customer": {"customerId": " 15617281 "}},
        {"guest": {"guestId": "15617281", "id": 7}},
        {"guest": {"id": 15617281}},
    ],
)
def test_a_customer_is_named_however_the_message_is_wrapped(data: object) -> None:
    """Nobody has seen one of these messages on the wire."""
    assert read_customer(_message(data)) == "15617281"


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        ({"customer": {"firstName": "Marker"}}, "data.customer.customerId: missing"),
        ({"customer": {"customerId": None}}, "data.customer.customerId: missing"),
        ({"firstName": "Marker"}, "data.customerId: missing"),
        ({}, "data.customerId: missing"),
        (None, "Expected object, got null - at data[0]"),
        ({"customer": {"customerId": ["Marker"]}}, "Expected int | str | null, got array"),
        ({"guest": {"customerId": ".."}}, "data.guest.customerId: not an id"),
        ({"customers": [_CUSTOMER, {"customerId": 2}]}, "data.customers.customerId: more than one"),
        ({"customers": []}, "data.customers: empty"),
        ("Marker", "Expected object, got str - at data[0]"),
    ],
)
def test_a_message_that_names_no_customer_says_where_it_should(data: object, trouble: str) -> None:
    """A person looks at it, and must not be shown whom it is about."""
    with pytest.raises(Unreadable) as caught:
        read_customer(_message(data))
    assert str(caught.value).startswith(trouble)
    assert "Marker" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        {"redemptions": [_REDEMPTION]},
        {"redemptions": _REDEMPTION},
        {"redemption": _REDEMPTION},
        [_REDEMPTION],
        _REDEMPTION,
        {"redemptions": [_REDEMPTION, {"ticketId": None}]},
    ],
)
def test_redeemed_tickets_are_read_however_they_are_wrapped(data: object) -> None:
    """One or many: the till sends what it has every 15 seconds."""
    at = micros(datetime(2026, 5, 31, 18, 31, 2, tzinfo=UTC))
    assert read_redeemed(_message(data, Kind.REDEMPTION)) == (Redeemed(ticket="T-1", at=at),)


def test_a_ticket_may_be_a_number_and_its_date_missing() -> None:
    """Ids are text or numbers, and then the message's own date counts."""
    data = {"redemptions": [{"ticketId": 77}, {"ticketId": "T-2", "redemptionDate": ""}]}
    assert read_redeemed(_message(data, Kind.REDEMPTION)) == (
        Redeemed(ticket="77"),
        Redeemed(ticket="T-2"),
    )


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        ({"redemptions": []}, "data.redemptions: empty"),
        ({"redemptions": [{"customTicketId": "Marker"}]}, "data.redemptions.ticketId: missing"),
        ({"redemptions": [{"ticketId": "T", "redemptionDate": "Marker"}]},
         "data.redemptions.redemptionDate: not an ISO 8601 date and time"),
        ({"redemptions": ["Marker"]}, "Expected object, got str - at data.redemptions[0]"),
    ],
)  # fmt: skip
def test_a_redemption_without_a_ticket_says_where_it_should_be(data: object, trouble: str) -> None:
    """Likewise."""
    with pytest.raises(Unreadable) as caught:
        read_redeemed(_message(data, Kind.REDEMPTION))
    assert str(caught.value).startswith(trouble)
    assert "Marker" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        [_ADULT, _CHILD],
        {"signedWaivers": [_ADULT, _CHILD]},
        {"signedWaiver": [_ADULT, _CHILD]},
        {"waivers": [_ADULT, _CHILD]},
    ],
)
def test_waivers_tell_who_is_a_minor_however_they_are_wrapped(data: object) -> None:
    """One message has the adult and all for whom they signed."""
    assert read_waived(_message(data, Kind.SIGNED_WAIVER)) == (
        Waived(customer="5", is_for_minor=False, born=date(1985, 5, 17)),
        Waived(customer="6", is_for_minor=True, born=date(2015, 2, 28)),
    )


@pytest.mark.parametrize(
    ("fields", "waived"),
    [
        ({"guestId": None}, Waived(customer=None, is_for_minor=True, born=date(2015, 2, 28))),
        ({"guestId": None, "customerId": "8"},
         Waived(customer="8", is_for_minor=True, born=date(2015, 2, 28))),
        ({"dateOfBirth": None}, Waived(customer="6", is_for_minor=True)),
        ({"dateOfBirth": "soon"}, Waived(customer="6", is_for_minor=True)),
        ({"dateOfBirth": "2015-02-28T00:00:00Z", "isForMinor": "True"},
         Waived(customer="6", is_for_minor=True, born=date(2015, 2, 28))),
        ({"isForMinor": 1}, Waived(customer="6", is_for_minor=True, born=date(2015, 2, 28))),
        ({"isForMinor": "false", "parentSignedWaiverId": None},
         Waived(customer="6", is_for_minor=False, born=date(2015, 2, 28))),
        # What is not clear counts as a minor's, and what belongs to an adult's waiver too.
        ({"isForMinor": "false"}, Waived(customer="6", is_for_minor=True, born=date(2015, 2, 28))),
        ({"isForMinor": None}, Waived(customer="6", is_for_minor=True, born=date(2015, 2, 28))),
        ({"isForMinor": []}, Waived(customer="6", is_for_minor=True, born=date(2015, 2, 28))),
    ],
)  # fmt: skip
def test_a_single_waiver_is_read_with_what_is_there(fields: Any, waived: Waived) -> None:
    """A minor without a date of birth, or with a strange one, is a minor all the same."""
    assert read_waived(_message(_CHILD | fields, Kind.SIGNED_WAIVER)) == (waived,)


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        ([], "data: empty"),
        ([{"guestId": 6}], "data.isForMinor: missing"),
        ({"signedWaivers": [_CHILD | {"guestId": "\n6"}, _CHILD | {"guestId": "a\nb"}]},
         "data.signedWaivers.guestId: not an id"),
        ([_CHILD | {"waiverId": []}], "Expected int | str | null, got array"),
    ],
)  # fmt: skip
def test_a_waiver_that_tells_nothing_says_where_it_should(data: object, trouble: str) -> None:
    """A minor whom nobody knows as one would be told of."""
    with pytest.raises(Unreadable) as caught:
        read_waived(_message(data, Kind.SIGNED_WAIVER))
    assert str(caught.value).startswith(trouble)


@pytest.mark.parametrize(
    ("kind", "data", "read"),
    [
        (Kind.CUSTOMER, {"guest": _CUSTOMER}, read_customer),
        (Kind.REDEMPTION, {"redemptions": [_REDEMPTION, _REDEMPTION]}, read_redeemed),
        (Kind.SIGNED_WAIVER, [_ADULT, _CHILD], read_waived),
        (Kind.SIGNED_WAIVER, [_CHILD | {"expiryDate": "Marker"}], read_waived),
    ],
)
def test_what_is_left_of_a_message_reads_the_same(kind: Kind, data: object, read: Any) -> None:
    """It may be read again after a crash, or when a person retries it."""
    body = _message(data, kind)
    left = shrink(kind, body)
    assert b"arker" not in left
    assert read(left) == read(body)
    assert read_envelope(left) == read_envelope(body)
    assert shrink(kind, left) == left, "it is the same however often that happens"


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(_message))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    """A message that nobody can read is parked, and crashes nothing."""
    for read in (read_customer, read_redeemed, read_waived):
        with suppress(Unreadable):
            assert read(body)


def _booked(**item: object) -> bytes:
    made = _DETAIL | {"items": [_DETAIL["items"][0] | item]}
    return msgspec.json.encode({"type": 1, "eventType": 1, "data": {"booking": made}})


@pytest.mark.parametrize(
    ("tickets", "ids"),
    [
        ([{"ticketId": "T-1", "ticketHolderName": "Marker"}, {"ticketId": 2}], ("T-1", "2")),
        ({"ticketId": "T-1"}, ("T-1",)),
        ([{"ticketId": "T-1"}, {"ticketId": "T-1"}, {"ticketId": None}, {}], ("T-1",)),
        (None, ()),
        ([{"ticketId": {"Marker": 1}}], ()),
        ("Marker", ()),
    ],
)
def test_of_tickets_a_booking_has_the_ids_and_not_who_holds_them(
    tickets: object, ids: tuple[str, ...]
) -> None:
    """Many who hold them are minors; and a strange ticket must not keep a booking from going."""
    booking = read_booking(_booked(tickets=tickets), read_envelope(_booked()).action)
    assert booking.tickets == ids
    assert "Marker" not in repr(booking)


def test_the_search_for_a_ticket_gives_bookings_with_their_tickets() -> None:
    """It finds also what is merely similar, so the tickets decide."""
    one = _DETAIL | {"items": [{"tickets": [{"ticketId": "T-1"}]}], "status": "PaidFull"}
    [found] = read_search(msgspec.json.encode({"bookings": [one]}))
    assert (found.id, found.tickets) == ("b4fd0fef", ("T-1",))
    assert read_search(b"{}") == []


@pytest.mark.parametrize(
    ("body", "is_named"),
    [
        (b'{"customerId": 1000002, "name"', True),
        (b'{"data":{"guestId":"1000002"', True),
        (b'"bookingCustomerID" :1000002}', True),
        (b'{"customer":{"id":" 1000002 ","name"', True),
        (b'{"customerPaid": 1000002, "guestFlagId": 1000002}', False),
        (b'{"customerId": 10000021}', False),
        (b'{"customerId": 21000002}', False),
        (b'{"bookingReference": 1000002, "customerId": 7}', False),
    ],
)
def test_what_cannot_be_read_is_searched_for_whom_it_names(body: bytes, *, is_named: bool) -> None:
    """Whoever is to be forgotten stands in what was kept as it came, too."""
    assert names(body, "1000002") is is_named
