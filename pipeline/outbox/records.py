"""What people ask of the outbox: lists, single rows, and all that belongs to one booking.

Rows are those of the SQL views, with their names; the view's own words are used, over the rows
that an index of the table has found, because what a view computes no index serves.
"""

import heapq
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from pipeline.model import EventState
from pipeline.outbox import Row, Standing
from pipeline.outbox.file import Readers

#: Each in the words of its partial index.
_EVENTS_ENDED = """
    SELECT id FROM event
    WHERE source = ? AND state = ? AND state IN ('done', 'ignored', 'parked')
    ORDER BY id DESC LIMIT ?
"""
#: What waits is looked for among the newest first, where most of it is.
_EVENTS_WAITING_NEWEST = """
    SELECT id FROM event
    WHERE id > (SELECT max(id) FROM event) - 2000 AND +source = ? AND state = ?
    ORDER BY id DESC LIMIT ?
"""
#: Else all that waits of a source is looked at, in its index alone. What is due last is the newest,
#: but for what failed and waits for its next try: read in that order, little is sorted.
_EVENTS_WAITING = """
    SELECT id FROM (SELECT id FROM event
                    WHERE source = ? AND state = ? AND state IN ('waiting', 'processing')
                    ORDER BY due_at DESC LIMIT -1)
    ORDER BY id DESC LIMIT ?
"""
_EVENTS_PROCESSING = """
    SELECT id FROM event
    WHERE source = ? AND state = ? AND state = 'processing' ORDER BY id DESC LIMIT ?
"""

#: A reason is looked for among the newest first, where one that many have is found at once.
_BY_REASON_OF_NEWEST = """
    SELECT id FROM (SELECT id, reason FROM delivery WHERE destination = ?1 AND state = ?2
                    ORDER BY id DESC LIMIT 2000)
    WHERE instr(lower(reason), ?3) ORDER BY id DESC LIMIT ?4
"""
#: One that few have is looked for in the index of reasons, all of it, and nothing else is read.
_BY_REASON = """
    SELECT id FROM delivery INDEXED BY delivery_reason
    WHERE destination = ? AND state = ? AND reason IS NOT NULL AND instr(lower(reason), ?)
    ORDER BY id DESC LIMIT ?
"""

#: An event that has made no delivery yet is found among those that are not finished.
_UNFINISHED = """
    SELECT id FROM event
    WHERE source IN (SELECT owner FROM counter WHERE what = 'event')
      AND state IN ('waiting', 'processing') AND (booking = ?1 OR reference = ?1)
    LIMIT ?2
"""
_PARKED = """
    SELECT id FROM event WHERE state = 'parked' AND (booking = ?1 OR reference = ?1) LIMIT ?2
"""
_BY_BOOKING = """
    SELECT id, event FROM delivery
    WHERE source IN (SELECT owner FROM counter WHERE what = 'event') AND booking = ?1
    LIMIT ?2
"""
_BY_REFERENCE = "SELECT id, event FROM delivery WHERE reference = ?1 LIMIT ?2"
_BY_EVENTS = """
    SELECT id FROM delivery WHERE event IN (SELECT value FROM json_each(?)) LIMIT ?
"""
_BY_SUBJECT = """
    SELECT event FROM subject
    WHERE source IN (SELECT owner FROM counter WHERE what = 'event')
      AND kind = 'booking' AND key = ?1 AND event IS NOT NULL
    LIMIT ?2
"""

#: Deliveries of one booking that are looked at; a booking with more has no story to be told.
_MOST = 200

