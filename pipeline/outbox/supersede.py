"""Lets a delivery give way to a newer one of the same thing."""

import sqlite3

from pipeline.model import DeliveryKind
from pipeline.outbox.query import rows

#: Deliveries that tell of a guest, and that bookings and tags may wait for.
OF_GUESTS = frozenset({DeliveryKind.GUEST, DeliveryKind.CONSENT})

_OF_GUEST = "n.customer = d.customer AND n.id > d.id AND n.state = 'waiting'"

#: What makes a delivery `n` a newer one of the same thing as `d`. A booking's may have any state,
#: for the newest event decides what becomes of a booking; a guest or a tag has no order of events.
_NEWER = {
    # What tells of a visit stands beside that, and has no order of events either.
    DeliveryKind.BOOKING: """n.booking = d.booking AND n.detail = d.detail
                             AND iif(d.detail = '', (n.as_of, n.id) > (d.as_of, d.id),
                                     n.id > d.id AND n.state = 'waiting')""",
    DeliveryKind.GUEST: _OF_GUEST,
    DeliveryKind.CONSENT: _OF_GUEST,
    DeliveryKind.TAG: """n.booking = d.booking AND n.detail = d.detail AND n.id > d.id
                         AND n.state = 'waiting'""",
}


def give_way(connection: sqlite3.Connection, delivery: int, kind: DeliveryKind, now: int) -> bool:
    """Let a delivery that was under way be superseded by one that came meanwhile; tell whether."""
    if kind not in _NEWER:
        return False
    # A guest's are found by the customer: the same words as in the index `delivery_open`.
    is_open = "n.state IN ('waiting', 'sending', 'parked')" if kind in OF_GUESTS else "1"
    found = rows(
        connection,
        f"""SELECT n.id FROM delivery AS d
            JOIN delivery AS n ON n.source = d.source AND n.destination = d.destination
                              AND n.kind = d.kind AND {_NEWER[kind]} AND {is_open}
            WHERE d.id = ? AND d.state IN ('waiting', 'parked')
            ORDER BY n.as_of, n.id LIMIT 1""",
        (delivery,),
    )
    for [newer] in found:
        supersede(connection, delivery, newer, now)
    return bool(found)


#: Deliveries that were superseded, each with its successor.
Replaced = list[tuple[int, int]]


def supersede(connection: sqlite3.Connection, old: int, new: int, now: int) -> Replaced:
    """End a delivery in favour of a newer one; what waits for it, or parked with it, waits anew."""
    rows(
        connection,
        """UPDATE delivery SET state = 'superseded', superseded_by = ?, reason = NULL,
                               waits_for = NULL, updated_at = ?
           WHERE id = ?""",
        (new, now, old),
    )
    rows(
        connection,
        """UPDATE delivery SET state = 'waiting', reason = NULL, waits_for = ?1,
                               due_at = ?2, updated_at = ?2
           WHERE waits_for = ?3""",
        (new, now, old),
    )
    return [(old, new)]


def supersede_bookings(
    connection: sqlite3.Connection, newest: int, *, skipped: bool, now: int
) -> Replaced:
    """End what a booking's newest delivery replaces, each in favour of its immediate successor.

    With `skipped` also what was skipped, for its reason holds no longer.
    """
    return rows(
        connection,
        """UPDATE delivery AS d
           SET state = 'superseded', reason = NULL, waits_for = NULL, updated_at = ?2,
               superseded_by = (SELECT n.id FROM delivery AS n
                                WHERE n.source = d.source AND n.booking = d.booking
                                  AND n.destination = d.destination AND n.kind = 'booking'
                                  AND n.detail = '' AND (n.as_of, n.id) > (d.as_of, d.id)
                                ORDER BY n.as_of, n.id LIMIT 1)
           FROM (SELECT source, booking, destination FROM delivery WHERE id = ?1) AS same
           WHERE d.source = same.source AND d.booking = same.booking
             AND d.destination = same.destination AND d.kind = 'booking' AND d.id <> ?1
             AND d.detail = ''
             AND (d.state IN ('waiting', 'parked') OR (?3 AND d.state = 'skipped'))
           RETURNING id, superseded_by""",
        (newest, now, skipped),
    )
