"""The one writer: every change goes through one connection, many to one fsync.

Callers hand in a unit of work and wait; whatever has gathered while the previous commit was on its
way to the disk becomes the next transaction, in one trip to the connection's thread. One
connection, because SQLite before 3.51.3 can lose committed rows when two of them write and
checkpoint in WAL mode, and because on a shared one a task's rollback takes another's rows with it.
"""

import asyncio
import functools
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Struct

from pipeline.errors import OutboxUnavailable
from pipeline.outbox.connection import Connected
from pipeline.outbox.query import rows

_T = TypeVar("_T")

#: A piece of a transaction. It runs on the connection's thread, and anew after a rollback that
#: another piece was the reason for.
Unit = Callable[[sqlite3.Connection], _T]

#: Units in one transaction at most, so that a commit's wait stays short.
_MOST_UNITS = 256

#: With so many a transaction begins at once: more would save little, and leave the loop nothing to
#: do while they are on their way to the disk.
_ENOUGH = 64

#: Commits of 64 webhooks each bring the WAL to some 6 MB: what is written twice stays in the
#: processor's cache, and the wait for a checkpoint short.
_COMMITS_TO_CHECKPOINT = 32


class _Job(Struct):
    unit: Unit[Any]
    done: asyncio.Future[Any]
    #: Called in the loop, before the unit runs.
    begins: Callable[[], None] | None
    #: Called on the connection's thread, with what the unit gave, before any other unit runs.
    committed: Callable[[Any], None] | None


class _Done(Struct):
    """What the units of a transaction gave, and how many rows it changed."""

    all: list[Any]
    rows: int


class _Failed(Struct):
    """Why a transaction was rolled back."""

    cause: Exception
    #: The job whose unit it was; None when it was none of them.
    job: _Job | None


class UnitFailed(OutboxUnavailable):
    """A unit failed by itself: the outbox takes others."""


class Writer:
    """Runs units of work in group commits; `run` is its task."""

    def __init__(self, connection: Connected) -> None:
        self._connection = connection
        #: Asked on the connection's thread before each transaction; says why it may not be begun.
        self.is_there: Callable[[], str | None] = lambda: None
        #: How many transactions have been committed.
        self.commits = 0
        self._waiting: list[_Job] = []
        self._wake = asyncio.Event()
        self._closed = False
        #: How much has been handed in since the last transaction began: units, and what has joined
        #: one.
        self._handed_in = 0
        self._since_checkpoint = 0
        self._scrubs = False
        #: Called for each transaction, with its seconds and the rows that it changed.
        self.watch: Callable[[float, int], None] = lambda *_: None
        #: Why the last transaction failed; None when it did not.
        self.trouble: str | None = None

    def submit(
        self,
        unit: Unit[_T],
        *,
        begins: Callable[[], None] | None = None,
        committed: Callable[[_T], None] | None = None,
    ) -> asyncio.Future[_T]:
        """Hand a unit in; its result is there once it is on disk.

        `begins` is called in the loop before the unit runs, `committed` on the connection's thread
        once it is on disk, before any other unit runs; neither may fail.
        The future ends in OutboxUnavailable when it could not be written (disk full, file gone):
        then nothing of it is stored. Raises it at once when the outbox is closed.
        """
        if self._closed:
            msg = "the outbox is closed"
            raise OutboxUnavailable(msg)
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(unit, done, begins, committed))
        self._handed_in += 1
        self._wake.set()
        return done

    def joined(self) -> None:
        """Take note that a unit which has not begun has grown by one more thing to store."""
        self._handed_in += 1

    async def do(self, unit: Unit[_T]) -> _T:
        """Run a unit and give its result once it is on disk; see `submit`."""
        return await self.submit(unit)

    async def run(self) -> None:
        """Commit what is handed in, until `stop`; then what is left, and end."""
        while self._waiting or not self._closed:
            if not self._waiting:
                self._wake.clear()
                await self._scrub()
                await self._wake.wait()
                continue
            await self._gather()
            batch: Sequence[_Job] = self._waiting[:_MOST_UNITS]
            del self._waiting[:_MOST_UNITS]
            while batch:
                batch = await self._commit(batch)
            await self._checkpoint()

    def scrub(self) -> None:
        """Empty the WAL once nothing is being written: it holds pages as they were before."""
        self._scrubs = True
        self._wake.set()

    def stop(self) -> None:
        """Take no more units; `run` ends when all are written."""
        self._closed = True
        self._wake.set()

    async def _gather(self) -> None:
        """Let the loop turn, before a transaction begins, for as long as each turn brings more.

        A transaction costs a flush and some 0.2 ms of the processor, however little is in it. If it
        began at once, the answers of the last one would bring two: one for the first to send more,
        and one for all others, who come while that one is on its way to the disk.
        """
        before = 0
        while before < self._handed_in < _ENOUGH:
            before = self._handed_in
            await asyncio.sleep(0)
        self._handed_in = 0

    async def _commit(self, batch: Sequence[_Job]) -> Sequence[_Job]:
        """Write a batch; give those to be written anew because one among them failed by itself."""
        begun = time.perf_counter()
        try:
            for job in batch:
                if job.begins is not None:
                    job.begins()
            transact = functools.partial(_transact, batch, self.is_there)
            results = await self._connection.run(transact)
        except Exception as exc:  # noqa: BLE001 - the only writer must not end; nobody may hang
            results = _Failed(exc, None)
        if isinstance(results, _Failed):
            return self._give_up(batch, results)
        self.trouble = None
        self.commits += 1
        self.watch(time.perf_counter() - begun, results.rows)
        for job, result in zip(batch, results.all, strict=True):
            if not job.done.done():  # else its caller has gone away; it is on disk all the same
                job.done.set_result(result)
        return ()

    def _give_up(self, batch: Sequence[_Job], failed: _Failed) -> Sequence[_Job]:
        self.trouble = f"the outbox cannot be written: {_name(failed.cause)}"
        if failed.job is not None and _is_own(failed.cause):
            _fail(failed.job, UnitFailed(self.trouble), failed.cause)
            return [job for job in batch if job is not failed.job]
        # All at once: a wait for a locked file takes seconds, and each would wait by itself.
        for job in batch:
            _fail(job, OutboxUnavailable(self.trouble), failed.cause)
        return ()

    async def _scrub(self) -> None:
        if self._scrubs:
            self._scrubs = False
            with suppress(sqlite3.Error, ValueError):
                self._scrubs = await self._connection.run(_truncate)

    async def _checkpoint(self) -> None:
        """Copy the WAL into the database now and then, while the callers go on with their answers.

        SQLite by itself would do it within a commit, and whoever waits for that waits for this too.
        """
        self._since_checkpoint += 1
        if self._since_checkpoint >= _COMMITS_TO_CHECKPOINT:
            self._since_checkpoint = 0
            with suppress(sqlite3.Error, ValueError):  # the next commit will tell
                await self._connection.run(_checkpoint)


