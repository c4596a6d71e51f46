"""Single guests and bookings, made and changed by hand at the simulated ROLLER."""

import random
import uuid
from datetime import UTC, datetime
from typing import Literal

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.roller.data import Booking, Venue
from pipeline.sandbox.roller.invention import invent_booking
from pipeline.sandbox.roller.messages import Event, Message, Style, wire_time
from pipeline.sandbox.roller.peer import ROLLER, Roller, chosen_targets
from pipeline.sandbox.roller.people import invent_guest
from pipeline.sandbox.roller.sender import Attempt, counted


class GuestChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/guests` takes."""

    venue: str | None = None
    #: None makes a new guest
    customerId: int | None = None  # noqa: N815 - the vendor's spelling
    #: fields as `GET /guests` shows them; the rest is invented, or stays
    guest: Document = {}
    #: True: the guest answers 404 from now on
    delete: bool = False


class BookingChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/bookings` takes."""

    venue: str | None = None
    #: fields as on the wire, null to leave one out; the rest is invented, or stays when
    #: `uniqueId` names a booking
    booking: Document = {}
    #: None: Created for a new booking, Cancelled for that status, else Updated
    event: Literal["Created", "Updated", "Cancelled"] | None = None
    #: None: now. An older date than the booking's newest makes a message, not a new truth
    event_date: str | None = None
    shape: Literal["nested", "flat"] = "nested"
    words: bool = False
    send: bool = True
    url: str | None = None
    key: str | None = None


_guest_decoder = msgspec.json.Decoder(GuestChange)
_booking_decoder = msgspec.json.Decoder(BookingChange)


async def change_guest(request: web.Request) -> web.Response:
    """Makes, changes or deletes one guest; sends nothing, as ROLLER does for booking webhooks."""
    roller = request.app[ROLLER]
    change = _guest_decoder.decode(await request.read())
    venue = roller.venue(change.venue)
    number = change.customerId or 1_000_000 + next(roller.numbers)
    known = venue.guests.get(number)
    guest = (known or invent_guest(random.Random(number), number)) | change.guest
    for flag in ("acceptMarketing", "acceptMarketingSMS"):
        if guest.get(flag, flag) is None:
            del guest[flag]
    venue.guests[number] = guest
    if change.delete:
        del venue.guests[number]
    return reply({"customerId": number, "guest": guest})


async def change_booking(request: web.Request) -> web.Response:
    """Makes or changes one booking and, unless told otherwise, sends its webhook."""
    roller = request.app[ROLLER]
    change = _booking_decoder.decode(await request.read())
    venue = roller.venue(change.venue)
    known = venue.booking(str(change.booking.get("uniqueId")))
    happened = change.event_date or wire_time(roller.now(), 6)
    newest = _parsed(happened) >= _parsed(known.happened if known else happened)
    booking = Booking(document=_merged(roller, venue, known, change.booking), happened=happened)
    if newest:
        venue.keep(booking)
    message = _message(change, known, booking)
    attempts: list[Attempt] = []
    if change.send:
        event = message.event.name if message.event else ""
        targets = chosen_targets(venue, message.kind, event, change.url, change.key)
        attempts = await roller.send(venue, message, targets)
    answer = {
        "booking": booking.document,
        "message": message.envelope(roller.now()),
        "answers": counted(attempts),
    }
    return reply(answer)


def _message(change: BookingChange, known: Booking | None, booking: Booking) -> Message:
    return Message(
        id=str(uuid.uuid4()),
        event=Event[change.event or _event(known, booking.document)],
        happened=booking.happened,
        document=booking.document,
        style=Style(nested=change.shape == "nested", words=change.words),
    )


def _merged(roller: Roller, venue: Venue, known: Booking | None, fields: Document) -> Document:
    """The booking with the given fields; a new one gets a guest unless a customer is given."""
    document = known.document if known else _invented(roller, venue, fields)
    merged = document | fields
    return {name: value for name, value in merged.items() if value is not None}


def _invented(roller: Roller, venue: Venue, fields: Document) -> Document:
    number = next(roller.numbers)
    chance = random.Random(number)
    customer_id = 1_000_000 + number
    if "customerId" not in fields:
        venue.guests[customer_id] = invent_guest(chance, customer_id)
    return invent_booking(chance, venue.settings, roller.now(), customer_id)


def _event(known: Booking | None, document: Document) -> str:
    if known is None:
        return "Created"
    return "Cancelled" if document.get("status") == "Cancelled" else "Updated"


def _parsed(happened: str) -> datetime:
    try:
        at = datetime.fromisoformat(happened)
    except ValueError as exc:
        raise Refused(400, f"event_date {happened} is not an ISO 8601 time") from exc
    return at.replace(tzinfo=at.tzinfo or UTC)
