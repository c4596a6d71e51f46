"""Webhooks of every type that the simulated ROLLER sends."""

import pytest

from pipeline.sandbox.roller import roller_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import Api, Json, Receiver, everything, roller_settings, roller_token

CREATED, UPDATED = 1, 2
BOOKING, REDEMPTION, CUSTOMER, EXPORT, WAIVER, LINK = 1, 3, 4, 5, 7, 8


def _of(receiver: Receiver, kind: int) -> list[Json]:
    return [one.json for one in receiver.received if one.json["type"] == kind]


async def test_a_guest_is_told_of_when_made_and_when_changed(busy: Api, receiver: Receiver) -> None:
    """Its message has no SMS consent and no flags, which only asking for the guest shows."""
    asked = {"acceptMarketing": True, "acceptMarketingSMS": True, "dateOfBirth": "1990-02-03"}
    number = (await busy.control("guests", guest=asked))["customerId"]
    await busy.control("guests", customerId=number, guest={"acceptMarketing": False})
    first, second = _of(receiver, CUSTOMER)
    assert (first["eventType"], second["eventType"]) == (CREATED, UPDATED)
    told = second["data"]["customer"]
    assert (told["customerId"], told["acceptMarketing"]) == (number, False)
    assert told["dateOfBirth"] == "1990-02-03"
    assert {"acceptMarketingSMS", "acceptMarketingSms", "flags"}.isdisjoint(told)
    shown = (await busy.get(f"/guests/{number}")).json
    assert (shown["acceptMarketing"], shown["acceptMarketingSMS"]) == (False, True)


async def test_a_deletion_arrives_as_an_updated_and_the_guest_is_gone(
    busy: Api, receiver: Receiver
) -> None:
    """Nothing in the message says so: only the 404 does."""
    number = (await busy.control("guests"))["customerId"]
    await busy.control("guests", customerId=number, delete=True)
    assert [m["eventType"] for m in _of(receiver, CUSTOMER)] == [CREATED, UPDATED]
    assert (await busy.get(f"/guests/{number}")).status == 404
    assert (await busy.state())["guests"] == []


@pytest.mark.parametrize(
    ("shape", "wrapper"), [("nested", "customer"), ("guest", "guest"), ("flat", None)]
)
@pytest.mark.parametrize("words", [False, True])
async def test_a_guest_is_written_in_any_shape(
    busy: Api, receiver: Receiver, shape: str, wrapper: str | None, words: bool
) -> None:
    """Its wrapper is not documented and was not seen: a client has to take each."""
    number = (await busy.control("guests", shape=shape, words=words))["customerId"]
    (message,) = (one.json for one in receiver.received)
    data = message["data"][wrapper] if wrapper else message["data"]
    assert data["customerId"] == number
    kinds = ("Customer", "Created") if words else (CUSTOMER, CREATED)
    assert (message["type"], message["eventType"]) == kinds


async def test_a_purchase_is_told_of_its_guest_too(busy: Api, receiver: Receiver) -> None:
    """A receiver of customers hears of everybody who buys: Created once, then Updated."""
    made = (await busy.control("bookings"))["booking"]
    await busy.control("bookings", booking={"customerId": made["customerId"]})
    change = {"uniqueId": made["uniqueId"], "status": "Paid"}
    await busy.control("bookings", booking=change)
    await busy.control("bookings", customer_events=False)
    told = [(one["eventType"], one["data"]["customer"]["customerId"]) for one in _of(receiver, 4)]
    assert told == [(CREATED, made["customerId"]), (UPDATED, made["customerId"])]
    assert len(_of(receiver, BOOKING)) == 4


async def test_a_waiver_tells_of_the_adult_and_every_minor_at_once(
    busy: Api, receiver: Receiver
) -> None:
    """Minors have a record of their own, and neither e-mail nor phone anywhere."""
    signed = await busy.control("waivers", minors=2)
    (message,) = _of(receiver, WAIVER)
    adult, *minors = message["data"]["signedWaivers"]
    assert (adult["isForMinor"], adult["guestId"]) == (False, signed["customerId"])
    assert {"email", "contactNumber"} <= set(adult)
    assert [minor["guestId"] for minor in minors] == signed["minors"]
    for minor in minors:
        assert minor["isForMinor"] is True
        assert minor["parentSignedWaiverId"] == adult["signedWaiverId"]
        assert {"email", "contactNumber"}.isdisjoint(minor)
        guest = (await busy.get(f"/guests/{minor['guestId']}")).json
        assert (guest["email"], guest["phone"]) == (None, None)
        assert guest["dateOfBirth"] == minor["dateOfBirth"] > "2010"
        shown = (await busy.get(f"/signed-waivers/{minor['signedWaiverId']}")).json
        assert shown == minor
    assert len(_of(receiver, CUSTOMER)) == 3
    assert (await busy.get("/signed-waivers/1")).status == 404


