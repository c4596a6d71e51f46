"""What goes next is found at once, whatever waits before it."""

import sqlite3
from pathlib import Path

import pytest

from pipeline.model import Delivery, DeliveryKind, DeliveryState, Outcome, Priority
from pipeline.outbox import Line, Pick
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    LEASE,
    T0,
    TAG,
    intent,
    lines,
    look,
    next_delivery,
    nothing_goes,
    sent,
    settled,
)

_LATER = T0 + 1000


async def _owe(
    outbox: SqliteOutbox, booking: str, *, source: str = "leeds", priority: int = Priority.NEW
) -> None:
    """Owe a booking of a guest of its own."""
    owed = intent(customer=f"guest of {booking}", priority=priority)
    await settled(outbox, f"m-{booking}", owed, booking=booking, source=source)


async def _hold(outbox: SqliteOutbox, due_at: int = _LATER) -> Delivery:
    """Take what goes next, and let it fail until then."""
    one = await next_delivery(outbox)
    await outbox.deliveries.give_back(one, None, due_at=due_at, reason="500", failed=True, now=T0)
    return one


async def test_the_first_line_that_has_one_gives_its_oldest(outbox: SqliteOutbox) -> None:
    """In which order the lines stand is for others to say: see `Turn`."""
    for number, source in enumerate(("leeds", "leeds", "york")):
        await _owe(outbox, f"b{number}", source=source)
    order = [Line(priority=2, source=source, begun=False) for source in ("bath", "york", "leeds")]
    found = [
        await outbox.deliveries.claim("stampede", order, now=T0, until=T0 + LEASE) for _ in range(4)
    ]
    assert [one.booking if one else None for one in found] == ["b2", "b0", "b1", None]


async def test_the_oldest_of_some_lines_can_be_asked_for(outbox: SqliteOutbox) -> None:
    """Whatever its class and its venue."""
    await _owe(outbox, "new", priority=Priority.VISIT)
    await _owe(outbox, "held", priority=Priority.TAG)
    await _owe(outbox, "old", source="york", priority=Priority.TAG)
    for name in ("first", "late"):
        await _owe(outbox, name, priority=Priority.TAG)
    lesser = [line for line in lines() if line.priority in {4, 5}]
    found = []
    for _ in range(5):
        one = await outbox.deliveries.claim(
            "stampede", lesser, pick=Pick.OLDEST, now=T0, until=T0 + LEASE
        )
        found.append(one.booking if one else None)
    assert found == ["new", "held", "old", "first", "late"]


async def test_what_is_begun_stands_in_a_line_of_its_own(outbox: SqliteOutbox) -> None:
    """Its next request and the first ones of others do not go by the same rule."""
    begun, new = (Line(priority=2, source="leeds", begun=begun) for begun in (True, False))
    await settled(outbox, "1", GUEST, BOOKING)
    await _owe(outbox, "other")

    async def tell(line: Line, *, more: bool, now: int) -> DeliveryKind:
        one = await outbox.deliveries.claim("stampede", [line], now=now, until=now + LEASE)
        assert one is not None
        ending = await sent(outbox, one, Outcome.OK)
        await outbox.deliveries.succeed(one, [], ending, more=more, now=now)
        return one.kind

    async def queue() -> tuple[int, int | None]:
        found = await outbox.deliveries.queue("stampede", Priority.NEW, most=9)
        return found.new, found.begun_since

    assert await queue() == (2, None)
    assert await tell(new, more=True, now=T0 + 1) is DeliveryKind.GUEST
    assert await tell(begun, more=True, now=T0 + 2) is DeliveryKind.GUEST
    assert await queue() == (1, T0 + 1)
    one = await outbox.deliveries.claim("stampede", [begun], now=T0 + 3, until=T0 + LEASE)
    assert one is not None
    await outbox.deliveries.give_back(one, None, due_at=T0, reason="x", failed=True, now=T0 + 3)
    assert await queue() == (1, T0 + 1), "what failed is no younger for it"
    assert await tell(begun, more=False, now=T0 + 4) is DeliveryKind.GUEST
    assert await queue() == (1, T0 + 1), "the booking that waited is as old as what was begun"
    assert await tell(begun, more=False, now=T0 + 5) is DeliveryKind.BOOKING
    assert await queue() == (1, None)


async def test_of_a_guests_bookings_one_goes_on_with_the_guest(outbox: SqliteOutbox) -> None:
    """Forty that waited would all go before what other venues have to tell."""
    for number in range(3):
        owed = [GUEST, BOOKING, TAG] if number == 0 else [BOOKING]
        await settled(outbox, f"{number}", *owed, booking=f"b{number}")
    guest = await next_delivery(outbox)
    ending = await sent(outbox, guest, Outcome.OK)
    await outbox.deliveries.succeed(guest, [], ending, more=False, now=T0)
    queue = await outbox.deliveries.queue("stampede", Priority.NEW, most=9)
    assert (queue.new, queue.begun_since) == (2, T0)
    queue = await outbox.deliveries.queue("stampede", Priority.TAG, most=9)
    assert (queue.new, queue.begun_since) == (1, None)


async def test_what_waits_for_a_guest_of_whom_nothing_is_new_is_not_begun(
    outbox: SqliteOutbox,
) -> None:
    """Its own first request has still to leave."""
    await settled(outbox, "1", GUEST, BOOKING)
    guest = await next_delivery(outbox)
    await outbox.deliveries.close(guest, DeliveryState.SKIPPED, "unchanged", None, now=T0)
    queue = await outbox.deliveries.queue("stampede", Priority.NEW, most=9)
    assert (queue.new, queue.begun_since) == (1, None)


