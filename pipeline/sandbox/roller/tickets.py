"""Tickets of invented bookings."""

from collections.abc import Sequence

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.catalogue import mapping

#: A party of more has no more tickets here.
_MOST = 60


def with_tickets(booking: Document, products: Sequence[Document]) -> Document:
    """The booking with tickets on every item that can have some and has none yet."""
    items = booking.get("items")
    if not isinstance(items, list):
        return booking
    return {**booking, "items": [_with_tickets(item, products) for item in items]}


def product_of(item: Document, products: Sequence[Document]) -> Document | None:
    """The product of a booking's item, or None; the item names the variation as a number."""
    wanted = str(item.get("productId"))
    for product in products:
        variations = product.get("products")
        if isinstance(variations, list) and any(str(v.get("id")) == wanted for v in variations):
            return product
    return None


def is_admitted(item: Document, products: Sequence[Document]) -> bool:
    """Whether it lets somebody in; add-ons and stock do not. What is not known does."""
    product = product_of(item, products)
    return product is None or mapping(product)[0] not in ("AddOn", "GiftCard", "Wallet")


def _with_tickets(item: Document, products: Sequence[Document]) -> Document:
    if "tickets" in item or not is_admitted(item, products):
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
