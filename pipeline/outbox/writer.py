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

#: Units in one transaction at most, so that a commit's wait stays short.
_MOST_UNITS = 256


class Writer:
    """Runs units of work in group commits; `run` is its task."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Unit[Any], asyncio.Future[Any]]] = []
        self._wake = asyncio.Event()
        self._closed = False
        #: Why the last commit failed; None when it did not.
        self.trouble: str | None = None

    async def do(self, unit: Unit[_T]) -> _T:
        """Run a unit and give its result once it is on disk.

        Raises OutboxUnavailable when it could not be written (disk full, file gone, closed): then
        nothing of it is stored.
        """
        if self._closed:
            msg = "the outbox is closed"
            raise OutboxUnavailable(msg)
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Commit what is handed in, until `stop`; then what is left, and end."""
        while self._waiting or not self._closed:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._waiting = self._waiting[:_MOST_UNITS], self._waiting[_MOST_UNITS:]
            if not await self._commit(batch):
                # One unit must not take the others with it: each by itself then.
                for alone in batch:
                    await self._commit([alone], last=True)

    def stop(self) -> None:
        """Take no more units; `run` ends when all are written."""
        self._closed = True
        self._wake.set()

    async def _commit(
        self, batch: list[tuple[Unit[Any], asyncio.Future[Any]]], *, last: bool = False
    ) -> bool:
        results: list[Any] = []
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            for unit, _ in batch:
                results.append(await unit(self._connection))
            await self._connection.commit()
        except Exception as exc:  # noqa: BLE001 - one unit must never end the only writer
            await self._roll_back()
            if not last:
                return False
            self.trouble = f"the outbox cannot be written: {exc}"
            failure = OutboxUnavailable(self.trouble)
            failure.__cause__ = exc
            _settle(batch[0][1], failure=failure)
            return True
        self.trouble = None
        for (_, done), result in zip(batch, results, strict=True):
            _settle(done, result)
        return True

    async def _roll_back(self) -> None:
        try:
            await self._connection.rollback()
        except (sqlite3.Error, ValueError):
            return  # nothing was begun, or the connection is gone: the next BEGIN will tell


def _settle(
    done: asyncio.Future[Any], result: Any = None, *, failure: Exception | None = None
) -> None:
    if done.done():  # its caller has gone away; the row is on disk all the same
        return
    if failure:
        done.set_exception(failure)
    else:
        done.set_result(result)
