"""`pipeline reconcile`, and what it shares with `pipeline backfill`: making runs, and their report.

The running daemon makes them. Without one they are made on the outbox at rest.
"""

import argparse
import asyncio
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pipeline.assembly import Assembly, PeersOnTheWire, Stages
from pipeline.cli.common import (
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    Commands,
    add_command,
    complain,
    configuration,
    console,
    print_json,
    table,
)
from pipeline.cli.peers import at_once
from pipeline.client import call, fetch_status
from pipeline.clock import SystemClock
from pipeline.config import Config
from pipeline.demand import AskBackfill, AskReconcile, Begun, begin
from pipeline.errors import OutboxBusy, PipelineError
from pipeline.log import Log
from pipeline.model import Origin
from pipeline.outbox import Outbox, Run, RunState
from pipeline.outbox.sqlite import open_outbox
from pipeline.runs import run_status
from pipeline.status import RunStatus, some_of
from pipeline.sweeper import Sweeper
from pipeline.tokens import Tokens, tokens_beside
from pipeline.wire import client

_ABOUT = """\
Asks ROLLER's Reporting API which bookings and guests were modified, day by day, and takes in what
no webhook has told. The daemon does this by itself, once a day at the hour that `reconcile` says;
it begins with the last day that was read whole, and so does this. What is known is left alone.
With reconcile = "off" it reads only what webhooks that were off or missing have left out.

  pipeline reconcile --dry-run                only count what would be taken in
  pipeline reconcile --since 2026-11-01       from that day on, as the venue has it
"""

#: Seconds between two looks at what the daemon does.
_LOOK = 0.5

_ENDED = {RunState.DONE.value, RunState.FAILED.value}

_begun = msgspec.json.Decoder(Begun)
_run = msgspec.json.Decoder(RunStatus)

Told = Callable[[RunStatus], None]


class Report(Struct, frozen=True, kw_only=True):
    """The document that --json prints."""

    runs: tuple[RunStatus, ...]
    #: The daemon has made them; without it they were only taken in.
    by_daemon: bool


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "ask ROLLER what changed, and take in what is missing"
    made = add_command(commands, "reconcile", summary, _ABOUT)
    made.add_argument(
        "--since", type=day, metavar="DATE", help="from this day (default: where it was last)"
    )
    add_options(made)
    made.set_defaults(command=_reconcile)


def add_options(made: argparse.ArgumentParser) -> None:
    """Add the options that both commands take."""
    made.add_argument("--until", type=day, metavar="DATE", help="up to this day (default: today)")
    made.add_argument("--source", metavar="NAME", help="of this source only")
    made.add_argument("--dry-run", action="store_true", help="take in nothing, only count")
    made.add_argument("--json", action="store_true", help="print one JSON document")