async def test_a_waiver_takes_given_people_and_fields(busy: Api, receiver: Receiver) -> None:
    """Such as a minor who has a parent's address all the same, or a record without a birthday."""
    number = (await busy.control("guests"))["customerId"]
    minors = [{"firstName": "Pip", "dateOfBirth": "2020-02-11", "email": "ada@example.com"}]
    await busy.control(
        "waivers", customerId=number, minors=minors, waiver={"isValid": False, "guestId": None}
    )
    (message,) = _of(receiver, WAIVER)
    adult, child = message["data"]["signedWaivers"]
    assert (child["firstName"], child["dateOfBirth"]) == ("Pip", "2020-02-11")
    assert (adult["isValid"], "guestId" in child, "email" in child) == (False, False, False)
    emails = [guest["email"] for guest in (await busy.state())["guests"]]
    assert "ada@example.com" in emails


async def test_a_waiver_on_a_ticket_changes_the_booking(busy: Api, receiver: Receiver) -> None:
    """That is an Updated, and its tickets name who comes."""
    items = [{"bookingItemId": 5, "productId": 7_000_000, "quantity": 3}]
    booked = (await busy.control("bookings", booking={"items": items}))["booking"]
    signed = await busy.control("waivers", minors=1, booking=booked["uniqueId"])
    updated = _of(receiver, BOOKING)[1]
    assert updated["eventType"] == UPDATED
    assert "tickets" not in updated["data"]["booking"]["items"][0]
    shown = (await busy.get(f"/bookings/{booked['uniqueId']}")).json
    holders = [ticket.get("customerId") for ticket in shown["items"][0]["tickets"]]
    assert holders == [signed["customerId"], signed["minors"][0], None]
    last = await busy.control("waivers", booking=booked["uniqueId"])
    shown = (await busy.get(f"/bookings/{booked['uniqueId']}")).json
    assert shown["items"][0]["tickets"][2]["customerId"] == last["customerId"]


async def test_a_redemption_names_tickets_and_not_the_booking(
    busy: Api, receiver: Receiver
) -> None:
    """Who came is known only where a waiver hangs on the ticket; the booking is not Updated."""
    items = [
        {"bookingItemId": 5, "productId": 7_000_000, "quantity": 2},
        {"bookingItemId": 6, "productId": 7_000_040, "quantity": 2},
    ]
    booked = (await busy.control("bookings", booking={"items": items}))["booking"]
    signed = await busy.control("waivers", booking=booked["uniqueId"])
    for _ in range(2):
        await busy.control("redemptions", booking=booked["bookingReference"])
    first, again = (one["data"]["redemptions"] for one in _of(receiver, REDEMPTION))
    assert [one["ticketId"] for one in first] == ["5-1", "5-2"], "socks let nobody in"
    assert [one.get("customerId") for one in first] == [signed["customerId"], None]
    assert [one["quantityRedeemed"] for one in again] == [2, 2]
    assert booked["uniqueId"] not in str(first)
    assert [m["eventType"] for m in _of(receiver, BOOKING)] == [CREATED, UPDATED]


async def test_add_ons_are_not_redeemed(busy: Api, receiver: Receiver) -> None:
    """No message comes of a booking that lets nobody in."""
    items = [{"bookingItemId": 6, "productId": 7_000_040, "quantity": 2}]
    booked = (await busy.control("bookings", booking={"items": items}))["booking"]
    assert (await busy.control("redemptions", booking=booked["uniqueId"]))["redemptions"] == []
    assert _of(receiver, REDEMPTION) == []


@pytest.mark.parametrize("what", ["waivers", "redemptions"])
async def test_what_concerns_no_booking_is_refused_whole(busy: Api, what: str) -> None:
    """Nobody is made by halves."""
    answer = await busy.post(f"/_sandbox/{what}", {"booking": "none"})
    assert (answer.status, (await busy.state())["guests"]) == (400, [])


