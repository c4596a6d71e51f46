"""Reads ROLLER's answer about a venue; what it says and we cannot use is left out."""

from typing import Any

import msgspec
from msgspec import Struct

from pipeline.errors import Retry
from pipeline.plugin import ListedVenue, VenueDetails
from pipeline.redact import printable
from pipeline.sources.roller.settings import Country, Currency, Timezone


class _Venue(Struct, frozen=True, rename="camel"):
    id: Any = None
    name: Any = None
    iana_time_zone: Any = None
    currency: Any = None
    country_code: Any = None


_venue = msgspec.json.Decoder(_Venue)


def read_venue(body: bytes) -> VenueDetails:
    """Give what decides times, amounts and phone numbers; Retry when the body is no venue."""
    found = _read(body)
    return VenueDetails(
        timezone=_checked(Timezone, found.iana_time_zone),
        currency=_checked(Currency, found.currency),
        country=_checked(Country, found.country_code),
    )


def read_listed_venue(body: bytes, source: str) -> ListedVenue:
    """Give the venue's id and name; Retry when the body is no venue."""
    found = _read(body)
    return ListedVenue(id=_text(found.id), name=_text(found.name), sources=(source,))


def _read(body: bytes) -> _Venue:
    try:
        return _venue.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        msg = "ROLLER answered 200 to /venues/me without a venue"
        raise Retry(msg) from exc


def _text(raw: object) -> str:
    """Take what a terminal may be shown."""
    return printable(str(raw)) if isinstance(raw, str | int) else ""


def _checked(kind: type[Timezone | Currency | Country], raw: object) -> str | None:
    try:
        return str(kind.parse(raw))
    except ValueError:
        return None
