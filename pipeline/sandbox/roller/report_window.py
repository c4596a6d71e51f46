"""Which part of a report is asked for: a day of the venue's, and a page of it."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import Document, Refused
from pipeline.sandbox.roller.data import Venue
from pipeline.sandbox.settings import RollerSettings

_DAY = timedelta(days=1)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A time in seconds since 1970, the end not included."""

    start: float
    end: float


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page that is asked for."""

    #: from 1 on
    number: int
    size: int

    def of(self, places: range) -> range:
        """The places on this page."""
        return places[(self.number - 1) * self.size : self.number * self.size]

    def envelope(self, places: range, rows: list[Document]) -> Document:
        """The page as it is answered; of an empty report there are no pages."""
        return {
            "currentPage": self.number,
            "totalPages": -(-len(places) // self.size),
            "totalItems": len(places),
            "itemsPerPage": self.size,
            "items": rows,
        }


def read_span(request: web.Request, venue: Venue, settings: RollerSettings) -> Span:
    """The window of at most a day, in the venue's own time.

    Whether the end belongs to it is not said; here it does not.
    """
    zone = ZoneInfo(venue.settings.iana_time_zone)
    start = _local(request, "startDate", settings)
    end = _local(request, "endDate", settings)
    # By the calendar: the day on which clocks go back has 25 hours and is one day.
    if not timedelta() <= end - start <= _DAY:
        raise Refused(400, "endDate must not be more than one day after startDate")
    return Span(
        start=start.replace(tzinfo=zone).timestamp(), end=end.replace(tzinfo=zone).timestamp()
    )


def read_page(request: web.Request, settings: RollerSettings) -> Page:
    """The page, with the vendor's defaults."""
    size = _positive(request, "pageSize", 100)
    if size > settings.largest_page and settings.refuse_larger_page:
        raise Refused(400, f"pageSize must not be more than {settings.largest_page}")
    return Page(number=_positive(request, "pageNumber", 1), size=min(size, settings.largest_page))


def _local(request: web.Request, name: str, settings: RollerSettings) -> datetime:
    text = request.query.get(name)
    if not text:
        raise Refused(400, f"{name} is required")
    try:
        if settings.report_times and "T" in text:
            return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - venue-local
        day = date.fromisoformat(text) if len(text) == len("yyyy-MM-dd") else None
    except ValueError:
        day = None
    if day is None:
        raise Refused(400, f"{name} must be a date as yyyy-MM-dd")
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - venue-local


def _positive(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise Refused(400, f"{name} must be a whole number from 1 on")
    return int(text)
