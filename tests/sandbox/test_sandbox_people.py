"""What becomes of people in a play, and of the messages about it."""

from collections import Counter

import pytest

from tests.sandbox.support import Api, Json, Receiver

BOOKING, REDEMPTION, CUSTOMER, WAIVER = 1, 3, 4, 7
EVERYTHING = {
    "bookings": 30,
    "updates": 10,
    "no_customer": 2,
    "guest_changes": 6,
    "consent_changes": 7,
    "deletions": 3,
    "redemptions": 5,
    "waivers": 4,
    "minors": 6,
    "seed": 5,
}


def _kinds(receiver: Receiver) -> Counter[int]:
    return Counter(one.json["type"] for one in receiver.received)


def _ids(receiver: Receiver) -> list[str]:
    return [one.json["id"] for one in receiver.received]


def _guest(message: Json) -> Json:
    return message["data"]["customer"]


async def test_everything_that_is_ordered_happens_to_the_people(
    busy: Api, receiver: Receiver
) -> None:
    """And adds up; who is deleted is gone from the records."""
    played = await busy.control("play", **EVERYTHING)
    assert played["messages"] == 30 + 10 + 6 + 7 + 3 + 5 + 4
    kinds = _kinds(receiver)
    assert (kinds[BOOKING], kinds[REDEMPTION], kinds[WAIVER]) == (40, 5, 4)
    purchases, signers = 28, 4 + 6
    assert kinds[CUSTOMER] == purchases + signers + 6 + 7 + 3
    state = await busy.state()
    # Two of the four adults are known guests.
    assert len(state["guests"]) == 30 + 2 + 6 - 3
    minors = [waiver for waiver in state["waivers"] if waiver["isForMinor"]]
    assert (len(state["waivers"]), len(minors)) == (10, 6)
    gone = set(played["guests"]) - {guest["customerId"] for guest in state["guests"]}
    assert len(gone) == 3
    for number in gone:
        assert (await busy.get(f"/guests/{number}")).status == 404


async def test_one_seed_always_does_the_same_to_the_same_people(
    busy: Api, receiver: Receiver
) -> None:
    """Whatever it is: what failed can be tried again."""
    order = EVERYTHING | {"concurrency": 1, "lost": 0.2, "twice": 0.2, "late": 0.2}
    first = await busy.control("play", **order)
    ids, records = _ids(receiver), (await busy.state())["guests"]
    await busy.control("reset")
    receiver.received.clear()
    again = await busy.control("play", **order)
    assert {name: first[name] for name in ("bookings", "guests", "lost", "twice", "late")} == {
        name: again[name] for name in ("bookings", "guests", "lost", "twice", "late")
    }
    assert (ids, records) == (_ids(receiver), (await busy.state())["guests"])


async def test_the_people_do_not_change_the_bookings_of_a_seed(roller: Api) -> None:
    """So a failure with people can be compared with one without."""
    plain = await roller.control("play", bookings=5, seed=9)
    more = await roller.control("play", bookings=5, seed=9, guest_changes=3, waivers=2, deletions=1)
    assert plain["bookings"] == more["bookings"]


async def test_what_changes_is_what_the_newest_message_says(busy: Api, receiver: Receiver) -> None:
    """Consent is told in part: only asking for the guest shows what holds for SMS."""
    order = {"guests": 4, "guest_changes": 10, "consent_changes": 20, "concurrency": 1}
    await busy.control("play", bookings=4, **order)
    newest: dict[int, Json] = {}
    for message in (one.json for one in receiver.received if one.json["type"] == CUSTOMER):
        newest[_guest(message)["customerId"]] = _guest(message)
    assert len(newest) == 4
    for number, told in newest.items():
        shown = (await busy.get(f"/guests/{number}")).json
        assert {name: shown[name] for name in told if name != "customerId"} == {
            name: value for name, value in told.items() if name != "customerId"
        }


async def test_a_change_shows_no_sooner_than_its_message(busy: Api, receiver: Receiver) -> None:
    """A guest who is fetched because of an early message is not yet the later one."""
    receiver.open.clear()
    before = {"acceptMarketing": True, "acceptMarketingSMS": True}
    number = (await busy.control("guests", guest=before, send=False))["customerId"]
    assert (await busy.get(f"/guests/{number}")).json["acceptMarketingSMS"] is True
    receiver.open.set()
    order = {"among": "venue", "guests": 1, "bookings": 1, "consent_changes": 30, "no_customer": 1}
    await busy.control("play", **order, concurrency=1)
    told = [
        _guest(one.json)["acceptMarketing"]
        for one in receiver.received
        if one.json["type"] == CUSTOMER and _guest(one.json)["customerId"] == number
    ]
    assert {True, False} == set(told)


async def test_a_share_of_the_messages_is_lost_for_good(busy: Api, receiver: Receiver) -> None:
    """The records have what nobody was told; the state names it."""
    played = await busy.control("play", bookings=40, updates=20, lost=0.3)
    state = await busy.state()
    assert 5 <= played["lost"] == len(state["lost"]) <= 60
    sent = {message["id"] for message in state["messages"]}
    assert sent.isdisjoint(lost["id"] for lost in state["lost"])
    assert len(receiver.received) == len(sent) == 40 + 20 + 40 - played["lost"]
    assert {lost["type"] for lost in state["lost"]} == {"booking", "customer"}
    nothing = await busy.control("play", bookings=3, lost=1)
    assert (nothing["answers"], nothing["lost"]) == ({}, 6)
    await busy.control("reset")
    assert (await busy.state())["lost"] == []


