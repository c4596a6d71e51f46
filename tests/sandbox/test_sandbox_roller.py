"""The simulated ROLLER's REST interface."""

import msgspec
import pytest

from pipeline.sandbox.roller import roller_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import VENUE, Api, Clock, Receiver, roller_settings, roller_token

YORK = msgspec.structs.replace(
    VENUE, client_id="test-york", client_secret="secret-york", id=2, name="Test York", source="york"
)
CONFIGURATION = {
    "url": "https://hooks.example.com/webhooks/leeds",
    "enabled": True,
    "authentication": {"apiKey": "key"},
    "webhooks": {"booking": {"events": ["Created"]}, "customer": {"events": ["Updated"]}},
}


async def test_the_same_token_is_handed_out_until_it_expires(
    start: Start, receiver: Receiver
) -> None:
    """As seen live; a new one comes only when the old one has ended."""
    clock = Clock()
    api = await start(roller_app(roller_settings(receiver), clock))
    first, again = await roller_token(api), await roller_token(api)
    assert first.json == again.json
    assert (first.json["token_type"], first.json["expires_in"]) == ("Bearer", 86400)
    clock.now += 86400
    assert (await api.get("/venues/me")).status == 401
    assert (await roller_token(api)).json["access_token"] != first.json["access_token"]
    assert (await api.get("/venues/me")).status == 200


@pytest.mark.parametrize("wrong", ["client_id", "client_secret"])
async def test_wrong_credentials_are_a_400(roller: Api, wrong: str) -> None:
    """Not a 401: who loops on a 401 by fetching a token must not be fed one."""
    credentials = {"client_id": VENUE.client_id, "client_secret": VENUE.client_secret}
    assert (await roller.post("/token", credentials | {wrong: "wrong"})).status == 400


async def test_a_form_gets_no_token(roller: Api) -> None:
    """Stock OAuth clients send forms; the vendor takes JSON."""
    credentials = {"client_id": VENUE.client_id, "client_secret": VENUE.client_secret}
    assert (await roller.post_form("/token", credentials)).status == 400


async def test_the_token_decides_the_venue(start: Start, receiver: Receiver) -> None:
    """One address serves all venues; each key sees only its own."""
    api = await start(roller_app(roller_settings(receiver, venues=(VENUE, YORK))))
    made = (await api.post("/_sandbox/guests", {"venue": YORK.client_id})).json
    for venue, name, status in [(VENUE, "Test Leeds", 404), (YORK, "Test York", 200)]:
        await roller_token(api, venue)
        shown = (await api.get("/venues/me")).json
        assert (shown["name"], shown["currency"], shown["ianaTimeZone"], shown["countryCode"]) == (
            name,
            "GBP",
            "Europe/London",
            "GB",
        )
        assert (await api.get(f"/guests/{made['customerId']}")).status == status


async def test_a_revoked_token_is_refused(roller: Api) -> None:
    """A token may end before its time."""
    await roller.call("DELETE", "/_sandbox/tokens")
    assert (await roller.get("/venues/me")).status == 401


async def test_an_excess_is_followed_by_a_minute_of_refusals(
    start: Start, receiver: Receiver
) -> None:
    """Per venue: what one floods, the other does not notice."""
    clock = Clock()
    settings = roller_settings(receiver, venues=(VENUE, YORK), requests=3)
    api = await start(roller_app(settings, clock))
    await roller_token(api)
    statuses = [(await api.get("/venues/me")).status for _ in range(3)]
    clock.now += 59.9
    statuses.append((await api.get("/venues/me")).status)
    assert statuses == [200, 200, 429, 429]
    assert (await roller_token(api, YORK)).status == 200
    clock.now += 0.1
    assert (await roller_token(api)).status == 200


async def test_a_missing_permission_is_a_403_that_says_so(roller: Api) -> None:
    """Keys have permissions per endpoint; a missing one shows only when it is called."""
    await roller.post("/_sandbox/permissions", {"missing": ["GET /guests"]})
    answer = await roller.get("/guests/1")
    assert (answer.status, answer.json["errors"][0]["name"]) == (403, "INSUFFICIENT_SCOPE")
    assert (await roller.get("/venues/me")).status == 200


