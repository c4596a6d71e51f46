"""Single records as the simulated ROLLER's REST interface shows them, and its products."""

from aiohttp import web

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.roller.access import VENUE
from pipeline.sandbox.roller.catalogue import mapping
from pipeline.sandbox.roller.guests import customer_document


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
    return reply(customer_document(int(request.match_info["id"]), _guest(request)))


async def show_booking(request: web.Request) -> web.Response:
    """`GET /bookings/{uniqueId}`; the reference does as well."""
    booking = request[VENUE].booking(request.match_info["id"])
    if booking is None:
        raise Refused(404, "Booking does not exist")
    return reply(booking.document)


async def show_waiver(request: web.Request) -> web.Response:
    """`GET /signed-waivers/{id}`: one person's; a minor's names the adult's."""
    number = request.match_info["id"]
    waiver = request[VENUE].waivers.get(int(number)) if number.isdecimal() else None
    if waiver is None:
        raise Refused(404, "Signed waiver does not exist")
    return reply(waiver)


async def list_products(request: web.Request) -> web.Response:
    """`GET /products`: an array of parents, all at once; the two filters are the reports' types."""
    wanted = (request.query.get("productType"), request.query.get("productSubType"))
    products = [
        product
        for product in request[VENUE].catalogue.products
        if all(w in (None, is_) for w, is_ in zip(wanted, mapping(product), strict=True))
    ]
    return reply(products)


def _guest(request: web.Request) -> Document:
    number = request.match_info["id"]
    guest = request[VENUE].guests.get(int(number)) if number.isdecimal() else None
    if guest is None:
        raise Refused(404, "Guest does not exist")
    return guest
