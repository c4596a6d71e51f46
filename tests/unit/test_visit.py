"""A booking's instants, people and amount, on the venue's clock."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import micros
from pipeline.errors import Reject
from pipeline.model import Booking, Item, Phase, Product, Venue
from pipeline.visit import Progress, Visit, end_of, progress, visit
from tests.unit.made import LONDON, booking, item

_UPDATED = datetime(2026, 5, 31, 23, 5, 55, tzinfo=UTC)


def _at(zone: str) -> Venue:
    return msgspec.structs.replace(LONDON, timezone=zone)


def _span(made: Booking, zone: str = "Europe/London") -> tuple[str, str]:
    shown = visit(made, _at(zone), _UPDATED)
    return shown.starts_at.isoformat(timespec="minutes"), shown.ends_at.isoformat(
        timespec="minutes"
    )


def _session(day: str, start: str, end: str | None, last: str | None = None) -> Item:
    return item(
        first_day=date.fromisoformat(day),
        last_day=date.fromisoformat(last) if last else None,
        start=time.fromisoformat(start),
        end=time.fromisoformat(end) if end else None,
    )


def _days(day: str, last: str | None = None) -> Item:
    last_day = date.fromisoformat(last) if last else None
    return item(first_day=date.fromisoformat(day), last_day=last_day, start=None, end=None)


@pytest.mark.parametrize(
    ("items", "starts", "ends"),
    [
        pytest.param(
            [_session("2026-05-31", "18:30", "19:30", "2026-05-31")],
            "2026-05-31T18:30+01:00",
            "2026-05-31T19:30+01:00",
            id="one session",
        ),
        pytest.param(
            [
                _session("2026-06-02", "10:00", "11:00"),
                _session("2026-06-01", "14:00", "15:00"),
                _session("2026-06-02", "09:00", "16:00"),
            ],
            "2026-06-01T14:00+01:00",
            "2026-06-02T16:00+01:00",
            id="first start to last end",
        ),
        pytest.param(
            [_session("2026-05-31", "22:00", "00:00", "2026-05-31")],
            "2026-05-31T22:00+01:00",
            "2026-06-01T00:00+01:00",
            id="midnight is the next day's",
        ),
        pytest.param(
            [_session("2026-12-31", "00:00", "00:00")],
            "2026-12-31T00:00+00:00",
            "2027-01-01T00:00+00:00",
            id="a whole day in session times",
        ),
        pytest.param(
            [_session("2026-05-31", "22:00", "02:00", "2026-05-31")],
            "2026-05-31T22:00+01:00",
            "2026-06-01T02:00+01:00",
            id="an end before the start is the next day's",
        ),
        pytest.param(
            [_session("2026-05-31", "22:00", "02:00", "2026-06-01")],
            "2026-05-31T22:00+01:00",
            "2026-06-01T02:00+01:00",
            id="an end on the next day as it says",
        ),
        pytest.param(
            [_session("2026-05-31", "10:00", "12:00", "2026-06-02")],
            "2026-05-31T10:00+01:00",
            "2026-06-02T12:00+01:00",
            id="several days",
        ),
        pytest.param(
            [_session("2026-05-31", "10:00", "12:00", "2026-05-01")],
            "2026-05-31T10:00+01:00",
            "2026-05-31T12:00+01:00",
            id="an end weeks before the start",
        ),
        pytest.param(
            [_session("2026-05-31", "18:30", None)],
            "2026-05-31T18:30+01:00",
            "2026-06-01T00:00+01:00",
            id="no end",
        ),
        pytest.param(
            [_days("2026-05-31")],
            "2026-05-31T00:00+01:00",
            "2026-06-01T00:00+01:00",
            id="no session",
        ),
        pytest.param(
            [_days("2026-05-31", "2026-06-02")],
            "2026-05-31T00:00+01:00",
            "2026-06-03T00:00+01:00",
            id="days without sessions",
        ),
        pytest.param(
            [_days("2026-05-01"), _session("2026-05-31", "18:30", "19:30")],
            "2026-05-31T18:30+01:00",
            "2026-05-31T19:30+01:00",
            id="sessions decide over days",
        ),
    ],
)
def test_a_visit_lasts_from_the_first_start_to_the_last_end(
    items: list[Item], starts: str, ends: str
) -> None:
    """Reminders and reviews go out by these times."""
    assert _span(booking(*items)) == (starts, ends)


@pytest.mark.parametrize(
    ("zone", "items", "starts", "ends"),
    [
        pytest.param(
            "Europe/London",
            [_days("2026-03-29")],
            "2026-03-29T00:00+00:00",
            "2026-03-30T00:00+01:00",
            id="the day of 23 hours",
        ),
        pytest.param(
            "Europe/London",
            [_days("2026-10-25")],
            "2026-10-25T00:00+01:00",
            "2026-10-26T00:00+00:00",
            id="the day of 25 hours",
        ),
        pytest.param(
            "Europe/London",
            [_session("2026-10-24", "23:00", "02:30")],
            "2026-10-24T23:00+01:00",
            "2026-10-25T02:30+00:00",
            id="a session across the change",
        ),
        pytest.param(
            "Africa/Cairo",
            [_days("2026-04-24")],
            "2026-04-24T00:00+02:00",
            "2026-04-25T00:00+03:00",
            id="a midnight that is skipped is the moment of the change",
        ),
        pytest.param(
            "Australia/Brisbane",
            [_session("2026-10-04", "18:30", "19:30")],
            "2026-10-04T18:30+10:00",
            "2026-10-04T19:30+10:00",
            id="no summer time",
        ),
        pytest.param(
            "Asia/Kathmandu",
            [_session("2026-10-04", "18:30", "19:30")],
            "2026-10-04T18:30+05:45",
            "2026-10-04T19:30+05:45",
            id="an offset of quarters",
        ),
    ],
)
def test_printed_times_stand_on_the_day_the_clocks_change(
    zone: str, items: list[Item], starts: str, ends: str
) -> None:
    """An hour's error sends a guest to a closed door twice a year."""
    assert _span(booking(*items), zone) == (starts, ends)


