"""Bookings that are made, changed and deleted at the simulated ROLLER."""

import random
from typing import Annotated, Literal

import msgspec

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.data import Booking
from pipeline.sandbox.roller.guests import bought, customer_message
from pipeline.sandbox.roller.invention import invent_booking, with_items
from pipeline.sandbox.roller.messages import Event, Message
from pipeline.sandbox.roller.orders import FIRST_CUSTOMER, Deed, Hand, Order, seconds
from pipeline.sandbox.roller.people import invent_guest
from pipeline.sandbox.roller.tickets import with_tickets


class BookingChange(Order, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/bookings` takes."""

    #: fields as on the wire, null to leave one out; the rest is invented, or stays when
    #: `uniqueId` names a booking
    booking: Document = msgspec.field(default_factory=dict)
    #: None: Created for a new booking, Cancelled for that status, else Updated. Deleted goes to
    #: whoever is subscribed to Updated; whether the vendor ever sends it is not known
    event: Literal["Created", "Updated", "Cancelled", "Deleted"] | None = None
    #: this many invented items, over several days and sessions, in place of those it has
    invent_items: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    #: True: every item that is a pass gets tickets
    tickets: bool = False
    #: True: it is gone from all answers and reports; nothing is sent unless `event` is given
    delete: bool = False
    #: True: a new booking is a purchase, of which a subscription of customers hears, too
    customer_events: bool = True


def change_booking(hand: Hand, order: BookingChange) -> Deed:
    """Makes, changes or deletes one booking."""
    known = hand.venue.booking(str(order.booking.get("uniqueId")))
    happened = hand.happened(order)
    beside: list[Message] = []
    booking = Booking(document=_merged(hand, order, known, beside), happened=happened)
    if order.delete:
        hand.venue.forget(known or booking)
    else:
        keep_booking(hand, order, booking)
    if known is None and not beside:
        beside += bought(hand, order, booking.document.get("customerId"))
    silent = order.delete and order.event is None
    return Deed(
        answer={"booking": booking.document},
        messages=[] if silent else [_message(hand, order, known, booking)],
        beside=beside if order.customer_events and not order.delete else [],
    )


def keep_booking(hand: Hand, order: Order, booking: Booking) -> None:
    """Makes this the booking's newest version, unless a newer one is known."""
    known = hand.venue.booking(booking.unique_id)
    if known is None or seconds(booking.happened) >= seconds(known.happened):
        hand.venue.keep(booking, hand.at(order))


def booking_message(hand: Hand, order: Order, event: Event, document: Document) -> Message:
    """What a subscription of bookings is sent."""
    key, customer = document.get("uniqueId"), document.get("customerId")
    return hand.message(
        order,
        "booking",
        event,
        document,
        booking=None if key is None else str(key),
        customer=customer if isinstance(customer, int) else None,
    )


def _message(hand: Hand, order: BookingChange, known: Booking | None, booking: Booking) -> Message:
    event = Event[order.event or _event(known, booking.document)]
    return booking_message(hand, order, event, booking.document)


def _merged(
    hand: Hand, order: BookingChange, known: Booking | None, beside: list[Message]
) -> Document:
    """The booking with the given fields; a new one gets a guest unless a customer is given."""
    document = known.document if known else _invented(hand, order, beside)
    if order.invent_items is not None:
        document = with_items(
            hand.chance, hand.venue.settings, document, hand.roller.now(), order.invent_items
        )
    merged = {name: v for name, v in (document | order.booking).items() if v is not None}
    return with_tickets(merged, hand.venue.catalogue) if order.tickets else merged


def _invented(hand: Hand, order: BookingChange, beside: list[Message]) -> Document:
    customer = hand.customer_id()
    chance = random.Random(customer - FIRST_CUSTOMER)
    if "customerId" not in order.booking:
        guest = invent_guest(chance, customer)
        hand.venue.guests.put(customer, guest, hand.at(order))
        beside.append(customer_message(hand, order, customer, guest, Event.Created))
    return invent_booking(chance, hand.venue.settings, hand.roller.now(), customer)


def _event(known: Booking | None, document: Document) -> str:
    if known is None:
        return "Created"
    return "Cancelled" if document.get("status") == "Cancelled" else "Updated"
