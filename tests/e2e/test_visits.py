"""Who came is told to Stampede: when they are there, and once it is over."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.model import Action, Arrival, EventState, Kind, Origin
from pipeline.outbox.sqlite import open_outbox
from tests.e2e.test_registration import _MODE, _OFF
from tests.e2e.world import World, equations, world
from tests.outbox.support import change

_ALL = 'visit_updates = ["complete", "arrived"]'
_NONE = "visit_updates = []"
_VISITS = (
    "SELECT detail, state, due_at FROM delivery WHERE detail IN ('arrived', 'complete') ORDER BY id"
)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose ROLLER sends messages of every type."""
    async with world(tmp_path, everything=True) as made:
        yield made


def _updates(here: World, line: str) -> None:
    text = here.path.read_text()
    lines = [one for one in text.splitlines() if "visit_updates" not in one]
    at = lines.index("[destinations.stampede]")
    here.write("\n".join([*lines[: at + 1], line, *lines[at + 1 :]]) + "\n")


def _session(start: timedelta, hours: int = 1) -> list[dict[str, Any]]:
    """An item with tickets, whose session begins so long from now, on London's clock in winter."""
    begins = datetime.now(UTC) + start
    ends = begins + timedelta(hours=hours)
    return [
        {
            "bookingItemId": 13849074, "productId": 7158455, "quantity": 2, "groupSize": 1,
            "bookingDate": f"{begins:%Y-%m-%d}", "bookingEndDate": f"{ends:%Y-%m-%d}",
            "sessionStartTime": f"{begins:%H:%M}", "sessionEndTime": f"{ends:%H:%M}",
            "tickets": [{"ticketId": "T-1"}, {"ticketId": "T-2"}],
        }
    ]  # fmt: skip


_NOW = timedelta(minutes=-30)
_YESTERDAY = timedelta(days=-1)


async def _book(here: World, start: timedelta = _NOW, unique: str = "one", **booking: Any) -> None:
    await here.book(booking={"uniqueId": unique, "items": _session(start), **booking})
    await here.heard()


async def _statuses(here: World) -> dict[str, str]:
    return {one["event_id"]: one["status"] for one in (await here.state("stampede"))["bookings"]}


async def _searches(here: World) -> list[str]:
    found = await here.requests("roller")
    return [one["query"] for one in found if one["path"] == "/bookings"]


def _visits(here: World) -> list[tuple[str, str]]:
    return [row[:2] for row in here.rows(_VISITS)]


def _let_it_be_over(here: World) -> None:
    """Put the session, and what waits for its end, to where it is over; the daemon is stopped."""
    change(
        here.outbox,
        """UPDATE subject SET doc = json_set(doc, '$.items[0].first_day', '2026-01-01',
                                                  '$.items[0].last_day', '2026-01-01')
           WHERE kind = 'booking'""",
    )
    change(here.outbox, "UPDATE delivery SET due_at = updated_at WHERE detail = 'complete'")


@pytest.mark.parametrize("updates", [None, _ALL])
async def test_a_booking_is_complete_once_it_is_over_and_somebody_came(
    here: World, updates: str | None
) -> None:
    """Stampede asks guests how it was, and not before they have left."""
    if updates:
        _updates(here, updates)
    async with here.running():
        await _book(here)
        await here.settled()
        await here.redeem("one", tickets=1)
        await here.heard()
        await here.redeem("one")
        await here.heard()
        status = await here.status()
        equations(status)
        assert status.oldest_waiting_s is None or not updates
    there = {"one": "arrived"} if updates else {"one": "active"}
    found = _visits(here)
    assert ("complete", "waiting") in found
    assert found.count(("complete", "waiting")) == 1
    [[due]] = here.rows("SELECT due_at FROM delivery WHERE detail = 'complete'")
    ends = (datetime.now(UTC) + _NOW + timedelta(hours=1)).replace(second=0, microsecond=0)
    assert abs(due / 1e6 - ends.timestamp()) <= 60
    assert await _statuses(here) == there
    _let_it_be_over(here)
    async with here.running():
        equations(await here.settled())
    assert await _statuses(here) == {"one": "complete"}
    assert _visits(here).count(("complete", "delivered")) == 1


