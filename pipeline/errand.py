"""What is done for a source every so often, beside the stages: its failure stops nothing else."""

from typing import Protocol

from pipeline.clock import SECOND, Clock
from pipeline.errors import OutboxUnavailable, PipelineError
from pipeline.feed import Feed
from pipeline.log import Log, trace

#: Seconds until an errand is tried again that failed by an outbox, and one that failed otherwise.
_PAUSE = 1.0
_AGAIN = 300.0


class Errand(Protocol):
    """Something to be done again and again."""

    @property
    def name(self) -> str:
        """Name it in the log, with its source: `products of leeds`."""

    async def once(self) -> float:
        """Do what is due, and give the seconds until something may be due again.

        Raises PipelineError when it could not be done; it is tried again some minutes later. It is
        cancelled when the daemon stops, so whatever it does must bear to be broken off.
        """


class Runner:
    """Runs one errand until it is cancelled."""

    def __init__(self, errand: Errand, clock: Clock, log: Log) -> None:
        self.errand = errand
        self._bell: Feed[None] = Feed(1)
        self._clock = clock
        self._log = log

    def wake(self) -> None:
        """Let it look at once whether something is due."""
        self._bell.ring()

    async def run(self) -> None:
        """Do it whenever it is due."""
        while True:
            pause = await self._once()
            until = self._clock.boot() + round(pause * SECOND)
            while (left := (until - self._clock.boot()) / SECOND) > 0:
                # The bell's wait is a minute at most.
                if await self._bell.wait(left):
                    break

    async def _once(self) -> float:
        try:
            return await self.errand.once()
        except OutboxUnavailable as exc:
            self._log.error("outbox failed", errand=self.errand.name, reason=str(exc))
            return _PAUSE
        except PipelineError as exc:
            self._log.warning("failed", errand=self.errand.name, reason=str(exc))
        except Exception as exc:  # noqa: BLE001 - one errand must not end the daemon
            self._log.error("failed unexpectedly", errand=self.errand.name, trace=trace(exc))
        return _AGAIN
