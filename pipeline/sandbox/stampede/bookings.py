"""Bookings and venues at the simulated Stampede."""

from aiohttp import web

from pipeline.sandbox.answers import Document, read_document, reply
from pipeline.sandbox.settings import StampedeSettings, StampedeVenue
from pipeline.sandbox.stampede.checks import Check
from pipeline.sandbox.stampede.data import iso
from pipeline.sandbox.stampede.guests import guest_of
from pipeline.sandbox.stampede.paging import page
from pipeline.sandbox.stampede.peer import STAMPEDE

STATUSES = (
    "active",
    "arrived",
    "partially_seated",
    "seated",
    "appetizer",
    "entree",
    "dessert",
    "cleared",
    "check_dropped",
    "paid",
    "complete",
    "cancelled",
    "no_show",
)
SERIAL = r"[A-Za-z0-9]{12}"
CURRENCY = "[A-Z]{3}"


async def upsert_booking(request: web.Request) -> web.Response:
    """`POST /v1/guests/:guest_id/booking`: the `event_id` decides which booking.

    The vendor publishes neither the status nor the body of its answer.
    """
    stampede = request.app[STAMPEDE]
    guest = guest_of(request)
    body = await read_document(request)
    event_id = _checked(body, stampede.settings)
    booking, made = stampede.bookings.upsert(guest, event_id, body, iso(stampede.clock()))
    document: Document = {"id": booking.id, "guest_id": guest.id, "event_id": event_id}
    return reply(document, 201 if made else 200)


async def list_venues(request: web.Request) -> web.Response:
    """`GET /v1/venues`: all in one answer unless `limit`, or the settings, ask for pages."""
    settings = request.app[STAMPEDE].settings

    def show(venue: StampedeVenue) -> Document:
        return _venue(venue, settings.organization_id)

    return reply(page(request, settings.venues, show, settings.venues_page))


def _checked(body: Document, settings: StampedeSettings) -> str:
    """The `event_id` of a valid body."""
    check = Check(body)
    event_id = check.text("event_id", required=True)
    serial = check.text("venue_id", required=True, form=SERIAL, word="12 letters and digits")
    if serial and serial not in {venue.id for venue in settings.venues}:
        check.messages.append("venue_id does not exist in this organisation")
    check.choice("status", STATUSES, required=True)
    check.number("party_size", least=1, required=True)
    check.number("amount", least=0)
    check.text("currency", form=CURRENCY, word="a valid ISO 4217 currency code")
    check.document("metadata")
    check.text("type")
    check.time("created_at")
    check.time("updated_at")
    starts_at, ends_at = (
        check.time("starts_at", required=True),
        check.time("ends_at", required=True),
    )
    if starts_at and ends_at and ends_at < starts_at:
        check.messages.append("ends_at must not be before starts_at")
    check.finish()
    return event_id


def _venue(venue: StampedeVenue, organisation: str) -> Document:
    return {
        "id": venue.id,
        "name": venue.name,
        "organization_id": organisation,
        "branding_settings": {
            "headerImage": "",
            "headerColor": "#ffffff",
            "interfaceColor": "#000000",
            "background": "#ffffff",
            "backgroundImage": None,
        },
    }