def _transact(
    batch: Sequence[_Job], is_there: Callable[[], str | None], connection: sqlite3.Connection
) -> _Done | _Failed:
    """Run a batch as one transaction; one unit must never end the only writer."""
    if lost := is_there():
        return _Failed(OutboxUnavailable(lost), None)
    running: _Job | None = None
    results: list[Any] = []
    before = connection.total_changes
    try:
        connection.execute("BEGIN IMMEDIATE")
        for running in batch:
            results.append(running.unit(connection))  # noqa: PERF401 - `running` tells which failed
        running = None
        connection.commit()
    except Exception as exc:  # noqa: BLE001 - see above
        with suppress(sqlite3.Error):  # nothing was begun, or SQLite has rolled back by itself
            connection.rollback()
        return _Failed(exc, running)
    for job, result in zip(batch, results, strict=True):
        if job.committed is not None:
            job.committed(result)
    return _Done(results, connection.total_changes - before)


def _checkpoint(connection: sqlite3.Connection) -> None:
    rows(connection, "PRAGMA wal_checkpoint(PASSIVE)")


def _truncate(connection: sqlite3.Connection) -> bool:
    """Empty the WAL; tell whether somebody is reading from it, so that it could not be."""
    [[busy, *_]] = rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    return bool(busy)


def _is_own(exc: Exception) -> bool:
    """Tell whether a unit failed by itself; a full disk and the like are everybody's trouble."""
    if type(exc) not in {sqlite3.OperationalError, sqlite3.DatabaseError}:
        return True
    return getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _name(exc: Exception) -> str:
    """Say what went wrong; only SQLite's sentences and ours are known to quote no data."""
    return str(exc) if isinstance(exc, sqlite3.Error | OutboxUnavailable) else type(exc).__name__


def _fail(job: _Job, failure: OutboxUnavailable, cause: Exception) -> None:
    if not job.done.done():
        failure.__cause__ = cause
        job.done.set_exception(failure)
