"""Reads what is known and what was told."""

from typing import Any

import msgspec

from pipeline.model import Booking, Guest, Minor, ToldBooking, ToldGuest
from pipeline.outbox import KnownBooking, KnownGuest, KnownVenue
from pipeline.outbox.file import Readers
from pipeline.plugin import VenueDetails

_booking = msgspec.json.Decoder(Booking)
_minor = msgspec.json.Decoder(Minor)
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
        row = await self._subject(source, "booking", key, beside="visit")
        if row is None:
            return None
        return KnownBooking(
            booking=_booking.decode(row[0]),
            occurred_at=row[1],
            event=row[2],
            visited_at=row[4],
            visited_by=row[5],
        )

    async def guest(self, source: str, customer: str) -> KnownGuest | None:
        """Give a guest as last fetched."""
        row = await self._subject(source, "guest", customer, beside="minor")
        if row is None:
            return None
        minor = None if row[4] is None else _minor.decode(row[3] or "{}")
        return KnownGuest(guest=_guest.decode(row[0]), fetched_at=row[1], minor=minor)

    async def venue(self, source: str) -> KnownVenue | None:
        """Give a venue as last fetched."""
        row = await self._subject(source, "venue", "", beside="")
        return row and KnownVenue(details=_venue.decode(row[0]), fetched_at=row[1])

    async def minor(self, source: str, customer: str) -> Minor | None:
        """Tell what a waiver says of a customer, if it calls them a minor."""
        row = await self._readers.row(
            "SELECT doc FROM subject WHERE source = ? AND kind = 'minor' AND key = ?",
            (source, customer),
        )
        return row and _minor.decode(row[0] or "{}")

    async def told_guest(self, destination: str, person: str) -> ToldGuest | None:
        """Give what a destination was told of a person."""
        row = await self._told(destination, "guest", person)
        return row and _told_guest.decode(row[0])

    async def told_booking(self, destination: str, key: str) -> ToldBooking | None:
        """Give what a destination was told of a booking."""
        row = await self._told(destination, "booking", key)
        return row and _told_booking.decode(row[0])

    async def _subject(self, source: str, kind: str, key: str, *, beside: str) -> Any:
        """Give what is known of a subject, and what of the kind `beside` has the same key."""
        return await self._readers.row(
            """SELECT s.doc, s.as_of, s.event, b.doc, b.as_of, b.event
               FROM subject AS s LEFT JOIN subject AS b
                    ON b.source = s.source AND b.kind = ? AND b.key = s.key
               WHERE s.source = ? AND s.kind = ? AND s.key = ? AND s.doc IS NOT NULL""",
            (beside, source, kind, key),
        )

    async def _told(self, destination: str, kind: str, key: str) -> tuple[str] | None:
        row: tuple[str] | None = await self._readers.row(
            "SELECT doc FROM told WHERE destination = ? AND kind = ? AND key = ?",
            (destination, kind, key),
        )
        return row
