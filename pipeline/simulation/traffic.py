"""What happens at a venue: bookings as people make them, by the hour and the day of the week."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from msgspec import Struct

from pipeline.model import Action, Booking, Consent, Guest, GuestConsent, Item, Phase

_DAY = 86_400.0
_HOUR = 3600.0

#: How much of a day's bookings come in each hour: few at night, most after work. An assumption.
_BY_HOUR = (1, 1, 0, 0, 0, 1, 2, 4, 6, 8, 9, 10, 10, 9, 8, 8, 9, 10, 11, 11, 10, 7, 4, 2)
#: How much busier than others a day is, from Monday: leisure venues live on weekends.
_BY_DAY = (0.8, 0.8, 0.85, 0.9, 1.15, 1.4, 1.1)

_ITEM = Item(
    product="p-1",
    quantity=4,
    group_size=1,
    first_day=date(2026, 12, 5),
    last_day=date(2026, 12, 5),
    start=time(14),
    end=time(15),
)


class Habits(Struct, frozen=True, kw_only=True):
    """What the venues' guests do."""

    bookings_per_day: float
    #: The share of bookings by guests who have booked in this simulation before.
    returning: float = 0.3
    #: The shares of bookings that are changed, and cancelled, some time after they were made.
    changed: float = 0.2
    cancelled: float = 0.05
    #: Bookings come by the hour of the day; else as evenly as chance has it.
    by_hour: bool = True
    #: Seconds until a booking is changed or cancelled, at most.
    longest_wait: float = 2 * _DAY


class Happening(Struct, frozen=True, kw_only=True, order=True):
    """Something that ROLLER tells of, in seconds of the simulation."""

    at: float
    booking: int
    action: str
    #: The number of the guest, from 0 at each venue.
    guest: int


def happenings(habits: Habits, days: float, dice: random.Random) -> list[Happening]:
    """Give all that happens at one venue, in order."""
    found: list[Happening] = []
    guests = 0
    for number, at in enumerate(_moments(habits, days, dice)):
        if guests and dice.random() < habits.returning:
            guest = dice.randrange(guests)
        else:
            guest, guests = guests, guests + 1
        found.append(Happening(at=at, booking=number, action=Action.CREATED, guest=guest))
        for action, share in (
            (Action.UPDATED, habits.changed),
            (Action.CANCELLED, habits.cancelled),
        ):
            if dice.random() < share:
                later = at + dice.uniform(30.0, habits.longest_wait)
                found.append(Happening(at=later, booking=number, action=action, guest=guest))
    return sorted(one for one in found if one.at < days * _DAY)


def _moments(habits: Habits, days: float, dice: random.Random) -> Iterator[float]:
    """Draw when bookings are made: a Poisson process, thinned where it is quiet."""
    weights = [hour / sum(_BY_HOUR) * 24 for hour in _BY_HOUR]
    busiest = max(weights) * max(_BY_DAY) if habits.by_hour else 1.0
    at = 0.0
    while habits.bookings_per_day:
        at += dice.expovariate(busiest * habits.bookings_per_day / _DAY)
        if at >= days * _DAY:
            return
        weight = weights[int(at % _DAY / _HOUR)] * _BY_DAY[int(at / _DAY) % 7]
        if not habits.by_hour or dice.random() * busiest < weight:
            yield at


def booking(venue: str, happening: Happening) -> Booking:
    """Make a booking as it is after something happened."""
    gone = happening.action == Action.CANCELLED
    changed = happening.action == Action.UPDATED
    return Booking(
        id=f"{venue}-b{happening.booking}",
        reference=str(happening.booking),
        customer=f"c{happening.guest}",
        phase=Phase.CANCELLED if gone else Phase.ACTIVE,
        status="Cancelled" if gone else "Confirmed",
        origin="Online",
        channel="Website",
        created_at=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=happening.booking),
        total=Decimal("96.50") if changed else Decimal("80.00"),
        items=(_ITEM,),
    )


def guest(venue: str, number: int) -> Guest:
    """Make a guest of a venue."""
    return Guest(
        customer=f"c{number}",
        first="Ada",
        last="Example",
        email=f"{venue}.{number}@example.com",
        phone="+447400123456",
        consent=GuestConsent(email=Consent.YES if number % 3 else Consent.NO),
    )
