"""Waivers that are signed at the simulated ROLLER, by adults for themselves and for minors."""

import random
from datetime import UTC, datetime, timedelta

import msgspec

from pipeline.sandbox.answers import Document, Refused
from pipeline.sandbox.roller.bookings import booking_message, keep_booking
from pipeline.sandbox.roller.data import Booking, Venue
from pipeline.sandbox.roller.guests import customer_message, keep_guest
from pipeline.sandbox.roller.messages import Event, Message, wire_time
from pipeline.sandbox.roller.orders import Deed, Hand, Order
from pipeline.sandbox.roller.people import invent_child, invent_guest
from pipeline.sandbox.roller.tickets import with_tickets

_VALID = timedelta(days=365)


class Signing(
    Order, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"customer": "customerId"}
):
    """What `POST /_sandbox/waivers` takes."""

    #: the adult; None makes a new guest
    customer: int | None = None
    #: the adult's fields as `GET /guests` shows them
    guest: Document = msgspec.field(default_factory=dict)
    #: how many minors they sign for, or the fields of each one's guest record
    minors: int | list[Document] = 0
    #: fields that every waiver gets, such as {"isValid": false}; null leaves one out
    waiver: Document = msgspec.field(default_factory=dict)
    #: the `uniqueId` or reference of a booking whose tickets the waivers are attached to, which
    #: is an Updated of it
    booking: str | None = None


def sign(hand: Hand, order: Signing) -> Deed:
    """One adult signs, and with that one message tells of every minor too."""
    booking = None if order.booking is None else _found(hand.venue, order.booking)
    known = hand.venue.guests.get(order.customer) if order.customer else None
    adult = order.customer or hand.customer_id()
    guest = {**(known or invent_guest(random.Random(adult), adult)), **order.guest}
    # Nobody signs without a date of birth.
    guest["dateOfBirth"] = guest.get("dateOfBirth") or "1985-05-17"
    beside = [_record(hand, order, adult, guest, Event.Updated if known else Event.Created)]
    waivers = [_keep(hand, order, adult, guest, None)]
    minors = []
    for fields in _minors(order):
        child = {**invent_child(hand.chance, guest, hand.roller.now()), **fields}
        minors.append(hand.customer_id())
        beside.append(_record(hand, order, minors[-1], child, Event.Created))
        waivers.append(_keep(hand, order, minors[-1], child, waivers[0]["signedWaiverId"]))
    messages = [hand.message(order, "signedWaiver", Event.Created, waivers, customer=adult)]
    if booking is not None:
        messages.append(_attach(hand, order, booking, waivers))
    answer: Document = {"customerId": adult, "minors": minors, "waivers": waivers}
    return Deed(answer=answer, messages=messages, beside=beside)


def _minors(order: Signing) -> list[Document]:
    return [{} for _ in range(order.minors)] if isinstance(order.minors, int) else order.minors


def _record(hand: Hand, order: Order, number: int, guest: Document, event: Event) -> Message:
    keep_guest(hand, order, number, guest)
    return customer_message(hand, order, number, guest, event)


def _keep(
    hand: Hand, order: Signing, number: int, guest: Document, parent: object | None
) -> Document:
    """The waiver of one person; a minor's names the adult's and has no contact data."""
    signed = datetime.fromtimestamp(hand.at(order), UTC)
    key = 18_000_000 + next(hand.roller.numbers)
    waiver: Document = {"signedWaiverId": key}
    if parent is not None:
        waiver["parentSignedWaiverId"] = parent
    waiver |= {
        "waiverId": 13,
        "firstName": guest.get("firstName"),
        "lastName": guest.get("lastName"),
        "guestId": number,
        "dateOfBirth": guest["dateOfBirth"],
    }
    if parent is None:
        waiver |= {"email": guest.get("email"), "contactNumber": guest.get("phone")}
    waiver |= {
        "isForMinor": parent is not None,
        "expiryDate": wire_time(signed + _VALID, 7),
        "createdDate": wire_time(signed, 7),
    }
    waiver = {name: v for name, v in (waiver | order.waiver).items() if v is not None}
    hand.venue.waivers.put(key, waiver, hand.at(order))
    return waiver


def _found(venue: Venue, wanted: str) -> Booking:
    found = venue.booking(wanted)
    if found is None:
        raise Refused(400, f"booking {wanted} does not exist")
    return found


def _attach(hand: Hand, order: Signing, found: Booking, waivers: list[Document]) -> Message:
    """Puts the people on the booking's first tickets that have nobody yet."""
    booking = _occupied(hand.venue, found, waivers, hand.happened(order))
    keep_booking(hand, order, booking)
    return booking_message(hand, order, Event.Updated, booking.document)


def _occupied(venue: Venue, found: Booking, waivers: list[Document], happened: str) -> Booking:
    document = with_tickets(found.document, venue.catalogue)
    left = list(waivers)
    items: list[Document] = []
    for item in Booking(document=document, happened=happened).items():
        tickets = item.get("tickets")
        taken = [_taken(ticket, left) for ticket in tickets] if isinstance(tickets, list) else None
        items.append(item if taken is None else {**item, "tickets": taken})
    return Booking(document={**document, "items": items}, happened=happened)


def _taken(ticket: Document, left: list[Document]) -> Document:
    if not left or "signedWaiverId" in ticket:
        return ticket
    waiver = left.pop(0)
    name = f"{waiver.get('firstName')} {waiver.get('lastName')}"
    held = {**ticket, "ticketHolderName": name, "signedWaiverId": waiver["signedWaiverId"]}
    return held | ({"customerId": waiver["guestId"]} if "guestId" in waiver else {})
