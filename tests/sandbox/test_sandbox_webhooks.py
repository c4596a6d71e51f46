"""Webhooks of the simulated ROLLER: delivery, retries, switch-off."""

import base64

import msgspec
import pytest

from pipeline.sandbox.roller import roller_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import KEY, Api, Receiver, roller_settings, roller_token, until


async def _outcome(roller: Api) -> str:
    return str((await roller.state())["messages"][-1]["outcome"])


async def _settled(roller: Api) -> str:
    async def settled() -> bool:
        return await _outcome(roller) != "waiting"

    await until(settled)
    return await _outcome(roller)


async def test_a_booking_reaches_the_subscription_with_its_key(
    roller: Api, receiver: Receiver
) -> None:
    """The one thing that proves who sent it is the header."""
    made = (await roller.post("/_sandbox/bookings", {})).json
    assert made["answers"] == {"200": 1}
    (received,) = receiver.received
    assert received.key == KEY
    assert received.json["id"] == made["message"]["id"]
    assert received.json["data"] == {"booking": made["booking"]}
    assert (received.json["type"], received.json["eventType"]) == (1, 1)
    assert (await roller.state())["messages"][0]["outcome"] == "delivered"


async def test_a_failed_delivery_is_retried_with_the_same_id(
    roller: Api, receiver: Receiver
) -> None:
    """The receiver recognises a message that it had already taken by its id."""
    receiver.answers = [503, 500, 504, 200]
    made = (await roller.post("/_sandbox/bookings", {})).json
    assert made["answers"] == {"503": 1}
    assert await _settled(roller) == "delivered"
    assert len({received.json["id"] for received in receiver.received}) == 1
    state = await roller.state()
    statuses = [attempt["status"] for attempt in state["messages"][0]["attempts"]]
    assert statuses == [503, 500, 504, 200]
    assert state["reviews"] == []


async def test_after_the_seventh_failure_the_subscription_is_switched_off(
    roller: Api, receiver: Receiver
) -> None:
    """One message that always fails stops a venue's data; nothing is sent after that."""
    receiver.answers = [503] * 7
    await roller.post("/_sandbox/bookings", {})
    assert await _settled(roller) == "failed"
    assert len(receiver.received) == 7
    (listed,) = (await roller.get("/webhooks")).json
    assert listed["configuration"]["enabled"] is False
    assert (await roller.post("/_sandbox/bookings", {})).json["answers"] == {}
    assert len(receiver.received) == 7


async def test_a_switched_off_subscription_can_be_switched_on_again(
    roller: Api, receiver: Receiver
) -> None:
    """What happened meanwhile never comes."""
    (listed,) = (await roller.get("/webhooks")).json
    path, configuration = f"/webhooks/{listed['webhookId']}", listed["configuration"]
    await roller.call("PUT", path, configuration | {"enabled": False})
    missed = (await roller.post("/_sandbox/bookings", {})).json["booking"]
    await roller.call("PUT", path, configuration)
    await roller.post("/_sandbox/bookings", {})
    assert len(receiver.received) == 1
    assert (await roller.get(f"/bookings/{missed['uniqueId']}")).status == 200


@pytest.mark.parametrize("status", [201, 202, 204, 301, 401, 404, 429])
async def test_any_other_answer_gets_the_subscription_reviewed(
    roller: Api, receiver: Receiver, status: int
) -> None:
    """Only 200, 500, 503 and 504 are acceptable: not even another 2xx is a success."""
    receiver.answers = [status]
    await roller.post("/_sandbox/bookings", {})
    assert await _settled(roller) == "delivered"
    state = await roller.state()
    assert [review["status"] for review in state["reviews"]] == [status]
    assert len(state["messages"][0]["attempts"]) == 2