#: What goes before a delivery: the classes before its own, what is older in its own line, and from
#: each other line of its class as many and one, for they go in turn. Then all of its class.
_AHEAD = """
    SELECT waits_for, attempts, held,
           (SELECT count(*) FROM delivery
            WHERE destination = d.destination AND priority < d.priority
              AND state = 'waiting' AND waits_for IS NULL AND held = 0),
           (SELECT count(*) FROM delivery
            WHERE destination = d.destination AND priority = d.priority AND begun IN (0, 1)
              AND source = d.source AND place < d.place
              AND state = 'waiting' AND waits_for IS NULL AND held = 0),
           (SELECT count(*) FROM delivery
            WHERE destination = d.destination AND priority = d.priority
              AND state = 'waiting' AND waits_for IS NULL AND held = 0)
    FROM delivery AS d WHERE id = ?
"""
_OTHER_LINES = """
    SELECT (SELECT count(*) FROM (
                SELECT 1 FROM delivery INDEXED BY delivery_ready
                WHERE destination = d.destination AND priority = d.priority AND begun IN (0, 1)
                  AND source = owner AND state = 'waiting' AND waits_for IS NULL AND held = 0
                LIMIT ?2))
    FROM delivery AS d CROSS JOIN (SELECT DISTINCT owner FROM counter WHERE what = 'event')
    WHERE d.id = ?1 AND owner <> d.source
"""


