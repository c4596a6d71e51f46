"""The attempts on the wire, as an allowance needs them."""

from pathlib import Path

import msgspec

from pipeline.clock import SECOND, SystemClock
from pipeline.model import Outcome
from pipeline.outbox import Ending, Opening, Restraint
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import T0, look

_OPENING = Opening(
    destination="stampede",
    delivery=None,
    method="POST",
    path="/oauth/token",
    at=T0,
    boot=0,
    boot_id="boot",
    timeout=30 * SECOND,
)


async def attempt(outbox: SqliteOutbox, at: int, *, boot: int = 0) -> int:
    """Make a request that is answered after a second."""
    opening = msgspec.structs.replace(_OPENING, at=at, boot=boot)
    made = await outbox.ledger.open(opening)
    await outbox.ledger.close(
        Ending(attempt=made, outcome=Outcome.OK, status=200, at=at + SECOND, boot=boot + SECOND)
    )
    return made


async def test_the_newest_are_those_that_were_made_last(outbox: SqliteOutbox) -> None:
    """A wall clock that was a day ahead must not hide what was spent since it was set right."""
    for n in range(5):
        await attempt(outbox, T0 + 86_400 * SECOND, boot=n)
    for n in range(5, 8):
        await attempt(outbox, T0, boot=n)
    entries = await outbox.ledger.entries("stampede", newest=4)
    assert sorted(entry.started_boot for entry in entries) == [4, 5, 6, 7]


async def test_what_is_open_is_always_told_and_only_once(outbox: SqliteOutbox) -> None:
    """Its request may be counted by the peer, however long ago it left."""
    await outbox.ledger.open(msgspec.structs.replace(_OPENING, boot=77))
    for n in range(3):
        await attempt(outbox, T0, boot=n)
    await outbox.ledger.open(msgspec.structs.replace(_OPENING, destination="spotler", boot=99))
    for newest, boots in ((1, [2, 77]), (9, [0, 1, 2, 77])):
        entries = await outbox.ledger.entries("stampede", newest=newest)
        assert sorted(entry.started_boot for entry in entries) == boots
        assert [entry.ended_boot for entry in entries if entry.started_boot == 77] == [None]


async def test_an_attempt_is_on_disk_before_its_request_leaves(
    outbox: SqliteOutbox, path: Path
) -> None:
    """After a crash the slot of what may have left is taken."""
    await outbox.ledger.open(_OPENING)
    assert look(path, "SELECT id, delivery, outcome, status FROM attempts") == [
        ("a1", None, "open", None)
    ]


async def test_the_view_of_the_allowance_counts_what_the_window_holds(path: Path) -> None:
    """People look there when nothing seems to move."""
    now = SystemClock().now()
    async with open_outbox(path) as outbox:
        await outbox.ledger.allow("stampede", 50, 60 * SECOND)
        await outbox.ledger.allow("stampede", 100, 900 * SECOND)
        # That of 901.2 s ended 900.2 s ago: within the margin that the budget adds to the window.
        for age in (10, 890, 901.2, 902, 5000):
            await attempt(outbox, now - round(age * SECOND))
        for age in (5, 920, 2000):  # the second one's time-out ended 890 s ago
            await outbox.ledger.open(msgspec.structs.replace(_OPENING, at=now - age * SECOND))
        assert look(path, "SELECT * FROM budget") == [("stampede", 900.0, 100, 5)]


async def test_old_attempts_are_shed_and_what_is_open_stays(
    outbox: SqliteOutbox, path: Path
) -> None:
    """The ledger needs a window of them, and a person the last month."""
    await outbox.ledger.allow("stampede", 1, 900 * SECOND)
    for at in (T0, T0 + 10 * SECOND, T0 + 10 * SECOND):
        await attempt(outbox, at)
    await outbox.ledger.open(_OPENING)
    await outbox.shed(before=T0 + 5 * SECOND, attempts_before=T0 + 5 * SECOND)
    assert look(path, "SELECT id FROM attempt") == [(2,), (3,), (4,)]


async def test_a_clock_that_is_set_ahead_does_not_empty_the_ledger(
    outbox: SqliteOutbox, path: Path
) -> None:
    """All was spent a week ago, it seems; the peer knows better, and so must the next start."""
    await outbox.ledger.allow("stampede", 2, 900 * SECOND)
    for _ in range(9):
        await attempt(outbox, T0)
    ahead = T0 + 7 * 86_400 * SECOND
    await outbox.shed(before=ahead, attempts_before=ahead)
    assert [number for [number] in look(path, "SELECT id FROM attempt")] == [6, 7, 8, 9]


async def test_what_a_429_has_taught_is_kept_with_the_allowance(outbox: SqliteOutbox) -> None:
    """It is written with the attempt that was answered so, in one transaction."""
    await outbox.ledger.allow("stampede", 100, 900 * SECOND)
    assert await outbox.ledger.learnt("stampede") is None
    learnt = Restraint(twentieths=4, hold=60 * SECOND, at=T0, boot=5, boot_id="boot")
    made = await outbox.ledger.open(_OPENING)
    await outbox.ledger.close(
        Ending(attempt=made, outcome=Outcome.RATE_LIMITED, status=429, at=T0, boot=5, learnt=learnt)
    )
    await outbox.ledger.allow("stampede", 50, 900 * SECOND)
    assert await outbox.ledger.learnt("stampede") == learnt, "a start notes the allowance anew"
    assert await outbox.ledger.learnt("spotler") is None
