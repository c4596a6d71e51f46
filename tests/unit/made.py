"""Bookings, guests and venues as most tests need them; each test says what is special."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from pipeline.destinations.stampede import StampedeSettings
from pipeline.destinations.stampede.mapping import StampedeMapper
from pipeline.destinations.stampede.settings import Serial
from pipeline.model import (
    Booking,
    Consent,
    Facts,
    Guest,
    GuestConsent,
    Item,
    Phase,
    ToldBooking,
    ToldGuest,
    Venue,
)
from pipeline.settings import Secret
from tests.fakes import NOON

LONDON = Venue(timezone="Europe/London", currency="GBP", country="GB")
YES, NO, UNKNOWN = Consent.YES, Consent.NO, Consent.UNKNOWN

_ITEM = Item(
    product="7158455",
    quantity=3,
    group_size=1,
    first_day=date(2026, 5, 31),
    last_day=date(2026, 5, 31),
    start=time(18, 30),
    end=time(19, 30),
)
_BOOKING = Booking(
    id="b4fd0fef",
    reference="9774710",
    customer="15617281",
    phase=Phase.ACTIVE,
    status="Paid",
    origin="Online",
    channel="Consumer",
    created_at=datetime(2026, 5, 30, 23, 5, 55, 173_000, tzinfo=UTC),
    total=Decimal("350.64"),
    items=(_ITEM,),
)
_GUEST = Guest(
    customer="15617281",
    first="Anna",
    last="Example",
    email="anna@example.com",
    phone="07400 123456",
    born=date(1990, 1, 1),
    consent=GuestConsent(email=YES),
)
_FACTS = Facts(
    source="leeds",
    now=NOON,
    adults_only=True,
    venue=LONDON,
    booking=_BOOKING,
    occurred_at=NOON,
    guest=_GUEST,
    guest_at=NOON,
    told_guest=None,
    told_booking=None,
)


def item(**changes: Any) -> Item:
    """Three people, from half past six to half past seven."""
    return msgspec.structs.replace(_ITEM, **changes)


def booking(*items: Item, **changes: Any) -> Booking:
    """An ordinary booking, of these items if there are any."""
    return msgspec.structs.replace(_BOOKING, **({"items": items} if items else {}), **changes)


def guest(**changes: Any) -> Guest:
    """An adult with an e-mail address."""
    return msgspec.structs.replace(_GUEST, **changes)


def facts(**changes: Any) -> Facts:
    """All that is known of an ordinary booking of which nothing was told."""
    return msgspec.structs.replace(_FACTS, **changes)


def told_guest(remote_id: str = "g-1", **changes: Any) -> ToldGuest:
    """A guest whom the destination has."""
    return ToldGuest(remote_id=remote_id, **changes)


_TOLD = ToldBooking(guest="g-1", customer=_BOOKING.customer, payload_hash="of before")


def told_booking(guest: str = "g-1", **changes: Any) -> ToldBooking:
    """A booking that the destination has, in another state than the present one."""
    return msgspec.structs.replace(_TOLD, guest=guest, **changes)


def stampede_mapper(**changes: Any) -> StampedeMapper:
    """Make the mapper of a destination that takes the source leeds, and looks up nobody new."""
    changes = {"first_contact": "trust"} | changes
    settings = StampedeSettings(
        type="stampede",
        client_id="id",
        client_secret=Secret("secret"),
        venues={"leeds": Serial.parse("A1B2C3D4E5F6", Path())},
        **changes,
    )
    return StampedeMapper(settings)
