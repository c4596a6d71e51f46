"""Writes what a destination was told, within a transaction."""

import sqlite3

import msgspec

from pipeline.model import OWN_CALL, Delivery, Outcome, ToldGuest
from pipeline.outbox import Ending, Learnt, Remembered
from pipeline.outbox.query import rows

_told_guest = msgspec.json.Decoder(ToldGuest)

#: A key that is patched with NULL goes. The schema's trigger `doubt_retried` does the same.
_FORGET_CONSENT = """
    UPDATE told
    SET doc = json_patch(told.doc, json_object('maybe', json_object(doubt.key, NULL)))
    FROM (SELECT key, json_extract(doc, '$.person') AS person FROM told
          WHERE destination = ?1 AND kind = 'booking' AND key = ?2 || '/' || ?3
            AND json_extract(doc, '$.in_doubt')) AS doubt
    WHERE told.destination = ?1 AND told.kind = 'guest' AND told.key = doubt.person
"""


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


def told_guest(
    connection: sqlite3.Connection, destination: str, person: str | None
) -> ToldGuest | None:
    """Give what a destination was told of a person, as this transaction finds it."""
    found = rows(
        connection,
        "SELECT doc FROM told WHERE destination = ? AND kind = 'guest' AND key = ?",
        (destination, person),
    )
    return _told_guest.decode(found[0][0]) if found else None


def learn_customer(
    connection: sqlite3.Connection, delivery: Delivery, learnt: Learnt, now: int
) -> None:
    """Keep that a customer was told of, whatever their e-mail is later."""
    record = f"{delivery.source}/{delivery.customer}"
    told = learnt.told
    if not isinstance(told, ToldGuest) or told.consent is None:
        return
    if record in told.consent.behind:
        rows(
            connection,
            """INSERT INTO told (destination, kind, key, doc, updated_at)
               VALUES (?, 'customer', ?, '{}', ?) ON CONFLICT DO NOTHING""",
            (delivery.destination, record, now),
        )


def remember(connection: sqlite3.Connection, remembered: Remembered) -> None:
    """Note what a record of a person says who was told, and of which nothing is to be sent."""
    said = {remembered.record: msgspec.to_builtins(remembered.said)}
    rows(
        connection,
        """UPDATE told
           SET doc = json_set(doc, '$.consent.behind',
                              json_patch(json_extract(doc, '$.consent.behind'), ?1))
           WHERE destination = ?2 AND kind = 'guest' AND key = ?3
             AND json_type(doc, '$.consent') = 'object'""",
        (msgspec.json.encode(said).decode(), remembered.destination, remembered.person),
    )


def undo(connection: sqlite3.Connection, attempt: int, person: str) -> None:
    """Forget what a person may have been told by a call of their own that was refused."""
    rows(
        connection,
        """UPDATE told SET doc = json_patch(doc, json_object('maybe', json_object(?, NULL)))
           WHERE destination = (SELECT destination FROM attempt WHERE id = ?)
             AND kind = 'guest' AND key = ?""",
        (OWN_CALL, attempt, person),
    )


def end_doubt(connection: sqlite3.Connection, delivery: Delivery, ending: Ending | None) -> None:
    """Forget that a booking may be registered, once it is known that this attempt did not."""
    if ending is None or ending.outcome is Outcome.UNKNOWN:
        return
    booking = (delivery.destination, delivery.source, delivery.booking)
    rows(connection, _FORGET_CONSENT, booking)
    rows(
        connection,
        """UPDATE told SET doc = json_object('guest', NULL, 'customer', NULL, 'payload_hash', '',
                                             'absent', json('true'))
           WHERE destination = ?1 AND kind = 'booking' AND key = ?2 || '/' || ?3
             AND json_extract(doc, '$.in_doubt')""",
        booking,
    )
