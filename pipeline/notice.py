"""What a source tells beside bookings: customers, redeemed tickets, signed waivers.

An ability that a source may have; the stage enrich makes use of it.
"""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from msgspec import Struct

from pipeline.model import Kind


class Redeemed(Struct, frozen=True, kw_only=True):
    """A ticket that was redeemed: somebody came."""

    ticket: str
    #: When, in microseconds; None where the message does not say.
    at: int | None = None


class Waived(Struct, frozen=True, kw_only=True):
    """A waiver that was signed, and for whom."""

    #: None while the source has no record of the person.
    customer: str | None
    is_for_minor: bool
    born: date | None = None


class Notices(Protocol):
    """Reads a source's messages of these kinds; each raises Unreadable, and says what is wrong."""

    def customer(self, body: bytes) -> str:
        """Name the customer whose record has changed."""

    def redeemed(self, body: bytes) -> Sequence[Redeemed]:
        """Name the tickets that were redeemed."""

    def waived(self, body: bytes) -> Sequence[Waived]:
        """Tell for whom waivers were signed."""

    def shrunk(self, kind: Kind, body: bytes) -> bytes:
        """Write the message anew with its ids and dates alone, so that it reads the same."""

    def names(self, body: bytes, customer: str) -> bool:
        """Tell whether any message, be it readable or not, names this customer."""

    async def find_booking(self, ticket: str) -> str | None:
        """Ask which booking a ticket is of; None when the source does not tell."""
