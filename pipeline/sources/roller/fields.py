"""Reads single fields as ROLLER writes them; Unreadable says what is wrong, and where."""

from datetime import UTC, date, datetime
from typing import TypeVar

import msgspec

from pipeline.errors import Unreadable

#: An id longer than this is none of ROLLER's; it would only bloat indexes and paths.
LONGEST_ID = 128

#: Years that a date can be meant in. ROLLER runs on .NET, where 0001-01-01 and 9999-12-31 stand
#: for no date; reckoning with them leaves the calendar.
YEARS = range(1970, 9999)

#: Integers on the wire, and text in reports.
Id = str | int | None

_T = TypeVar("_T")


def decode(decoder: msgspec.json.Decoder[_T], body: bytes, where: str = "") -> _T:
    """Decode a body, or what stands `where` in one."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as exc:
        # Its text names types and paths, never values.
        said = str(exc).replace("`", "")
        raise Unreadable(said.replace("$", where) if where else said.replace("$.", "")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        msg = "the body is not JSON" if isinstance(exc, msgspec.DecodeError) else "not UTF-8 text"
        raise Unreadable(msg) from None
    except RecursionError:
        msg = "the body is nested too deeply"
        raise Unreadable(msg) from None


def id_text(raw: Id, where: str) -> str | None:
    """Give an id as text; None where there is none."""
    text = "" if raw is None else str(raw).strip()
    if not text:
        return None
    # Dots alone would lead elsewhere in a path.
    if len(text) > LONGEST_ID or not text.isprintable() or not text.strip("."):
        msg = f"{where}: not an id"
        raise Unreadable(msg)
    return text


def day(raw: object) -> date | None:
    """Read a date, whatever comes after it; None for what is none."""
    try:
        return date.fromisoformat(raw[:10]) if isinstance(raw, str) else None
    except ValueError:
        return None


def instant(raw: str | None, where: str) -> datetime | None:
    """Read a date with 0 to 7 fraction digits; without an offset it is UTC, as ROLLER says.

    Python reads any number of fraction digits and drops what is finer than a microsecond.
    """
    if not raw:
        return None
    try:
        found = datetime.fromisoformat(raw)
    except ValueError:
        msg = f"{where}: not an ISO 8601 date and time"
        raise Unreadable(msg) from None
    if found.year not in YEARS:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
