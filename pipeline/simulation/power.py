"""An outbox's connections that can lose their power, at any statement."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

from pipeline.outbox.connection import Connected, InLoopConnection

_T = TypeVar("_T")

_GONE = "the power is gone"


class Power:
    """Whether the machine that the connections belong to has power."""

    def __init__(self) -> None:
        #: Set when it is cut.
        self.gone = asyncio.Event()
        self._connection: InLoopConnection | None = None
        self._uses_left: int | None = None
        self._after = False

    def connect(self, path: str, **options: Any) -> Connected:
        """Make a connection that ends with the power; all but the first only share it.

        That saves the locking between them, half of the time of a simulation: what runs at once
        finds no other's transaction open.
        """
        if self._connection is None:
            self._connection = _Powered(self, path, **options)
            return self._connection
        return _Shared(self._connection)

    async def hurry(self) -> None:
        """Save the time of flushing to the disk: what crashes is not this machine."""
        assert self._connection is not None  # noqa: S101 - the outbox is open
        for pragma in ("synchronous = OFF", "locking_mode = EXCLUSIVE"):
            _ = await self._connection.execute_fetchall(f"PRAGMA {pragma}")

    async def rows(self, sql: str) -> Sequence[Any]:
        """Look into the file; this is no use of the disk. ValueError without power."""
        if self._connection is None:
            raise ValueError(_GONE)
        return await InLoopConnection.run(
            self._connection, lambda connection: connection.execute(sql).fetchall()
        )

    def cut_in(self, uses: int, *, after: bool) -> None:
        """Cut it at the so-maniest next use of a connection: before its work, or after.

        After a commit, what is written stays, and nobody has heard of it.
        """
        self._uses_left, self._after = uses, after

    def cut(self) -> None:
        """Cut it now."""
        if self._connection is not None:
            self._connection.cut()
        self.gone.set()

    def use(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work on a connection, if the power lasts."""
        if self._uses_left is not None:
            self._uses_left -= 1
        if self._uses_left == 0 and not self._after:
            self.cut()
            raise ValueError(_GONE)
        done = work()
        if self._uses_left == 0:
            self.cut()
            raise ValueError(_GONE)
        return done


class _Powered(InLoopConnection):
    def __init__(self, power: Power, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self._power = power

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._connection is None:
            return await super().run(work)
        connection = self._connection
        return self._power.use(lambda: work(connection))


class _Shared:
    def __init__(self, shared: InLoopConnection) -> None:
        self._shared = shared

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """It is closed by whom it was opened for."""

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return await self._shared.run(work)

    async def execute_fetchall(
        self, sql: str, parameters: Iterable[Any] | None = None
    ) -> Iterable[Any]:
        return await self._shared.execute_fetchall(sql, parameters)
