"""What gives way to something newer, and what then waits for whom."""

from pathlib import Path

import msgspec
import pytest

from pipeline.model import Delivery, DeliveryState, Event, Outcome, Priority, ToldBooking
from pipeline.outbox import Intent, Learnt
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    LEASE,
    T0,
    TAG,
    arrival,
    claimed,
    conserved,
    intent,
    look,
    next_delivery,
    nothing_goes,
    sent,
    settled,
)

_SKIPPED = intent(state=DeliveryState.SKIPPED, reason="already told")
_PARKED = intent(state=DeliveryState.PARKED, reason="amount")


def states(path: Path) -> list[tuple[str, int | None]]:
    """Give each delivery's state and successor, in the order in which they were made."""
    return look(path, "SELECT state, superseded_by FROM delivery ORDER BY id")


async def give_back(outbox: SqliteOutbox, delivery: Delivery) -> None:
    """Let a delivery wait again after a failure."""
    await outbox.deliveries.give_back(delivery, None, due_at=T0, reason="500", failed=True, now=T0)


async def test_each_is_superseded_by_its_immediate_successor(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Whoever follows the chain sees every change, also past what was skipped or under way."""
    await settled(outbox, "1", BOOKING, at=T0)
    first = await next_delivery(outbox)
    await settled(outbox, "2", _PARKED, at=T0 + 1)
    await settled(outbox, "3", BOOKING, at=T0 + 2)
    await give_back(outbox, first)
    assert states(path) == [("superseded", 2), ("superseded", 3), ("waiting", None)]
    other = intent(customer="another", state=DeliveryState.SKIPPED, reason="draft")
    await settled(outbox, "4", other, booking="drafts", at=T0)
    await settled(outbox, "5", other, booking="drafts", at=T0 + 1)
    await settled(outbox, "6", intent(customer="another"), booking="drafts", at=T0 + 2)
    assert states(path)[3:] == [("superseded", 5), ("superseded", 6), ("waiting", None)]
    conserved(path)


async def test_of_two_events_of_the_same_moment_the_later_settled_counts(
    outbox: SqliteOutbox, path: Path
) -> None:
    """ROLLER's times have a tick, and two changes can share it."""
    for key in "12":
        await settled(outbox, key, BOOKING, at=T0)
    await settled(outbox, "late", BOOKING, at=T0 - 1)
    assert states(path) == [("superseded", 2), ("waiting", None), ("superseded", 1)]


async def test_an_event_without_a_time_counts_from_when_it_came(
    outbox: SqliteOutbox, path: Path
) -> None:
    """What is known of its booking is ordered so too; the two must not differ."""

    async def came(key: str, at: int, occurred_at: int | None) -> Event:
        new = msgspec.structs.replace(arrival(key, at=at), occurred_at=occurred_at)
        receipt = await outbox.intake.accept(new)
        [event] = await outbox.events.claim([receipt.event], now=T0 * 2, until=T0 * 3)
        return event

    for event in (await came("1", T0 + 5, None), await came("2", T0 + 6, T0 + 4)):
        await outbox.deliveries.settle(event, [BOOKING], now=T0)
    assert states(path) == [("waiting", None), ("superseded", 1)]


@pytest.mark.parametrize("newer", [BOOKING, _PARKED], ids=["waiting", "parked"])
@pytest.mark.parametrize("how", ["failed", "parked", "lease", "restart", "more"])
async def test_what_was_under_way_gives_way_however_that_ends(
    path: Path, newer: Intent, how: str
) -> None:
    """Two open deliveries of one booking would cost two requests, and one dead letter too many."""
    async with open_outbox(path) as outbox:
        await settled(outbox, "1", BOOKING, at=T0)
        first = await next_delivery(outbox)
        await settled(outbox, "2", newer, at=T0 + 1)
        match how:
            case "failed":
                await give_back(outbox, first)
            case "parked":
                await outbox.deliveries.close(first, DeliveryState.PARKED, "400", None, now=T0)
            case "lease":
                assert await nothing_goes(outbox, now=T0 + LEASE, most=1)
            case "restart":
                await outbox.recover(now=T0)
            case _:
                told = ToldBooking(guest="g", customer="c", payload_hash="h")
                ending = await sent(outbox, first, Outcome.OK)
                await outbox.deliveries.succeed(
                    first, [Learnt(key="leeds/b", told=told)], ending, more=True, now=T0
                )
    last = "parked" if newer is _PARKED else "waiting"
    assert states(path) == [("superseded", 2), (last, None)]
    conserved(path)


async def test_what_seems_told_is_decided_anew_while_a_request_is_under_way(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Changed and changed back: the first change is on its way, so the second is not yet told."""
    await settled(outbox, "1", BOOKING, at=T0)
    await next_delivery(outbox)
    await settled(outbox, "2", _SKIPPED, at=T0 + 1)
    assert states(path) == [("sending", None), ("waiting", None)]
    assert look(path, "SELECT reason FROM delivery WHERE id = 2") == [(None,)]


async def test_a_guest_under_way_does_not_serve_for_newer_details(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Its request may have left with the old telephone number in it."""
    await settled(outbox, "1", BOOKING, GUEST)
    under_way = await next_delivery(outbox)
    await settled(outbox, "2", BOOKING, GUEST, booking="other")
    waits = "SELECT id, waits_for FROM delivery WHERE kind = 'booking' ORDER BY id"
    assert look(path, waits) == [(2, 1), (4, 3)]
    assert await nothing_goes(outbox), "one request at a time for one guest"
    await give_back(outbox, under_way)
    assert states(path)[0] == ("superseded", 3)
    assert look(path, waits) == [(2, 3), (4, 3)], "nothing waits for what has ended"
    conserved(path)


async def test_a_guest_who_parks_gives_way_to_newer_details(
    outbox: SqliteOutbox, path: Path
) -> None:
    """What the next request may cure needs no person yet."""
    await settled(outbox, "1", BOOKING, GUEST)
    under_way = await next_delivery(outbox)
    await settled(outbox, "2", GUEST, booking="other")
    await outbox.deliveries.close(under_way, DeliveryState.PARKED, "refused", None, now=T0)
    assert states(path) == [("superseded", 3), ("waiting", None), ("waiting", None)]
    assert look(path, "SELECT waits_for FROM delivery WHERE id = 2") == [(3,)]


async def test_a_tag_under_way_or_parked_does_not_serve_for_a_newer_one(
    outbox: SqliteOutbox, path: Path
) -> None:
    """The status that is on its way may be the one before."""
    await settled(outbox, "1", TAG)
    tag = await next_delivery(outbox)
    await settled(outbox, "2", TAG, at=T0 + 1)
    await settled(outbox, "3", TAG, at=T0 + 2)
    assert states(path) == [("sending", None), ("waiting", None)]
    await give_back(outbox, tag)
    assert states(path) == [("superseded", 2), ("waiting", None)]
    again = await next_delivery(outbox)
    await outbox.deliveries.close(again, DeliveryState.PARKED, "refused", None, now=T0)
    await settled(outbox, "4", TAG, at=T0 + 3)
    assert states(path)[1:] == [("superseded", 3), ("waiting", None)]
    conserved(path)


async def test_a_guest_goes_no_later_than_what_waits_for_it(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A new booking must not wait for a guest of the backfill's class."""
    slow = intent(priority=Priority.BACKFILL)
    await settled(outbox, "1", slow, msgspec.structs.replace(GUEST, priority=Priority.BACKFILL))
    await settled(outbox, "2", BOOKING, booking="new")
    assert look(path, "SELECT kind, priority, waits_for FROM delivery ORDER BY id") == [
        ("guest", 2, None),
        ("booking", 6, 1),
        ("booking", 2, 1),
    ]


async def test_a_worker_whose_lease_lapsed_parks_nobody(outbox: SqliteOutbox, path: Path) -> None:
    """Another went on with it, and may have succeeded: that one's word counts."""
    event = await claimed(outbox, "1")
    await outbox.deliveries.settle(event, [BOOKING, GUEST], now=T0)
    late = await next_delivery(outbox)
    again = await next_delivery(outbox, now=T0 + LEASE)
    assert again.id == late.id
    await give_back(outbox, again)
    await outbox.deliveries.close(late, DeliveryState.PARKED, "refused", None, now=T0)
    assert [state for state, _ in states(path)] == ["waiting", "waiting"]
