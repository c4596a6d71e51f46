"""The times of what waits, when the wall clock that they were read from is set anew.

A stored time is one of the wall clock. Set back by an hour, work would be an hour late; set ahead,
each retry would come at once and be the last one, for it would seem to have failed for days.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.outbox import Reading
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer

#: Rows that are changed in one transaction, so that webhooks do not wait for it.
_AT_ONCE = 500

#: Each gives a row's id and a time that was written with it, to see whether it is still the same.
#: What the clock as it is now has written, from ?2 to ?1, is left alone; ?3 no clock has reached.
_EVENTS = """
    SELECT id, updated_at FROM event
    WHERE source IN (SELECT owner FROM counter WHERE what = 'event')
      AND state IN ('waiting', 'processing') AND due_at > ?3
      AND updated_at NOT BETWEEN ?2 AND ?1
"""
_MOVE_EVENT = """
    UPDATE event SET due_at = due_at + ?1, first_failure_at = first_failure_at + ?1
    WHERE id = ?2 AND updated_at = ?3 AND state IN ('waiting', 'processing')
"""
#: Those that are not held are due, whatever the time.
_DELIVERIES = """
    SELECT id, updated_at FROM delivery INDEXED BY delivery_failed
    WHERE first_failure_at IS NOT NULL AND state = 'waiting'
      AND updated_at NOT BETWEEN ?2 AND ?1
    UNION
    SELECT id, updated_at FROM delivery INDEXED BY delivery_due
    WHERE destination IN (SELECT owner FROM counter WHERE what = 'delivery')
      AND held = 1 AND priority IN (1, 2, 3, 4, 5, 6) AND state = 'waiting' AND waits_for IS NULL
      AND updated_at NOT BETWEEN ?2 AND ?1
    UNION
    SELECT id, updated_at FROM delivery INDEXED BY delivery_sending
    WHERE destination IN (SELECT owner FROM counter WHERE what = 'delivery') AND state = 'sending'
      AND updated_at NOT BETWEEN ?2 AND ?1
"""
#: The end of a visit is where it is, whatever the clock said before.
_MOVE_DELIVERY = """
    UPDATE delivery SET due_at = due_at + ?1 * (held AND (detail <> 'complete'
                                                          OR first_failure_at IS NOT NULL)),
                        updated_at = updated_at + ?1 * held,
                        first_failure_at = first_failure_at + ?1
    WHERE id = ?2 AND updated_at = ?3 AND state IN ('waiting', 'sending')
"""
#: Fetched at a time that is still to come: whatever is fetched next would seem to be older.
_SUBJECTS = """
    SELECT id, as_of FROM subject
    WHERE kind IN ('guest', 'venue') AND doc IS NOT NULL AND as_of > ?1
"""
_MOVE_SUBJECT = "UPDATE subject SET as_of = as_of + ?1 WHERE id = ?2 AND as_of = ?3"
#: Likewise of consent: whatever a guest says next would seem to be older, an opt-out among it.
_TOLD = """
    SELECT destination, key, updated_at FROM told
    WHERE kind = 'guest' AND updated_at > ?1 AND json_type(doc, '$.consent') = 'object'
"""
_MOVE_TOLD = """
    UPDATE told SET updated_at = updated_at + ?1, doc = json_replace(doc,
        '$.consent.changed.data.at', json_extract(doc, '$.consent.changed.data.at')
            + ?1 * (json_extract(doc, '$.consent.changed.data.at') > ?2),
        '$.consent.changed.email.at', json_extract(doc, '$.consent.changed.email.at')
            + ?1 * (json_extract(doc, '$.consent.changed.email.at') > ?2),
        '$.consent.changed.sms.at', json_extract(doc, '$.consent.changed.sms.at')
            + ?1 * (json_extract(doc, '$.consent.changed.sms.at') > ?2))
    WHERE destination = ?3 AND kind = 'guest' AND key = ?4 AND updated_at = ?5
"""
#: Of the ledger, as the clock now says it of this boot: after a reboot nothing else tells how long
#: ago a request was, and one of before a step ahead would seem to be long over.
_REDATE = """
    UPDATE attempt SET started_at = started_boot + ?1, ended_at = ended_boot + ?1
    WHERE boot_id = ?2
      AND id IN (SELECT id FROM attempt WHERE destination = ?3 ORDER BY id DESC LIMIT ?4)
"""
_REDATE_REFUSAL = "UPDATE allowance SET learnt_at = learnt_boot + ?1 WHERE boot_id = ?2"


class SqliteTimes:
    """What the outbox knows of the clocks."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def seen(self) -> Reading | None:
        """Tell what the clocks were when they were last noted."""
        row = await self._readers.row("SELECT value FROM meta WHERE name = 'clock'")
        return None if row is None else msgspec.json.decode(row[0], type=Reading)

    async def note(self, reading: Reading) -> None:
        """Note what the clocks are."""
        await self._writer.do(lambda connection: _note(connection, reading))

    async def shift(self, step: int, reading: Reading, *, since: int) -> int:
        """Move what waits by a step of the wall clock, some rows at a time; give how many.

        The reading is noted in an order in which a crash in between makes a retry come too early,
        and nothing too late.
        """

        def unit(connection: sqlite3.Connection) -> None:
            _note(connection, reading)
            _redate(connection, reading)

        if step > 0:
            await self._writer.do(unit)
        moved = 0
        wanted = (reading.at, since, min(reading.at, reading.at - step))
        for found, used, move in (
            (_EVENTS, 3, _MOVE_EVENT),
            (_DELIVERIES, 2, _MOVE_DELIVERY),
            (_SUBJECTS, 1, _MOVE_SUBJECT),
        ):
            listed = await self._readers.rows(found, wanted[:used])
            for start in range(0, len(listed), _AT_ONCE):
                part = listed[start : start + _AT_ONCE]
                moved += await self._move(move, [(step, *row) for row in part])
        told = await self._readers.rows(_TOLD, (reading.at,))
        for start in range(0, len(told), _AT_ONCE):
            part = told[start : start + _AT_ONCE]
            moved += await self._move(_MOVE_TOLD, [(step, reading.at, *row) for row in part])
        if step < 0:
            await self._writer.do(unit)
        return moved

    async def _move(self, sql: str, moves: Sequence[tuple[object, ...]]) -> int:
        def unit(connection: sqlite3.Connection) -> int:
            before = connection.total_changes
            connection.executemany(sql, moves)
            return connection.total_changes - before

        return await self._writer.do(unit)


def _note(connection: sqlite3.Connection, reading: Reading) -> None:
    rows(
        connection,
        """INSERT INTO meta (name, value) VALUES ('clock', ?)
           ON CONFLICT DO UPDATE SET value = excluded.value""",
        (msgspec.json.encode(reading),),
    )


def _redate(connection: sqlite3.Connection, reading: Reading) -> None:
    """Say of the requests of this boot when they were by the clock as it is now."""
    offset = reading.at - reading.boot
    for destination, requests in rows(connection, "SELECT destination, requests FROM allowance"):
        found = (offset, reading.boot_id, destination, 2 * requests)
        rows(connection, _REDATE, found)
    rows(connection, _REDATE_REFUSAL, (offset, reading.boot_id))
