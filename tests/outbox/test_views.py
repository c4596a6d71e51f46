"""The views that people and their tools rely on."""

from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from pipeline.model import Booking, DeliveryState, Guest, Outcome, Phase
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    T0,
    TAG,
    arrival,
    claimed,
    look,
    next_delivery,
    sent,
    settled,
)

_COLUMNS = {
    "events": "id source origin kind action key reference booking state reason received_at "
    "updated_at attempts duplicates",
    "deliveries": "id event source destination kind reference booking state reason priority "
    "created_at due_at updated_at attempts superseded_by",
    "attempts": "id delivery at method path status duration_ms outcome note",
    "parked": "what id source destination reference booking reason since",
    "backlog": "destination priority waiting oldest_at next_due_at",
    "budget": "destination window_s limit_requests used",
}


@pytest.mark.parametrize("view", _COLUMNS)
async def test_each_view_has_the_columns_that_were_promised(
    outbox: SqliteOutbox, path: Path, view: str
) -> None:
    """Dashboards and scripts are written against them."""
    await outbox.recover(now=T0)
    columns = [name for _, name, *_ in look(path, f"PRAGMA table_info({view})")]
    assert columns == _COLUMNS[view].split()


async def test_ids_are_text_and_times_are_iso_utc(outbox: SqliteOutbox, path: Path) -> None:
    """A person reads them, and `explain` takes them."""
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    one = await next_delivery(outbox)
    ending = await sent(outbox, one, Outcome.REJECTED)
    await outbox.deliveries.close(one, DeliveryState.PARKED, "refused", ending, now=T0)
    assert look(path, "SELECT id FROM events") == [("e1",)]
    assert look(path, "SELECT id, event FROM deliveries LIMIT 1") == [("d1", "e1")]
    assert look(path, "SELECT id, delivery, outcome FROM attempts") == [("a1", "d1", "rejected")]
    [(at,)] = look(path, "SELECT received_at FROM events")
    assert datetime.fromisoformat(at).timestamp() * 1e6 == T0
    assert len(look(path, "SELECT * FROM parked")) == 3
    assert look(path, "SELECT sum(waiting) FROM backlog") == [(None,)]


async def test_no_view_names_a_person(outbox: SqliteOutbox, path: Path) -> None:
    """They are shown on screens and sent in bug reports."""
    body = b'{"email": "marker@example.com", "name": "Marker"}'
    await outbox.intake.accept(msgspec.structs.replace(arrival("0"), body=body))
    event = await claimed(outbox, "1")
    await outbox.events.learn_booking(event, Booking(id="b", customer="c", phase=Phase.ACTIVE))
    guest = Guest(customer="c", first="Marker", email="marker@example.com", phone="Marker")
    await outbox.events.learn_guest("leeds", guest, fetched_at=T0)
    await outbox.deliveries.settle(event, [BOOKING, GUEST, TAG], now=T0)
    for view in _COLUMNS:
        assert "marker" not in repr(look(path, f"SELECT * FROM {view}")).lower()


async def test_what_is_shed_leaves_no_trace_of_a_person(outbox: SqliteOutbox, path: Path) -> None:
    """`keep` is a promise about personal data; what is not finished stays."""
    for key in ("done", "open"):
        event = await claimed(outbox, key, booking=key)
        guest = Guest(customer=key, first=f"Marker {key}")
        await outbox.events.learn_guest("leeds", guest, fetched_at=T0)
        owed = msgspec.structs.replace(BOOKING, customer=key)
        await outbox.deliveries.settle(event, [owed] if key == "open" else [], now=T0)
    await outbox.shed(before=T0 * 3, attempts_before=T0 * 3)
    assert look(path, "SELECT key FROM event WHERE body IS NOT NULL") == []
    assert look(path, "SELECT key FROM subject WHERE doc IS NOT NULL") == [("open",)]
    assert look(path, "SELECT count(*) FROM events") == [(2,)]