async def test_a_share_is_sent_twice(busy: Api, receiver: Receiver) -> None:
    """With the same id."""
    played = await busy.control("play", bookings=40, twice=0.3)
    times = Counter(Counter(_ids(receiver)).values())
    assert times == {1: 80 - played["twice"], 2: played["twice"]}
    assert 5 <= played["twice"] <= 50


async def test_a_share_comes_after_everything_else_and_in_no_order(
    busy: Api, receiver: Receiver
) -> None:
    """A Created may come when the guest was changed long ago."""
    played = await busy.control("play", bookings=40, updates=20, late=0.3, concurrency=1, seed=4)
    late = played["late"]
    assert 5 <= late <= 60
    dates = [one.json["eventDate"] for one in receiver.received]
    assert len(dates) == 100
    assert dates[-late:] != sorted(dates[-late:])
    assert _told_early(receiver)


async def test_if_all_are_late_all_come_in_no_order(busy: Api, receiver: Receiver) -> None:
    """Though they were made in order, and are sent one after the other."""
    played = await busy.control("play", bookings=20, updates=20, late=1, concurrency=1)
    assert (played["late"], len(receiver.received)) == (60, 60)
    assert _told_early(receiver)


def _told_early(receiver: Receiver) -> bool:
    """Whether a change of some booking came before its Created."""
    by_booking: dict[str, list[int]] = {}
    for one in (r.json for r in receiver.received if r.json["type"] == BOOKING):
        key = one["data"]["booking"]["uniqueId"]
        by_booking.setdefault(key, []).append(one["eventType"])
    return any(events != sorted(events) for events in by_booking.values())


async def test_a_play_may_switch_the_subscription_off(busy: Api, receiver: Receiver) -> None:
    """The rest happens and nobody is told, as after seven failures."""
    order = {"bookings": 20, "concurrency": 1, "switch_off": 0.5}
    played = await busy.control("play", **order)
    assert sum(played["answers"].values()) == len(receiver.received)
    bookings = _kinds(receiver)[BOOKING]
    assert 4 <= bookings <= 11
    (listed,) = (await busy.get("/webhooks")).json
    assert listed["configuration"]["enabled"] is False
    assert len((await busy.state())["bookings"]) == 20


async def test_what_is_late_does_not_come_when_it_is_switched_off(
    busy: Api, receiver: Receiver
) -> None:
    """Nothing is kept for later."""
    await busy.control("play", bookings=20, switch_off=0.5, late=1)
    assert receiver.received == []


async def test_the_people_come_in_no_order_of_kinds(busy: Api, receiver: Receiver) -> None:
    """Some sign a waiver before others come in."""
    await busy.control("play", **(EVERYTHING | {"seed": 6, "concurrency": 1}))
    kinds = [one.json["type"] for one in receiver.received]
    assert kinds.index(WAIVER) < len(kinds) - kinds[::-1].index(REDEMPTION) - 1


async def test_all_of_a_venue_may_be_picked(busy: Api) -> None:
    """So that the second day changes the people of the first."""
    first = await busy.control("play", bookings=10, seed=1)
    second = await busy.control("play", bookings=1, seed=2, among="venue", deletions=8)
    held = {guest["customerId"] for guest in (await busy.state())["guests"]}
    assert len(set(first["guests"]) - held) >= 7
    assert len({*first["guests"], *second["guests"]} - held) == 8


async def test_bookings_are_spread_over_days(roller: Api) -> None:
    """A play can have happened long ago, for a reconciliation to find."""
    await roller.control("clock", at="2026-10-20T12:00:00Z")
    await roller.control("play", bookings=60, days=10)
    days = Counter(b["eventDate"][:10] for b in (await roller.state())["bookings"])
    assert len(days) >= 8
    for day in ("2026-10-13", "2026-10-17"):
        rows = (await roller.report("bookingitems", day))["items"]
        customers = (await roller.report("customers", day))["items"]
        assert {row["bookingCustomerId"] for row in rows} == {c["customerId"] for c in customers}


async def test_messages_come_in_every_shape(busy: Api, receiver: Receiver) -> None:
    """Wrapped by either name, flat, in words and numbers."""
    await busy.control("play", **(EVERYTHING | {"shape": "mixed", "words": "mixed"}))
    shapes = set()
    for message in (one.json for one in receiver.received):
        data = message["data"]
        known = ("booking", "customer", "guest", "redemptions", "signedWaivers")
        found = next((name for name in known if name in data), "flat")
        shapes.add((found, type(message["type"]).__name__))
    wrapped = {"booking", "customer", "guest", "redemptions", "signedWaivers", "flat"}
    assert {name for name, _ in shapes} == wrapped
    assert {kind for _, kind in shapes} == {"int", "str"}


@pytest.mark.parametrize(
    "order",
    [
        {"bookings": 2, "deletions": 3},
        {"bookings": 2, "drafts": 1, "redemptions": 2},
        {"minors": 2},
        {"lost": 1.5},
        {"switch_off": -1},
        {"among": "everybody"},
    ],
)
async def test_what_cannot_be_played_is_refused_whole(busy: Api, order: dict[str, object]) -> None:
    """Nothing is kept of it."""
    assert (await busy.post("/_sandbox/play", order)).status == 400
    state = await busy.state()
    assert (state["guests"], state["bookings"], state["messages"]) == ([], [], [])
