"""A question about capacity, and how it is answered: by trying."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from pipeline.clock import SECOND
from pipeline.model import Action
from pipeline.settings import Duration, RateLimit
from pipeline.simulation import conclusion
from pipeline.simulation.loop import simulate
from pipeline.simulation.outcome import LATE, Allowance, Backlog, Outcome, by_class
from pipeline.simulation.traffic import Habits, Happening, happenings
from pipeline.simulation.world import Setup, World

_DAY = 86_400.0
_HOUR = 3600.0

#: An outage begins at noon of the second day; of a shorter simulation, after a third of it.
_OUTAGE = 1.5 * _DAY

#: Guests and bookings of a backfill are numbered from here.
_OLD = 1_000_000


_COUNTED = """
    SELECT count(*) FILTER (WHERE d.state = 'delivered'),
           count(*) FILTER (WHERE d.state IN ('waiting', 'sending')),
           count(*) FILTER (WHERE d.state IN ('waiting', 'sending') AND received_at < {before})
    FROM delivery AS d JOIN event ON event.id = d.event
"""


class Scenario(Struct, frozen=True, kw_only=True):
    """What is to be tried."""

    #: Of all venues together.
    bookings_per_day: float = 300
    venues: int = 1
    days: float = 7
    #: Seconds for which Stampede cannot be reached.
    outage: float = 0.0
    #: The share of bookings by guests who have booked before.
    returning: float = 0.3
    #: Old bookings that wait from the start.
    backfill: int = 0
    requests: int = 100
    per: float = 900.0
    reserve: int | None = None
    first_contact: Literal["check", "trust"] = "check"
    tags: tuple[Literal["source", "channel", "status"], ...] = ("source", "channel", "status")
    seed: int = 1

    @property
    def outage_begins(self) -> float:
        """When the outage begins, in seconds."""
        return min(_OUTAGE, self.days * _DAY / 3)

    @property
    def limit(self) -> RateLimit:
        """The allowance."""
        return RateLimit(requests=self.requests, per=Duration(self.per), reserve=self.reserve)


def answer(scenario: Scenario, progress: Callable[[float], None] = lambda _: None) -> Outcome:
    """Try it; `progress` is told the share that is done, once for each simulated hour."""
    with tempfile.TemporaryDirectory(prefix="pipeline-simulation-") as folder:
        return simulate(_try(scenario, Path(folder), progress))


async def _try(scenario: Scenario, folder: Path, progress: Callable[[float], None]) -> Outcome:
    seconds = scenario.days * _DAY
    world = World(_setup(scenario), folder)
    await world.machine.start()
    old = [_old(number) for number in range(scenario.backfill)]
    for number, venue in enumerate(world.venues):
        await world.owe(venue, old[number :: scenario.venues])
    habits = Habits(
        bookings_per_day=scenario.bookings_per_day / scenario.venues, returning=scenario.returning
    )
    async with asyncio.TaskGroup() as tasks:
        for venue in world.venues:
            planned = happenings(habits, scenario.days, world.dice(f"traffic {venue}"))
            tasks.create_task(world.play(venue, planned))
        while (now := asyncio.get_running_loop().time()) < seconds:
            progress(now / seconds)
            await asyncio.sleep(min(_HOUR, seconds - now))
    found = await _outcome(scenario, world)
    await world.machine.crash()
    return found


def _setup(scenario: Scenario) -> Setup:
    begins = scenario.outage_begins
    return Setup(
        seed=scenario.seed,
        venues=scenario.venues,
        requests=scenario.requests,
        per=scenario.per,
        reserve=scenario.reserve,
        first_contact=scenario.first_contact,
        tags=scenario.tags,
        stampede_outages=((begins, begins + scenario.outage),) if scenario.outage else (),
    )


def _old(number: int) -> Happening:
    return Happening(at=0.0, booking=_OLD + number, action=Action.CREATED, guest=_OLD + number)


async def _outcome(scenario: Scenario, world: World) -> Outcome:
    watch = world.watch
    before = world.clock.now() - round(max(LATE, scenario.per) * SECOND)
    [[told, left, late]] = await world.machine.rows(_COUNTED.format(before=before))
    requests = sum(len(times) for times in watch.left.values())
    allowed = scenario.requests * scenario.days * _DAY / scenario.per
    bookings = len(watch.bookings)
    peak = max(one.peer.window.peak for one in world.stampedes.values())
    backlog = watch.backlog
    done_at = backlog.worked_off_at
    found = Outcome(
        days=scenario.days,
        outage_s=scenario.outage,
        bookings=bookings,
        deliveries=told + left,
        requests=requests,
        token_requests=watch.tokens,
        requests_per_booking=round(requests / bookings, 2) if bookings else None,
        needed_per_day=round((requests + left) / scenario.days, 1),
        allowed_per_day=round(allowed / scenario.days, 1),
        allowance=Allowance(
            requests=scenario.requests,
            per_s=scenario.per,
            reserve=scenario.limit.reserved,
            used=round(requests / allowed, 4),
            busiest_window=peak,
            refused=world.refused(),
        ),
        classes=by_class(watch),
        backlog=Backlog(
            most=backlog.most,
            most_at_s=round(backlog.most_at, 1),
            worked_off_after_s=None if done_at is None else round(done_at - backlog.most_at, 1),
            left=left,
            late=late,
        ),
        suffices=True,
        conclusion="",
    )
    return conclusion.draw(found)
