"""Reads rows of ROLLER's reports, and only the fields that are used.

They have other names than its REST interface: ids are text, a phone is a contact number, a
booking has a row for each of its items.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Raw, Struct

from pipeline.clock import micros
from pipeline.errors import Unreadable
from pipeline.reports import Reported, ReportedBooking, ReportedGuest, ReportedMinor
from pipeline.sources.roller.fields import Id, day, decode, id_text, instant
from pipeline.sources.roller.guests import read_guest
from pipeline.sources.roller.messages import BookingDetail, to_booking
from pipeline.sources.roller.minors import is_for_minor

#: `bookingLocation` in place of `channel`; what has the same name in both is not here.
_CHANNELS = {
    "Doorlist": "POS",
    "Consumer": "Online",
    "Forms": "Online",
    "SelfServe": "SSK",
    "ChannelPartners": "Marketplaces",
}


class _BookingItem(Struct, frozen=True, rename="camel"):
    booking_unique_id: Id
    booking_modified_date: str
    booking_reference: Id = None
    booking_customer_id: Id = None
    booking_status: str | None = None
    booking_location: str | None = None
    booking_created_date: str | None = None
    booking_total: Decimal | None = None
    product_id: Id = None
    quantity: int | None = None
    group_size: int | None = None
    booking_date: str | None = None
    booking_end_date: str | None = None
    session_start: str | None = None
    session_end: str | None = None


class _Customer(Struct, frozen=True, rename="camel"):
    customer_id: Id
    modified_date: str


class _Waiver(Struct, frozen=True, rename="camel"):
    signed_waiver_id: Any = None
    parent_signed_waiver_id: Any = None
    customer_id: Id = None
    #: The name in messages.
    guest_id: Id = None
    date_of_birth: Any = None
    is_for_minor: Any = None


_item = msgspec.json.Decoder(_BookingItem, strict=False)
_customer = msgspec.json.Decoder(_Customer)
_waiver = msgspec.json.Decoder(_Waiver)
_encode = msgspec.json.encode


def read_bookings(rows: Iterable[Raw]) -> tuple[list[Reported], int]:
    """Group the items of a page to bookings; tell also how many cannot be read.

    `bookingTotal` is the booking's, and stands in each of its rows.
    """
    items: list[_BookingItem] = []
    unreadable = 0
    for row in rows:
        try:
            items.append(decode(_item, bytes(row)))
        except Unreadable:
            unreadable += 1
    found: list[Reported] = []
    for _, some in groupby(items, key=lambda item: item.booking_unique_id):
        of_one = list(some)
        try:
            found.append(_booking(of_one))
        except Unreadable:
            unreadable += len(of_one)
    return found, unreadable


def read_customers(rows: Iterable[Raw]) -> tuple[list[Reported], int]:
    """Read the customers of a page."""
    found: list[Reported] = []
    unreadable = 0
    for row in rows:
        try:
            found.append(_guest(bytes(row)))
        except Unreadable:
            unreadable += 1
    return found, unreadable


def read_minors(rows: Iterable[Raw]) -> tuple[list[Reported], int]:
    """Read for which minors a waiver was signed, as far as ROLLER has a record of them."""
    found: list[Reported] = []
    unreadable = 0
    for row in rows:
        try:
            minor = _minor(bytes(row))
        except Unreadable:
            unreadable += 1
            continue
        if minor is not None:
            found.append(minor)
    return found, unreadable


def customer_message(customer: str) -> bytes:
    """Write the message of a change of this customer, as short as one can be."""
    told = {"type": "Customer", "eventType": "Updated", "data": {"customerId": customer}}
    return _encode(told)


def _booking(items: Sequence[_BookingItem]) -> ReportedBooking:
    first = items[0]
    location = first.booking_location
    fields = {
        "uniqueId": first.booking_unique_id,
        "bookingReference": first.booking_reference,
        "createdDate": first.booking_created_date,
        "channel": _CHANNELS.get(location or "", location),
        "status": first.booking_status,
        "customerId": first.booking_customer_id,
        "total": first.booking_total,
        "items": [_item_fields(item) for item in items],
    }
    detail = msgspec.convert(fields, BookingDetail)
    # The newest, should somebody have changed the booking while the rows were gathered.
    modified = max(_modified(item.booking_modified_date) for item in items)
    return ReportedBooking(booking=to_booking(detail, gone=False), modified_at=modified)


def _item_fields(item: _BookingItem) -> dict[str, Any]:
    return {
        "productId": item.product_id,
        "quantity": item.quantity,
        "groupSize": item.group_size,
        "bookingDate": item.booking_date,
        "bookingEndDate": item.booking_end_date,
        "sessionStartTime": _time_of_day(item.session_start),
        "sessionEndTime": _time_of_day(item.session_end),
    }


def _time_of_day(raw: str | None) -> str | None:
    """Take a time of day; a moment may be meant in UTC or not, so it tells nothing."""
    return None if raw is None or "T" in raw else raw


def _guest(row: bytes) -> ReportedGuest:
    fields = decode(_customer, row)
    customer = id_text(fields.customer_id, "customerId")
    guest = None if customer is None else read_guest(customer, row)
    if guest is None:
        msg = "customerId: missing"
        raise Unreadable(msg)
    return ReportedGuest(guest=guest, modified_at=_modified(fields.modified_date))


def _minor(row: bytes) -> ReportedMinor | None:
    fields = decode(_waiver, row)
    customer = id_text(fields.customer_id, "customerId") or id_text(fields.guest_id, "guestId")
    if customer is None or not is_for_minor(fields):
        return None
    return ReportedMinor(customer=customer, born=day(fields.date_of_birth))


def _modified(raw: str) -> int:
    found = instant(raw, "modifiedDate")
    if found is None:
        msg = "modifiedDate: not a time"
        raise Unreadable(msg)
    return micros(found)
