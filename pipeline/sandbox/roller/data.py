"""What the simulated ROLLER holds per venue: guests, bookings, webhook subscriptions."""

from dataclasses import dataclass, field

import msgspec

from pipeline.sandbox.answers import Document
from pipeline.sandbox.settings import RollerSettings, RollerVenue
from pipeline.sandbox.window import Clock, CoolingWindow


class Subscription(msgspec.Struct, kw_only=True):
    """A webhook subscription; the vendor switches off `enabled` in its configuration."""

    id: int
    created: str
    configuration: Document

    @property
    def enabled(self) -> bool:
        return self.configuration["enabled"] is True

    def disable(self) -> None:
        self.configuration = {**self.configuration, "enabled": False}

    def wants(self, kind: str, event: str) -> bool:
        """Whether it is enabled and subscribes this event; filters are kept but not applied."""
        webhooks = self.configuration["webhooks"]
        subscribed = webhooks.get(kind) if isinstance(webhooks, dict) else None
        return self.enabled and isinstance(subscribed, dict) and event in subscribed["events"]

    def document(self) -> Document:
        """The subscription as `GET /webhooks` shows it."""
        return {
            "webhookId": self.id,
            "createdDate": self.created,
            "configuration": self.configuration,
        }


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A booking as it is now, with the time of its newest event."""

    document: Document
    #: `eventDate` of that event as it is written on the wire
    happened: str

    @property
    def unique_id(self) -> str:
        return str(self.document["uniqueId"])


@dataclass(kw_only=True, slots=True)
class Venue:
    """One venue with everything that belongs to it."""

    settings: RollerVenue
    window: CoolingWindow
    token: str = ""
    token_ends: float = 0.0
    missing_permissions: tuple[str, ...] = ()
    guests: dict[int, Document] = field(default_factory=dict)
    bookings: dict[str, Booking] = field(default_factory=dict)
    #: bookingReference to uniqueId
    references: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[int, Subscription] = field(default_factory=dict)

    def keep(self, booking: Booking) -> None:
        """Makes this the booking's newest version."""
        self.bookings[booking.unique_id] = booking
        self.references[str(booking.document.get("bookingReference"))] = booking.unique_id

    def booking(self, wanted: str) -> Booking | None:
        """A booking by its `uniqueId` or its reference."""
        return self.bookings.get(self.references.get(wanted, wanted))

    def state(self) -> Document:
        """The venue in `/_sandbox/state`."""
        return {
            "client_id": self.settings.client_id,
            "used": self.window.used(),
            "refused": self.window.refused,
            "missing_permissions": self.missing_permissions,
        }


def new_venue(venue: RollerVenue, settings: RollerSettings, clock: Clock) -> Venue:
    """A venue without guests, bookings and subscriptions."""
    window = CoolingWindow(settings.requests, settings.per, settings.cooling, clock)
    return Venue(settings=venue, window=window, missing_permissions=venue.missing_permissions)
