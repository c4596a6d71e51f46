"""Keeps what is counted about the sources for years: requests by month, drift by its name."""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.outbox import Note
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer

#: Whether a name is counted already, and how many of its kind are.
_PLACE = """
    SELECT EXISTS (SELECT 1 FROM noted WHERE source = ?1 AND what = ?2 AND name = ?3),
           (SELECT count(*) FROM noted WHERE source = ?1 AND what = ?2)
"""
_ADD = """
    INSERT INTO noted (source, what, name, n, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET n = n + excluded.n, last_at = max(last_at, excluded.last_at)
"""


class SqliteNoted:
    """What is counted about the sources."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def add(self, notes: Sequence[Note], *, most: int, rest: str) -> list[Note]:
        """Add to what is counted, and give those of what was not counted before."""

        def unit(connection: sqlite3.Connection) -> list[Note]:
            return [one for one in notes if _add(connection, one, most, rest)]

        return await self._writer.do(unit)

    async def all(self) -> list[Note]:
        """Give all that is counted."""
        return await all_notes(self._readers)


async def all_notes(readers: Readers) -> list[Note]:
    """Read all that is counted."""
    found = await readers.rows("SELECT source, what, name, n, first_at, last_at FROM noted")
    return [Note(**dict(zip(Note.__struct_fields__, row, strict=True))) for row in found]


def _add(connection: sqlite3.Connection, note: Note, most: int, rest: str) -> bool:
    [[is_known, names]] = rows(connection, _PLACE, (note.source, note.what, note.name))
    name = note.name if is_known or names < most else rest
    row = msgspec.structs.astuple(msgspec.structs.replace(note, name=name))
    rows(connection, _ADD, row)
    return name == note.name and not is_known
