"""What is kept of people beside what is told of them: who is known, who is a minor, who is gone."""

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from pipeline.model import Minor
from pipeline.outbox import Became, Unsendable
from pipeline.outbox.deliveries import became
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer

#: Why a booking was skipped that could be told if its guest were another.
_OF_THE_GUEST = {"no e-mail", "unusable e-mail", "minor"}

_LISTED = "(SELECT value FROM json_each(?1))"

#: Events of these bookings: those that have made deliveries, and those that have not, or not yet.
_BODIES = (
    f"""UPDATE event SET body = NULL
        WHERE body IS NOT NULL AND id IN (
            SELECT event FROM delivery WHERE source = ?2 AND booking IN {_LISTED})""",
    f"""UPDATE event SET body = NULL
        WHERE source = ?2 AND state IN ('waiting', 'processing') AND booking IN {_LISTED}""",
    f"""UPDATE event SET body = NULL
        WHERE source = ?2 AND state = 'parked' AND booking IN {_LISTED}""",
)

#: Messages that are read at a time, each of up to `server.max_body`.
_PAGE = 8


class SqlitePeople:
    """What is asked and written of a source's customers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def is_known(self, source: str, customer: str) -> bool:
        """Tell whether a customer was ever asked for, because of a booking."""
        row = await self._readers.row(
            "SELECT 1 FROM subject WHERE source = ? AND kind = 'guest' AND key = ?",
            (source, customer),
        )
        return row is not None

    async def expect(self, source: str, customer: str) -> None:
        """Note that a customer is going to be asked for, because of a booking."""

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                # 0 is for those who were forgotten in a restore.
                """INSERT INTO subject (source, kind, key, as_of) VALUES (?, 'guest', ?, 1)
                   ON CONFLICT DO NOTHING""",
                (source, customer),
            )

        await self._writer.do(unit)

    async def others(self, source: str, customer: str) -> Sequence[str]:
        """Give the few customers beside this one who were fetched last."""
        found = await self._readers.rows(
            """SELECT key FROM subject INDEXED BY subject_doc
               WHERE kind = 'guest' AND doc IS NOT NULL AND source = ? AND key <> ?
               ORDER BY as_of DESC LIMIT 3""",
            (source, customer),
        )
        return [str(row[0]) for row in found]

    async def is_told(self, destination: str, source: str, customer: str) -> bool:
        """Tell whether a destination was told of a customer, or is to be."""
        [found] = await self._readers.row(
            """SELECT EXISTS (SELECT 1 FROM told
                              WHERE destination = ?1 AND kind = 'customer'
                                AND key = ?2 || '/' || ?3)
                   OR EXISTS (SELECT 1 FROM delivery
                              WHERE source = ?2 AND customer = ?3 AND destination = ?1
                                AND kind = 'guest'
                                AND state IN ('waiting', 'sending', 'parked'))""",
            (destination, source, customer),
        )
        return bool(found)

    async def unsendable(self, destination: str, source: str, customer: str) -> Unsendable | None:
        """Give the newest of a customer's bookings, if it could not be told because of them."""
        row = await self._readers.row(
            """SELECT id, booking, reference, as_of, reason FROM delivery
               WHERE source = ? AND customer = ? AND destination = ? AND kind = 'booking'
                 AND detail = ''
               ORDER BY as_of DESC, id DESC LIMIT 1""",
            (source, customer, destination),
        )
        if row is None or row[4] not in _OF_THE_GUEST:
            return None
        return Unsendable(delivery=row[0], booking=row[1], reference=row[2], as_of=row[3])

    async def learn_minors(self, source: str, minors: Mapping[str, Minor], *, at: int) -> None:
        """Keep who is a minor by a waiver; of several dates of birth the latest, in any order."""

        def unit(connection: sqlite3.Connection) -> None:
            for customer, minor in minors.items():
                rows(
                    connection,
                    """INSERT INTO subject (source, kind, key, as_of, doc)
                       VALUES (?, 'minor', ?, ?, ?)
                       ON CONFLICT (source, kind, key) DO UPDATE
                       SET as_of = max(excluded.as_of, subject.as_of), doc = excluded.doc
                       WHERE subject.doc IS NULL
                          OR json_extract(excluded.doc, '$.born')
                             > coalesce(json_extract(subject.doc, '$.born'), '')""",
                    (source, customer, at, msgspec.json.encode(minor).decode()),
                )

        await self._writer.do(unit)

    async def parked(
        self, source: str, customer: str, *, after: int
    ) -> Sequence[tuple[int, bytes]]:
        """Give the next messages of a source that are parked as they came, with this in them."""
        found = await self._readers.rows(
            """SELECT id, body FROM event
               WHERE state = 'parked' AND source = ? AND id > ? AND kind IN ('booking', 'other')
                 AND instr(body, CAST(? AS BLOB)) > 0
               ORDER BY id LIMIT ?""",
            (source, after, customer, _PAGE),
        )
        return [(int(row[0]), bytes(row[1])) for row in found]

    async def opts_out(self, source: str, customer: str) -> bool:
        """Tell whether an opt-out of a customer is still to be told."""
        row = await self._readers.row(
            """SELECT 1 FROM delivery
               WHERE source = ? AND customer = ? AND kind = 'consent'
                 AND state IN ('waiting', 'sending') AND state IN ('waiting', 'sending', 'parked')
               LIMIT 1""",
            (source, customer),
        )
        return row is not None

    async def is_erased(self, source: str, customer: str) -> bool:
        """Tell whether a customer was erased."""
        row = await self._readers.row(
            "SELECT 1 FROM subject WHERE source = ? AND kind = 'erased' AND key = ?",
            (source, customer),
        )
        return row is not None

    async def erase(
        self, source: str, customer: str, reason: str, *, named_in: Sequence[int] = (), now: int
    ) -> list[Became]:
        """Erase what names a customer who is gone from the source, and drop what waits for them."""
        bookings = await self._bookings(source, customer)
        ignored = await self._ignored(source, bookings)

        def unit(connection: sqlite3.Connection) -> list[Became]:
            rows(
                connection,
                """UPDATE subject SET doc = NULL, as_of = max(as_of, ?)
                   WHERE source = ? AND kind IN ('guest', 'minor') AND key = ?""",
                (now, source, customer),
            )
            for sql in _BODIES:
                rows(connection, sql, (bookings, source))
            rows(
                connection,
                """INSERT INTO subject (source, kind, key, as_of) VALUES (?, 'erased', ?, ?)
                   ON CONFLICT DO NOTHING""",
                (source, customer, now),
            )
            for event in (*ignored, *named_in):
                rows(connection, "UPDATE event SET body = NULL WHERE id = ?", (event,))
            return became(connection, _drop_work(connection, source, customer, reason, now))

        dropped = await self._writer.do(unit)
        self._writer.scrub()
        return dropped

    async def _bookings(self, source: str, customer: str) -> str:
        """List the bookings that a customer holds or held, as far as they were to be told."""
        found = await self._readers.rows(
            """SELECT DISTINCT booking FROM delivery
               WHERE source = ? AND customer = ? AND kind = 'booking'""",
            (source, customer),
        )
        return msgspec.json.encode([row[0] for row in found]).decode()

    async def _ignored(self, source: str, bookings: str) -> list[int]:
        """Find what was dropped of these bookings; it may be looked for among many."""
        found = await self._readers.rows(
            f"""SELECT id FROM event
                WHERE source = ?2 AND state = 'ignored'
                  AND state IN ('done', 'ignored', 'parked')
                  AND body IS NOT NULL AND booking IN {_LISTED}""",
            (bookings, source),
        )
        return [int(row[0]) for row in found]


def _drop_work(
    connection: sqlite3.Connection, source: str, customer: str, reason: str, now: int
) -> Sequence[int]:
    found = rows(
        connection,
        """UPDATE delivery SET state = 'erased', reason = ?, waits_for = NULL, updated_at = ?
           WHERE source = ? AND customer = ? AND state IN ('waiting', 'parked')
             AND state IN ('waiting', 'sending', 'parked')
           RETURNING id""",
        (reason, now, source, customer),
    )
    for [delivery] in found:
        # Of somebody else, if anything: it finds out by itself for whom it is to wait.
        rows(connection, "UPDATE delivery SET waits_for = NULL WHERE waits_for = ?", (delivery,))
    return [int(row[0]) for row in found]
