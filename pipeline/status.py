"""The document that `status` shows: what came in, what is owed, and how the peers are."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from pipeline import __version__
from pipeline.clock import SECOND, Clock, iso
from pipeline.model import DeliveryState, EventState
from pipeline.notebook import CALLS, DRIFT, month
from pipeline.outbox import Count, Note, Overview

#: Parts of a source's reports that are told of one by one.
_SHOWN = 3

_OPEN = {DeliveryState.WAITING, DeliveryState.SENDING}


class BudgetStatus(Struct, frozen=True, kw_only=True):
    """An allowance and what of it is spent."""

    #: As it is configured.
    requests: int
    per_s: float
    reserve: int
    used: int
    #: What may be used just now.
    left: int
    #: What a window may have: less than is configured for some time after an answer 429.
    allowed: int
    #: How many of them what is not urgent leaves: the reserve, or what urgent work needs by its
    #: rate of the last windows.
    spared: int = 0
    #: Seconds until anything may go: a pause that was asked for, or the next try of a peer in
    #: trouble.
    pause_s: float = 0.0
    #: Seconds until the first of the used requests leaves the window, while none is left.
    next_slot_s: float | None = None


class DestinationStatus(Struct, frozen=True, kw_only=True):
    """How a destination is doing."""

    state: str
    budget: BudgetStatus
    waiting: int
    #: Seconds until the last request of the work that is due leaves; see `estimate.py`.
    eta_s: float
    last_error: str | None


class Difference(Struct, frozen=True, kw_only=True):
    """Something in a source's messages that is not as it is known."""

    #: new, missing or retyped.
    what: str
    field: str
    #: The JSON type of what is there.
    type: str | None
    count: int
    first_seen: str | None
    last_seen: str | None

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.what} {self.field}" + (f" ({self.type})" if self.type else "")


class Unread(Struct, frozen=True, kw_only=True):
    """A part of a source's reports that could not be read, and is tried again by itself."""

    #: In words, its days too.
    what: str
    reason: str
    #: A person must give a permission first.
    forbidden: bool
    again_at: str | None

    def __str__(self) -> str:
        """Say it in a sentence."""
        return f"{self.what} are not read: {self.reason}; tried again at {self.again_at}"


def some_of(unread: Sequence[Unread]) -> list[str]:
    """Say of some what they are, and how many more there are: a bad night leaves many days out."""
    more = len(unread) - _SHOWN
    found = [str(one) for one in unread[:_SHOWN]]
    return [*found, f"{more} more parts of its reports are not read"] if more > 0 else found


class RunStatus(Struct, frozen=True, kw_only=True):
    """How far a reconciliation or a backfill is, and what it has found."""

    id: int
    source: str
    origin: str
    #: The venue's own days.
    since: str
    until: str
    guests_only: bool
    dry_run: bool
    state: str
    reason: str | None
    #: The day that is read next, while it goes on.
    day: str
    #: What it lets go before it, while it goes on.
    waits: str | None = None
    #: How much of it is done, from 0 to 1.
    done: float
    seen: int
    known: int
    taken_in: int
    #: By reason.
    not_sendable: Mapping[str, int]
    started_at: str
    updated_at: str
    #: What of the source is left to be read later; told of a run that is asked for.
    unread: tuple[Unread, ...] = ()


class GapStatus(Struct, frozen=True, kw_only=True):
    """A stretch of time whose webhooks may never come."""

    since: str
    #: None while it goes on.
    until: str | None
    #: open; waiting, until there is a run that looks for what is missing; or as that run is.
    state: str
    #: The run, and the first day that it reads.
    run: int | None = None
    day: str | None = None
    reason: str | None = None


class SourceStatus(Struct, frozen=True, kw_only=True):
    """How a source is doing."""

    state: str
    last_event_at: str | None
    #: Whether ROLLER sends here: registered, missing, disabled, differs, unknown.
    webhook: str = "unknown"
    #: What was found at the last look, where all was not well.
    webhook_note: str | None = None
    #: What webhooks have left out, as far as that has not been read since.
    gap: GapStatus | None = None
    #: When a reconciliation came to its end last.
    last_reconcile_at: str | None = None
    #: The newest of each.
    reconcile: RunStatus | None = None
    backfill: RunStatus | None = None
    #: What they could not read.
    unread: tuple[Unread, ...] = ()
    last_error: str | None = None
    #: Requests in this month, of UTC.
    calls_this_month: int = 0
    drift: tuple[Difference, ...] = ()


class Status(Struct, frozen=True, kw_only=True):
    """The whole document; people and their tools rely on the names of its fields."""

    version: str = __version__
    running: bool
    started_at: str | None
    ready: bool
    reasons: tuple[str, ...]
    events: Mapping[str, int]
    deliveries: Mapping[str, int]
    oldest_waiting_s: float | None
    destinations: Mapping[str, DestinationStatus] = field(default_factory=dict)
    sources: Mapping[str, SourceStatus] = field(default_factory=dict)


class Tally(Struct, frozen=True, kw_only=True):
    """The outbox's counters, added up."""

    events: dict[str, int]
    deliveries: dict[str, int]
    #: By destination: what waits or is being sent.
    waiting: dict[str, int]

    @property
    def unfinished(self) -> int:
        """All that is still to be done, events and deliveries."""
        events = self.events["waiting"] + self.events["processing"]
        return events + self.deliveries["waiting"] + self.deliveries["sending"]


def tally(counts: Iterable[Count]) -> Tally:
    """Add up counters; both equations of the document hold by construction of the counters."""
    events = {"accepted": 0, **dict.fromkeys(map(str, EventState), 0), "duplicates": 0}
    deliveries = {"created": 0, **dict.fromkeys(map(str, DeliveryState), 0)}
    waiting: dict[str, int] = {}
    for one in counts:
        if one.what == "event":
            events[one.state] += one.n
            events["accepted"] += one.n if one.state != "duplicates" else 0
            continue
        deliveries[one.state] += one.n
        deliveries["created"] += one.n
        if one.state in _OPEN:
            waiting[one.owner] = waiting.get(one.owner, 0) + one.n
    return Tally(events=events, deliveries=deliveries, waiting=waiting)


def calls_this_month(notes: Iterable[Note], source: str, *, now: int) -> int:
    """Give a source's requests in the month that it is."""
    return sum(
        one.n for one in notes if (one.source, one.what, one.name) == (source, CALLS, month(now))
    )


def differences(notes: Iterable[Note], source: str) -> tuple[Difference, ...]:
    """Give how a source's messages differ from what is known, the latest first."""
    mine = [one for one in notes if one.source == source and one.what == DRIFT]
    return tuple(map(_difference, sorted(mine, key=lambda one: (-one.last_at, one.name))))


def _difference(note: Note) -> Difference:
    what, field, *kind = note.name.split(" ", 2)
    return Difference(
        what=what,
        field=field,
        type=kind[0] if kind else None,
        count=note.n,
        first_seen=iso(note.first_at),
        last_seen=iso(note.last_at),
    )


async def oldest_waiting(overview: Overview, clock: Clock) -> float | None:
    """Give for how many seconds the oldest due work has been due."""
    now = clock.now()
    oldest = min((await overview.oldest_due(now=now)).values(), default=None)
    return None if oldest is None else max(now - oldest, 0) / SECOND
