"""An event's deliveries fall into place beside those that are there."""

from pathlib import Path

from pipeline.model import DeliveryState, Outcome, ToldGuest
from pipeline.outbox import Learnt
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    T0,
    TAG,
    conserved,
    intent,
    look,
    next_delivery,
    nothing_goes,
    sent,
    settled,
)

_SKIPPED = intent(state=DeliveryState.SKIPPED, reason="draft")


async def test_bookings_and_tags_wait_for_their_guest(outbox: SqliteOutbox, path: Path) -> None:
    """Stampede's paths hold the guest's id, so the guest goes first."""
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    guest = await next_delivery(outbox)
    assert guest.kind == "guest"
    assert await nothing_goes(outbox)
    learnt = Learnt(key="person", told=ToldGuest(remote_id="g"))
    ending = await sent(outbox, guest, Outcome.OK)
    await outbox.deliveries.succeed(guest, [learnt], ending, more=False, now=T0)
    booking = await next_delivery(outbox)
    assert booking.kind == "booking"
    conserved(path)


async def test_a_newer_event_supersedes_what_has_not_gone_out(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A booking that is changed ten times while it waits costs one request."""
    for n in range(10):
        await settled(outbox, str(n), BOOKING, at=T0 + n)
    states = look(path, "SELECT state, superseded_by FROM deliveries ORDER BY created_at, id")
    assert sorted(state for state, _ in states) == ["superseded"] * 9 + ["waiting"]
    chain = look(path, "SELECT id, superseded_by FROM delivery WHERE superseded_by IS NOT NULL")
    assert sorted(chain) == [(n, n + 1) for n in range(1, 10)], "by the immediate successor"
    conserved(path)


async def test_an_older_event_is_superseded_at_once_by_the_next_newer(
    outbox: SqliteOutbox, path: Path
) -> None:
    """ROLLER promises no order."""
    for key, at in (("1", 10), ("2", 30), ("3", 50), ("late", 20)):
        await settled(outbox, key, BOOKING, at=T0 + at)
    assert look(path, "SELECT state, superseded_by FROM delivery WHERE id = 4") == [
        ("superseded", 2)
    ]


async def test_what_becomes_sendable_replaces_what_was_skipped_and_not_the_other_way(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A reason that still holds stays to be seen."""
    await settled(outbox, "1", _SKIPPED, at=T0)
    await settled(outbox, "2", _SKIPPED, at=T0 + 1)
    assert look(path, "SELECT state FROM delivery") == [("skipped",)] * 2
    await settled(outbox, "3", BOOKING, at=T0 + 2)
    assert look(path, "SELECT state FROM delivery ORDER BY id") == [
        ("superseded",),
        ("superseded",),
        ("waiting",),
    ]


async def test_one_open_delivery_serves_a_guest_and_each_tag(
    outbox: SqliteOutbox, path: Path
) -> None:
    """What is said once does not wait twice."""
    await settled(outbox, "1", BOOKING, GUEST, TAG, at=T0)
    await settled(outbox, "2", BOOKING, GUEST, TAG, at=T0 + 1)
    await settled(outbox, "3", BOOKING, GUEST, booking="other")
    kinds = dict(look(path, "SELECT kind, count(*) FROM delivery GROUP BY kind"))
    assert kinds == {"guest": 1, "tag": 1, "booking": 3}


async def test_a_parked_guest_parks_its_bookings_and_better_details_bring_all_back(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Nobody has to retry by hand what the next event cures."""
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    guest = await next_delivery(outbox)
    await outbox.deliveries.close(guest, DeliveryState.PARKED, "refused", None, now=T0)
    reasons = look(path, "SELECT DISTINCT state, reason FROM delivery WHERE kind <> 'guest'")
    assert reasons == [("parked", f"guest d{guest.id} parked")]
    await settled(outbox, "2", BOOKING, GUEST, booking="other")
    assert look(path, "SELECT DISTINCT state FROM delivery WHERE id > 1") == [("waiting",)]
    again = await next_delivery(outbox)
    assert again.kind == "guest"
    conserved(path)


async def test_an_event_that_another_worker_has_finished_makes_no_second_deliveries(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A lease may run out while its worker still lives."""
    event = await settled(outbox, "1", BOOKING)
    await outbox.deliveries.settle(event, [BOOKING], now=T0)
    assert look(path, "SELECT count(*) FROM delivery") == [(1,)]
