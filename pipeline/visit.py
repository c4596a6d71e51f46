"""A booking as destinations can use it: minor units, instants, people."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

from pipeline.clock import micros
from pipeline.model import Booking, Item, Phase, Product, Venue
from pipeline.money import minor_units

_DAY = timedelta(days=1)
_MIDNIGHT = time()


class Progress(StrEnum):
    """How far a visit has come."""

    AHEAD = "ahead"
    ARRIVED = "arrived"
    COMPLETE = "complete"


class Visit(Struct, frozen=True, kw_only=True):
    """A booking that can be told to a destination; its datetimes carry the venue's offset."""

    id: str
    reference: str | None
    status: str | None
    origin: str | None
    channel: str | None
    cancelled: bool
    progress: Progress = Progress.AHEAD
    #: Whole minor units of `currency`; None when the booking has no total.
    amount: int | None
    currency: str
    party_size: int
    #: What is visited, by the name that most of its people come for; None while that is not known.
    product: str | None
    starts_at: datetime
    ends_at: datetime
    created_at: datetime | None
    updated_at: datetime


def progress(ends_at: datetime, visited_at: int | None, now: int) -> Progress:
    """Tell how far a visit has come: it is complete once it is over, if anybody came at all."""
    if visited_at is None:
        return Progress.AHEAD
    return Progress.COMPLETE if micros(ends_at) <= now else Progress.ARRIVED


def end_of(booking: Booking, venue: Venue, fallback: datetime) -> datetime:
    """Tell when a visit is over; `fallback` is for one of which nothing says when it is."""
    return _instants(booking, ZoneInfo(venue.timezone), fallback)[1]


def visit(
    booking: Booking,
    venue: Venue,
    updated_at: datetime,
    products: Mapping[str, Product] | None = None,
) -> Visit:
    """Reckon amount, instants and people; Reject when the amount is not exact (`money.py`).

    `updated_at` dates this state of the booking, and stands in for a creation date it lacks. An
    item whose product is not known is taken to let people in.
    """
    admitting, product = _admitting(booking.items, products or {})
    zone = ZoneInfo(venue.timezone)
    starts_at, ends_at = _instants(booking, zone, updated_at)
    return Visit(
        id=booking.id,
        reference=booking.reference,
        status=booking.status,
        origin=booking.origin,
        channel=booking.channel,
        cancelled=booking.phase is Phase.CANCELLED,
        amount=None if booking.total is None else minor_units(booking.total, venue.currency),
        currency=venue.currency,
        party_size=max(sum(map(_people, admitting)), 1),
        product=product,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=booking.created_at,
        updated_at=updated_at,
    )


def _admitting(
    items: Sequence[Item], products: Mapping[str, Product]
) -> tuple[list[Item], str | None]:
    """Choose the items that let people in, and name what most of these come for.

    A booking of nothing but add-ons is named by them.
    """
    found = [(item, products.get(item.product or "")) for item in items]
    admitting = [item for item, product in found if product is None or product.admits]
    people: dict[str, int] = {}
    for item, product in found:
        if product and product.title and (product.admits or not admitting):
            people[product.title] = people.get(product.title, 0) + _people(item)
    return admitting, max(people, key=people.__getitem__, default=None)


def _people(item: Item) -> int:
    return (item.quantity or 1) * max(item.group_size or 1, 1)


def _instants(booking: Booking, zone: ZoneInfo, fallback: datetime) -> tuple[datetime, datetime]:
    """Find the first start and the last end, in the venue's local time.

    Items with session times decide; a booking without any takes whole days, and one without a
    date the local day on which it was made. Reckoning is by the clock on the wall: only the result
    is tied to an instant, so a session on the night of a clock change keeps its printed times.
    """
    sessions = [_session(item) for item in booking.items if item.first_day and item.start]
    days = [_days(item.first_day, item.last_day) for item in booking.items if item.first_day]
    made = (booking.created_at or fallback).astimezone(zone).date()
    spans = sessions or days or [_days(made, made)]
    starts = min(start for start, _ in spans).replace(tzinfo=zone)
    ends = max(end for _, end in spans).replace(tzinfo=zone)
    if starts < ends and micros(starts) >= micros(ends):
        # A start in the hour that is left out: by the offset of before, it is after the end.
        starts = starts.replace(fold=1)
    return starts, ends


def _session(item: Item) -> tuple[datetime, datetime]:
    """Place a session on the wall clock; an end at 00:00, or before the start, is next day's."""
    first, start, end = item.first_day, item.start, item.end
    assert first is not None  # noqa: S101 - the caller chose items with both
    assert start is not None  # noqa: S101
    last = max(item.last_day or first, first)
    if end is None:
        return datetime.combine(first, start), datetime.combine(last, _MIDNIGHT) + _DAY
    starts, ends = datetime.combine(first, start), datetime.combine(last, end)
    return starts, ends + _DAY if end == _MIDNIGHT or ends < starts else ends


def _days(first: date, last: date | None) -> tuple[datetime, datetime]:
    return (
        datetime.combine(first, _MIDNIGHT),
        datetime.combine(max(last or first, first), _MIDNIGHT) + _DAY,
    )
