"""The machine's clocks in a simulation: they go with the loop, and can be set."""

from collections.abc import Callable

from pipeline.clock import SECOND

#: 2026-11-23T00:00:00Z, a Monday.
MONDAY = 1_795_392_000 * SECOND


class VirtualClock:
    """A wall clock and a boot clock that go by `time`, which gives seconds."""

    def __init__(self, time: Callable[[], float], *, now: int = MONDAY) -> None:
        self.boot_id = "boot-1"
        self._time = time
        self._boots = 1
        #: What the clocks say more than `time`.
        self._wall = now - self._elapsed()
        self._since_boot = 1000 * SECOND - self._elapsed()

    def now(self) -> int:
        """Tell the wall clock."""
        return self._wall + self._elapsed()

    def boot(self) -> int:
        """Tell the time since boot."""
        return self._since_boot + self._elapsed()

    def step(self, seconds: float) -> None:
        """Set the wall clock ahead, or back, as a person or NTP does."""
        self._wall += round(seconds * SECOND)

    def reboot(self) -> None:
        """Start the machine anew: the boot clock begins at nothing, under another name."""
        self._boots += 1
        self.boot_id = f"boot-{self._boots}"
        self._since_boot = -self._elapsed()

    def _elapsed(self) -> int:
        return int(self._time() * SECOND)
