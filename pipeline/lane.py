"""The way to one peer as a whole: whether it works, and what a failure means for an item.

One lane's trouble is that lane's alone. A stage asks the lane before it takes work, and hands it
every failure; the lane's verdict says what becomes of the item.
"""

import random
from enum import StrEnum

from msgspec import Struct

from pipeline import backoff
from pipeline.breaker import Breaker
from pipeline.clock import SECOND, Clock
from pipeline.config import RetryPolicy
from pipeline.errors import (
    Failure,
    LaneFailure,
    NotYet,
    Outdated,
    PipelineError,
    Reject,
    Retry,
    Skip,
    Throttled,
    TokenRefused,
    Unauthorized,
    Unreadable,
)


class LaneState(StrEnum):
    """How a peer is doing."""

    UP = "up"
    THROTTLED = "throttled"
    DOWN = "down"
    UNAUTHORIZED = "unauthorized"


class Fate(StrEnum):
    """What becomes of an item that failed."""

    BACK = "back"
    PARK = "park"
    SKIP = "skip"


class Verdict(Struct, frozen=True, kw_only=True):
    """What a failure means for the item that met it."""

    fate: Fate
    reason: str
    #: For BACK: when it may be tried again, and whether the failure was its own.
    due_at: int = 0
    failed: bool = False


class Lane:
    """The state of one peer."""

    def __init__(self, policy: RetryPolicy, clock: Clock, dice: random.Random) -> None:
        self.state = LaneState.UP
        self.last_error: str | None = None
        self.breaker = Breaker(policy, clock, dice)
        self._policy = policy
        self._clock = clock
        self._dice = dice
        self._refusals = 0

    def succeeded(self) -> None:
        """Take note that the peer did what was asked."""
        self.breaker.succeeded()
        self.state = LaneState.UP
        self.last_error = None
        self._refusals = 0

    def judge(
        self, exc: Exception, *, item: int, attempts: int, first_failure_at: int | None
    ) -> Verdict:
        """Take note of a failure, and tell what becomes of the item."""
        match exc:
            case LaneFailure():
                return self._lane_failure(exc)
            case Retry():
                return self._own_failure(exc, item, attempts, first_failure_at)
            case Skip():
                return Verdict(fate=Fate.SKIP, reason=exc.reason)
            case Reject():
                return Verdict(fate=Fate.PARK, reason=exc.reason)
            case Unreadable():
                return Verdict(fate=Fate.PARK, reason=f"unreadable: {exc}")
            case _:
                own = NotYet(_unexpected(exc))
                return self._own_failure(own, item, attempts, first_failure_at)

    def stumbled(self, exc: Exception) -> LaneFailure:
        """Take note of a failure that met no item: whatever it is, it is the lane's.

        Gives it as it was taken.
        """
        match exc:
            case LaneFailure():
                failure = exc
            case Retry():
                failure = LaneFailure(exc.reason, after=exc.after)
            case PipelineError():
                failure = LaneFailure(str(exc))
            case _:
                failure = LaneFailure(_unexpected(exc))
        # With the breaker open already, this was its probe: the next one is later.
        self.breaker.probing()
        self.lane_failed(failure)
        self.breaker.abandon()
        return failure

    def unanswered(self, exc: Failure, item: int) -> None:
        """Take note that an item failed by the peer, whatever becomes of the item."""
        self.last_error = exc.reason
        self.breaker.failed(item)
        if self.breaker.is_open and self.state is LaneState.UP:
            self.state = LaneState.DOWN

    def lane_failed(self, exc: Retry) -> None:
        """Take note of a failure that is the peer's: no item ages by it."""
        self.last_error = exc.reason
        match exc:
            case Throttled():
                self.state = LaneState.THROTTLED
                self.breaker.trip(after=exc.after)
            case TokenRefused(late=True):
                return  # the request that met it first has told
            case TokenRefused() if not self._refusals:
                # Tokens end; a fresh one cures it at once.
                self._refusals += 1
            case TokenRefused() | Unauthorized():
                self.state = LaneState.UNAUTHORIZED
                self.breaker.trip()
            case _:
                self.state = LaneState.DOWN
                self.breaker.trip(after=exc.after)

    def _lane_failure(self, exc: LaneFailure) -> Verdict:
        self.lane_failed(exc)
        return Verdict(fate=Fate.BACK, reason=exc.reason, due_at=self._clock.now())

    def _own_failure(
        self, exc: Failure, item: int, attempts: int, first_failure_at: int | None
    ) -> Verdict:
        after = exc.after if isinstance(exc, Retry) else None
        now = self._clock.now()
        if isinstance(exc, Outdated):
            due_at = now + round((after or 0.0) * SECOND)
            return Verdict(fate=Fate.BACK, reason=exc.reason, due_at=due_at)
        if not isinstance(exc, NotYet):
            self.unanswered(exc, item)
        since = now if first_failure_at is None else first_failure_at
        if now - since >= self._policy.give_up_after * SECOND:
            return Verdict(fate=Fate.PARK, reason=f"given up: {exc.reason}")
        due_at = now + backoff.wait(self._policy, attempts + 1, floor=after, dice=self._dice)
        return Verdict(fate=Fate.BACK, reason=exc.reason, due_at=due_at, failed=True)


def _unexpected(exc: Exception) -> str:
    """Name a mistake of ours; its own text may quote somebody."""
    return f"unexpected {type(exc).__name__}: see the log"
