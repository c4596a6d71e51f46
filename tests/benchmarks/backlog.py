"""Makes outboxes with much in them, as they look when ROLLER or Stampede has been down for long."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec

from pipeline.model import Action, Arrival, EventState, Guest, Kind, Origin
from pipeline.outbox.sqlite import open_outbox
from pipeline.sources.roller.messages import read_booking
from tests.benchmarks.daemon import DESTINATION, SOURCE
from tests.benchmarks.message import new_key, parts

_AT_ONCE = 1000


def waiting_events(path: Path, count: int) -> None:
    """Make an outbox whose events wait: taken in by its own means, as receive does."""
    asyncio.run(_take_in(path, count))


def waiting_deliveries(path: Path) -> None:
    """Turn an outbox of waiting events into one where all is enriched and waits to be delivered.

    By SQL: one transaction for each of so many events would take minutes.
    """
    now = _now()
    with closing(sqlite3.connect(path)) as connection, connection:
        events = connection.execute("SELECT id, occurred_at, body FROM event").fetchall()
        connection.executemany(
            "INSERT INTO subject (source, kind, key, as_of, event, doc) VALUES (?, ?, ?, ?, ?, ?)",
            (row for event in events for row in _subjects(*event)),
        )
        connection.execute(
            """INSERT INTO delivery (event, source, destination, kind, booking, reference, customer,
                                     priority, state, as_of, created_at, updated_at, due_at)
               SELECT id, source, ?1, 'booking', booking, reference, id, 2, 'waiting', occurred_at,
                      ?2, ?2, ?2
               FROM event""",
            (DESTINATION, now),
        )
        connection.execute("UPDATE event SET state = 'done', updated_at = ?", (now,))


async def _take_in(path: Path, count: int) -> None:
    pieces = parts()
    async with open_outbox(path) as outbox:
        for start in range(0, count, _AT_ONCE):
            arrivals = [_arrival(pieces) for _ in range(min(_AT_ONCE, count - start))]
            await asyncio.gather(*map(outbox.intake.accept, arrivals))


def _arrival(pieces: list[bytes]) -> Arrival:
    key, now = new_key(), _now()
    return Arrival(
        source=SOURCE,
        origin=Origin.WEBHOOK,
        key=key,
        kind=Kind.BOOKING,
        action=Action.CREATED,
        occurred_at=now,
        booking=key,
        reference="9774710",
        received_at=now,
        state=EventState.WAITING,
        reason=None,
        body=key.encode().join(pieces),
    )


def _subjects(event: int, occurred_at: int, body: bytes) -> list[tuple[object, ...]]:
    """Give the rows of an event's booking and of its guest, who has no other booking."""
    customer = str(event)
    booking = msgspec.structs.replace(read_booking(body, Action.CREATED), customer=customer)
    guest = Guest(customer=customer, first="Ada", last="Example", email=f"{event}@example.com")
    return [
        (SOURCE, kind, key, occurred_at, event, msgspec.json.encode(doc).decode())
        for kind, key, doc in (("booking", booking.id, booking), ("guest", customer, guest))
    ]


def _now() -> int:
    return time.time_ns() // 1000
