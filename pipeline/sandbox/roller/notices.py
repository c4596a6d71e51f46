"""Messages of the types that concern neither bookings nor guests, or are sent on request only."""

from typing import Annotated, Literal

import msgspec

from pipeline.sandbox.answers import Document, Refused
from pipeline.sandbox.roller.messages import Event, Message
from pipeline.sandbox.roller.orders import Deed, Hand, Order


class Notice(Order, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/notices` takes."""

    kind: Literal["paymentLink", "bulkExport"]
    #: of a payment link: `uniqueId` or reference
    booking: str | None = None
    #: messages of one export; they come in no order
    parts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    #: further fields, and other values
    data: Document = msgspec.field(default_factory=dict)


def notify(hand: Hand, order: Notice) -> Deed:
    """Sends the messages of a paid payment link or of an export."""
    messages = [_payment(hand, order)] if order.kind == "paymentLink" else _export(hand, order)
    return Deed(answer={"kind": order.kind}, messages=messages)


def _payment(hand: Hand, order: Notice) -> Message:
    booking = hand.venue.booking(order.booking or "")
    if booking is None:
        raise Refused(400, "a paymentLink needs a booking that exists")
    customer = booking.document.get("customerId")
    guest = hand.venue.guests.get(customer) if isinstance(customer, int) else None
    number = next(hand.roller.numbers)
    matter: Document = {
        "id": number,
        "bookingUniqueIdentifier": booking.unique_id,
        "amount": booking.document.get("total"),
        "url": f"https://pay.example.com/{number}",
        "email": guest.get("email") if guest else None,
        "phone": guest.get("phone") if guest else None,
        "bookingPaymentId": None,
    }
    key = booking.unique_id
    return hand.message(order, order.kind, Event.Created, matter | order.data, booking=key)


def _export(hand: Hand, order: Notice) -> list[Message]:
    process = f"sandbox-{next(hand.roller.numbers)}"
    parts = list(range(1, order.parts + 1))
    hand.chance.shuffle(parts)
    return [_part(hand, order, process, part) for part in parts]


def _part(hand: Hand, order: Notice, process: str, part: int) -> Message:
    matter: Document = {
        "venueId": hand.venue.settings.id,
        "preSignedUrls": [f"https://exports.example.com/{process}-{part}.json"],
        "exportType": "BookingItems",
        "processId": process,
        "sequenceNumber": part,
        "sequenceTotal": order.parts,
    }
    return hand.message(order, order.kind, Event.Created, matter | order.data)
