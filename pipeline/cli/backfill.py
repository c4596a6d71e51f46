"""`pipeline backfill`: the first import, after a word on how long it will take."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from pipeline.cli.common import (
    EXIT_FAILED,
    EXIT_USAGE,
    Commands,
    add_command,
    agreed,
    complain,
    configuration,
    console,
)
from pipeline.cli.peers import Peers, open_peers
from pipeline.cli.sweeps import add_options, at_rest, complain_of_busy, day, make_runs
from pipeline.client import call
from pipeline.clock import SystemClock, span
from pipeline.config import Config
from pipeline.demand import AskBackfill, Surveyed, look
from pipeline.errors import OutboxBusy, PipelineError
from pipeline.model import Origin
from pipeline.survey import Survey, takes
from pipeline.sweeper import check_days

_ABOUT = """\
Brings the bookings that were made or changed since a day, and their guests, to the destinations,
after everything else that waits; with --guests-only no bookings, but every adult customer with an
e-mail and a known consent. What a guest has at Stampede is always looked up first. It says how much
it is and how long it will take, and asks. Broken off and asked for again, it goes on where it was.
It reads the signed waivers of a year first, once, and waits while the API key may not: they tell
who is a minor.

  pipeline backfill --since 2026-01-01 --dry-run
  pipeline backfill --since 2026-01-01

Automations at Stampede that begin with a booking or a visit may fire for past ones: switch them off
there until it is done.
"""

_WARNING = """\
Stampede's automations that begin with a booking or a visit may fire for past bookings: switch them
off there until it is done."""


#: Seconds: some requests for each source, between which the daemon goes on with its own.
_PATIENCE = 120.0

_surveyed = msgspec.json.Decoder(Surveyed)


class _Estimate(Struct, frozen=True, kw_only=True):
    """What a backfill of one source is thought to be."""

    found: Survey
    #: Seconds: for ROLLER's own limits, and by destination for its allowance.
    asking: float
    telling: Mapping[str, float]


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(commands, "backfill", "import past bookings and guests", _ABOUT)
    made.add_argument(
        "--since",
        type=day,
        required=True,
        metavar="DATE",
        help="from this day",
    )
    add_options(made)
    made.add_argument(
        "--guests-only",
        action="store_true",
        help="customers, not bookings",
    )
    made.add_argument("--yes", action="store_true", help="do not ask")
    made.set_defaults(command=_backfill)


def _backfill(options: argparse.Namespace) -> int:
    config = configuration(options)
    if options.source is not None and options.source not in config.sources:
        complain(f"pipeline backfill: there is no source {options.source}")
        return EXIT_USAGE
    if options.until is not None and options.until < options.since:
        complain("pipeline backfill: --until is before --since")
        return EXIT_USAGE
    asked = AskBackfill(
        source=options.source,
        since=options.since,
        until=options.until,
        guests_only=options.guests_only,
        dry_run=options.dry_run,
    )
    check_days(asked.since, asked.until, now=SystemClock().now())
    spent: Mapping[str, int] = {}
    if not options.dry_run and not options.json:
        try:
            estimates, spent = asyncio.run(_estimates(config, asked))
        except OutboxBusy as exc:
            return complain_of_busy(exc, config)
        _tell(estimates, asked)
    if not options.dry_run and not options.yes and not agreed("This will import them."):
        return EXIT_FAILED
    return make_runs(config, Origin.BACKFILL, asked, as_json=options.json, spent=spent)


async def _estimates(
    config: Config, asked: AskBackfill
) -> tuple[Mapping[str, _Estimate], Mapping[str, int]]:
    """Have it estimated by whoever asks for reports: they share one limit."""
    async with open_peers(config) as peers:
        surveyed, spent = await (_by_daemon if peers.is_running else _by_ourselves)(config, asked)
        found = {
            name: _estimate(config, peers, name, one) for name, one in surveyed.surveys.items()
        }
        return found, spent


async def _by_daemon(config: Config, asked: AskBackfill) -> tuple[Surveyed, Mapping[str, int]]:
    answer = await call(
        config.server, "POST", "/api/backfill/estimate", body=asked, timeout=_PATIENCE
    )
    if answer is None:
        raise PipelineError(f"the daemon at {config.server.admin} has stopped answering")
    return _surveyed.decode(answer), {}


async def _by_ourselves(config: Config, asked: AskBackfill) -> tuple[Surveyed, Mapping[str, int]]:
    """Look with no daemon; where there is no outbox yet, one is made for this moment alone.

    Whoever then says no has made nothing. What was asked is given, for nobody else knows of it.
    """
    with TemporaryDirectory() as folder:
        path = config.outbox.path
        async with at_rest(config, path if path.exists() else Path(folder, "o.db")) as (_, stages):
            surveyed = await look(stages.sweepers, asked)
            return surveyed, {name: one.spent for name, one in stages.sweepers.items()}


def _estimate(config: Config, peers: Peers, name: str, found: Survey) -> _Estimate:
    limit = config.sources[name].rate_limit
    return _Estimate(
        found=found,
        asking=found.reading + found.calls() * limit.per / limit.requests,
        telling={
            destination: takes(found, one.rate_limit, one.mapper)
            for destination, one in peers.destinations.items()
            if name in one.sources
        },
    )


def _tell(estimates: Mapping[str, _Estimate], asked: AskBackfill) -> None:
    """Say how much it is, and how long it takes."""
    out = console()
    for name, one in estimates.items():
        found = one.found
        about = "about " if found.is_sample else ""
        what = [] if asked.guests_only else [f"{found.bookings:,.0f} bookings"]
        what.append(f"up to {found.guests:,.0f} guests")
        out.print(
            f"{name}: {about}{' and '.join(what)}; {found.pages + found.calls():,.0f} requests to "
            f"ROLLER, which count in your monthly package, take {span(one.asking)}."
        )
    for destination, seconds in _summed(list(estimates.values())).items():
        out.print(f"{destination}'s allowance is busy with it for {span(seconds)}.")
    out.print(_WARNING)


def _summed(estimates: Sequence[_Estimate]) -> Mapping[str, float]:
    """Add up by destination: the sources share its allowance."""
    found: dict[str, float] = {}
    for one in estimates:
        for destination, seconds in one.telling.items():
            found[destination] = found.get(destination, 0.0) + seconds
    return found
