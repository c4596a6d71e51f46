"""The outbox in one SQLite file."""

import asyncio
import functools
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from pipeline.errors import OutboxError, OutboxUnavailable
from pipeline.model import Product
from pipeline.outbox import (
    Deliveries,
    Events,
    Facts,
    Intake,
    KnownWebhooks,
    Ledger,
    Note,
    Noted,
    Overview,
    People,
    Products,
    Records,
    Repair,
    Runs,
    Sweeps,
    Times,
    Unconfigured,
    Visits,
    Webhooks,
)
from pipeline.outbox.connection import Connect, Connection
from pipeline.outbox.deliveries import SqliteDeliveries, end_all_leases
from pipeline.outbox.events import SqliteEvents
from pipeline.outbox.facts import SqliteFacts
from pipeline.outbox.file import (
    MIGRATIONS,
    Footprint,
    Readers,
    instance_lock,
    reading,
    require_current,
    require_outbox,
    writing,
)
from pipeline.outbox.intake import SqliteIntake
from pipeline.outbox.keys import KnownKeys, known_keys
from pipeline.outbox.ledger import SqliteLedger
from pipeline.outbox.noted import SqliteNoted, all_notes
from pipeline.outbox.overview import SqliteOverview
from pipeline.outbox.people import SqlitePeople
from pipeline.outbox.products import SqliteProducts, known_products
from pipeline.outbox.query import rows
from pipeline.outbox.records import SqliteRecords
from pipeline.outbox.repair import SqliteRepair
from pipeline.outbox.sweeps import SqliteRuns, SqliteSweeps
from pipeline.outbox.times import SqliteTimes
from pipeline.outbox.visits import SqliteVisits
from pipeline.outbox.webhooks import SqliteWebhooks, known_webhooks
from pipeline.outbox.writer import Writer
from pipeline.seal import Seal

#: Rows whose payload is dropped in one transaction, so that webhooks do not wait for it.
_SHED_AT_ONCE = 500


_SHED_EVENTS = """
    UPDATE event SET body = NULL
    WHERE id IN (SELECT id FROM event
                 WHERE body IS NOT NULL AND state IN ('done', 'ignored') AND updated_at < ?1
                 LIMIT ?2)
    RETURNING id
"""
_SHED_TICKETS = """
    DELETE FROM ticket
    WHERE (source, ticket) IN (SELECT source, ticket FROM ticket WHERE at < ?1 LIMIT ?2)
    RETURNING ticket
"""
#: Neither while a delivery is open, nor while the event that brought it is not finished. Two
#: statements, for no index serves an OR of a booking's and a guest's key.
_SHED_SUBJECTS = """
    UPDATE subject SET doc = NULL
    WHERE id IN (SELECT id FROM subject AS s
                 WHERE doc IS NOT NULL AND kind = '{kind}' AND as_of < ?1
                   AND NOT EXISTS (
                       SELECT 1 FROM event AS e
                       WHERE e.id = s.event
                         AND (e.state IN ('waiting', 'processing', 'parked') OR e.updated_at >= ?1))
                   AND NOT EXISTS (
                       SELECT 1 FROM delivery AS d
                       WHERE d.source = s.source AND d.{key} = s.key
                         AND d.state IN ('waiting', 'sending', 'parked'))
                 LIMIT ?2)
    RETURNING id
"""
_SHED_BOOKINGS = _SHED_SUBJECTS.format(kind="booking", key="booking")
_SHED_GUESTS = _SHED_SUBJECTS.format(kind="guest", key="customer")
#: The newest stay however old they seem: a wall clock that was set ahead must not empty the ledger.
_OLDER_ATTEMPTS = """
    SELECT destination,
           (SELECT id FROM attempt
            WHERE attempt.destination = allowance.destination AND ended_at < ?1
            LIMIT 1),
           requests
    FROM allowance
"""
_NEWEST_ATTEMPTS = """
    SELECT id FROM attempt WHERE destination = ? ORDER BY id DESC LIMIT 1 OFFSET ?
"""
_SHED_ATTEMPTS = """
    DELETE FROM attempt
    WHERE id IN (SELECT id FROM attempt
                 WHERE destination = ?3 AND ended_at < ?1 AND id <= ?4
                 LIMIT ?2)
    RETURNING id
"""


class _Found(Struct, frozen=True, kw_only=True):
    """What an outbox that is opened holds for all of its parts."""

    seal: Seal
    known: KnownKeys
    restored_at: int | None


