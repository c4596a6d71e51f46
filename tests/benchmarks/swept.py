"""Reconciles one venue in a process of its own, and prints what that took, as JSON.

python -m tests.benchmarks.swept ROLLER FOLDER CLIENT_ID CLIENT_SECRET
"""

import asyncio
import io
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from pipeline.clock import SystemClock
from pipeline.log import Log
from pipeline.model import Origin
from pipeline.outbox import Asked, Run, RunState
from pipeline.outbox.sqlite import open_outbox
from pipeline.reports import Page, Report, Reports
from pipeline.settings import Duration, Keys, RateLimit, Secret, Url
from pipeline.sources.roller import Roller, RollerSettings
from pipeline.sweep import Sweep
from pipeline.tokens import Tokens
from pipeline.wire import PeerSession, client

_ZONE = ZoneInfo("Europe/London")


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What it took."""

    #: At most; None where the system does not tell.
    megabytes: float | None
    seconds_of_cpu: float
    seen: int
    taken_in: int


class _Unhurried:
    """The reports without a wait between two pages: what is measured is the work."""

    rate_limit = RateLimit(requests=100_000, per=Duration(1))

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    async def page(
        self, report: Report, day: date, number: int = 1, wanted: int | None = None
    ) -> Page:
        """Ask for a page."""
        return await self._reports.page(report, day, number, wanted)

    def change_of(self, customer: str) -> bytes:
        """Write the message of a change."""
        return self._reports.change_of(customer)


async def _sweep(url: str, folder: Path, client_id: str, secret: str) -> Run:
    clock = SystemClock()
    log = Log(clock, level="error", style="json", sink=io.StringIO())
    settings = RollerSettings(
        type="roller",
        base_url=Url(url),
        client_id=client_id,
        client_secret=Secret(secret),
        webhook_key=Keys((Secret("key"),)),
    )
    async with open_outbox(folder / "outbox.db") as outbox, client() as http:
        session = PeerSession("leeds", http, Tokens(folder / "tokens", clock), "credentials")
        reports = Roller("leeds", settings, session).reports
        if reports is None:
            raise RuntimeError("no reports")
        sweep = Sweep(
            "leeds",
            _Unhurried(reports),
            outbox,
            clock,
            log,
            adults_only=True,
            waivers=timedelta(days=1),
        )
        today = datetime.now(UTC).astimezone(_ZONE).date()
        asked = Asked(origin=Origin.RECONCILE, since=today - timedelta(days=1), until=today)
        run = await sweep.begin(asked, today)
        while run.state is RunState.RUNNING:
            run = await sweep.step(run, _ZONE)
        return run


def _megabytes() -> float | None:
    """Give what was held at most; `getrusage` would count what the process was forked from."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Sweep, and tell."""
    url, folder, client_id, secret = sys.argv[1:]
    run = asyncio.run(_sweep(url, Path(folder), client_id, secret))
    taken = Taken(
        megabytes=_megabytes(),
        seconds_of_cpu=time.process_time(),
        seen=run.sums.seen,
        taken_in=run.sums.taken_in,
    )
    sys.stdout.buffer.write(msgspec.json.encode(taken))


if __name__ == "__main__":
    main()
