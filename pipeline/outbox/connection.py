"""aiosqlite's connection, on whose thread a whole transaction can be run in one trip.

A trip to the thread and back takes some 25 µs and two switches; a statement takes two. What runs
there in one piece also cannot be torn apart by whatever else happens in the loop.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import aiosqlite

_T = TypeVar("_T")


class Connected(Protocol):
    """A connection that is closed by leaving it."""

    async def __aenter__(self) -> Self:
        """Open it."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Call `work` with nothing else in between; ValueError when the connection is closed."""

    async def execute_fetchall(
        self, sql: str, parameters: Iterable[Any] | None = None
    ) -> Iterable[Any]:
        """Run one statement and fetch all of it."""


#: Makes a connection to a file or URI; the options are those of sqlite3.connect.
Connect = Callable[..., Connected]


class Connection(aiosqlite.Connection):
    """A connection to a file or URI; the options are those of sqlite3.connect."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(lambda: sqlite3.connect(path, **options), iter_chunk_size=64)

    async def __aenter__(self) -> Self:
        try:
            _ = await self
        except BaseException:
            # The thread has a last word for the loop, which must be there to hear it.
            await asyncio.to_thread(self._thread.join)
            raise
        return self

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Call `work` on the thread; ValueError when the connection is closed."""
        result: _T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


class InLoopConnection:
    """The same on the loop's own thread, for a loop that no thread can keep in step with its time.

    The loop stands still meanwhile, so this is for simulations, where nobody else waits.
    """

    def __init__(self, path: str, **options: Any) -> None:
        self._path = path
        self._options = options
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        self._connection = sqlite3.connect(self._path, **self._options)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Call `work` at once; ValueError when the connection is closed."""
        if self._connection is None:
            msg = "the connection is closed"
            raise ValueError(msg)
        return work(self._connection)

    async def execute_fetchall(
        self, sql: str, parameters: Iterable[Any] | None = None
    ) -> Sequence[Any]:
        """Run one statement and fetch all of it."""
        given = tuple(parameters or ())
        return await self.run(lambda connection: connection.execute(sql, given).fetchall())

    def cut(self) -> None:
        """Close it as a crash does: what is not committed is lost."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
