"""A simulated ROLLER: bookings and guests of one venue, and what a source can ask of it."""

import asyncio
import random
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from pipeline.errors import Unreachable, Unreadable
from pipeline.findings import Finding
from pipeline.model import Action, Booking, Envelope, Event, Guest, Kind
from pipeline.notice import Notices, Redeemed, Waived
from pipeline.plugin import ListedVenue, VenueDetails
from pipeline.reports import Reports
from pipeline.simulation.network import Latency, Outages

VENUE = VenueDetails(timezone="Europe/London", currency="GBP", country="GB")


class Message(Struct, frozen=True, kw_only=True):
    """A webhook of the simulated ROLLER, in our words: reading ROLLER's is not simulated.

    It is of a booking, or of a customer.
    """

    key: str
    action: Action
    occurred_at: int
    booking: Booking | None = None
    customer: str | None = None


_encode = msgspec.json.encode
_message = msgspec.json.Decoder(Message)
_guest = msgspec.json.Decoder(Guest)


class SimulatedRoller:
    """What is true at one venue, and the source that tells it; its answers take their time."""

    #: What is not simulated.
    catalogue = None
    drift = None

    def __init__(self, dice: random.Random, *, latency: Latency, outages: Outages) -> None:
        self.guests: dict[str, Guest] = {}
        self.bookings: dict[str, Booking] = {}
        self.outages = outages
        self._dice = dice
        self._latency = latency

    @property
    def notices(self) -> Notices:
        """It tells of customers too."""
        return _Notices()

    @property
    def subscriptions(self) -> None:
        """Its webhooks come by themselves."""

    @property
    def reports(self) -> Reports | None:
        """There are none."""
        return None

    def message(self, number: int, booking: Booking, action: Action, *, now: int) -> bytes:
        """Change a booking, and give the webhook that tells of it."""
        self.bookings[booking.id] = booking
        told = Message(key=f"m{number}", action=action, occurred_at=now, booking=booking)
        return _encode(told)

    def change_of(self, number: int, customer: str, *, now: int) -> bytes:
        """Give the webhook that tells that something of a customer has changed."""
        told = Message(key=f"m{number}", action=Action.UPDATED, occurred_at=now, customer=customer)
        return _encode(told)

    def envelope(self, body: bytes) -> Envelope:
        """Read the outside of a message."""
        told = _read(body)
        return Envelope(
            key=told.key,
            kind=Kind.CUSTOMER if told.booking is None else Kind.BOOKING,
            action=told.action,
            occurred_at=told.occurred_at,
            booking=told.booking.id if told.booking else None,
            reference=told.booking.reference if told.booking else None,
        )

    def booking(self, event: Event) -> Booking:
        """Read the booking in an event."""
        booking = _read(event.body).booking
        if booking is None:
            msg = "it is of no booking"
            raise Unreadable(msg)
        return booking

    def guest(self, customer: str, body: bytes) -> Guest:
        """Read a guest."""
        return msgspec.structs.replace(_guest.decode(body), customer=customer)

    async def fetch_guest(self, customer: str) -> Guest | None:
        """Ask for a guest as they are now."""
        await self._answer()
        return self.guests.get(customer)

    async def fetch_booking(self, booking: str) -> Booking | None:
        """Ask for a booking as it is now."""
        await self._answer()
        return self.bookings.get(booking)

    async def fetch_venue(self) -> VenueDetails:
        """Ask for the venue."""
        await self._answer()
        return VENUE

    async def examine(self) -> Sequence[Finding]:
        """There is nothing to examine."""
        return ()

    async def list_venues(self) -> Sequence[ListedVenue]:
        """There is nothing to list."""
        return ()

    async def _answer(self) -> None:
        await asyncio.sleep(self._latency.draw(self._dice))
        if self.outages.at(asyncio.get_running_loop().time()):
            msg = "no connection: simulated outage"
            raise Unreachable(msg)


class _Notices:
    """Reads the messages of customers; there are no others."""

    def customer(self, body: bytes) -> str:
        """Name the customer whose record has changed."""
        return _read(body).customer or ""

    def redeemed(self, body: bytes) -> Sequence[Redeemed]:  # noqa: ARG002 - of Notices
        """There are none."""
        return ()

    def waived(self, body: bytes) -> Sequence[Waived]:  # noqa: ARG002 - of Notices
        """There are none."""
        return ()

    def shrunk(self, kind: Kind, body: bytes) -> bytes:  # noqa: ARG002 - of Notices
        """Give it as it is."""
        return body

    def names(self, body: bytes, customer: str) -> bool:
        """Tell whether a message names this customer."""
        return _read(body).customer == customer

    async def find_booking(self, ticket: str) -> str | None:  # noqa: ARG002 - of Notices
        """There is no search."""
        return None


def _read(body: bytes) -> Message:
    try:
        return _message.decode(body)
    except msgspec.DecodeError as exc:
        raise Unreadable(str(exc)) from exc