def day(text: str) -> date:
    """Read a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a day such as 2026-11-01, not {text}") from None


def _reconcile(options: argparse.Namespace) -> int:
    asked = AskReconcile(
        source=options.source, since=options.since, until=options.until, dry_run=options.dry_run
    )
    return make_runs(configuration(options), Origin.RECONCILE, asked, as_json=options.json)


def make_runs(
    config: Config,
    origin: Origin,
    asked: AskReconcile | AskBackfill,
    *,
    as_json: bool,
    spent: Mapping[str, int] | None = None,
) -> int:
    """Make the runs that are asked for, print what they have found, and give the exit code.

    `spent` is what this command has asked of each source's reports already, as Tempo has it.
    """
    try:
        report = asyncio.run(_made(config, origin, asked, spent or {}))
    except OutboxBusy as exc:
        return complain_of_busy(exc, config)
    except KeyboardInterrupt:
        complain("A running daemon goes on with it. Asked again, it goes on where it was.")
        raise
    if as_json:
        print_json(report)
    else:
        _print(console(), report)
    for sentence in _complaints(report):
        complain(sentence)
    return EXIT_FAILED if _needs_somebody(report) else 0


def complain_of_busy(exc: OutboxBusy, config: Config) -> int:
    """Say that a daemon holds the outbox and cannot be asked; give the exit code."""
    complain(f"pipeline: {exc}, and does not answer at server.admin = {config.server.admin}")
    return EXIT_UNAVAILABLE


def _complaints(report: Report) -> Iterator[str]:
    """Say what has not been done, and who does it."""
    goes_on = "the daemon goes on with it by itself: pipeline status"
    if not report.by_daemon:
        goes_on = "it goes on with the daemon (pipeline run), or when it is asked for again"
    for run in report.runs:
        if run.state == RunState.FAILED.value:
            yield f"{run.source}: failed: {run.reason}"
        elif run.state != RunState.DONE.value:
            why = f": {run.reason}" if run.reason else ""
            yield f"{run.source}: not done yet{why}; {goes_on}"
        for sentence in some_of(run.unread):
            yield f"{run.source}: {sentence}; {goes_on}"


def _needs_somebody(report: Report) -> bool:
    """Tell whether it was not done, and will not be by itself either."""
    return any(
        run.state == RunState.FAILED.value
        or any(one.forbidden for one in run.unread)
        or (not report.by_daemon and (run.state != RunState.DONE.value or bool(run.unread)))
        for run in report.runs
    )


async def _made(
    config: Config, origin: Origin, asked: AskReconcile | AskBackfill, spent: Mapping[str, int]
) -> Report:
    if await fetch_status(config.server) is not None:
        return Report(runs=await _by_daemon(config, origin, asked), by_daemon=True)
    return Report(runs=await _by_ourselves(config, origin, asked, spent), by_daemon=False)


async def _by_daemon(
    config: Config, origin: Origin, asked: AskReconcile | AskBackfill
) -> tuple[RunStatus, ...]:
    answer = await call(config.server, "POST", f"/api/{origin}", body=asked)
    runs = _begun.decode(_present(answer, config)).begun
    with _progress() as told:
        jobs = [_follower(config, run, told) for run in runs]
        return tuple(await at_once(jobs))


def _follower(config: Config, run: RunStatus, told: Told) -> Callable[[], Awaitable[RunStatus]]:
    async def follow() -> RunStatus:
        """Look until the run has ended; one that waits goes on by itself, whoever looks."""
        found, is_told = run, False
        while found.state not in _ENDED:
            await asyncio.sleep(_LOOK)
            answer = await call(config.server, "GET", f"/api/reconcile/{run.id}")
            found = _run.decode(_present(answer, config))
            told(found)
            if found.waits and not is_told:
                is_told = True
                complain(
                    f"{run.source}: it waits for {found.waits}; Ctrl-C leaves it to the daemon"
                )
            if found.state == RunState.WAITING.value:
                break
        return found

    return follow


def _present(answer: bytes | None, config: Config) -> bytes:
    if answer is None:
        msg = f"the daemon at {config.server.admin} has stopped answering; asked again, it goes on"
        raise PipelineError(msg)
    return answer


@asynccontextmanager
async def at_rest(config: Config, path: Path) -> AsyncIterator[tuple[Outbox, Stages]]:
    """Open an outbox that no daemon works on, and make the stages; none of them runs."""
    clock = SystemClock()
    log = Log(clock, level="error", style="console", sink=io.StringIO())
    async with open_outbox(path) as outbox, client() as http:
        await outbox.recover(now=clock.now())
        peers = PeersOnTheWire(http, Tokens(tokens_beside(config.outbox.path), clock))
        stages = Assembly(config, outbox, peers, clock, log).stages()
        try:
            yield outbox, stages
        finally:
            await stages.notebook.write()


async def _by_ourselves(
    config: Config, origin: Origin, asked: AskReconcile | AskBackfill, spent: Mapping[str, int]
) -> tuple[RunStatus, ...]:
    """Make runs on the outbox at rest: they are taken in, and delivered by the daemon."""
    async with at_rest(config, config.outbox.path) as (outbox, stages):
        for source, free_at in spent.items():
            await outbox.sweeps.paced(source, free_at)
        runs = await begin(stages.sweepers, origin, asked)
        with _progress() as told:
            jobs = [_carrier(stages.sweepers[run.source], run, told) for run in runs]
            made = await at_once(jobs)
        return tuple([run_status(run, await outbox.sweeps.parts(run.source)) for run in made])


def _carrier(sweeper: Sweeper, run: Run, told: Told) -> Callable[[], Awaitable[Run]]:
    async def carry() -> Run:
        return await sweeper.carry_out(run, lambda run: told(run_status(run)))

    return carry


@contextmanager
def _progress() -> Iterator[Told]:
    """Show on a terminal how far each run is."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[what]}"), console=Console(stderr=True), transient=True,
    )  # fmt: skip
    tasks: dict[int, TaskID] = {}

    def told(run: RunStatus) -> None:
        if run.id not in tasks:
            tasks[run.id] = bar.add_task(run.source, total=1.0, what="")
        what = f"{run.day}: {run.seen:,} seen, {run.taken_in:,} taken in"
        bar.update(tasks[run.id], completed=run.done, what=what)

    with bar:
        yield told


def _print(out: Console, report: Report) -> None:
    found = table("source", "days", "seen", "known", "taken in", "not sendable", "")
    for run in report.runs:
        found.add_row(
            escape(run.source), f"{run.since} to {run.until}", f"{run.seen:,}", f"{run.known:,}",
            f"{run.taken_in:,}", _reasons(run.not_sendable), run.state,
        )  # fmt: skip
    out.print(found)
    if any(run.dry_run for run in report.runs):
        out.print("Nothing was taken in: it was only counted.")
    elif not report.by_daemon and any(run.taken_in for run in report.runs):
        out.print("What was taken in is delivered once the daemon runs (pipeline run).")


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {escape(reason)}" for reason, n in counts.items())
