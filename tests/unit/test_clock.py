"""Times are whole microseconds, and convert without loss."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import SECOND, Clock, SystemClock, iso, micros, moment
from tests.fakes import FakeClock

_moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]))


@given(_moments)
def test_a_moment_survives_being_stored(when: datetime) -> None:
    """A float would lose the last digits, and with them the order of two events."""
    assert moment(micros(when)) == when


@given(st.integers(0, 4 * 10**15))
def test_a_stored_time_survives_being_shown(stamp: int) -> None:
    """To the millisecond that is shown."""
    shown = iso(stamp)
    assert shown is not None
    assert micros(datetime.fromisoformat(shown)) == stamp // 1000 * 1000


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_262_400_123_999, "2026-11-21T12:00:00.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (None, None),
    ],
)
def test_times_are_shown_as_the_views_show_them(stamp: int | None, text: str | None) -> None:
    """ISO 8601, UTC, milliseconds."""
    assert iso(stamp) == text


def test_the_machines_clocks_go_forward() -> None:
    """And the boot has a name that stays."""
    clock: Clock = SystemClock()
    first = (clock.now(), clock.boot())
    second = (clock.now(), clock.boot())
    assert first <= second
    assert abs(clock.now() - micros(datetime.now(UTC))) < 5 * SECOND
    assert clock.boot_id
    assert clock.boot_id == SystemClock().boot_id


def test_the_fake_clock_is_a_clock() -> None:
    """It stands in for the real one in every test that needs time."""
    clock = FakeClock()
    stand_in: Clock = clock
    before = (stand_in.now(), stand_in.boot())
    clock.advance(2.5)
    assert (stand_in.now(), stand_in.boot()) == (before[0] + 2_500_000, before[1] + 2_500_000)
