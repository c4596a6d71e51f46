"""Arrivals, intents and a look into the file, for the tests of the outbox."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pipeline.model import (
    Action,
    Arrival,
    Booking,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Event,
    EventState,
    Kind,
    Origin,
    Outcome,
    Phase,
    Priority,
)
from pipeline.outbox import Ending, Intent, Line, Opening, Pick
from pipeline.outbox.sqlite import SqliteOutbox

#: Some moment, in microseconds; tests reckon from it.
T0 = 1_800_000_000_000_000
LEASE = 60_000_000


def arrival(
    key: str,
    *,
    booking: str = "b",
    at: int = T0,
    source: str = "leeds",
    origin: Origin = Origin.WEBHOOK,
) -> Arrival:
    """Make a booking webhook that came and happened at `at`."""
    return Arrival(
        source=source,
        origin=origin,
        key=key,
        kind=Kind.BOOKING,
        action=Action.UPDATED,
        occurred_at=at,
        booking=booking,
        reference=f"ref-{booking}",
        received_at=at,
        state=EventState.WAITING,
        reason=None,
        body=b'{"marker": "\xff"}',
    )


async def claimed(outbox: SqliteOutbox, key: str, **fields: Any) -> Event:
    """Take in an event and lease it."""
    receipt = await outbox.intake.accept(arrival(key, **fields))
    [event] = await outbox.events.claim([receipt.event], now=T0 * 2, until=T0 * 2 + LEASE)
    return event


def intent(
    kind: DeliveryKind = DeliveryKind.BOOKING,
    state: DeliveryState = DeliveryState.WAITING,
    *,
    customer: str | None = "c",
    priority: int = Priority.NEW,
    detail: str = "",
    reason: str | None = None,
    spare: bool = False,
) -> Intent:
    """Make an intent for Stampede."""
    return Intent(
        destination="stampede",
        kind=kind,
        detail=detail,
        state=state,
        reason=reason,
        priority=priority,
        customer=customer,
        spare=spare,
    )


GUEST = intent(DeliveryKind.GUEST)
BOOKING = intent()
TAG = intent(DeliveryKind.TAG, detail="status", priority=Priority.TAG)


async def settled(outbox: SqliteOutbox, key: str, *intents: Intent, **fields: Any) -> Event:
    """Take in an event and make its deliveries."""
    event = await claimed(outbox, key, **fields)
    await outbox.events.learn_booking(
        event, Booking(id=event.booking or "", customer="c", phase=Phase.ACTIVE)
    )
    await outbox.deliveries.settle(event, intents, now=T0)
    return event


def lines(most: int = Priority.BACKFILL) -> list[Line]:
    """Give the lines of these classes, each with the same order of the sources."""
    return [
        Line(priority=priority, source=source, begun=begun)
        for priority in range(1, most + 1)
        for begun in (True, False)
        for source in ("leeds", "york")
    ]


async def next_delivery(
    outbox: SqliteOutbox,
    *,
    now: int = T0,
    most: int = Priority.BACKFILL,
    probe: bool = False,
    until: int | None = None,
) -> Delivery:
    """Lease what goes next to Stampede."""
    found = await outbox.deliveries.claim(
        "stampede",
        lines(most),
        pick=Pick.LEAST_TRIED if probe else Pick.FIRST,
        now=now,
        until=now + LEASE if until is None else until,
    )
    assert found is not None, "nothing may go"
    return found


async def nothing_goes(outbox: SqliteOutbox, *, now: int = T0, most: int = 6) -> bool:
    """Tell whether nothing may go to Stampede."""
    return (
        await outbox.deliveries.claim("stampede", lines(most), now=now, until=now + LEASE) is None
    )


def opening(delivery: Delivery) -> Opening:
    """Make what is written down before the request of a delivery leaves."""
    return Opening(
        destination=delivery.destination,
        delivery=delivery.id,
        method="POST",
        path="/v1/guests",
        at=T0,
        boot=T0,
        boot_id="boot",
        timeout=30_000_000,
    )


async def sent(outbox: SqliteOutbox, delivery: Delivery, outcome: Outcome) -> Ending:
    """Make the request of a delivery, and give its ending."""
    attempt = await outbox.ledger.open(opening(delivery))
    return Ending(attempt=attempt, outcome=outcome, status=200, at=T0 + 1, boot=T0 + 1)


def change(path: Path, sql: str, *parameters: object) -> None:
    """Change the file while no outbox is open."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(sql, parameters)
    finally:
        connection.close()


def look(path: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Look into the file as a user does."""
    [found] = _look(path, sql, parameters=parameters)
    return found


def conserved(path: Path) -> None:
    """Assert that the counters are what a count of the rows gives."""
    rows, duplicates, counters, kept, owed = _look(
        path,
        """SELECT 'event', source, state FROM event
           UNION ALL SELECT 'delivery', destination, state FROM delivery""",
        "SELECT source, sum(duplicates) FROM event GROUP BY source",
        "SELECT * FROM counter",
        "SELECT * FROM owed WHERE n <> 0",
        """SELECT destination, priority, kind, count(*) FROM delivery
           WHERE state IN ('waiting', 'sending') GROUP BY 1, 2, 3""",
    )
    counted = Counter[tuple[str, str, str]](rows)
    for source, n in duplicates:
        counted["event", source, "duplicates"] += n
    assert +Counter({(w, o, s): n for w, o, s, n in counters}) == +counted
    assert set(kept) == set(owed)


def _look(
    path: Path, *statements: str, parameters: Sequence[object] = ()
) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [connection.execute(sql, parameters).fetchall() for sql in statements]
