"""Shows people how far a reconciliation or a backfill is."""

from collections.abc import Sequence

from pipeline.clock import iso
from pipeline.days import DAY
from pipeline.outbox import Run, RunState
from pipeline.reports import Report
from pipeline.route import reports_of
from pipeline.status import RunStatus, Unread

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
