"""The one writer: every change goes through one connection, many to one fsync.

Callers hand in a unit of work and wait; whatever has gathered while the previous commit was on its
way to the disk becomes the next transaction. One connection, because SQLite before 3.51.3 can lose
committed rows when two of them write and checkpoint in WAL mode, and because on a shared one a
task's rollback takes another's rows with it.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiosqlite

from pipeline.errors import OutboxUnavailable

_T = TypeVar("_T")

#: A piece of a transaction: it awaits nothing but the connection, and may be run again after a
#: rollback.
Unit = Callable[[aiosqlite.Connection], Awaitable[_T]]

_Job = tuple[Unit[Any], asyncio.Future[Any]]

#: Units in one transaction at most, so that a commit's wait stays short.
_MOST_UNITS = 256


class UnitFailed(OutboxUnavailable):
    """A unit failed by itself: the outbox takes others."""


class Writer:
    """Runs units of work in group commits; `run` is its task."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._waiting: list[_Job] = []
        self._wake = asyncio.Event()
        self._closed = False
        #: Why the last transaction failed; None when it did not.
        self.trouble: str | None = None

    def submit(self, unit: Unit[_T]) -> asyncio.Future[_T]:
        """Hand a unit in; its result is there once it is on disk.

        The future ends in OutboxUnavailable when it could not be written (disk full, file gone):
        then nothing of it is stored. Raises it at once when the outbox is closed.
        """
        if self._closed:
            msg = "the outbox is closed"
            raise OutboxUnavailable(msg)
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, done))
        self._wake.set()
        return done

    async def do(self, unit: Unit[_T]) -> _T:
        """Run a unit and give its result once it is on disk; see `submit`."""
        return await self.submit(unit)

    async def run(self) -> None:
        """Commit what is handed in, until `stop`; then what is left, and end."""
        while self._waiting or not self._closed:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._waiting = self._waiting[:_MOST_UNITS], self._waiting[_MOST_UNITS:]
            while batch:
                batch = await self._commit(batch)

    def stop(self) -> None:
        """Take no more units; `run` ends when all are written."""
        self._closed = True
        self._wake.set()

    async def _commit(self, batch: list[_Job]) -> list[_Job]:
        """Write a batch; give those to be written anew because one among them failed by itself."""
        results: list[Any] = []
        running: _Job | None = None
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            for running in batch:
                results.append(await running[0](self._connection))  # noqa: PERF401 - see below
            running = None
            await self._connection.commit()
        except Exception as exc:  # noqa: BLE001 - one unit must never end the only writer
            await self._roll_back()
            self.trouble = f"the outbox cannot be written: {_name(exc)}"
            if running is not None and _is_own(exc):
                _fail(running, UnitFailed(self.trouble), exc)
                return [job for job in batch if job is not running]
            # All at once: a wait for a locked file takes seconds, and each would wait by itself.
            for job in batch:
                _fail(job, OutboxUnavailable(self.trouble), exc)
            return []
        self.trouble = None
        for (_, done), result in zip(batch, results, strict=True):
            if not done.done():  # else its caller has gone away; the row is on disk all the same
                done.set_result(result)
        return []

    async def _roll_back(self) -> None:
        try:
            await self._connection.rollback()
        except (sqlite3.Error, ValueError):
            return  # nothing was begun, or the connection is gone: the next BEGIN will tell


def _is_own(exc: Exception) -> bool:
    """Tell whether a unit failed by itself; a full disk and the like are everybody's trouble."""
    if type(exc) not in {sqlite3.OperationalError, sqlite3.DatabaseError}:
        return True
    return getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _name(exc: Exception) -> str:
    """Say what went wrong; only SQLite's own sentences are known to quote no data."""
    return str(exc) if isinstance(exc, sqlite3.Error) else type(exc).__name__


def _fail(job: _Job, failure: OutboxUnavailable, cause: Exception) -> None:
    done = job[1]
    if not done.done():
        failure.__cause__ = cause
        done.set_exception(failure)