class SqliteOutbox:
    """The parts of the outbox, on one writer and a few readers."""

    intake: Intake
    events: Events
    facts: Facts
    visits: Visits
    people: People
    deliveries: Deliveries
    ledger: Ledger
    overview: Overview
    records: Records
    repair: Repair
    sweeps: Sweeps
    times: Times
    products: Products
    noted: Noted
    webhooks: Webhooks

    def __init__(self, writer: Writer, readers: Readers, found: _Found) -> None:
        self.seal = found.seal
        self.restored_at = found.restored_at
        self._writer = writer
        self._readers = readers
        self._proven = 0
        self.intake = SqliteIntake(writer, found.known)
        self.events = SqliteEvents(writer, readers)
        self.facts = SqliteFacts(readers)
        self.visits = SqliteVisits(writer, readers)
        self.people = SqlitePeople(writer, readers)
        self.deliveries = SqliteDeliveries(writer, readers)
        self.ledger = SqliteLedger(writer, readers)
        self.overview = SqliteOverview(readers)
        self.records = SqliteRecords(readers)
        self.repair = SqliteRepair(writer)
        self.sweeps = SqliteSweeps(writer, readers)
        self.times = SqliteTimes(writer, readers)
        self.products = SqliteProducts(writer, readers)
        self.noted = SqliteNoted(writer, readers)
        self.webhooks = SqliteWebhooks(writer, readers)

    def watch(self, committed: Callable[[float, int], None]) -> None:
        """Have `committed` called for each transaction, with its seconds and its rows."""
        self._writer.watch = committed

    @property
    def trouble(self) -> str | None:
        """Why nothing could be written or read when it was last tried; None when it could."""
        return self._writer.trouble or self._readers.trouble

    async def prove(self) -> None:
        """Write something, unless something was written since this was last asked."""
        if self._writer.commits == self._proven or self._writer.trouble:
            await self._writer.do(_stamp)
        self._proven = self._writer.commits

    async def recover(self, *, now: int) -> None:
        """Give back at once what a predecessor had claimed."""

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                """UPDATE event SET state = 'waiting', due_at = ?1, updated_at = ?1
                   WHERE state = 'processing'""",
                (now,),
            )
            end_all_leases(connection, now)
            # Its slot is taken until then; see `Budget.restore`.
            rows(
                connection,
                """UPDATE attempt
                   SET outcome = 'unknown', note = 'the daemon ended before the answer',
                       ended_at = started_at + timeout_us, ended_boot = started_boot + timeout_us
                   WHERE outcome = 'open'""",
            )

        await self._writer.do(unit)

    async def park_unconfigured(
        self, sources: Collection[str], pairs: Collection[tuple[str, str]], *, now: int
    ) -> Unconfigured:
        """Park what waits for what is configured no more."""

        def unit(connection: sqlite3.Connection) -> Unconfigured:
            events = rows(
                connection,
                """UPDATE event SET state = 'parked', reason = 'not configured', updated_at = ?1
                   WHERE source IN (SELECT owner FROM counter WHERE what = 'event'
                                    EXCEPT SELECT value FROM json_each(?2))
                     AND state IN ('waiting', 'processing') AND state = 'waiting'
                   RETURNING id""",
                (now, _json(list(sources))),
            )
            deliveries = rows(
                connection,
                """UPDATE delivery SET state = 'parked', reason = 'not configured', updated_at = ?1,
                                       begun_at = NULL
                   WHERE state = 'waiting' AND destination || ' ' || source NOT IN
                         (SELECT value FROM json_each(?2))
                   RETURNING id""",
                (now, _json([" ".join(pair) for pair in pairs])),
            )
            return Unconfigured(
                events=[row[0] for row in events], deliveries=[row[0] for row in deliveries]
            )

        return await self._writer.do(unit)

    async def shed(self, *, before: int, attempts_before: int) -> None:
        """Drop the payloads of work that was finished before then, some at a time.

        It writes in any case, so that it also shows whether the outbox can be written.
        """
        await self._writer.do(_stamp)
        for sql, stamp in (
            (_SHED_EVENTS, before),
            (_SHED_BOOKINGS, before),
            (_SHED_GUESTS, before),
            (_SHED_TICKETS, before),
        ):
            while await self._shed(sql, stamp) == _SHED_AT_ONCE:
                continue
        await self._shed_attempts(min(before, attempts_before))

    async def _shed_attempts(self, before: int) -> None:
        for destination, old, requests in await self._readers.rows(_OLDER_ATTEMPTS, (before,)):
            if old is None:
                continue
            # As many as a start reads back.
            kept = await self._readers.row(_NEWEST_ATTEMPTS, (destination, 2 * requests))
            if kept is None:
                continue
            while await self._shed(_SHED_ATTEMPTS, before, destination, kept[0]) == _SHED_AT_ONCE:
                continue

    async def _shed(self, sql: str, before: int, *more: object) -> int:
        def unit(connection: sqlite3.Connection) -> int:
            return len(rows(connection, sql, (before, _SHED_AT_ONCE, *more)))

        return await self._writer.do(unit)


