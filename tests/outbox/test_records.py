"""What people ask of the outbox is answered from indexes, in the rows of the views."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from pipeline.model import DeliveryKind, DeliveryState, EventState, Outcome, Priority
from pipeline.outbox import Changed, Line
from pipeline.outbox.sqlite import SqliteOutbox
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
    sent,
    settled,
)

_SKIPPED = intent(state=DeliveryState.SKIPPED, reason="No E-mail")


async def _some(outbox: SqliteOutbox) -> None:
    """Three bookings of two venues: delivered to nobody yet, skipped, and not enriched."""
    await settled(outbox, "1", GUEST, BOOKING, TAG)
    await settled(outbox, "2", _SKIPPED, booking="skipped")
    await outbox.intake.accept(arrival("3", booking="new", source="york"))


async def test_events_are_listed_newest_first_by_state_and_source(outbox: SqliteOutbox) -> None:
    """As the view has them, so that scripts may use either."""
    await _some(outbox)
    records = outbox.records

    async def ids(**wanted: str) -> list[str]:
        return [row["id"] for row in await records.events(limit=10, **wanted)]

    assert await ids() == ["e3", "e2", "e1"]
    assert await ids(state="done") == ["e2", "e1"]
    assert await ids(source="york") == ["e3"]
    assert await ids(source="york", state="done") == []
    assert await ids(source="nowhere") == []
    assert [row["id"] for row in await records.events(limit=1, state="done")] == ["e2"]


@pytest.mark.parametrize("newer", [0, 2100], ids=["few", "many newer"])
async def test_what_was_given_back_stands_where_it_came(
    outbox: SqliteOutbox, path: Path, newer: int
) -> None:
    """The newest first, whatever its next try; also where others have come since."""
    for number in range(4):
        await outbox.intake.accept(arrival(f"w{number}"))
    for number, later in ((1, 500), (3, 100)):
        await outbox.events.claim([number], now=T0, until=T0 + 1)
        due = T0 + later
        await outbox.events.give_back(number, due_at=due, reason="x", failed=True, now=T0)
    await outbox.events.claim([2], now=T0, until=T0 + 900)
    others = [arrival(f"o{number}", source="york") for number in range(newer)]
    await asyncio.gather(*map(outbox.intake.accept, others))

    async def ids(limit: int, **wanted: str) -> list[str]:
        return [row["id"] for row in await outbox.records.events(limit=limit, **wanted)]

    assert await ids(9, state="waiting", source="leeds") == ["e4", "e3", "e1"]
    assert await ids(2, state="waiting", source="leeds") == ["e4", "e3"]
    assert await ids(9, source="leeds") == ["e4", "e3", "e2", "e1"]
    assert await ids(9, state="processing") == ["e2"]


async def test_rows_are_those_of_the_views(outbox: SqliteOutbox, path: Path) -> None:
    """People and their tools rely on the names of the columns."""
    await _some(outbox)
    for view, rows in (
        ("events", await outbox.records.events(limit=9)),
        ("deliveries", await outbox.records.deliveries(limit=9)),
    ):
        found = look(path, f"SELECT * FROM {view}")
        assert sorted(tuple(row.values()) for row in rows) == sorted(found)


async def test_deliveries_are_listed_by_state_destination_and_part_of_the_reason(
    outbox: SqliteOutbox,
) -> None:
    """The reason is what one remembers, and seldom in full."""
    await _some(outbox)
    records = outbox.records

    async def kinds(**wanted: str) -> list[str]:
        return [row["kind"] for row in await records.deliveries(limit=10, **wanted)]

    assert await kinds(state="waiting") == ["tag", "booking", "guest"]
    assert await kinds(destination="stampede") == ["booking", "tag", "booking", "guest"]
    assert await kinds(reason="e-MAIL") == ["booking"]
    assert await kinds(reason="e-mail", state="waiting") == []
    assert await kinds(reason="%") == []
    assert await kinds(destination="spotler") == []


async def test_one_is_shown_with_what_belongs_to_it(outbox: SqliteOutbox) -> None:
    """An event with its deliveries, a delivery with its attempts."""
    await _some(outbox)
    event = await outbox.records.event(1)
    assert event is not None
    assert [one["kind"] for one in event["deliveries"]] == ["guest", "booking", "tag"]
    delivery = await outbox.records.delivery(1)
    assert delivery is not None
    assert delivery["attempts"] == []
    assert await outbox.records.event(99) is None
    assert await outbox.records.delivery(99) is None


@pytest.mark.parametrize("name", ["b", "ref-b"])
async def test_a_booking_is_found_by_its_id_and_its_reference(
    outbox: SqliteOutbox, name: str
) -> None:
    """A person has the one, and a log the other."""
    await settled(outbox, "1", GUEST, BOOKING)
    await outbox.intake.accept(arrival("2"))
    await outbox.intake.accept(arrival("3", booking="other"))
    assert await outbox.records.of_booking(name) == ([1, 2], [1, 2]), "the guest's too"
    assert await outbox.records.of_booking("nothing") == ([], [])


async def test_it_tells_what_goes_before_and_what_is_waited_for(outbox: SqliteOutbox) -> None:
    """The order is by class, then by age; what waits for its guest has no turn yet."""
    for number in range(3):
        await settled(outbox, str(number), BOOKING, booking=f"b{number}")
    await settled(outbox, "4", GUEST, BOOKING, booking="b4")
    found = [await outbox.records.standing(number) for number in (1, 3, 5, 99)]
    told = [(one.waits_for, one.ahead) if one else None for one in found]
    assert told == [(None, 0), (None, 2), (4, 4), None]


async def test_other_venues_go_in_turn_so_only_some_of_theirs_go_before(
    outbox: SqliteOutbox,
) -> None:
    """A venue that floods holds up nobody by more than a turn each."""
    for number in range(3):
        await settled(outbox, f"york {number}", BOOKING, booking=f"y{number}", source="york")
    for number in range(2):
        await settled(outbox, f"leeds {number}", BOOKING, booking=f"l{number}")
    await settled(outbox, "urgent", intent(priority=Priority.OPT_OUT), booking="u")
    found = [await outbox.records.standing(number) for number in (4, 5)]
    assert [one.ahead for one in found if one] == [2, 4], "the opt-out, and one or two of York"
    assert [one.part for one in found if one] == [1 / 5, 3 / 5]


async def test_what_is_begun_goes_before_as_well(outbox: SqliteOutbox) -> None:
    """In its own venue's line, and in another's."""
    for source in ("york", "leeds"):
        for number in range(2):
            guest = intent(DeliveryKind.GUEST, customer=f"{source} {number}")
            await settled(outbox, f"{source} {number}", guest, source=source)
        line = Line(priority=Priority.NEW, source=source, begun=False)
        one = await outbox.deliveries.claim("stampede", [line], now=T0, until=T0 + LEASE)
        assert one is not None
        ending = await sent(outbox, one, Outcome.OK)
        await outbox.deliveries.succeed(one, [], ending, more=True, now=T0)
    found = [await outbox.records.standing(number) for number in (2, 4)]
    assert [one.ahead for one in found if one] == [3, 3]


async def test_it_tells_what_is_held_back(outbox: SqliteOutbox) -> None:
    """Its time may be read from a clock that has been set since."""
    await settled(outbox, "1", BOOKING)
    before = await outbox.records.standing(1)
    one = await next_delivery(outbox)
    await outbox.deliveries.give_back(one, None, due_at=T0 + 1, reason="500", failed=True, now=T0)
    after = await outbox.records.standing(1)
    assert (before and before.held, after and after.held) == (False, True)


async def test_retrying_a_booking_brings_its_parked_guest_along(
    outbox: SqliteOutbox, path: Path
) -> None:
    """By itself it would wait for ever."""
    await settled(outbox, "1", GUEST, BOOKING, TAG)
    guest = await next_delivery(outbox)
    await outbox.deliveries.close(guest, DeliveryState.PARKED, "refused", None, now=T0)
    assert {row[0] for row in look(path, "SELECT state FROM delivery")} == {"parked"}

    changed = await outbox.repair.retry_deliveries([2], now=T0 + 1)

    assert (set(changed.ids), changed.refused) == ({"d1", "d2", "d3"}, {})
    assert look(path, "SELECT state, waits_for FROM delivery") == [
        ("waiting", None),
        ("waiting", 1),
        ("waiting", 1),
    ]
    conserved(path)


async def test_dropping_a_guest_drops_what_waits_for_it(outbox: SqliteOutbox, path: Path) -> None:
    """It could go nowhere, or would make the guest anew."""
    await settled(outbox, "1", GUEST, BOOKING, TAG)
    changed = await outbox.repair.drop_deliveries([1], now=T0)
    assert changed.ids == ["d1", "d2", "d3"]
    assert set(look(path, "SELECT state, reason FROM delivery")) == {("dropped", "dropped by hand")}
    conserved(path)


async def test_what_is_at_its_end_or_under_way_is_left_alone_and_said_why(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A request on its way cannot be called back, and what was told cannot be untold."""
    await settled(outbox, "1", GUEST, BOOKING)
    await next_delivery(outbox)
    await claimed(outbox, "2")
    states = "SELECT 'e', id, state FROM event UNION ALL SELECT 'd', id, state FROM delivery"
    before = look(path, states)
    repair = outbox.repair
    refused = {
        **(await repair.retry_events([1, 2, 9], now=T0)).refused,
        **(await repair.retry_deliveries([1, 9], now=T0)).refused,
    }
    assert refused == {
        "e1": "e1 is done: its deliveries are there, and can be retried",
        "e2": "e2 is being processed right now",
        "e9": "there is no event e9",
        "d1": "d1 is sending, and only what waits or is parked can be changed",
        "d9": "there is no delivery d9",
    }
    assert set((await repair.drop_events([1, 2, 9], now=T0)).refused) == {"e1", "e2", "e9"}
    assert set((await repair.drop_deliveries([1, 9], now=T0)).refused) == {"d1", "d9"}
    assert look(path, states) == before


