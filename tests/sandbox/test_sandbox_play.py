"""What the simulated ROLLER plays."""

from collections import Counter

import pytest

from tests.sandbox.support import Api, Json, Receiver

DATE_DIGITS = range(8)


def _booking(message: Json) -> Json:
    data = message["data"]
    return data.get("booking", data)


def _by_booking(receiver: Receiver) -> dict[str, list[Json]]:
    grouped: dict[str, list[Json]] = {}
    for received in receiver.received:
        grouped.setdefault(_booking(received.json)["uniqueId"], []).append(received.json)
    return grouped


async def test_without_any_order_25_bookings_are_played(roller: Api, receiver: Receiver) -> None:
    """The simplest try of a mapping is one empty POST."""
    played = (await roller.post("/_sandbox/play", {})).json
    assert (len(played["bookings"]), played["messages"]) == (25, 25)
    assert played["answers"] == {"200": 25}
    assert len(receiver.received) == 25
    state = await roller.state()
    assert (len(state["bookings"]), len(state["guests"])) == (25, 25)


async def test_everything_ordered_is_played_and_adds_up(roller: Api, receiver: Receiver) -> None:
    """Messages = bookings + updates + cancellations + duplicates + out_of_order."""
    order = {
        "bookings": 40,
        "updates": 15,
        "cancellations": 4,
        "duplicates": 6,
        "out_of_order": 5,
        "no_customer": 3,
        "drafts": 2,
        "guests": 10,
        "seed": 7,
    }
    played = (await roller.post("/_sandbox/play", order)).json
    assert played["messages"] == 40 + 15 + 4 + 6 + 5 == len(receiver.received)
    ids = Counter(received.json["id"] for received in receiver.received)
    assert sorted(Counter(ids.values()).items()) == [(1, 58), (2, 6)]
    state = await roller.state()
    truth = [held["booking"] for held in state["bookings"]]
    statuses = Counter(booking["status"] for booking in truth)
    assert (statuses["Cancelled"], statuses["Draft"]) == (4, 2)
    assert sum("customerId" not in booking for booking in truth) == 3
    assert len({booking["customerId"] for booking in truth if "customerId" in booking}) <= 10
    assert len(state["guests"]) == 10


async def test_the_newest_message_of_a_booking_is_the_truth(
    roller: Api, receiver: Receiver
) -> None:
    """In whatever order they came: this is what must be found at the destination."""
    order = {"updates": 20, "cancellations": 5, "out_of_order": 6, "duplicates": 9}
    await roller.post("/_sandbox/play", order)
    messages = _by_booking(receiver)
    for held in (await roller.state())["bookings"]:
        newest = max(messages[held["booking"]["uniqueId"]], key=lambda m: str(m["eventDate"]))
        assert _booking(newest) == held["booking"]
        assert newest["eventDate"] == held["eventDate"]
        shown = await roller.get(f"/bookings/{held['booking']['uniqueId']}")
        assert shown.json == held["booking"]


async def test_out_of_order_means_an_update_before_its_created(
    roller: Api, receiver: Receiver
) -> None:
    """The older Created arrives last and must not win."""
    await roller.post("/_sandbox/play", {"bookings": 6, "out_of_order": 2})
    turned = [m for m in _by_booking(receiver).values() if m[0]["eventType"] == 2]
    assert len(turned) == 2
    for update, created in turned:
        assert created["eventType"] == 1
        assert created["eventDate"] < update["eventDate"]
        assert _booking(created)["total"] < _booking(update)["total"]


async def test_a_duplicate_differs_only_in_when_it_was_sent(
    roller: Api, receiver: Receiver
) -> None:
    """So a digest of the body does not recognise it."""
    await roller.post("/_sandbox/play", {"bookings": 1, "duplicates": 1})
    first, second = (received.json for received in receiver.received)
    assert first.pop("sendDate") < second.pop("sendDate")
    assert first == second


async def test_one_seed_always_plays_the_same(roller: Api, receiver: Receiver) -> None:
    """What failed can be tried again; without a seed every play is a new one."""
    order = {"bookings": 8, "updates": 4, "concurrency": 1, "seed": 3}
    plays = [await roller.post("/_sandbox/play", o) for o in (order, order, {}, {})]
    bookings = [play.json["bookings"] for play in plays]
    assert bookings[0] == bookings[1]
    assert len({id for played in bookings[1:] for id in played}) == 8 + 25 + 25
    ids = [received.json["id"] for received in receiver.received]
    assert ids[:12] == ids[12:24]


@pytest.mark.parametrize(
    ("shape", "words", "kinds"),
    [
        ("nested", False, {(True, "int")}),
        ("flat", True, {(False, "str")}),
        ("mixed", "mixed", {(n, t) for n in (True, False) for t in ("int", "str")}),
    ],
)
async def test_messages_come_in_both_shapes_and_both_spellings(
    roller: Api, receiver: Receiver, shape: str, words: object, kinds: set[tuple[bool, str]]
) -> None:
    """The wire and the documentation differ; a daemon has to take both."""
    await roller.post("/_sandbox/play", {"bookings": 40, "shape": shape, "words": words})
    messages = [received.json for received in receiver.received]
    seen = {("booking" in m["data"], type(m["eventType"]).__name__) for m in messages}
    assert seen == kinds
    assert {type(m["type"]) for m in messages} == {type(m["eventType"]) for m in messages}


async def test_bookings_are_as_varied_as_real_ones(roller: Api, receiver: Receiver) -> None:
    """Fractions of 0 to 7 digits, sessions past midnight or none, cents, all sorts of people."""
    await roller.post("/_sandbox/play", {"bookings": 120, "guests": 120})
    messages = [received.json for received in receiver.received]
    fractions = {len(m["eventDate"].partition(".")[2].rstrip("Z")) for m in messages}
    assert fractions == set(DATE_DIGITS)
    items = [item for m in messages for item in _booking(m)["items"]]
    assert {item.get("sessionEndTime") for item in items} >= {None, "00:00", "19:30"}
    totals = [_booking(m)["total"] for m in messages]
    assert all(total == round(total, 2) for total in totals)
    assert any(total != round(total) for total in totals)
    assert len({_booking(m)["channel"] for m in messages}) == 7
    guests = (await roller.state())["guests"]
    assert {guest.get("acceptMarketingSMS") for guest in guests} == {True, False, None}
    assert {guest["gender"] for guest in guests} >= {"Male", "PreferNotToSay", None}
    assert "n/a" in {guest["phone"] for guest in guests}
    assert len({guest["email"].lower() for guest in guests}) == 120


async def test_a_play_can_go_elsewhere(roller: Api, receiver: Receiver) -> None:
    """To try a daemon without changing its subscription."""
    order = {"bookings": 2, "url": receiver.url, "key": "another"}
    assert (await roller.post("/_sandbox/play", order)).json["answers"] == {"200": 2}
    assert [received.key for received in receiver.received] == ["another"] * 2


async def test_a_play_does_not_wait_for_retries(roller: Api, receiver: Receiver) -> None:
    """It tells how the first attempts were answered; the others follow."""
    receiver.answers = [503, 503]
    played = (await roller.post("/_sandbox/play", {"bookings": 5})).json
    assert played["answers"] == {"503": 2, "200": 3}
