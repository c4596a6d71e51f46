"""Guests that are made, changed and deleted at the simulated ROLLER."""

import random

import msgspec

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.messages import Event, Message
from pipeline.sandbox.roller.orders import Deed, Hand, Order
from pipeline.sandbox.roller.people import invent_guest

#: What a customer message, and the deprecated customer document, have of a guest: no SMS consent,
#: no tax number.
_CUSTOMER = (
    "firstName",
    "lastName",
    "email",
    "phone",
    "dateOfBirth",
    "gender",
    "acceptMarketing",
    "address",
    "flags",
)


class GuestChange(
    Order, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"customer": "customerId"}
):
    """What `POST /_sandbox/guests` takes."""

    #: None makes a new guest
    customer: int | None = None
    #: fields as `GET /guests` shows them; the rest is invented, or stays. A consent that is null
    #: is left out, as that of a guest who was never asked
    guest: Document = msgspec.field(default_factory=dict)
    #: True: the guest answers 404 from now on; it arrives as an Updated
    delete: bool = False


def change_guest(hand: Hand, order: GuestChange) -> Deed:
    """Makes, changes or deletes one guest."""
    number = order.customer or hand.customer_id()
    known = hand.venue.guests.get(number)
    guest = known or invent_guest(random.Random(number), number)
    guest = _without_unasked(guest | order.guest)
    event = Event.Updated if known or order.delete else Event.Created
    keep_guest(hand, order, number, guest)
    if order.delete:
        # What the message of a deletion holds is not known; here all that there was, which tempts
        # a receiver to keep a person who is to be forgotten.
        hand.venue.guests.remove(number)
    message = customer_message(hand, order, number, guest, event)
    return Deed(answer={"customerId": number, "guest": guest}, messages=[message])


def keep_guest(hand: Hand, order: Order, number: int, guest: Document) -> None:
    """Makes this the guest's newest version, unless a newer one is known."""
    at, held = hand.at(order), hand.venue.guests.find(number)
    if held is None or held.modified <= at:
        hand.venue.guests.put(number, guest, at)


def bought(hand: Hand, order: Order, number: object) -> list[Message]:
    """The message of a purchase, which modifies the guest; none when there is no such guest."""
    guest = hand.venue.guests.get(number) if isinstance(number, int) else None
    if not isinstance(number, int) or guest is None:
        return []
    keep_guest(hand, order, number, guest)
    return [customer_message(hand, order, number, guest, Event.Updated)]


def customer_message(
    hand: Hand, order: Order, number: int, guest: Document, event: Event
) -> Message:
    """What a subscription of customers is sent."""
    matter = customer_document(number, guest)
    return hand.message(order, "customer", event, matter, customer=number)


def customer_document(number: int, guest: Document) -> Document:
    """The deprecated customer document, which customer messages still hold."""
    return {"customerId": number} | {name: guest[name] for name in _CUSTOMER if name in guest}


def _without_unasked(guest: Document) -> Document:
    consents = ("acceptMarketing", "acceptMarketingSMS", "acceptMarketingSms")
    return {name: v for name, v in guest.items() if v is not None or name not in consents}