async def test_a_receiver_that_does_not_answer_in_time_has_failed(
    start: Start, receiver: Receiver
) -> None:
    """It may have stored the message: so the next attempt is a duplicate."""
    api = await start(roller_app(roller_settings(receiver, answer_limit=0.1)))
    receiver.open.clear()
    assert (await api.post("/_sandbox/bookings", {})).json["answers"] == {"timeout": 1}
    receiver.open.set()
    assert await _settled(api) == "delivered"
    assert len(receiver.received) >= 2


async def test_a_redirect_is_not_followed(roller: Api, receiver: Receiver) -> None:
    """A proxy that moves the address breaks the webhook, as it would with the vendor."""
    moved = {"url": receiver.url.replace("test", "moved"), "text": "x"}
    assert (await roller.post("/_sandbox/send", moved)).json["answers"] == {"302": 1}
    assert receiver.received == []


async def test_a_receiver_that_is_not_there_has_failed(roller: Api) -> None:
    """A daemon that is being restarted loses nothing."""
    away = {"url": "http://127.0.0.1:9/webhooks/test"}
    answers = (await roller.post("/_sandbox/bookings", away)).json["answers"]
    assert answers == {"ClientConnectorError": 1}
    assert await _settled(roller) == "failed"


async def test_only_subscribed_events_are_sent(roller: Api, receiver: Receiver) -> None:
    """Each subscription names its types and events."""
    (listed,) = (await roller.get("/webhooks")).json
    cancellations = {"webhooks": {"booking": {"events": ["Cancelled"]}}}
    await roller.call(
        "PUT", f"/webhooks/{listed['webhookId']}", listed["configuration"] | cancellations
    )
    made = (await roller.post("/_sandbox/bookings", {})).json["booking"]
    change = {"booking": {"uniqueId": made["uniqueId"], "status": "Cancelled"}}
    await roller.post("/_sandbox/bookings", change)
    assert [received.json["eventType"] for received in receiver.received] == [3]


async def test_deleting_a_subscription_ends_its_retries(start: Start, receiver: Receiver) -> None:
    """And a reset does as well."""
    api = await start(roller_app(roller_settings(receiver, retry_factor=1e-3)))
    await roller_token(api)
    receiver.answers = [503] * 7
    await api.post("/_sandbox/bookings", {})
    (listed,) = (await api.get("/webhooks")).json
    await api.call("DELETE", f"/webhooks/{listed['webhookId']}")
    assert await _settled(api) == "dropped"
    assert len(receiver.received) == 1
    await api.post("/_sandbox/reset", {})
    state = await api.state()
    assert (state["messages"], state["bookings"], len(state["subscriptions"])) == ([], [], 1)


async def test_a_given_booking_is_sent_as_it_was_given(roller: Api, receiver: Receiver) -> None:
    """Fields can be set, added and left out; what is not given stays."""
    fields = {"total": 19.99, "customerId": None, "surprise": {"new": True}, "status": "Paid"}
    order = {
        "booking": fields,
        "shape": "flat",
        "words": True,
        "event_date": "2026-11-21T09:00:00Z",
    }
    made = (await roller.post("/_sandbox/bookings", order)).json["booking"]
    sent = receiver.received[0].json
    assert (sent["type"], sent["eventType"]) == ("Booking", "Created")
    assert (sent["eventDate"], sent["data"]) == ("2026-11-21T09:00:00Z", made)
    assert (made["total"], made["surprise"], "customerId" in made) == (19.99, {"new": True}, False)
    change = {"uniqueId": made["uniqueId"], "total": 25}
    changed = (await roller.post("/_sandbox/bookings", {"booking": change})).json["booking"]
    assert changed == made | {"total": 25}
    assert receiver.received[1].json["eventType"] == 2


async def test_an_older_event_is_sent_but_is_not_the_truth(roller: Api, receiver: Receiver) -> None:
    """What a late message says is no longer so."""
    new = {"booking": {"total": 50}, "event_date": "2026-11-21T09:00:01.5Z"}
    made = (await roller.post("/_sandbox/bookings", new)).json["booking"]
    old = {
        "booking": {"uniqueId": made["uniqueId"], "total": 40},
        "event_date": "2026-11-21T09:00:01Z",
    }
    await roller.post("/_sandbox/bookings", old)
    assert [received.json["data"]["booking"]["total"] for received in receiver.received] == [50, 40]
    assert (await roller.get(f"/bookings/{made['uniqueId']}")).json["total"] == 50