@pytest.mark.parametrize(
    ("zone", "items", "starts", "ends"),
    [
        ("Europe/London", [_session("2026-11-21", "18:30", "19:30")], "21 18:30", "21 19:30"),
        ("Europe/London", [_session("2026-07-21", "18:30", "19:30")], "21 17:30", "21 18:30"),
        ("Europe/London", [_session("2026-07-21", "23:30", "00:30")], "21 22:30", "21 23:30"),
        ("America/Los_Angeles", [_session("2026-07-21", "22:00", "00:00")], "22 05:00", "22 07:00"),
        ("America/Los_Angeles", [_session("2026-07-21", "09:00", "10:00")], "21 16:00", "21 17:00"),
        ("Pacific/Auckland", [_session("2026-07-21", "09:00", "10:00")], "20 21:00", "20 22:00"),
        ("Pacific/Auckland", [_session("2026-07-21", "22:00", "01:00")], "21 10:00", "21 13:00"),
        ("Pacific/Auckland", [_days("2026-07-21")], "20 12:00", "21 12:00"),
        # Clocks go forward: 01:00 to 02:00 is left out in London, 02:00 to 03:00 elsewhere.
        ("Europe/London", [_session("2026-03-29", "00:30", "02:30")], "29 00:30", "29 01:30"),
        ("Europe/London", [_session("2026-03-29", "00:30", "01:30")], "29 00:30", "29 01:30"),
        ("Europe/London", [_session("2026-03-29", "01:30", "02:30")], "29 00:30", "29 01:30"),
        ("Europe/London", [_session("2026-03-29", "01:45", "02:15")], "29 00:45", "29 01:15"),
        ("Europe/London", [_session("2026-03-28", "23:00", "03:00")], "28 23:00", "29 02:00"),
        ("Europe/London", [_session("2026-03-29", "10:00", "11:00")], "29 09:00", "29 10:00"),
        ("America/New_York", [_session("2026-03-08", "01:00", "04:00")], "08 06:00", "08 08:00"),
        ("Pacific/Auckland", [_session("2026-09-27", "01:00", "04:00")], "26 13:00", "26 15:00"),
        # Clocks go back: the hour before 02:00 comes twice in London; the first one is meant.
        ("Europe/London", [_session("2026-10-25", "00:30", "02:30")], "24 23:30", "25 02:30"),
        ("Europe/London", [_session("2026-10-25", "00:30", "01:30")], "24 23:30", "25 00:30"),
        ("Europe/London", [_session("2026-10-24", "22:00", "02:00")], "24 21:00", "25 02:00"),
        ("Europe/London", [_session("2026-10-25", "10:00", "11:00")], "25 10:00", "25 11:00"),
        ("America/New_York", [_session("2026-11-01", "00:30", "03:00")], "01 04:30", "01 08:00"),
        ("Australia/Lord_Howe", [_session("2026-04-05", "01:00", "03:00")], "04 14:00", "04 16:30"),
    ],
)
def test_a_visit_is_complete_at_the_instant_at_which_it_is_over(
    zone: str, items: list[Item], starts: str, ends: str
) -> None:
    """In UTC: an hour too early, and guests who are still inside are asked how it was."""
    made = booking(*items)
    shown = visit(made, _at(zone), _UPDATED)
    assert shown.starts_at.astimezone(UTC).strftime("%d %H:%M") == starts
    assert shown.ends_at.astimezone(UTC).strftime("%d %H:%M") == ends
    assert end_of(made, _at(zone), _UPDATED) == shown.ends_at
    over = micros(shown.ends_at)
    assert progress(shown.ends_at, over, over - 1) is Progress.ARRIVED
    assert progress(shown.ends_at, over, over) is Progress.COMPLETE
    assert progress(shown.ends_at, None, over) is Progress.AHEAD, "nobody came"


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/London", "2026-05-31"),
        ("America/Los_Angeles", "2026-05-30"),
        ("Pacific/Auckland", "2026-05-31"),
    ],
)
def test_without_a_date_it_is_the_local_day_on_which_it_was_made(zone: str, day: str) -> None:
    """A gift card has no visit, and Stampede wants two dates all the same."""
    made = datetime(2026, 5, 31, 3, 0, tzinfo=UTC)
    shown = visit(booking(created_at=made, items=()), _at(zone), _UPDATED)
    assert shown.starts_at.isoformat().startswith(f"{day}T00:00:00")
    assert shown.ends_at - shown.starts_at == timedelta(days=1)


