"""What the outbox says of itself."""

from pipeline.model import Priority
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import BOOKING, GUEST, T0, TAG, intent, next_delivery, settled

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
