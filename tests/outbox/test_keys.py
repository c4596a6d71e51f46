"""A repetition is seen however long ago the message came, and whatever happened meanwhile."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from pipeline.errors import OutboxUnavailable
from pipeline.model import Receipt
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import arrival, conserved, look
from tests.waiting import LONG

#: More than are held in memory before they go to the index.
_MANY = 9_000

#: Two keys of the source leeds with the same CRC-32.
_TWINS = ("iondddeb", "bfbaicjf")


async def _take_in(outbox: SqliteOutbox, count: int, prefix: str = "key") -> list[bool]:
    """Send so many at a time as there may be connections; tell which were repetitions."""
    found: list[bool] = []
    for start in range(0, count, 500):
        some = range(start, min(start + 500, count))
        waiting = [outbox.intake.accept(arrival(f"{prefix} {n}")) for n in some]
        found += [receipt.duplicate for receipt in await asyncio.gather(*waiting)]
    return found


async def test_repetitions_are_seen_before_and_after_keys_went_to_the_index(path: Path) -> None:
    """The newest keys are in memory only, and what is in memory is gone after a restart."""
    async with open_outbox(path) as outbox:
        assert not any(await _take_in(outbox, _MANY))
        indexed = look(path, "SELECT count(*) FROM event_key")[0][0]
        assert 0 < indexed < _MANY
        assert all(await _take_in(outbox, _MANY))
    for start in range(2):
        async with open_outbox(path) as outbox:
            assert all(await _take_in(outbox, _MANY))
            assert not any(await _take_in(outbox, 3, prefix=f"since start {start}"))
    assert look(path, "SELECT count(*), max(duplicates) FROM event") == [(_MANY + 6, 3)]
    conserved(path)


async def test_keys_that_look_alike_to_the_index_are_two(path: Path) -> None:
    """A message must never be dropped because of another's checksum."""
    async with open_outbox(path) as outbox:
        first = await outbox.intake.accept(arrival(_TWINS[0]))
        await _take_in(outbox, _MANY)
        second = await outbox.intake.accept(arrival(_TWINS[1]))
        await _take_in(outbox, _MANY, prefix="more")
        again = [await outbox.intake.accept(arrival(twin)) for twin in _TWINS]
    assert not second.duplicate
    assert [receipt.event for receipt in again] == [first.event, second.event]
    assert all(receipt.duplicate for receipt in again)


async def test_what_could_not_be_stored_is_no_repetition_when_it_comes_again(path: Path) -> None:
    """It was answered 503, so ROLLER sends it again; then it must be taken in."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("before"))
        _rename(path, "event", "gone")
        failing = [outbox.intake.accept(arrival(f"key {n}")) for n in range(3)]
        found = await asyncio.gather(*failing, return_exceptions=True)
        assert all(isinstance(each, OutboxUnavailable) for each in found)
        _rename(path, "gone", "event")
        assert await _take_in(outbox, 3) == [False] * 3
        assert await _take_in(outbox, 3) == [True] * 3
    conserved(path)


async def test_a_message_that_sqlite_refuses_holds_up_no_other(path: Path) -> None:
    """Each is then stored alone, and repetitions are still seen."""
    async with open_outbox(path) as outbox:
        # Text that is no UTF-8 cannot be stored; `receive` never makes any.
        await outbox.intake.accept(arrival("before"))
        bad = arrival("bad", booking="\ud800")
        wanted = [arrival("a"), bad, arrival("a"), arrival("b"), bad]
        waiting = [outbox.intake.accept(each) for each in wanted]
        found = await asyncio.gather(*waiting, return_exceptions=True)
    told = [each.duplicate if isinstance(each, Receipt) else "refused" for each in found]
    assert told == [False, "refused", True, False, "refused"]
    assert look(path, "SELECT key FROM event") == [("before",), ("a",), ("b",)]
    conserved(path)


async def test_messages_stored_singly_when_keys_go_to_the_index_hold_up_nothing(
    path: Path,
) -> None:
    """Each of them brings the same keys there, in one transaction."""
    async with open_outbox(path) as outbox:
        await _take_in(outbox, 8192)
        bad = arrival("bad", booking="\ud800")
        waiting = [outbox.intake.accept(each) for each in (arrival("x"), bad, arrival("y"))]
        async with asyncio.timeout(LONG):
            await asyncio.gather(*waiting, return_exceptions=True)
            assert await _take_in(outbox, 3, prefix="after") == [False] * 3
            assert await _take_in(outbox, 8192) == [True] * 8192
    conserved(path)


async def test_a_message_that_is_none_holds_up_no_other(path: Path) -> None:
    """It fails before it shares a commit with anyone."""
    async with open_outbox(path) as outbox:
        none = msgspec.structs.replace(arrival("none"), kind="booking")
        with pytest.raises(AttributeError):
            await outbox.intake.accept(none)
        async with asyncio.timeout(LONG):
            assert not (await outbox.intake.accept(arrival("next"))).duplicate


def _rename(path: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
        connection.commit()
