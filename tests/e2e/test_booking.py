"""A booking's way from ROLLER to Stampede."""

from typing import Any

from tests.e2e.world import World, equations, newest_truth, told


async def test_a_booking_becomes_a_guest_a_booking_and_tags(here: World) -> None:
    """The main job: every row of Stampede's own field table arrives."""
    async with here.running():
        customer = await here.guest(
            firstName="Ada",
            lastName="Example",
            email="  Ada@Example.COM ",
            phone="07400 123456",
            gender="Female",
            dateOfBirth="1990-05-01",
            acceptMarketing=True,
            acceptMarketingSMS=False,
        )
        await here.book(booking=_booking(customer), event_date="2026-06-01T10:00:00.1234567Z")
        status = await here.settled()
    equations(status)
    stampede = await here.state("stampede")
    [guest] = stampede["guests"]
    assert (guest["email"], guest["first"], guest["last"]) == ("ada@example.com", "Ada", "Example")
    assert guest["phone"] == "+447400123456"
    assert guest["gender"] == "f"
    assert [guest[f"{c}_opt_in"] for c in ("data", "email", "sms")] == [True, True, False]
    assert sorted(guest["tags"]) == ["Online", "Paid", "VenueManager"]
    [booking] = stampede["bookings"]
    expected = {
        "event_id": "3f8e5a4c-0000-4000-8000-000000000001",
        "venue_id": "A1B2C3D4E5F6",
        "status": "active",
        "amount": 35064,
        "currency": "GBP",
        "party_size": 7,
        "starts_at": "2026-07-04T18:30:00+01:00",
        "ends_at": "2026-07-05T00:00:00+01:00",
        "created_at": "2026-05-31T23:05:55.163Z",
        "updated_at": "2026-06-01T10:00:00.123Z",
        "metadata": {
            "reference": "9774710",
            "source": "VenueManager",
            "channel": "Online",
            "status": "Paid",
        },
    }
    assert {key: booking[key] for key in expected} == expected


async def test_what_the_configuration_says_of_the_venue_goes_before_what_roller_says(
    here: World,
) -> None:
    """Whoever sets it knows better, and what is set must reach Stampede as ROLLER's would."""
    here.replace(
        "webhook_key =",
        'timezone = "Europe/Paris"\ncurrency = "EUR"\ncountry = "FR"\nwebhook_key =',
    )
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.book(booking=_booking(customer))
        await here.settled()
    [booking] = (await here.state("stampede"))["bookings"]
    assert (booking["currency"], booking["starts_at"]) == ("EUR", "2026-07-04T18:30:00+02:00")
    assert "/venues/me" not in [r["path"] for r in await here.requests("roller")]


async def test_a_new_guest_with_three_tags_costs_five_requests_and_one_token(here: World) -> None:
    """The allowance is what is scarce, so nothing is asked that is not needed."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.book(booking=_booking(customer))
        await here.settled()
    calls = [(r["method"], r["path"].split("/")[-1]) for r in await here.requests("stampede")]
    assert calls[:3] == [("POST", "token"), ("POST", "guests"), ("POST", "booking")]
    assert calls[3:] == [("PUT", "tags")] * 3


async def test_a_returning_guest_with_known_tags_costs_one_request(here: World) -> None:
    """What Stampede was told and has not changed is not told again."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.book(booking=_booking(customer))
        await here.settled()
        before = len(await here.requests("stampede"))
        await here.book(booking=_booking(customer) | {"uniqueId": "another-booking"})
        await here.settled()
    assert len(await here.requests("stampede")) == before + 1


async def test_changes_duplicates_and_wrong_order_end_in_the_newest_truth(here: World) -> None:
    """ROLLER promises neither order nor single delivery."""
    async with here.running():
        await here.play(
            bookings=30,
            updates=20,
            cancellations=5,
            duplicates=10,
            out_of_order=6,
            no_customer=2,
            drafts=2,
            guests=20,
            shape="mixed",
            words="mixed",
            seed=7,
        )
        status = await here.settled()
    equations(status)
    assert status.events["duplicates"] == 10
    assert status.events["parked"] == status.deliveries["parked"] == 0
    assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))


async def test_a_draft_and_a_booking_without_a_customer_are_skipped(here: World) -> None:
    """Nobody is told of a draft, and there is nobody to tell of a walk-in; neither is an error."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.book(booking=_booking(customer) | {"status": "Draft"})
        await here.book(booking=_booking(None) | {"uniqueId": "walk-in"})
        await here.settled()
    rows = here.rows("SELECT booking, state, reason FROM deliveries ORDER BY booking")
    assert rows == [
        ("3f8e5a4c-0000-4000-8000-000000000001", "skipped", "draft"),
        ("walk-in", "skipped", "no customer"),
    ]
    assert await here.requests("stampede") == []


async def test_a_draft_that_is_reserved_later_is_sent_and_its_old_row_superseded(
    here: World,
) -> None:
    """What becomes sendable gets a new row; the old one points at it."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        draft = _booking(customer) | {"status": "Draft"}
        await here.book(booking=draft, event_date="2026-06-01T10:00:00Z")
        await here.settled()
        later = {"uniqueId": _booking(customer)["uniqueId"], "status": "Paid"}
        await here.book(booking=later, event_date="2026-06-02T10:00:00Z")
        await here.settled()
    rows = here.rows("SELECT state, superseded_by FROM deliveries WHERE kind = 'booking'")
    assert [state for state, _ in rows] == ["superseded", "delivered"]
    assert rows[0][1] is not None


async def test_a_minor_is_sent_nowhere(here: World) -> None:
    """Children must not be marketed to."""
    async with here.running():
        customer = await here.guest(email="kid@example.com", dateOfBirth="2015-01-01")
        await here.book(booking=_booking(customer))
        await here.settled()
    assert here.rows("SELECT state, reason FROM deliveries") == [("skipped", "minor")]


async def test_a_booking_that_changes_hands_is_cancelled_where_it_was(here: World) -> None:
    """The guest who gave it away must not be reminded of it."""
    async with here.running():
        ada = await here.guest(email="ada@example.com")
        ben = await here.guest(email="ben@example.com")
        await here.book(booking=_booking(ada), event_date="2026-06-01T10:00:00Z")
        await here.settled()
        moved = {"uniqueId": _booking(ada)["uniqueId"], "customerId": ben}
        await here.book(booking=moved, event_date="2026-06-02T10:00:00Z")
        await here.settled()
    bookings = (await here.state("stampede"))["bookings"]
    assert {b["email"]: b["status"] for b in bookings} == {
        "ada@example.com": "cancelled",
        "ben@example.com": "active",
    }


def _booking(customer: int | None) -> dict[str, Any]:
    item = {
        "productId": 7158455,
        "quantity": 3,
        "groupSize": 2,
        "bookingDate": "2026-07-04",
        "bookingEndDate": "2026-07-04",
        "sessionStartTime": "18:30",
        "sessionEndTime": "00:00",
    }
    return {
        "uniqueId": "3f8e5a4c-0000-4000-8000-000000000001",
        "bookingReference": "9774710",
        "createdDate": "2026-05-31T23:05:55.163Z",
        "source": "VenueManager",
        "channel": "Online",
        "status": "Paid",
        "customerId": customer,
        "total": 350.64,
        "items": [item, {"productId": 1, "quantity": 1, "bookingDate": "2026-07-04"}],
    }
