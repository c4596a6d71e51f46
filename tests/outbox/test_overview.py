"""What the outbox says of itself."""

import msgspec

from pipeline.model import Origin, Priority
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import BOOKING, GUEST, T0, TAG, arrival, intent, next_delivery, settled

_LATER = T0 + 1


async def test_what_is_held_back_is_not_due_nor_is_what_waits_for_it(
    outbox: SqliteOutbox,
) -> None:
    """None of it can go, however much of the allowance is left."""

    async def due(now: int = T0) -> dict[tuple[int, str], int]:
        found = await outbox.overview.due(now=now)
        assert {one.destination for one in found} <= {"stampede"}
        return {(one.priority, one.kind.value): one.n for one in found}

    assert await due() == {}
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    await settled(outbox, "2", intent(priority=Priority.BACKFILL, customer="d"), booking="d")
    everything = {(2, "booking"): 1, (2, "guest"): 1, (5, "tag"): 1, (6, "booking"): 1}
    assert await due() == everything

    guest = await next_delivery(outbox, most=Priority.NEW)
    assert await due() == everything, "what waits for it follows at once"
    await outbox.deliveries.give_back(
        guest, None, due_at=_LATER, reason="again", failed=True, now=T0
    )
    assert await due() == {(6, "booking"): 1}
    assert await due(_LATER) == everything


async def test_what_has_waited_longest_is_told_also_when_the_clock_was_set_back(
    outbox: SqliteOutbox,
) -> None:
    """It is due all the same, since just now as far as anybody can tell."""
    await settled(outbox, "1", BOOKING)
    assert (await outbox.overview.oldest_due(now=T0 + 5))["delivery"] == T0
    assert (await outbox.overview.oldest_due(now=T0 - 5))["delivery"] == T0 - 5


async def test_each_sources_newest_webhook_is_found(outbox: SqliteOutbox) -> None:
    """A restart must not look like a source that has fallen silent."""
    assert await outbox.overview.last_received("leeds") is None
    for n, source in enumerate(("leeds", "leeds", "york", "york")):
        await outbox.intake.accept(arrival(f"m{n}", at=T0 + n, source=source))
    found = msgspec.structs.replace(arrival("f", at=T0 + 9), origin=Origin.RECONCILE)
    await outbox.intake.accept(found)  # which says nothing of the webhooks
    assert await outbox.overview.last_received("leeds") == T0 + 1
    assert await outbox.overview.last_received("york") == T0 + 3
    assert await outbox.overview.last_received("bath") is None
