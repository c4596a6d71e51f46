"""`GET /bookings`: the search, which finds neither drafts nor what is cancelled."""

from collections.abc import Callable

from aiohttp import web

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.roller.access import VENUE
from pipeline.sandbox.roller.data import Booking, Venue

_FEWEST_LETTERS = 3
_MOST = 100
_LEFT_OUT = ("Draft", "Cancelled", "Deleted")
#: The search has words of its own for these.
_STATUSES = {"PartiallyPaid": "PaidPart", "Paid": "PaidFull"}
_SHOWN = ("bookingReference", "uniqueId", "createdDate", "name", "customerId", "total")
_Match = Callable[[Venue, Booking, str], bool]


async def search_bookings(request: web.Request) -> web.Response:
    """The newest hundred that match everything that is asked."""
    asked = {name: value for name, value in request.query.items() if name in _MATCHES and value}
    if not asked:
        raise Refused(400, f"one of {', '.join(_MATCHES)} is required")
    if len(asked.get("keywords", "any")) < _FEWEST_LETTERS:
        raise Refused(400, f"keywords must have at least {_FEWEST_LETTERS} characters")
    venue = request[VENUE]
    found = [
        booking
        for booking in _newest_first(venue)
        if booking.document.get("status") not in _LEFT_OUT
        and all(_MATCHES[name](venue, booking, value) for name, value in asked.items())
    ]
    return reply({"bookings": [_basic(venue, booking) for booking in found[:_MOST]]})


def _newest_first(venue: Venue) -> list[Booking]:
    return [held.value for _, held in reversed(venue.bookings.held())]


def _basic(venue: Venue, booking: Booking) -> Document:
    document = booking.document
    shown: Document = {name: document[name] for name in _SHOWN if name in document}
    status = str(document.get("status"))
    guest = _holder(venue, booking)
    return shown | {
        "status": _STATUSES.get(status, status),
        "items": booking.items(),
        "customerFlags": guest.get("flags", []),
    }


def _has_keywords(venue: Venue, booking: Booking, wanted: str) -> bool:
    guest = _holder(venue, booking)
    texts = [booking.document.get("name"), *(t.get("ticketId") for _, t in booking.tickets())]
    texts += [guest.get(name) for name in ("firstName", "lastName", "email", "phone")]
    return any(wanted.lower() in str(text).lower() for text in texts if text)


def _has_date(_: Venue, booking: Booking, wanted: str) -> bool:
    return any(item.get("bookingDate") == wanted for item in booking.items())


def _has_start(_: Venue, booking: Booking, wanted: str) -> bool:
    return any(item.get("sessionStartTime") == wanted for item in booking.items())


def _has_product(venue: Venue, booking: Booking, wanted: str) -> bool:
    ids = {one.strip() for one in wanted.split(",")}
    for item in booking.items():
        product = venue.catalogue.product(item) or {}
        if ids & {str(item.get("productId")), str(product.get("parentProductId"))}:
            return True
    return False


def _has_location(_: Venue, booking: Booking, wanted: str) -> bool:
    ids = {one.strip() for one in wanted.split(",")}
    held = [ticket.get("locations") for _, ticket in booking.tickets()]
    return any(ids & {str(one) for one in places} for places in held if isinstance(places, list))


def _holder(venue: Venue, booking: Booking) -> Document:
    customer = booking.document.get("customerId")
    return (venue.guests.get(customer) if isinstance(customer, int) else None) or {}


_MATCHES: dict[str, _Match] = {
    "keywords": _has_keywords,
    "date": _has_date,
    "startTime": _has_start,
    "productIds": _has_product,
    "locationIds": _has_location,
}
