"""Messages are stored once, byte for byte, and a repetition is seen."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from pipeline.errors import OutboxUnavailable
from pipeline.model import Arrival
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import arrival, conserved, look
from tests.waiting import LONG


async def test_many_at_once_are_stored_once_each(outbox: SqliteOutbox, path: Path) -> None:
    """ROLLER repeats a message while the first one is still on its way to the disk."""
    wanted = [arrival(f"key {n % 50}") for n in range(200)]
    receipts = await asyncio.gather(*(outbox.intake.accept(one) for one in wanted))
    assert sum(not receipt.duplicate for receipt in receipts) == 50
    assert look(path, "SELECT count(*), sum(duplicates) FROM events") == [(50, 150)]
    stored = dict(look(path, "SELECT key, id FROM event"))
    first = {one.key: r.event for one, r in zip(wanted, receipts, strict=True) if not r.duplicate}
    assert first == stored
    conserved(path)


async def test_messages_of_many_turns_share_a_commit(outbox: SqliteOutbox) -> None:
    """Connections are read one after the other; a flush for each of them is too many."""
    commits: list[int] = []
    outbox.watch(lambda _, rows: commits.append(rows))
    waiting = []
    for n in range(20):
        waiting.append(outbox.intake.accept(arrival(str(n))))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert len(commits) == 1


async def test_a_repetition_is_recognised_after_a_restart(path: Path) -> None:
    """ROLLER repeats for four days, and daemons are updated meanwhile."""
    for n in range(3):
        async with open_outbox(path) as outbox:
            receipt = await outbox.intake.accept(arrival("the same"))
            assert receipt.duplicate == (n > 0)
    assert look(path, "SELECT count(*), sum(duplicates) FROM events") == [(1, 2)]


async def test_two_sources_may_use_the_same_key(outbox: SqliteOutbox) -> None:
    """Keys are unique at one venue; nobody promises more."""
    for source in ("leeds", "york"):
        assert not (await outbox.intake.accept(arrival("key", source=source))).duplicate


async def test_a_body_is_kept_byte_for_byte(outbox: SqliteOutbox, path: Path) -> None:
    """What cannot be read today may be read by the next version."""
    body = bytes(range(256)) * 9
    await outbox.intake.accept(msgspec.structs.replace(arrival("key"), body=body))
    assert look(path, "SELECT body FROM event") == [(body,)]


async def test_a_closed_outbox_refuses_and_what_was_handed_in_is_stored(path: Path) -> None:
    """At shutdown a message is either on disk or refused, and never in between."""
    async with open_outbox(path) as outbox:
        waiting = [asyncio.ensure_future(outbox.intake.accept(arrival(str(n)))) for n in range(9)]
        await asyncio.wait({waiting[0]})
    done = [task.result().event for task in waiting]
    assert look(path, "SELECT count(*) FROM event") == [(len(done),)]
    with pytest.raises(OutboxUnavailable):
        await outbox.intake.accept(arrival("late"))


async def test_a_caller_who_gives_up_takes_no_one_with_it(outbox: SqliteOutbox, path: Path) -> None:
    """A client that hangs up must not undo its neighbours' messages, nor its own."""
    tasks = [asyncio.ensure_future(outbox.intake.accept(arrival(str(n)))) for n in range(5)]
    await asyncio.wait(tasks, timeout=0)
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [False, False, True, False, False]
    assert look(path, "SELECT count(*) FROM event")[0][0] in {4, 5}
    conserved(path)


async def test_a_repetition_names_the_message_that_is_there(outbox: SqliteOutbox) -> None:
    """Whoever is told of it may look it up, in the same commit and in a later one."""
    first = await outbox.intake.accept(arrival("a"))
    again = await asyncio.gather(*(outbox.intake.accept(arrival(key)) for key in "abab"))
    assert [receipt.duplicate for receipt in again] == [True, False, True, True]
    assert again[0].event == again[2].event == first.event
    assert again[1].event == again[3].event != first.event


@pytest.mark.parametrize(
    "bad",
    [
        msgspec.structs.replace(arrival("bad"), occurred_at=2**70),
        msgspec.structs.replace(arrival("bad"), reference="\ud800"),
    ],
    ids=["number", "text"],
)
async def test_what_cannot_be_stored_keeps_no_other_from_the_disk(
    outbox: SqliteOutbox, path: Path, bad: Arrival
) -> None:
    """One such message, sent again and again, would stop a venue's data for good."""
    wanted = [arrival(str(n)) for n in range(20)] + [bad] + [arrival("1")]
    results = await asyncio.gather(
        *(outbox.intake.accept(one) for one in wanted), return_exceptions=True
    )
    assert [n for n, one in enumerate(results) if isinstance(one, OutboxUnavailable)] == [20]
    assert look(path, "SELECT count(*), sum(duplicates) FROM event") == [(20, 1)]
    conserved(path)


async def test_a_file_that_was_locked_takes_messages_again(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A backup tool may hold it for a while; nothing may hang when it has gone."""
    connection = outbox._writer._connection  # noqa: SLF001 - the file of this test
    await connection.execute_fetchall("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = await asyncio.gather(
        *(outbox.intake.accept(arrival(str(n))) for n in range(3)), return_exceptions=True
    )
    assert {type(one) for one in refused} == {OutboxUnavailable}
    other.close()
    async with asyncio.timeout(LONG):
        assert not (await outbox.intake.accept(arrival("1"))).duplicate
    conserved(path)
