"""Invents bookings, and changes to them, as the simulated ROLLER holds them."""

import random
import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.messages import wire_time
from pipeline.sandbox.settings import RollerVenue

_CHANNELS = ("VenueManager", "Online", "POS", "SSK", "Forms", "Api", "Marketplaces")
_STATUSES = ("Paid", "Paid", "PendingPayment", "PartiallyPaid", "NoPaymentRequired")
#: Venue-local; 00:00 as an end is midnight, None an item without a session.
_SESSIONS = (
    ("10:00", "11:00"), ("11:30", "13:00"), ("18:30", "19:30"), ("22:30", "00:00"), None,
)  # fmt: skip
# All that differ from the usual two digits and may stand in somebody's settings.
_DIGITS = {"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "VND": 0, "KWD": 3, "BHD": 3, "OMR": 3, "JOD": 3}


def new_uuid(chance: random.Random) -> str:
    """A random UUID that the seed decides."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def invent_booking(
    chance: random.Random, venue: RollerVenue, created: datetime, customer_id: int | None
) -> Document:
    """A booking as in a captured message: undocumented fields too, and nothing that is null."""
    channel = chance.choice(_CHANNELS)
    booking: Document = {
        "bookingReference": str(chance.randrange(1_000_000, 100_000_000)),
        "uniqueId": new_uuid(chance),
        "createdDate": wire_time(created, chance.randint(0, 7), offset=chance.randrange(5) == 0),
        "source": channel,
        "channel": channel,
        "status": chance.choice(_STATUSES),
        "name": f"Sandbox booking {chance.randrange(1000)}",
    }
    if customer_id is not None:
        booking["customerId"] = customer_id
    day = created.astimezone(ZoneInfo(venue.iana_time_zone)).date()
    day += timedelta(days=chance.randint(0, 60))
    items = [_item(chance, venue, created, day) for _ in range(chance.randint(1, 3))]
    return {
        **booking,
        "comments": "",
        **_sums(booking, items, venue),
        "items": items,
        "posNotes": "",
    }


def with_items(
    chance: random.Random, venue: RollerVenue, booking: Document, created: datetime, count: int
) -> Document:
    """The booking with that many other items, from today on over as many days."""
    today = created.astimezone(ZoneInfo(venue.iana_time_zone)).date()
    days = [today + timedelta(days=number) for number in range(count)]
    items = [_item(chance, venue, created, day) for day in days]
    return {**booking, **_sums(booking, items, venue), "items": items}


def changed(booking: Document, venue: RollerVenue) -> Document:
    """The booking paid, with one more person on its first item."""
    items = [dict(item) for item in _items(booking)]
    items[0]["quantity"] = _whole(items[0]["quantity"]) + 1
    paid: Document = {**booking, "status": "Paid", "items": items}
    return {**paid, **_sums(paid, items, venue)}


def cancelled(booking: Document) -> Document:
    """The booking cancelled; its amounts stay."""
    return {**booking, "status": "Cancelled"}


def _item(chance: random.Random, venue: RollerVenue, created: datetime, day: date) -> Document:
    item: Document = {
        "bookingItemId": chance.randrange(10_000_000, 20_000_000),
        "productId": chance.randrange(7_000_000, 7_000_050),
        "quantity": chance.randint(1, 6),
        "bookingDate": day.isoformat(),
        "bookingEndDate": day.isoformat(),
        "groupSize": chance.choice((1, 1, 1, 0, 4)),
    }
    session = chance.choice(_SESSIONS)
    if session is not None:
        start, end = session
        item |= {"startTime": start, "sessionStartTime": start}
        item |= {"endTime": end, "sessionEndTime": end}
    item["createdDate"] = wire_time(created, 3)
    item["cost"] = _major(chance.randrange(499, 12_000), venue)
    return item | {"discount": 0.0, "modifiers": []}


def _sums(booking: Document, items: Sequence[Document], venue: RollerVenue) -> Document:
    """The amounts that follow from the items; `amountOwing` is 0 as it was seen, owed or not."""
    scale = 10 ** _digits(venue)
    minor = sum(
        _whole(item["quantity"]) * round(float(str(item["cost"])) * scale) for item in items
    )
    owed = 0 if booking["status"] in ("Paid", "NoPaymentRequired") else minor
    return {
        "total": _major(minor, venue),
        "remainder": _major(owed, venue),
        "amountOwing": 0.0,
        "fees": 0.0,
        "discount": 0.0,
    }


def _items(booking: Document) -> list[Document]:
    items = booking.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 1


def _major(minor: int, venue: RollerVenue) -> float:
    return float(minor / 10 ** _digits(venue))


def _digits(venue: RollerVenue) -> int:
    return _DIGITS.get(venue.currency, 2)
