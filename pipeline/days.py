"""A venue's own days: which one a moment is in, and when a time of day comes around.

Reports are asked for by the venue's days, which have 23 or 25 hours when its clocks change.
"""

from datetime import date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from pipeline.clock import micros, moment

DAY = timedelta(days=1)


def day_of(stamp: int, zone: tzinfo) -> date:
    """Give the venue's day that a moment (in microseconds) is in."""
    return moment(stamp).astimezone(zone).date()


def at(day: date, of_day: time, zone: ZoneInfo) -> int:
    """Tell when a time of day comes around on a day, in microseconds.

    A time that is skipped when clocks go forward is meant as much later as they go; one that comes
    twice when they go back is the first of both.
    """
    return micros(datetime.combine(day, of_day, zone))


def last_at(of_day: time, zone: ZoneInfo, *, now: int) -> int:
    """Tell when a time of day has come around last."""
    today = day_of(now, zone)
    due = at(today, of_day, zone)
    return due if due <= now else at(today - DAY, of_day, zone)


def next_at(of_day: time, zone: ZoneInfo, *, now: int) -> int:
    """Tell when a time of day comes around next."""
    today = day_of(now, zone)
    due = at(today, of_day, zone)
    return due if due > now else at(today + DAY, of_day, zone)
