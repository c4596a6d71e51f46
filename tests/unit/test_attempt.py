"""A request has a slot, is on disk before it leaves, leaves once, and teaches by its answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.attempt import Attempt
from pipeline.budget import Budget
from pipeline.errors import NoAnswer
from pipeline.model import Outcome, Priority
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.settings import Duration, RateLimit
from tests.fakes import FakeClock
from tests.outbox.support import look
from tests.outboxes import place_outbox

_LIMIT = RateLimit(requests=100, per=Duration(900))


@pytest.fixture
def budget(clock: FakeClock) -> Budget:
    return Budget(_LIMIT, clock)


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[SqliteOutbox]:
    async with open_outbox(place_outbox(tmp_path / "outbox.db")) as opened:
        await opened.ledger.allow("stampede", 100, 900_000_000)
        yield opened


def _attempt(
    outbox: SqliteOutbox, budget: Budget, clock: FakeClock, priority: int = Priority.TAG
) -> Attempt:
    return Attempt("stampede", None, budget, outbox.ledger, clock, priority=priority)


async def test_a_request_leaves_once(
    outbox: SqliteOutbox, budget: Budget, clock: FakeClock, tmp_path: Path
) -> None:
    """Of itself aiohttp repeats a PUT, and the second one has no slot."""
    attempt = _attempt(outbox, budget, clock)
    await attempt.leaving("PUT", "/v1/guests")
    with pytest.raises(NoAnswer):
        await attempt.leaving("PUT", "/v1/guests")
    assert look(tmp_path / "outbox.db", "SELECT count(*) FROM attempt") == [(1,)]


async def test_what_was_told_already_uses_up_no_interval(
    outbox: SqliteOutbox, budget: Budget, clock: FakeClock
) -> None:
    """A backlog of tags that are all known would take a day, at one in nine seconds."""
    attempt = _attempt(outbox, budget, clock)
    assert budget.reach() == Priority.URGENT, "the next one waits to see whether this one leaves"
    attempt.settle()
    assert (budget.used, budget.reach()) == (0, Priority.BACKFILL)


async def test_the_interval_begins_when_the_request_leaves(
    outbox: SqliteOutbox, budget: Budget, clock: FakeClock
) -> None:
    """Not when it was chosen, nor when it was answered."""
    attempt = _attempt(outbox, budget, clock)
    clock.advance(5)
    await attempt.leaving("POST", "/v1/guests/1/tags")
    assert budget.next_change() == pytest.approx(9.005)
    clock.advance(4)
    attempt.settle()
    assert budget.next_change() == pytest.approx(5.005)


async def test_a_slot_that_was_not_used_counts_for_nobody(
    outbox: SqliteOutbox, budget: Budget, clock: FakeClock
) -> None:
    """One in ten of those that are used is for the classes 4 and 5."""
    for _ in range(9):
        _attempt(outbox, budget, clock, Priority.NEW)
    assert budget.is_for_lesser()
    tag = _attempt(outbox, budget, clock)
    assert not budget.is_for_lesser()
    tag.settle()
    assert budget.is_for_lesser(), "it did not leave, so it is still their turn"


async def test_a_429_is_learnt_with_the_attempt_that_met_it(
    outbox: SqliteOutbox, budget: Budget, clock: FakeClock
) -> None:
    """In one transaction: no crash comes between the answer and the lesson."""
    attempt = _attempt(outbox, budget, clock)
    await attempt.leaving("POST", "/v1/guests")
    clock.advance(1)
    attempt.answered(429)
    budget.hold(120)
    attempt.settle()
    ending = attempt.ending(Outcome.RATE_LIMITED, "429")
    assert ending is not None
    await outbox.ledger.close(ending)

    clock.advance(20)
    restarted = Budget(_LIMIT, clock)
    entries = await outbox.ledger.entries("stampede", newest=200)
    restarted.restore(entries, await outbox.ledger.learnt("stampede"))
    assert (restarted.allowed, restarted.held, restarted.used) == (90, 100, 1)


async def test_other_answers_teach_nothing(
    outbox: SqliteOutbox, budget: Budget, clock: FakeClock
) -> None:
    """A 503 with a Retry-After is the lane's, and no sign of counting otherwise."""
    attempt = _attempt(outbox, budget, clock)
    await attempt.leaving("POST", "/v1/guests")
    attempt.answered(503)
    ending = attempt.ending(Outcome.RETRY, "503")
    assert ending is not None
    assert (ending.learnt, budget.allowed) == (None, 100)
