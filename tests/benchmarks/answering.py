"""How fast webhooks are answered, against a handler that stores nothing.

Both servers run all the time, on the same core and the same kind of event loop, and are sent
webhooks in turn, so that whatever else the machine does meets both.
"""

import statistics
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.benchmarks.daemon import KEY, SOURCE, daemon
from tests.benchmarks.processes import cores, pinned, started
from tests.benchmarks.table import Line
from tests.benchmarks.traffic import Orders, Traffic

_TARGET = 0.55

_CONNECTIONS = 64
_ROUNDS = 7
_SECONDS = 1.5
_WARM_UP = 1.5

#: Requests in one round at most, which bounds the outbox's size.
_MOST = 150_000

#: A generator that is busier than this may be what is measured.
_BUSY = 0.85

#: Seconds that a generator may take longer than it was told.
_GRACE = 30.0


def measure(folder: Path) -> list[Line]:
    """Measure, with an outbox in `folder`."""
    chosen = cores()
    served_on, sent_from = chosen or (None, None)
    bare_server = ["-m", "tests.benchmarks.bare"]
    with (
        daemon(folder, core=served_on) as ours,
        started(bare_server, core=served_on, stdout=subprocess.PIPE, stderr=None) as bare,
    ):
        assert bare.stdout is not None
        bare_port = int(bare.stdout.readline())
        for port in (bare_port, ours.listen):
            send(port, _WARM_UP, sent_from)
        theirs, mine = [], []
        for _ in range(_ROUNDS):
            theirs.append(send(bare_port, _SECONDS, sent_from))
            mine.append(send(ours.listen, _SECONDS, sent_from))
    where = "on one core" if chosen else "on one core shared with the generator"
    return _lines(mine, theirs, where)


def send(
    port: int, seconds: float, core: int | None, *, requests: int = _MOST, connections: int = 64
) -> Traffic:
    """Send webhooks from a process on `core`; RuntimeError when one is not answered 200."""
    orders = Orders(
        port=port,
        path=f"/webhooks/{SOURCE}",
        key=KEY,
        connections=connections,
        seconds=seconds,
        requests=requests,
    )
    command = [sys.executable, "-m", "tests.benchmarks.traffic", msgspec.json.encode(orders).decode()]
    done = subprocess.run(
        pinned(command, core), check=True, stdout=subprocess.PIPE, timeout=seconds + _GRACE
    )
    traffic = msgspec.json.decode(done.stdout, type=Traffic)
    if traffic.refused:
        raise RuntimeError(f"{traffic.refused} webhooks were not answered 200")
    return traffic
