"""What a subscription of customers hears of a play's bookings: every purchase changes a guest."""

import random

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.guests import customer_document
from pipeline.sandbox.roller.invention import new_uuid
from pipeline.sandbox.roller.messages import Event, Message
from pipeline.sandbox.roller.script import Script


def purchases(script: Script, chance: random.Random) -> list[Message | None]:
    """Per booking the message of its guest: Created for their first one, then Updated."""
    seen: set[int] = set()
    found: list[Message | None] = []
    for booking, chain in zip(script.bookings, script.chains, strict=True):
        customer = booking.document.get("customerId")
        if not isinstance(customer, int):
            found.append(None)
            continue
        event = Event.Updated if customer in seen else Event.Created
        seen.add(customer)
        found.append(_message(chance, event, customer, script.guests[customer], chain[0][0]))
    return found


def _message(
    chance: random.Random, event: Event, customer: int, guest: Document, booked: Message
) -> Message:
    """In the booking's style and of its time."""
    return Message(
        id=new_uuid(chance),
        kind="customer",
        event=event,
        happened=booked.happened,
        matter=customer_document(customer, guest),
        customer=customer,
        style=booked.style,
    )
