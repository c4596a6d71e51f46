"""The clock that is passed to whatever needs the time.

Two clocks are needed. The wall clock dates what people read, and may be stepped. The boot clock
(CLOCK_BOOTTIME, which runs on during suspend) measures intervals within one boot of the machine,
and `boot_id` says whether two of its readings may be compared.
"""

import functools
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

#: Microseconds in a second: every stored time is an integer number of them.
SECOND = 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What time it is; all values are integer microseconds."""

    @property
    def boot_id(self) -> str:
        """Name this boot of the machine; readings of `boot` compare only within one name."""

    def now(self) -> int:
        """Tell the wall clock, since 1970-01-01 UTC."""

    def boot(self) -> int:
        """Tell the time since the machine was started, suspend included."""


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self.boot_id = _read_boot_id()

    def now(self) -> int:
        """Tell the wall clock."""
        return time.time_ns() // 1000

    def boot(self) -> int:
        """Tell the time since boot."""
        return time.clock_gettime_ns(self._boottime) // 1000


def _read_boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux: the wall clock, to the minute, of the boot is good enough a name
        booted = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
        return f"booted-{booted // 60:.0f}"


def micros(moment: datetime) -> int:
    """Convert an aware datetime to microseconds since 1970-01-01 UTC, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(stamp: int) -> datetime:
    """Convert microseconds since 1970-01-01 UTC to an aware datetime, exactly."""
    seconds, rest = divmod(stamp, SECOND)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest)


def iso(stamp: int | None) -> str | None:
    """Write a stored time as ISO 8601 UTC text with milliseconds, as the SQL views do."""
    return None if stamp is None else _iso_millisecond(stamp // 1000)


# Every line of the log has a time, and what is done in one go has few of them.
@functools.lru_cache(maxsize=64)
def _iso_millisecond(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    second = datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None)
    return f"{second.isoformat()}.{rest:03}Z"


def span(seconds: float) -> str:
    """Write seconds as people say them: 45 s, 15 min, 3 h, 4 d."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or seconds == length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
