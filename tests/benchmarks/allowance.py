"""What must hold of the allowance, at full size and on a virtual clock: takes some minutes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.simulation.mishaps import Mishaps
from pipeline.simulation.network import Latency
from pipeline.simulation.traffic import Habits
from pipeline.simulation.world import Receiver, Setup
from tests.benchmarks.table import Line
from tests.simulation.experiments import (
    keep_the_allowance,
    newcomers_wait,
    others_wait,
    requests_each,
    share_used,
)

_SLOW = Latency(least=0.05, usual=2.0, slow_share=0.02, slow=40.0)
_QUICK = Latency(least=0.05, usual=0.95)

_SHARE = 0.99
_WAIT = 10.0
_GROWTH = 1.2
#: Of the bookings, those of guests who were told before: what `pipeline simulate` assumes.
_RETURNING = Habits(bookings_per_day=1.0).returning
#: Look-up, guest, booking and three tags; the look-up only with `check`.
_FIRST: Mapping[Literal["trust", "check"], int] = {"trust": 5, "check": 6}


def measure(_: Path) -> list[Line]:
    """Simulate all of it."""
    return [
        *_kept(),
        _used(),
        *(line for returning in (0.0, 0.5) for line in _newcomers(returning, "trust")),
        *(line for share in (0.0, 0.1, _RETURNING, 0.5) for line in _newcomers(share, "check")),
        _others(),
        *(_each(contact, first) for contact, first in _FIRST.items()),
    ]


def _each(contact: Literal["trust", "check"], first: int) -> Line:
    setup = Setup(seed=1, first_contact=contact, requests=first + 2, reserve=0)
    counts, wanted = requests_each(setup), [first, 1, 1]
    return Line(
        what=f"requests of a new guest's booking, of the next, of one changed tenfold ({contact})",
        measured=", ".join(map(str, counts)),
        target=", ".join(map(str, wanted)),
        met=counts == wanted,
    )


def _kept() -> list[Line]:
    begun = time.process_time()
    kept = keep_the_allowance(
        Setup(seed=1, venues=2, token_lifetime=86_400, drift=0.0004, stampede=_SLOW),
        Mishaps(restarts=20, crashes=5, reboots=2, clock_steps=20),
        days=30.0,
        bookings_per_day=800.0,
    )
    rate = kept.requests / (time.process_time() - begun)
    wrong = len(kept.differences) + len(kept.unexpected) + (not kept.finished)
    return [
        Line(what="simulated requests per second of processor time", measured=f"{rate:.0f}"),
        Line(
            what=f"refused of {kept.requests} requests in 30 days of restarts, crashes, steps",
            measured=f"{kept.refused}",
            target="0",
            met=kept.refused == 0,
        ),
        Line(
            what="bookings at Stampede that are not as they are at ROLLER after that",
            measured=f"{wrong}",
            target="0",
            met=wrong == 0,
        ),
    ]


def _used() -> Line:
    share = share_used(Setup(seed=1, stampede=_QUICK), hours=24.0, waiting=8000)
    return Line(
        what="used of requests - reserve in 24 h of backlog",
        measured=f"{share:.1%}",
        target=f"{_SHARE:.0%}",
        met=share >= _SHARE,
    )


def _newcomers(returning: float, contact: str) -> list[Line]:
    setup = Setup(seed=1, stampede=_QUICK, first_contact="trust" if contact == "trust" else "check")
    found = newcomers_wait(setup, days=2.0, waiting=10_000, per_window=30.0, returning=returning)
    p99, told = found.first_request.p99, found.told
    assert p99 is not None
    # Three urgent requests for each of 30 new guests are 90 of the 92 that tags leave of 100: they
    # queue for many minutes. Nor can first requests then all go before: what was looked up would be
    # too old by the time that it is used, and to be looked up again, which is more than 100.
    has_target = contact == "trust" or returning >= _RETURNING
    who = f"{contact}, {returning:.0%} returning"
    return [
        Line(
            what=f"seconds to a new booking's first request behind 10,000 old ones (99 %, {who})",
            measured=f"{p99:.1f}",
            target=f"{_WAIT:.0f}" if has_target else "",
            met=p99 <= _WAIT if has_target else None,
        ),
        # First requests go before what is begun, so that is what they cost.
        Line(
            what="  until it is told (median, 95 %, 99 %)",
            measured=f"{told.median:.1f}, {told.p95:.0f}, {told.p99:.0f}",
        ),
    ]


def _others() -> Line:
    setup = Setup(seed=1, venues=10, receivers=(Receiver(), Receiver()))
    alone, flooded = (
        others_wait(setup, hours=24.0, per_hour=0.5, flood=flood) for flood in (0, 10_000)
    )
    return Line(
        what="median wait of nine venues while a tenth sends 10,000 events, times that without",
        measured=f"{flooded / alone:.1f}",
        target=f"{_GROWTH}",
        met=flooded < _GROWTH * alone,
    )
