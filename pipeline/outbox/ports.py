"""What each part of the pipeline needs of the outbox."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Literal, Protocol

from pipeline.model import (
    Arrival,
    Booking,
    Delivery,
    DeliveryState,
    Envelope,
    Event,
    EventState,
    Guest,
    Minor,
    Origin,
    Product,
    Receipt,
    ToldBooking,
    ToldGuest,
)
from pipeline.outbox.terms import (
    Asked,
    Became,
    Changed,
    Count,
    Ending,
    Entry,
    Heard,
    Hearer,
    Intent,
    KnownBooking,
    KnownGuest,
    KnownVenue,
    KnownWebhooks,
    Learnt,
    Line,
    Note,
    Opening,
    OptOut,
    Owed,
    Pick,
    Place,
    Queue,
    Reading,
    Remembered,
    Restraint,
    Row,
    Run,
    Settled,
    Standing,
    TakenBack,
    Unconfigured,
    Unsendable,
    VisitDue,
)
from pipeline.plugin import VenueDetails
from pipeline.reports import Report
from pipeline.seal import Seal


class Intake(Protocol):
    """What receive needs."""

    def accept(self, arrival: Arrival) -> Awaitable[Receipt]:
        """Store a message, or recognise it; OutboxUnavailable when it could not be stored."""


class Events(Protocol):
    """What enrich needs."""

    async def file_anew(self, event: int, envelope: Envelope, *, now: int) -> None:
        """Note what an event is that could not be read when it came."""

    async def claim(self, ids: Sequence[int], *, now: int, until: int) -> list[Event]:
        """Lease those of these events that wait and are due."""

    async def claim_due(self, source: str, *, now: int, until: int, limit: int) -> list[Event]:
        """Lease the events of a source that are due, the longest due first."""

    async def next_due(self, source: str) -> int | None:
        """Tell when the next event of a source becomes due, or a lease ends."""

    async def finish(self, event: int, state: EventState, reason: str | None, *, now: int) -> None:
        """End an event without deliveries: IGNORED or PARKED, or DONE."""

    async def give_back(
        self, event: int, *, due_at: int, reason: str | None, failed: bool, now: int
    ) -> None:
        """Let an event wait until `due_at`; `failed` counts an attempt of its own."""

    async def rewrite(self, event: int, body: bytes | None) -> None:
        """Keep of a message what is in this body alone, or nothing."""

    async def learn_booking(self, event: Event, booking: Booking) -> None:
        """Keep a booking's state, unless a newer one is known; and which tickets are of it."""

    async def learn_guest(self, source: str, guest: Guest, *, fetched_at: int) -> None:
        """Keep a guest's details, unless newer ones are known."""

    async def lose_guest(self, source: str, customer: str, *, at: int) -> None:
        """Forget a guest whom the source does not know any more, once no opt-out is owed."""

    async def learn_venue(self, source: str, details: VenueDetails, *, fetched_at: int) -> None:
        """Keep a venue's details."""


class Visits(Protocol):
    """What enrich needs of visits."""

    async def of_tickets(self, source: str, tickets: Sequence[str]) -> Mapping[str, str]:
        """Tell which bookings these tickets are of, as far as is known."""

    async def learn(self, source: str, booking: str, *, at: int, event: int) -> None:
        """Keep that somebody came to a booking."""

    async def learn_booking(self, event: Event, booking: Booking, *, as_of: int) -> None:
        """Keep a booking that is not known, or not any more; its own events know better."""


