"""What must hold of the allowance, as experiments; the tests run small ones, `make bench` whole."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from pipeline.model import Action, Priority
from pipeline.simulation.loop import simulate
from pipeline.simulation.mishaps import Mishaps, befall
from pipeline.simulation.outcome import Waits, waits
from pipeline.simulation.traffic import Habits, Happening, happenings
from pipeline.simulation.world import Setup, World

DAY = 86_400.0

#: Of a backfill or a flood: booking and guest numbers that no other traffic has.
_OTHERS = 1_000_000


def run(setup: Setup, play: Callable[[World], Awaitable[None]]) -> World:
    """Start a world, let something happen in it, stop it, and give it to be looked at."""

    async def main(folder: Path) -> World:
        world = World(setup, folder)
        await world.machine.start()
        await play(world)
        await world.machine.stop()
        return world

    with tempfile.TemporaryDirectory(prefix="pipeline-simulation-") as folder:
        return simulate(main(Path(folder)))


class Kept(Struct, frozen=True, kw_only=True):
    """What became of an allowance in random traffic with mishaps."""

    requests: int
    refused: int
    busiest: int
    #: Whether nothing is owed any more, and what is not told as it is.
    finished: bool
    differences: Sequence[str]
    #: What was logged of what nobody foresaw.
    unexpected: Sequence[str]


def keep_the_allowance(
    setup: Setup, mishaps: Mishaps, *, days: float, bookings_per_day: float
) -> Kept:
    """Let random traffic meet restarts, crashes and clock steps, and let all be delivered."""
    finished: list[bool] = []

    async def play(world: World) -> None:
        habits = Habits(bookings_per_day=bookings_per_day / setup.venues)
        async with asyncio.TaskGroup() as tasks:
            for venue in world.venues:
                planned = happenings(habits, days, world.dice(f"traffic {venue}"))
                tasks.create_task(world.play(venue, planned))
            tasks.create_task(befall(world.machine, mishaps, days, world.dice("mishaps")))
        finished.append(await world.finish(5 * DAY))

    world = run(setup, play)
    complaints = world.machine.complaints.getvalue().splitlines()
    return Kept(
        requests=sum(one.requests for one in world.stampedes.values()),
        refused=world.refused(),
        busiest=max(one.peer.window.peak for one in world.stampedes.values()),
        finished=finished == [True],
        differences=world.differences(),
        unexpected=[line for line in complaints if "unexpected" in line],
    )


def share_used(setup: Setup, *, hours: float, waiting: int) -> float:
    """Tell what share of requests - reserve is used while old bookings wait.

    Counted after the first window, over whole windows of what Stampede allows.
    """
    begun, end = 0.0, 0.0

    async def play(world: World) -> None:
        nonlocal begun, end
        await world.owe("venue-0", _bookings(waiting))
        begun = asyncio.get_running_loop().time() + setup.per
        windows = int(hours * 3600 / setup.per)
        end = begun + windows * setup.per
        await asyncio.sleep(end - asyncio.get_running_loop().time())

    world = run(setup, play)
    assert world.watch.open, "there was work to the end"
    assert world.refused() == 0
    left = [at for at in world.watch.left["stampede-0"] if begun <= at < end]
    reserve = min(setup.requests // 5, 20) if setup.reserve is None else setup.reserve
    return len(left) / ((setup.requests - reserve) * (end - begun) / setup.per)


class Newcomers(Struct, frozen=True, kw_only=True):
    """How long new bookings waited for their first request, and until they were told."""

    first_request: Waits
    told: Waits


def newcomers_wait(
    setup: Setup, *, days: float, waiting: int, per_window: float, returning: float
) -> Newcomers:
    """Tell how long new bookings wait while a backfill does; after the first window."""

    async def play(world: World) -> None:
        await world.owe("venue-0", _bookings(waiting))
        habits = Habits(
            bookings_per_day=per_window * DAY / setup.per,
            returning=returning,
            changed=0.0,
            cancelled=0.0,
            by_hour=False,
        )
        await world.play("venue-0", happenings(habits, days, world.dice("traffic")))
        await asyncio.sleep(60.0)

    world = run(setup, play)
    assert world.watch.open, "the backfill waits to the end"
    now = days * DAY + 60.0
    ways = [
        way for way in world.watch.ways.values() if way.priority == 2 and way.accepted > setup.per
    ]
    return Newcomers(
        first_request=waits((way.first_left or now) - way.accepted for way in ways),
        told=waits((way.last_ended or now) - way.accepted for way in ways),
    )


def finished_after(setup: Setup, *, others: int) -> float:
    """Tell in how many seconds from its first request a new guest's booking is told.

    While more bookings of a guest who is known come than may be told of: one request each.
    """
    known = [Happening(at=0.0, booking=0, action=Action.CREATED, guest=0)]
    often = [
        Happening(at=setup.per + number, booking=2 + number, action=Action.CREATED, guest=0)
        for number in range(others)
    ]
    at = setup.per + others // 4 + 0.5
    new = Happening(at=at, booking=1, action=Action.CREATED, guest=1)

    async def play(world: World) -> None:
        await world.play("venue-0", sorted([*known, *often, new], key=lambda one: one.at))
        assert await world.finish(DAY)

    ways = run(setup, play).watch.ways.values()
    way = min(ways, key=lambda way: abs(way.accepted - at))
    assert way.first_left is not None
    assert way.last_ended is not None
    return way.last_ended - way.first_left


def requests_in_overload(setup: Setup, *, windows: int, per_window: int) -> float:
    """Tell how many requests a new guest's booking takes while more come than may be told of."""
    every = setup.per / per_window
    bookings = _bookings(windows * per_window, every=every)

    async def play(world: World) -> None:
        await world.play("venue-0", bookings)

    watch = run(setup, play).watch
    told = sum(way.delivered for way in watch.ways.values())
    return (len(watch.left["stampede-0"]) - watch.tokens) / told