async def test_a_later_change_of_a_visited_booking_says_that_it_is_complete(here: World) -> None:
    """A refund is no reason to expect the guests again."""
    async with here.running():
        await _book(here, _YESTERDAY)
        await here.settled()
        await here.redeem("one")
        await here.settled()
        assert await _statuses(here) == {"one": "complete"}
        await here.book(booking={"uniqueId": "one", "total": 1})
        await here.settled()
        assert await _statuses(here) == {"one": "complete"}
        await here.book(booking={"uniqueId": "one", "status": "Cancelled"})
        await here.settled()
        assert await _statuses(here) == {"one": "cancelled"}
    assert _visits(here) == [("complete", "delivered")], "the rest goes with the booking"


async def test_a_session_that_is_moved_takes_its_end_along(here: World) -> None:
    """What was due at the old end would be told while they are still inside."""
    async with here.running():
        await _book(here)
        await here.redeem("one")
        await here.heard()
        [(_, _, before)] = here.rows(_VISITS)
        await here.book(booking={"uniqueId": "one", "items": _session(timedelta(hours=2))})
        await here.heard()
        [(_, state, after)] = here.rows(_VISITS)
        assert state == "waiting"
        assert abs(after - before - 2.5 * 3.6e9) <= 120e6
        await here.book(booking={"uniqueId": "one", "items": _session(_YESTERDAY)})
        await here.heard()
    assert len(here.rows("SELECT 1 FROM deliveries WHERE event = 'e4' AND kind = 'booking'")) == 1


async def test_a_ticket_that_is_redeemed_before_its_booking_is_known_waits_for_it(
    here: World,
) -> None:
    """ROLLER promises no order."""
    async with here.running():
        await here.book(booking={"uniqueId": "one", "items": _session(_YESTERDAY)}, send=False)
        await here.redeem("one")
        await here.book(booking={"uniqueId": "one"})
        await here.settled()
    assert await _statuses(here) == {"one": "complete"}
    assert await _searches(here) == []


async def test_the_booking_of_a_ticket_that_nobody_told_of_is_asked_for_once(here: World) -> None:
    """It was made before the daemon was set up."""
    async with here.running():
        await here.book(booking={"uniqueId": "one", "items": _session(_YESTERDAY)}, send=False)
        # The search finds this one first.
        await here.book(booking={"uniqueId": "decoy", "name": "T-1 and friends"}, send=False)
        await here.redeem("one")
        await here.heard()
        await here.redeem("one", tickets=1)
        await here.settled()
    assert await _searches(here) == ["keywords=T-1"]
    assert await _statuses(here) == {"one": "complete"}


async def test_a_ticket_of_no_booking_is_ignored(here: World) -> None:
    """Such as one of another venue's."""
    body = b'{"id": "r", "type": 3, "eventType": 1, "data": {"redemptions": {"ticketId": "T-9"}}}'
    async with here.running():
        assert await here.post(body) == 200
        equations(await here.settled())
    assert here.rows("SELECT state, reason FROM events") == [
        ("ignored", "no booking with this ticket")
    ]
    assert await _searches(here) == ["keywords=T-9"]


@pytest.mark.parametrize("mode", ["registration", "none"])
async def test_where_no_visit_is_told_a_redemption_costs_nothing(here: World, mode: str) -> None:
    """A registration cannot be changed, and who wants no updates gets none."""
    if mode == "registration":
        here.replace(_OFF, _MODE)
    else:
        _updates(here, _NONE)
    async with here.running():
        await _book(here, _YESTERDAY)
        await here.redeem("one")
        await here.settled()
    assert ("ignored", "not used") in here.rows("SELECT state, reason FROM events")
    assert _visits(here) == []
    assert await _searches(here) == []