class People(Protocol):
    """What enrich and transform need of customers, beside their details."""

    async def is_known(self, source: str, customer: str) -> bool:
        """Tell whether a customer was ever asked for, because of a booking."""

    async def expect(self, source: str, customer: str) -> None:
        """Note that a customer is going to be asked for, because of a booking."""

    async def others(self, source: str, customer: str) -> Sequence[str]:
        """Give the few customers beside this one who were fetched last."""

    async def is_told(self, destination: str, source: str, customer: str) -> bool:
        """Tell whether a destination was told of a customer, or is to be."""

    async def unsendable(self, destination: str, source: str, customer: str) -> Unsendable | None:
        """Give the newest of a customer's bookings, if it could not be told because of them."""

    async def learn_minors(self, source: str, minors: Mapping[str, Minor], *, at: int) -> None:
        """Keep who is a minor by a waiver."""

    async def parked(
        self, source: str, customer: str, *, after: int
    ) -> Sequence[tuple[int, bytes]]:
        """Give the next messages of a source, after this event, that are parked as they came.

        Of whom they are, no delivery tells; those that do not have the customer's number in them
        are left out, and so are those of which only ids and dates are kept.
        """

    async def opts_out(self, source: str, customer: str) -> bool:
        """Tell whether an opt-out of a customer is still to be told."""

    async def is_erased(self, source: str, customer: str) -> bool:
        """Tell whether a customer was erased."""

    async def erase(
        self, source: str, customer: str, reason: str, *, named_in: Sequence[int] = (), now: int
    ) -> list[Became]:
        """Erase what names a customer who is gone from the source, and drop what waits for them.

        `named_in` are events whose bodies go as well. What is dropped is ERASED for the reason.
        What was told of them is remembered: it holds digests alone.
        """


class Facts(Protocol):
    """What is known, for whoever decides."""

    async def booking(self, source: str, key: str) -> KnownBooking | None:
        """Give the newest known state of a booking."""

    async def guest(self, source: str, customer: str) -> KnownGuest | None:
        """Give a guest as last fetched."""

    async def venue(self, source: str) -> KnownVenue | None:
        """Give a venue as last fetched."""

    async def minor(self, source: str, customer: str) -> Minor | None:
        """Tell what a waiver says of a customer, if it calls them a minor."""

    async def told_guest(self, destination: str, person: str) -> ToldGuest | None:
        """Give what a destination was told of a person."""

    async def told_booking(self, destination: str, key: str) -> ToldBooking | None:
        """Give what a destination was told of a booking (key: source/uniqueId)."""


class Deliveries(Protocol):
    """What transform and deliver need."""

    async def settle(
        self,
        event: Event,
        intents: Sequence[Intent],
        remembered: Sequence[Remembered] = (),
        visits: Sequence[VisitDue] = (),
        taken_back: Sequence[TakenBack] = (),
        *,
        now: int,
    ) -> list[Settled]:
        """Make an event's deliveries and call it done; tell of these, and of what they replaced.

        A booking's new delivery supersedes those that have not gone out; if the event is older
        than what is known, its own delivery is superseded by the next newer one. A guest's or a
        tag's delivery is made only if none is open. Bookings and tags wait for a guest whom the
        destination does not have. What is `remembered` was said and needs not be sent. Of a visit
        that is due there is one delivery that waits; it goes at the time that was said last.
        What is `taken_back` is owed, if the destination still was told otherwise.
        """

    async def claim(
        self,
        destination: str,
        lines: Sequence[Line],
        *,
        pick: Pick = Pick.FIRST,
        under_way: Collection[int] = (),
        now: int,
        until: int,
    ) -> Delivery | None:
        """Lease the delivery that goes next of these lines; lapsed leases come back.

        Never one whose guest or booking has a request under way. Its cost does not grow with what
        waits, nor with what is held back. The leases of what is `under_way` do not lapse.
        """

    async def queue(self, destination: str, priority: int, *, most: int) -> Queue:
        """Look at those of a class that may go, and count up to `most` that are not begun."""

    async def next_due(self, destination: str, *, least: int = 1, most: int) -> int | None:
        """Tell when the next delivery of these classes becomes due, or a lease of any class ends.

        0 when one is due, though its guest may have a request under way.
        """

    async def succeed(
        self,
        delivery: Delivery,
        learnt: Sequence[Learnt],
        ending: Ending,
        *,
        more: bool,
        now: int,
    ) -> list[Became]:
        """Record a success; with `more`, the delivery waits for its next request."""

    async def close(
        self,
        delivery: Delivery,
        state: DeliveryState,
        reason: str | None,
        ending: Ending | None,
        *,
        now: int,
    ) -> list[Became]:
        """End a delivery without success: SKIPPED, SUPERSEDED by what is newer, or PARKED.

        Bookings and tags that wait for a guest go on when it is skipped, and park when it parks:
        they follow in the list, which is empty when another has gone on with the delivery.
        """

    async def give_back(
        self,
        delivery: Delivery,
        ending: Ending | None,
        *,
        due_at: int,
        reason: str | None,
        failed: bool,
        learnt: Sequence[Learnt] = (),
        now: int,
    ) -> list[Became]:
        """Let a delivery wait until `due_at`; `failed` counts an attempt of its own."""

    async def hear(self, heard: Heard, hearers: Sequence[Hearer], *, now: int) -> list[OptOut]:
        """Keep a guest's details that were fetched, and owe what they take back.

        In one transaction, for nothing might bring it up again. Nothing is owed while newer
        details are known: whoever has fetched those sees to it. Who is being told of the guest just
        now, perhaps what is true no more, is owed it in any case.
        """

    async def wait_for_guest(self, delivery: Delivery, customer: str, *, now: int) -> list[Became]:
        """Let a delivery wait for the delivery of this guest, which is made if none is open.

        If that guest's has parked, it parks with it.
        """


