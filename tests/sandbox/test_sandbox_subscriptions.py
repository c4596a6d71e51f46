"""Several subscriptions at the simulated ROLLER, and those that are switched off."""

from pipeline.sandbox.roller import roller_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import Api, Receiver, roller_settings, roller_token, until

_GUESTS_ONLY = {"customer": {"events": ["Updated"]}}


async def _subscribe(roller: Api, receiver: Receiver, key: str, webhooks: object) -> int:
    configuration = {
        "url": receiver.url,
        "enabled": True,
        "authentication": {"apiKey": key},
        "webhooks": webhooks,
    }
    made = await roller.post("/webhooks", configuration)
    assert (made.status, made.json["configuration"]) == (201, configuration)
    return int(made.json["webhookId"])


async def _outcomes(roller: Api) -> list[str]:
    return [message["outcome"] for message in (await roller.state())["messages"]]


async def test_each_subscription_gets_its_types_and_events(roller: Api, receiver: Receiver) -> None:
    """One for bookings is there; another asks for changed guests, with a key of its own."""
    await _subscribe(roller, receiver, "other", _GUESTS_ONLY)
    made = (await roller.control("bookings"))["booking"]
    await roller.control("guests", customerId=made["customerId"], guest={"lastName": "New"})
    told = [(one.json["type"], one.key) for one in receiver.received]
    assert told == [(1, "key-of-the-test"), (4, "other")]


async def test_two_subscriptions_to_the_same_event_are_both_told(
    roller: Api, receiver: Receiver
) -> None:
    """As beside a forgotten integration: the same message, of the same id, comes twice."""
    number = await _subscribe(roller, receiver, "other", {"booking": {"events": ["Created"]}})
    await roller.control("bookings")
    assert [one.key for one in receiver.received] == ["key-of-the-test", "other"]
    assert len({one.json["id"] for one in receiver.received}) == 1
    assert (await roller.call("DELETE", f"/webhooks/{number}")).status == 200
    await roller.control("bookings")
    assert len(receiver.received) == 3


async def test_the_list_becomes_an_object_by_a_switch(roller: Api, receiver: Receiver) -> None:
    """And an array again after a reset."""
    await roller.control("settings", webhooks_as_object=True)
    assert (await roller.get("/webhooks")).json["configuration"]["url"] == receiver.url
    await roller.control("reset")
    await roller_token(roller)
    assert len((await roller.get("/webhooks")).json) == 1


async def test_a_subscription_can_be_switched_off_from_outside(
    roller: Api, receiver: Receiver
) -> None:
    """What happens meanwhile never comes; the list shows that it is off."""
    await roller.control("subscriptions", enabled=False)
    (listed,) = (await roller.get("/webhooks")).json
    assert listed["configuration"]["enabled"] is False
    await roller.control("bookings")
    await roller.control("subscriptions", enabled=True, webhookId=listed["webhookId"])
    await roller.control("bookings")
    assert len(receiver.received) == 1
    other = await _subscribe(roller, receiver, "other", _GUESTS_ONLY)
    await roller.control("subscriptions", enabled=False, webhookId=other)
    shown = (await roller.get("/webhooks")).json
    assert [one["configuration"]["enabled"] for one in shown] == [True, False]
    wrong = {"enabled": True, "webhookId": 7}
    assert (await roller.post("/_sandbox/subscriptions", wrong)).status == 400


async def test_what_waits_is_dropped_though_it_is_switched_on_again(
    start: Start, receiver: Receiver
) -> None:
    """Nothing promises a replay, so there is none."""
    api = await start(roller_app(roller_settings(receiver, retry_factor=1e-3)))
    receiver.answers = [503]
    await api.control("bookings")
    await api.control("subscriptions", enabled=False)
    await api.control("subscriptions", enabled=True)

    async def dropped() -> bool:
        return await _outcomes(api) == ["dropped"]

    await until(dropped)
    assert len(receiver.received) == 1


async def test_a_failing_message_switches_off_its_own_subscription_only(
    roller: Api, receiver: Receiver
) -> None:
    """After the seventh failure; the other one's events still come."""
    await _subscribe(roller, receiver, "other", _GUESTS_ONLY)
    receiver.answers = [503] * 7
    made = (await roller.control("bookings"))["booking"]

    async def failed() -> bool:
        return await _outcomes(roller) == ["failed"]

    await until(failed)
    listed = (await roller.get("/webhooks")).json
    assert [one["configuration"]["enabled"] for one in listed] == [False, True]
    await roller.control("guests", customerId=made["customerId"], guest={"lastName": "New"})
    assert receiver.received[-1].key == "other"
