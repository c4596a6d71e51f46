"""What is owed: made, leased, ended."""

import sqlite3
from collections.abc import Collection, Sequence

import msgspec

from pipeline.model import Delivery, DeliveryKind, DeliveryState, Event
from pipeline.outbox import (
    Became,
    Ending,
    Heard,
    Hearer,
    Intent,
    Learnt,
    Line,
    OptOut,
    Pick,
    Queue,
    Remembered,
    Settled,
    TakenBack,
    VisitDue,
)
from pipeline.outbox.file import Readers
from pipeline.outbox.hear import hear, take_back
from pipeline.outbox.ledger import end_attempt
from pipeline.outbox.query import rows
from pipeline.outbox.settle import ensure_guest, settle
from pipeline.outbox.supersede import OF_GUESTS, give_way
from pipeline.outbox.told import end_doubt, learn, learn_customer, remember
from pipeline.outbox.writer import Writer

#: Of each line the first whose guest and booking have no request under way; `turn` is the line.
#: Behind so many of one guest nobody looks further: their turn comes when the guest's has ended.
_HEADS = """
    SELECT d.id, d.place, d.attempts
    FROM json_each(?2) AS turn CROSS JOIN delivery AS d ON d.id = (
        SELECT heads.id
        FROM (SELECT id, source, customer, booking FROM delivery INDEXED BY {index}
              WHERE destination = ?1 AND {line}
                AND state = 'waiting' AND waits_for IS NULL AND held = 0
              ORDER BY {order} LIMIT 200) AS heads
        WHERE NOT EXISTS (
            SELECT 1 FROM delivery AS s INDEXED BY delivery_sending
            WHERE s.destination = ?1 AND s.state = 'sending' AND s.source = heads.source
              AND (s.customer = heads.customer OR s.booking = heads.booking))
        LIMIT 1)
"""
_BY_AGE = _HEADS.format(
    index="delivery_ready",
    line="""priority = json_extract(turn.value, '$[0]')
                AND source = json_extract(turn.value, '$[1]')
                AND begun = json_extract(turn.value, '$[2]')""",
    order="place",
)
_BY_TRIES = _HEADS.format(
    index="delivery_least_tried", line="priority = turn.value", order="attempts, place"
)
_CLAIM = """
    UPDATE delivery SET state = 'sending', due_at = ?, updated_at = ? WHERE id = ?
    RETURNING id, event, source, destination, kind, detail, booking, customer, priority, attempts,
              first_failure_at, wary
"""

