"""Reads what is known and what was told."""

import msgspec

from pipeline.model import Booking, Guest, ToldBooking, ToldGuest
from pipeline.outbox import KnownBooking, KnownGuest, KnownVenue
from pipeline.outbox.file import Readers
from pipeline.plugin import VenueDetails

_booking = msgspec.json.Decoder(Booking)
_guest = msgspec.json.Decoder(Guest)
_venue = msgspec.json.Decoder(VenueDetails)
_told_guest = msgspec.json.Decoder(ToldGuest)
_told_booking = msgspec.json.Decoder(ToldBooking)


class SqliteFacts:
    """What transform asks of the outbox."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def booking(self, source: str, key: str) -> KnownBooking | None:
        """Give the newest known state of a booking."""
        row = await self._subject(source, "booking", key)
        if row is None:
            return None
        return KnownBooking(booking=_booking.decode(row[0]), occurred_at=row[1], event=row[2])

    async def guest(self, source: str, customer: str) -> KnownGuest | None:
        """Give a guest as last fetched."""
        row = await self._subject(source, "guest", customer)
        return row and KnownGuest(guest=_guest.decode(row[0]), fetched_at=row[1])

    async def venue(self, source: str) -> KnownVenue | None:
        """Give a venue as last fetched."""
        row = await self._subject(source, "venue", "")
        return row and KnownVenue(details=_venue.decode(row[0]), fetched_at=row[1])

    async def told_guest(self, destination: str, person: str) -> ToldGuest | None:
        """Give what a destination was told of a person."""
        row = await self._told(destination, "guest", person)
        return row and _told_guest.decode(row[0])

    async def told_booking(self, destination: str, key: str) -> ToldBooking | None:
        """Give what a destination was told of a booking."""
        row = await self._told(destination, "booking", key)
        return row and _told_booking.decode(row[0])

    async def _subject(
        self, source: str, kind: str, key: str
    ) -> tuple[str, int, int | None] | None:
        row: tuple[str, int, int | None] | None = await self._readers.row(
            """SELECT doc, as_of, event FROM subject
               WHERE source = ? AND kind = ? AND key = ? AND doc IS NOT NULL""",
            (source, kind, key),
        )
        return row

    async def _told(self, destination: str, kind: str, key: str) -> tuple[str] | None:
        row: tuple[str] | None = await self._readers.row(
            "SELECT doc FROM told WHERE destination = ? AND kind = ? AND key = ?",
            (destination, kind, key),
        )
        return row
