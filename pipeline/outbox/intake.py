"""Stores what arrives, many messages to one commit."""

import asyncio
import functools
from collections import Counter

import aiosqlite

from pipeline.errors import OutboxUnavailable
from pipeline.model import Arrival, Receipt
from pipeline.outbox.query import rows
from pipeline.outbox.writer import UnitFailed, Writer

#: Messages in one commit at most, so that its wait stays short.
_MOST_ROWS = 512

#: Rows of the largest statement. There is one for each number of rows up to this, and each is
#: prepared once: `file.writing` keeps room for them.
_LARGEST = 64

_REPEAT = "UPDATE event SET duplicates = duplicates + 1 WHERE source = ? AND key = ? RETURNING id"

#: Not a trigger, as for every other change of a state: one for each row that is stored would cost
#: more than its indexes do.
_COUNT = """
    INSERT INTO counter (what, owner, state, n) VALUES ('event', ?, ?, ?)
    ON CONFLICT DO UPDATE SET n = n + excluded.n
"""

#: A row of the table, in the order of `_insert`; the first three are id, source and key.
_Row = tuple[int, str, str, str, str, str, str, int | None, str | None, str | None, str | None, int,
             int, int, bytes]  # fmt: skip


class _Load:
    """The arrivals that share a commit; it takes more until its transaction begins."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self.waiting: list[asyncio.Future[Receipt]] = []
        self.open = True

    async def store(self, connection: aiosqlite.Connection) -> list[Receipt]:
        """Insert all; give their receipts in order."""
        self.open = False
        taken: set[int] = set()
        for start in range(0, len(self.rows), _LARGEST):
            part = self.rows[start : start + _LARGEST]
            values = [value for row in part for value in row]
            taken.update(row[0] for row in await rows(connection, _insert(len(part)), values))
        counts = Counter((row[1], row[3]) for row in self.rows if row[0] in taken)
        for (source, state), n in counts.items():
            await rows(connection, _COUNT, (source, state, n))
        return [
            Receipt(event=row[0], duplicate=False)
            if row[0] in taken
            else await _repeat(connection, row)
            for row in self.rows
        ]


class SqliteIntake:
    """Numbers the messages itself, so that one statement stores many."""

    def __init__(self, writer: Writer, last_id: int) -> None:
        self._writer = writer
        self._last_id = last_id
        self._load: _Load | None = None

    async def accept(self, arrival: Arrival) -> Receipt:
        """Store a message, or count its repetition."""
        load = self._load
        if load is None or not load.open or len(load.rows) >= _MOST_ROWS:
            load = self._load = self._hand_in()
        self._last_id += 1
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        load.rows.append(_row(self._last_id, arrival))
        load.waiting.append(done)
        return await done

    def _hand_in(self) -> _Load:
        load = _Load()
        self._writer.submit(load.store).add_done_callback(lambda done: self._stored(load, done))
        return load

    def _stored(self, load: _Load, done: asyncio.Future[list[Receipt]]) -> None:
        # A transaction that could not begin has not closed it, and no other will come for it.
        load.open = False
        failure = done.exception()
        if isinstance(failure, UnitFailed) and len(load.rows) > 1:
            self._store_singly(load)
            return
        for number, waiting in enumerate(load.waiting):
            if waiting.done():  # its caller has gone away; the row is on disk all the same
                continue
            if failure is not None:
                waiting.set_exception(failure)
            else:
                waiting.set_result(done.result()[number])

    def _store_singly(self, load: _Load) -> None:
        """Let a message that cannot be stored keep no other from the disk."""
        for row, waiting in zip(load.rows, load.waiting, strict=True):
            try:
                alone = self._hand_in()
            except OutboxUnavailable as exc:
                if not waiting.done():
                    waiting.set_exception(exc)
            else:
                alone.rows.append(row)
                alone.waiting.append(waiting)


async def _repeat(connection: aiosqlite.Connection, row: _Row) -> Receipt:
    [[event]] = await rows(connection, _REPEAT, row[1:3])
    return Receipt(event=event, duplicate=True)


@functools.cache
def _insert(count: int) -> str:
    """Make the statement that stores so many rows.

    One statement and not one for each row, for around each the thread gives the interpreter up
    and waits to have it back.
    """
    return f"""
        INSERT INTO event (id, source, key, state, origin, kind, action, occurred_at, booking,
                           reference, reason, received_at, updated_at, due_at, body)
        VALUES {", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * count)}
        ON CONFLICT (source, key) DO NOTHING RETURNING id
    """


def _row(number: int, arrival: Arrival) -> _Row:
    # The words are text and not members of enums, each of which sqlite3 would look up an adapter
    # for.
    return (
        number,
        arrival.source,
        arrival.key,
        arrival.state.value,
        arrival.origin.value,
        arrival.kind.value,
        arrival.action.value,
        arrival.occurred_at,
        arrival.booking,
        arrival.reference,
        arrival.reason,
        arrival.received_at,
        arrival.received_at,
        arrival.received_at,
        arrival.body,
    )
