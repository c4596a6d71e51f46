"""The Reporting API: what was modified on a day, as rows and pages."""

from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.sandbox.answers import Document, reply
from pipeline.sandbox.roller.access import VENUE
from pipeline.sandbox.roller.data import Booking, Venue
from pipeline.sandbox.roller.peer import ROLLER
from pipeline.sandbox.roller.report_rows import (
    Times,
    booking_item_row,
    customer_row,
    ticket_row,
    waiver_row,
)
from pipeline.sandbox.roller.report_window import read_page, read_span
from pipeline.sandbox.roller.shelf import Held, Shelf

_K = TypeVar("_K")
_V = TypeVar("_V")
_Row = Callable[[Times, Venue, _K, Held[_V], int], Document]


def _bookings(venue: Venue) -> Shelf[str, Booking]:
    return venue.bookings


def _ticketed(venue: Venue) -> Shelf[str, Booking]:
    return venue.ticketed


def _guests(venue: Venue) -> Shelf[int, Document]:
    return venue.guests


def _waivers(venue: Venue) -> Shelf[int, Document]:
    return venue.waivers


def _report(shelf: Callable[[Venue], Shelf[_K, _V]], row: _Row[_K, _V]) -> Handler:
    """A handler that answers a page of what was modified in a window.

    Rows come in the order of their modification. What is modified between two pages leaves its
    place, so that the rows behind it move up and one of them is on neither page.
    """

    async def handle(request: web.Request) -> web.Response:
        roller, venue = request.app[ROLLER], request[VENUE]
        settings = roller.settings
        span = read_span(request, venue, settings)
        page = read_page(request, settings)
        lag = settings.report_delay
        end = min(span.end, roller.clock() - lag) if lag else span.end
        held = shelf(venue)
        places = held.window(span.start, end)
        times = Times.asked(request, venue, settings)
        rows = [row(times, venue, *found) for found in held.rows(page.of(places))]
        return reply(page.envelope(places, rows))

    return handle


show_booking_items = _report(_bookings, booking_item_row)
show_tickets = _report(_ticketed, ticket_row)
show_customers = _report(_guests, customer_row)
show_signed_waivers = _report(_waivers, waiver_row)
