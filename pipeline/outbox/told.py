"""Writes what a destination was told, within a transaction."""

import sqlite3

import msgspec

from pipeline.model import Delivery, Outcome, ToldGuest
from pipeline.outbox import Ending, Learnt
from pipeline.outbox.query import rows


def learn(connection: sqlite3.Connection, destination: str, learnt: Learnt, now: int) -> None:
    """Keep what a destination knows now, in place of what it knew."""
    guest = isinstance(learnt.told, ToldGuest)
    remote_id = learnt.told.remote_id if isinstance(learnt.told, ToldGuest) else learnt.told.guest
    rows(
        connection,
        """INSERT INTO told (destination, kind, key, remote_id, doc, updated_at)
           VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET remote_id = excluded.remote_id, doc = excluded.doc,
                                     updated_at = excluded.updated_at""",
        (
            destination,
            "guest" if guest else "booking",
            learnt.key,
            remote_id,
            msgspec.json.encode(learnt.told).decode(),
            now,
        ),
    )


def end_doubt(connection: sqlite3.Connection, delivery: Delivery, ending: Ending | None) -> None:
    """Forget that a booking may be registered, once it is known that this attempt did not."""
    if ending is None or ending.outcome is Outcome.UNKNOWN:
        return
    rows(
        connection,
        """DELETE FROM told
           WHERE destination = ?1 AND kind = 'booking' AND key = ?2 || '/' || ?3
             AND json_extract(doc, '$.in_doubt')""",
        (delivery.destination, delivery.source, delivery.booking),
    )
