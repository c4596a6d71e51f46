"""What a person may do to the outbox: try again, or let go; some rows at a time."""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.model import DeliveryKind
from pipeline.outbox import Changed
from pipeline.outbox.deliveries import became
from pipeline.outbox.query import rows
from pipeline.outbox.restored import decide_anew_if_forgotten
from pipeline.outbox.supersede import give_way
from pipeline.outbox.writer import Writer

_DROPPED = "dropped by hand"

_LISTED = "(SELECT value FROM json_each(?))"


class SqliteRepair:
    """Changes what people have looked at."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def retry_events(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let events be processed again, at once."""
        return await self._writer.do(lambda connection: _retry_events(connection, ids, now))

    async def retry_parked_events(
        self, source: str | None, *, before: int, limit: int, now: int
    ) -> Changed:
        """Process some of the parked events again, the oldest first."""

        def unit(connection: sqlite3.Connection) -> Changed:
            found = rows(
                connection,
                """SELECT id FROM event
                   WHERE state = 'parked' AND updated_at <= ?1 AND (?2 IS NULL OR source = ?2)
                   ORDER BY id LIMIT ?3""",
                (before, source, limit),
            )
            changed = _retry_events(connection, [row[0] for row in found], now)
            changed.more = len(found) == limit
            return changed

        return await self._writer.do(unit)

    async def drop_events(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let events go: they are ignored from now on."""

        def unit(connection: sqlite3.Connection) -> Changed:
            changed = Changed()
            for event in ids:
                ended = rows(
                    connection,
                    """UPDATE event SET state = 'ignored', reason = ?, updated_at = ?
                       WHERE id = ? AND state IN ('waiting', 'parked') RETURNING id""",
                    (_DROPPED, now, event),
                )
                if ended:
                    changed.ids.append(f"e{event}")
                else:
                    changed.refused[f"e{event}"] = _state_of(connection, "event", event)
            return changed

        return await self._writer.do(unit)

    async def retry_deliveries(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let deliveries be tried again, at once; one that parked with its guest brings that along.

        What waits for a guest comes back with it.
        """
        return await self._writer.do(lambda connection: _retry_deliveries(connection, ids, now))

    async def retry_parked_deliveries(
        self, destination: str | None, *, before: int, limit: int, now: int
    ) -> Changed:
        """Try some of the parked deliveries again, none of unknown outcome."""

        def unit(connection: sqlite3.Connection) -> Changed:
            found = rows(
                connection,
                """SELECT id FROM delivery
                   WHERE destination IN (SELECT owner FROM counter WHERE what = 'delivery'
                                         AND state = 'parked' AND (?2 IS NULL OR owner = ?2))
                     AND state = 'parked' AND updated_at <= ?1
                     AND reason IS NOT 'unknown outcome'
                   LIMIT ?3""",
                (before, destination, limit),
            )
            changed = _retry_deliveries(connection, [row[0] for row in found], now)
            changed.more = len(found) == limit
            return changed

        return await self._writer.do(unit)

    async def drop_deliveries(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let deliveries go; with a guest's goes what waits for it."""

        def unit(connection: sqlite3.Connection) -> Changed:
            changed = Changed()
            for delivery in ids:
                if not (dropped := _drop(connection, "id", delivery, now)):
                    changed.refused[f"d{delivery}"] = _state_of(connection, "delivery", delivery)
                    continue
                changed.ids += dropped + _drop(connection, "waits_for", delivery, now)
            return changed

        return await self._writer.do(unit)


def _retry_events(connection: sqlite3.Connection, ids: Sequence[int], now: int) -> Changed:
    changed = Changed()
    for event in ids:
        found = rows(connection, "SELECT state, body IS NULL FROM event WHERE id = ?", (event,))
        refusal = _no_retry(f"e{event}", *found[0]) if found else _unknown("event", event)
        if refusal:
            changed.refused[f"e{event}"] = refusal
            continue
        rows(
            connection,
            """UPDATE event SET state = 'waiting', reason = NULL, due_at = ?1,
                                updated_at = ?1, attempts = 0, first_failure_at = NULL, wary = 1
               WHERE id = ?2""",
            (now, event),
        )
        changed.ids.append(f"e{event}")
    return changed


def _retry_deliveries(connection: sqlite3.Connection, ids: Sequence[int], now: int) -> Changed:
    changed = Changed()
    for delivery in _with_guests(connection, ids):
        if anew := decide_anew_if_forgotten(connection, delivery, now):
            changed.ids += [f"d{number}" for number in anew]
        if f"d{delivery}" in changed.ids:
            continue
        found = rows(
            connection,
            """UPDATE delivery SET state = 'waiting', reason = NULL, due_at = ?1,
                                   updated_at = ?1, first_failure_at = NULL, wary = 1
               WHERE id = ?2 AND state IN ('waiting', 'parked') RETURNING kind""",
            (now, delivery),
        )
        if not found:
            changed.refused[f"d{delivery}"] = _state_of(connection, "delivery", delivery)
            continue
        if give_way(connection, delivery, DeliveryKind(found[0][0]), now):
            changed.superseded += became(connection, [delivery])
        came = rows(
            connection,
            """UPDATE delivery SET state = 'waiting', reason = NULL, due_at = ?1,
                                   updated_at = ?1, first_failure_at = NULL, wary = 1
               WHERE waits_for = ?2 AND state = 'parked' RETURNING id""",
            (now, delivery),
        )
        changed.ids += [f"d{number}" for number in (delivery, *(row[0] for row in came))]
    changed.ids[:] = dict.fromkeys(changed.ids)
    return changed


def _drop(connection: sqlite3.Connection, column: str, number: int, now: int) -> list[str]:
    ended = rows(
        connection,
        f"""UPDATE delivery SET state = 'dropped', reason = ?, waits_for = NULL, updated_at = ?
            WHERE {column} = ? AND state IN ('waiting', 'parked') RETURNING id""",
        (_DROPPED, now, number),
    )
    return [f"d{row[0]}" for row in ended]


def _with_guests(connection: sqlite3.Connection, ids: Sequence[int]) -> list[int]:
    """Put before each delivery that has parked with its guest that guest's own delivery."""
    listed = msgspec.json.encode(list(ids)).decode()
    found = rows(
        connection,
        f"""SELECT DISTINCT g.id FROM delivery AS d JOIN delivery AS g ON g.id = d.waits_for
            WHERE d.id IN {_LISTED} AND d.state = 'parked' AND g.state = 'parked'""",
        (listed,),
    )
    return list(dict.fromkeys([*(row[0] for row in found), *ids]))


def _no_retry(name: str, state: str, without_body: int) -> str | None:
    match state:
        case "processing":
            return f"{name} is being processed right now"
        case "done":
            return f"{name} is done: its deliveries are there, and can be retried"
        case "ignored" if without_body:
            return f"{name} has no body any more: outbox.keep is over, or it was erased"
        case _:
            return None


def _state_of(connection: sqlite3.Connection, table: str, number: int) -> str:
    found = rows(connection, f"SELECT state FROM {table} WHERE id = ?", (number,))
    if not found:
        return _unknown(table, number)
    return f"{table[0]}{number} is {found[0][0]}, and only what waits or is parked can be changed"


def _unknown(table: str, number: int) -> str:
    return f"there is no {table} {table[0]}{number}"