async def test_a_guest_looks_as_it_does_live(roller: Api) -> None:
    """SMS consent in the live spelling, absent when never asked; no id, and sensitive noise."""
    asked = {"acceptMarketing": True, "acceptMarketingSMS": False, "email": None}
    made = (await roller.post("/_sandbox/guests", {"guest": asked})).json
    shown = (await roller.get(f"/guests/{made['customerId']}")).json
    assert (shown["acceptMarketing"], shown["acceptMarketingSMS"]) == (True, False)
    assert shown["email"] is None
    assert {"customerId", "id", "acceptMarketingSms"}.isdisjoint(shown)
    assert {"flags", "address", "phone", "dateOfBirth", "gender"} <= set(shown)
    change = {"customerId": made["customerId"], "guest": {"acceptMarketingSMS": None}}
    await roller.post("/_sandbox/guests", change)
    shown = (await roller.get(f"/guests/{made['customerId']}")).json
    assert "acceptMarketingSMS" not in shown
    assert shown["acceptMarketing"] is True


async def test_the_deprecated_customer_has_no_sms_consent(roller: Api) -> None:
    """Who still uses it learns nothing about SMS."""
    made = (await roller.post("/_sandbox/guests", {"guest": {"acceptMarketingSMS": True}})).json
    shown = (await roller.get(f"/customers/{made['customerId']}")).json
    assert shown["customerId"] == made["customerId"]
    assert not [name for name in shown if "sms" in name.lower()]


async def test_a_deleted_guest_is_not_found(roller: Api) -> None:
    """The shape of the 404 is the documented one."""
    made = (await roller.post("/_sandbox/guests", {})).json
    number = made["customerId"]
    assert (await roller.get(f"/guests/{number}")).status == 200
    await roller.post("/_sandbox/guests", {"customerId": number, "delete": True})
    for path in (f"/guests/{number}", f"/customers/{number}", "/guests/x", "/bookings/x"):
        answer = await roller.get(path)
        assert (answer.status, answer.json["errors"][0]["name"]) == (404, "NotFound")


async def test_a_booking_is_found_by_unique_id_and_by_reference(roller: Api) -> None:
    """Both are accepted in the path."""
    made = (await roller.post("/_sandbox/bookings", {"send": False})).json["booking"]
    for wanted in (made["uniqueId"], made["bookingReference"]):
        assert (await roller.get(f"/bookings/{wanted}")).json == made


async def test_webhooks_are_made_listed_changed_and_deleted(roller: Api) -> None:
    """The answers have the documented shapes, the list is an array as seen live."""
    made = await roller.post("/webhooks", CONFIGURATION)
    assert made.status == 201
    assert set(made.json) == {"webhookId", "createdDate", "configuration"}
    path = f"/webhooks/{made.json['webhookId']}"
    changed = CONFIGURATION | {"enabled": False}
    assert (await roller.call("PUT", path, changed)).json["configuration"] == changed
    listed = (await roller.get("/webhooks")).json
    assert [webhook["configuration"]["enabled"] for webhook in listed] == [True, False]
    assert (await roller.call("DELETE", path)).status == 200
    assert (await roller.call("DELETE", path)).status == 404
    assert len((await roller.get("/webhooks")).json) == 1


async def test_the_list_of_webhooks_may_be_an_object(start: Start, receiver: Receiver) -> None:
    """So says the documentation; a client has to take both."""
    api = await start(roller_app(roller_settings(receiver, webhooks_as_object=True)))
    await roller_token(api)
    assert (await api.get("/webhooks")).json["configuration"]["url"] == receiver.url


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://hooks.example.com/webhooks/leeds"},
        {"url": None},
        {"enabled": False},
        {"authentication": {}},
        {"webhooks": {}},
        {"webhooks": {"booking": {}}},
        {"webhooks": {"booking": {"events": ["Deleted"]}}},
        {"webhooks": {"payments": {"events": ["Created"]}}},
    ],
)
async def test_a_bad_webhook_is_refused(roller: Api, wrong: dict[str, object]) -> None:
    """HTTPS, enabled, a key, and at least one type with events."""
    answer = await roller.post("/webhooks", CONFIGURATION | wrong)
    assert (answer.status, answer.json["errors"][0]["name"]) == (400, "Validation")