class Ledger(Protocol):
    """What an allowance needs."""

    async def allow(self, destination: str, requests: int, window: int) -> None:
        """Note a destination's configured allowance, for those who read the outbox."""

    async def presume_spent(self, *, at: int, boot: int, boot_id: str) -> bool:
        """Spend every allowance in full, once after a restore; tell whether this is that start."""

    async def open(self, opening: Opening) -> int:
        """Write an attempt down before it leaves, and give its id."""

    async def close(self, ending: Ending) -> None:
        """Close an attempt that serves no single delivery."""

    async def entries(self, destination: str, *, newest: int) -> list[Entry]:
        """Give the attempts that are open, and this many of the newest, in any order."""

    async def learnt(self, destination: str) -> Restraint | None:
        """Give what the last answer 429 has taught, if there ever was one."""


class Times(Protocol):
    """What is needed when the wall clock is set."""

    async def seen(self) -> Reading | None:
        """Tell what the clocks were when they were last noted; None before that."""

    async def note(self, reading: Reading) -> None:
        """Note what the clocks are."""

    async def shift(self, step: int, reading: Reading, *, since: int) -> int:
        """Move the times of what waits by a step of the wall clock, and note the reading after it.

        What was due stays due. What was written from `since` on, by the clock as it is now, stays
        as it is. The number of rows that were moved is given; it is many transactions.
        """


class Overview(Protocol):
    """What status needs."""

    async def counts(self) -> list[Count]:
        """Give all counters; their cost does not grow with the outbox."""

    async def oldest_due(self, *, now: int) -> Mapping[str, int]:
        """Tell since when what is due for longest is due: by "event" and "delivery", if any is."""

    async def difference(self) -> int:
        """Count all rows, and tell how far the counters are off; slow, and to no one's harm."""

    async def due(self, *, now: int) -> Sequence[Owed]:
        """Count what may go: not what is held back, nor what waits for a guest that is.

        Its cost grows with what is held back alone: little, unless much has failed.
        """

    async def is_restored(self) -> bool:
        """Tell whether it was put back from a backup, and no start has spent the allowances yet."""