async def test_a_retried_event_begins_anew_and_a_dropped_one_is_ignored(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Its time to give up runs from its first failure, and a person has mended the cause."""
    for number in (1, 2):
        event = await claimed(outbox, str(number))
        await outbox.events.give_back(event.id, due_at=T0 * 3, reason="x", failed=True, now=T0)
    changed = await outbox.repair.retry_events([1], now=T0 * 2)
    dropped = await outbox.repair.drop_events([2], now=T0 * 2)
    assert (changed.ids, dropped.ids) == (["e1"], ["e2"])
    assert look(path, "SELECT state, reason, due_at, first_failure_at, attempts FROM event")[0] == (
        "waiting", None, T0 * 2, None, 0,
    )  # fmt: skip
    assert look(path, "SELECT state, reason FROM event")[1] == ("ignored", "dropped by hand")
    again = await outbox.repair.retry_events([2], now=T0 * 2)
    assert again.ids == ["e2"]
    conserved(path)


async def _parks(outbox: SqliteOutbox, reason: str, *, now: int = T0) -> None:
    delivery = await next_delivery(outbox, now=now)
    await outbox.deliveries.close(delivery, DeliveryState.PARKED, reason, None, now=now)


async def test_what_has_parked_in_doubt_meanwhile_is_left_alone_by_a_retry_of_all(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Two people retry all: what the one has sent may have been done, and the other must see it."""
    for number in range(3):
        await settled(outbox, str(number), BOOKING, booking=f"b{number}")
        await _parks(outbox, "Stampede answered 400")

    def bulk() -> Awaitable[Changed]:
        return outbox.repair.retry_parked_deliveries(None, before=T0, limit=2, now=T0 + 1)

    one, other = await asyncio.gather(bulk(), bulk())
    assert (one.ids, one.more, other.ids, other.more) == (["d1", "d2"], True, ["d3"], False)
    for _ in range(3):
        await _parks(outbox, "unknown outcome", now=T0 + 2)
    late = outbox.repair.retry_parked_deliveries(None, before=T0 + 9, limit=9, now=T0 + 9)
    assert (await late).ids == []
    assert look(path, "SELECT DISTINCT state FROM delivery") == [("parked",)]


async def test_two_retries_of_all_events_say_together_what_they_did(outbox: SqliteOutbox) -> None:
    """Neither counts what the other has done."""
    for number in range(3):
        event = await claimed(outbox, str(number))
        await outbox.events.finish(event.id, EventState.PARKED, "unreadable", now=T0)
    first = outbox.repair.retry_parked_events("leeds", before=T0, limit=2, now=T0)
    second = outbox.repair.retry_parked_events("leeds", before=T0, limit=2, now=T0)
    found = await asyncio.gather(first, second)
    assert [(one.ids, one.more) for one in found] == [(["e1", "e2"], True), (["e3"], False)]