#: What has waited for its time and is due, at most so many at once. They are written anew, and so
#: they are not held any more.
_RIPEN = """
    UPDATE delivery SET updated_at = ?1
    WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_due
                 WHERE destination = ?2 AND held = 1 AND priority IN (1, 2, 3, 4, 5, 6)
                   AND due_at <= ?1 AND state = 'waiting' AND waits_for IS NULL
                 LIMIT 100)
"""


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
        visits: Sequence[VisitDue] = (),
        taken_back: Sequence[TakenBack] = (),
        *,
        now: int,
    ) -> list[Settled]:
        """Make an event's deliveries and call it done."""

        def unit(connection: sqlite3.Connection) -> list[Settled]:
            for one in remembered:
                remember(connection, one)
            replaced = [old for taken in taken_back for old in take_back(connection, taken, now)]
            return [*settle(connection, event, intents, visits, now), *replaced]

        return await self._writer.do(unit)

    async def claim(
        self,
        destination: str,
        lines: Sequence[Line],
        *,
        pick: Pick = Pick.FIRST,
        under_way: Collection[int] = (),
        now: int,
        until: int,
    ) -> Delivery | None:
        """Lease the delivery that goes next."""

        def unit(connection: sqlite3.Connection) -> Delivery | None:
            _end_leases(connection, destination, under_way, now)
            rows(connection, _RIPEN, (now, destination))
            for [number] in _choose(connection, destination, lines, pick):
                [row] = rows(connection, _CLAIM, (until, now, number))
                fields = dict(zip(Delivery.__struct_fields__, row, strict=True))
                return msgspec.convert(fields, Delivery, strict=False)
            return None

        return await self._writer.do(unit)

    async def queue(self, destination: str, priority: int, *, most: int) -> Queue:
        """Look at those of a class that may go."""
        new, since = await self._readers.row(
            """SELECT (SELECT count(*) FROM (
                           SELECT 1 FROM delivery INDEXED BY delivery_ready
                           WHERE destination = ?1 AND priority = ?2 AND begun = 0
                             AND state = 'waiting' AND waits_for IS NULL AND held = 0
                           LIMIT ?3)),
                      (SELECT min(begun_at) FROM delivery INDEXED BY delivery_ready
                       WHERE destination = ?1 AND priority = ?2 AND begun = 1
                         AND state = 'waiting' AND waits_for IS NULL AND held = 0)""",
            (destination, priority, most),
        )
        return Queue(new=new, begun_since=since)

    async def next_due(self, destination: str, *, least: int = 1, most: int) -> int | None:
        """Tell when the next delivery of these classes becomes due; 0 when one is."""
        row = await self._readers.row(
            """SELECT min(due_at) FROM (
                   SELECT CASE WHEN EXISTS (
                              SELECT 1 FROM delivery INDEXED BY delivery_due
                              WHERE destination = ?1 AND held = 0 AND priority = class
                                AND state = 'waiting' AND waits_for IS NULL) THEN 0
                          ELSE (SELECT min(due_at) FROM delivery INDEXED BY delivery_due
                                WHERE destination = ?1 AND held = 1 AND priority = class
                                  AND state = 'waiting' AND waits_for IS NULL) END AS due_at
                   FROM (SELECT 1 AS class UNION ALL VALUES (2), (3), (4), (5), (6))
                   WHERE class BETWEEN ?2 AND ?3
                   UNION ALL
                   SELECT min(due_at) FROM delivery INDEXED BY delivery_sending
                   WHERE destination = ?1 AND state = 'sending')""",
            (destination, least, most),
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
    ) -> list[Became]:
        """Record a success; with `more`, the delivery waits for its next request."""

        def unit(connection: sqlite3.Connection) -> list[Became]:
            end_attempt(connection, ending)
            for one in learnt:
                learn(connection, delivery.destination, one, now)
                learn_customer(connection, delivery, one, now)
            state = DeliveryState.WAITING if more else DeliveryState.DELIVERED
            rows(
                connection,
                """UPDATE delivery SET state = ?1, reason = NULL, updated_at = ?2, due_at = ?2,
                                       attempts = attempts + 1,
                                       begun_at = iif(?4, coalesce(begun_at, ?2), begun_at)
                   WHERE id = ?3 AND state = 'sending'""",
                (state, now, delivery.id, more),
            )
            if more:
                give_way(connection, delivery.id, delivery.kind, now)
            else:
                _release(connection, delivery, now, told=True)
            return became(connection, [delivery.id])

        return await self._writer.do(unit)

    async def close(
        self,
        delivery: Delivery,
        state: DeliveryState,
        reason: str | None,
        ending: Ending | None,
        *,
        now: int,
    ) -> list[Became]:
        """End a delivery without success: SKIPPED or PARKED."""

        def unit(connection: sqlite3.Connection) -> list[Became]:
            end_attempt(connection, ending)
            end_doubt(connection, delivery, ending)
            closed = rows(
                connection,
                """UPDATE delivery SET state = ?, reason = ?, updated_at = ?,
                                       attempts = attempts + ?, begun_at = NULL
                   WHERE id = ? AND state = 'sending' RETURNING id""",
                (state, reason, now, int(ending is not None), delivery.id),
            )
            if not closed:  # its lease ran out and another went on with it: that one's word counts
                return []
            parked: list[int] = []
            if state is not DeliveryState.PARKED:
                _release(connection, delivery, now, told=False)
            elif not give_way(connection, delivery.id, delivery.kind, now):
                parked = _park_with(connection, delivery, now)
            return became(connection, [delivery.id, *parked])

        return await self._writer.do(unit)

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
    ) -> list[Became]:
        """Let a delivery wait until `due_at`; `failed` counts an attempt of its own."""

        def unit(connection: sqlite3.Connection) -> list[Became]:
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
            return became(connection, [delivery.id])

        return await self._writer.do(unit)

    async def hear(self, heard: Heard, hearers: Sequence[Hearer], *, now: int) -> list[OptOut]:
        """Keep a guest's details that were fetched, and owe what they take back."""

        def unit(connection: sqlite3.Connection) -> list[OptOut]:
            return hear(connection, heard, hearers, now)

        return await self._writer.do(unit)

    async def wait_for_guest(self, delivery: Delivery, customer: str, *, now: int) -> list[Became]:
        """Let a delivery wait for the delivery of this guest, which is made if none is open."""

        def unit(connection: sqlite3.Connection) -> list[Became]:
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
            return became(connection, [delivery.id])

        return await self._writer.do(unit)


