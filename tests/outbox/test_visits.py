"""A visit is told beside its booking: each in a line of its own."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.model import (
    ARRIVED,
    COMPLETE,
    Booking,
    DeliveryState,
    Item,
    Outcome,
    Phase,
)
from pipeline.outbox import Reading, VisitDue
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import (
    BOOKING,
    T0,
    claimed,
    conserved,
    intent,
    look,
    next_delivery,
    nothing_goes,
    sent,
    settled,
)

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


def _due(event: int, at: int, detail: str = COMPLETE, **changes: Any) -> VisitDue:
    whole: dict[str, Any] = {
        "destination": "stampede", "event": event, "booking": "b", "reference": "ref-b",
        "customer": "c", "detail": detail, "due_at": at,
    }  # fmt: skip
    return VisitDue(**whole | changes)


async def _redeemed(outbox: SqliteOutbox, key: str, *due: tuple[int, str], came: int = T0) -> int:
    """Take in a redemption, with what is due because of it."""
    event = await claimed(outbox, key, at=came)
    visits = [_due(event.id, at, detail) for at, detail in due]
    await outbox.deliveries.settle(event, [], visits=visits, now=T0)
    return event.id


def _visits(path: Path) -> list[tuple[Any, ...]]:
    return look(
        path, "SELECT detail, state, due_at, event FROM delivery WHERE detail <> '' ORDER BY id"
    )


async def test_the_end_of_a_visit_waits_and_holds_up_nothing(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A change of the booking meanwhile goes at once."""
    await _redeemed(outbox, "r", (T0 + _HOUR, COMPLETE), (T0, ARRIVED))
    arrived = await next_delivery(outbox)
    assert (arrived.detail, arrived.priority) == (ARRIVED, 4)
    await outbox.deliveries.succeed(
        arrived, [], await sent(outbox, arrived, Outcome.OK), more=False, now=T0
    )
    assert await nothing_goes(outbox, now=T0 + _HOUR - 1)
    await settled(outbox, "change", BOOKING, at=T0 + 5)
    changed = await next_delivery(outbox)
    assert changed.detail == ""
    await outbox.deliveries.give_back(changed, None, due_at=T0 + 9 * _DAY, reason="x",
                                      failed=True, now=T0)  # fmt: skip
    assert await outbox.deliveries.next_due("stampede", most=6) == T0 + _HOUR
    assert (await next_delivery(outbox, now=T0 + _HOUR)).detail == COMPLETE
    conserved(path)


async def test_neither_a_visit_nor_a_booking_takes_the_place_of_the_other(
    outbox: SqliteOutbox, path: Path
) -> None:
    """What supersedes does so for ever, and the newest event need not say what the visit does."""
    await settled(outbox, "old", BOOKING, at=T0)
    await _redeemed(outbox, "r", (T0 + _HOUR, COMPLETE), came=T0 + 10)
    await settled(outbox, "new", BOOKING, at=T0 + 2)
    await settled(outbox, "late", BOOKING, at=T0 + 1)
    found = look(path, "SELECT detail, state, superseded_by FROM delivery ORDER BY id")
    assert found == [
        ("", "superseded", 3),
        (COMPLETE, "waiting", None),
        ("", "waiting", None),
        ("", "superseded", 3),
    ]
    # Nor while one of them is under way, and fails.
    booking = await next_delivery(outbox)
    assert booking.id == 3
    await outbox.deliveries.close(booking, DeliveryState.PARKED, "x", None, now=T0)
    assert look(path, "SELECT state FROM delivery WHERE id = 3") == [("parked",)]
    conserved(path)


async def test_of_a_visit_one_delivery_waits_and_goes_at_the_time_said_last(
    outbox: SqliteOutbox, path: Path
) -> None:
    """The till tells of each ticket, and then the session is moved."""
    first = await _redeemed(outbox, "r", (T0 + _HOUR, COMPLETE))
    await _redeemed(outbox, "s", (T0 + _HOUR, COMPLETE))
    moved = await claimed(outbox, "moved", at=T0 + 5)
    later = _due(first, T0 + 3 * _HOUR, customer="d")
    await outbox.deliveries.settle(moved, [BOOKING], visits=[later], now=T0)
    assert _visits(path) == [(COMPLETE, "waiting", T0 + 3 * _HOUR, first)]
    ordinary = await next_delivery(outbox)
    assert ordinary.detail == ""
    await outbox.deliveries.close(ordinary, DeliveryState.SKIPPED, "already told", None, now=T0)
    assert await nothing_goes(outbox, now=T0 + 2 * _HOUR)
    complete = await next_delivery(outbox, now=T0 + 3 * _HOUR)
    assert complete.customer == "d"
    conserved(path)


async def test_a_visit_is_owed_again_after_one_that_parked_or_is_under_way(
    outbox: SqliteOutbox, path: Path
) -> None:
    """What is under way may say what was true before."""
    await _redeemed(outbox, "r", (T0, COMPLETE))
    under_way = await next_delivery(outbox)
    await _redeemed(outbox, "s", (T0, COMPLETE))
    await outbox.deliveries.close(under_way, DeliveryState.PARKED, "refused", None, now=T0)
    assert [row[:2] for row in _visits(path)] == [(COMPLETE, "superseded"), (COMPLETE, "waiting")]
    again = await next_delivery(outbox)
    await outbox.deliveries.close(again, DeliveryState.PARKED, "refused", None, now=T0)
    await _redeemed(outbox, "t", (T0, COMPLETE))
    assert [row[1] for row in _visits(path)] == ["superseded", "superseded", "waiting"]
    conserved(path)


