"""The attempts on the wire, as an allowance needs them."""

import sqlite3

from pipeline.outbox import Ending, Entry, Opening, Restraint
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.told import learn, undo
from pipeline.outbox.writer import Writer

#: In the form of requests: those are what the budget, its view and every later start count.
_SPEND = """
    WITH RECURSIVE slot (n) AS (
        VALUES (1) UNION ALL SELECT n + 1 FROM slot WHERE n < (SELECT max(requests) FROM allowance))
    INSERT INTO attempt (destination, method, path, started_at, started_boot, boot_id, timeout_us,
                         ended_at, ended_boot, outcome, note)
    SELECT destination, '?', '?', ?1, ?2, ?3, 0, ?1, ?2, 'unknown',
           'restored from a backup: it may have been sent since'
    FROM allowance JOIN slot ON n <= requests
"""


def end_attempt(connection: sqlite3.Connection, ending: Ending | None) -> None:
    """Close an attempt within a transaction; None closes none."""
    if ending is None:
        return
    rows(
        connection,
        """UPDATE attempt SET outcome = ?, status = ?, note = ?, ended_at = ?, ended_boot = ?
           WHERE id = ?""",
        (ending.outcome, ending.status, ending.note, ending.at, ending.boot, ending.attempt),
    )
    if ending.learnt is not None:
        _learn(connection, ending.attempt, ending.learnt)
    for person in ending.undone:
        undo(connection, ending.attempt, person)


def _learn(connection: sqlite3.Connection, attempt: int, learnt: Restraint) -> None:
    rows(
        connection,
        """UPDATE allowance
           SET twentieths = ?, hold_us = ?, learnt_at = ?, learnt_boot = ?, boot_id = ?
           WHERE destination = (SELECT destination FROM attempt WHERE id = ?)""",
        (learnt.twentieths, learnt.hold, learnt.at, learnt.boot, learnt.boot_id, attempt),
    )


class SqliteLedger:
    """What a budget asks of the outbox."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def allow(self, destination: str, requests: int, window: int) -> None:
        """Note a destination's configured allowance."""

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                """INSERT INTO allowance (destination, requests, window_us) VALUES (?, ?, ?)
                   ON CONFLICT DO UPDATE
                   SET requests = excluded.requests, window_us = excluded.window_us""",
                (destination, requests, window),
            )

        await self._writer.do(unit)

    async def presume_spent(self, *, at: int, boot: int, boot_id: str) -> bool:
        """Spend every allowance in full, once after a restore; tell whether this is that start."""

        def unit(connection: sqlite3.Connection) -> bool:
            if not rows(connection, "DELETE FROM meta WHERE name = 'restored' RETURNING name"):
                return False
            rows(connection, _SPEND, (at, boot, boot_id))
            return True

        return await self._writer.do(unit)

    async def open(self, opening: Opening) -> int:
        """Write an attempt down before it leaves, and give its id."""

        def unit(connection: sqlite3.Connection) -> int:
            for doubt in opening.doubts:
                learn(connection, opening.destination, doubt, opening.at)
            [row] = rows(
                connection,
                """INSERT INTO attempt (destination, delivery, method, path, started_at,
                                        started_boot, boot_id, timeout_us)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id""",
                (
                    opening.destination,
                    opening.delivery,
                    opening.method,
                    opening.path,
                    opening.at,
                    opening.boot,
                    opening.boot_id,
                    opening.timeout,
                ),
            )
            return int(row[0])

        return await self._writer.do(unit)

    async def close(self, ending: Ending) -> None:
        """Close an attempt that serves no single delivery."""

        def unit(connection: sqlite3.Connection) -> None:
            end_attempt(connection, ending)

        await self._writer.do(unit)

    async def entries(self, destination: str, *, newest: int) -> list[Entry]:
        """Give the attempts that are open, and this many of the newest, in any order."""
        columns = "started_at, started_boot, boot_id, timeout_us, ended_at, ended_boot, id"
        found = await self._readers.rows(
            f"""SELECT {columns} FROM attempt WHERE destination = ?1 AND outcome = 'open'
                UNION
                SELECT * FROM (SELECT {columns} FROM attempt WHERE destination = ?1
                               ORDER BY id DESC LIMIT ?2)""",
            (destination, newest),
        )
        return [
            Entry(
                started_at=row[0],
                started_boot=row[1],
                boot_id=row[2],
                timeout=row[3],
                ended_at=row[4],
                ended_boot=row[5],
            )
            for row in found
        ]

    async def learnt(self, destination: str) -> Restraint | None:
        """Give what the last answer 429 has taught, if there ever was one."""
        row = await self._readers.row(
            """SELECT twentieths, hold_us, learnt_at, learnt_boot, boot_id FROM allowance
               WHERE destination = ? AND learnt_at IS NOT NULL""",
            (destination,),
        )
        if row is None:
            return None
        twentieths, hold, at, boot, boot_id = row
        return Restraint(twentieths=twentieths, hold=hold, at=at, boot=boot, boot_id=boot_id)
