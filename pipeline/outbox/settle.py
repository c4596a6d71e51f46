"""Makes the deliveries of an event: one transaction in which everything falls into place."""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.model import Delivery, DeliveryKind, DeliveryState, Event, Priority
from pipeline.outbox import Heard, Hearer, Intent, OptOut, Settled, VisitDue
from pipeline.outbox.query import rows
from pipeline.outbox.supersede import OF_GUESTS, Replaced, supersede, supersede_bookings
from pipeline.outbox.visits import due_again

_INSERT = """
    INSERT INTO delivery (event, source, destination, kind, detail, booking, reference, customer,
                          priority, state, reason, superseded_by, as_of, created_at, updated_at,
                          due_at, wary)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
           coalesce(?14, occurred_at, received_at), ?16, ?16, coalesce(?15, ?16),
           ?13 OR origin <> 'webhook' OR wary
    FROM event WHERE id = ?1
    RETURNING id
"""


class _New(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is to be made; its fields are the statement's, in their order."""

    event: int
    source: str
    destination: str
    kind: DeliveryKind
    detail: str = ""
    booking: str | None = None
    reference: str | None = None
    customer: str | None
    priority: int
    state: DeliveryState = DeliveryState.WAITING
    reason: str | None = None
    superseded_by: int | None = None
    wary: bool = False
    #: Of its event, and now, where nothing else is said.
    as_of: int | None = None
    due_at: int | None = None


def settle(
    connection: sqlite3.Connection,
    event: Event,
    intents: Sequence[Intent],
    visits: Sequence[VisitDue],
    now: int,
) -> list[Settled]:
    """Make an event's deliveries and call it done; see `Deliveries.settle`."""
    ended = rows(
        connection,
        """UPDATE event SET state = 'done', reason = NULL, updated_at = ?
           WHERE id = ? AND state = 'processing' RETURNING id""",
        (now, event.id),
    )
    if not ended:  # its lease ran out and another went on with it: that one makes the deliveries
        return []
    replaced: Replaced = []
    for destination in dict.fromkeys(intent.destination for intent in intents):
        mine = [intent for intent in intents if intent.destination == destination]
        replaced += _owe(connection, _about(event, mine), mine, now)
    for visit in visits:
        replaced += _visit(connection, event, visit, now)
    theirs = rows(
        connection,
        "SELECT id, state, reason, superseded_by FROM delivery WHERE event = ? ORDER BY id",
        (event.id,),
    )
    superseded = [(old, DeliveryState.SUPERSEDED, None, new) for old, new in replaced]
    return [
        Settled(delivery=row[0], state=DeliveryState(row[1]), reason=row[2], superseded_by=row[3])
        for row in [*theirs, *superseded]
    ]


def _about(event: Event, intents: Sequence[Intent]) -> Event:
    """Give the event as that of the booking which its intents are about."""
    about = next((intent.about for intent in intents if intent.about), None)
    if about is None:
        return event
    return msgspec.structs.replace(
        event, booking=about.booking, reference=about.reference, occurred_at=about.as_of
    )


def _owe(
    connection: sqlite3.Connection, event: Event, intents: Sequence[Intent], now: int
) -> Replaced:
    """Make what one destination is owed."""
    replaced: Replaced = []
    guest = _guest(connection, event, intents, now, replaced)
    for intent in intents:
        if intent.kind is DeliveryKind.BOOKING:
            replaced += _booking(connection, event, intent, guest, now)
        elif intent.kind is DeliveryKind.TAG:
            replaced += _tag(connection, event, intent, guest, now)
    return replaced


def _visit(connection: sqlite3.Connection, event: Event, visit: VisitDue, now: int) -> Replaced:
    """Make the delivery of a visit, unless one waits: that goes when this would."""
    if due_again(connection, visit, event.source, now):
        return []
    parked = rows(
        connection,
        """SELECT id FROM delivery
           WHERE source = ? AND booking = ? AND destination = ? AND kind = 'booking' AND detail = ?
             AND state = 'parked'""",
        (event.source, visit.booking, visit.destination, visit.detail),
    )
    new = _New(
        event=visit.event,
        source=event.source,
        destination=visit.destination,
        kind=DeliveryKind.BOOKING,
        detail=visit.detail,
        booking=visit.booking,
        reference=visit.reference,
        customer=visit.customer,
        priority=Priority.VISIT,
        due_at=max(visit.due_at, now),
    )
    made = _insert(connection, new, now)
    return [one for [old] in parked for one in supersede(connection, old, made, now)]


def ensure_guest(
    connection: sqlite3.Connection, delivery: Delivery, customer: str, now: int
) -> tuple[int, bool]:
    """Give a guest's open delivery at a destination, made if there is none, and if it parked."""
    # An opt-out tells all of a guest too, and in mode registration nothing else may.
    found = [
        row
        for kind in (DeliveryKind.CONSENT, DeliveryKind.GUEST)
        for row in _open_guests(connection, delivery.source, customer, delivery.destination, kind)
    ]
    # What is under way or will be comes before what has parked.
    for guest, state in sorted(found, key=lambda row: row[1] is DeliveryState.PARKED):
        _hurry(connection, guest, delivery.priority)
        return guest, state is DeliveryState.PARKED
    new = _New(
        event=delivery.event,
        source=delivery.source,
        destination=delivery.destination,
        kind=DeliveryKind.GUEST,
        customer=customer,
        priority=delivery.priority,
        wary=delivery.wary,
    )
    return _insert(connection, new, now), False


def owe_opt_out(
    connection: sqlite3.Connection, heard: Heard, destination: str, now: int
) -> OptOut | None:
    """Make the delivery of an opt-out that was heard; None if one waits."""
    new = _New(
        event=heard.event,
        source=heard.source,
        destination=destination,
        kind=DeliveryKind.CONSENT,
        customer=heard.guest.customer,
        priority=Priority.OPT_OUT,
        wary=heard.wary,
    )
    found = rows(
        connection,
        """SELECT id, state, event FROM delivery
           WHERE source = ? AND customer = ? AND destination = ? AND kind = 'consent'
             AND state IN ('waiting', 'sending', 'parked')
           ORDER BY id DESC""",
        (new.source, new.customer, destination),
    )
    for _, state, event in found:
        # What is under way may have been made from what was said before, unless that was heard now.
        if state == DeliveryState.WAITING or (
            state == DeliveryState.SENDING and event == heard.event
        ):
            return None
    made = _insert(connection, new, now)
    parked = [int(consent) for consent, state, _ in found if state == DeliveryState.PARKED]
    for consent in parked:
        supersede(connection, consent, made, now)
    return OptOut(destination=new.destination, delivery=made, replaced=parked)


def is_being_told(connection: sqlite3.Connection, heard: Heard, hearer: Hearer) -> bool:
    """Tell whether another delivery is telling a destination of a guest's consent just now."""
    found = rows(
        connection,
        """SELECT kind FROM delivery
           WHERE source = ? AND customer = ? AND destination = ? AND state = 'sending'
             AND id IS NOT ? AND state IN ('waiting', 'sending', 'parked')""",
        (heard.source, heard.guest.customer, hearer.destination, heard.delivery),
    )
    return any(kind in hearer.kinds for [kind] in found)


def _guest(
    connection: sqlite3.Connection,
    event: Event,
    intents: Sequence[Intent],
    now: int,
    replaced: Replaced,
) -> int | None:
    """Make the guest's delivery, or find the one that is open; None when neither is."""
    customer = next((intent.customer for intent in intents if intent.customer), None)
    wanted = next((intent for intent in intents if intent.kind is DeliveryKind.GUEST), None)
    found = _open_guests(connection, event.source, customer, intents[0].destination)
    if wanted and wanted.spare and DeliveryState.SENDING not in {state for _, state in found}:
        wanted = None
    # One that is under way may have been made from older details, so it does not serve for new.
    usable = {DeliveryState.WAITING} if wanted else {DeliveryState.WAITING, DeliveryState.SENDING}
    for guest, state in found:
        if state in usable:
            _hurry(connection, guest, min(one.priority for one in intents))
            return guest
    if wanted is None:
        return None
    made = _insert(connection, _new(event, wanted), now)
    for guest, state in found:
        if state is DeliveryState.PARKED:
            replaced += supersede(connection, guest, made, now)
    return made


def _hurry(connection: sqlite3.Connection, guest: int, priority: int) -> None:
    """Let a guest go no later than what waits for it."""
    sql = "UPDATE delivery SET priority = ?2 WHERE id = ?1 AND priority > ?2"
    rows(connection, sql, (guest, priority))


def _booking(
    connection: sqlite3.Connection, event: Event, intent: Intent, guest: int | None, now: int
) -> Replaced:
    newer = _next_newer(connection, event, intent.destination)
    if newer is not None:
        _insert(connection, _new(event, intent, newer), now)
        return []
    if intent.state is DeliveryState.SKIPPED and _is_under_way(connection, event, intent):
        # What the destination will know is open until then, so it is decided anew.
        intent = msgspec.structs.replace(intent, state=DeliveryState.WAITING, reason=None)
    made = _insert(connection, _new(event, intent), now)
    waiting = intent.state is DeliveryState.WAITING
    # A skipped one is replaced only by what can be sent, for its reason still holds otherwise.
    replaced = supersede_bookings(connection, made, skipped=waiting, now=now)
    if waiting and intent.waits and guest is not None:
        _wait_for(connection, made, guest)
    return replaced


def _is_under_way(connection: sqlite3.Connection, event: Event, intent: Intent) -> bool:
    found = rows(
        connection,
        """SELECT id FROM delivery
           WHERE source = ? AND booking = ? AND destination = ? AND kind = 'booking'
             AND state = 'sending'""",
        (event.source, event.booking, intent.destination),
    )
    return bool(found)


def _tag(
    connection: sqlite3.Connection, event: Event, intent: Intent, guest: int | None, now: int
) -> Replaced:
    """Make a tag's delivery, unless one waits; one under way may say what was true before."""
    replaced: Replaced = []
    found = rows(
        connection,
        """SELECT id, state FROM delivery
           WHERE source = ? AND booking = ? AND destination = ? AND kind = 'tag' AND detail = ?
             AND state IN ('waiting', 'parked')
           ORDER BY state = 'parked'""",
        (event.source, event.booking, intent.destination, intent.detail),
    )
    if found and found[0][1] == DeliveryState.WAITING:
        tag = int(found[0][0])
        # It may have been made for another guest, if the booking has changed hands.
        rows(connection, "UPDATE delivery SET customer = ? WHERE id = ?", (intent.customer, tag))
    else:
        tag = _insert(connection, _new(event, intent), now)
        for [parked, _] in found:
            replaced += supersede(connection, parked, tag, now)
    if intent.waits and guest is not None:
        _wait_for(connection, tag, guest)
    return replaced


def _next_newer(connection: sqlite3.Connection, event: Event, destination: str) -> int | None:
    """Give the delivery of the booking's next newer event, if this one came out of order."""
    found = rows(
        connection,
        """SELECT id FROM delivery
           WHERE source = ? AND booking = ? AND destination = ? AND kind = 'booking' AND as_of > ?
             AND detail = ''
           ORDER BY as_of, id LIMIT 1""",
        (event.source, event.booking, destination, event.as_of),
    )
    for [newer] in found:
        return int(newer)
    return None


def _open_guests(
    connection: sqlite3.Connection,
    source: str,
    customer: str | None,
    destination: str,
    kind: DeliveryKind = DeliveryKind.GUEST,
) -> list[tuple[int, DeliveryState]]:
    """Give a guest's deliveries of a kind that are not at their end, the newest first."""
    found = rows(
        connection,
        """SELECT id, state FROM delivery
           WHERE source = ? AND customer = ? AND destination = ? AND kind = ?
             AND state IN ('waiting', 'sending', 'parked')
           ORDER BY id DESC""",
        (source, customer, destination, kind),
    )
    return [(int(guest), DeliveryState(state)) for guest, state in found]


def _wait_for(connection: sqlite3.Connection, delivery: int, guest: int) -> None:
    rows(connection, "UPDATE delivery SET waits_for = ? WHERE id = ?", (guest, delivery))


def _insert(connection: sqlite3.Connection, new: _New, now: int) -> int:
    [[made]] = rows(connection, _INSERT, (*msgspec.structs.astuple(new), now))
    return int(made)


def _new(event: Event, intent: Intent, superseded_by: int | None = None) -> _New:
    of_guest = intent.kind in OF_GUESTS
    return _New(
        event=event.id,
        source=event.source,
        destination=intent.destination,
        kind=intent.kind,
        detail=intent.detail,
        booking=None if of_guest else event.booking,
        reference=None if of_guest else event.reference,
        customer=intent.customer,
        priority=intent.priority,
        state=intent.state if superseded_by is None else DeliveryState.SUPERSEDED,
        reason=intent.reason if superseded_by is None else None,
        superseded_by=superseded_by,
        as_of=intent.about.as_of if intent.about else None,
    )
