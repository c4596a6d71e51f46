"""What is told to the outbox and by it."""

from collections.abc import Callable, Collection, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

from msgspec import Struct

from pipeline.clock import SECOND
from pipeline.model import (
    Booking,
    DeliveryKind,
    DeliveryState,
    Event,
    Guest,
    GuestConsent,
    Minor,
    Origin,
    Outcome,
    ToldBooking,
    ToldGuest,
)
from pipeline.plugin import VenueDetails
from pipeline.reports import Report

#: Microseconds for which attempts are kept at least, whatever `keep`: the longest allowance's
#: window is a day.
ATTEMPTS_KEPT = 3 * 86_400 * SECOND


class KnownBooking(Struct, frozen=True, kw_only=True):
    """The newest known state of a booking."""

    booking: Booking
    occurred_at: int
    event: int | None
    #: When somebody came, and the event that told it; None while nobody has.
    visited_at: int | None = None
    visited_by: int | None = None


class KnownGuest(Struct, frozen=True, kw_only=True):
    """A guest as last fetched."""

    guest: Guest
    fetched_at: int
    #: What a waiver says, if it calls them a minor.
    minor: Minor | None = None

    def answers(self, event: Event, now: int) -> bool:
        """Tell whether they were fetched after an event came in, by a clock that is right."""
        return event.received_at <= self.fetched_at <= now


class KnownVenue(Struct, frozen=True, kw_only=True):
    """A venue as last fetched."""

    details: VenueDetails
    fetched_at: int


class About(Struct, frozen=True, kw_only=True):
    """A booking as an intent needs it."""

    booking: str
    reference: str | None
    #: When its newest state came about.
    as_of: int


class Intent(Struct, frozen=True, kw_only=True):
    """A delivery to be made for an event at one destination."""

    destination: str
    kind: DeliveryKind
    detail: str = ""
    #: WAITING, SKIPPED or PARKED.
    state: DeliveryState
    reason: str | None = None
    priority: int
    customer: str | None
    #: Whether it must wait for its guest's delivery, if one is open.
    waits: bool = True
    #: Of a guest of whom nothing is owed, as things are known: it is made only if one is under way,
    #: which may tell what is true no more.
    spare: bool = False
    #: The booking that it is about, where its event is about none.
    about: About | None = None


class VisitDue(Struct, frozen=True, kw_only=True):
    """A delivery that tells a destination how far a visit has come."""

    destination: str
    #: The event that told that somebody came.
    event: int
    booking: str
    reference: str | None
    customer: str | None
    #: ARRIVED or COMPLETE.
    detail: str
    due_at: int


class Unsendable(Struct, frozen=True, kw_only=True):
    """A booking that could not be told because of its guest."""

    #: The delivery that was skipped for that.
    delivery: int
    booking: str
    reference: str | None
    as_of: int


class Settled(Struct, frozen=True, kw_only=True):
    """A delivery as an event has left it."""

    delivery: int
    state: DeliveryState
    reason: str | None
    superseded_by: int | None


class Became(Struct, frozen=True, kw_only=True):
    """A delivery as a change has left it."""

    delivery: int
    event: int
    state: DeliveryState
    reason: str | None
    superseded_by: int | None


class Unconfigured(Struct, frozen=True, kw_only=True):
    """What has parked for want of a configuration."""

    events: list[int]
    deliveries: list[int]


class Learnt(Struct, frozen=True, kw_only=True):
    """What a destination knows since a request succeeded."""

    #: A person's digest, or a booking as source/uniqueId.
    key: str
    told: ToldGuest | ToldBooking


class Remembered(Struct, frozen=True, kw_only=True):
    """What a customer record says, of a person whom a destination knows; see `consent.py`."""

    destination: str
    person: str
    record: str
    said: GuestConsent


class Hearer(Struct, frozen=True, kw_only=True):
    """A destination that is to hear of an opt-out."""

    destination: str
    #: Tells, of what it was told of the guest, whether any of that is taken back.
    takes_back: Callable[[ToldGuest], bool]
    #: What tells it of the guest's consent.
    kinds: Collection[DeliveryKind]


class Heard(Struct, frozen=True, kw_only=True):
    """What a source has said of a guest."""

    source: str
    guest: Guest
    person: str | None
    fetched_at: int
    #: What they were asked for.
    event: int
    delivery: int | None = None
    wary: bool = False


class TakenBack(Struct, frozen=True, kw_only=True):
    """What a guest has said, and a destination that was told otherwise."""

    heard: Heard
    hearer: Hearer


class OptOut(Struct, frozen=True, kw_only=True):
    """A delivery that was made for an opt-out, and those that parked with the same before."""

    destination: str
    delivery: int
    replaced: Sequence[int]


class Restraint(Struct, frozen=True, kw_only=True):
    """What an answer 429 has taught of an allowance; it outlives the process."""

    #: Of the configured requests, that were not to be used when it came.
    twentieths: int
    #: Microseconds from then, in which nothing may go.
    hold: int
    at: int
    boot: int
    boot_id: str


class Ending(Struct, frozen=True, kw_only=True):
    """How the attempt of a delivery ended on the wire."""

    attempt: int
    outcome: Outcome
    status: int | None
    note: str | None = None
    at: int
    boot: int
    #: To be kept with the allowance.
    learnt: Restraint | None = None
    #: People of whose own call it is known now that it changed nothing: see `ToldGuest.maybe`.
    undone: tuple[str, ...] = ()


