"""Shows people how far a reconciliation or a backfill is, and what is still to be looked for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pipeline.clock import iso
from pipeline.days import DAY
from pipeline.model import Origin
from pipeline.outbox import Gap, KnownWebhooks, Run, Runs, RunState
from pipeline.reports import Report
from pipeline.room import Room
from pipeline.route import reports_of
from pipeline.status import GapStatus, RunStatus, SourceStatus, Unread, some_of

#: What does not go on just now does so by itself, and needs nobody to ask for it again.
_HALTED = {"waiting": "goes on by itself later", "failed": "failed"}

_NAMES = {
    Report.WAIVERS: "the signed waivers",
    Report.BOOKINGS: "the bookings",
    Report.CUSTOMERS: "the customers",
}


def described(part: Run) -> str:
    """Name what was left unread."""
    since, until = part.place.day, part.asked.until
    return f"{_NAMES[part.place.report]} of {since}" + ("" if since == until else f" to {until}")


def unread(parts: Sequence[Run]) -> tuple[Unread, ...]:
    """Tell what was left unread."""
    return tuple(
        Unread(
            what=described(part),
            reason=part.reason or "it is its turn",
            forbidden=part.forbidden,
            again_at=iso(part.due_at or part.updated_at),
        )
        for part in parts
    )


async def history(runs: Runs, known: KnownWebhooks, source: str) -> dict[str, Any]:
    """Give those fields of a source's status that the outbox tells by itself."""
    done = await runs.newest(source, Origin.RECONCILE, done=True)
    found: dict[str, Any] = {
        "last_event_at": iso(known.heard_at),
        "last_reconcile_at": iso(done.updated_at) if done else None,
        "gap": known.gap and await _gap_status(runs, known.gap),
        "unread": unread(await runs.parts(source)),
    }
    for origin in (Origin.RECONCILE, Origin.BACKFILL):
        run = await runs.newest(source, origin)
        found[origin.value] = run and run_status(run)
    return found


def halted(sources: Mapping[str, SourceStatus]) -> Iterator[str]:
    """Tell which reconciliations and backfills do not go on, or what they have left out."""
    for name, source in sources.items():
        gap = source.gap
        if gap and gap.state == RunState.FAILED.value:
            yield (
                f"sources.{name}: webhooks may be missing from {gap.since} to {gap.until}, and "
                f"what they would have told cannot be read: {gap.reason}. It is tried again a day "
                f"later, and at once by `pipeline reconcile --since {gap.day}`"
            )
        for run in (source.reconcile, source.backfill):
            is_told = gap and run and gap.run == run.id and run.state == RunState.FAILED.value
            if run and run.state in _HALTED and not is_told:
                yield f"sources.{name}: {run.origin} {_HALTED[run.state]}: {run.reason}"
        for sentence in some_of(source.unread):
            yield f"sources.{name}: {sentence}"


async def _gap_status(runs: Runs, gap: Gap) -> GapStatus:
    run = await runs.run(gap.run) if gap.run is not None else None
    state = "open" if gap.until is None else "waiting"
    return GapStatus(
        since=iso(gap.since) or "",
        until=iso(gap.until),
        state=run.state.value if run else state,
        run=gap.run,
        day=run.asked.since.isoformat() if run else None,
        reason=run.reason if run else None,
    )


async def with_waits(told: RunStatus, room: Room) -> RunStatus:
    """Add for what a run waits that nothing holds up: what it takes in has its limits."""
    if told.state != RunState.RUNNING.value or told.dry_run:
        return told
    return msgspec.structs.replace(told, waits=await room.crowd(told.source))


def run_status(run: Run, parts: Sequence[Run] = ()) -> RunStatus:
    """Say it in the words of the status document."""
    asked, sums = run.asked, run.sums
    return RunStatus(
        id=run.id,
        source=run.source,
        origin=asked.origin.value,
        since=asked.since.isoformat(),
        until=asked.until.isoformat(),
        guests_only=asked.guests_only,
        dry_run=asked.dry_run,
        state=run.state.value,
        reason=run.reason,
        day=run.place.day.isoformat(),
        done=round(_done(run), 3),
        seen=sums.seen,
        known=sums.known,
        taken_in=sums.taken_in,
        not_sendable=sums.unsendable,
        started_at=iso(run.started_at) or "",
        updated_at=iso(run.updated_at) or "",
        unread=unread(parts),
    )


def _done(run: Run) -> float:
    """Tell how much is done, by its days, and the reports of one; pages do not tell beforehand.

    While it is read who is a minor, nothing is.
    """
    if run.state is RunState.DONE:
        return 1.0
    if run.place.report is Report.WAIVERS:
        return 0.0
    asked, reports = run.asked, reports_of(run.asked)
    days = (asked.until - asked.since) // DAY + 1
    of_day = reports.index(run.place.report) / len(reports)
    return ((run.place.day - asked.since) // DAY + of_day) / days