def test_without_any_date_it_is_the_day_of_the_message() -> None:
    """The last resort: the booking is known to have been there then."""
    assert _span(booking(created_at=None, items=())) == (
        "2026-06-01T00:00+01:00",
        "2026-06-02T00:00+01:00",
    )


@pytest.mark.parametrize(
    ("items", "people"),
    [
        ([item(quantity=3, group_size=1)], 3),
        ([item(quantity=2, group_size=10), item(quantity=1, group_size=1)], 21),
        ([item(quantity=None, group_size=None)], 1),
        ([item(quantity=2, group_size=0)], 2),
        ([item(quantity=2, group_size=-3)], 2),
        ([item(quantity=None, group_size=4)], 4),
        ([item(quantity=-1, group_size=1)], 1),
        ([item(quantity=3, group_size=1), item(quantity=-1, group_size=1)], 2),
    ],
    ids=[
        "one line",
        "groups",
        "nothing said",
        "group of none",
        "negative group",
        "group",
        "refund",
        "line and refund",
    ],
)
def test_party_size_counts_people_and_is_never_below_one(items: list[Item], people: int) -> None:
    """Stampede requires it, and a booking of nobody is none."""
    assert visit(booking(*items), LONDON, _UPDATED).party_size == people


_JUMP = Product(id="1", name="Adult", parent="Open Jump", type="sessionpass")
_CHILD = Product(id="2", name="Child", parent="Open Jump", type="sessionpass")
_PARTY = Product(id="3", name="Pirates", parent="Birthday Party", type="partypackage")
_SOCKS = Product(id="4", name="Large", parent="Grip Socks", type="addon", admits=False)
_CARD = Product(id="5", name="Gift Card", type="giftcard", admits=False)
_NAMELESS = Product(id="6")
_PRODUCTS = {one.id: one for one in (_JUMP, _CHILD, _PARTY, _SOCKS, _CARD, _NAMELESS)}


