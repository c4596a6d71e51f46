"""Says how a running daemon is doing."""

from pipeline.assembly import Stages
from pipeline.clock import Clock, iso
from pipeline.config import Config
from pipeline.deliver import Deliverer
from pipeline.lane import LaneState
from pipeline.outbox import Outbox
from pipeline.status import (
    BudgetStatus,
    DestinationStatus,
    SourceStatus,
    Status,
    oldest_waiting,
    tally,
)


class Reporter:
    """Makes the status document from the counters and the lanes."""

    def __init__(self, config: Config, outbox: Outbox, stages: Stages, clock: Clock) -> None:
        self._config = config
        self._outbox = outbox
        self._stages = stages
        self._clock = clock
        self._started_at = clock.now()
        self.stopping = False

    def blockers(self) -> list[str]:
        """Tell why nothing is accepted or moves; empty when the daemon is ready."""
        found = ["shutting down"] if self.stopping else []
        if self._outbox.trouble:
            found.append(self._outbox.trouble)
        if self._stages.receiver.room <= 0:
            most = self._config.outbox.max_waiting
            found.append(f"the outbox is full: outbox.max_waiting = {most}")
        return found

    async def status(self) -> Status:
        """Give the whole document."""
        overview = self._outbox.overview
        sums, later = tally(await overview.counts()), await overview.later(now=self._clock.now())
        blockers = self.blockers()
        return Status(
            running=True,
            started_at=iso(self._started_at),
            ready=not blockers,
            reasons=(*blockers, *self._troubles()),
            events=sums.events,
            deliveries=sums.deliveries,
            oldest_waiting_s=await oldest_waiting(overview, self._clock),
            destinations={
                name: self._destination(deliverer, sums.waiting.get(name, 0), later.get(name, 0))
                for name, deliverer in self._stages.deliverers.items()
            },
            sources={name: self._source(name) for name in self._stages.doors},
        )

    def _troubles(self) -> list[str]:
        """Tell which peers need a person or time; the daemon accepts and goes on all the same."""
        lanes = {f"sources.{name}": e.lane for name, e in self._stages.enrichers.items()}
        lanes |= {f"destinations.{name}": d.lane for name, d in self._stages.deliverers.items()}
        found = [
            f"{name}: {lane.last_error}"
            for name, lane in lanes.items()
            if lane.state is not LaneState.UP
        ]
        return found + [
            f"sources.{name}: webhooks come with a key that is not webhook_key"
            for name, door in self._stages.doors.items()
            if door.key_mismatch
        ]

    def _destination(self, deliverer: Deliverer, waiting: int, later: int) -> DestinationStatus:
        """Tell of one; `later` is what of the waiting work is not due."""
        # The two are counted one after the other, and the work goes on meanwhile.
        due = max(waiting - later, 0)
        budget = deliverer.budget
        left = budget.left()
        state = str(deliverer.lane.state)
        if state == LaneState.UP and due and not left:
            state = "limited"
        rate = budget.limit.requests / budget.limit.per
        return DestinationStatus(
            state=state,
            budget=BudgetStatus(
                requests=budget.limit.requests,
                per_s=float(budget.limit.per),
                reserve=budget.limit.reserved,
                used=budget.used,
                left=left,
            ),
            waiting=waiting,
            eta_s=round(max(due - left, 0) / rate, 1),
            last_error=deliverer.lane.last_error,
        )

    def _source(self, name: str) -> SourceStatus:
        door, lane = self._stages.doors[name], self._stages.enrichers[name].lane
        state = "limited" if lane.state is LaneState.THROTTLED else str(lane.state)
        if door.key_mismatch:
            state = "key_mismatch"
        return SourceStatus(
            state=state,
            last_event_at=iso(door.last_event_at),
            last_error=lane.last_error,
        )