class Records(Protocol):
    """What people ask; rows are those of the views."""

    async def events(
        self, *, state: str | None = None, source: str | None = None, limit: int
    ) -> list[Row]:
        """List events, the newest first."""

    async def deliveries(
        self,
        *,
        state: str | None = None,
        destination: str | None = None,
        reason: str | None = None,
        limit: int,
    ) -> list[Row]:
        """List deliveries, the newest first; `reason` is a part of the reason, in any case."""

    async def event(self, number: int) -> Row | None:
        """Give one event, with its deliveries under `deliveries`."""

    async def delivery(self, number: int) -> Row | None:
        """Give one delivery, with its attempts, the newest first, under `attempts`."""

    async def of_booking(self, name: str) -> tuple[list[int], list[int]]:
        """Find the events and deliveries of a booking, by its uniqueId or its reference."""

    async def standing(self, delivery: int) -> Standing | None:
        """Tell what a delivery waits for, and how many go before it."""

    async def due_at(self, event: int) -> int | None:
        """Tell when an event may be taken next."""

    async def in_doubt(self, destination: str | None) -> int:
        """Count the parked deliveries of unknown outcome, which a retry of all leaves alone."""


class Repair(Protocol):
    """What people may change; a call is one transaction, so they hand in some hundreds at most."""

    async def retry_events(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let events that wait, are parked or were ignored be processed again, at once."""

    async def retry_parked_events(
        self, source: str | None, *, before: int, limit: int, now: int
    ) -> Changed:
        """Retry some of the events that have been parked since before then, the oldest first."""

    async def drop_events(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let events that wait or are parked go: they are ignored from now on."""

    async def retry_deliveries(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let deliveries that wait or are parked be tried again, at once.

        One that parked with its guest brings that along, and what waits for a guest comes back
        with it.
        """

    async def retry_parked_deliveries(
        self, destination: str | None, *, before: int, limit: int, now: int
    ) -> Changed:
        """Retry some of the deliveries that have been parked since before then.

        None of unknown outcome: each of these may have been done, and wants to be looked at. They
        are chosen where they are changed, for what has been retried since may have parked as such.
        """

    async def drop_deliveries(self, ids: Sequence[int], *, now: int) -> Changed:
        """Let deliveries that wait or are parked go; with a guest's goes what waits for it."""


class Noted(Protocol):
    """What is counted about the sources."""

    async def add(self, notes: Sequence[Note], *, most: int, rest: str) -> list[Note]:
        """Add to what is counted, and give those of what was not counted before.

        A source has `most` names of one `what`; what exceeds them is counted as the `rest`.
        """

    async def all(self) -> list[Note]:
        """Give all that is counted."""


class Products(Protocol):
    """What the bookings of a source can hold."""

    async def known(self, source: str) -> Mapping[str, Product]:
        """Give all products that were ever named, by their ids; from memory but for once."""

    async def fetched_at(self, source: str) -> int | None:
        """Tell when all were asked for last; None if they never were."""

    async def learn(self, source: str, products: Sequence[Product], *, fetched_at: int) -> int:
        """Keep what was fetched, and what it names no more too; tell how many are new or differ."""


class Webhooks(Protocol):
    """Whether the webhooks of a source come, and since when some may never do."""

    async def known(self, source: str) -> KnownWebhooks:
        """Tell what is known of a source's webhooks."""

    async def miss(self, source: str) -> None:
        """Note that webhooks may be lost until `seen` says otherwise: a gap.

        It begins where all was well last. There is none where none has ever come or been expected.
        """

    async def seen(self, source: str, webhooks: Collection[str], *, now: int) -> None:
        """Note by which subscriptions all comes that is needed; a gap ends."""

    async def hand_over(self, source: str, run: int) -> None:
        """Note which run looks for what a gap has left out: with its success the gap is closed."""


class Runs(Protocol):
    """What has been made of reconciliation and backfill."""

    async def run(self, number: int) -> Run | None:
        """Give a run."""

    async def newest(self, source: str, origin: Origin, *, done: bool = False) -> Run | None:
        """Give the newest run that took in, or that has done so; no part."""

    async def parts(self, source: str) -> Sequence[Run]:
        """Give what was left unread, the oldest first."""


class Sweeps(Runs, Protocol):
    """What reconciliation and backfill need: their runs, and what is known already.

    A part is what a run had to leave unread: a run of its own, of one report.
    """

    async def begin(self, source: str, asked: Asked, first: Place, *, now: int) -> Run:
        """Note a run that is to be made."""

    async def keep(
        self, run: Run, *, now: int, waivers: date | None = None, free_at: int | None = None
    ) -> None:
        """Note how far a run is.

        In the same transaction, of which day all `waivers` have been read with it, and when the
        allowance for reports is `free_at` again. When a run is done, the gap that was handed over
        to it is closed.
        """

    async def leave(self, run: Run, part: Run, *, now: int) -> Run:
        """Note how far a run is, and the part that it leaves out; give that as it is kept.

        What is forbidden grows with each day that is left out of it, and is one part; a day that is
        left out already is so once.
        """

    async def unfinished(self, source: str, *, now: int, patience: int) -> Run | None:
        """Give the run of a source that goes on first, of those RUNNING or WAITING and due.

        That is the oldest; but who is a minor goes before all, and a backfill takes days, so each
        reconciliation goes before it. A part that has failed holds up no reconciliation. One that
        is due only after `patience` is due: a clock that was ahead has put it off.
        """

    async def hold(self, source: str, reason: str, *, now: int) -> None:
        """Note that no run of a source goes on just now, and why: who looks on is to look later."""

    async def release(self, source: str, *, now: int) -> None:
        """Let the runs say that they go on which waited with their source."""

    async def end_parts(self, source: str, report: Report, *, now: int) -> None:
        """End what was left unread of a report that is not to be read any more."""

    async def next_due(self, source: str) -> int | None:
        """Tell when the next unfinished run is due; None when there is none."""

    async def hasten(self, source: str) -> None:
        """Let what was left unread be tried again at once."""

    async def alike(self, source: str, asked: Asked) -> Run | None:
        """Give the newest run that was asked for in the same way, its last day aside."""

    async def watermark(self, source: str) -> date | None:
        """Tell up to which day reconciliation has gone; None before its first run."""

    async def waiver_days(self, source: str, since: date) -> Collection[date]:
        """Tell of which days from then on the signed waivers were read whole."""

    async def pace(self, source: str) -> int:
        """Tell when the allowance for reports is, or was, whole again."""

    async def paced(self, source: str, free_at: int) -> None:
        """Note that, beside any run."""

    async def begun(self) -> int | None:
        """Tell when the first event was received; None when there is none."""

    async def as_of(
        self,
        source: str,
        kind: Literal["booking", "guest", "minor", "erased"],
        keys: Collection[str],
    ) -> Mapping[str, int]:
        """Tell as of when these subjects are known; those that are not are left out."""


class Outbox(Protocol):
    """The whole of it; entered once, and closed by leaving."""

    seal: Seal
    #: When it was put back from a backup last; None if it never was.
    restored_at: int | None
    intake: Intake
    events: Events
    facts: Facts
    visits: Visits
    people: People
    deliveries: Deliveries
    ledger: Ledger
    overview: Overview
    records: Records
    repair: Repair
    sweeps: Sweeps
    times: Times
    products: Products
    noted: Noted
    webhooks: Webhooks

    def watch(self, committed: Callable[[float, int], None]) -> None:
        """Have `committed` called for each transaction, with its seconds and its rows."""

    @property
    def trouble(self) -> str | None:
        """Why nothing could be written or read when it was last tried; None when it could."""

    async def prove(self) -> None:
        """Write something, unless something was written since this was last asked.

        So `trouble` tells the truth also while no webhook comes. Raises OutboxUnavailable.
        """

    async def recover(self, *, now: int) -> None:
        """Give back at once what a predecessor had claimed."""

    async def shed(self, *, before: int, attempts_before: int) -> None:
        """Drop the payloads of work that was finished before then, and attempts yet older.

        It writes in any case, so that it also shows whether the outbox can be written.
        """

    async def park_unconfigured(
        self, sources: Collection[str], pairs: Collection[tuple[str, str]], *, now: int
    ) -> Unconfigured:
        """Park what waits for a source, or a (destination, source), that is configured no more.

        The reason is "not configured".
        """
