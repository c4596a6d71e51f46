"""What a reconciliation costs: memory, and requests to ROLLER's Reporting API."""

import asyncio
import math
import sys
from pathlib import Path

import aiohttp
import msgspec

from pipeline.sandbox.roller import roller_app
from pipeline.sandbox.serve import serve
from pipeline.sandbox.settings import RollerSettings, RollerVenue
from tests.benchmarks.swept import Taken
from tests.benchmarks.table import Line

_FEW, _MANY = 1_000, 100_000

#: Megabytes that many may need above what few need: the newest keys, and a page's rows.
_MEMORY = 15.0

_PAGE = 500

_VENUE = RollerVenue(client_id="leeds", client_secret="secret", id=1, name="Leeds", source="leeds")
_SETTINGS = RollerSettings(venues=(_VENUE,), webhooks=(), report_requests=1_000_000)


def measure(folder: Path) -> list[Line]:
    """Sweep few items and many, each with a venue and an outbox of its own in `folder`."""
    few, _, _ = asyncio.run(_swept(folder / "few", _FEW))
    many, asked, pages = asyncio.run(_swept(folder / "many", _MANY))
    return [
        _memory(f"{_MANY} booking items reconciled: MB of memory at most", few, many),
        Line(
            what="  requests to the Reporting API",
            measured=str(asked),
            target=f"at most {pages}, the pages of two days",
            met=asked <= pages,
        ),
        Line(what="  seconds of processor time", measured=f"{many.seconds_of_cpu:.1f}"),
        Line(what="  bookings taken in", measured=str(many.taken_in)),
    ]


def _memory(what: str, few: Taken, many: Taken) -> Line:
    if few.megabytes is None or many.megabytes is None:
        return Line(what=what, measured="not known on this system")
    above = many.megabytes - few.megabytes
    return Line(
        what=what,
        measured=f"{many.megabytes:.1f} ({above:+.1f})",
        target=f"at most {_MEMORY:+g} to {_FEW} items",
        met=above <= _MEMORY,
    )


async def _swept(folder: Path, items: int) -> tuple[Taken, int, int]:
    """Sweep, and tell how many requests were made, and how many pages there are."""
    folder.mkdir()
    async with serve(roller_app(_SETTINGS)) as url, aiohttp.ClientSession() as http:
        seed = {"items": items, "days": 0.9}
        async with http.post(f"{url}/_sandbox/seed", json=seed) as response:
            response.raise_for_status()
            made = await response.json()
        command = [url, str(folder), _VENUE.client_id, _VENUE.client_secret]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.swept", *command,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await process.communicate()
        taken = msgspec.json.decode(told, type=Taken)
        async with http.get(f"{url}/_sandbox/requests") as response:
            log = await response.json()
    asked = sum(one["path"].startswith("/data/") for one in log)
    # Of each of three reports one page more on either day, which need not be full.
    pages = math.ceil(made["items"] / _PAGE) + math.ceil(made["guests"] / _PAGE) + 6
    return taken, asked, pages
