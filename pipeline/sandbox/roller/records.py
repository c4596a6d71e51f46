"""Venue, guests and bookings as the simulated ROLLER shows them."""

from aiohttp import web

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.roller.access import VENUE

#: What the deprecated customer document has of a guest: no SMS consent, no tax number.
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


async def show_venue(request: web.Request) -> web.Response:
    """`GET /venues/me`."""
    venue = request[VENUE].settings
    document: Document = {
        "id": venue.id,
        "name": venue.name,
        "timeZone": venue.time_zone,
        "ianaTimeZone": venue.iana_time_zone,
        "countryCode": venue.country_code,
        "country": venue.country,
        "currency": venue.currency,
        "locale": venue.locale,
        "productPricesIncludeTax": True,
        "transactionFeePercent": 0.0,
        "creditCardFeePercent": 0.0,
        "feePerTransaction": 0.0,
        "codeOfConduct": None,
        "paymentSettings": {},
        "taxes": [],
        "taxComponents": [],
        "venueGroups": [],
    }
    return reply(document)


async def show_guest(request: web.Request) -> web.Response:
    """`GET /guests/{guestId}`: without any id or date of its own."""
    return reply(_guest(request))


async def show_customer(request: web.Request) -> web.Response:
    """`GET /customers/{customerId}`, deprecated."""
    guest = _guest(request)
    shown: Document = {"customerId": int(request.match_info["id"])}
    return reply(shown | {name: guest[name] for name in _CUSTOMER if name in guest})


async def show_booking(request: web.Request) -> web.Response:
    """`GET /bookings/{uniqueId}`; the reference does as well."""
    booking = request[VENUE].booking(request.match_info["id"])
    if booking is None:
        raise Refused(404, "Booking does not exist")
    return reply(booking.document)


def _guest(request: web.Request) -> Document:
    number = request.match_info["id"]
    guest = request[VENUE].guests.get(int(number)) if number.isdecimal() else None
    if guest is None:
        raise Refused(404, "Guest does not exist")
    return guest
