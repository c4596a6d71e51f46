"""What goes wrong in a simulation besides the peers: restarts, crashes, reboots, clocks."""

import asyncio
import random

from msgspec import Struct

from pipeline.simulation.machine import Machine

#: A crash comes within so many uses of the disk, before or after one of them takes effect.
_USES = 12

_HOUR = 3600.0


class Mishaps(Struct, frozen=True, kw_only=True):
    """How many of each there are; clock steps go up to two hours either way."""

    restarts: int = 0
    crashes: int = 0
    reboots: int = 0
    clock_steps: int = 0


async def befall(machine: Machine, mishaps: Mishaps, days: float, dice: random.Random) -> None:
    """Let all of it happen, at moments drawn over the days."""
    names = [
        *("restart" for _ in range(mishaps.restarts)),
        *("crash" for _ in range(mishaps.crashes)),
        *("reboot" for _ in range(mishaps.reboots)),
        *("step" for _ in range(mishaps.clock_steps)),
    ]
    loop = asyncio.get_running_loop()
    for at, name in sorted((dice.uniform(0.0, days * 86_400), name) for name in names):
        await asyncio.sleep(max(at - loop.time(), 0.0))
        match name:
            case "restart":
                await machine.restart(dice.uniform(0.1, 20.0))
            case "step":
                await machine.step(dice.choice((-1, 1)) * dice.uniform(1.0, 2 * _HOUR))
            case _:
                await _crash(machine, dice, reboots=name == "reboot")


async def _crash(machine: Machine, dice: random.Random, *, reboots: bool) -> None:
    try:
        async with asyncio.timeout(_HOUR):  # nobody may use the disk for long
            await machine.crash(uses=dice.randrange(_USES), after=dice.random() < 0.5)  # noqa: PLR2004
    except TimeoutError:
        await machine.crash()
    await asyncio.sleep(dice.uniform(0.1, 30.0))
    if reboots:
        machine.clock.reboot()
    await machine.start()
