"""Reads ROLLER's webhooks: what is documented, and what is seen on the wire.

The documentation draws `type` and `eventType` as words and the booking flat in `data`; on the wire
both are integers and the booking is in `data.booking`. Both are read, ids as text or integers,
and dates with any number of fraction digits. Fields that we do not use are not looked at, for
ROLLER may add some at any time.
"""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from pipeline.clock import micros
from pipeline.errors import Unreadable
from pipeline.model import Action, Booking, Envelope, Item, Kind, Phase
from pipeline.money import is_sane

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

#: An id longer than this is none of ROLLER's; it would only bloat indexes and paths.
LONGEST_ID = 128

#: Years that a date can be meant in. ROLLER runs on .NET, where 0001-01-01 and 9999-12-31 stand
#: for no date; reckoning with them leaves the calendar.
_YEARS = range(1970, 9999)

#: More people than this in one line are a mistake.
_MOST_PEOPLE = 1_000_000

_Id = str | int | None
_T = TypeVar("_T")


class _Wrapped(Struct, frozen=True, rename="camel"):
    unique_id: _Id = None
    booking_reference: _Id = None


class _Data(_Wrapped, frozen=True, rename="camel"):
    booking: _Wrapped | None = None


class _Envelope(Struct, frozen=True, rename="camel"):
    type: str | int
    event_type: str | int | None = None
    id: _Id = None
    event_date: str | None = None
    data: _Data | list[Raw] | None = None


class _Item(Struct, frozen=True, rename="camel"):
    product_id: _Id = None
    quantity: int | None = None
    group_size: int | None = None
    booking_date: str | None = None
    booking_end_date: str | None = None
    session_start_time: str | None = None
    session_end_time: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class BookingDetail(Struct, frozen=True, rename="camel"):
    """ROLLER's BookingDetail, as far as we use it."""

    unique_id: _Id = None
    booking_reference: _Id = None
    created_date: str | None = None
    source: str | None = None
    channel: str | None = None
    status: str | None = None
    customer_id: _Id = None
    total: Decimal | None = None
    items: list[_Item] | _Item | UnsetType | None = UNSET


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


def read_envelope(body: bytes) -> Envelope:
    """Read the outside of a message; Unreadable says what is wrong and where."""
    found = _decode(_envelope, body)
    data = found.data if isinstance(found.data, _Data) else _Data()
    booking = data.booking or data
    kind = _KINDS.get(str(found.type).lower(), Kind.OTHER)
    occurred = _instant(found.event_date, "eventDate")
    return Envelope(
        key=_text(found.id, "id"),
        kind=kind,
        action=_ACTIONS.get(str(found.event_type).lower(), Action.OTHER),
        occurred_at=micros(occurred) if occurred else None,
        booking=_text(booking.unique_id, "data.booking.uniqueId"),
        reference=_text(booking.booking_reference, "data.booking.bookingReference"),
    )


def read_booking(body: bytes, action: Action) -> Booking:
    """Read the booking of a booking message; Unreadable says what is wrong and where."""
    envelope = _decode(_envelope, body)
    if isinstance(envelope.data, _Data) and envelope.data.booking:
        detail = _decode(_nested, body).data.booking
    else:
        detail = _decode(_flat, body).data
    return to_booking(detail, gone=action in _GONE)


def read_booking_detail(body: bytes) -> Booking:
    """Read an answer of `GET /bookings/{uniqueId}`; Unreadable says what is wrong and where."""
    return to_booking(_decode(_detail, body), gone=False)


def to_booking(detail: BookingDetail, *, gone: bool) -> Booking:
    """Say ROLLER's booking in our words; `gone` when the message itself says it is cancelled."""
    unique_id = _text(detail.unique_id, "uniqueId")
    if unique_id is None:
        msg = "uniqueId: missing, so the booking cannot be told from others"
        raise Unreadable(msg)
    if detail.total is not None and not is_sane(detail.total):
        msg = "total: not a finite number below 10^12"
        raise Unreadable(msg)
    phase = _PHASES.get((detail.status or "").lower(), Phase.ACTIVE)
    items = () if detail.items is UNSET or detail.items is None else detail.items
    return Booking(
        id=unique_id,
        reference=_text(detail.booking_reference, "bookingReference"),
        customer=_text(detail.customer_id, "customerId"),
        phase=Phase.CANCELLED if gone and phase is not Phase.DRAFT else phase,
        status=detail.status or None,
        origin=detail.source or None,
        channel=detail.channel or None,
        created_at=_instant(detail.created_date, "createdDate"),
        total=detail.total,
        items=tuple(map(_item, items if isinstance(items, list | tuple) else [items])),
    )


def _item(item: _Item) -> Item:
    return Item(
        product=_text(item.product_id, "items.productId"),
        quantity=_people(item.quantity, "items.quantity"),
        group_size=_people(item.group_size, "items.groupSize"),
        first_day=_day(item.booking_date, "items.bookingDate"),
        last_day=_day(item.booking_end_date, "items.bookingEndDate"),
        start=_clock_time(item.session_start_time or item.start_time, "items.sessionStartTime"),
        end=_clock_time(item.session_end_time or item.end_time, "items.sessionEndTime"),
    )


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as exc:
        # Its text names types and paths, never values.
        raise Unreadable(str(exc).replace("`", "").replace("$.", "")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        msg = "the body is not JSON" if isinstance(exc, msgspec.DecodeError) else "not UTF-8 text"
        raise Unreadable(msg) from None
    except RecursionError:
        msg = "the body is nested too deeply"
        raise Unreadable(msg) from None


def _text(raw: _Id, where: str) -> str | None:
    text = "" if raw is None else str(raw).strip()
    if not text:
        return None
    # Dots alone would lead elsewhere in a path.
    if len(text) > LONGEST_ID or not text.isprintable() or not text.strip("."):
        msg = f"{where}: not an id"
        raise Unreadable(msg)
    return text


def _people(raw: int | None, where: str) -> int | None:
    if raw is not None and abs(raw) > _MOST_PEOPLE:
        msg = f"{where}: not between -{_MOST_PEOPLE} and {_MOST_PEOPLE}"
        raise Unreadable(msg)
    return raw


def _instant(raw: str | None, where: str) -> datetime | None:
    """Read a date with 0 to 7 fraction digits; without an offset it is UTC, as ROLLER says.

    Python reads any number of fraction digits and drops what is finer than a microsecond.
    """
    if not raw:
        return None
    try:
        found = datetime.fromisoformat(raw)
    except ValueError:
        msg = f"{where}: not an ISO 8601 date and time"
        raise Unreadable(msg) from None
    if found.year not in _YEARS:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _day(raw: str | None, where: str) -> date | None:
    if not raw:
        return None
    try:
        found = date.fromisoformat(raw[:10])
    except ValueError:
        msg = f"{where}: not a date"
        raise Unreadable(msg) from None
    return found if found.year in _YEARS else None


def _clock_time(raw: str | None, where: str) -> time | None:
    if not raw:
        return None
    try:
        return time.fromisoformat("00:00" if raw.startswith("24:00") else raw).replace(tzinfo=None)
    except ValueError:
        msg = f"{where}: not a time of day"
        raise Unreadable(msg) from None
