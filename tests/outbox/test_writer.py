"""Group commit: many units to one flush, and no unit at another's expense."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipeline.errors import OutboxUnavailable
from pipeline.outbox.file import writing
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Writer]:
    """A writer at work on a file with one table."""
    async with writing(path) as connection:
        await connection.execute_fetchall("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        writer = Writer(connection)
        task = asyncio.create_task(writer.run())
        yield writer
        writer.stop()
        await task


def _insert(connection: sqlite3.Connection) -> int:
    [[made]] = rows(connection, "INSERT INTO t DEFAULT VALUES RETURNING id")
    return int(made)


def _broken(connection: sqlite3.Connection) -> None:
    rows(connection, "INSERT INTO t DEFAULT VALUES")
    rows(connection, "SELECT nonsense")


async def test_units_that_wait_together_share_a_commit(path: Path) -> None:
    """A flush takes milliseconds, and a thousand webhooks a second must not take one each."""
    async with writing(path) as connection:
        await connection.execute_fetchall("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        commits: list[str] = []
        await connection.run(lambda c: c.set_trace_callback(commits.append))
        writer = Writer(connection)
        units = [asyncio.ensure_future(writer.do(_insert)) for _ in range(100)]
        task = asyncio.create_task(writer.run())
        assert sorted(await asyncio.gather(*units)) == list(range(1, 101))
        writer.stop()
        await task
    assert len([sql for sql in commits if sql.startswith("COMMIT")]) == 1


async def test_what_comes_turn_after_turn_shares_a_commit(path: Path) -> None:
    """The loop reads some connections in each turn; a flush for each of them is too many."""
    async with running(path) as writer:
        for commits in range(5):
            units: list[asyncio.Future[int]] = []
            for _ in range(20):
                units.append(writer.submit(_insert))
                await asyncio.sleep(0)
            await asyncio.gather(*units)
            assert writer.commits == commits + 1


async def test_under_a_flood_no_one_waits_for_its_end(path: Path) -> None:
    """Whoever came first would be answered last, and that too late."""
    async with running(path) as writer:
        first = writer.submit(_insert)
        async with asyncio.timeout(10):
            while not first.done():
                writer.joined()
                await asyncio.sleep(0)


async def test_a_unit_that_fails_takes_no_other_with_it(path: Path) -> None:
    """One bad row must not lose ninety-nine good ones."""
    async with writing(path) as connection:
        await connection.execute_fetchall("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        writer = Writer(connection)
        good = [asyncio.ensure_future(writer.do(_insert)) for _ in range(3)]
        bad = asyncio.ensure_future(writer.do(_broken))
        more = asyncio.ensure_future(writer.do(_insert))
        task = asyncio.create_task(writer.run())
        with pytest.raises(OutboxUnavailable) as caught:
            await bad
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        await asyncio.gather(*good, more)
        assert await connection.run(lambda c: rows(c, "SELECT count(*) FROM t")) == [(4,)]
        assert writer.trouble is None
        writer.stop()
        await task


@pytest.mark.parametrize("exc", [TypeError("ada@example.com"), OverflowError("2**70")])
async def test_a_unit_may_fail_in_any_way_and_the_writer_lives(path: Path, exc: Exception) -> None:
    """Without its writer the outbox would hang for ever; and an error's text may quote a guest."""

    def broken(_: sqlite3.Connection) -> None:
        raise exc

    async with running(path) as writer:
        with pytest.raises(OutboxUnavailable) as caught:
            await writer.do(broken)
        assert str(caught.value) == f"the outbox cannot be written: {type(exc).__name__}"
        assert await writer.do(_insert) == 1


async def test_a_locked_file_refuses_all_at_once_and_then_takes_them_again(path: Path) -> None:
    """Each wait for it takes seconds: one after the other they would outlast ROLLER's patience."""
    async with running(path) as writer:
        begun: list[str] = []
        connection = writer._connection  # noqa: SLF001 - the file of this test
        await connection.execute_fetchall("PRAGMA busy_timeout = 20")
        await connection.run(lambda c: c.set_trace_callback(begun.append))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        units = [asyncio.ensure_future(writer.do(_insert)) for _ in range(50)]
        refused = await asyncio.gather(*units, return_exceptions=True)
        other.close()
        assert {type(one) for one in refused} == {OutboxUnavailable}
        assert begun.count("BEGIN IMMEDIATE") == 1
        assert writer.trouble == "the outbox cannot be written: database is locked"
        assert await writer.do(_insert) == 1
        assert writer.trouble is None


async def test_what_a_caller_has_handed_in_is_written_though_he_goes(path: Path) -> None:
    """The result of a request that was sent must be recorded, shutdown or not."""
    async with running(path) as writer:
        gone = asyncio.ensure_future(writer.do(_insert))
        await asyncio.wait({gone}, timeout=0)
        gone.cancel()
        assert await writer.do(_insert) == 2


async def test_stopping_writes_what_waits_and_takes_no_more(path: Path) -> None:
    """At shutdown a change is either on disk or refused."""
    async with running(path) as writer:
        units = [asyncio.ensure_future(writer.do(_insert)) for _ in range(600)]
        await asyncio.wait(units, timeout=0)
        writer.stop()
        with pytest.raises(OutboxUnavailable, match="the outbox is closed"):
            await writer.do(_insert)
        assert len(await asyncio.gather(*units)) == 600


async def test_what_fails_after_the_commit_ends_neither_the_writer_nor_hangs_anyone(
    path: Path,
) -> None:
    """A daemon whose only writer has ended would answer nobody, for ever."""

    def fail(_: int) -> None:
        raise KeyError("ada@example.com")

    async with running(path) as writer:
        with pytest.raises(OutboxUnavailable, match=r"KeyError$"):
            await writer.submit(_insert, committed=fail)
        assert await writer.do(_insert) == 2
        assert writer.trouble is None
