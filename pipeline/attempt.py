"""One request to a destination: written down before it leaves, and it leaves once."""

from pipeline.clock import SECOND, Clock
from pipeline.errors import NoAnswer
from pipeline.model import Outcome
from pipeline.outbox import Ending, Ledger, Opening
from pipeline.wire import TIMEOUT


class Attempt:
    """The record of a request that has a slot; the wire tells it when the request leaves."""

    def __init__(
        self, destination: str, delivery: int | None, ledger: Ledger, clock: Clock
    ) -> None:
        self._destination = destination
        self._delivery = delivery
        self._ledger = ledger
        self._clock = clock
        self._id: int | None = None
        self.status: int | None = None
        #: The request has left, or may have.
        self.left = False
        #: Its slot has been given back, or its window has begun.
        self.settled = False

    async def leaving(self, method: str, path: str) -> None:
        """Write the request down; NoAnswer for a second one, which has no slot of its own."""
        if self.left:
            msg = "the connection broke before the answer"
            raise NoAnswer(msg)
        self.left = True
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
            )
        )

    def answered(self, status: int) -> None:
        """Take note of the answer's status."""
        self.status = status

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
        )
