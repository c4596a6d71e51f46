"""What the outbox says of itself."""

from pipeline.model import Priority
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import BOOKING, GUEST, T0, TAG, arrival, intent, next_delivery, settled

_LATER = T0 + 1


async def test_what_is_not_due_is_counted_with_what_waits_for_it(outbox: SqliteOutbox) -> None:
    """None of it can go, however much of the allowance is left."""
    assert await outbox.overview.later(now=T0) == {}
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    await settled(outbox, "2", intent(priority=Priority.BACKFILL, customer="d"), booking="d")
    assert await outbox.overview.later(now=T0) == {}
    assert await outbox.overview.later(now=T0 - 1) == {"stampede": 4}

    guest = await next_delivery(outbox, most=Priority.NEW)
    assert await outbox.overview.later(now=T0) == {}, "what waits for it follows at once"
    await outbox.deliveries.give_back(
        guest, None, due_at=_LATER, reason="again", failed=True, now=T0
    )
    assert await outbox.overview.later(now=T0) == {"stampede": 3}
    assert await outbox.overview.later(now=_LATER) == {}


async def test_each_sources_newest_event_is_found(outbox: SqliteOutbox) -> None:
    """A restart must not look like a source that has fallen silent."""
    assert await outbox.overview.last_received("leeds") is None
    for n, source in enumerate(("leeds", "leeds", "york", "york")):
        await outbox.intake.accept(arrival(f"m{n}", at=T0 + n, source=source))
    assert await outbox.overview.last_received("leeds") == T0 + 1
    assert await outbox.overview.last_received("york") == T0 + 3
    assert await outbox.overview.last_received("bath") is None
