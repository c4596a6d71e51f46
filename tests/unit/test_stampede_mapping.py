"""Stampede's field table, field by field."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import msgspec
import pytest

from pipeline.contact import Contact
from pipeline.destinations.stampede.settings import ConsentSettings
from pipeline.model import Gender, Phase, Product, Request, ToldConsent
from pipeline.plugin import ConsentFeeds
from pipeline.visit import visit
from tests.unit.made import LONDON, booking, item, stampede_mapper

_UPDATED = datetime(2026, 6, 1, 0, 5, 55, 488_739, tzinfo=timezone(timedelta(hours=1)))


def _contact(**changes: Any) -> Contact:
    whole = Contact(
        email="anna@example.com",
        first="Anna",
        last="Example",
        phone="+447400123456",
        gender=Gender.FEMALE,
    )
    return msgspec.structs.replace(whole, **changes)


def _consent(*, data: bool = True, email: bool = True, sms: bool = False) -> ToldConsent:
    return ToldConsent(data=data, email=email, sms=sms, behind={})


def _body(request: Request) -> Any:
    return msgspec.json.decode(request.body)


def test_a_guest_has_every_field_of_the_table() -> None:
    """Stampede's own names and nesting."""
    request = stampede_mapper().guest(_contact(), _consent())
    assert (request.method, request.path) == ("POST", "/v1/guests")
    assert _body(request) == {
        "email": "anna@example.com",
        "first": "Anna",
        "last": "Example",
        "phone": "+447400123456",
        "gender": "f",
        "privacy": {"data": True, "marketing": {"email": True, "sms": False}},
    }


def test_what_is_not_known_of_a_guest_is_left_out() -> None:
    """A null could overwrite what Stampede knows."""
    bare = _contact(first=None, last=None, phone=None, gender=None)
    request = stampede_mapper().guest(bare, _consent(data=False, email=False))
    assert _body(request) == {
        "email": "anna@example.com",
        "privacy": {"data": False, "marketing": {"email": False, "sms": False}},
    }


@pytest.mark.parametrize("gender", Gender, ids=str)
def test_every_gender_has_stampedes_letter(gender: Gender) -> None:
    """m, f and o are all that Stampede takes."""
    body = _body(stampede_mapper().guest(_contact(gender=gender), _consent()))
    assert body["gender"] == gender.value[0]


@pytest.mark.parametrize(
    ("data", "email", "sms"), [(True, False, False), (False, True, False), (False, False, True)]
)
def test_each_consent_goes_to_its_place(data: bool, email: bool, sms: bool) -> None:
    """A swap would write to somebody who said no."""
    body = _body(stampede_mapper().guest(_contact(), _consent(data=data, email=email, sms=sms)))
    assert body["privacy"] == {"data": data, "marketing": {"email": email, "sms": sms}}


def test_a_booking_has_every_field_of_the_table() -> None:
    """Stampede's own names, minor units and offsets."""
    shown = visit(booking(), LONDON, _UPDATED)
    request = stampede_mapper().booking(shown, guest="g-1", source="leeds")
    assert (request.method, request.path) == ("POST", "/v1/guests/g-1/booking")
    assert _body(request) == {
        "event_id": "b4fd0fef",
        "venue_id": "A1B2C3D4E5F6",
        "status": "active",
        "amount": 35_064,
        "currency": "GBP",
        "party_size": 3,
        "starts_at": "2026-05-31T18:30:00+01:00",
        "ends_at": "2026-05-31T19:30:00+01:00",
        "created_at": "2026-05-30T23:05:55.173Z",
        "updated_at": "2026-05-31T23:05:55.488Z",
        "metadata": {
            "reference": "9774710",
            "source": "Online",
            "channel": "Consumer",
            "status": "Paid",
        },
    }


def test_a_booking_has_the_name_of_what_is_visited_as_its_type() -> None:
    """As in Stampede's own example, "Drinks Room"; without a catalogue it has none."""
    jump = Product(id="7158455", name="Adult", parent="Open Jump")
    shown = visit(booking(), LONDON, _UPDATED, {jump.id: jump})
    body = _body(stampede_mapper().booking(shown, guest="g-1", source="leeds"))
    assert body["type"] == "Open Jump"


def test_what_is_not_known_of_a_booking_is_left_out() -> None:
    """ROLLER omits what is not set."""
    bare = booking(
        reference=None, status=None, origin=None, channel=None, created_at=None, total=None
    )
    body = _body(
        stampede_mapper().booking(visit(bare, LONDON, _UPDATED), guest="g-1", source="leeds")
    )
    assert body["metadata"] == {}
    assert not {"amount", "created_at"} & body.keys()


def test_a_cancelled_booking_is_cancelled_by_the_same_id() -> None:
    """The call is an upsert by `event_id`: another id would leave the booking active."""
    shown = visit(booking(phase=Phase.CANCELLED), LONDON, _UPDATED)
    body = _body(stampede_mapper().booking(shown, guest="g-1", source="leeds"))
    assert (body["event_id"], body["status"]) == ("b4fd0fef", "cancelled")


def test_times_carry_their_offset_on_the_night_the_clocks_change() -> None:
    """What Stampede makes of a time without an offset is not known."""
    night = item(
        first_day=date(2026, 10, 24), last_day=date(2026, 10, 25), start=time(23), end=time(2, 30)
    )
    body = _body(
        stampede_mapper().booking(
            visit(booking(night), LONDON, _UPDATED), guest="g", source="leeds"
        )
    )
    assert (body["starts_at"], body["ends_at"]) == (
        "2026-10-24T23:00:00+01:00",
        "2026-10-25T02:30:00+00:00",
    )


def test_a_tag_is_put_by_its_name() -> None:
    """One tag a call, new or existing."""
    request = stampede_mapper().tag("Online", guest="g-1")
    assert (request.method, request.path) == ("PUT", "/v1/guests/g-1/tags")
    assert _body(request) == {"name": "Online"}


def test_equal_things_make_equal_bytes() -> None:
    """Whether a guest has changed is told by a digest of the body."""
    one, two = (stampede_mapper().guest(_contact(), _consent()) for _ in range(2))
    assert one.body == two.body


def test_the_configuration_decides_which_consent_feeds_which() -> None:
    """A venue's lawyers may see it otherwise than Stampede's integration."""
    assert stampede_mapper().consents("leeds") == ConsentFeeds()
    asked = ConsentSettings(data="never", email="email", sms="sms")
    expected = ConsentFeeds(data="never", email="email", sms="sms")
    assert stampede_mapper(consent=asked).consents("leeds") == expected
    assert stampede_mapper(tags=("status",)).tag_roles == ("status",)
