"""Bookings at the simulated Stampede."""

import pytest

from tests.sandbox.support import Api, booking, guest


async def _guest_path(stampede: Api, email: str = "ada@example.com") -> str:
    made = await stampede.post("/v1/guests", guest(email))
    return f"/v1/guests/{made.json['id']}/booking"


async def test_a_booking_is_made_once_and_then_updated(stampede: Api) -> None:
    """The `event_id` decides; a repeated POST changes the booking and makes no second one."""
    path = await _guest_path(stampede)
    made = await stampede.post(path, booking())
    updated = await stampede.post(path, booking(status="cancelled", amount=0))
    assert (made.status, updated.status) == (201, 200)
    assert made.json["id"] == updated.json["id"]
    (held,) = (await stampede.state())["bookings"]
    assert (held["status"], held["amount"], held["posts"]) == ("cancelled", 0, 2)
    assert held["statuses"] == ["active", "cancelled"]
    assert held["email"] == "ada@example.com"


async def test_a_booking_that_moves_to_another_guest_stays_with_the_first_too(
    stampede: Api,
) -> None:
    """Nobody promised more; so who forgets to cancel the old one is found out."""
    for email in ("ada@example.com", "bram@example.com"):
        path = await _guest_path(stampede, email)
        assert (await stampede.post(path, booking())).status == 201
    held = (await stampede.state())["bookings"]
    assert [(b["email"], b["status"]) for b in held] == [
        ("ada@example.com", "active"),
        ("bram@example.com", "active"),
    ]


@pytest.mark.parametrize(
    "missing", ["event_id", "venue_id", "status", "party_size", "starts_at", "ends_at"]
)
async def test_a_required_field_is_required(stampede: Api, missing: str) -> None:
    """All complaints come in one list."""
    path = await _guest_path(stampede)
    body = booking()
    del body[missing]
    answer = await stampede.post(path, body)
    assert (answer.status, answer.json["message"]) == (400, [f"{missing} is required"])


@pytest.mark.parametrize("optional", ["amount", "currency", "created_at", "metadata"])
async def test_an_optional_field_may_be_absent_but_not_null(stampede: Api, optional: str) -> None:
    """Absent is what the documentation calls optional."""
    path = await _guest_path(stampede)
    body = booking()
    del body[optional]
    assert (await stampede.post(path, body)).status == 201
    assert (await stampede.post(path, body | {optional: None})).status == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""),
        ("event_id", 17),
        ("venue_id", "A1B2"),
        ("venue_id", "ZZZZZZZZZZZZ"),
        ("status", "Paid"),
        ("status", ["active"]),
        ("party_size", 0),
        ("party_size", "3"),
        ("party_size", True),
        ("amount", 350.64),
        ("amount", -1),
        ("amount", "35064"),
        ("currency", "gbp"),
        ("currency", "POUND"),
        ("metadata", []),
        ("type", 5),
        ("starts_at", "2026-11-21T18:30:00"),
        ("starts_at", "2026-11-21"),
        ("starts_at", "2026-02-30T18:30:00Z"),
        ("starts_at", 1795234204),
        ("starts_at", "2026-11-21T19:31:00Z"),
        ("ends_at", "18:30"),
        ("created_at", "yesterday"),
        ("updated_at", 1795234204),
    ],
)
async def test_an_invalid_field_is_refused(stampede: Api, field: str, value: object) -> None:
    """What the vendor would refuse must not look fine in the sandbox."""
    path = await _guest_path(stampede)
    answer = await stampede.post(path, booking(**{field: value}))
    assert answer.status == 400
    assert all(isinstance(message, str) for message in answer.json["message"])
    assert (await stampede.state())["bookings"] == []


async def test_a_mistyped_serial_is_told_from_an_unknown_one(stampede: Api) -> None:
    """The one is a slip of the pen, the other a key of another organisation."""
    path = await _guest_path(stampede)
    mistyped, unknown = [
        (await stampede.post(path, booking(venue_id=serial))).json["message"]
        for serial in ("A1B2C3", "A1B2C3D4E5F7")
    ]
    assert mistyped == ["venue_id must be 12 letters and digits"]
    assert unknown == ["venue_id does not exist in this organisation"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 0),
        ("amount", 35064.0),
        ("starts_at", "2026-11-21T18:30Z"),
        ("starts_at", "2026-11-21T18:30:00.1234567+00:00"),
        ("ends_at", "2026-11-22T00:00:00-05:00"),
        ("status", "complete"),
        ("type", "Drinks Room"),
    ],
)
async def test_a_valid_field_is_taken_in_every_form(
    stampede: Api, field: str, value: object
) -> None:
    """Strict is not petty."""
    path = await _guest_path(stampede)
    assert (await stampede.post(path, booking(**{field: value}))).status == 201
