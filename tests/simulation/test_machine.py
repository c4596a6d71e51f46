"""A simulated machine comes back with what was on its disk."""

import asyncio
from pathlib import Path

import pytest

from pipeline.simulation.loop import simulate
from pipeline.simulation.machine import Machine
from pipeline.simulation.traffic import Habits, Happening, happenings
from pipeline.simulation.world import Setup, World, dice
from tests.simulation.experiments import DAY, run

_BOOKING = Happening(at=0.0, booking=1, action="created", guest=1)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("uses", [1, 2, 5, 9, 14, 20, 30])
def test_a_booking_outlives_a_crash_at_any_use_of_the_disk(
    tmp_path: Path, uses: int, *, after: bool
) -> None:
    """Before a commit it was not accepted, or is done again; after it, it is on disk."""

    async def crash_and_come_back(machine: Machine) -> None:
        await machine.crash(uses=uses, after=after)
        await machine.start()

    async def main() -> list[str]:
        world = World(Setup(first_contact="trust"), tmp_path)
        await world.machine.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.happen("venue-0", _BOOKING))
            tasks.create_task(crash_and_come_back(world.machine))
        assert await world.finish(3600)
        await world.machine.stop()
        return world.differences()

    assert simulate(main()) == []


def _requests(seed: int) -> list[float]:
    async def play(world: World) -> None:
        habits = Habits(bookings_per_day=60, by_hour=False)
        await world.play("venue-0", happenings(habits, 0.25, world.dice("traffic")))

    return run(Setup(seed=seed), play).watch.left["stampede-0"]


def test_the_same_seed_gives_the_same_course() -> None:
    """What a seed has shown must be there to be looked at again."""
    shown = _requests(3)
    assert shown == _requests(3)
    assert shown != _requests(4)


def test_bookings_come_by_the_hour_and_the_day() -> None:
    """Evenly spread they would never be too many at a time."""
    planned = happenings(Habits(bookings_per_day=2000), 7, dice(1, "traffic"))
    created = [one.at for one in planned if one.action == "created"]
    assert len(created) == pytest.approx(14_000, rel=0.05)
    night = [at for at in created if 1 <= at % DAY / 3600 < 6]
    saturday, monday = ([at for at in created if int(at / DAY) == day] for day in (5, 0))
    assert len(night) < len(created) / 40
    assert len(saturday) > 1.5 * len(monday)
