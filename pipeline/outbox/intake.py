"""Stores what arrives, many messages to one commit."""

import asyncio
import functools
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain

from pipeline.errors import OutboxUnavailable
from pipeline.model import Arrival, Origin, Receipt
from pipeline.outbox.keys import Key, KnownKeys
from pipeline.outbox.query import rows
from pipeline.outbox.webhooks import hear
from pipeline.outbox.writer import UnitFailed, Writer

#: Rows of the largest statement. There is one for each number of rows up to this, and each is
#: prepared once: `file.writing` keeps room for them.
_LARGEST = 64

_WEBHOOK = Origin.WEBHOOK.value

_REPEAT = "UPDATE event SET duplicates = duplicates + 1 WHERE id = ?"

#: Not a trigger, as for every other change of a state: one for each row that is stored would cost
#: more than its indexes do.
_COUNT = """
    INSERT INTO counter (what, owner, state, n) VALUES ('event', ?, ?, ?)
    ON CONFLICT DO UPDATE SET n = n + excluded.n
"""

#: A row of the table, in the order of `_statement`: id, source, key, state, origin; 11 is when it
#: was received.
_Row = tuple[int, str, str, str, str, str, str, int | None, str | None, str | None, str | None, int,
             int, int, bytes]  # fmt: skip


class _Load:
    """The arrivals that share a commit; it takes more until its transaction begins."""

    def __init__(self, known: KnownKeys) -> None:
        self.keys: list[Key] = []
        self.rows: list[_Row] = []
        self.waiting: list[asyncio.Future[Receipt]] = []
        self.open = True
        self._known = known
        self._indexed: Collection[Key] = ()

    def add(self, row: _Row, waiting: asyncio.Future[Receipt]) -> None:
        """Let a message share the commit."""
        self.keys.append(row[1:3])
        self.rows.append(row)
        self.waiting.append(waiting)

    def close(self) -> None:
        """Take no more: its transaction begins."""
        self.open = False

    def store(self, connection: sqlite3.Connection) -> list[int]:
        """Insert what is new, count what is not; give each message's event."""
        known = self._known.find(connection, self.keys)
        events = [known.setdefault(*pair) for pair in zip(self.keys, self._ids(), strict=True)]
        mine = list(zip(self.rows, events, strict=True))
        _insert(connection, [row for row, event in mine if row[0] == event])
        for event in [event for row, event in mine if row[0] != event]:
            rows(connection, _REPEAT, (event,))
        for source, at in self._heard().items():
            hear(connection, source, at)
        self._indexed = self._known.tidy(connection)
        return events

    def committed(self, events: Sequence[int]) -> None:
        """Let what is on disk now be known."""
        self._known.add(dict(zip(self.keys, events, strict=True)))
        self._known.drop(self._indexed)

    def stored(self, events: Sequence[int]) -> None:
        """Tell those who wait that these are on disk."""
        for event, number, waiting in zip(events, self._ids(), self.waiting, strict=True):
            if not waiting.done():  # else its caller has gone away; the row is there all the same
                waiting.set_result(Receipt(event=event, duplicate=event != number))

    def failed(self, failure: BaseException) -> None:
        """Tell those who wait that nothing was stored."""
        for waiting in self.waiting:
            if not waiting.done():
                waiting.set_exception(failure)

    def _heard(self) -> dict[str, int]:
        """Tell when each source's newest webhook came, a repetition too."""
        return {row[1]: row[11] for row in self.rows if row[4] == _WEBHOOK}

    def _ids(self) -> list[int]:
        return [row[0] for row in self.rows]


class SqliteIntake:
    """Numbers the messages itself, so that one statement stores many."""

    def __init__(self, writer: Writer, known: KnownKeys) -> None:
        self._writer = writer
        self._known = known
        self._last_id = known.newest
        self._load: _Load | None = None

    def accept(self, arrival: Arrival) -> asyncio.Future[Receipt]:
        """Store a message, or count its repetition."""
        row = _row(self._last_id + 1, arrival)
        load = self._load
        if load is None or not load.open:
            load = self._load = self._hand_in()
        else:
            self._writer.joined()
        self._last_id += 1
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        load.add(row, done)
        return done

    def _hand_in(self) -> _Load:
        load = _Load(self._known)
        done = self._writer.submit(load.store, begins=load.close, committed=load.committed)
        done.add_done_callback(lambda done: self._stored(load, done))
        return load

    def _stored(self, load: _Load, done: asyncio.Future[list[int]]) -> None:
        failure = done.exception()
        if failure is None:
            load.stored(done.result())
        elif isinstance(failure, UnitFailed) and len(load.rows) > 1:
            self._store_singly(load)
        else:
            load.failed(failure)

    def _store_singly(self, load: _Load) -> None:
        """Let a message that cannot be stored keep no other from the disk."""
        # Numbers follow the order of writing, which `KnownKeys` relies on: what comes now, or is
        # being collected, comes after these.
        if self._load is not None:
            self._load.open = False
        for row, waiting in zip(load.rows, load.waiting, strict=True):
            try:
                alone = self._hand_in()
            except OutboxUnavailable as exc:
                if not waiting.done():
                    waiting.set_exception(exc)
            else:
                self._last_id += 1
                alone.add((self._last_id, *row[1:]), waiting)


def _insert(connection: sqlite3.Connection, new: Sequence[_Row]) -> None:
    for start in range(0, len(new), _LARGEST):
        part = new[start : start + _LARGEST]
        rows(connection, _statement(len(part)), list(chain.from_iterable(part)))
    for (source, state), n in Counter([(row[1], row[3]) for row in new]).items():
        rows(connection, _COUNT, (source, state, n))


@functools.cache
def _statement(count: int) -> str:
    """Make the statement that stores so many rows.

    One statement and not one for each row, for around each the thread gives the interpreter up
    and waits to have it back.
    """
    return f"""
        INSERT INTO event (id, source, key, state, origin, kind, action, occurred_at, booking,
                           reference, reason, received_at, updated_at, due_at, body)
        VALUES {", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * count)}
    """


def _row(number: int, arrival: Arrival) -> _Row:
    # The words are text and not members of enums, each of which sqlite3 would look up an adapter
    # for; taken from where `value`, which is a function in Python, takes them too.
    return (
        number,
        arrival.source,
        arrival.key,
        arrival.state._value_,
        arrival.origin._value_,
        arrival.kind._value_,
        arrival.action._value_,
        arrival.occurred_at,
        arrival.booking,
        arrival.reference,
        arrival.reason,
        arrival.received_at,
        arrival.received_at,
        arrival.received_at,
        arrival.body,
    )