async def test_a_new_booking_has_a_guest_that_can_be_fetched(roller: Api) -> None:
    """The webhook only names the customer."""
    made = (await roller.post("/_sandbox/bookings", {"send": False})).json
    assert made["answers"] == {}
    shown = await roller.get(f"/guests/{made['booking']['customerId']}")
    assert shown.json["email"].lower().endswith(("@example.com", "@example.org", "@example.net"))


@pytest.mark.parametrize(
    ("parcel", "arrived"),
    [
        ({"body": {"total": 1e3, "a": [None]}}, b'{"total":1000.0,"a":[null]}'),
        ({"text": "{not json"}, b"{not json"),
        ({"base64": base64.b64encode(b"\xff\x00").decode()}, b"\xff\x00"),
        ({}, b""),
        ({"base64": base64.b64encode(b"x" * 1_000_000).decode()}, b"x" * 1_000_000),
    ],
)
async def test_any_bytes_can_be_sent(
    roller: Api, receiver: Receiver, parcel: dict[str, object], arrived: bytes
) -> None:
    """Whatever arrives, the listener answers 200 or 503: here is how to try."""
    assert (await roller.post("/_sandbox/send", parcel)).json["answers"] == {"200": 1}
    (received,) = receiver.received
    assert (received.body, received.key) == (arrived, KEY)


async def test_a_parcel_goes_to_any_address_with_any_key(roller: Api, receiver: Receiver) -> None:
    """A wrong key, none at all, an unknown path; and unless wanted, once only."""
    receiver.answers = [503]
    for key in ("wrong", None):
        await roller.post("/_sandbox/send", {"url": receiver.url, "key": key, "text": "x"})
    assert [received.key for received in receiver.received] == ["wrong", None]
    assert [m["outcome"] for m in (await roller.state())["messages"]] == ["failed", "delivered"]
    elsewhere = {"url": receiver.url + "/unknown", "text": "x"}
    assert (await roller.post("/_sandbox/send", elsewhere)).json["answers"] == {"404": 1}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("play", {"bookings": 0}),
        ("play", {"bookings": 5, "cancelations": 1}),
        ("play", {"shape": "round"}),
        ("play", {"venue": "nowhere"}),
        ("play", {"bookings": 2, "drafts": 2, "no_customer": 1}),
        ("play", {"bookings": 2, "cancellations": 3}),
        ("play", {"bookings": 2, "drafts": 2, "updates": 1}),
        ("play", {"bookings": 2, "duplicates": 3}),
        ("bookings", {"event_date": "yesterday"}),
        ("bookings", {"event": "Exploded"}),
        ("guests", {"guest": []}),
        ("send", {"url": 7}),
        ("send", {"base64": "?"}),
        ("permissions", {"missing": "all"}),
    ],
)
async def test_bad_orders_are_refused_with_a_sentence(
    roller: Api, receiver: Receiver, path: str, body: dict[str, object]
) -> None:
    """An order that is misspelt must not be carried out by halves."""
    answer = await roller.post(f"/_sandbox/{path}", body)
    assert answer.status == 400
    assert len(answer.json["error"]) > 10
    state = await roller.state()
    assert (receiver.received, state["bookings"], state["guests"]) == ([], [], [])


async def test_a_parcel_keeps_its_exact_numbers(roller: Api, receiver: Receiver) -> None:
    """Amounts that no float can hold can be tried."""
    body = msgspec.Raw(b'{"total": 12345678901234567890.125, "fees": 1e400}')
    await roller.post("/_sandbox/send", {"body": body})
    assert receiver.received[0].body == bytes(body)
