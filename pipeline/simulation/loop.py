"""An event loop whose time passes only while nobody has anything to do, and then at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

#: Past a timer, not onto it: who reckons with times of his own (aiolimiter does) may find that he
#: woke a rounding error too early, sleeps for no time at all, and so for ever.
_OVERSHOOT = 1e-6

#: Turns of the loop in which no time passes; so many are no work but a wait that never ends.
_MOST_TURNS = 1_000_000


class Stuck(RuntimeError):
    """Nothing in the simulation can go on: it would hang for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, and with nothing ready jumps to the next timer.

    It has no sockets, no subprocesses, and no threads that it would wait for. Stuck is raised when
    there is neither a timer nor anything ready, and when time stands still.
    """

    def __init__(self, most_turns: int = _MOST_TURNS) -> None:
        super().__init__()
        self._selector = _Time(most_turns)

    def time(self) -> float:
        """Tell the time in seconds since the simulation began."""
        return self._selector.now

    def _process_events(self, event_list: object) -> None:
        """There are none: nothing comes from outside."""

    def _write_to_self(self) -> None:
        """There is nobody to be woken: the loop never waits."""


class _Time:
    """Stands in for the selector that a loop waits in."""

    def __init__(self, most_turns: int) -> None:
        self.now = 0.0
        self._most_turns = most_turns
        self._turns = 0

    def select(self, timeout: float | None) -> tuple[()]:
        """Let the time pass that the loop would wait."""
        if timeout is None:
            msg = "everything waits, and nothing is to come: no timer is set"
            raise Stuck(msg)
        if timeout > 0:
            self.now += timeout + _OVERSHOOT
            self._turns = 0
            return ()
        self._turns += 1
        if self._turns > self._most_turns:
            self._turns = 0
            msg = f"{self._most_turns} turns of the loop, and still it is {self.now} s"
            raise Stuck(msg)
        return ()

    def close(self) -> None:
        """There is nothing to close."""


def simulate(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end, on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
