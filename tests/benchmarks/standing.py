"""What a backlog costs: memory, the time to be ready, the time to tell the status."""

import shutil
import statistics
import time
from pathlib import Path

from msgspec import Struct

from tests.benchmarks.answering import send
from tests.benchmarks.backlog import waiting_deliveries, waiting_events
from tests.benchmarks.daemon import daemon
from tests.benchmarks.processes import peak_memory
from tests.benchmarks.table import Line

_COUNT = 100_000

#: Targets: megabytes above an empty start, seconds until /readyz says yes, seconds for a status.
_MEMORY = 30.0
_READY = 2.0
_STATUS = 0.1

#: Seconds that a daemon is left to itself, so that what it does with its backlog is counted.
_REST = 4.0

#: Webhooks that it takes in then.
_RECEIVED = 20_000
_SECONDS = 10.0

_ASKED = 20


class Footprint(Struct, frozen=True, kw_only=True):
    """What one daemon took."""

    ready_after: float
    #: The median of some answers.
    status: float
    waiting: int
    #: Megabytes at most: while it rested, and while it then received.
    at_rest: float | None
    receiving: float | None


def measure(folder: Path) -> list[Line]:
    """Measure three daemons, each on an outbox of its own in `folder`."""
    outboxes = [folder / name for name in ("empty", "events", "deliveries")]
    for outbox in outboxes:
        outbox.mkdir()
    empty, events, deliveries = outboxes
    waiting_events(events / "outbox.db", _COUNT)
    shutil.copyfile(events / "outbox.db", deliveries / "outbox.db")
    waiting_deliveries(deliveries / "outbox.db")
    nothing = _footprint(empty)
    lines = _lines("an empty outbox", nothing, nothing)
    for what, outbox in (("events", events), ("deliveries", deliveries)):
        found = _footprint(outbox)
        if found.waiting < _COUNT:
            raise RuntimeError(f"only {found.waiting} {what} were waiting")
        lines += _lines(f"{_COUNT} waiting {what}", found, nothing)
    return lines


def _footprint(folder: Path) -> Footprint:
    with daemon(folder, core=None) as running:
        time.sleep(_REST)
        status, _ = running.status()
        at_rest = peak_memory(running.process)
        asked = [running.status()[1] for _ in range(_ASKED)]
        send(running.listen, seconds=_SECONDS, core=None, requests=_RECEIVED)
        return Footprint(
            ready_after=running.ready_after,
            status=statistics.median(asked),
            waiting=max(status.events["waiting"], status.deliveries["waiting"]),
            at_rest=at_rest,
            receiving=peak_memory(running.process),
        )


def _lines(what: str, found: Footprint, empty: Footprint) -> list[Line]:
    return [
        Line(
            what=f"{what}: seconds until ready",
            measured=f"{found.ready_after:.2f}",
            target=f"at most {_READY:g}",
            met=found.ready_after <= _READY,
        ),
        _memory("  MB of memory at most, at rest", found.at_rest, empty.at_rest),
        _memory(
            f"  MB of memory at most, after {_RECEIVED} webhooks", found.receiving, empty.at_rest
        ),
        Line(
            what="  seconds for GET /api/status",
            measured=f"{found.status:.4f}",
            target=f"at most {_STATUS:g}",
            met=found.status <= _STATUS,
        ),
    ]


def _memory(what: str, found: float | None, empty: float | None) -> Line:
    if found is None or empty is None:
        return Line(what=what, measured="not known on this system")
    above = found - empty
    return Line(
        what=what,
        measured=f"{found:.1f} ({above:+.1f})",
        target=f"at most {_MEMORY:+g} to an empty start",
        met=above <= _MEMORY,
    )
