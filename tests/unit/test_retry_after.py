"""Retry-After is read in both its forms, and never as more than a day."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire import retry_after

_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("86400", 86_400),
        ("86401", 86_400),
        ("9" * 5_000, 86_400),
        ("Sat, 21 Nov 2026 12:02:00 GMT", 120),
        ("Sat, 21 Nov 2026 13:02:00 +0100", 120),
        ("Sat, 21 Nov 2026 12:02:00 -0000", 120),
        ("Saturday, 21-Nov-26 12:02:00 GMT", 120),
        ("Sat Nov 21 12:02:00 2026", 120),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
    ],
)
def test_seconds_and_dates_are_read(header: str, seconds: float) -> None:
    """Both are allowed (RFC 9110 §10.2.3), and a peer in trouble may send any of them."""
    assert retry_after(header, _NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [None, "", " ", "soon", "-5", "1.5", "1e3", "٣", "Sat, 99 Nov 2026 12:00:00 GMT",
     "Sat, 21 Nov 99999999999 12:00:00 GMT", "Sat, 21 Nov 2026 12:00:00 +99999999"],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_read_is_as_if_absent(header: str | None) -> None:
    """The backoff decides then."""
    assert retry_after(header, _NOW) is None


@given(st.text() | st.from_regex(r"\w{3}, \d{1,3} (Jan|Nov) \d{1,6} \d+:\d+:\d+ [+-]\d{1,9}"))
def test_no_header_breaks_the_reading(header: str) -> None:
    """An exception here would look like a connection that broke."""
    found = retry_after(header, _NOW)
    assert found is None or 0 <= found <= 86_400
