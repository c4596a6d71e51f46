"""Tickets of invented bookings."""

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.catalogue import Catalogue

#: A party of more has no more tickets here.
_MOST = 60


def with_tickets(booking: Document, catalogue: Catalogue) -> Document:
    """The booking with tickets on every item that can have some and has none yet."""
    items = booking.get("items")
    if not isinstance(items, list):
        return booking
    return {**booking, "items": [_with_tickets(item, catalogue) for item in items]}


def _with_tickets(item: Document, catalogue: Catalogue) -> Document:
    if "tickets" in item or not catalogue.admits(item):
        return item
    quantity, size = item.get("quantity"), item.get("groupSize")
    people = (quantity if isinstance(quantity, int) else 1) * (
        max(size, 1) if isinstance(size, int) else 1
    )
    tickets = [
        {"ticketId": f"{item.get('bookingItemId')}-{number}", "ticketHolderName": ""}
        for number in range(1, min(people, _MOST) + 1)
    ]
    return {**item, "tickets": tickets}
