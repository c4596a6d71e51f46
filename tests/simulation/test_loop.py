"""The loop whose time passes at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiolimiter import AsyncLimiter

from pipeline.simulation.clock import MONDAY, VirtualClock
from pipeline.simulation.loop import Stuck, VirtualLoop, simulate


def test_a_month_passes_at_once_and_in_order() -> None:
    """What takes a month cannot be waited for."""
    heard: list[tuple[str, int]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        heard.append((name, round(asyncio.get_running_loop().time())))

    async def main() -> None:
        _ = await asyncio.gather(wait("month", 30 * 86_400), wait("day", 86_400), wait("now", 0))

    begun = time.monotonic()
    simulate(main())
    assert heard == [("now", 0), ("day", 86_400), ("month", 2_592_000)]
    assert time.monotonic() - begun < 5


async def _for_nothing() -> None:
    await asyncio.Event().wait()


async def _for_each_other() -> None:
    lock = asyncio.Lock()
    async with lock, lock:
        pass


@pytest.mark.parametrize("wait", [_for_nothing, _for_each_other])
def test_a_wait_that_nothing_ends_is_told(wait: Callable[[], Awaitable[None]]) -> None:
    """It would hang for ever, and no time-out of the simulation's own would ever come."""

    async def main() -> None:
        await wait()

    with pytest.raises(Stuck, match="nothing is to come"):
        simulate(main())


def test_time_that_stands_still_is_told() -> None:
    """What never waits lets no timer come, and looks like work."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()
        await asyncio.Event().wait()

    with (
        pytest.raises(Stuck, match="turns of the loop"),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(most_turns=1000)) as runner,
    ):
        runner.run(main())


def test_a_limiter_that_reckons_for_itself_does_not_livelock() -> None:
    """Aiolimiter sleeps again, for no time at all, when it is woken exactly at its own time."""

    async def main() -> float:
        limiter = AsyncLimiter(1, 9.005)
        for _ in range(2000):
            await limiter.acquire()
        return asyncio.get_running_loop().time()

    assert simulate(main()) == pytest.approx(1999 * 9.005, rel=1e-4)


def test_the_clocks_go_with_the_loop_and_can_be_set() -> None:
    """A wall clock is stepped, a boot clock never: it ends with its boot."""

    async def main() -> list[tuple[int, int, str]]:
        clock = VirtualClock(asyncio.get_running_loop().time)
        seen = []
        for change in ("none", "step", "reboot"):
            if change == "step":
                clock.step(-3600)
            elif change == "reboot":
                clock.reboot()
            seen.append((clock.now() - MONDAY, clock.boot(), clock.boot_id))
            await asyncio.sleep(10.0)
        return seen

    found = [(round(now / 1e6), round(boot / 1e6), name) for now, boot, name in simulate(main())]
    assert found == [(0, 1000, "boot-1"), (-3590, 1010, "boot-1"), (-3580, 0, "boot-2")]