@pytest.mark.parametrize(
    ("items", "people", "product"),
    [
        ([("1", 2, 1)], 2, "Open Jump"),
        ([("1", 2, 1), ("4", 5, 1)], 2, "Open Jump"),
        ([("4", 5, 1), ("3", 1, 10)], 10, "Birthday Party"),
        ([("3", 1, 4), ("1", 3, 1), ("2", 2, 1)], 9, "Open Jump"),
        ([("3", 1, 4), ("1", 4, 1)], 8, "Birthday Party"),
        ([("5", 3, 1)], 1, "Gift Card"),
        ([("5", 1, 1), ("4", 2, 1)], 1, "Grip Socks"),
        ([("99", 3, 1)], 3, None),
        ([("99", 3, 1), ("4", 2, 1)], 3, None),
        ([("99", 3, 1), ("1", 2, 1)], 5, "Open Jump"),
        ([(None, 3, 1)], 3, None),
        ([("6", 2, 1)], 2, None),
        ([("1", -2, 1), ("4", 9, 1)], 1, "Open Jump"),
        ([], 1, None),
    ],
    ids=[
        "one",
        "an add-on is nobody",
        "a group beats its socks",
        "variations of one product go together",
        "the first of two that tie",
        "a gift card",
        "nothing but add-ons",
        "unknown: people",
        "unknown: not named by its add-on",
        "unknown beside known",
        "no product",
        "nameless",
        "refund",
        "no items",
    ],
)
def test_what_the_catalogue_knows_says_who_comes_and_what_for(
    items: list[tuple[str | None, int, int]], people: int, product: str | None
) -> None:
    """Socks are no visitors, and what is not known is taken for one."""
    made = [item(product=one, quantity=n, group_size=size) for one, n, size in items]
    shown = visit(booking(items=tuple(made)), LONDON, _UPDATED, _PRODUCTS)
    assert (shown.party_size, shown.product) == (people, product)


def test_without_a_catalogue_every_item_is_people() -> None:
    """As long as nobody has said otherwise."""
    shown = visit(booking(item(product="4", quantity=5)), LONDON, _UPDATED)
    assert (shown.party_size, shown.product) == (5, None)


def test_a_booking_without_items_is_of_one_person() -> None:
    """The holder comes at least."""
    assert visit(booking(items=()), LONDON, _UPDATED).party_size == 1


def test_the_amount_is_in_minor_units_of_the_venues_currency() -> None:
    """The webhook names no currency."""
    yen = Venue(timezone="Asia/Tokyo", currency="JPY", country="JP")
    shown = visit(booking(total=Decimal(3500)), yen, _UPDATED)
    assert (shown.amount, shown.currency) == (3500, "JPY")


def test_no_total_is_no_amount() -> None:
    """Nothing is not zero: it would count as a free visit."""
    assert visit(booking(total=None), LONDON, _UPDATED).amount is None


def test_an_amount_that_is_not_exact_rejects_the_booking() -> None:
    """A person must look."""
    with pytest.raises(Reject, match="finer"):
        visit(booking(total=Decimal("1.005")), LONDON, _UPDATED)


@pytest.mark.parametrize(
    ("phase", "cancelled"), [(Phase.CANCELLED, True), (Phase.ACTIVE, False)], ids=str
)
def test_a_cancelled_booking_is_shown_as_such(phase: Phase, cancelled: bool) -> None:
    """Destinations know no more of a booking's state."""
    assert visit(booking(phase=phase), LONDON, _UPDATED).cancelled is cancelled


_times = st.none() | st.times()
_days_of_interest = st.dates(date(1970, 1, 1), date(9998, 12, 31))
_items = st.builds(
    Item,
    quantity=st.none() | st.integers(-5, 50),
    group_size=st.none() | st.integers(-5, 50),
    first_day=st.none() | _days_of_interest,
    last_day=st.none() | _days_of_interest,
    start=_times,
    end=_times,
)


@given(
    st.lists(_items, max_size=4),
    st.none() | st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.sampled_from(["UTC", "Europe/London", "America/St_Johns", "Pacific/Kiritimati"]),
)
def test_no_items_break_the_reckoning(items: list[Item], made: datetime | None, zone: str) -> None:
    """Whatever ROLLER's lines hold, there are a start, an end not before it, and somebody."""
    shown: Visit = visit(booking(items=tuple(items), created_at=made), _at(zone), _UPDATED)
    assert shown.party_size >= 1
    assert shown.starts_at.utcoffset() is not None
    assert shown.starts_at.replace(tzinfo=None) <= shown.ends_at.replace(tzinfo=None)
