"""A wall clock that is set, ahead or back, makes nothing late, and nothing fail too soon."""

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pipeline.budget import Budget
from pipeline.clock import SECOND
from pipeline.log import Log
from pipeline.model import Change, Guest, Outcome, ToldConsent, ToldGuest
from pipeline.outbox import Ending, Learnt, Opening
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.settings import Duration, RateLimit
from pipeline.step import Steps
from tests.fakes import FakeClock
from tests.outbox.support import (
    BOOKING,
    GUEST,
    LEASE,
    arrival,
    conserved,
    intent,
    look,
    next_delivery,
    sent,
    settled,
)

_HOUR = 3600
_STEPS = [-_HOUR, _HOUR, -30 * 86_400, 56 * 365 * 86_400]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(clock: FakeClock, lines: io.StringIO) -> Log:
    return Log(clock, level="info", style="json", sink=lines)


@pytest.fixture
def steps(outbox: SqliteOutbox, clock: FakeClock, log: Log) -> Steps:
    return Steps(outbox.times, clock, log)


async def _fail(outbox: SqliteOutbox, clock: FakeClock, seconds: float, booking: str = "b") -> None:
    """Owe a booking, and let it fail until so many seconds from now."""
    owed = intent(customer=f"guest of {booking}")
    await settled(outbox, f"m-{booking}", owed, booking=booking, at=clock.now())
    one = await next_delivery(outbox, now=clock.now())
    await outbox.deliveries.give_back(
        one,
        None,
        due_at=clock.now() + round(seconds * SECOND),
        reason="HTTP 500",
        failed=True,
        now=clock.now(),
    )


async def _waits(outbox: SqliteOutbox, clock: FakeClock) -> float:
    """Tell for how many seconds nothing goes."""
    due = await outbox.deliveries.next_due("stampede", most=6)
    assert due is not None
    return (due - clock.now()) / SECOND if due else 0.0


@pytest.mark.parametrize("step", [-_HOUR, _HOUR])
async def test_the_ledger_says_after_a_reboot_too_how_long_ago_a_request_was(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps, step: float
) -> None:
    """By a wall clock that was set ahead all slots would seem to be free."""
    await outbox.ledger.allow("stampede", 5, 900 * SECOND)
    await steps.begin()
    for _ in range(3):
        at, boot = clock.now(), clock.boot()
        token = Opening(
            destination="stampede",
            delivery=None,
            method="POST",
            path="/oauth/token",
            at=at,
            boot=boot,
            boot_id=clock.boot_id,
            timeout=SECOND,
        )
        made = await outbox.ledger.open(token)
        ended = Ending(attempt=made, outcome=Outcome.OK, status=200, at=at, boot=boot)
        await outbox.ledger.close(ended)
    clock.step(step)
    clock.advance(1)
    await steps.look()
    clock.reboot("second")
    budget = Budget(RateLimit(requests=5, per=Duration(900)), clock)
    clock.advance(890)
    budget.restore(await outbox.ledger.entries("stampede", newest=10))
    assert budget.used == 3
    clock.advance(20)
    assert budget.used == 0


@pytest.mark.parametrize("step", _STEPS)
async def test_a_retry_comes_when_it_would_have_come(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps, path: Path, step: float
) -> None:
    """Not an hour later; nor at once, a thousand of them together."""
    await steps.begin()
    await _fail(outbox, clock, 600)
    clock.advance(1)
    clock.step(step)
    assert await steps.look() == step * SECOND
    assert await _waits(outbox, clock) == 599
    [(since,)] = look(path, "SELECT first_failure_at FROM delivery")
    assert clock.now() - since == SECOND, "it has failed for a second, and is not given up"
    assert await steps.look() == 0, "once"
    assert await _waits(outbox, clock) == 599
    conserved(path)


@pytest.mark.parametrize("step", _STEPS)
async def test_what_was_due_stays_due_and_keeps_its_order(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps, step: float
) -> None:
    """It has waited longest, whatever the time was then."""
    await steps.begin()
    for name in ("a", "b"):
        await settled(outbox, name, intent(customer=name), booking=name, at=clock.now())
        clock.advance(1)
    clock.step(step)
    await steps.look()
    await settled(outbox, "c", intent(customer="c"), booking="c", at=clock.now())
    order = [(await next_delivery(outbox, now=clock.now())).booking for _ in range(3)]
    assert order == ["a", "b", "c"]


@pytest.mark.parametrize("step", _STEPS)
async def test_an_event_that_is_due_is_taken_and_one_that_waits_goes_on_waiting(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps, step: float
) -> None:
    """A booking that came a minute before the clock was set must not wait for an hour."""
    await steps.begin()
    failing = await outbox.intake.accept(arrival("failing", at=clock.now()))
    now = clock.now()
    await outbox.events.claim([failing.event], now=now, until=now + LEASE)
    await outbox.events.give_back(
        failing.event, due_at=now + 600 * SECOND, reason="500", failed=True, now=now
    )
    clock.advance(1)
    fresh = await outbox.intake.accept(arrival("fresh", at=clock.now()))
    clock.step(step)
    await steps.look()
    now = clock.now()
    [event] = await outbox.events.claim_due("leeds", now=now, until=now + LEASE, limit=8)
    assert event.id == fresh.event
    clock.advance(599)
    now = clock.now()
    found = await outbox.events.claim_due("leeds", now=now, until=now + LEASE, limit=8)
    assert failing.event in [one.id for one in found]


