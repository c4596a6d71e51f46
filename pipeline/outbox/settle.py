"""Makes the deliveries of an event: one transaction in which everything falls into place."""

from collections.abc import Sequence

import aiosqlite

from pipeline.model import Delivery, DeliveryKind, DeliveryState, Event
from pipeline.outbox import Intent
from pipeline.outbox.query import rows

_INSERT = """
    INSERT INTO delivery (event, source, destination, kind, detail, booking, reference, customer,
                          priority, state, reason, superseded_by, created_at, updated_at, due_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?13)
    RETURNING id
"""


async def settle(
    connection: aiosqlite.Connection, event: Event, intents: Sequence[Intent], now: int
) -> None:
    """Make an event's deliveries and call it done; see `Deliveries.settle`."""
    ended = await rows(
        connection,
        """UPDATE event SET state = 'done', reason = NULL, updated_at = ?
           WHERE id = ? AND state = 'processing' RETURNING id""",
        (now, event.id),
    )
    if not ended:  # its lease ran out and another went on with it: that one makes the deliveries
        return
    for destination in dict.fromkeys(intent.destination for intent in intents):
        mine = [intent for intent in intents if intent.destination == destination]
        guest = await _guest(connection, event, mine, now)
        for intent in mine:
            if intent.kind is DeliveryKind.BOOKING:
                await _booking(connection, event, intent, guest, now)
            elif intent.kind is DeliveryKind.TAG:
                await _tag(connection, event, intent, guest, now)


async def ensure_guest(
    connection: aiosqlite.Connection, delivery: Delivery, customer: str, now: int
) -> tuple[int, bool]:
    """Give a guest's open delivery at a destination, made if there is none, and if it parked."""
    found = await rows(
        connection,
        """SELECT id, state = 'parked' FROM delivery
           WHERE source = ? AND customer = ? AND destination = ? AND kind = 'guest'
             AND state IN ('waiting', 'sending', 'parked')
           ORDER BY state = 'parked', id DESC LIMIT 1""",
        (delivery.source, customer, delivery.destination),
    )
    for guest, parked in found:
        return int(guest), bool(parked)
    row = (delivery.event, delivery.source, delivery.destination, DeliveryKind.GUEST, "", None,
           None, customer, delivery.priority, DeliveryState.WAITING, None, None, now)  # fmt: skip
    return await _insert(connection, row), False


async def _guest(
    connection: aiosqlite.Connection, event: Event, intents: Sequence[Intent], now: int
) -> int | None:
    """Make the guest's delivery, or find the one that is open; None when neither is."""
    customer = next((intent.customer for intent in intents if intent.customer), None)
    wanted = next((intent for intent in intents if intent.kind is DeliveryKind.GUEST), None)
    destination = intents[0].destination
    found = await _open_guest(connection, event.source, customer, destination)
    if wanted is None or found is not None:
        if wanted is not None:
            await rows(
                connection,
                "UPDATE delivery SET priority = min(priority, ?) WHERE id = ?",
                (wanted.priority, found),
            )
        return found
    made = await _insert(connection, _row(event, wanted, None, now))
    await _replace_parked_guest(connection, event, wanted, made, now)
    return made


async def _replace_parked_guest(
    connection: aiosqlite.Connection, event: Event, wanted: Intent, made: int, now: int
) -> None:
    """Let new details replace a parked guest, and whatever parked with it wait for them."""
    parked = await rows(
        connection,
        """UPDATE delivery SET state = 'superseded', superseded_by = ?1, updated_at = ?2
           WHERE source = ?3 AND customer = ?4 AND destination = ?5 AND kind = 'guest'
             AND state = 'parked'
           RETURNING id""",
        (made, now, event.source, wanted.customer, wanted.destination),
    )
    for [old] in parked:
        await rows(
            connection,
            """UPDATE delivery SET state = 'waiting', reason = NULL, waits_for = ?1,
                                   due_at = ?2, updated_at = ?2
               WHERE waits_for = ?3""",
            (made, now, old),
        )


