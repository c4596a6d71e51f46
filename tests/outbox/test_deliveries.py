"""What goes next, and what becomes of it."""

from pathlib import Path

import pytest

from pipeline.model import DeliveryKind, DeliveryState, Outcome, Priority, ToldBooking
from pipeline.outbox import Learnt
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import (
    BOOKING,
    LEASE,
    T0,
    conserved,
    intent,
    look,
    next_delivery,
    nothing_goes,
    sent,
    settled,
)

_LEARNT = Learnt(key="leeds/b", told=ToldBooking(guest="g", customer="c", payload_hash="h"))


async def test_the_urgent_goes_first_and_within_a_class_the_oldest(outbox: SqliteOutbox) -> None:
    """A new booking does not wait behind a backlog of tags."""
    for n, priority in enumerate((5, 3, 2, 3, 2)):
        one = intent(priority=priority, customer=f"c{n}")
        await settled(outbox, str(n), one, booking=f"b{n}")
    order = [await next_delivery(outbox) for _ in range(5)]
    assert [one.booking for one in order] == ["b2", "b4", "b1", "b3", "b0"]


async def test_only_the_classes_that_may_go_are_leased(outbox: SqliteOutbox) -> None:
    """The last slots are for what is urgent."""
    await settled(outbox, "1", intent(priority=Priority.TAG))
    assert await nothing_goes(outbox, most=Priority.URGENT)
    assert (await next_delivery(outbox, most=Priority.BACKFILL)).priority == Priority.TAG


async def test_never_two_requests_under_way_for_one_guest(outbox: SqliteOutbox) -> None:
    """Their answers could come in the wrong order."""
    await settled(outbox, "1", BOOKING, booking="b1")
    await settled(outbox, "2", BOOKING, booking="b2")
    await settled(outbox, "3", intent(customer="another"), booking="b3")
    first = await next_delivery(outbox)
    other = await next_delivery(outbox)
    assert (first.booking, other.booking) == ("b1", "b3")
    assert await nothing_goes(outbox)
    ending = await sent(outbox, first, Outcome.OK)
    await outbox.deliveries.succeed(first, [_LEARNT], ending, more=False, now=T0)
    second = await next_delivery(outbox)
    assert second.booking == "b2"


async def test_a_lease_that_lapses_gives_the_delivery_back(outbox: SqliteOutbox) -> None:
    """A result that could not be written must not hold the guest for ever."""
    await settled(outbox, "1", BOOKING)
    first = await next_delivery(outbox)
    assert await outbox.deliveries.next_due("stampede", most=6) == T0 + LEASE
    assert await nothing_goes(outbox, now=T0 + LEASE - 1)
    again = await next_delivery(outbox, now=T0 + LEASE)
    assert again.id == first.id


async def test_a_probe_takes_what_was_tried_least(outbox: SqliteOutbox) -> None:
    """One bad item must not keep a lane shut."""
    await settled(outbox, "1", BOOKING, booking="bad")
    await settled(outbox, "2", intent(customer="another"), booking="good")
    bad = await next_delivery(outbox)
    await outbox.deliveries.give_back(bad, None, due_at=T0, reason="500", failed=True, now=T0)
    probe = await next_delivery(outbox, probe=True)
    assert probe.booking == "good"


async def test_a_failure_of_its_own_ages_an_item_and_waiting_does_not(
    outbox: SqliteOutbox,
) -> None:
    """`give_up_after` runs from the first own failure only."""
    await settled(outbox, "1", BOOKING)
    for failed, attempts, since in ((False, 0, None), (True, 1, T0), (True, 2, T0)):
        one = await next_delivery(outbox)
        await outbox.deliveries.give_back(one, None, due_at=T0, reason="x", failed=failed, now=T0)
        seen = await next_delivery(outbox)
        assert (seen.attempts, seen.first_failure_at) == (attempts, since)
        await outbox.deliveries.give_back(seen, None, due_at=T0, reason=None, failed=False, now=T0)


async def test_what_failed_gives_way_to_a_newer_event_of_the_same_booking(
    outbox: SqliteOutbox, path: Path
) -> None:
    """The newest truth is what is tried again."""
    await settled(outbox, "1", BOOKING, at=T0)
    old = await next_delivery(outbox)
    await settled(outbox, "2", BOOKING, at=T0 + 1)
    await outbox.deliveries.give_back(old, None, due_at=T0, reason="500", failed=True, now=T0)
    assert look(path, "SELECT state, superseded_by FROM delivery ORDER BY id") == [
        ("superseded", 2),
        ("waiting", None),
    ]
    conserved(path)


async def test_a_delivery_of_two_requests_waits_for_the_second(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A booking that changes hands is cancelled first, and each request has its own slot."""
    await settled(outbox, "1", BOOKING)
    one = await next_delivery(outbox)
    ending = await sent(outbox, one, Outcome.OK)
    await outbox.deliveries.succeed(one, [_LEARNT], ending, more=True, now=T0)
    assert look(path, "SELECT state FROM delivery") == [("waiting",)]
    assert await outbox.facts.told_booking("stampede", "leeds/b") == _LEARNT.told


async def test_waiting_for_a_guest_makes_one_delivery_of_the_guest_who_holds_the_booking(
    outbox: SqliteOutbox, path: Path
) -> None:
    """The booking may have changed hands since its delivery was made."""
    await settled(outbox, "1", BOOKING)
    one = await next_delivery(outbox)
    await outbox.deliveries.wait_for_guest(one, "new holder", now=T0)
    rows = look(path, "SELECT kind, customer, state FROM delivery ORDER BY id")
    assert rows == [("booking", "new holder", "waiting"), ("guest", "new holder", "waiting")]
    guest = await next_delivery(outbox)
    assert guest.kind is DeliveryKind.GUEST
    await outbox.deliveries.close(guest, DeliveryState.PARKED, "refused", None, now=T0)
    assert look(path, "SELECT reason FROM delivery WHERE id = 1") == [("guest d2 parked",)]


async def test_a_start_gives_back_what_a_crash_left_claimed(path: Path) -> None:
    """Nobody should wait for the lease of a process that is gone."""
    async with open_outbox(path) as outbox:
        await settled(outbox, "1", BOOKING)
        one = await next_delivery(outbox)
        await sent(outbox, one, Outcome.OK)
    async with open_outbox(path) as outbox:
        await outbox.recover(now=T0)
        assert (await next_delivery(outbox)).booking == "b"
        [(outcome, ended, started, limit)] = look(
            path, "SELECT outcome, ended_boot, started_boot, timeout_us FROM attempt"
        )
        assert (outcome, ended) == ("unknown", started + limit), "its slot is taken until then"
    conserved(path)


@pytest.mark.parametrize("sources", [["leeds"], ["york"]], ids=["still there", "gone"])
async def test_what_is_configured_no_more_parks(
    outbox: SqliteOutbox, path: Path, sources: list[str]
) -> None:
    """It waits for a person, and not in everybody's way."""
    await settled(outbox, "1", BOOKING)
    pairs = [("stampede", source) for source in sources]
    parked = await outbox.park_unconfigured(sources, pairs, now=T0)
    gone = sources == ["york"]
    assert (parked.events, parked.deliveries) == ([], [1] if gone else [])
    assert look(path, "SELECT state, reason FROM delivery") == [
        ("parked", "not configured") if gone else ("waiting", None)
    ]
    conserved(path)