def became(connection: sqlite3.Connection, deliveries: Sequence[int]) -> list[Became]:
    """Give these deliveries as they are now, in their order."""
    found = rows(
        connection,
        """SELECT delivery.id, event, state, reason, superseded_by
           FROM json_each(?) AS wanted CROSS JOIN delivery ON delivery.id = wanted.value""",
        (msgspec.json.encode(list(deliveries)).decode(),),
    )
    return [
        Became(
            delivery=row[0],
            event=row[1],
            state=DeliveryState(row[2]),
            reason=row[3],
            superseded_by=row[4],
        )
        for row in found
    ]


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


def _choose(
    connection: sqlite3.Connection, destination: str, lines: Sequence[Line], pick: Pick
) -> list[tuple[int]]:
    """Give the delivery that goes next, or none."""
    if pick is Pick.FIRST:
        listed = msgspec.json.encode(lines).decode()
        found = rows(connection, _BY_AGE + " LIMIT 1", (destination, listed))
    elif pick is Pick.OLDEST:
        listed = msgspec.json.encode(lines).decode()
        heads = rows(connection, _BY_AGE, (destination, listed))
        found = sorted(heads, key=lambda head: int(head[1]))
    else:
        classes = sorted({line.priority for line in lines})
        listed = msgspec.json.encode(classes).decode()
        heads = rows(connection, _BY_TRIES, (destination, listed))
        # Stable: of two that were tried as often, the one of the class that goes first.
        found = sorted(heads, key=lambda head: int(head[2]))
    return [(int(head[0]),) for head in found[:1]]


def _end_leases(
    connection: sqlite3.Connection, destination: str, under_way: Collection[int], now: int
) -> None:
    """Give back what a worker could not record in time, for the outbox failed just then.

    Not what is still being worked on: a wall clock that was set ahead says that its lease is over.
    """
    ended = rows(
        connection,
        """UPDATE delivery SET state = 'waiting', due_at = ?1, updated_at = ?1
           WHERE destination = ?2 AND state = 'sending' AND due_at <= ?1
             AND id NOT IN (SELECT value FROM json_each(?3))
           RETURNING id, kind""",
        (now, destination, msgspec.json.encode(list(under_way)).decode()),
    )
    for delivery, kind in ended:
        give_way(connection, delivery, DeliveryKind(kind), now)


def _release(connection: sqlite3.Connection, delivery: Delivery, now: int, *, told: bool) -> None:
    """Let go on what waited for this guest.

    With a guest who was `told` of, the first of it is begun as well. A guest's further bookings and
    tags are not, for they would all go before other venues'.
    """
    if delivery.kind in OF_GUESTS:
        rows(
            connection,
            """UPDATE delivery
               SET state = 'waiting', reason = NULL, waits_for = NULL, due_at = ?1, updated_at = ?1,
                   begun_at = iif(?3 AND id = (SELECT min(id) FROM delivery
                                               WHERE waits_for = ?2 AND priority = ?4),
                                  (SELECT coalesce(begun_at, ?1) FROM delivery WHERE id = ?2), NULL)
               WHERE waits_for = ?2""",
            (now, delivery.id, told, delivery.priority),
        )


def _park_with(connection: sqlite3.Connection, delivery: Delivery, now: int) -> list[int]:
    """Park what waits for this guest; it keeps waiting for it, and so comes back with it."""
    if delivery.kind not in OF_GUESTS:
        return []
    parked = rows(
        connection,
        """UPDATE delivery SET state = 'parked', reason = ?, updated_at = ?
           WHERE waits_for = ? AND state = 'waiting' RETURNING id""",
        (f"guest d{delivery.id} parked", now, delivery.id),
    )
    return [int(row[0]) for row in parked]
