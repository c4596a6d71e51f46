"""`POST /_sandbox/seed`: a venue's past, made at once and without any webhook."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import Document, reply
from pipeline.sandbox.roller.data import Booking, Venue
from pipeline.sandbox.roller.invention import cancelled, invent_booking
from pipeline.sandbox.roller.messages import wire_time
from pipeline.sandbox.roller.peer import ROLLER
from pipeline.sandbox.roller.people import invent_child, invent_guest
from pipeline.sandbox.roller.tickets import with_tickets

#: Bookings between which others get a turn of the event loop.
_AT_ONCE = 500
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Seed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/seed` takes."""

    venue: str | None = None
    #: at least so many booking items; bookings have one to three
    items: Annotated[int, msgspec.Meta(ge=1, le=2_000_000)] = 1000
    #: None for one guest per five items
    guests: Annotated[int, msgspec.Meta(ge=1)] | None = None
    #: over how many days up to now the bookings are made, and modified, evenly
    days: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    #: shares of the bookings
    cancelled: _Share = 0.05
    drafts: _Share = 0.02
    no_customer: _Share = 0.1
    #: of the guests: have no contact data and are below 16, as when a waiver is signed for them
    minors: _Share = 0.0
    tickets: bool = False
    seed: int = 0


_decoder = msgspec.json.Decoder(Seed)


async def seed(request: web.Request) -> web.Response:
    """Answers when all is there."""
    roller = request.app[ROLLER]
    wanted = _decoder.decode(await request.read() or b"{}")
    venue = roller.venue(wanted.venue)
    before = (len(venue.guests), len(venue.bookings))
    items = 0
    for number, booking in enumerate(plant(venue, wanted, roller.now())):
        items += len(booking.items())
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    made: Document = {
        "guests": len(venue.guests) - before[0],
        "bookings": len(venue.bookings) - before[1],
        "items": items,
    }
    return reply(made)


def plant(venue: Venue, wanted: Seed, now: datetime) -> Iterator[Booking]:
    """Keeps one booking after the other, oldest first, which is how a shelf is filled fastest."""
    # What is there decides too: the same order once more must not replace what it made.
    chance = random.Random(f"{wanted.seed} {len(venue.bookings)}")
    customers = [
        1_000_000_000 + next(venue.serials) for _ in range(wanted.guests or -(-wanted.items // 5))
    ]
    start, items = now - timedelta(days=wanted.days), 0
    while items < wanted.items:
        made = start + timedelta(days=wanted.days) * (items / wanted.items)
        customer = None if chance.random() < wanted.no_customer else chance.choice(customers)
        if customer is not None:
            _buy(venue, wanted, chance, customer, made)
        booking = _booking(venue, wanted, chance, made, customer)
        venue.keep(booking, made.timestamp())
        items += len(booking.items())
        yield booking


def _buy(venue: Venue, wanted: Seed, chance: random.Random, customer: int, made: datetime) -> None:
    guest = venue.guests.get(customer)
    if guest is None:
        guest = invent_guest(chance, customer)
        if chance.random() < wanted.minors:
            guest = invent_child(chance, guest, made)
    venue.guests.put(customer, guest, made.timestamp())


def _booking(
    venue: Venue, wanted: Seed, chance: random.Random, made: datetime, customer: int | None
) -> Booking:
    document = invent_booking(chance, venue.settings, made, customer)
    # Numbers in place of dice, of which some would fall alike in so many.
    document["bookingReference"] = str(100_000_000 + next(venue.serials))
    items = document["items"]
    for item in items if isinstance(items, list) else []:
        item["bookingItemId"] = 100_000_000 + next(venue.serials)
    fate = chance.random()
    if fate < wanted.drafts:
        document["status"] = "Draft"
    elif fate < wanted.drafts + wanted.cancelled:
        document = cancelled(document)
    if wanted.tickets:
        document = with_tickets(document, venue.catalogue)
    return Booking(document=document, happened=wire_time(made.astimezone(UTC), 6))
