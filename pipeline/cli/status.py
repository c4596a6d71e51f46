"""`pipeline status`: what came in, what is owed, and what is in the way."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import (
    EXIT_UNAVAILABLE,
    Commands,
    add_command,
    configuration,
    console,
    print_json,
    table,
)
from pipeline.client import fetch_status
from pipeline.clock import Clock, SystemClock, span
from pipeline.config import Config
from pipeline.errors import OutboxMissing, PipelineError
from pipeline.outbox import RunState
from pipeline.outbox.held import is_held
from pipeline.outbox.sqlite import Glance, read_outbox
from pipeline.runs import halted, history
from pipeline.status import (
    Difference,
    GapStatus,
    RunStatus,
    SourceStatus,
    Status,
    calls_this_month,
    differences,
    oldest_waiting,
    tally,
)
from pipeline.subscription import WebhookState

#: Counted beside the events, not among them.
_ASIDE = "duplicates"

#: What is left out without a daemon.
_UNKNOWN = "How the peers, ROLLER's webhooks and the allowances are, only a running daemon knows."

#: Differences that are listed of a source.
_SHOWN = 5


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(
        commands,
        "status",
        "see what came in, what is owed, and what is in the way",
        "Asks the running daemon; where none answers, reads the outbox and exits with 69.",
    )
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    config = configuration(options)
    found = asyncio.run(current_status(config))
    if options.json:
        print_json(found)
    else:
        _print(console(), found)
    return 0 if _was_told(found) else EXIT_UNAVAILABLE


async def current_status(config: Config) -> Status:
    """Ask the daemon; where none answers, tell what the outbox says."""
    try:
        found = await fetch_status(config.server)
    except PipelineError as exc:
        return await _from_file(config, str(exc))
    if found is not None:
        return found
    return await _from_file(config, f"no daemon answers at {config.server.admin}")


def _was_told(found: Status) -> bool:
    """Tell whether the daemon itself has answered."""
    return found.started_at is not None


async def _from_file(config: Config, why: str) -> Status:
    """Read what an outbox says whose daemon, if there is one, cannot be asked."""
    reasons, held, clock = [why], is_held(config.outbox.path), SystemClock()
    if held:
        reasons.append(
            f"a daemon holds {config.outbox.path} all the same: is server.admin another one than "
            "when it was started?"
        )
    sums, oldest = tally(()), None
    sources = dict.fromkeys(config.sources, SourceStatus(state="unknown", last_event_at=None))
    try:
        async with read_outbox(config.outbox.path) as outbox:
            sums = tally(await outbox.overview.counts())
            oldest = await oldest_waiting(outbox.overview, clock)
            sources = await _sources(config, outbox, clock)
            if await outbox.overview.is_restored():
                reasons.append(
                    "the outbox was put back from a backup: what was sent since is not known, so "
                    "the next start waits one window of each allowance before it sends"
                )
    except OutboxMissing as exc:
        reasons.append(str(exc))
    return Status(
        running=held,
        started_at=None,
        ready=False,
        reasons=(*reasons, *halted(sources)),
        events=sums.events,
        deliveries=sums.deliveries,
        oldest_waiting_s=oldest,
        sources=sources,
    )


async def _sources(config: Config, outbox: Glance, clock: Clock) -> dict[str, SourceStatus]:
    """Tell of each source what its outbox knows; how it is now, only a daemon finds out."""
    notes = await outbox.noted()
    return {
        name: SourceStatus(
            state="unknown",
            calls_this_month=calls_this_month(notes, name, now=clock.now()),
            drift=differences(notes, name),
            **await history(outbox.runs, await outbox.webhooks(name), name),
        )
        for name in config.sources
    }


def _print(out: Console, found: Status) -> None:
    out.print(_headline(found))
    for reason in found.reasons:
        out.print(f"[yellow]![/] {escape(reason)}", soft_wrap=True)
    out.print(f"events      {_equation(found.events, 'accepted')}", soft_wrap=True)
    out.print(f"deliveries  {_equation(found.deliveries, 'created')}", soft_wrap=True)
    if found.oldest_waiting_s is not None:
        out.print(f"The oldest work that is due has waited {span(found.oldest_waiting_s)}.")
    for name, source in found.sources.items():
        if source.webhook_note and source.webhook == WebhookState.UNKNOWN:
            note = f"sources.{name}: whether it sends webhooks is not known: {source.webhook_note}"
            out.print(escape(note), soft_wrap=True)
    if found.destinations or found.sources:
        out.print(_peers(found))
    for name, source in found.sources.items():
        _print_gap(out, name, source.gap, is_running=_was_told(found))
        _print_drift(out, name, source.drift)
    if not _was_told(found):
        out.print(_UNKNOWN, soft_wrap=True)


def _print_gap(out: Console, name: str, gap: GapStatus | None, *, is_running: bool) -> None:
    """Say that webhooks are missing, and who sees to it; of a run that failed `reasons` tells."""
    if gap is None or gap.state == RunState.FAILED.value:
        return
    if gap.until is None:
        times, what = f"since {gap.since}", "once all come again, ROLLER is asked for what changed"
    else:
        times, what = f"from {gap.since} to {gap.until}", "ROLLER is asked for what changed"
        what += "" if is_running else " once the daemon runs"
    told = f"{escape(name)}: webhooks may be missing {times}: {what}."
    out.print(f"[yellow]![/] {told}", soft_wrap=True)


def _print_drift(out: Console, name: str, drift: Sequence[Difference]) -> None:
    if not drift:
        return
    known = "its messages differ from what this version knows, so look before they are misread:"
    out.print(f"[yellow]{escape(name)}[/]: {known}", soft_wrap=True)
    for one in drift[:_SHOWN]:
        since, last = ((at or "")[:10] for at in (one.first_seen, one.last_seen))
        times = f"{one.count:,} times from {since} to {last}" if one.count > 1 else f"once, {last}"
        out.print(f"  {escape(str(one))}: {times}", soft_wrap=True)
    if len(drift) > _SHOWN:
        out.print(f"  and {len(drift) - _SHOWN} more: see --json")


def _headline(found: Status) -> str:
    if not found.running:
        return "[red]not running[/]"
    if not _was_told(found):
        return "[yellow]running[/], and cannot be asked"
    ready = "[green]ready[/]" if found.ready else "[red]not ready[/]"
    return f"running since {found.started_at}, {ready}"


def _equation(counts: Mapping[str, int], total: str) -> str:
    """Write a sum and its parts, those that are not zero; duplicates are no part of it."""
    parts = [f"{n:,} {name}" for name, n in counts.items() if n and name not in {total, _ASIDE}]
    aside = f"   ({counts[_ASIDE]:,} received again)" if counts.get(_ASIDE) else ""
    return f"{counts[total]:,} {total}{' = ' if parts else ''}{' + '.join(parts)}{aside}"


def _peers(found: Status) -> Table:
    shown = table("peer", "state", "waiting", "allowance used", "")
    for name, one in found.destinations.items():
        # More than all there is, where a 429 has made that less, or a restore counts it twice.
        used = min(one.budget.used, one.budget.allowed)
        spent = f"{used} of {one.budget.allowed} in {span(one.budget.per_s)}"
        if one.budget.allowed < one.budget.requests:
            spent += f" (instead of {one.budget.requests}, after a 429)"
        eta = f"done in about {span(one.eta_s)}" if one.eta_s else ""
        shown.add_row(name, _state(one.state), f"{one.waiting:,}", spent, eta)
    for name, source in found.sources.items():
        heard = (source.last_event_at or "none yet").removesuffix("Z").split(".")[0]
        calls = f"{source.calls_this_month:,} calls this month"
        webhook = f"webhook {source.webhook}, " if _was_told(found) else ""
        last = f"{webhook}last event: {heard}"
        shown.add_row(name, _state(source.state), "", calls, last)
        for run in (source.reconcile, source.backfill):
            if run is not None:
                shown.add_row("", "", "", "", _run(run, is_running=_was_told(found)))
    return shown


def _run(run: RunStatus, *, is_running: bool) -> str:
    """Tell how far a reconciliation or a backfill is."""
    how = "done" if run.state == RunState.DONE.value else f"{run.state} at {run.day}"
    if run.state == RunState.RUNNING.value and not is_running:
        how = f"goes on at {run.day} with the daemon"
    how += f", behind {run.waits}" if run.waits else ""
    why = f": {escape(run.reason)}" if run.reason else ""
    return f"{run.origin} {run.since} to {run.until} {how}{why}, {run.taken_in:,} taken in"


def _state(state: str) -> str:
    return f"[{'green' if state == 'up' else 'yellow'}]{state}[/]"
