"""Says how much a backfill would be, before it is begun: a look at some days, and arithmetic.

Of a long time some days are looked at that lie evenly in it, on all days of the week.
"""

import math
from collections.abc import Sequence
from datetime import date

import msgspec
from msgspec import Struct

from pipeline.days import DAY
from pipeline.estimate import Load, Pace, seconds
from pipeline.outbox import Asked
from pipeline.plugin import Mapper
from pipeline.reports import Page, Report, ReportedBooking, ReportedGuest, Reports
from pipeline.route import reports_of
from pipeline.settings import RateLimit
from pipeline.sift import Missing, sift_booking, sift_newcomer
from pipeline.tempo import Tempo

#: Days that are looked at, with a request each, or two at the most: two weeks, as it were.
_DAYS = 14

_WEEK = 7


class Survey(Struct, frozen=True, kw_only=True):
    """What a source's reports have, of what could be sent; known things are not taken off."""

    bookings: float = 0.0
    #: A guest counts on each day anew, so there may be fewer.
    guests: float = 0.0
    #: Requests for the reports themselves.
    pages: float = 0.0
    #: Seconds that the limit for reports makes of them.
    reading: float = 0.0
    #: Some days only were looked at.
    is_sample: bool = False

    def calls(self) -> float:
        """Tell how many further requests the source gets: each booking and each guest is one."""
        return self.bookings + self.guests


async def survey(reports: Reports, tempo: Tempo, asked: Asked, *, waiver_days: int) -> Survey:
    """Look at the first page of some days; raises Failure when it cannot be read.

    `waiver_days` is of how many days the signed waivers are to be read before anything else.
    """
    days = chosen_days(asked.since, asked.until)
    report = reports_of(asked)[-1]
    pages = []
    for day in days:
        await tempo.turn()
        pages.append(await reports.page(report, day))
    every = (asked.until - asked.since) // DAY + 1
    found = add_up(report, pages, every=every, waiver_days=waiver_days)
    limit = reports.rate_limit
    return msgspec.structs.replace(found, reading=found.pages * limit.per / limit.requests)


def chosen_days(since: date, until: date) -> Sequence[date]:
    """Choose days that lie evenly between these, the first and the last among them.

    Each is moved to another day of the week than the one before, where there is room for it.
    """
    last = (until - since) // DAY
    if last < _DAYS:
        return [since + n * DAY for n in range(last + 1)]
    chosen = [n * last // (_DAYS - 1) for n in range(_DAYS)]
    if last // (_DAYS - 1) >= _WEEK:
        inner = range(1, _DAYS - 1)
        chosen[1:-1] = [_on_weekday(chosen[n], n % _WEEK) for n in inner]
    return [since + n * DAY for n in chosen]


def _on_weekday(day: int, wanted: int) -> int:
    """Move a day by three at the most, to the wanted one of the seven that begin with day 0."""
    return day + (wanted - day + 3) % _WEEK - 3


def add_up(report: Report, pages: Sequence[Page], *, every: int, waiver_days: int) -> Survey:
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
        pages=requests * share + waiver_days,
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
