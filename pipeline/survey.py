"""Says how much a backfill would be, before it is begun: a look at some days, and arithmetic.

Of a long time some days are looked at that lie evenly in it, on all days of the week.
"""

import math
from collections.abc import Sequence
from datetime import date

from aiolimiter import AsyncLimiter
from msgspec import Struct

from pipeline.days import DAY
from pipeline.estimate import Load, Pace, seconds
from pipeline.outbox import Asked
from pipeline.plugin import Mapper
from pipeline.reports import Page, Report, ReportedBooking, ReportedGuest, Reports
from pipeline.settings import RateLimit
from pipeline.sift import Missing, sift_booking, sift_newcomer
from pipeline.sweep import reports_of

#: Days that are looked at, two requests each at the most.
_DAYS = 14


class Survey(Struct, frozen=True, kw_only=True):
    """What a source's reports have, of what could be sent; known things are not taken off."""

    bookings: float = 0.0
    #: A guest counts on each day anew, so there may be fewer.
    guests: float = 0.0
    #: Requests for the reports themselves.
    pages: float = 0.0
    #: Some days only were looked at.
    is_sample: bool = False

    def calls(self) -> float:
        """Tell how many further requests the source gets: each booking and each guest is one."""
        return self.bookings + self.guests


async def survey(reports: Reports, asked: Asked) -> Survey:
    """Look at the first page of some days; raises Failure when it cannot be read."""
    limit = reports.rate_limit
    limiter = AsyncLimiter(limit.requests, limit.per)
    days = chosen_days(asked.since, asked.until)
    report = reports_of(asked)[-1]
    pages = []
    for day in days:
        await limiter.acquire()
        pages.append(await reports.page(report, day, 1))
    every = (asked.until - asked.since) // DAY + 1
    return add_up(report, pages, every=every)


def chosen_days(since: date, until: date) -> Sequence[date]:
    """Choose days that lie evenly between these."""
    count = (until - since) // DAY + 1
    if count <= _DAYS:
        return [since + n * DAY for n in range(count)]
    return [since + (n * count // _DAYS) * DAY for n in range(_DAYS)]


def add_up(report: Report, pages: Sequence[Page], *, every: int) -> Survey:
    """Reckon from the first pages of some days what all of so many days have."""
    bookings = guests = requests = 0.0
    for page in pages:
        rows = page.rows if page.rows is not None else len(page.found)
        requests += max(math.ceil(rows / page.size), 1)
        whole = _whole(page, rows)
        if report is Report.BOOKINGS:
            found = [one for one in page.found if isinstance(one, ReportedBooking)]
            sent = [one.booking for one in found if _is_sent(one)]
            bookings += len(sent) * whole
            guests += len({booking.customer for booking in sent}) * whole
        else:
            people = [one.guest for one in page.found if isinstance(one, ReportedGuest)]
            guests += sum(isinstance(sift_newcomer(g, 0, None), Missing) for g in people) * whole
    share = every / len(pages)
    return Survey(
        bookings=bookings * share,
        guests=guests * share,
        # A day has one more request, for waivers.
        pages=requests * share + every,
        is_sample=every > len(pages),
    )


def takes(found: Survey, limit: RateLimit, mapper: Mapper) -> float:
    """Tell for how many seconds a destination's allowance is busy with it."""
    if mapper.registrar:
        requests = found.bookings
    else:
        # A guest is looked up and made, and gets tags with a booking.
        tags = len(mapper.tag_roles) if found.bookings else 0
        requests = found.bookings + found.guests * (2 + tags)
    pace = Pace(allowed=limit.requests, spared=limit.reserved, used=0, per_s=float(limit.per))
    return seconds(pace, Load(lesser=requests))


def _whole(page: Page, rows: int) -> float:
    """Tell how many times a day has what its first page has."""
    return max(rows / page.size, 1.0) if page.more else 1.0


def _is_sent(one: ReportedBooking) -> bool:
    return isinstance(sift_booking(one.booking, one.modified_at, None, None), Missing)
