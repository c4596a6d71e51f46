"""What is owed: made, leased, ended."""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.model import Delivery, DeliveryKind, DeliveryState, Event
from pipeline.outbox import Ending, Intent, Learnt, Remembered, Settled
from pipeline.outbox.file import Readers
from pipeline.outbox.ledger import end_attempt
from pipeline.outbox.query import rows
from pipeline.outbox.settle import ensure_guest, settle
from pipeline.outbox.supersede import OF_GUESTS, give_way
from pipeline.outbox.told import end_doubt, learn, remember
from pipeline.outbox.writer import Writer

_CLAIM = """
    UPDATE delivery SET state = 'sending', due_at = ?1, updated_at = ?2
    WHERE id = (
        SELECT d.id FROM delivery AS d INDEXED BY {index}
        WHERE d.destination = ?3 AND d.state = 'waiting' AND d.waits_for IS NULL
          AND d.priority <= ?4 AND d.due_at <= ?2
          AND NOT EXISTS (
              SELECT 1 FROM delivery AS s
              WHERE s.destination = d.destination AND s.state = 'sending' AND s.source = d.source
                AND (s.customer = d.customer OR s.booking = d.booking))
        ORDER BY {order} LIMIT 1)
    RETURNING id, event, source, destination, kind, detail, booking, customer, priority, attempts,
              first_failure_at, wary
"""
#: Each with the index that has its order; SQLite by itself sorts all that waits for the second.
_NEXT = _CLAIM.format(index="delivery_next", order="d.priority, d.id")
_PROBE = _CLAIM.format(index="delivery_least_tried", order="d.attempts, d.priority, d.id")


class SqliteDeliveries:
    """What transform and deliver ask of the outbox."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def settle(
        self,
        event: Event,
        intents: Sequence[Intent],
        remembered: Sequence[Remembered] = (),
        *,
        now: int,
    ) -> list[Settled]:
        """Make an event's deliveries and call it done."""

        def unit(connection: sqlite3.Connection) -> list[Settled]:
            for one in remembered:
                remember(connection, one)
            return settle(connection, event, intents, now)

        return await self._writer.do(unit)

    async def claim(
        self, destination: str, *, most: int, probe: bool, now: int, until: int
    ) -> Delivery | None:
        """Lease the delivery that goes next, of the classes up to `most`."""

        def unit(connection: sqlite3.Connection) -> Delivery | None:
            _end_leases(connection, destination, now)
            sql = _PROBE if probe else _NEXT
            for row in rows(connection, sql, (until, now, destination, most)):
                fields = dict(zip(Delivery.__struct_fields__, row, strict=True))
                return msgspec.convert(fields, Delivery, strict=False)
            return None

        return await self._writer.do(unit)

    async def next_due(self, destination: str, *, most: int) -> int | None:
        """Tell when the next delivery of the classes up to `most` becomes due, or a lease ends."""
        row = await self._readers.row(
            """SELECT min(due_at) FROM (
                   SELECT (SELECT min(due_at) FROM delivery
                           WHERE destination = ?1 AND priority = class AND state = 'waiting'
                             AND waits_for IS NULL) AS due_at
                   FROM (SELECT 1 AS class UNION ALL VALUES (2), (3), (4), (5), (6))
                   WHERE class <= ?2
                   UNION ALL
                   SELECT min(due_at) FROM delivery
                   WHERE destination = ?1 AND state = 'sending')""",
            (destination, most),
        )
        return None if row is None else row[0]

    async def succeed(
        self,
        delivery: Delivery,
        learnt: Sequence[Learnt],
        ending: Ending,
        *,
        more: bool,
        now: int,
    ) -> None:
        """Record a success; with `more`, the delivery waits for its next request."""

        def unit(connection: sqlite3.Connection) -> None:
            end_attempt(connection, ending)
            for one in learnt:
                learn(connection, delivery.destination, one, now)
            state = DeliveryState.WAITING if more else DeliveryState.DELIVERED
            rows(
                connection,
                """UPDATE delivery SET state = ?1, reason = NULL, updated_at = ?2, due_at = ?2,
                                       attempts = attempts + 1
                   WHERE id = ?3 AND state = 'sending'""",
                (state, now, delivery.id),
            )
            if more:
                give_way(connection, delivery.id, delivery.kind, now)
            else:
                _release(connection, delivery, now)

        await self._writer.do(unit)

    async def close(
        self,
        delivery: Delivery,
        state: DeliveryState,
        reason: str | None,
        ending: Ending | None,
        *,
        now: int,
    ) -> None:
        """End a delivery without success: SKIPPED or PARKED."""

        def unit(connection: sqlite3.Connection) -> None:
            end_attempt(connection, ending)
            end_doubt(connection, delivery, ending)
            closed = rows(
                connection,
                """UPDATE delivery SET state = ?, reason = ?, updated_at = ?,
                                       attempts = attempts + ?
                   WHERE id = ? AND state = 'sending' RETURNING id""",
                (state, reason, now, int(ending is not None), delivery.id),
            )
            if not closed:  # its lease ran out and another went on with it: that one's word counts
                return
            if state is not DeliveryState.PARKED:
                _release(connection, delivery, now)
            elif not give_way(connection, delivery.id, delivery.kind, now):
                _park_with(connection, delivery, now)

        await self._writer.do(unit)

    async def give_back(
        self,
        delivery: Delivery,
        ending: Ending | None,
        *,
        due_at: int,
        reason: str | None,
        failed: bool,
        learnt: Sequence[Learnt] = (),
        now: int,
    ) -> None:
        """Let a delivery wait until `due_at`; `failed` counts an attempt of its own."""

        def unit(connection: sqlite3.Connection) -> None:
            end_attempt(connection, ending)
            for one in learnt:
                learn(connection, delivery.destination, one, now)
            end_doubt(connection, delivery, ending)
            rows(
                connection,
                """UPDATE delivery
                   SET state = 'waiting', due_at = ?1, reason = ?2, updated_at = ?3,
                       attempts = attempts + ?4,
                       first_failure_at = CASE WHEN ?4 THEN coalesce(first_failure_at, ?3)
                                               ELSE first_failure_at END
                   WHERE id = ?5 AND state = 'sending'""",
                (due_at, reason, now, int(failed), delivery.id),
            )
            give_way(connection, delivery.id, delivery.kind, now)

        await self._writer.do(unit)

    async def wait_for_guest(self, delivery: Delivery, customer: str, *, now: int) -> None:
        """Let a delivery wait for the delivery of this guest, which is made if none is open."""

        def unit(connection: sqlite3.Connection) -> None:
            guest, parked = ensure_guest(connection, delivery, customer, now)
            state = DeliveryState.PARKED if parked else DeliveryState.WAITING
            reason = f"guest d{guest} parked" if parked else None
            rows(
                connection,
                """UPDATE delivery SET state = ?1, reason = ?2, customer = ?3, waits_for = ?4,
                                       due_at = ?5, updated_at = ?5
                   WHERE id = ?6 AND state = 'sending'""",
                (state, reason, customer, guest, now, delivery.id),
            )
            give_way(connection, delivery.id, delivery.kind, now)

        await self._writer.do(unit)