async def _booking(
    connection: aiosqlite.Connection, event: Event, intent: Intent, guest: int | None, now: int
) -> None:
    newer = await _next_newer(connection, event, intent.destination)
    if newer is not None:
        await _insert(connection, _row(event, intent, newer, now))
        return
    made = await _insert(connection, _row(event, intent, None, now))
    waiting = intent.state is DeliveryState.WAITING
    # A skipped one is replaced only by what can be sent, for its reason still holds otherwise.
    await rows(
        connection,
        """UPDATE delivery SET state = 'superseded', superseded_by = ?1, reason = NULL,
                               waits_for = NULL, updated_at = ?2
           WHERE source = ?3 AND booking = ?4 AND destination = ?5 AND kind = 'booking'
             AND id <> ?1 AND (state IN ('waiting', 'parked') OR (?6 AND state = 'skipped'))""",
        (made, now, event.source, event.booking, intent.destination, waiting),
    )
    if waiting and guest is not None:
        await _wait_for(connection, made, guest)


async def _tag(
    connection: aiosqlite.Connection, event: Event, intent: Intent, guest: int | None, now: int
) -> None:
    found = await rows(
        connection,
        """SELECT id FROM delivery
           WHERE source = ? AND booking = ? AND destination = ? AND kind = 'tag' AND detail = ?
             AND state IN ('waiting', 'sending')""",
        (event.source, event.booking, intent.destination, intent.detail),
    )
    made = int(found[0][0]) if found else await _insert(connection, _row(event, intent, None, now))
    if found:
        # It may have been made for another guest, if the booking has changed hands.
        await rows(
            connection,
            "UPDATE delivery SET customer = ? WHERE id = ? AND state = 'waiting'",
            (intent.customer, made),
        )
    if guest is not None:
        await _wait_for(connection, made, guest)


async def _next_newer(
    connection: aiosqlite.Connection, event: Event, destination: str
) -> int | None:
    """Give the delivery of the booking's next newer event, if this one came out of order."""
    found = await rows(
        connection,
        """SELECT delivery.id FROM delivery JOIN event ON event.id = delivery.event
           WHERE delivery.source = ? AND delivery.booking = ? AND delivery.destination = ?
             AND delivery.kind = 'booking' AND event.occurred_at > ?
           ORDER BY event.occurred_at, delivery.id LIMIT 1""",
        (event.source, event.booking, destination, event.occurred_at),
    )
    for [newer] in found:
        return int(newer)
    return None


async def _open_guest(
    connection: aiosqlite.Connection, source: str, customer: str | None, destination: str
) -> int | None:
    found = await rows(
        connection,
        """SELECT id FROM delivery
           WHERE source = ? AND customer = ? AND destination = ? AND kind = 'guest'
             AND state IN ('waiting', 'sending')""",
        (source, customer, destination),
    )
    for [guest] in found:
        return int(guest)
    return None


async def _wait_for(connection: aiosqlite.Connection, delivery: int, guest: int) -> None:
    sql = "UPDATE delivery SET waits_for = ? WHERE id = ? AND state = 'waiting'"
    await rows(connection, sql, (guest, delivery))


async def _insert(connection: aiosqlite.Connection, row: Sequence[object]) -> int:
    [[made]] = await rows(connection, _INSERT, row)
    return int(made)


def _row(event: Event, intent: Intent, superseded_by: int | None, now: int) -> tuple[object, ...]:
    state = intent.state if superseded_by is None else DeliveryState.SUPERSEDED
    return (
        event.id,
        event.source,
        intent.destination,
        intent.kind,
        intent.detail,
        None if intent.kind is DeliveryKind.GUEST else event.booking,
        None if intent.kind is DeliveryKind.GUEST else event.reference,
        intent.customer,
        intent.priority,
        state,
        intent.reason if superseded_by is None else None,
        superseded_by,
        now,
    )