class SqliteRecords:
    """Reads what the views show."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._views: dict[str, tuple[str, tuple[str, ...]]] = {}

    async def events(
        self, *, state: str | None = None, source: str | None = None, limit: int
    ) -> list[Row]:
        """List events, the newest first."""
        if state is None and source is None:
            ids = await self._ids("SELECT id FROM event ORDER BY id DESC LIMIT ?", (limit,))
            return await self._rows("events", ids)
        found = [
            await self._events_of(*pair, limit)
            for pair in await self._pairs("event", owner=source, state=state)
        ]
        return await self._rows("events", _newest(found, limit))

    async def _events_of(self, source: str, state: str, limit: int) -> list[int]:
        wanted = (source, state, limit)
        match state:
            case EventState.WAITING:
                ids = await self._ids(_EVENTS_WAITING_NEWEST, wanted)
                return ids if len(ids) == limit else await self._ids(_EVENTS_WAITING, wanted)
            case EventState.PROCESSING:
                return await self._ids(_EVENTS_PROCESSING, wanted)
            case _:
                return await self._ids(_EVENTS_ENDED, wanted)

    async def deliveries(
        self,
        *,
        state: str | None = None,
        destination: str | None = None,
        reason: str | None = None,
        limit: int,
    ) -> list[Row]:
        """List deliveries, the newest first; `reason` is a part of the reason, in any case."""
        if state is None and destination is None and reason is None:
            ids = await self._ids("SELECT id FROM delivery ORDER BY id DESC LIMIT ?", (limit,))
            return await self._rows("deliveries", ids)
        found = []
        for pair in await self._pairs("delivery", owner=destination, state=state):
            if reason is not None:
                wanted = (*pair, reason.lower(), limit)
                ids = await self._ids(_BY_REASON_OF_NEWEST, wanted)
                if len(ids) < limit:
                    ids = await self._ids(_BY_REASON, wanted)
            else:
                sql = """SELECT id FROM delivery WHERE destination = ? AND state = ?
                         ORDER BY id DESC LIMIT ?"""
                ids = await self._ids(sql, (*pair, limit))
            found.append(ids)
        return await self._rows("deliveries", _newest(found, limit))

    async def event(self, number: int) -> Row | None:
        """Give one event, with its deliveries under `deliveries`."""
        found = await self._rows("events", [number])
        if not found:
            return None
        sql = "SELECT id FROM delivery WHERE event = ? ORDER BY id LIMIT ?"
        made = await self._ids(sql, (number, _MOST))
        return {**found[0], "deliveries": await self._rows("deliveries", made)}

    async def delivery(self, number: int) -> Row | None:
        """Give one delivery; `attempts` is not their number but they themselves."""
        found = await self._rows("deliveries", [number])
        if not found:
            return None
        sql = "SELECT id FROM attempt WHERE delivery = ? ORDER BY id DESC LIMIT ?"
        tried = await self._ids(sql, (number, _MOST))
        return {**found[0], "attempts": await self._rows("attempts", tried)}

    async def of_booking(self, name: str) -> tuple[list[int], list[int]]:
        """Find the events and deliveries of a booking, by its uniqueId or its reference."""
        pairs = [
            *await self._readers.rows(_BY_BOOKING, (name, _MOST)),
            *await self._readers.rows(_BY_REFERENCE, (name, _MOST)),
        ]
        events = {event for _, event in pairs}
        for sql in (_BY_SUBJECT, _UNFINISHED, _PARKED):
            events.update(await self._ids(sql, (name, _MOST)))
        # The guest's, too, that was made for one of these events.
        listed = (msgspec.json.encode(sorted(events)).decode(), _MOST)
        made = await self._ids(_BY_EVENTS, listed)
        return sorted(events), sorted({*made, *(delivery for delivery, _ in pairs)})

    async def standing(self, delivery: int) -> Standing | None:
        """Tell what a delivery waits for, and how many go before it."""
        row = await self._readers.row(_AHEAD, (delivery,))
        if row is None:
            return None
        waits_for, tried, held, above, older, same = row
        # Whose turn it is among the lines is known in memory only: it may have to wait for each.
        others = await self._readers.rows(_OTHER_LINES, (delivery, older + 1))
        before = older + sum(count for [count] in others)
        return Standing(
            waits_for=waits_for,
            ahead=above + before,
            tried=tried,
            held=bool(held),
            part=before / max(same, before, 1),
        )

    async def due_at(self, event: int) -> int | None:
        """Tell when an event may be taken next."""
        row = await self._readers.row("SELECT due_at FROM event WHERE id = ?", (event,))
        return None if row is None else row[0]

    async def in_doubt(self, destination: str | None) -> int:
        """Count the parked deliveries of unknown outcome."""
        sql = """SELECT count(*) FROM delivery INDEXED BY delivery_reason
                 WHERE destination IN (SELECT owner FROM counter WHERE what = 'delivery'
                                       AND state = 'parked' AND (?1 IS NULL OR owner = ?1))
                   AND state = 'parked' AND reason = 'unknown outcome'"""
        [count] = await self._readers.row(sql, (destination,))
        return int(count)

    async def _pairs(
        self, what: str, *, owner: str | None, state: str | None
    ) -> list[tuple[str, str]]:
        """Give the owners and states of which there are any: each pair is a place in the index."""
        found = await self._readers.rows(
            """SELECT owner, state FROM counter
               WHERE what = ?1 AND n > 0 AND state <> 'duplicates'
                 AND (?2 IS NULL OR owner = ?2) AND (?3 IS NULL OR state = ?3)""",
            (what, owner, state),
        )
        return [(owner, state) for owner, state in found]

    async def _ids(self, sql: str, parameters: Sequence[object]) -> list[int]:
        return [row[0] for row in await self._readers.rows(sql, parameters)]

    async def _rows(self, view: str, ids: Sequence[int]) -> list[Row]:
        """Give rows of a view, in the order of the ids."""
        if not ids:
            return []
        select, names = await self._view(view)
        table = {"events": "event", "deliveries": "delivery", "attempts": "attempt"}[view]
        found = await self._readers.rows(
            f"{select} WHERE {table}.id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(list(ids)).decode(),),
        )
        by_id = {row[0]: dict(zip(names, row, strict=True)) for row in found}
        letter = {"events": "e", "deliveries": "d", "attempts": "a"}[view]
        return [by_id[key] for number in ids if (key := f"{letter}{number}") in by_id]

    async def _view(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Give the SELECT that a view stands for, and its columns."""
        if name not in self._views:
            [sql] = await self._readers.row("SELECT sql FROM sqlite_schema WHERE name = ?", (name,))
            columns = await self._readers.rows(f"PRAGMA table_info({name})")
            self._views[name] = (sql.partition(" AS\n")[2], tuple(row[1] for row in columns))
        return self._views[name]


def _newest(found: Iterable[Sequence[int]], limit: int) -> list[int]:
    return heapq.nlargest(limit, chain.from_iterable(found))