async def test_what_was_written_since_the_step_stays_as_it_is(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps
) -> None:
    """The clock is looked at once a second, and work goes on meanwhile."""
    await steps.begin()
    clock.step(_HOUR)
    clock.advance(0.5)
    await _fail(outbox, clock, 600)
    clock.advance(0.5)
    assert await steps.look()
    assert await _waits(outbox, clock) == 599.5


async def test_a_guest_who_is_fetched_after_the_clock_was_set_back_is_the_newer_one(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps
) -> None:
    """Else nothing new would be learnt of them until the clock has caught up."""
    await steps.begin()
    old = Guest(customer="c", first="Old")
    await outbox.events.learn_guest("leeds", old, fetched_at=clock.now())
    clock.advance(1)
    clock.step(-_HOUR)
    await steps.look()
    new = Guest(customer="c", first="New")
    await outbox.events.learn_guest("leeds", new, fetched_at=clock.now())
    known = await outbox.facts.guest("leeds", "c")
    assert known is not None
    assert known.guest == new


async def test_consent_that_was_told_under_a_clock_set_ahead_is_not_newer_than_all_to_come(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps
) -> None:
    """An opt-out that seemed to be older than the opt-in would never be told."""
    await steps.begin()
    then, long_ago = clock.now(), clock.now() - 2 * _HOUR * SECOND
    changed = {
        "data": Change(at=then, record="leeds/c"),
        "sms": Change(at=long_ago, record="leeds/c"),
    }
    consent = ToldConsent(data=True, email=True, sms=False, changed=changed, behind={})
    await settled(outbox, "m", GUEST)
    one = await next_delivery(outbox, now=clock.now())
    learnt = Learnt(key="p", told=ToldGuest(remote_id="g", consent=consent))
    ending = await sent(outbox, one, Outcome.OK)
    await outbox.deliveries.succeed(one, [learnt], ending, more=False, now=clock.now())
    clock.advance(1)
    clock.step(-_HOUR)
    await steps.look()
    told = await outbox.facts.told_guest("stampede", "p")
    assert told is not None
    assert told.consent is not None
    moved = Change(at=then - _HOUR * SECOND, record="leeds/c")
    assert told.consent.changed == changed | {"data": moved}


async def test_many_rows_are_moved_some_at_a_time(
    outbox: SqliteOutbox, clock: FakeClock, steps: Steps, path: Path, log: Log, lines: io.StringIO
) -> None:
    """A webhook waits for a transaction at most."""
    await steps.begin()
    await settled(outbox, "0", BOOKING)
    sizes: list[int] = []
    for n in range(1200):
        await outbox.intake.accept(arrival(f"m{n}", at=clock.now()))
    outbox.watch(lambda _seconds, changed: sizes.append(changed))
    clock.step(-_HOUR)
    await steps.look()
    assert max(sizes) <= 500
    late = "SELECT count(*) FROM event WHERE state = 'waiting' AND due_at > ?"
    assert look(path, late, clock.now()) == [(0,)]
    log.flush()
    told = msgspec.json.decode(lines.getvalue().splitlines()[-1])
    assert (told["message"], told["seconds"], told["moved"]) == ("clock stepped", -3600.0, 1200)


@pytest.mark.parametrize("seconds", [0.4, -0.4, 1.0, -1.0])
async def test_a_clock_that_is_slewed_is_no_step(
    outbox: SqliteOutbox,
    clock: FakeClock,
    steps: Steps,
    log: Log,
    lines: io.StringIO,
    seconds: float,
) -> None:
    """NTP corrects by half a thousandth, for days."""
    await steps.begin()
    for _ in range(100):
        clock.advance(1)
        clock.step(seconds)
        assert await steps.look() == 0
    log.flush()
    assert lines.getvalue() == ""


def _same_boot(clock: FakeClock) -> None:
    clock.advance(5)


def _reboot(clock: FakeClock) -> None:
    clock.advance(5)
    clock.reboot("second")


@pytest.mark.parametrize(
    ("ends", "step", "waits"),
    [
        (_same_boot, _HOUR, 595),
        (_same_boot, -_HOUR, 595),
        # Nobody knows how long it was off: not seen is what was less than that.
        (_reboot, -_HOUR, 595 + 5),
        (_reboot, 0, 595),
    ],
)
async def test_a_step_while_the_daemon_was_away_is_seen_at_its_start(
    path: Path,
    clock: FakeClock,
    log: Log,
    ends: Callable[[FakeClock], None],
    step: float,
    waits: float,
) -> None:
    """From what the outbox knows of the clocks."""
    async with open_outbox(path) as outbox:
        steps = Steps(outbox.times, clock, log)
        await steps.begin()
        clock.advance(60)
        await steps.look()
        await _fail(outbox, clock, 600)
    ends(clock)
    clock.step(step)
    async with open_outbox(path) as outbox:
        await Steps(outbox.times, clock, log).begin()
        assert await _waits(outbox, clock) == waits


async def test_a_step_that_could_not_be_written_is_written_later(
    path: Path, clock: FakeClock, log: Log
) -> None:
    """The disk was full just then."""
    async with open_outbox(path) as outbox:
        steps = Steps(outbox.times, clock, log)
        await steps.begin()
        await _fail(outbox, clock, 600)
        clock.advance(1)
        clock.step(-_HOUR)
        connection = outbox._writer._connection  # noqa: SLF001
        await connection.execute_fetchall("PRAGMA query_only = ON")
        with pytest.raises(Exception, match="cannot be written"):
            await steps.look()
        await connection.execute_fetchall("PRAGMA query_only = OFF")
        clock.advance(1)
        assert await steps.look() == -_HOUR * SECOND
        assert await _waits(outbox, clock) == 598