def _json(texts: list[str]) -> str:
    return msgspec.json.encode(texts).decode()


def _stamp(connection: sqlite3.Connection) -> None:
    """Write something that is never the same, for a write that changes nothing proves nothing."""
    rows(
        connection,
        """INSERT INTO meta (name, value) VALUES ('stamp', ?)
           ON CONFLICT DO UPDATE SET value = excluded.value""",
        (secrets.token_bytes(8),),
    )


@asynccontextmanager
async def open_outbox(
    path: Path, *, create: bool = True, connect: Connect = Connection
) -> AsyncIterator[SqliteOutbox]:
    """Lock, migrate and open the outbox at `path`; leaving closes it, writing what is handed in.

    `connect` is InLoopConnection on a loop with a time of its own.

    Raises OutboxBusy, OutboxTooNew or OutboxError, with a sentence that says what to do; and
    OutboxMissing where there is none and none is to be created.
    """
    if not create:
        require_outbox(path)
    with instance_lock(path):
        async with (
            writing(path, connect, migrations=MIGRATIONS) as connection,
            reading(path, connect=connect) as readers,
        ):
            writer = Writer(connection)
            task = asyncio.create_task(writer.run(), name="outbox writer")
            try:
                found = await writer.do(_look_in)
                writer.is_there = Footprint(path).is_there
                yield SqliteOutbox(writer, readers, found)
            finally:
                writer.stop()
                await task


@asynccontextmanager
async def open_ledger(path: Path) -> AsyncIterator[Ledger]:
    """Open nothing but the ledger of an outbox that no daemon runs on.

    Nothing is made or migrated. Raises OutboxBusy when a daemon does run, and OutboxError for a
    file of another version.
    """
    async with _alone(path) as (writer, readers):
        yield SqliteLedger(writer, readers)


@asynccontextmanager
async def open_noted(path: Path) -> AsyncIterator[Noted]:
    """Open nothing but what is counted of the sources; see `open_ledger`."""
    async with _alone(path) as (writer, readers):
        yield SqliteNoted(writer, readers)


@asynccontextmanager
async def open_webhooks(path: Path) -> AsyncIterator[Webhooks]:
    """Open nothing but what is known of the webhooks; see `open_ledger`."""
    async with _alone(path) as (writer, readers):
        yield SqliteWebhooks(writer, readers)


@asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[tuple[Writer, Readers]]:
    with instance_lock(path):
        require_current(path)
        async with writing(path) as connection, reading(path, 1) as readers:
            writer = Writer(connection)
            task = asyncio.create_task(writer.run(), name="outbox writer")
            try:
                yield writer, readers
            finally:
                writer.stop()
                await task


class Glance(Struct, frozen=True):
    """What can be read of an outbox that nobody need run on."""

    overview: Overview
    records: Records
    facts: Facts
    products: Callable[[str], Awaitable[Mapping[str, Product]]]
    noted: Callable[[], Awaitable[list[Note]]]
    runs: Runs
    webhooks: Callable[[str], Awaitable[KnownWebhooks]]


@asynccontextmanager
async def read_outbox(path: Path) -> AsyncIterator[Glance]:
    """Read an outbox; nothing is locked or changed.

    Raises OutboxMissing where there is none yet, and OutboxError when it is of another version or
    cannot be read.
    """
    require_current(path)
    try:
        async with reading(path, 1) as readers:
            yield Glance(
                SqliteOverview(readers),
                SqliteRecords(readers),
                SqliteFacts(readers),
                functools.partial(known_products, readers),
                functools.partial(all_notes, readers),
                SqliteRuns(readers),
                functools.partial(known_webhooks, readers),
            )
    except OutboxUnavailable as exc:
        raise OutboxError(f"{path}: {exc}") from exc


def _look_in(connection: sqlite3.Connection) -> _Found:
    """Read what a predecessor left; a new file gets its seal."""
    rows(
        connection,
        "INSERT INTO meta (name, value) VALUES ('seal', ?) ON CONFLICT DO NOTHING",
        (secrets.token_bytes(32),),
    )
    meta = dict(rows(connection, "SELECT name, value FROM meta"))
    return _Found(
        seal=Seal(bytes(meta["seal"])),
        known=known_keys(connection),
        restored_at=int(meta["restored_at"]) if "restored_at" in meta else None,
    )