async def test_what_is_begun_and_parks_begins_anew(outbox: SqliteOutbox) -> None:
    """By the time that it is retried, what was found is too old to be used."""
    await settled(outbox, "1", GUEST)
    guest = await next_delivery(outbox)
    ending = await sent(outbox, guest, Outcome.OK)
    await outbox.deliveries.succeed(guest, [], ending, more=True, now=T0)
    guest = await next_delivery(outbox)
    await outbox.deliveries.close(guest, DeliveryState.PARKED, "refused", None, now=T0)
    await outbox.repair.retry_deliveries([guest.id], now=T0)
    queue = await outbox.deliveries.queue("stampede", guest.priority, most=9)
    assert (queue.new, queue.begun_since) == (1, None)


async def test_what_is_held_back_goes_once_its_time_has_come_and_keeps_its_age(
    outbox: SqliteOutbox, path: Path
) -> None:
    """It has waited longest, after all."""
    for name in ("a", "b", "c"):
        await _owe(outbox, name)
    await _hold(outbox)
    assert (await next_delivery(outbox)).booking == "b"
    assert await outbox.deliveries.next_due("stampede", most=6) == 0
    assert (await next_delivery(outbox, now=_LATER)).booking == "a"
    assert look(path, "SELECT count(*) FROM delivery WHERE held AND state = 'waiting'") == [(0,)]


async def test_it_is_told_when_what_is_held_back_becomes_due(outbox: SqliteOutbox) -> None:
    """The lane sleeps until then, with no worker and no slot taken."""
    await _owe(outbox, "a")
    await _hold(outbox)
    assert await outbox.deliveries.next_due("stampede", most=6) == _LATER
    assert await outbox.deliveries.next_due("stampede", most=Priority.OPT_OUT) is None
    assert await nothing_goes(outbox, now=_LATER - 1)


async def test_what_was_given_back_without_a_failure_of_its_own_keeps_its_place(
    outbox: SqliteOutbox,
) -> None:
    """The trouble was the lane's, and all others wait as well."""
    for name in ("a", "b"):
        await _owe(outbox, name)
    one = await next_delivery(outbox)
    await outbox.deliveries.give_back(one, None, due_at=T0, reason="429", failed=False, now=T0)
    assert (await next_delivery(outbox)).booking == "a"


async def test_a_booking_that_changes_while_it_waits_keeps_its_place(outbox: SqliteOutbox) -> None:
    """One that changes every day would never be told in a backlog of two."""
    await settled(outbox, "1", intent(customer="c"), booking="changes", at=T0)
    await _owe(outbox, "other")
    for n in range(3):
        await settled(outbox, f"change {n}", intent(customer="c"), booking="changes", at=T0 + 1 + n)
    assert (await next_delivery(outbox)).booking == "changes"


async def test_a_guest_who_is_found_wanting_stands_where_the_booking_stood(
    outbox: SqliteOutbox,
) -> None:
    """The booking has waited for its turn already."""
    for name in ("a", "b"):
        await _owe(outbox, name)
    one = await next_delivery(outbox)
    await outbox.deliveries.wait_for_guest(one, "guest of a", now=T0)
    guest = await next_delivery(outbox)
    assert (guest.kind, guest.customer) == (DeliveryKind.GUEST, "guest of a")


async def test_what_is_still_being_worked_on_keeps_its_lease(outbox: SqliteOutbox) -> None:
    """A wall clock that is set ahead would else let a second request go for the same guest."""
    await _owe(outbox, "a")
    one = await next_delivery(outbox)
    ahead = T0 + 10 * LEASE
    for under_way, again in (([one.id], False), ([], True)):
        found = await outbox.deliveries.claim(
            "stampede", lines(), under_way=under_way, now=ahead, until=ahead + LEASE
        )
        assert (found is not None) is again


async def test_a_clock_that_was_set_back_holds_up_nothing_that_is_due(
    outbox: SqliteOutbox,
) -> None:
    """It was written at a time that is yet to come."""
    await _owe(outbox, "a")
    past = T0 - 3600 * 1_000_000
    assert await outbox.deliveries.next_due("stampede", most=6) == 0
    assert (await next_delivery(outbox, now=past)).booking == "a"


class Ticks:
    """Counts the steps of SQLite's own machine."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return 0

    def watch(self, connection: sqlite3.Connection) -> None:
        """Count those of a connection from now on."""
        connection.set_progress_handler(self, 1)


@pytest.mark.parametrize("pick", list(Pick))
async def test_a_claim_reads_no_more_for_what_waits_or_is_held_back(
    outbox: SqliteOutbox, path: Path, pick: Pick
) -> None:
    """Counted in steps of SQLite's own machine, for times differ from run to run."""
    await settled(outbox, "0", BOOKING, GUEST, TAG)
    steps = []
    for count in (10, 1000):
        copies = sqlite3.connect(path)
        with copies:
            copies.executemany(
                """INSERT INTO delivery (event, source, destination, kind, booking, customer,
                                         priority, state, as_of, created_at, updated_at, due_at)
                   VALUES (1, ?, 'stampede', 'booking', ?, ?, ?, 'waiting', 0, 0, ?, ?)""",
                [
                    (source, f"b{n}", f"c{n}", 1 + n % 6, T0, T0 + held * LEASE)
                    for n in range(count)
                    for source in ("leeds", "york")
                    for held in (0, 1)
                ],
            )
        copies.close()
        ticks = Ticks()
        connection = outbox._writer._connection  # noqa: SLF001
        await connection.run(ticks.watch)
        await outbox.deliveries.claim("stampede", lines(), pick=pick, now=T0, until=T0 + LEASE)
        steps.append(ticks.count)
    assert steps[1] < 1.5 * steps[0]