def end_all_leases(connection: sqlite3.Connection, now: int) -> None:
    """Give back whatever is under way, for nobody is working on it any more."""
    ended = rows(
        connection,
        """UPDATE delivery SET state = 'waiting', due_at = ?1, updated_at = ?1
           WHERE state = 'sending' RETURNING id, kind""",
        (now,),
    )
    for delivery, kind in ended:
        give_way(connection, delivery, DeliveryKind(kind), now)


def _end_leases(connection: sqlite3.Connection, destination: str, now: int) -> None:
    """Give back what a worker could not record in time, for the outbox failed just then."""
    ended = rows(
        connection,
        """UPDATE delivery SET state = 'waiting', updated_at = ?1
           WHERE destination = ?2 AND state = 'sending' AND due_at <= ?1 RETURNING id, kind""",
        (now, destination),
    )
    for delivery, kind in ended:
        give_way(connection, delivery, DeliveryKind(kind), now)


def _release(connection: sqlite3.Connection, delivery: Delivery, now: int) -> None:
    """Let go on what waited for this guest."""
    if delivery.kind in OF_GUESTS:
        rows(
            connection,
            """UPDATE delivery SET state = 'waiting', reason = NULL, waits_for = NULL,
                                   due_at = ?1, updated_at = ?1
               WHERE waits_for = ?2""",
            (now, delivery.id),
        )


def _park_with(connection: sqlite3.Connection, delivery: Delivery, now: int) -> None:
    """Park what waits for this guest; it keeps waiting for it, and so comes back with it."""
    if delivery.kind in OF_GUESTS:
        rows(
            connection,
            """UPDATE delivery SET state = 'parked', reason = ?, updated_at = ?
               WHERE waits_for = ? AND state = 'waiting'""",
            (f"guest d{delivery.id} parked", now, delivery.id),
        )
