"""How fast webhooks are answered, against a handler that stores nothing.

Both servers run all the time, on the same core and the same kind of event loop, and are sent
webhooks in turn. Each round of ours is compared with those of the other just before and after it,
and counts only if these two agree: else something else had the core meanwhile.
"""

import statistics
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from tests.benchmarks.daemon import KEY, SOURCE, daemon
from tests.benchmarks.processes import cores, started
from tests.benchmarks.table import Line
from tests.benchmarks.traffic import Orders, Traffic

_TARGET = 0.55

_CONNECTIONS = 64
_ROUNDS = 21
_SECONDS = 0.7
_WARM_UP = 1.5

#: Requests in one round at most, which bounds the outbox's size.
_MOST = 150_000

#: More than the outbox grows in a round.
_MEBIBYTES = 128

#: A generator that is busier than this may be what is measured.
_BUSY = 0.85

#: The slower of two neighbouring rounds of the other server as a share of the faster: below it
#: something else has the core, and the quotient tells of that.
_STEADY = 0.85

#: Rounds that must count for a judgement.
_ENOUGH = 7

#: Seconds that a generator may take longer than it was told.
_GRACE = 30.0


def measure(folder: Path) -> list[Line]:
    """Measure, with an outbox in `folder`."""
    served_on, sent_from = cores()
    bare_server = ["-m", "tests.benchmarks.bare"]
    with (
        daemon(folder, core=served_on) as ours,
        started(bare_server, core=served_on, stdout=subprocess.PIPE) as bare,
    ):
        assert bare.stdout is not None
        ports = int(bare.stdout.readline()), ours.listen
        for port in ports:
            send(port, seconds=_WARM_UP, core=sent_from)
        first = _round(ports[0], folder, core=sent_from)
        rounds = [
            [_round(port, folder, core=sent_from) for port in reversed(ports)]
            for _ in range(_ROUNDS)
        ]
    mine, after = zip(*rounds, strict=True)
    return _lines(mine, (first, *after), alone=served_on is not None)


def _round(port: int, folder: Path, *, core: int | None) -> Traffic:
    """Send for one round, with memory for files that has been in use before.

    On a virtual machine the host provides memory when it is first used, which makes a growing file
    three times as costly to write; a machine that has been up for a day has no such memory left.
    """
    used = folder / "used"
    with used.open("wb") as file:
        for _ in range(_MEBIBYTES):
            file.write(bytes(1 << 20))
    used.unlink()
    return send(port, seconds=_SECONDS, core=core)


def send(port: int, *, seconds: float, core: int | None, requests: int = _MOST) -> Traffic:
    """Send webhooks from a process on `core`; RuntimeError when one is not answered 200."""
    orders = Orders(
        port=port,
        path=f"/webhooks/{SOURCE}",
        key=KEY,
        connections=_CONNECTIONS,
        seconds=seconds,
        requests=requests,
    )
    generator = ["-m", "tests.benchmarks.traffic", msgspec.json.encode(orders).decode()]
    with started(generator, core=core, stdout=subprocess.PIPE) as process:
        told, _ = process.communicate(timeout=seconds + _GRACE)
    if process.returncode:
        raise RuntimeError("the webhooks could not be sent")
    traffic = msgspec.json.decode(told, type=Traffic)
    if traffic.refused:
        raise RuntimeError(f"{traffic.refused} webhooks were not answered 200")
    return traffic


def _lines(mine: Sequence[Traffic], theirs: Sequence[Traffic], *, alone: bool) -> list[Line]:
    ours, bare = (statistics.median(one.rate for one in each) for each in (mine, theirs))
    shares = _shares(mine, theirs)
    share = statistics.median(shares) if shares else 0.0
    is_judged = len(shares) >= _ENOUGH
    where = "on one core" if alone else "on a core that the generator shares"
    busy = max(one.busy for one in theirs)
    return [
        Line(what=f"webhooks answered a second, {where}", measured=_spread(mine, ours)),
        Line(what="  by a handler that stores nothing", measured=_spread(theirs, bare)),
        Line(
            what=f"  share of its rate (median of {len(shares)} steady rounds of {len(mine)})",
            measured=f"{share:.2f}",
            target=f"at least {_TARGET}" if is_judged else "a quieter machine: this says nothing",
            met=is_judged and share >= _TARGET,
        ),
        Line(
            what="  time for which the generator was busy",
            measured=f"{busy:.0%}",
            target=f"at most {_BUSY:.0%}",
            met=busy <= _BUSY,
        ),
    ]


def _shares(mine: Sequence[Traffic], theirs: Sequence[Traffic]) -> list[float]:
    """Compare each of our rounds with the two around it, where these agree."""
    return [
        one.rate / statistics.mean((before.rate, after.rate))
        for one, (before, after) in zip(mine, pairwise(theirs), strict=True)
        if min(before.rate, after.rate) >= _STEADY * max(before.rate, after.rate)
    ]


def _spread(rounds: Sequence[Traffic], median: float) -> str:
    rates = [one.rate for one in rounds]
    return f"{median:.0f} ({min(rates):.0f} to {max(rates):.0f})"
