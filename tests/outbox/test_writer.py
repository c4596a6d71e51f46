"""Group commit: many units to one flush, and no unit at another's expense."""

import asyncio
import sqlite3
from pathlib import Path

import aiosqlite
import pytest

from pipeline.errors import OutboxUnavailable
from pipeline.outbox.file import writing
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer


async def _insert(connection: aiosqlite.Connection) -> int:
    [[made]] = await rows(connection, "INSERT INTO t DEFAULT VALUES RETURNING id")
    return int(made)


async def _broken(connection: aiosqlite.Connection) -> None:
    await rows(connection, "INSERT INTO t DEFAULT VALUES")
    await rows(connection, "SELECT nonsense")


async def test_units_that_wait_together_share_a_commit(path: Path) -> None:
    """A flush takes milliseconds, and a thousand webhooks a second must not take one each."""
    async with writing(path) as connection:
        await connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        commits: list[str] = []
        await connection.set_trace_callback(commits.append)
        writer = Writer(connection)
        units = [asyncio.ensure_future(writer.do(_insert)) for _ in range(100)]
        task = asyncio.create_task(writer.run())
        assert sorted(await asyncio.gather(*units)) == list(range(1, 101))
        writer.stop()
        await task
    assert len([sql for sql in commits if sql.startswith("COMMIT")]) == 1


async def test_a_unit_that_fails_takes_no_other_with_it(path: Path) -> None:
    """One bad row must not lose ninety-nine good ones."""
    async with writing(path) as connection:
        await connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        writer = Writer(connection)
        good = [asyncio.ensure_future(writer.do(_insert)) for _ in range(3)]
        bad = asyncio.ensure_future(writer.do(_broken))
        more = asyncio.ensure_future(writer.do(_insert))
        task = asyncio.create_task(writer.run())
        with pytest.raises(OutboxUnavailable) as caught:
            await bad
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        await asyncio.gather(*good, more)
        assert await rows(connection, "SELECT count(*) FROM t") == [(4,)]
        assert writer.trouble is None
        writer.stop()
        await task
