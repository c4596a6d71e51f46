"""What is done every so often is done again, whatever became of it the last time."""

import asyncio
import io

from pipeline.clock import SECOND
from pipeline.errand import Runner
from pipeline.errors import NotYet, OutboxUnavailable
from pipeline.log import Log
from pipeline.simulation.clock import VirtualClock
from pipeline.simulation.loop import simulate

_HOUR = 3600.0


class _Errand:
    """Notes when it was done, and fails as it is told."""

    name = "products of leeds"

    def __init__(self, clock: VirtualClock, failures: list[Exception]) -> None:
        self.done_at: list[float] = []
        self._clock = clock
        self._failures = failures

    async def once(self) -> float:
        self.done_at.append(self._clock.boot() / SECOND)
        if self._failures:
            raise self._failures.pop(0)
        return _HOUR


def _run(
    *failures: Exception, wake_at: float = 0.0, for_: float = 3 * _HOUR
) -> tuple[list[int], str]:
    """Run an errand for some hours; give the seconds at which it was done, and the log."""
    lines = io.StringIO()

    async def main() -> _Errand:
        clock = VirtualClock(asyncio.get_running_loop().time)
        errand = _Errand(clock, list(failures))
        runner = Runner(errand, clock, Log(clock, level="info", style="json", sink=lines))
        task = asyncio.create_task(runner.run())
        if wake_at:
            await asyncio.sleep(wake_at)
            runner.wake()
        await asyncio.sleep(for_ - wake_at)
        task.cancel()
        await asyncio.wait([task])
        return errand

    done_at = simulate(main()).done_at
    return [round(at - done_at[0]) for at in done_at], lines.getvalue()


def test_it_is_done_at_once_and_whenever_it_asks_to_be() -> None:
    """An hour is longer than the bell is waited for."""
    assert _run()[0] == [0, 3600, 7200]


def test_it_can_be_woken() -> None:
    """An unknown product must not wait for the hour."""
    assert _run(wake_at=100.0)[0] == [0, 100, 3700, 7300]


def test_a_failure_is_told_and_tried_again() -> None:
    """Neither a peer in trouble nor a mistake of ours may end it, or the daemon."""
    done_at, log = _run(NotYet("ROLLER answered 503"), ValueError("x"), OutboxUnavailable("disk"))
    assert done_at[:4] == [0, 300, 600, 601]
    assert "ROLLER answered 503" in log
    assert "failed unexpectedly" in log
    assert "outbox failed" in log
    assert log.count("products of leeds") == 3
