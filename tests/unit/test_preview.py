"""A preview plays the daemon's own function to the end, and shows nobody who it is about."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.destinations.stampede import Stampede, StampedeSettings
from pipeline.destinations.stampede.settings import Serial
from pipeline.errors import NotYet
from pipeline.model import DeliveryState, Gender, Phase
from pipeline.plugin import Call, Reply
from pipeline.preview import Outlook, Subject, mask, preview
from pipeline.settings import Secret
from tests.fakes import NOON
from tests.unit.made import LONDON, booking, guest


class _Nobody:
    """A session that fails the test when it is used."""

    async def call(self, call: Call) -> Reply:
        raise AssertionError(call.url)

    def token(self) -> str | None:
        raise AssertionError

    def keep_token(self, token: str, *, lifetime: float) -> None:
        raise AssertionError

    def drop_token(self, token: str) -> bool:
        raise AssertionError


_STAMPEDE = Stampede(
    "stampede",
    StampedeSettings(
        type="stampede",
        client_id="id",
        client_secret=Secret("secret"),
        venues={"leeds": Serial.parse("A1B2C3D4E5F6", Path())},
    ),
    _Nobody(),
)
_SUBJECT = Subject(
    source="leeds",
    booking=booking(),
    occurred_at=NOON,
    now=NOON,
    guest=guest(),
    venue=LONDON,
    adults_only=True,
)


def _subject(**changes: Any) -> Subject:
    return msgspec.structs.replace(_SUBJECT, **changes)


def _outlook(**changes: Any) -> Outlook:
    return preview(_subject(**changes), {"stampede": _STAMPEDE})["stampede"]


def test_a_booking_takes_its_guest_first_and_its_tags_last() -> None:
    """The order is that in which the daemon may send them."""
    found = _outlook()
    assert [(request.method, request.path) for request in found.requests] == [
        ("GET", "/v1/guests"),
        ("POST", "/v1/guests"),
        ("POST", "/v1/guests/GUEST_ID/booking"),
        ("PUT", "/v1/guests/GUEST_ID/tags"),
        ("PUT", "/v1/guests/GUEST_ID/tags"),
        ("PUT", "/v1/guests/GUEST_ID/tags"),
    ]
    tags = [msgspec.json.decode(request.body)["name"] for request in found.requests[3:]]
    assert tags == ["Online", "Consumer", "Paid"]
    assert (found.state, found.reason) == (DeliveryState.DELIVERED, None)


def test_a_tag_that_two_roles_make_is_sent_once() -> None:
    """As the daemon does: each costs a request."""
    found = _outlook(booking=booking(origin="Online", channel="Online"))
    assert len(found.requests) == 5


def test_a_cancelled_booking_is_told_as_cancelled() -> None:
    """It may be the first that the destination hears of it."""
    found = _outlook(booking=booking(phase=Phase.CANCELLED))
    assert msgspec.json.decode(found.requests[2].body)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"booking": booking(phase=Phase.DRAFT)}, "skipped", "draft"),
        ({"booking": booking(customer=None)}, "skipped", "no customer"),
        ({"guest": None}, "skipped", "customer not known"),
        ({"guest": guest(email=None)}, "skipped", "no e-mail"),
        ({"guest": guest(email="anna at example")}, "skipped", "unusable e-mail"),
        ({"guest": guest(born=date(2015, 1, 1))}, "skipped", "minor"),
        ({"booking": booking(total=Decimal("1.005"))}, "parked", None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_not_told_makes_no_request_and_says_why(
    changes: dict[str, Any], state: str, reason: str | None
) -> None:
    """No guest is made for a booking that does not follow."""
    found = _outlook(**changes)
    assert found.requests == ()
    assert found.state == state
    assert found.reason == reason or (reason is None and found.reason)


def test_a_draft_needs_neither_guest_nor_venue() -> None:
    """So that nobody is asked for them."""
    found = _outlook(booking=booking(phase=Phase.DRAFT), guest=None, venue=None)
    assert found.reason == "draft"


def test_a_venue_that_is_not_known_stops_what_depends_on_it() -> None:
    """Which setting is missing is for the command to say."""
    with pytest.raises(NotYet):
        _outlook(venue=None)


def test_a_destination_that_does_not_take_the_source_says_so() -> None:
    """The commonest reason for nothing is a missing entry in the map."""
    found = preview(_subject(source="york"), {"stampede": _STAMPEDE})["stampede"]
    assert (found.requests, found.state) == ((), None)
    assert "york" in (found.reason or "")


def test_nothing_that_names_the_guest_is_left_after_masking() -> None:
    """A preview is pasted into tickets."""
    marked = guest(
        first="Markerfirst",
        last="Markerlast",
        email="Marker.Mail@example.com",
        phone="07400 123457",
        gender=Gender.FEMALE,
        born=date(1971, 3, 5),
    )
    words = booking(
        origin="by markerlast",
        channel="marker.mail@example.com",
        status="called 07400 123457, +447400123457",
        created_at=datetime(2026, 5, 30, tzinfo=UTC),
    )
    subject = _subject(guest=marked, booking=words)
    plain = preview(subject, {"stampede": _STAMPEDE})["stampede"]
    hidden = mask(plain, subject)
    assert "markerfirst" in repr(plain).lower()
    text = repr(hidden).lower()
    for marker in ("marker", "7400", "123457", "1971"):
        assert marker not in text, marker
    assert hidden.requests[0].query == "search=<e-mail>"
    assert [(one.method, one.path) for one in hidden.requests] == [
        (one.method, one.path) for one in plain.requests
    ]
    assert msgspec.json.decode(hidden.requests[1].body)["phone"] == "<phone>"
