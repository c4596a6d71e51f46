"""What people do with a large outbox: a listing's time, and what a mass retry costs others."""

import asyncio
import sqlite3
import statistics
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from pipeline.outbox import Records
from pipeline.outbox.file import migrate
from pipeline.outbox.sqlite import read_outbox
from tests.benchmarks.backlog import waiting_deliveries, waiting_events
from tests.benchmarks.daemon import Daemon, daemon
from tests.benchmarks.processes import started
from tests.benchmarks.table import Line

_ROWS = 1_000_000
_LISTING = 0.2

#: The half of those events waits, and of what waits none is found by its booking but by looking.
_FOUND = 1.0

_PARKED = 10_000
_ANSWER = 0.1

#: Between two questions to the daemon while all is retried.
_STEP = 0.01

_FILL = """
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
    INSERT INTO event (id, source, origin, key, kind, action, occurred_at, booking, reference,
                       state, reason, received_at, updated_at, due_at)
    SELECT n, CASE WHEN n % 10 = 0 THEN 'york' WHEN n % 2 AND n < :rows * 0.9 THEN 'hull'
                   ELSE 'leeds' END,
           'webhook', 'k' || n, 'booking', 'created', n, 'b' || n, 'r' || n,
           CASE WHEN n % 1000 = 0 THEN 'parked' WHEN n % 2 THEN 'waiting' ELSE 'done' END,
           iif(n % 1000 = 0, 'unreadable: x', NULL), n, n, n + iif(n % 21 = 0, :rows, 0)
    FROM numbers;
    INSERT INTO delivery (event, source, destination, kind, booking, reference, customer, priority,
                          state, reason, as_of, created_at, updated_at, due_at)
    SELECT id, source, 'stampede', 'booking', booking, reference, 'c' || id, 2,
           CASE id % 3 WHEN 0 THEN 'delivered' WHEN 1 THEN 'waiting' ELSE 'parked' END,
           iif(id % 3 = 2, 'guest d' || id || ' parked', NULL), id, id, id, id
    FROM event;
    INSERT INTO counter SELECT 'event', source, state, count(*) FROM event GROUP BY 2, 3
    ON CONFLICT DO UPDATE SET n = excluded.n;
"""

#: By name; each reads what the command line would.
_LISTINGS: dict[str, Callable[[Records], Awaitable[object]]] = {
    "events": lambda records: records.events(limit=50),
    "events, parked": lambda records: records.events(state="parked", limit=50),
    "events, waiting": lambda records: records.events(state="waiting", limit=50),
    "events of a venue that is quiet": lambda records: records.events(source="hull", limit=50),
    "events of a small venue": lambda records: records.events(source="york", limit=50),
    "deliveries, waiting": lambda records: records.deliveries(state="waiting", limit=50),
    "deliveries, 1000": lambda records: records.deliveries(limit=1000),
    "deliveries, common reason": lambda records: records.deliveries(reason="parked", limit=50),
    "deliveries, no such reason": lambda records: records.deliveries(reason="zzz", limit=50),
}
_BOOKING = "a booking"


def measure(folder: Path) -> list[Line]:
    """Measure listings, then a mass retry."""
    return [*_listings(folder / "large.db"), *_retry(folder)]


def _listings(path: Path) -> list[Line]:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in _FILL.split(";")[:-1]:
            rows = {"rows": _ROWS} if ":rows" in statement else {}
            connection.execute(statement, rows)
        connection.commit()
    took = asyncio.run(_timed(path))
    found = took.pop(_BOOKING)
    slowest = max(took, key=lambda name: took[name])
    return [
        Line(
            what=f"the slowest listing of {_ROWS:,} rows, in seconds",
            measured=f"{took[slowest]:.3f} ({slowest})",
            target=f"at most {_LISTING:g}",
            met=took[slowest] <= _LISTING,
        ),
        Line(
            what="  finding a booking among them, in seconds",
            measured=f"{found:.3f}",
            target=f"at most {_FOUND:g}",
            met=found <= _FOUND,
        ),
    ]


async def _timed(path: Path) -> dict[str, float]:
    """Give the median of three for each listing."""
    took: dict[str, float] = {}
    async with read_outbox(path) as outbox:
        asked = _LISTINGS | {_BOOKING: lambda records: records.of_booking("b500000")}
        for name, ask in asked.items():
            tries = []
            for _ in range(3):
                begun = time.perf_counter()
                await ask(outbox.records)
                tries.append(time.perf_counter() - begun)
            took[name] = statistics.median(tries)
    return took


def _retry(folder: Path) -> list[Line]:
    waiting_events(folder / "outbox.db", _PARKED)
    waiting_deliveries(folder / "outbox.db")
    with closing(sqlite3.connect(folder / "outbox.db")) as connection, connection:
        connection.execute("UPDATE delivery SET state = 'parked', reason = 'refused'")
    with daemon(folder, core=None) as running:
        answers: list[float] = []
        done = threading.Event()
        asking = threading.Thread(target=_ask, args=(running, answers, done))
        asking.start()
        begun = time.perf_counter()
        arguments = ["-m", "pipeline", "deliveries", "retry", "--state", "parked", "--yes"]
        arguments += ["--config", str(folder / "config.toml")]
        with started(arguments, core=None, stdout=subprocess.PIPE) as process:
            told, _ = process.communicate(timeout=60)
        took = time.perf_counter() - begun
        done.set()
        asking.join()
    if f"{_PARKED:,} deliveries" not in told.decode():
        raise RuntimeError(f"not all were retried: {told.decode()}")
    return [
        Line(what=f"{_PARKED:,} parked deliveries are retried in seconds", measured=f"{took:.2f}"),
        Line(
            what="  the slowest answer of the daemon meanwhile, in seconds",
            measured=f"{max(answers):.3f} (of {len(answers)})",
            target=f"at most {_ANSWER:g}",
            met=max(answers) <= _ANSWER,
        ),
    ]


def _ask(running: Daemon, answers: list[float], done: threading.Event) -> None:
    while not done.is_set():
        answers.append(running.status()[1])
        time.sleep(_STEP)