async def test_an_export_comes_in_parts_and_a_payment_by_its_link(
    busy: Api, receiver: Receiver
) -> None:
    """Types that a daemon gets and has no use for must not trouble it."""
    booked = (await busy.control("bookings"))["booking"]
    await busy.control("notices", kind="paymentLink", booking=booked["uniqueId"])
    await busy.control("notices", kind="bulkExport", parts=5, shape="flat")
    (link,) = _of(receiver, LINK)
    assert link["data"]["paymentLink"]["bookingUniqueIdentifier"] == booked["uniqueId"]
    parts = [message["data"]["sequenceNumber"] for message in _of(receiver, EXPORT)]
    assert sorted(parts) == [1, 2, 3, 4, 5] != parts
    assert (await busy.post("/_sandbox/notices", {"kind": "paymentLink"})).status == 400


async def test_a_late_change_of_a_guest_is_told_and_not_true(busy: Api, receiver: Receiver) -> None:
    """As with bookings: a message may be older than what is known."""
    new = {"guest": {"lastName": "New"}, "event_date": "2026-11-21T10:00:00Z"}
    number = (await busy.control("guests", **new))["customerId"]
    old = {"guest": {"lastName": "Old"}, "event_date": "2026-11-21T09:00:00Z"}
    await busy.control("guests", customerId=number, **old)
    told = [message["data"]["customer"]["lastName"] for message in _of(receiver, CUSTOMER)]
    assert (told, (await busy.get(f"/guests/{number}")).json["lastName"]) == (["New", "Old"], "New")


async def test_a_booking_has_as_many_items_as_wanted(busy: Api) -> None:
    """Several days and sessions at a venue anywhere."""
    await busy.control("venues", iana_time_zone="America/New_York", currency="JPY", country="USA")
    made = (await busy.control("bookings", invent_items=30, tickets=True))["booking"]
    days = {item["bookingDate"] for item in made["items"]}
    assert (len(made["items"]), len(days)) == (30, 30)
    assert any("tickets" in item for item in made["items"])
    costs = [item["cost"] for item in made["items"]]
    assert all(cost == round(cost) for cost in costs)
    assert made["total"] == sum(i["quantity"] * i["cost"] for i in made["items"])
    shown = (await busy.get("/venues/me")).json
    assert (shown["ianaTimeZone"], shown["currency"]) == ("America/New_York", "JPY")
    assert (await busy.post("/_sandbox/venues", {"iana_time_zone": "Leeds"})).status == 400


async def test_a_deleted_booking_is_nowhere_and_nobody_is_told(
    busy: Api, receiver: Receiver
) -> None:
    """Unless a test wants to know what the event that nobody can subscribe to would do."""
    for event in (None, "Deleted"):
        made = (await busy.control("bookings", send=False))["booking"]
        change = {"uniqueId": made["uniqueId"]}
        await busy.control("bookings", booking=change, delete=True, event=event)
        assert (await busy.get(f"/bookings/{made['uniqueId']}")).status == 404
        assert (await busy.get(f"/bookings/{made['bookingReference']}")).status == 404
    assert [one.told for one in receiver.received] == [(BOOKING, 4)]


async def test_messages_hold_what_their_subscription_includes(
    start: Start, receiver: Receiver
) -> None:
    """Two subscriptions get the same message with and without the extras; REST has it all."""
    more = everything(
        receiver,
        booking=("tickets", "payments", "externalId", "metadata"),
        customer=("flags",),
        redemption=("membershipDetail",),
    )
    settings = roller_settings(receiver, webhooks=(everything(receiver), more))
    api = await start(roller_app(settings))
    await roller_token(api)
    ticket = {"ticketId": "5-1", "membershipStatus": "Current", "locations": [1]}
    fields = {
        "items": [{"bookingItemId": 5, "productId": 7_000_000, "tickets": [ticket]}],
        "payments": [{"bookingPaymentId": 1}],
        "externalId": "x",
        "metadata": {"a": "b"},
    }
    made = (await api.control("bookings", booking=fields))["booking"]
    await api.control("redemptions", booking=made["uniqueId"])
    plain, full = (one["data"]["booking"] for one in _of(receiver, BOOKING))
    assert {"payments", "externalId", "metadata"}.isdisjoint(plain)
    assert "tickets" not in plain["items"][0]
    assert full["payments"] == fields["payments"]
    assert full["items"][0]["tickets"] == [{"ticketId": "5-1"}], "neither detail was asked for"
    assert (await api.get(f"/bookings/{made['uniqueId']}")).json == made
    guests = [one["data"]["customer"] for one in _of(receiver, CUSTOMER)]
    assert [("flags" in guest) for guest in guests] == [False, True]
    redeemed = [one["data"]["redemptions"][0] for one in _of(receiver, REDEMPTION)]
    assert [one.get("membershipStatus") for one in redeemed] == [None, "Current"]
