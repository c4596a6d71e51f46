"""What a source can do that reports its past: tell, day by day, what was modified on it.

This is how the pipeline finds what no webhook has told. A report is a list in pages; it is read
page by page, and never held as a whole.
"""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from pipeline.model import Booking, Guest
from pipeline.settings import RateLimit


class Report(StrEnum):
    """What a source reports, in the order of reading: who is a minor must be known first."""

    WAIVERS = "waivers"
    BOOKINGS = "bookings"
    CUSTOMERS = "customers"


class ReportedBooking(Struct, frozen=True, kw_only=True):
    """A booking as a report shows it: all that adjoining rows of a page say of it."""

    booking: Booking
    #: In microseconds, often of a whole second only.
    modified_at: int


class ReportedGuest(Struct, frozen=True, kw_only=True):
    """A customer as a report shows them."""

    guest: Guest
    modified_at: int


class ReportedMinor(Struct, frozen=True, kw_only=True):
    """Somebody for whom an adult has signed a waiver."""

    customer: str
    born: date | None = None


Reported = ReportedBooking | ReportedGuest | ReportedMinor


class Page(Struct, frozen=True, kw_only=True):
    """A page of a report."""

    found: Sequence[Reported]
    #: Rows of it that cannot be read.
    unreadable: int = 0
    #: Whether another page follows.
    more: bool
    #: Rows of the whole report; None where the source does not count them.
    rows: int | None
    #: Rows of a full page, as the source gives them.
    size: int
    #: The page's number and size as they were asked for: others, if those were refused.
    number: int = 1
    wanted: int | None = None


class Reports(Protocol):
    """The reports of one source."""

    @property
    def rate_limit(self) -> RateLimit:
        """Its allowance for reports, apart from that for everything else."""

    async def page(
        self, report: Report, day: date, number: int = 1, wanted: int | None = None
    ) -> Page:
        """Ask for a page, counted from 1, of what was modified on one of the venue's own days.

        `wanted` is what the page before has, so that none of its rows is skipped. Raises Failure;
        Forbidden when this report may not be read, and Unauthorized when none may.
        """

    def change_of(self, customer: str) -> bytes:
        """Write the message that would have told of a change of this customer."""
