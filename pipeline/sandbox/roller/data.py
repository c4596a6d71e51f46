"""What the simulated ROLLER holds per venue: guests, bookings, waivers, products, subscriptions."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from pipeline.sandbox.answers import Document, documents
from pipeline.sandbox.roller.catalogue import Catalogue, invent_products
from pipeline.sandbox.roller.shelf import Shelf
from pipeline.sandbox.roller.subscription import Subscription
from pipeline.sandbox.roller.usage import Usage
from pipeline.sandbox.settings import RollerSettings, RollerVenue
from pipeline.sandbox.window import Clock, CoolingWindow


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A booking as it is now, with the time of its newest event."""

    document: Document
    #: `eventDate` of that event as it is written on the wire
    happened: str

    @property
    def unique_id(self) -> str:
        return str(self.document["uniqueId"])

    def items(self) -> list[Document]:
        """Its items; whatever else somebody gave it under that name is none."""
        return documents(self.document.get("items"))

    def tickets(self) -> list[tuple[Document, Document]]:
        """Every ticket with the item that it belongs to."""
        return [
            (item, ticket) for item in self.items() for ticket in documents(item.get("tickets"))
        ]


@dataclass(kw_only=True, slots=True)
class Venue:
    """One venue with everything that belongs to it."""

    settings: RollerVenue
    window: CoolingWindow
    #: the Reporting API's
    report_window: CoolingWindow
    usage: Usage = field(default_factory=Usage)
    token: str = ""
    token_ends: float = 0.0
    missing_permissions: tuple[str, ...] = ()
    guests: Shelf[int, Document] = field(default_factory=Shelf)
    #: as many rows as items
    bookings: Shelf[str, Booking] = field(default_factory=Shelf)
    #: the bookings once more, with as many rows as tickets
    ticketed: Shelf[str, Booking] = field(default_factory=Shelf)
    waivers: Shelf[int, Document] = field(default_factory=Shelf)
    catalogue: Catalogue = field(default_factory=lambda: Catalogue(invent_products()))
    #: bookingReference to uniqueId
    references: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    #: ticketId to how often it was redeemed
    redeemed: Counter[str] = field(default_factory=Counter)
    #: of what is made in bulk, so that no two have the same
    serials: Iterator[int] = field(default_factory=itertools.count)

    def keep(self, booking: Booking, at: float) -> None:
        """Makes this the booking's newest version, modified at that time."""
        key = booking.unique_id
        self.bookings.put(key, booking, at, rows=len(booking.items()))
        tickets = len(booking.tickets())
        if tickets or key in self.ticketed:
            self.ticketed.put(key, booking, at, rows=tickets)
        self.references[str(booking.document.get("bookingReference"))] = key

    def forget(self, booking: Booking) -> None:
        """Removes a booking from everywhere."""
        self.bookings.remove(booking.unique_id)
        self.ticketed.remove(booking.unique_id)
        self.references.pop(str(booking.document.get("bookingReference")), None)

    def booking(self, wanted: str) -> Booking | None:
        """A booking by its `uniqueId` or its reference."""
        return self.bookings.get(self.references.get(wanted, wanted))

    def state(self) -> Document:
        """The venue in `/_sandbox/state`."""
        return {
            "client_id": self.settings.client_id,
            "used": self.window.used(),
            "refused": self.window.refused,
            "reports": {"used": self.report_window.used(), "refused": self.report_window.refused},
            "calls": self.usage.state(),
            "missing_permissions": self.missing_permissions,
        }


def new_venue(venue: RollerVenue, settings: RollerSettings, clock: Clock) -> Venue:
    """A venue without guests, bookings and subscriptions."""
    return Venue(
        settings=venue,
        window=CoolingWindow(settings.requests, settings.per, settings.cooling, clock),
        report_window=CoolingWindow(
            settings.report_requests, settings.report_per, settings.cooling, clock
        ),
        missing_permissions=venue.missing_permissions,
    )
