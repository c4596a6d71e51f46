"""What /metrics tells beside the counts: how things stand just now."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from pipeline import __version__
from pipeline.assembly import Stages
from pipeline.clock import SECOND, Clock
from pipeline.metrics import Meters, counter, exposition, gauge
from pipeline.model import DeliveryState
from pipeline.outbox import Count, Outbox
from pipeline.subscription import WebhookState

#: A delivery stays in these for ever, so that their counts only grow. What was skipped does not: a
#: draft's is superseded when it is confirmed, and a counter that falls is taken for a restart.
_FINAL = (
    DeliveryState.DELIVERED,
    DeliveryState.SUPERSEDED,
    DeliveryState.DROPPED,
    DeliveryState.ERASED,
)

_TOO_MANY = "429"

#: Of what is not known a guess would be worse than no value.
_ENABLED = {
    WebhookState.REGISTERED: 1,
    WebhookState.DIFFERS: 1,
    WebhookState.MISSING: 0,
    WebhookState.DISABLED: 0,
}

#: What the outbox counts, and how the label calls it.
_STAGES = {"event": "events", "delivery": "deliveries"}


class Gauges:
    """Puts all metrics together."""

    def __init__(self, outbox: Outbox, stages: Stages, meters: Meters, clock: Clock) -> None:
        self._outbox = outbox
        self._stages = stages
        self._meters = meters
        self._clock = clock

    async def text(self) -> bytes:
        """Write them down; OutboxUnavailable when the outbox cannot be read."""
        counts = await self._outbox.overview.counts()
        now = self._clock.now()
        oldest = await self._outbox.overview.oldest_due(now=now)
        waits: dict[tuple[str, ...], float] = {(stage,): 0.0 for stage in _STAGES.values()}
        for what, since in oldest.items():
            waits[_STAGES[what],] = max(now - since, 0) / SECOND
        return exposition([*self._meters.families(), *self._families(counts, waits)])

    def _families(
        self, counts: list[Count], waits: dict[tuple[str, ...], float]
    ) -> Iterator[Metric]:
        items: dict[tuple[str, ...], float] = {}
        for one in counts:
            if one.state != "duplicates":
                key = (_STAGES[one.what], one.state)
                items[key] = items.get(key, 0) + one.n
        yield gauge("pipeline_items", "Rows of the outbox.", ("stage", "state"), items.items())
        yield gauge(
            "pipeline_oldest_waiting_seconds", "For how long the oldest due work has been due.",
            ("stage",), waits.items(),
        )  # fmt: skip
        yield counter(
            "pipeline_deliveries",
            "Deliveries that have ended for good. Skipped ones may yet be sent: pipeline_items.",
            ("destination", "state"),
            [((one.owner, one.state), one.n) for one in counts
             if one.what == "delivery" and one.state in _FINAL],
        )  # fmt: skip
        yield from self._allowances()
        yield from self._sources()
        difference = self._meters.difference
        yield gauge(
            "pipeline_conservation_difference",
            "Counters against rows, as last counted; anything but 0 is a fault of the pipeline.",
            (),
            [] if difference is None else [((), difference)],
        )
        yield gauge("pipeline_build_info", "The version.", ("version",), [((__version__,), 1)])

    def _allowances(self) -> Iterator[Metric]:
        budgets = {name: one.budget for name, one in self._stages.deliverers.items()}
        yield gauge(
            "pipeline_budget_used", "Requests that count against the allowance now.",
            ("destination",), [((name,), budget.used) for name, budget in budgets.items()],
        )  # fmt: skip
        yield gauge(
            "pipeline_budget_limit",
            "Requests that the allowance has now: fewer than configured for a while after a 429.",
            ("destination",), [((name,), one.allowed) for name, one in budgets.items()],
        )  # fmt: skip
        limited = dict.fromkeys(((name,) for name in budgets), 0.0)
        by_peer = {peer: (name,) for name, peer in self._stages.peers.items()}
        for (peer, _, status), n in self._meters.requests.items():
            if status == _TOO_MANY and peer in by_peer:
                limited[by_peer[peer]] += n
        yield counter(
            "pipeline_rate_limited",
            "Answers 429 of a destination.",
            ("destination",),
            limited.items(),
        )

    def _sources(self) -> Iterator[Metric]:
        yield gauge(
            "pipeline_source_webhook_enabled",
            "Whether ROLLER's subscription is there and on; absent where that is not known.",
            ("source",),
            [
                ((name,), _ENABLED[lookout.state])
                for name, lookout in self._stages.lookouts.items()
                if lookout.state in _ENABLED
            ],
        )
        heard = [
            ((name,), door.last_event_at / SECOND)
            for name, door in self._stages.doors.items()
            if door.last_event_at is not None
        ]
        yield gauge(
            "pipeline_last_event_timestamp_seconds", "When a source was last heard of.",
            ("source",), heard,
        )  # fmt: skip
