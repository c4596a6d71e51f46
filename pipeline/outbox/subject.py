"""Writes what is true, within a transaction."""

import sqlite3

import msgspec

from pipeline.clock import SECOND
from pipeline.model import Guest
from pipeline.outbox.query import rows

#: What was fetched so many microseconds after what has just come was fetched by a clock that was
#: set back since: no answer takes so long.
_AHEAD = 60 * SECOND

_guest = msgspec.json.Decoder(Guest)


def learn_subject(
    connection: sqlite3.Connection,
    source: str,
    kind: str,
    key: str,
    *,
    as_of: int,
    doc: bytes,
    event: int | None = None,
) -> bool:
    """Keep what is true of a subject, unless something newer is known; tell whether it is kept."""
    kept = rows(
        connection,
        """INSERT INTO subject (source, kind, key, as_of, doc, event)
           VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (source, kind, key) DO UPDATE
           SET as_of = excluded.as_of, doc = excluded.doc, event = excluded.event
           WHERE excluded.as_of >= subject.as_of
              OR (kind <> 'booking' AND subject.as_of > excluded.as_of + ?)
           RETURNING id""",
        (source, kind, key, as_of, doc.decode(), event, _AHEAD),
    )
    return bool(kept)


def known_guest(connection: sqlite3.Connection, source: str, customer: str) -> Guest | None:
    """Give a guest as this transaction finds them."""
    found = rows(
        connection,
        """SELECT doc FROM subject
           WHERE source = ? AND kind = 'guest' AND key = ? AND doc IS NOT NULL""",
        (source, customer),
    )
    return _guest.decode(found[0][0]) if found else None
