"""Stores what arrives, many messages to one commit."""

import asyncio

import aiosqlite

from pipeline.errors import OutboxUnavailable
from pipeline.model import Arrival, Receipt
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer

#: Messages in one commit at most, so that its wait stays short.
_MOST_ROWS = 500

_INSERT = """
    INSERT INTO event (id, source, origin, key, kind, action, occurred_at, booking, reference,
                       state, reason, received_at, updated_at, due_at, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?12, ?13)
    ON CONFLICT (source, key) DO NOTHING
"""
_REPEAT = "UPDATE event SET duplicates = duplicates + 1 WHERE source = ? AND key = ?"


class _Load:
    """The arrivals that share a commit; it takes more until its transaction begins."""

    def __init__(self) -> None:
        self.rows: list[tuple[object, ...]] = []
        self.ids: list[int] = []
        self.waiting: list[asyncio.Future[Receipt]] = []
        self.open = True

    async def store(self, connection: aiosqlite.Connection) -> set[int]:
        """Insert all; give the ids that were taken, for a repetition's id stays unused."""
        self.open = False
        inserted = await connection.executemany(_INSERT, self.rows)
        if inserted.rowcount == len(self.rows):
            return set(self.ids)
        bounds = (self.ids[0], self.ids[-1])
        found = await rows(connection, "SELECT id FROM event WHERE id BETWEEN ? AND ?", bounds)
        taken = {row[0] for row in found}
        again = [(arrival[1], arrival[3]) for arrival in self.rows if arrival[0] not in taken]
        await connection.executemany(_REPEAT, again)
        return taken


class SqliteIntake:
    """Numbers the messages itself, so that one `executemany` stores them all."""

    def __init__(self, writer: Writer, last_id: int) -> None:
        self._writer = writer
        self._last_id = last_id
        self._load: _Load | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, arrival: Arrival) -> Receipt:
        """Store a message, or count its repetition."""
        load = self._load
        if load is None or not load.open or len(load.rows) >= _MOST_ROWS:
            load = self._load = _Load()
            self._hand_in(load)
        self._last_id += 1
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        load.ids.append(self._last_id)
        load.rows.append(_row(self._last_id, arrival))
        load.waiting.append(done)
        return await done

    def _hand_in(self, load: _Load) -> None:
        task = asyncio.create_task(self._commit(load), name="intake commit")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _commit(self, load: _Load) -> None:
        try:
            taken = await self._writer.do(load.store)
        except OutboxUnavailable as exc:
            for done in load.waiting:
                if not done.done():
                    done.set_exception(exc)
            return
        for number, done in zip(load.ids, load.waiting, strict=True):
            if not done.done():
                done.set_result(Receipt(event=number, duplicate=number not in taken))


def _row(number: int, arrival: Arrival) -> tuple[object, ...]:
    return (
        number,
        arrival.source,
        arrival.origin,
        arrival.key,
        arrival.kind,
        arrival.action,
        arrival.occurred_at,
        arrival.booking,
        arrival.reference,
        arrival.state,
        arrival.reason,
        arrival.received_at,
        arrival.body,
    )
