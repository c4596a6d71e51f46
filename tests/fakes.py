"""Stand-ins for what no test can wait for: the time."""

from pipeline.clock import SECOND

#: 2026-11-21T12:00:00Z.
NOON = 1_795_262_400 * SECOND


class FakeClock:
    """A clock that goes when it is told to; times are microseconds, as in `pipeline.clock`."""

    def __init__(self, now: int = NOON, boot: int = 1_000 * SECOND, boot_id: str = "first") -> None:
        self._now = now
        self._boot = boot
        self.boot_id = boot_id

    def now(self) -> int:
        """Tell the wall clock."""
        return self._now

    def boot(self) -> int:
        """Tell the time since boot."""
        return self._boot

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += round(seconds * SECOND)
        self._boot += round(seconds * SECOND)

    def step(self, seconds: float) -> None:
        """Set the wall clock, as a person or NTP does."""
        self._now += round(seconds * SECOND)

    def reboot(self, boot_id: str) -> None:
        """Start the machine anew."""
        self._boot = 0
        self.boot_id = boot_id