async def test_the_visit_of_somebody_who_is_not_told_of_is_not_told(here: World) -> None:
    """A child's ticket is redeemed like any other."""
    async with here.running():
        customer = await here.guest(email="kid@example.com", dateOfBirth="2015-01-01")
        await _book(here, customerId=customer)
        await here.redeem("one")
        equations(await here.settled())
    assert _visits(here) == []
    assert await _statuses(here) == {}


async def test_a_past_visit_of_before_our_time_is_told_as_complete(here: World) -> None:
    """No redemption of it will ever come; of what reconciliation finds one would have come."""
    found: tuple[tuple[str, timedelta, dict[str, str], Origin], ...] = (
        ("past", _YESTERDAY, {}, Origin.BACKFILL),
        ("ahead", timedelta(days=1), {}, Origin.BACKFILL),
        ("gone", _YESTERDAY, {"status": "Cancelled"}, Origin.BACKFILL),
        ("missed", _YESTERDAY, {}, Origin.RECONCILE),
    )
    now = time.time_ns() // 1000
    async with open_outbox(here.outbox) as outbox:
        for unique, start, fields, origin in found:
            booking = {"uniqueId": unique, "items": _session(start), **fields}
            await here.book(booking=booking, send=False)
            asked = Arrival(
                source="leeds", origin=origin, key=unique, kind=Kind.BOOKING,
                action=Action.UPDATED, occurred_at=now, booking=unique, reference=None,
                received_at=now, state=EventState.WAITING, reason=None, body=b"",
            )  # fmt: skip
            await outbox.intake.accept(asked)
    async with here.running():
        await _book(here, _YESTERDAY, "told")
        await here.settled()
    assert await _statuses(here) == {
        "past": "complete", "ahead": "active", "gone": "cancelled", "missed": "active",
        "told": "active",
    }  # fmt: skip


async def test_tickets_make_no_two_messages_of_one_time_differ(here: World) -> None:
    """Calls are counted by the month, and nothing is to be asked."""
    async with here.running():
        for _ in range(2):
            booking = {"uniqueId": "one", "items": _session(_NOW)}
            await here.book(booking=booking, event_date="2026-11-21T10:00:00Z")
            await here.settled()
    assert len(here.rows("SELECT 1 FROM events WHERE kind = 'booking'")) == 2
    assert not [one for one in await here.requests("roller") if "/bookings" in one["path"]]


async def test_of_a_message_of_many_strange_tickets_each_is_asked_for_once(here: World) -> None:
    """Some in each try, for its lease lasts for no more; among the last may be the only known."""
    names = [f"S-{number:03}" for number in range(12)] + ["T-1", "T-2"]
    tickets = ", ".join(f'{{"ticketId": "{name}"}}' for name in names)
    body = f'{{"id": "r", "type": 3, "eventType": 1, "data": {{"redemptions": [{tickets}]}}}}'
    async with here.running():
        await here.book(booking={"uniqueId": "one", "items": _session(_YESTERDAY)}, send=False)
        assert await here.post(body.encode()) == 200
        equations(await here.settled())
    assert await _searches(here) == [f"keywords={name}" for name in names[:-1]]
    assert await _statuses(here) == {"one": "complete"}


async def test_whoever_comes_to_more_bookings_than_a_try_asks_for_comes_to_all(
    here: World,
) -> None:
    """A school with a booking for each child; one of them is known, without its tickets."""
    many = range(7)
    redeemed = ", ".join(f'{{"ticketId": "T-{n}"}}' for n in many)
    body = f'{{"id": "r", "type": 3, "eventType": 1, "data": {{"redemptions": [{redeemed}]}}}}'
    async with here.running():
        for n in many:
            [item] = _session(_YESTERDAY)
            if n == 0:
                await here.book(booking={"uniqueId": "b0", "items": [item | {"tickets": []}]})
                await here.settled()
            items = [item | {"tickets": [{"ticketId": f"T-{n}"}]}]
            await here.book(booking={"uniqueId": f"b{n}", "items": items}, send=False)
        assert await here.post(body.encode()) == 200
        equations(await here.settled())
    assert len(await _searches(here)) == len(many)
    assert await _statuses(here) == {f"b{n}": "complete" for n in many}