async def test_what_was_due_before_now_is_due_now(outbox: SqliteOutbox, path: Path) -> None:
    """A till that was offline tells of yesterday."""
    await _redeemed(outbox, "r", (T0 - _DAY, COMPLETE))
    assert _visits(path)[0][2] == T0
    assert (await next_delivery(outbox)).detail == COMPLETE


def _booking(*tickets: str, day: date | None = None, **changes: Any) -> Booking:
    items = (Item(first_day=day),) if day else ()
    return Booking(id="b", phase=Phase.ACTIVE, items=items, tickets=tickets, **changes)


async def test_a_ticket_leads_to_its_booking(outbox: SqliteOutbox, path: Path) -> None:
    """A redemption names no other way; and who holds it is nobody's business."""
    event = await claimed(outbox, "1")
    await outbox.events.learn_booking(event, _booking("T-1", "T-2"))
    found = await outbox.visits.of_tickets("leeds", ["T-2", "T-3", "T-1"])
    assert found == {"T-1": "b", "T-2": "b"}
    assert await outbox.visits.of_tickets("york", ["T-1"]) == {}
    assert look(path, "SELECT doc FROM subject WHERE doc LIKE '%T-1%'") == []


@pytest.mark.parametrize(("day", "kept"), [(None, False), (date(2027, 1, 14), True)])
async def test_a_ticket_is_known_until_the_visit_and_goes_after_that(
    outbox: SqliteOutbox, day: date | None, kept: bool
) -> None:
    """A party is booked months ahead, and the table must not grow for ever."""
    event = await claimed(outbox, "1", at=T0 - 60 * _DAY)
    await outbox.events.learn_booking(event, _booking("T-1", day=day))
    await outbox.shed(before=T0 - 30 * _DAY, attempts_before=T0)
    assert bool(await outbox.visits.of_tickets("leeds", ["T-1"])) is kept
    await outbox.shed(before=T0 + 60 * _DAY, attempts_before=T0)
    assert await outbox.visits.of_tickets("leeds", ["T-1"]) == {}


async def test_that_somebody_came_is_known_with_the_booking_for_good(outbox: SqliteOutbox) -> None:
    """The booking may change a year later, and was visited all the same."""
    event = await claimed(outbox, "1")
    await outbox.events.learn_booking(event, _booking())
    await outbox.visits.learn("leeds", "b", at=T0 + 7, event=event.id)
    await outbox.visits.learn("leeds", "b", at=T0 + 5, event=event.id + 1)
    await outbox.visits.learn("leeds", "b", at=T0 + 9, event=event.id + 2)
    known = await outbox.facts.booking("leeds", "b")
    assert known is not None
    assert (known.visited_at, known.visited_by) == (T0 + 5, event.id)
    await outbox.shed(before=T0 + _DAY, attempts_before=T0)
    await outbox.events.learn_booking(event, _booking())
    known = await outbox.facts.booking("leeds", "b")
    assert known is not None
    assert known.visited_at == T0 + 5


async def test_a_booking_that_is_asked_for_gives_way_to_its_own_messages(
    outbox: SqliteOutbox,
) -> None:
    """It was asked for because of a ticket, and the older message of it is on its way."""
    event = await claimed(outbox, "r", at=T0 + 9)
    await outbox.visits.learn_booking(event, _booking("T-1", total=None), as_of=T0 - _DAY)
    assert await outbox.visits.of_tickets("leeds", ["T-1"]) == {"T-1": "b"}
    own = await claimed(outbox, "created", at=T0)
    await outbox.events.learn_booking(own, _booking(status="Paid"))
    await outbox.visits.learn_booking(event, _booking(), as_of=T0 + 10)
    known = await outbox.facts.booking("leeds", "b")
    assert known is not None
    assert (known.booking.status, known.occurred_at, known.event) == ("Paid", T0, own.id)


async def test_a_step_of_the_wall_clock_does_not_move_the_end_of_a_visit(
    outbox: SqliteOutbox, path: Path
) -> None:
    """It is over when the clock says so, and the clock is right now."""
    await _redeemed(outbox, "r", (T0 + _HOUR, COMPLETE))
    await settled(outbox, "failed", intent(), at=T0 + 5)
    failed = await next_delivery(outbox)
    await outbox.deliveries.give_back(failed, None, due_at=T0 + _HOUR, reason="x",
                                      failed=True, now=T0)  # fmt: skip
    reading = Reading(at=T0 + 10 * _HOUR, boot=0, boot_id="boot")
    await outbox.times.shift(10 * _HOUR, reading, since=T0 + 10 * _HOUR)
    assert _visits(path)[0][2] == T0 + _HOUR
    assert look(path, "SELECT due_at FROM delivery WHERE detail = ''") == [(T0 + 11 * _HOUR,)]
    assert (await next_delivery(outbox, now=T0 + 10 * _HOUR)).detail == COMPLETE
