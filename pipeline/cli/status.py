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
from pipeline.clock import SystemClock, span
from pipeline.config import Config
from pipeline.errors import OutboxMissing, PipelineError
from pipeline.outbox import Note
from pipeline.outbox.held import is_held
from pipeline.outbox.sqlite import read_outbox
from pipeline.status import (
    Difference,
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
    notes: Sequence[Note] = ()
    if held:
        reasons.append(
            f"a daemon holds {config.outbox.path} all the same: is server.admin another one than "
            "when it was started?"
        )
    try:
        async with read_outbox(config.outbox.path) as outbox:
            sums = tally(await outbox.overview.counts())
            oldest = await oldest_waiting(outbox.overview, clock)
            notes = await outbox.noted()
            if await outbox.overview.is_restored():
                reasons.append(
                    "the outbox was put back from a backup: what was sent since is not known, so "
                    "the next start waits one window of each allowance before it sends"
                )
    except OutboxMissing as exc:
        sums, oldest = tally(()), None
        reasons.append(str(exc))
    return Status(
        running=held,
        started_at=None,
        ready=False,
        reasons=tuple(reasons),
        events=sums.events,
        deliveries=sums.deliveries,
        oldest_waiting_s=oldest,
        sources={
            name: SourceStatus(
                state="unknown",
                last_event_at=None,
                calls_this_month=calls_this_month(notes, name, now=clock.now()),
                drift=differences(notes, name),
            )
            for name in config.sources
        },
    )


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
        _print_drift(out, name, source.drift)


def _print_drift(out: Console, name: str, drift: Sequence[Difference]) -> None:
    if not drift:
        return
    known = "its messages differ from what this version knows, so look before they are misread:"
    out.print(f"[yellow]{escape(name)}[/]: {known}", soft_wrap=True)
    for one in drift[:_SHOWN]:
        since, last = ((at or "")[:10] for at in (one.first_seen, one.last_seen))
        times = f"{one.count:,} times from {since} to {last}"
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
        spent = f"{one.budget.used} of {one.budget.allowed} in {span(one.budget.per_s)}"
        if one.budget.allowed < one.budget.requests:
            spent += f" (instead of {one.budget.requests}, after a 429)"
        eta = f"done in about {span(one.eta_s)}" if one.eta_s else ""
        shown.add_row(name, _state(one.state), f"{one.waiting:,}", spent, eta)
    for name, source in found.sources.items():
        heard = (source.last_event_at or "none since the start").removesuffix("Z").split(".")[0]
        calls = f"{source.calls_this_month:,} calls this month"
        last = f"webhook {source.webhook}, last event: {heard}" if _was_told(found) else ""
        shown.add_row(name, _state(source.state), "", calls, last)
        for run in (source.reconcile, source.backfill):
            if run is not None:
                shown.add_row("", "", "", "", _run(run))
    return shown


def _run(run: RunStatus) -> str:
    """Tell how far a reconciliation or a backfill is."""
    how = "done" if run.state == "done" else f"{run.state} at {run.day}"
    why = f": {escape(run.reason)}" if run.reason else ""
    return f"{run.origin} {run.since} to {run.until} {how}{why}, {run.taken_in:,} taken in"


def _state(state: str) -> str:
    return f"[{'green' if state == 'up' else 'yellow'}]{state}[/]"
