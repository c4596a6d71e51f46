"""A report's window is a day as the venue has it: west or east of UTC, and when clocks change."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from pipeline.clock import micros
from pipeline.days import at, day_of, last_at, next_at

_HALF_PAST_THREE = time(3, 30)


def _utc(text: str) -> int:
    return micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("UTC", "2026-10-05T23:59:59.999999", date(2026, 10, 5)),
        # British summer time: the day ends at 23:00 UTC.
        ("Europe/London", "2026-10-04T22:59:59", date(2026, 10, 4)),
        ("Europe/London", "2026-10-04T23:00:00", date(2026, 10, 5)),
        # The day with 25 hours, and the one with 23.
        ("Europe/London", "2026-10-25T23:59:59", date(2026, 10, 25)),
        ("Europe/London", "2026-10-26T00:00:00", date(2026, 10, 26)),
        ("Europe/London", "2026-03-29T00:00:00", date(2026, 3, 29)),
        ("Europe/London", "2026-03-29T23:00:00", date(2026, 3, 30)),
        ("America/Los_Angeles", "2026-10-06T06:59:59", date(2026, 10, 5)),
        ("America/Los_Angeles", "2026-11-02T07:59:59", date(2026, 11, 1)),
        ("Pacific/Auckland", "2026-10-04T11:00:00", date(2026, 10, 5)),
        ("Pacific/Kiritimati", "2026-10-04T10:00:00", date(2026, 10, 5)),
        ("Asia/Kathmandu", "2026-10-04T18:14:59", date(2026, 10, 4)),
        ("Asia/Kathmandu", "2026-10-04T18:15:00", date(2026, 10, 5)),
        # Clocks go forward at midnight: the day begins at 01:00.
        ("America/Santiago", "2026-09-06T03:59:59", date(2026, 9, 5)),
        ("America/Santiago", "2026-09-06T04:00:00", date(2026, 9, 6)),
    ],
)
def test_a_moment_is_in_the_day_that_the_venue_has(zone: str, moment: str, day: date) -> None:
    """Whoever takes the day for one of UTC misses what happened in the evening."""
    assert day_of(_utc(moment), ZoneInfo(zone)) == day


@pytest.mark.parametrize(
    ("zone", "day", "of_day", "moment"),
    [
        ("Europe/London", date(2026, 1, 5), _HALF_PAST_THREE, "2026-01-05T03:30"),
        ("Europe/London", date(2026, 7, 5), _HALF_PAST_THREE, "2026-07-05T02:30"),
        ("America/New_York", date(2026, 7, 5), _HALF_PAST_THREE, "2026-07-05T07:30"),
        ("Australia/Brisbane", date(2026, 7, 5), _HALF_PAST_THREE, "2026-07-04T17:30"),
        # 01:30 does not exist on that day: half an hour past the change, like the 02:30 that is.
        ("Europe/London", date(2026, 3, 29), time(1, 30), "2026-03-29T01:30"),
        # 01:30 comes twice: the first.
        ("Europe/London", date(2026, 10, 25), time(1, 30), "2026-10-25T00:30"),
        ("America/New_York", date(2026, 11, 1), time(1, 30), "2026-11-01T05:30"),
    ],
)
def test_a_time_of_day_comes_around_by_the_venues_clock(
    zone: str, day: date, of_day: time, moment: str
) -> None:
    """Once a day, also when clocks change."""
    assert at(day, of_day, ZoneInfo(zone)) == _utc(moment)


@pytest.mark.parametrize(
    ("zone", "now", "last", "following"),
    [
        ("Europe/London", "2026-01-05T03:29", "2026-01-04T03:30", "2026-01-05T03:30"),
        ("Europe/London", "2026-01-05T03:30", "2026-01-05T03:30", "2026-01-06T03:30"),
        ("Europe/London", "2026-10-25T12:00", "2026-10-25T03:30", "2026-10-26T03:30"),
        ("Europe/London", "2026-03-28T12:00", "2026-03-28T03:30", "2026-03-29T02:30"),
        ("Pacific/Auckland", "2026-07-05T15:29", "2026-07-04T15:30", "2026-07-05T15:30"),
        ("America/Los_Angeles", "2026-07-05T02:00", "2026-07-04T10:30", "2026-07-05T10:30"),
    ],
)
def test_the_last_and_the_next_time_are_on_either_side_of_now(
    zone: str, now: str, last: str, following: str
) -> None:
    """An hour that was missed is found by the last, the next wait by the next."""
    where = ZoneInfo(zone)
    assert last_at(_HALF_PAST_THREE, where, now=_utc(now)) == _utc(last)
    assert next_at(_HALF_PAST_THREE, where, now=_utc(now)) == _utc(following)
