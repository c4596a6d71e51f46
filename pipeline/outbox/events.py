"""Events on their way, and what they teach."""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.model import Booking, Envelope, Event, EventState, Guest
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.subject import learn_subject
from pipeline.outbox.visits import learn_tickets
from pipeline.outbox.writer import Writer
from pipeline.plugin import VenueDetails

_COLUMNS = """id, source, origin, wary OR origin <> 'webhook', kind, action, occurred_at,
              received_at, booking, reference, attempts, first_failure_at, body, reason"""

_encode = msgspec.json.encode


class SqliteEvents:
    """What enrich asks of the outbox."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def claim(self, ids: Sequence[int], *, now: int, until: int) -> list[Event]:
        """Lease those of these events that wait and are due."""
        sql = f"""
            UPDATE event SET state = 'processing', due_at = ?, updated_at = ?
            WHERE id IN (SELECT value FROM json_each(?)) AND state = 'waiting' AND due_at <= ?
            RETURNING {_COLUMNS}
        """
        return await self._claim(sql, (until, now, _encode(ids).decode(), now))

    async def claim_due(self, source: str, *, now: int, until: int, limit: int) -> list[Event]:
        """Lease the events of a source that are due, the longest due first."""
        sql = f"""
            UPDATE event SET state = 'processing', due_at = ?, updated_at = ?
            WHERE id IN (SELECT id FROM event
                         WHERE source = ? AND state IN ('waiting', 'processing') AND due_at <= ?
                         ORDER BY due_at LIMIT ?)
            RETURNING {_COLUMNS}
        """
        return await self._claim(sql, (until, now, source, now, limit))

    async def _claim(self, sql: str, parameters: Sequence[object]) -> list[Event]:
        def unit(connection: sqlite3.Connection) -> list[Event]:
            return [_event(row) for row in rows(connection, sql, parameters)]

        return await self._writer.do(unit)

    async def next_due(self, source: str) -> int | None:
        """Tell when the next event of a source becomes due, or a lease ends."""
        row = await self._readers.row(
            """SELECT min(due_at) FROM event
               WHERE source = ? AND state IN ('waiting', 'processing')""",
            (source,),
        )
        return None if row is None else row[0]

    async def finish(self, event: int, state: EventState, reason: str | None, *, now: int) -> None:
        """End an event without deliveries."""
        await self._run(
            """UPDATE event SET state = ?, reason = ?, updated_at = ?
               WHERE id = ? AND state = 'processing'""",
            (state, reason, now, event),
        )

    async def give_back(
        self, event: int, *, due_at: int, reason: str | None, failed: bool, now: int
    ) -> None:
        """Let an event wait until `due_at`; `failed` counts an attempt of its own."""
        await self._run(
            """UPDATE event
               SET state = 'waiting', due_at = ?1, reason = ?2, updated_at = ?3,
                   attempts = attempts + ?4,
                   first_failure_at = CASE WHEN ?4 THEN coalesce(first_failure_at, ?3)
                                           ELSE first_failure_at END
               WHERE id = ?5 AND state = 'processing'""",
            (due_at, reason, now, int(failed), event),
        )

    async def file_anew(self, event: int, envelope: Envelope, *, now: int) -> None:
        """Note what an event is that could not be read when it came."""
        await self._run(
            """UPDATE event SET kind = ?, action = ?, occurred_at = ?, booking = ?, reference = ?,
                                updated_at = ?
               WHERE id = ?""",
            (
                envelope.kind,
                envelope.action,
                envelope.occurred_at,
                envelope.booking,
                envelope.reference,
                now,
                event,
            ),
        )

    async def rewrite(self, event: int, body: bytes | None) -> None:
        """Keep of a message what is in this body alone, or nothing."""
        await self._run("UPDATE event SET body = ? WHERE id = ?", (body, event))
        if body is None:
            self._writer.scrub()

    async def learn_booking(self, event: Event, booking: Booking) -> None:
        """Keep a booking's state, unless a newer one is known; and which tickets are of it."""
        doc = _encode(msgspec.structs.replace(booking, tickets=()))

        def unit(connection: sqlite3.Connection) -> None:
            about = (event.source, "booking", booking.id)
            learn_subject(connection, *about, as_of=event.as_of, doc=doc, event=event.id)
            learn_tickets(connection, event.source, booking, event.as_of)

        await self._writer.do(unit)

    async def learn_guest(self, source: str, guest: Guest, *, fetched_at: int) -> None:
        """Keep a guest's details, unless newer ones are known."""
        await self._learn(source, "guest", guest.customer, fetched_at, _encode(guest), None)

    async def lose_guest(self, source: str, customer: str, *, at: int) -> None:
        """Forget a guest whom the source does not know any more, once no opt-out is owed."""
        await self._run(
            """UPDATE subject SET doc = NULL, as_of = ?1
               WHERE source = ?2 AND kind = 'guest' AND key = ?3 AND as_of <= ?1
                 AND NOT EXISTS (
                     SELECT 1 FROM delivery
                     WHERE source = ?2 AND customer = ?3 AND kind = 'consent'
                       AND state IN ('waiting', 'sending', 'parked'))""",
            (at, source, customer),
        )

    async def learn_venue(self, source: str, details: VenueDetails, *, fetched_at: int) -> None:
        """Keep a venue's details."""
        await self._learn(source, "venue", "", fetched_at, _encode(details), None)

    async def _learn(
        self, source: str, kind: str, key: str, as_of: int, doc: bytes, event: int | None
    ) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            learn_subject(connection, source, kind, key, as_of=as_of, doc=doc, event=event)

        await self._writer.do(unit)

    async def _run(self, sql: str, parameters: Sequence[object]) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            rows(connection, sql, parameters)

        await self._writer.do(unit)


def _event(row: Sequence[object]) -> Event:
    # What follows its columns is read from its body.
    fields = dict(zip(Event.__struct_fields__, row, strict=False))
    given = {"body": fields["body"] or b"", "wary": bool(fields["wary"])}
    return msgspec.convert(fields | given, Event)
