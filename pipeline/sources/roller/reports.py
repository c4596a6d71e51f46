"""Asks ROLLER's Reporting API what was modified on a day.

https://docs.roller.app/docs/api/reporting: a window is a day at most, in the venue's own time; an
answer is a page of rows.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from pipeline.errors import Forbidden, Retry, Unreadable
from pipeline.plugin import Reply
from pipeline.reports import Page, Report, Reported
from pipeline.settings import Duration, RateLimit
from pipeline.sources.roller.failures import failure
from pipeline.sources.roller.fields import decode
from pipeline.sources.roller.permission import KEYS
from pipeline.sources.roller.report_rows import (
    customer_message,
    read_bookings,
    read_customers,
    read_minors,
)

_OK = 200
_REFUSED = 400
_FORBIDDEN = 403
_NOT_FOUND = 404

#: Rows of a page: the most that ROLLER has documented, and what it gives without being asked.
_SIZE = 500
_SIZE_AS_A_RULE = 100

#: Bytes of a page that are read: 500 rows with long notes in each.
_LONGEST = 16 * 1_048_576

#: ROLLER documents 120 in 60 seconds. A bucket of 20 that takes 1.6 a second lets 20 + 96 requests
#: into the worst minute, and leaves a few to whoever tries something by hand.
_RATE_LIMIT = RateLimit(requests=20, per=Duration(12.5))

_DAY = timedelta(days=1)

_Reader = Callable[[Iterable[Raw]], tuple[list[Reported], int]]

_REPORTS: Mapping[Report, tuple[str, _Reader]] = {
    Report.WAIVERS: ("signedwaivers", read_minors),
    Report.BOOKINGS: ("bookingitems", read_bookings),
    Report.CUSTOMERS: ("customers", read_customers),
}


class _Page(Struct, frozen=True, rename="camel"):
    """The envelope that is seen on the wire; the documentation spells one name in two ways."""

    items: list[Raw]
    total_pages: int | None = None
    total_items: int | None = None
    items_per_page: int | None = None


_page = msgspec.json.Decoder(_Page | list[Raw])


class _Peer(Protocol):
    async def ask(self, path: str, *, longest: int) -> Reply: ...


class RollerReports:
    """The reports of one ROLLER venue."""

    rate_limit = _RATE_LIMIT

    def __init__(self, peer: _Peer) -> None:
        self._peer = peer
        self._size = _SIZE

    async def page(
        self, report: Report, day: date, number: int = 1, wanted: int | None = None
    ) -> Page:
        """Ask for a page of what was modified on one of the venue's own days."""
        name, read = _REPORTS[report]
        size = wanted or self._size
        reply = await self._ask(name, day, number, size)
        if reply.status == _REFUSED and size > _SIZE_AS_A_RULE:
            # So large a page may be allowed no more; this one begins at the same row.
            self._size, number = _SIZE_AS_A_RULE, (number - 1) * size // _SIZE_AS_A_RULE + 1
            size = self._size
            reply = await self._ask(name, day, number, size)
        if reply.status in {_FORBIDDEN, _NOT_FOUND}:
            raise Forbidden(_refusal(reply.status, name))
        if reply.status != _OK:
            raise failure(reply, "/data")
        try:
            return _read(decode(_page, reply.body), number, size, read)
        except Unreadable as exc:
            msg = f"ROLLER answered 200 to /data/{name} without a page of it"
            raise Retry(msg) from exc

    def change_of(self, customer: str) -> bytes:
        """Write the message that would have told of a change of this customer."""
        return customer_message(customer)

    async def _ask(self, name: str, day: date, number: int, size: int) -> Reply:
        path = (
            f"/data/{name}?startDate={day}&endDate={day + _DAY}&pageNumber={number}&pageSize={size}"
        )
        return await self._peer.ask(path, longest=_LONGEST)


def _read(page: _Page | list[Raw], number: int, wanted: int, read: _Reader) -> Page:
    envelope = _Page(items=page) if isinstance(page, list) else page
    found, unreadable = read(envelope.items)
    size = _full(envelope, number, wanted)
    return Page(
        found=found,
        unreadable=unreadable,
        more=_has_more(envelope, number, size),
        rows=envelope.total_items,
        size=size,
        number=number,
        wanted=wanted,
    )


def _full(page: _Page, number: int, wanted: int) -> int:
    """Tell how many rows a full page has: fewer than were wanted, where ROLLER caps them."""
    if page.items_per_page:
        return page.items_per_page
    rows, total = len(page.items), page.total_items
    is_capped = number == 1 and total is not None and 0 < rows < min(total, wanted)
    return rows if is_capped else wanted


def _has_more(page: _Page, number: int, size: int) -> bool:
    """Tell whether another page follows; one more request says so where the envelope does not."""
    rows = len(page.items)
    if page.total_pages is not None:
        return number < page.total_pages
    if page.items_per_page:
        return rows >= page.items_per_page
    if page.total_items is not None and rows >= size:
        return number * size < page.total_items
    # Pages may be capped without a word, so that only an empty one is surely behind the last.
    return rows > 0 and (page.total_items is None or number * rows < page.total_items)


def _refusal(status: int, name: str) -> str:
    """Say what may not be read, and what to do."""
    said = f"ROLLER answered {status} to /data/{name}: "
    if status == _NOT_FOUND:
        return f"{said}it has no such report for this venue: ask ROLLER to enable it"
    return (
        f"{said}the API key lacks the permission for it: "
        f"give it the permission for GET /data/{name} at {KEYS}"
    )
