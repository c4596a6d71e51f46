"""What the outbox knows of each source's webhooks: the newest, and since when some are missing."""

import asyncio
from pathlib import Path

import msgspec

from pipeline.model import Origin
from pipeline.outbox import Gap, KnownWebhooks
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import T0, arrival


async def _heard_at(outbox: SqliteOutbox, source: str) -> int | None:
    return (await outbox.webhooks.known(source)).heard_at


async def test_each_sources_newest_webhook_is_known(outbox: SqliteOutbox) -> None:
    """A restart must not look like a source that has fallen silent."""
    assert await outbox.webhooks.known("leeds") == KnownWebhooks()
    for n, source in enumerate(("leeds", "leeds", "york", "york")):
        await outbox.intake.accept(arrival(f"m{n}", at=T0 + n, source=source))
    found = msgspec.structs.replace(arrival("f", at=T0 + 9), origin=Origin.RECONCILE)
    await outbox.intake.accept(found)  # which says nothing of the webhooks
    assert await _heard_at(outbox, "leeds") == T0 + 1
    assert await _heard_at(outbox, "york") == T0 + 3
    again = msgspec.structs.replace(arrival("m0"), received_at=T0 + 5)
    assert (await outbox.intake.accept(again)).duplicate
    assert await _heard_at(outbox, "leeds") == T0 + 5, "a repetition was sent as well"
    assert await _heard_at(outbox, "bath") is None


async def test_a_quiet_venue_is_remembered_beside_a_busy_one(path: Path) -> None:
    """However much the other has sent since, and whatever was purged."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("quiet", source="york"))
        busy = (outbox.intake.accept(arrival(f"m{n}", at=T0 + 1)) for n in range(10_001))
        await asyncio.gather(*busy)
        await outbox.shed(before=T0 * 2, attempts_before=T0 * 2)
    async with open_outbox(path) as outbox:
        assert await _heard_at(outbox, "york") == T0


async def test_a_gap_begins_where_all_was_well_last_and_stays_there(outbox: SqliteOutbox) -> None:
    """What comes in the middle of it is no sign that all does."""
    webhooks = outbox.webhooks
    await webhooks.miss("leeds")
    assert await webhooks.known("leeds") == KnownWebhooks(), "nothing was ever to be expected"
    await webhooks.seen("leeds", ["1"], now=T0 + 1)
    await outbox.intake.accept(arrival("m", at=T0 + 2))
    for at in (T0 + 3, T0 + 4):
        await webhooks.miss("leeds")
        await outbox.intake.accept(arrival(f"m{at}", at=at))
    known = await webhooks.known("leeds")
    assert known.gap == Gap(since=T0 + 1, until=None, run=None)
    await webhooks.hand_over("leeds", 1)
    assert (await webhooks.known("leeds")).gap == known.gap, "it is not over yet"
    for at in (T0 + 5, T0 + 6):
        await webhooks.seen("leeds", ["2"], now=at)
    known = await webhooks.known("leeds")
    assert known.gap == Gap(since=T0 + 1, until=T0 + 5, run=None)
    assert (known.seen_at, known.seen) == (T0 + 6, frozenset("2"))
    await webhooks.miss("leeds")
    assert (await webhooks.known("leeds")).gap == Gap(since=T0 + 1, until=None, run=None), (
        "two that were not read are one"
    )