class Entry(Struct, frozen=True, kw_only=True):
    """An attempt as the ledger has it; the `ended` times are None while it is open."""

    started_at: int
    started_boot: int
    boot_id: str
    timeout: int
    ended_at: int | None
    ended_boot: int | None


class Opening(Struct, frozen=True, kw_only=True):
    """An attempt that is about to leave; the path carries no personal data."""

    destination: str
    delivery: int | None
    method: str
    path: str
    at: int
    boot: int
    boot_id: str
    timeout: int
    #: What may be true from now on: it stays when the attempt ends UNKNOWN or not at all, and goes
    #: with every other ending.
    doubts: tuple[Learnt, ...] = ()


class Line(Struct, frozen=True, kw_only=True, array_like=True):
    """Those of a class and a source, begun or not, of whom the oldest goes first."""

    priority: int
    source: str
    #: Of them, or of the guests for whom they waited, a request was answered already.
    begun: bool


class Queue(Struct, frozen=True, kw_only=True):
    """Those of a class that may go."""

    #: How many of them are not begun.
    new: int
    #: When the first was begun of those that are; None when none is.
    begun_since: int | None


class Pick(StrEnum):
    """Which goes, of the heads of several lines."""

    #: That of the first line which has one.
    FIRST = "first"
    #: The oldest of them all.
    OLDEST = "oldest"
    #: The one tried least of all in these classes, at the head of a line or not.
    LEAST_TRIED = "least tried"


class Count(Struct, frozen=True, kw_only=True):
    """How many events of a source, or deliveries of a destination, are in a state."""

    what: str
    owner: str
    state: str
    n: int


class Gap(Struct, frozen=True, kw_only=True):
    """A stretch of time whose webhooks may never come."""

    since: int
    #: None while none comes.
    until: int | None
    #: The run that looks for what is missing; None before there is one.
    run: int | None


class KnownWebhooks(Struct, frozen=True, kw_only=True):
    """What is known of a source's webhooks."""

    #: When the newest came.
    heard_at: int | None = None
    #: When the source was last seen to send all that is needed, and the ids of the subscriptions by
    #: which it did.
    seen_at: int | None = None
    seen: frozenset[str] = frozenset()
    #: None when nothing is missing.
    gap: Gap | None = None


class Note(Struct, frozen=True, kw_only=True):
    """Something of a source that is counted for years: requests by month, drift by its name."""

    source: str
    #: "calls" or "drift".
    what: str
    name: str
    n: int
    first_at: int
    last_at: int


class Owed(Struct, frozen=True, kw_only=True):
    """How many deliveries of a class and kind a destination is owed."""

    destination: str
    priority: int
    kind: DeliveryKind
    n: int


class Reading(Struct, frozen=True, kw_only=True):
    """What the clocks were at one moment: the wall clock, and that of the boot."""

    at: int
    boot: int
    boot_id: str


#: A row of one of the SQL views, by the names of its columns.
Row = dict[str, Any]


class Standing(Struct, frozen=True, kw_only=True):
    """Where a delivery stands in the order of going."""

    #: The guest's delivery that must end first.
    waits_for: int | None
    #: How many go before it, as things are now.
    ahead: int
    #: How often it was tried.
    tried: int = 0
    #: Its time is still to come.
    held: bool = False
    #: Which part of its class goes before it.
    part: float = 0.0


class Asked(Struct, frozen=True, kw_only=True):
    """What is to be swept: from the first day to the last, both included, as the venue has them."""

    #: RECONCILE or BACKFILL.
    origin: Origin
    since: date
    until: date
    #: Of a backfill: customers, whether they have booked or not, and no bookings.
    guests_only: bool = False
    #: Only count what would be taken in.
    dry_run: bool = False
    #: This report alone, which another run had to leave unread on these days.
    only: Report | None = None


class RunState(StrEnum):
    """Where a sweep is; the last two are ends."""

    RUNNING = "running"
    #: It goes on by itself when the reason is over.
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class Place(Struct, frozen=True, kw_only=True):
    """The page that a sweep reads next."""

    day: date
    report: Report
    page: int = 1
    #: Rows of the report when a page of it was read last; None before its first, or uncounted.
    rows: int | None = None
    #: Rows of a page, as its first one was asked for.
    size: int | None = None
    #: How often it was gone back in this report of this day.
    backs: int = 0


class Sums(Struct, frozen=True, kw_only=True):
    """What a sweep has found: all that was seen is one of the others."""

    seen: int = 0
    known: int = 0
    taken_in: int = 0
    #: How many cannot be sent, by reason.
    unsendable: dict[str, int] = {}


class Run(Struct, frozen=True, kw_only=True):
    """A sweep of one source's reports, and how far it is."""

    id: int
    source: str
    asked: Asked
    state: RunState
    #: Why it waits or has failed.
    reason: str | None = None
    #: How often in a row that was so, of what is tried again at its own time; and when.
    tries: int = 0
    due_at: int = 0
    #: The source does not let the report be read, on whatever day.
    forbidden: bool = False
    place: Place
    sums: Sums = Sums()
    #: See `Sweeps.watermark`; None until it is done.
    watermark: date | None = None
    started_at: int
    updated_at: int


class Changed(Struct):
    """What came of a change by hand, by the ids that people use (e5, d7)."""

    ids: list[str] = []
    #: Why the others were left alone.
    refused: dict[str, str] = {}
    #: Of these, what gave way to something newer at once.
    superseded: list[Became] = []
    #: Of what was to be changed as a whole there may be more.
    more: bool = False
