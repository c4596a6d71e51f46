"""The demonstration: a real daemon between simulated APIs, and an account of what arrived."""

import asyncio
import contextlib
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from pipeline.client import call, fetch_status
from pipeline.config import Config, load
from pipeline.errors import PipelineError
from pipeline.explain import meaning
from pipeline.sandbox.configuration import render_config
from pipeline.sandbox.serve import Sandbox, run_sandbox
from pipeline.sandbox.settings import SandboxSettings, default_settings
from pipeline.status import Status

#: Stampede's allowance is 100 requests in 15 minutes; here the same 100 in 2 s.
_PER = 2.0

#: Seconds for the daemon to start, and to end.
_START = 15.0
_STOP = 30.0

#: Seconds without any progress after which the demonstration has failed.
_STUCK = 20.0

_POLL = 0.1

#: Below those of Linux's ip_local_port_range.
_PORTS = (10_000, 20_000)

#: Rows that the daemon lists at most.
_MOST = 1000


async def play(out: Console, *, bookings: int, keep: bool) -> bool:
    """Run the demonstration; tell whether everything accepted is accounted for."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pipeline-demo-") as folder:
        listen, admin = _free_addresses()
        settings = _settings(f"http://{listen}/webhooks/leeds")
        async with run_sandbox(settings) as sandbox:
            config = _write_config(Path(folder), settings, sandbox, listen, admin)
            out.print(
                "Simulated ROLLER and Stampede, and a real daemon between them.\n"
                f"The allowance is {settings.stampede.requests} requests in {_PER:g} s here; "
                "Stampede's own is 100 in 15 minutes.\n"
                f"Admin address: http://{admin}/api/status"
            )
            async with _daemon(Path(folder), config), aiohttp.ClientSession() as http:
                await _perform(out, http, sandbox, config, bookings)
                worked = await _account(out, http, sandbox, config)
                out.print(f"Took {time.monotonic() - begun:.1f} s.")
                if keep:
                    out.print(f"Left running, with its files in {folder}; Ctrl-C ends.")
                    await asyncio.Event().wait()
    return worked


def _settings(webhook: str) -> SandboxSettings:
    settings = default_settings(webhook, everything=True)
    replace = msgspec.structs.replace
    return replace(
        settings,
        roller=replace(settings.roller, requests=60_000, retry_factor=0.01),
        stampede=replace(settings.stampede, per=_PER),
    )


def _write_config(
    folder: Path, settings: SandboxSettings, sandbox: Sandbox, listen: str, admin: str
) -> Config:
    path = folder / "config.toml"
    path.write_text(render_config(settings, sandbox, listen=listen, admin=admin))
    return load(path)


@asynccontextmanager
async def _daemon(folder: Path, config: Config) -> AsyncIterator[None]:
    """Run the daemon as a process of its own, as in real life."""
    log = folder / "daemon.log"
    with log.open("wb") as sink:
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline", "run", "--config", str(folder / "config.toml"),
            stdout=sink, stderr=sink, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            await _until_ready(daemon, config, log)
            yield
        finally:
            if daemon.returncode is None:
                daemon.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP):
                    await daemon.wait()
            if daemon.returncode is None:
                daemon.kill()
                await daemon.wait()


async def _until_ready(daemon: asyncio.subprocess.Process, config: Config, log: Path) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        if daemon.returncode is not None:
            break
        if (status := await fetch_status(config.server)) and status.ready:
            return
        await asyncio.sleep(_POLL)
    said = await asyncio.to_thread(log.read_text, errors="replace")
    msg = f"the daemon did not start:\n{said[-2000:]}"
    raise PipelineError(msg)


async def _perform(
    out: Console, http: aiohttp.ClientSession, sandbox: Sandbox, config: Config, bookings: int
) -> None:
    """Have the simulated ROLLER make bookings and send their webhooks, and wait for the end."""
    wanted = {
        "bookings": bookings,
        "updates": bookings // 3,
        "cancellations": min(max(bookings // 8, 1), bookings),
        "duplicates": max(bookings // 8, 1),
        "out_of_order": bookings // 8,
        "no_customer": bookings // 25,
        "drafts": bookings // 25,
        "shape": "mixed",
        "words": "mixed",
        "seed": 1,
    }
    told = asyncio.create_task(_post(http, f"{sandbox.roller}/_sandbox/play", wanted), name="play")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total}"),
        console=out,
        disable=not out.is_terminal or out.no_color,
    )
    with bar:
        await _follow(bar, config, told)
    answers = (await told)["answers"]
    shown = ", ".join(f"{status} {n} times" for status, n in answers.items())
    out.print(f"\nROLLER sent {sum(answers.values())} webhooks, and was answered {shown}.")


async def _follow(bar: Progress, config: Config, told: asyncio.Task[Any]) -> None:
    """Show progress until all is told and nothing waits, or nothing moves any more."""
    events = bar.add_task("events taken in and enriched", total=None)
    deliveries = bar.add_task("deliveries to Stampede ended", total=None)
    moved_at, seen = time.monotonic(), None
    while time.monotonic() - moved_at < _STUCK:
        status = await fetch_status(config.server)
        if status is None:
            msg = "the daemon has stopped answering"
            raise PipelineError(msg)
        e, d = status.events, status.deliveries
        open_events, open_deliveries = e["waiting"] + e["processing"], d["waiting"] + d["sending"]
        bar.update(events, completed=e["accepted"] - open_events, total=e["accepted"])
        bar.update(deliveries, completed=d["created"] - open_deliveries, total=d["created"])
        if told.done() and not open_events and not open_deliveries:
            return
        if seen != (e, d):
            moved_at, seen = time.monotonic(), (e, d)
        await asyncio.sleep(_POLL)


async def _account(
    out: Console, http: aiohttp.ClientSession, sandbox: Sandbox, config: Config
) -> bool:
    """Print what arrived where, and whether it all adds up."""
    roller = await _get(http, f"{sandbox.roller}/_sandbox/state")
    stampede = await _get(http, f"{sandbox.stampede}/_sandbox/state")
    requests = await _get(http, f"{sandbox.stampede}/_sandbox/requests")
    status = await fetch_status(config.server)
    if status is None:
        msg = "the daemon has stopped answering"
        raise PipelineError(msg)
    out.print(_arrived(roller, stampede, requests))
    accepted = _say(out, "accepted", status.events, ("duplicates",))
    repeated = status.events["duplicates"]
    out.print(f"    {repeated} more came a second time, and were taken in once.")
    await _why(out, config, "events", "ignored")
    created = _say(out, "created", status.deliveries, ())
    await _why(out, config, "deliveries", "skipped")
    return all([accepted, created, _ended(out, status), _same(out, roller, stampede)])


def _arrived(roller: Any, stampede: Any, requests: Any) -> Table:
    table = Table("what", "at ROLLER", "at Stampede", "", box=box.SIMPLE_HEAD)
    here = Counter(_phase(one["booking"]) for one in roller["bookings"])
    there = Counter(one["status"] for one in stampede["bookings"])
    tags = sum(len(guest["tags"]) for guest in stampede["guests"])
    refused = sum(one["status"] == 429 for one in requests)  # noqa: PLR2004 - Too Many Requests
    rows = (
        (
            "guests",
            len(roller["guests"]),
            len(stampede["guests"]),
            "who hold a booking",
        ),
        ("bookings, active", here["active"], there["active"], ""),
        ("bookings, cancelled", here["cancelled"], there["cancelled"], ""),
        ("bookings not to be told", here["not told"], 0, "drafts, walk-ins"),
        ("tags", "", tags, "source, channel, status"),
        ("requests", "", len(requests), f"{refused} over the limit"),
    )
    for what, at_roller, at_stampede, note in rows:
        table.add_row(what, str(at_roller), str(at_stampede), note)
    return table


def _say(out: Console, total: str, counts: Mapping[str, int], aside: tuple[str, ...]) -> bool:
    """Print one equation, and tell whether it holds."""
    parts = {name: n for name, n in counts.items() if name not in {total, *aside}}
    holds = counts[total] == sum(parts.values())
    shown = " + ".join(f"{name} {n}" for name, n in parts.items())
    out.print(f"{_mark(holds)} {total} {counts[total]} = {shown}", soft_wrap=True)
    return holds


async def _why(out: Console, config: Config, what: str, state: str) -> None:
    """Say in plain words why nothing came of some, the most frequent reason first."""
    body = await call(config.server, "GET", f"/api/{what}?state={state}&limit={_MOST}")
    reasons = Counter(one["reason"] for one in msgspec.json.decode(body or b"[]"))
    more = " or more" if reasons.total() == _MOST else ""
    for reason, n in reasons.most_common():
        out.print(f"    {n}{more} {state}, {reason}: {meaning(reason)}", soft_wrap=True)


def _ended(out: Console, status: Status) -> bool:
    """Tell whether nothing waits and nothing needs a person."""
    events, deliveries = status.events, status.deliveries
    left = events["waiting"] + events["processing"] + events["parked"]
    left += deliveries["waiting"] + deliveries["sending"] + deliveries["parked"]
    out.print(f"{_mark(not left)} nothing is left waiting or parked")
    return not left


def _same(out: Console, roller: Any, stampede: Any) -> bool:
    """Tell whether Stampede holds just the bookings that it should, in their newest state."""
    truth = {one["booking"]["uniqueId"]: _phase(one["booking"]) for one in roller["bookings"]}
    told = {one["event_id"]: one["status"] for one in stampede["bookings"]}
    same = told == {key: phase for key, phase in truth.items() if phase != "not told"}
    out.print(f"{_mark(same)} Stampede holds the newest state of every booking")
    return same


def _phase(booking: Mapping[str, Any]) -> str:
    if booking["status"] == "Draft" or booking.get("customerId") is None:
        return "not told"
    return "cancelled" if booking["status"] in {"Cancelled", "Deleted"} else "active"


def _mark(holds: object) -> str:
    return "[green]✓[/]" if holds else "[red]✗[/]"


async def _get(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as response:
        return await response.json()


async def _post(http: aiohttp.ClientSession, url: str, body: object) -> Any:
    async with http.post(url, json=body) as response:
        if response.status != 200:  # noqa: PLR2004
            msg = f"{url} answered {response.status}: {await response.text()}"
            raise PipelineError(msg)
        return await response.json()


def _free_addresses() -> tuple[str, str]:
    """Give two loopback addresses that nobody uses.

    Not such as the system gives out by itself: one that is free now may be another connection's own
    by the time that the daemon listens.
    """
    found: dict[str, None] = {}
    while len(found) < 2:  # noqa: PLR2004 - of webhooks, and of the admin
        port = random.randrange(*_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found[f"127.0.0.1:{port}"] = None
    listen, admin = found
    return listen, admin
