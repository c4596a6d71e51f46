"""Who came to which booking: tickets, and that they were redeemed."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time

import msgspec

from pipeline.clock import SECOND, micros
from pipeline.model import Booking, DeliveryKind, Event
from pipeline.outbox import VisitDue
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer

_DAY = 86_400 * SECOND


class SqliteVisits:
    """What enrich asks of visits."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def of_tickets(self, source: str, tickets: Sequence[str]) -> Mapping[str, str]:
        """Tell which bookings these tickets are of, as far as is known."""
        found = await self._readers.rows(
            """SELECT ticket.ticket, ticket.booking
               FROM json_each(?2) AS wanted
               CROSS JOIN ticket ON ticket.source = ?1 AND ticket.ticket = wanted.value""",
            (source, msgspec.json.encode(list(tickets)).decode()),
        )
        return dict(found)

    async def learn(self, source: str, booking: str, *, at: int, event: int) -> None:
        """Keep that somebody came to a booking; the first time is kept."""

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                """INSERT INTO subject (source, kind, key, as_of, event)
                   VALUES (?, 'visit', ?, ?, ?)
                   ON CONFLICT (source, kind, key) DO UPDATE SET as_of = excluded.as_of
                   WHERE excluded.as_of < subject.as_of""",
                (source, booking, at, event),
            )

        await self._writer.do(unit)

    async def learn_booking(self, event: Event, booking: Booking, *, as_of: int) -> None:
        """Keep a booking that is not known, or not any more."""
        doc = msgspec.json.encode(msgspec.structs.replace(booking, tickets=()))

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                """INSERT INTO subject (source, kind, key, as_of, event, doc)
                   VALUES (?, 'booking', ?, ?, ?, ?)
                   ON CONFLICT (source, kind, key) DO UPDATE
                   SET doc = excluded.doc, event = excluded.event WHERE subject.doc IS NULL""",
                (event.source, booking.id, as_of, event.id, doc.decode()),
            )
            learn_tickets(connection, event.source, booking, as_of)

        await self._writer.do(unit)


def learn_tickets(
    connection: sqlite3.Connection, source: str, booking: Booking, as_of: int
) -> None:
    """Keep which booking its tickets are of, until the visit is over at the least."""
    if not booking.tickets:
        return
    days = [item.last_day or item.first_day for item in booking.items]
    until = [micros(datetime.combine(day, time(), UTC)) + 2 * _DAY for day in days if day]
    rows(
        connection,
        """INSERT INTO ticket (source, ticket, booking, at)
           SELECT ?1, value, ?2, ?3 FROM json_each(?4) WHERE true
           ON CONFLICT DO UPDATE SET booking = excluded.booking, at = excluded.at
           WHERE booking <> excluded.booking OR at < excluded.at""",
        (source, booking.id, max([as_of, *until]), _json(booking.tickets)),
    )


def due_again(connection: sqlite3.Connection, visit: VisitDue, source: str, now: int) -> bool:
    """Let the delivery of a visit that waits go at another time; tell whether there is one."""
    found = rows(
        connection,
        """UPDATE delivery SET due_at = ?1, updated_at = ?2, customer = ?3
           WHERE source = ?4 AND booking = ?5 AND destination = ?6 AND kind = ?7 AND detail = ?8
             AND state = 'waiting'
           RETURNING id""",
        (max(visit.due_at, now), now, visit.customer, source, visit.booking, visit.destination,
         DeliveryKind.BOOKING, visit.detail),
    )  # fmt: skip
    return bool(found)


def _json(texts: Sequence[str]) -> str:
    return msgspec.json.encode(texts).decode()
