"""One request to a destination: it has a slot, is on disk before it leaves, and leaves once."""

from collections.abc import Iterable

from pipeline.budget import Budget
from pipeline.clock import SECOND, Clock
from pipeline.errors import NoAnswer
from pipeline.model import Outcome, Priority
from pipeline.outbox import Ending, Learnt, Ledger, Opening
from pipeline.wire import TIMEOUT

_TOO_MANY = 429


class Attempt:
    """The record of a request; it takes a slot by being made, and the wire tells it of leaving."""

    def __init__(
        self,
        destination: str,
        delivery: int | None,
        budget: Budget,
        ledger: Ledger,
        clock: Clock,
        *,
        priority: int = Priority.URGENT,
        source: str | None = None,
    ) -> None:
        self._holder = budget.take(priority) if source is None else budget.take(priority, source)
        self._priority = priority
        self._destination = destination
        self._delivery = delivery
        self._budget = budget
        self._ledger = ledger
        self._clock = clock
        self._id: int | None = None
        self._left = False
        self._left_at = 0
        self._settled = False
        self._doubts: tuple[Learnt, ...] = ()
        #: The answer's status; None without an answer.
        self.status: int | None = None

    def raises_doubt(self, doubts: Iterable[Learnt]) -> None:
        """Have it on disk before the request leaves that it may have taken effect."""
        self._doubts = tuple(doubts)

    async def leaving(self, method: str, path: str) -> None:
        """Write the request down; NoAnswer for a second one, which has no slot of its own."""
        if self._left:
            msg = "the connection broke before the answer"
            raise NoAnswer(msg)
        # Should this fail, the request does not leave, and the slot is given back.
        self._id = await self._ledger.open(
            Opening(
                destination=self._destination,
                delivery=self._delivery,
                method=method,
                path=path,
                at=self._clock.now(),
                boot=self._clock.boot(),
                boot_id=self._clock.boot_id,
                timeout=round(TIMEOUT * SECOND),
                doubts=self._doubts,
            )
        )
        self._left = True
        self._left_at = self._clock.boot()
        await self._budget.leave(self._priority)

    def answered(self, status: int) -> None:
        """Take note of the answer's status."""
        self.status = status
        if status == _TOO_MANY:
            self._budget.refused(self._left_at)

    def settle(self) -> None:
        """Give the slot back if the request never left, else start its window; once."""
        if self._settled:
            return
        self._settled = True
        if self._left:
            self._budget.ended(self._holder)
        else:
            self._budget.give_back(self._priority, self._holder)

    def ending(self, outcome: Outcome, note: str | None) -> Ending | None:
        """Say how it ended; None if it never left."""
        if self._id is None:
            return None
        return Ending(
            attempt=self._id,
            outcome=outcome,
            status=self.status,
            note=note,
            at=self._clock.now(),
            boot=self._clock.boot(),
            learnt=self._budget.learnt() if self.status == _TOO_MANY else None,
        )
