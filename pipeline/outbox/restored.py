"""What an outbox that was put back from a backup does not know, and how that harms nobody.

It does not know how its guests have changed since, so none is known any more, and what has not gone
out is decided anew from its event, which fetches the guest as any event does. Nor does it know what
was sent: see `SqliteLedger.presume_spent`, and for what must not be sent twice
`Facts.restored_at`. An opt-out stays owed, and has its guest fetched itself: the event that it was
heard with may be of somebody else.
"""

import sqlite3

from pipeline.outbox.deliveries import end_all_leases
from pipeline.outbox.query import rows

#: The booking's newest event too: a guest's delivery may serve a newer one than it was made for,
#: and only the newest makes it again.
_EVENTS_BACK = """
    UPDATE event SET state = 'waiting', reason = NULL, due_at = ?1, updated_at = ?1, attempts = 0,
                     first_failure_at = NULL, wary = 1
    WHERE state = 'done' AND id IN (
        SELECT d.event FROM delivery AS d WHERE {which}
        UNION
        SELECT s.event FROM delivery AS d
        JOIN event AS e ON e.id = d.event
        JOIN subject AS s ON s.source = e.source AND s.kind = 'booking' AND s.key = e.booking
        WHERE {which})
"""
#: The delivery that is made anew supersedes it, as it does whatever was skipped.
_SKIP = """
    UPDATE delivery AS d SET state = 'skipped', reason = 'restored: decided anew',
                             waits_for = NULL, updated_at = ?1
    WHERE {which} RETURNING id
"""
_WAITING = "d.state = 'waiting' AND d.kind <> 'consent'"
_ONE = "d.id = ?2"
_WAITS_FOR_IT = "d.waits_for = ?2"


def distrust(connection: sqlite3.Connection, now: int) -> None:
    """Let nothing go out that rests on what a backup says of guests, and mark it as restored."""
    end_all_leases(connection, now)
    _decide_anew(connection, _WAITING, (now,))
    # What has parked must not come back to wait for a guest's delivery that has ended.
    rows(
        connection,
        """UPDATE delivery SET waits_for = NULL
           WHERE state = 'parked'
             AND waits_for IN (SELECT id FROM delivery WHERE state = 'skipped')""",
    )
    # What has parked is decided anew when a person retries it; see below.
    rows(connection, "UPDATE subject SET doc = NULL, as_of = 0 WHERE kind = 'guest'")
    # Nor is it known what people have said since, here and there: so each record is heard as if
    # for the first time, and the destination is asked for what it has.
    rows(
        connection,
        """UPDATE told SET doc = json_set(json_remove(doc, '$.seen', '$.consent.changed'),
                                          '$.consent.behind', json('{}'))
           WHERE kind = 'guest' AND json_type(doc, '$.consent') = 'object'""",
    )
    # What the destination had not at the backup it may have now.
    rows(
        connection,
        "DELETE FROM told WHERE kind = 'booking' AND json_extract(doc, '$.absent')",
    )
    rows(
        connection,
        """INSERT OR REPLACE INTO meta (name, value)
           VALUES ('restored', CAST(?1 AS BLOB)), ('restored_at', CAST(?1 AS BLOB))""",
        (str(now),),
    )


def decide_anew_if_forgotten(connection: sqlite3.Connection, delivery: int, now: int) -> list[int]:
    """Have a parked delivery made anew if its guest was forgotten here; give all that were."""
    forgotten = rows(
        connection,
        """SELECT d.id FROM delivery AS d
           JOIN subject AS s ON s.source = d.source AND s.kind = 'guest' AND s.key = d.customer
           WHERE d.id = ? AND d.state = 'parked' AND d.kind <> 'consent'
             AND s.doc IS NULL AND s.as_of = 0""",
        (delivery,),
    )
    if not forgotten:
        return []
    waiting = _decide_anew(connection, _WAITS_FOR_IT, (now, delivery))
    return _decide_anew(connection, _ONE, (now, delivery)) + waiting


def _decide_anew(
    connection: sqlite3.Connection, which: str, parameters: tuple[object, ...]
) -> list[int]:
    rows(connection, _EVENTS_BACK.format(which=which), parameters)
    return [int(row[0]) for row in rows(connection, _SKIP.format(which=which), parameters)]
