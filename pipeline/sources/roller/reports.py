"""Asks ROLLER's Reporting API what was modified on a day.

https://docs.roller.app/docs/api/reporting: a window is a day at most, in the venue's own time; an
answer is a page of rows.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from pipeline.errors import Retry, Unauthorized, Unreadable
from pipeline.plugin import Reply
from pipeline.reports import Page, Report, Reported
from pipeline.settings import Duration, RateLimit
from pipeline.sources.roller.failures import failure
from pipeline.sources.roller.fields import decode
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

    async def page(self, report: Report, day: date, number: int) -> Page:
        """Ask for a page of what was modified on one of the venue's own days."""
        name, read = _REPORTS[report]
        reply = await self._ask(name, day, number)
        if reply.status == _REFUSED and self._size > _SIZE_AS_A_RULE:
            self._size = _SIZE_AS_A_RULE  # so large a page may be allowed no more
            reply = await self._ask(name, day, number)
        if reply.status in {_FORBIDDEN, _NOT_FOUND} and report is Report.WAIVERS:
            # Many keys lack this permission; then minors are known by their age alone.
            return Page(found=(), more=False, rows=0, size=self._size)
        if reply.status == _FORBIDDEN:
            msg = f"ROLLER answered 403 to /data/{name}: the API key lacks the permission for it"
            raise Unauthorized(msg)
        if reply.status != _OK:
            raise failure(reply, "/data")
        try:
            return self._read(decode(_page, reply.body), number, read)
        except Unreadable as exc:
            msg = f"ROLLER answered 200 to /data/{name} without a page of it"
            raise Retry(msg) from exc

    def change_of(self, customer: str) -> bytes:
        """Write the message that would have told of a change of this customer."""
        return customer_message(customer)

    async def _ask(self, name: str, day: date, number: int) -> Reply:
        path = (
            f"/data/{name}?startDate={day}&endDate={day + _DAY}"
            f"&pageNumber={number}&pageSize={self._size}"
        )
        return await self._peer.ask(path, longest=_LONGEST)

    def _read(self, page: _Page | list[Raw], number: int, read: _Reader) -> Page:
        rows = page if isinstance(page, list) else page.items
        pages = total = size = None
        if isinstance(page, _Page):
            pages, total, size = page.total_pages, page.total_items, page.items_per_page
        size = size or self._size
        found, unreadable = read(rows)
        return Page(
            found=found,
            unreadable=unreadable,
            more=len(rows) >= size if pages is None else number < pages,
            rows=total,
            size=size,
        )