def others_wait(setup: Setup, *, hours: float, per_hour: float, flood: int) -> float:
    """Tell the median of the seconds until a new booking's first request leaves.

    Of all venues but the first, which sends `flood` events at five a second after an hour; a
    booking that has not gone by the end has waited until then.
    """

    async def play(world: World) -> None:
        habits = Habits(
            bookings_per_day=per_hour * 24, returning=0.0, changed=0.0, cancelled=0.0, by_hour=False
        )
        async with asyncio.TaskGroup() as tasks:
            for venue in world.venues[1:]:
                planned = happenings(habits, hours / 24, world.dice(f"traffic {venue}"))
                tasks.create_task(world.play(venue, planned))
            tasks.create_task(world.play("venue-0", _bookings(flood, since=3600.0, every=0.2)))
        await asyncio.sleep(max(hours * 3600 - asyncio.get_running_loop().time(), 0.0))

    world = run(setup, play)
    end = hours * 3600
    seen = {
        (event, name): at
        for event, (at, source) in world.watch.came.items()
        for name in world.stampedes
        if source != "venue-0" and at > 3600.0
    }
    left = {
        (event, name): way.first_left
        for (name, event, priority), way in world.watch.ways.items()
        if priority == 2 and way.first_left is not None
    }
    found = waits(max(left.get(key, end) - at, 0.0) for key, at in seen.items())
    assert found.median is not None
    return found.median


def told_of(setup: Setup, *, waiting: int) -> Counter[str]:
    """Count by venue the bookings told of in one window, while so many of each wait."""

    async def play(world: World) -> None:
        for venue in world.venues:
            await world.owe(venue, _bookings(waiting))
        await asyncio.sleep(setup.per)

    world = run(setup, play)
    left = [key for key, way in world.watch.ways.items() if way.first_left is not None]
    return Counter(world.watch.came[event][1] for _, event, _ in left)


def _bookings(count: int, *, since: float = 0.0, every: float = 0.0) -> list[Happening]:
    return [
        Happening(
            at=since + number * every,
            booking=_OTHERS + number,
            action=Action.CREATED,
            guest=_OTHERS + number,
        )
        for number in range(count)
    ]


def lesser_shares(setup: Setup, *, windows: int) -> list[int]:
    """Count the tags in each window while more new bookings wait than may be told of."""

    async def play(world: World) -> None:
        await world.play("venue-0", _bookings(round(windows * setup.requests), every=0.1))
        over = (windows + 1) * setup.per - asyncio.get_running_loop().time()
        await asyncio.sleep(max(over, 0.0))

    world = run(setup, play)
    assert world.refused() == 0
    ways = world.watch.ways.values()
    left = [w.first_left for w in ways if w.priority == Priority.TAG and w.first_left is not None]
    # The first window begins with no booking told, and so with no tag that could go.
    return [
        sum(n * setup.per <= at < (n + 1) * setup.per for at in left) for n in range(1, windows + 1)
    ]


def requests_each(setup: Setup) -> list[int]:
    """Count the requests of a new guest's booking, of the guest's next, and of a third.

    The third is changed ten times while it waits for a slot. Token requests are not counted.
    """
    counts: list[int] = []

    async def play(world: World) -> None:
        spent = 0
        for number, changes in enumerate((0, 0, 10)):
            now = asyncio.get_running_loop().time()
            actions = [Action.CREATED, *[Action.UPDATED] * changes]
            happenings = [
                Happening(at=now + place, booking=number, action=action, guest=0)
                for place, action in enumerate(actions)
            ]
            await world.play("venue-0", happenings)
            assert await world.finish(DAY)
            total = len(world.watch.left["stampede-0"]) - world.watch.tokens
            counts.append(total - spent)
            spent = total

    assert run(setup, play).differences() == []
    return counts
