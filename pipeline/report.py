"""Says how a running daemon is doing."""

from collections.abc import Sequence
from typing import Any

from pipeline.assembly import Stages
from pipeline.clock import Clock, iso
from pipeline.config import Config
from pipeline.deliver import Deliverer
from pipeline.estimate import Load, Pace, load, seconds
from pipeline.lane import LaneState
from pipeline.model import Origin
from pipeline.outbox import Note, Outbox
from pipeline.runs import halted, history, with_waits
from pipeline.status import (
    BudgetStatus,
    DestinationStatus,
    SourceStatus,
    Status,
    calls_this_month,
    differences,
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
        sums, due = tally(await overview.counts()), await overview.due(now=self._clock.now())
        blockers, notes = self.blockers(), await self._stages.notebook.read()
        sources = {name: await self._source(name, notes) for name in self._stages.doors}
        stopped = list(halted(sources))
        stopped += await self._no_room(stopped)
        return Status(
            running=True,
            started_at=iso(self._started_at),
            ready=not blockers,
            reasons=(*blockers, *self._troubles(), *stopped),
            events=sums.events,
            deliveries=sums.deliveries,
            oldest_waiting_s=await oldest_waiting(overview, self._clock),
            destinations={
                name: _destination(
                    deliverer,
                    sums.waiting.get(name, 0),
                    load(one for one in due if one.destination == name),
                )
                for name, deliverer in self._stages.deliverers.items()
            },
            sources=sources,
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
        found += [
            f"sources.{name}: webhooks come with a key that is not webhook_key: "
            f"`pipeline webhooks register` has ROLLER send that, or set the key that it sends"
            for name, door in self._stages.doors.items()
            if door.key_mismatch
        ]
        return found + [
            f"sources.{name}: {lookout.trouble}"
            for name, lookout in self._stages.lookouts.items()
            if lookout.trouble
        ]

    async def _source(self, name: str, notes: Sequence[Note]) -> SourceStatus:
        door, lane = self._stages.doors[name], self._stages.enrichers[name].lane
        state = "limited" if lane.state is LaneState.THROTTLED else str(lane.state)
        if door.key_mismatch:
            state = "key_mismatch"
        lookout = self._stages.lookouts.get(name)
        return SourceStatus(
            state=state,
            webhook=str(lookout.state) if lookout else "unknown",
            webhook_note=lookout.note if lookout else None,
            last_error=lane.last_error,
            calls_this_month=calls_this_month(notes, name, now=self._clock.now()),
            drift=differences(notes, name),
            **await self._history(name),
        )

    async def _history(self, name: str) -> dict[str, Any]:
        """Tell what the outbox tells, and for what the runs of a source wait."""
        known = await self._outbox.webhooks.known(name)
        found = await history(self._outbox.sweeps, known, name)
        if sweeper := self._stages.sweepers.get(name):
            for origin in (Origin.RECONCILE.value, Origin.BACKFILL.value):
                run = found[origin]
                found[origin] = run and await with_waits(run, sweeper.room)
        return found

    async def _no_room(self, told: Sequence[str]) -> list[str]:
        """Tell why what is found by looking would not be taken in, unless a run tells it."""
        for sweeper in self._stages.sweepers.values():
            why = await sweeper.room.lack()
            if why and not any(why in one for one in told):
                return [f"reconciliation and backfill take in nothing: {why}"]
        return []


def _destination(deliverer: Deliverer, waiting: int, due: Load) -> DestinationStatus:
    """Tell of one; `due` is what of the waiting work may go."""
    budget, lane = deliverer.budget, deliverer.lane
    left, pause = budget.left(), max(budget.held, lane.breaker.rest())
    state = str(lane.state)
    if lane.state is LaneState.UP and budget.held:
        state = str(LaneState.THROTTLED)  # since before the start
    elif lane.state is LaneState.UP and not left and (due.urgent or due.lesser):
        state = "limited"
    pace = Pace(
        allowed=budget.allowed,
        spared=budget.spared,
        used=budget.used,
        per_s=float(budget.limit.per),
        pause_s=pause,
        next_slot_s=budget.next_slot(),
    )
    return DestinationStatus(
        state=state,
        budget=BudgetStatus(
            requests=budget.limit.requests,
            per_s=float(budget.limit.per),
            reserve=budget.limit.reserved,
            used=budget.used,
            left=left,
            allowed=budget.allowed,
            spared=pace.spared,
            pause_s=round(pause, 1),
            next_slot_s=None if pace.next_slot_s is None else round(pace.next_slot_s, 1),
        ),
        waiting=waiting,
        eta_s=round(seconds(pace, due), 1) if due.urgent or due.lesser else 0.0,
        last_error=lane.last_error,
    )
