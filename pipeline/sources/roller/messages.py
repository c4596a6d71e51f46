"""Reads ROLLER's webhooks: what is documented, and what is seen on the wire.

The documentation draws `type` and `eventType` as words and the booking flat in `data`; on the wire
both are integers and the booking is in `data.booking`. Both are read, ids as text or integers,
and dates with any number of fraction digits. Fields that we do not use are not looked at, for
ROLLER may add some at any time.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, time
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from pipeline.clock import micros
from pipeline.errors import Unreadable
from pipeline.model import Action, Booking, Envelope, Item, Kind, Phase
from pipeline.money import is_sane
from pipeline.sources.roller.fields import YEARS, Id, decode, id_text, instant

_KINDS = {
    "1": Kind.BOOKING,
    "booking": Kind.BOOKING,
    "3": Kind.REDEMPTION,
    "redemption": Kind.REDEMPTION,
    "4": Kind.CUSTOMER,
    "customer": Kind.CUSTOMER,
    "7": Kind.SIGNED_WAIVER,
    "signedwaiver": Kind.SIGNED_WAIVER,
}
_ACTIONS = {
    "1": Action.CREATED,
    "created": Action.CREATED,
    "2": Action.UPDATED,
    "updated": Action.UPDATED,
    "3": Action.CANCELLED,
    "cancelled": Action.CANCELLED,
    "4": Action.DELETED,
    "deleted": Action.DELETED,
}
_PHASES = {"draft": Phase.DRAFT, "cancelled": Phase.CANCELLED, "deleted": Phase.CANCELLED}
_GONE = {Action.CANCELLED, Action.DELETED}

#: More people than this in one line are a mistake.
_MOST_PEOPLE = 1_000_000


_T = TypeVar("_T")


class _Wrapped(Struct, frozen=True, rename="camel"):
    unique_id: Id = None
    booking_reference: Id = None


class _Data(_Wrapped, frozen=True, rename="camel"):
    booking: _Wrapped | None = None


class _Envelope(Struct, frozen=True, rename="camel"):
    type: str | int
    event_type: str | int | None = None
    id: Id = None
    event_date: str | None = None
    data: _Data | list[Raw] | None = None


class _Ticket(Struct, frozen=True, rename="camel"):
    """A ticket is an id: who holds it is not read, for many who do are minors."""

    ticket_id: Id = None


class _Item(Struct, frozen=True, rename="camel"):
    product_id: Id = None
    quantity: int | None = None
    group_size: int | None = None
    booking_date: str | None = None
    booking_end_date: str | None = None
    session_start_time: str | None = None
    session_end_time: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    tickets: Raw = Raw()


class BookingDetail(Struct, frozen=True, rename="camel"):
    """ROLLER's BookingDetail, as far as we use it."""

    unique_id: Id = None
    booking_reference: Id = None
    created_date: str | None = None
    source: str | None = None
    channel: str | None = None
    status: str | None = None
    customer_id: Id = None
    total: Decimal | None = None
    items: list[_Item] | _Item | UnsetType | None = UNSET


class _Found(Struct, frozen=True):
    bookings: list[BookingDetail] = []


class _FlatMessage(Struct, frozen=True, rename="camel"):
    data: BookingDetail


class _NestedData(Struct, frozen=True):
    booking: BookingDetail


class _NestedMessage(Struct, frozen=True):
    data: _NestedData


_envelope = msgspec.json.Decoder(_Envelope)
_flat = msgspec.json.Decoder(_FlatMessage, strict=False)
_nested = msgspec.json.Decoder(_NestedMessage, strict=False)
_detail = msgspec.json.Decoder(BookingDetail, strict=False)
_search = msgspec.json.Decoder(_Found, strict=False)
_of_item = msgspec.json.Decoder(list[_Ticket] | _Ticket | None)


def read_envelope(body: bytes) -> Envelope:
    """Read the outside of a message; Unreadable says what is wrong and where."""
    found = decode(_envelope, body)
    data = found.data if isinstance(found.data, _Data) else _Data()
    booking = data.booking or data
    kind = _KINDS.get(str(found.type).lower(), Kind.OTHER)
    occurred = instant(found.event_date, "eventDate")
    return Envelope(
        key=id_text(found.id, "id"),
        kind=kind,
        action=_ACTIONS.get(str(found.event_type).lower(), Action.OTHER),
        occurred_at=micros(occurred) if occurred else None,
        booking=id_text(booking.unique_id, "data.booking.uniqueId"),
        reference=id_text(booking.booking_reference, "data.booking.bookingReference"),
    )


