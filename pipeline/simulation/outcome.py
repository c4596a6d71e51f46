"""What a simulation has shown, as `pipeline simulate --json` prints it; times are seconds."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from pipeline.simulation.watch import Watch, Way

#: Seconds: what has waited for longer at the end, or for longer than a window, is late.
LATE = 900.0


class Waits(Struct, frozen=True, kw_only=True):
    """How long things waited; None where there was nothing that could."""

    median: float | None
    p95: float | None
    p99: float | None
    max: float | None


class Class(Struct, frozen=True, kw_only=True):
    """What became of the work of one class; one piece is what an event makes of it."""

    pieces: int
    #: From the webhook until the first request left, and until all was delivered.
    first_request_s: Waits
    delivered_s: Waits


class Allowance(Struct, frozen=True, kw_only=True):
    """What became of an allowance."""

    requests: int
    per_s: float
    reserve: int
    #: Of what it allows in all that time.
    used: float
    #: The most requests that Stampede counted in any window.
    busiest_window: int
    #: Requests that were too many.
    refused: int


class Backlog(Struct, frozen=True, kw_only=True):
    """The most deliveries that waited at a time."""

    most: int
    most_at_s: float
    #: From then until next to nothing was left; None when it was not worked off.
    worked_off_after_s: float | None
    #: Deliveries that were still waiting at the end.
    left: int
    #: Of these, those that had come a while before: see `LATE`.
    late: int


class Outcome(Struct, frozen=True, kw_only=True):
    """All of it."""

    days: float
    outage_s: float
    bookings: int
    #: All that was told, or is to be.
    deliveries: int
    requests: int
    token_requests: int
    requests_per_booking: float | None
    #: What would have had to be sent in a day for nothing to be left.
    needed_per_day: float
    allowed_per_day: float
    allowance: Allowance
    #: By class, "1" to "6".
    classes: Mapping[str, Class]
    backlog: Backlog
    suffices: bool
    conclusion: str


def by_class(watch: Watch) -> Mapping[str, Class]:
    """Sort what was seen by class."""
    classes = sorted({way.priority for way in watch.ways.values()})
    return {
        str(one): _class([way for way in watch.ways.values() if way.priority == one])
        for one in classes
    }


def _class(ways: Sequence[Way]) -> Class:
    first = [way.first_left - way.accepted for way in ways if way.first_left is not None]
    done = [
        way.last_ended - way.accepted
        for way in ways
        if way.delivered and way.last_ended is not None
    ]
    return Class(pieces=len(ways), first_request_s=waits(first), delivered_s=waits(done))


def waits(seconds: Iterable[float]) -> Waits:
    """Give the quantiles."""
    found = sorted(seconds)
    if not found:
        return Waits(median=None, p95=None, p99=None, max=None)
    median, p95, p99 = (
        round(found[min(int(len(found) * share), len(found) - 1)], 3) for share in (0.5, 0.95, 0.99)
    )
    return Waits(median=median, p95=p95, p99=p99, max=round(found[-1], 3))
