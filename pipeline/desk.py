"""What people do with events and deliveries, through the daemon or on an outbox at rest."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from pipeline.chronicle import chronicle
from pipeline.clock import Clock
from pipeline.log import Log
from pipeline.outbox import Changed, Records, Repair

#: Rows of one transaction; more would let webhooks wait.
AT_ONCE = 500


class Batch(Struct, frozen=True, kw_only=True):
    """What came of retrying some of many."""

    changed: int
    #: How many could not be changed after all.
    refused: int
    #: To be given back with the next call: what parks again meanwhile is not tried again.
    before: int
    #: There may be more.
    more: bool


class Desk:
    """Retries and drops; `wake` lets the stages look at once."""

    def __init__(
        self,
        records: Records,
        repair: Repair,
        clock: Clock,
        wake: Callable[[], None],
        log: Log | None = None,
    ) -> None:
        self.records = records
        self._repair = repair
        self._clock = clock
        self._wake = wake
        self._log = log

    async def retry_events(self, ids: Sequence[int]) -> Changed:
        """Process events again."""
        return self._done("retried", await self._repair.retry_events(ids, now=self._clock.now()))

    async def drop_events(self, ids: Sequence[int]) -> Changed:
        """Ignore events from now on."""
        return self._done("dropped", await self._repair.drop_events(ids, now=self._clock.now()))

    async def retry_deliveries(self, ids: Sequence[int]) -> Changed:
        """Try deliveries again, and what parked with them."""
        changed = await self._repair.retry_deliveries(ids, now=self._clock.now())
        return self._done("retried", changed)

    async def drop_deliveries(self, ids: Sequence[int]) -> Changed:
        """Let deliveries go, and what waits for them."""
        changed = await self._repair.drop_deliveries(ids, now=self._clock.now())
        return self._done("dropped", changed)

    async def retry_parked_events(self, source: str | None, before: int | None) -> Batch:
        """Process some of the parked events again."""
        now = self._clock.now()
        since = now if before is None else before
        changed = await self._repair.retry_parked_events(
            source, before=since, limit=AT_ONCE, now=now
        )
        return _batch(self._done("retried", changed), since)

    async def retry_parked_deliveries(self, destination: str | None, before: int | None) -> Batch:
        """Try some of the parked deliveries again."""
        now = self._clock.now()
        since = now if before is None else before
        changed = await self._repair.retry_parked_deliveries(
            destination, before=since, limit=AT_ONCE, now=now
        )
        return _batch(self._done("retried", changed), since)

    def _done(self, what: str, changed: Changed) -> Changed:
        if changed.ids:
            self._wake()
            if self._log is not None:
                self._note(self._log, what, changed)
        return changed

    def _note(self, log: Log, what: str, changed: Changed) -> None:
        numbers = [int(name[1:]) for name in changed.ids]
        is_event = changed.ids[0].startswith("e")
        log.info(what, **{"events" if is_event else "deliveries": numbers})
        chronicle(log, changed.superseded)


def _batch(changed: Changed, before: int) -> Batch:
    return Batch(
        changed=len(changed.ids),
        refused=len(changed.refused),
        before=before,
        more=changed.more and bool(changed.ids),
    )