def read_booking(body: bytes, action: Action) -> Booking:
    """Read the booking of a booking message; Unreadable says what is wrong and where."""
    envelope = decode(_envelope, body)
    if isinstance(envelope.data, _Data) and envelope.data.booking:
        detail = decode(_nested, body).data.booking
    else:
        detail = decode(_flat, body).data
    return to_booking(detail, gone=action in _GONE)


def read_booking_detail(body: bytes) -> Booking:
    """Read an answer of `GET /bookings/{uniqueId}`; Unreadable says what is wrong and where."""
    return to_booking(decode(_detail, body), gone=False)


def read_search(body: bytes) -> list[Booking]:
    """Read an answer of `GET /bookings?…`; Unreadable says what is wrong and where."""
    return [to_booking(one, gone=False) for one in decode(_search, body).bookings]


def to_booking(detail: BookingDetail, *, gone: bool) -> Booking:
    """Say ROLLER's booking in our words; `gone` when the message itself says it is cancelled."""
    unique_id = id_text(detail.unique_id, "uniqueId")
    if unique_id is None:
        msg = "uniqueId: missing, so the booking cannot be told from others"
        raise Unreadable(msg)
    if detail.total is not None and not is_sane(detail.total):
        msg = "total: not a finite number below 10^12"
        raise Unreadable(msg)
    phase = _PHASES.get((detail.status or "").lower(), Phase.ACTIVE)
    items = [] if detail.items is UNSET else _listed(detail.items)
    return Booking(
        id=unique_id,
        reference=id_text(detail.booking_reference, "bookingReference"),
        customer=id_text(detail.customer_id, "customerId"),
        phase=Phase.CANCELLED if gone and phase is not Phase.DRAFT else phase,
        status=detail.status or None,
        origin=detail.source or None,
        channel=detail.channel or None,
        created_at=instant(detail.created_date, "createdDate"),
        total=detail.total,
        items=tuple(map(_item, items)),
        tickets=_tickets(items),
    )


def _item(item: _Item) -> Item:
    return Item(
        product=id_text(item.product_id, "items.productId"),
        quantity=_people(item.quantity, "items.quantity"),
        group_size=_people(item.group_size, "items.groupSize"),
        first_day=_day(item.booking_date, "items.bookingDate"),
        last_day=_day(item.booking_end_date, "items.bookingEndDate"),
        start=_clock_time(item.session_start_time or item.start_time, "items.sessionStartTime"),
        end=_clock_time(item.session_end_time or item.end_time, "items.sessionEndTime"),
    )


def _tickets(items: Iterable[_Item]) -> tuple[str, ...]:
    """Name the tickets of all items; what cannot be read of them does no harm to the booking."""
    found: dict[str, None] = {}
    for item in items:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unreadable):
            for ticket in _listed(_of_item.decode(item.tickets)) if item.tickets else ():
                found[id_text(ticket.ticket_id, "ticketId") or ""] = None
    found.pop("", None)
    return tuple(found)


def _listed(found: list[_T] | _T | None) -> list[_T]:
    """Give a list also of what comes alone, or not at all."""
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _people(raw: int | None, where: str) -> int | None:
    if raw is not None and abs(raw) > _MOST_PEOPLE:
        msg = f"{where}: not between -{_MOST_PEOPLE} and {_MOST_PEOPLE}"
        raise Unreadable(msg)
    return raw


def _day(raw: str | None, where: str) -> date | None:
    if not raw:
        return None
    try:
        found = date.fromisoformat(raw[:10])
    except ValueError:
        msg = f"{where}: not a date"
        raise Unreadable(msg) from None
    return found if found.year in YEARS else None


def _clock_time(raw: str | None, where: str) -> time | None:
    if not raw:
        return None
    try:
        return time.fromisoformat("00:00" if raw.startswith("24:00") else raw).replace(tzinfo=None)
    except ValueError:
        msg = f"{where}: not a time of day"
        raise Unreadable(msg) from None
