"""What an unexpected 429 teaches: to pause, and to use less of the allowance for some time.

The ledger expects none, so the peer counts otherwise than we do, or somebody else uses the key.
"""

import msgspec

from pipeline.clock import SECOND, Clock
from pipeline.outbox import Restraint

#: Seconds to hold back after a 429 that names none, and how often they double at most.
_HOLD = 60.0
_DOUBLINGS = 6

#: In twentieths of the configured requests: each incident takes a tenth of them off, a window
#: without any gives a twentieth back, and half of them are always left.
_INCIDENT = 2
_HALF = 10
_WHOLE = 20


class Caution:
    """Remembers the incidents of one destination; `per` in seconds, `window` in microseconds."""

    def __init__(self, per: float, window: int, clock: Clock) -> None:
        self._per = per
        self._window = window
        self._clock = clock
        self._learnt: Restraint | None = None
        self._refusals = 0
        self._held_until = 0

    def restore(self, learnt: Restraint, *, began: int) -> None:
        """Take over what a predecessor learnt at a time of this boot's clock."""
        self._learnt = msgspec.structs.replace(learnt, boot=began, boot_id=self._clock.boot_id)
        self._held_until = began + learnt.hold

    def allowed(self, requests: int) -> int:
        """Give how many of the configured requests a window may have now."""
        lost = -(-requests * self._twentieths() // _WHOLE)
        return requests - min(lost, requests // 2)

    def held(self) -> float:
        """Tell for how many seconds nothing may go."""
        return max(self._held_until - self._clock.boot(), 0) / SECOND

    def refused(self, left_at: int) -> None:
        """Learn from an answer 429 to a request that left then, by the boot clock.

        Answers to requests that had left before the first one came are of the same incident.
        """
        if self._learnt is not None and left_at < self._learnt.boot:
            return
        self._refusals += 1
        self._learnt = Restraint(
            twentieths=min(self._twentieths() + _INCIDENT, _HALF),
            hold=max(self._held_until - self._clock.boot(), 0),
            at=self._clock.now(),
            boot=self._clock.boot(),
            boot_id=self._clock.boot_id,
        )

    def hold(self, asked: float | None) -> float:
        """Pause for as long as the peer asks, else a minute at most, doubling; give the seconds."""
        pause = asked
        if pause is None:
            pause = min(self._per, _HOLD) * 2 ** min(max(self._refusals - 1, 0), _DOUBLINGS)
        self._held_until = max(self._held_until, self._clock.boot() + round(pause * SECOND))
        return pause

    def answered(self) -> None:
        """End the doubling: the peer takes requests."""
        self._refusals = 0

    def learnt(self) -> Restraint | None:
        """Give what is to outlive a restart; None before any 429."""
        if self._learnt is None:
            return None
        hold = max(self._held_until - self._learnt.boot, 0)
        return msgspec.structs.replace(self._learnt, hold=hold)

    def _twentieths(self) -> int:
        if self._learnt is None:
            return 0
        clean = (self._clock.boot() - self._learnt.boot) // self._window
        return max(self._learnt.twentieths - clean, 0)
