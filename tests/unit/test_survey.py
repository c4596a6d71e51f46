"""A backfill is reckoned before it is begun, from a few of its days."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from pipeline.days import DAY
from pipeline.model import Booking, Consent, Guest, GuestConsent, Phase
from pipeline.reports import Page, Report, ReportedBooking, ReportedGuest
from pipeline.settings import Duration, RateLimit
from pipeline.survey import Survey, add_up, chosen_days, takes
from tests.unit.made import stampede_mapper

_LIMIT = RateLimit(requests=100, per=Duration(900), reserve=20)


def _booking(number: int, **fields: object) -> ReportedBooking:
    found = Booking(
        id=f"b{number}", customer=f"c{number % 2}", phase=Phase.ACTIVE, total=Decimal(1)
    )
    return ReportedBooking(booking=msgspec.structs.replace(found, **fields), modified_at=0)


def _page(*found: ReportedBooking | ReportedGuest, rows: int, more: bool = False) -> Page:
    return Page(found=found, more=more, rows=rows, size=4)


def test_some_days_of_a_long_time_are_looked_at() -> None:
    """A year has as many requests as days, and nobody waits for them; weekends count too."""
    since = date(2026, 1, 1)
    assert chosen_days(since, since) == [since]
    assert chosen_days(since, since + 13 * DAY) == [since + n * DAY for n in range(14)]
    chosen = chosen_days(since, date(2026, 12, 31))
    assert len(chosen) == 14
    assert (chosen[0], chosen[-1]) == (since, date(2026, 12, 31))


def test_the_days_looked_at_are_all_days_of_the_week_and_lie_evenly() -> None:
    """Thirteen weeks in steps of one would be as many Saturdays."""
    since = date(2026, 1, 1)
    for days in (*range(14, 200), 364, 731, 1001):
        until = since + days * DAY
        chosen = chosen_days(since, until)
        assert (len(set(chosen)), chosen[0], chosen[-1]) == (14, since, until)
        assert chosen == sorted(chosen)
        longest = max(later - day for day, later in pairwise(chosen))
        assert longest <= (days / 13 + 7) * DAY
        if days >= 7 * 13:
            assert len({day.weekday() for day in chosen}) == 7


def test_what_can_be_sent_is_counted_and_drafts_and_the_till_are_not() -> None:
    """Each booking that is taken in costs calls."""
    page = _page(
        _booking(1), _booking(2), _booking(3, phase=Phase.DRAFT), _booking(4, customer=None), rows=7
    )
    found = add_up(Report.BOOKINGS, [page], every=1, waiver_days=1)
    assert (found.bookings, found.guests, found.is_sample) == (2, 2, False)
    assert found.pages == 3, "seven rows on two pages, and one page of waivers"


def test_further_pages_and_days_are_reckoned_like_those_that_were_seen() -> None:
    """A sample is enough to say hours or weeks."""
    busy = _page(_booking(1), _booking(2), _booking(3), rows=8, more=True)
    quiet = _page(rows=0)
    found = add_up(Report.BOOKINGS, [busy, quiet], every=20, waiver_days=20)
    assert (found.bookings, found.guests, found.is_sample) == (60, 40, True)
    assert found.pages == 30 + 20
    assert found.calls() == 100


def test_guests_count_who_may_be_told() -> None:
    """Consent must be known."""
    good = Guest(customer="c", email="a@example.com", consent=GuestConsent(email=Consent.NO))
    unasked = msgspec.structs.replace(good, consent=GuestConsent())
    people = [ReportedGuest(guest=one, modified_at=0) for one in (good, unasked)]
    page = _page(*people, rows=2)
    found = add_up(Report.CUSTOMERS, [page], every=1, waiver_days=1)
    assert (found.bookings, found.guests) == (0, 1)


@pytest.mark.parametrize(
    ("found", "windows"),
    [
        # A look-up, a guest, three tags and a booking each.
        (Survey(bookings=80, guests=80), 6),
        # No tags without a booking.
        (Survey(guests=80), 2),
        (Survey(), 0),
    ],
)
def test_it_takes_what_the_allowance_leaves_to_it(found: Survey, windows: int) -> None:
    """Eighty of a hundred requests in a quarter of an hour, the reserve left alone."""
    assert takes(found, _LIMIT, stampede_mapper()) == pytest.approx(windows * 900, rel=0.2)
