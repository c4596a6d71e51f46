"""Says in plain words where something is, why, and what happens next and when."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from pipeline.clock import span
from pipeline.estimate import Load, Pace, load, seconds
from pipeline.model import DeliveryKind, Priority
from pipeline.outbox import Owed, Row, Standing
from pipeline.status import BudgetStatus, Status

#: What a person can do, by the beginning of the reason; the first that fits.
_HELP = {
    "too_large": (
        "Its body was over server.max_body, so only the beginning was kept; the booking itself "
        "is fetched from ROLLER if its uniqueId stood there."
    ),
    "unreadable": (
        "It is authentic, but not what ROLLER documents. It is kept as it came: a newer version "
        "may read it, with `pipeline events retry`."
    ),
    "the message names two bookings": (
        "It is authentic, but says two things at once, so neither is believed. It is kept as it "
        "came; please report it, without the guest's data."
    ),
    "the guest cannot be fetched anew": (
        "What was fetched is too old to be sent, and ROLLER refuses this guest: look there."
    ),
    "the source does not know the booking": (
        "ROLLER has no such booking (any more): was it made at another venue?"
    ),
    "the source has deleted the booking, and it is not kept here": (
        "outbox.keep is over, and ROLLER does not tell any more what the booking was. If Stampede "
        "still has it, cancel it there; then drop this."
    ),
    "the source does not know the customer": (
        "ROLLER has no such guest (any more): was the booking made at another venue?"
    ),
    "ROLLER's answer for the": (
        "It is not what ROLLER documents; please report it, without the guest's data."
    ),
    "ROLLER answered": (
        "ROLLER refuses to tell; the number is HTTP's. `pipeline check --online` tries the key."
    ),
    "not configured": (
        "Its source, or the destination's entry in `venues`, is in the configuration no more. "
        "Put it back, restart, and retry."
    ),
    "given up": "It failed for longer than retry.give_up_after. See to the reason, and retry.",
    "unexpected": (
        "That is a fault of the pipeline's own; the log has a line `failed unexpectedly` that "
        "says where."
    ),
    "unknown outcome": (
        "No answer came, or the outbox was put back from a backup, so it may have been done or "
        "not. Look at the destination before you retry: a repetition would count twice."
    ),
    "guest d": "What is sent for this guest failed; retrying either brings both back.",
    "the guest is on none of the first": (
        "Stampede's search for the e-mail finds too many others, so it is not known whether the "
        "guest is there, and with which consent. See to the guest at Stampede by hand."
    ),
    "the currency": "The venue's currency is in its configuration, or comes from ROLLER.",
    "the amount": "Rounding would be a guess about somebody's money. Correct it at ROLLER.",
    "the address of the request": "Is the destination's base_url right?",
    "Stampede answered 404": (
        "Stampede does not know what the request names: a guest who was deleted there, or a "
        "venue's serial; `pipeline check --online` tries the serials."
    ),
    "Stampede answered 4": (
        "Stampede refuses it as it is; its own words, if it gave any, follow the number. What is "
        "wrong with the booking or the guest is corrected at ROLLER, whose next message about it "
        "is sent by itself."
    ),
    "dropped by hand": "Somebody dropped it; a newer event of the booking is sent all the same.",
    "draft": "Drafts are not sent; when the booking is confirmed, ROLLER sends a message anew.",
    "restored": (
        "The outbox was put back from a backup: the event is read again, its guest fetched again, "
        "and what is still owed is made anew."
    ),
    "no customer": "The booking has no customer in ROLLER, so there is nobody to tell of.",
    "no e-mail": "Stampede knows guests by their e-mail, and this one has none that can be used.",
    "unusable e-mail": "Stampede knows guests by their e-mail, and this one's is not valid.",
    "customer not known": "ROLLER does not know the booking's customer (any more).",
    "minor": "Nobody under 18 is sent anywhere.",
    "already told": "The destination knows exactly this already, so no request is spent on it.",
    "the destination has nobody to opt out": (
        "It was asked, and does not have the guest (any more), so nobody is subscribed there."
    ),
    "already registered": "In mode registration a booking is registered once, for ever.",
    "goes with the registration": (
        "In mode registration the booking's own call tells of its guest and its tags too."
    ),
    "a newer booking's status stands": (
        "The guest has a booking that changed later, and one tag says how the newest stands."
    ),
    "cancelled before it was registered": (
        "It was never told to the destination, and nothing is to be taken back there."
    ),
    "deleted before it was told": (
        "ROLLER has deleted the booking, and it was never told to anybody."
    ),
    "no destination": "No destination has this source in its `venues`.",
    "no booking with this ticket": (
        "ROLLER names no booking in a message of redeemed tickets, and knows none that has these."
    ),
    "no booking": (
        "No booking of this customer had come, so nobody was told of them yet: ROLLER tells of a "
        "guest before their first booking, and of whoever signs a waiver."
    ),
    "the guest was deleted at ROLLER": (
        "What was known of the guest here is erased, and nothing more is sent of them. What was "
        "told before stays at the destination."
    ),
    "nothing is left of the message": "outbox.keep is over, or its person was erased.",
    "visits are not told in mode registration": "There is no call that changes a registration.",
    "not used": "Messages of this kind are of no use to any destination.",
    "erased": "The person was erased.",
}

#: Why something waits that is in no trouble of its own.
_WAITS = {
    "the source does not know the customer yet": (
        "A guest who was made with the booking may be there a little later."
    ),
    "the source does not tell the venue": "Times and amounts depend on it.",
    "no booking with this ticket is known yet": (
        "The booking's own message may come later than that of its tickets; in the end ROLLER is "
        "asked."
    ),
    "so many tickets have been looked for": (
        "ROLLER is asked which bookings its tickets are of, for some of them in each try."
    ),
    "the source does not know the customer any more": (
        "A guest who is deleted is changed for the last time. One answer is no proof of that, so "
        "ROLLER is asked again some minutes later."
    ),
    "their opt-out goes first": (
        "The guest was deleted at ROLLER, and is erased here once Stampede has been told of what "
        "they took back before."
    ),
    "the venue's details are not known yet": "They are asked from ROLLER, or can be configured.",
    "the guest cannot be asked for": (
        "What was fetched is too old to be sent: consent may have changed since."
    ),
    "the guest is not fetched anew": (
        "What was fetched is too old to be sent: consent may have changed since."
    ),
    "the guest is older than": "It is fetched again once the clock has passed that time.",
}

_IN_DOUBT = "unknown outcome"

_CLASSES = {
    1: "opt-outs",
    2: "new and cancelled bookings",
    3: "changed bookings, opt-ins, guest changes",
    4: "visits",
    5: "tags",
    6: "backfill and reconciliation",
}


class EventStory(Struct, frozen=True, kw_only=True):
    """An event, and when it may be taken next."""

    row: Row
    due_at: datetime | None


class DeliveryStory(Struct, frozen=True, kw_only=True):
    """A delivery with its attempts, and where it stands."""

    row: Row
    standing: Standing | None
    #: What its destination is owed and may be told now.
    owed: Sequence[Owed] = ()


def explain_event(story: EventStory, status: Status, now: datetime) -> list[str]:
    """Explain an event, a sentence each."""
    row = story.row
    what = f"{row['id']} ({row['kind']} {row['action']}) from {row['source']}"
    said = [f"{what} came {_ago(row['received_at'], now)}{_again(row['duplicates'])}."]
    match row["state"]:
        case "waiting":
            said.append(_waiting_event(story, status, now))
        case "processing":
            said.append(_processing_event(status))
        case "done":
            made = [one["id"] for one in row.get("deliveries", ())]
            rest = f"{_join(made)} came of it." if made else "nothing is owed for it."
            said.append(f"It is done: {row['reason'] + '; ' if row['reason'] else ''}{rest}")
            said.append(meaning(row["reason"]))
        case "parked":
            said.append(f"It is parked, and a person must look: {row['reason']}.")
            said.append(meaning(row["reason"]))
            said.append(f"When it can work: `pipeline events retry {row['id']}`.")
        case _:
            said.append(f"It is ignored: {row['reason']}.")
            said.append(meaning(row["reason"]))
    return [one for one in said if one]


def explain_delivery(story: DeliveryStory, status: Status, now: datetime) -> list[str]:
    """Explain a delivery, a sentence each."""
    row = story.row
    what = f"{row['id']} ({row['kind']}) to {row['destination']}"
    said = [f"{what}, made {_ago(row['created_at'], now)} for {row['event']}."]
    reason, since = row["reason"], _ago(row["updated_at"], now)
    match row["state"]:
        case "waiting":
            said += _waiting_delivery(story, status, now)
        case "sending":
            said.append(_sending_delivery(status))
        case "delivered":
            said.append(f"It was delivered {since}.")
        case "superseded":
            said.append(f"Something newer took its place {since}: {row['superseded_by']}.")
        case "skipped":
            said += [f"Nothing is sent for it: {reason}.", meaning(reason)]
        case "parked":
            said += [f"It is parked, and a person must look: {reason}.", meaning(reason)]
            said.append(_way_out(row))
        case "dropped":
            said += [f"It was let go {since}: {reason}.", _of_dropped(row)]
        case _:
            said.append(f"It is {row['state']}{f': {reason}' if reason else ''}.")
    return [one for one in [*said, _last_attempt(row, now)] if one]


def _waiting_event(story: EventStory, status: Status, now: datetime) -> str:
    row = story.row
    peer = status.sources.get(row["source"])
    tried = " ".join(["", *_tried(row["attempts"], row["reason"])])
    if not status.running:
        return f"It waits, and no daemon is running.{tried}"
    if peer is not None and peer.state not in {"up", "key_mismatch"}:
        why = f" ({peer.last_error})" if peer.last_error else ""
        if row["reason"] == peer.last_error and not row["attempts"]:
            tried = ""  # nothing but that trouble, once more
        return (
            f"It waits until ROLLER can be asked: {row['source']} is {peer.state}{why}. "
            f"That is tried again by itself.{tried}"
        )
    return (
        f"It waits for its customer to be fetched from ROLLER, {_next(story.due_at, now)}.{tried}"
    )


def _waiting_delivery(story: DeliveryStory, status: Status, now: datetime) -> list[str]:
    row, standing = story.row, story.standing
    said: list[str] = []
    said += _tried(standing.tried if standing is not None else 1, row["reason"])
    if standing is not None and standing.waits_for is not None:
        guest = f"d{standing.waits_for}"
        return [
            *said,
            f"It waits until its guest is there: {guest}, see `pipeline explain {guest}`.",
        ]
    if not status.running:
        return [*said, "It waits, and no daemon is running."]
    peer = status.destinations.get(row["destination"])
    if peer is not None and peer.state in {"down", "unauthorized", "paused", "throttled"}:
        why = f" ({peer.last_error})" if peer.last_error else ""
        again = f", in {span(peer.budget.pause_s)} at the latest" if peer.budget.pause_s else ""
        said.append(
            f"{row['destination']} is {peer.state}{why}: it waits until that is over{again}."
        )
    due = datetime.fromisoformat(row["due_at"])
    if due > now and (standing is None or standing.held):
        said.append(f"It may go {_next(due, now)}.")
    ahead = standing.ahead if standing is not None else 0
    said.append(
        f"It is of class {row['priority']} ({_CLASSES[row['priority']]}); "
        f"{_count(ahead)} before it."
    )
    if peer is not None:
        part = standing.part if standing is not None else 0.0
        before = load(story.owed, until=(row["priority"], part))
        said.append(_allowance(row["destination"], peer.budget, row["priority"], before))
    return said


def _tried(times: int, reason: str | None) -> list[str]:
    """Tell what came of it so far; what its peer's trouble held up was not tried itself."""
    if not reason:
        return []
    why = next((text for start, text in _WAITS.items() if reason.startswith(start)), "")
    so_far = f"It was tried {_times(times)}; last" if times else "What held it up last"
    return [f"{so_far}: {reason}.", *([why] if why else [])]


def _processing_event(status: Status) -> str:
    if status.running:
        return "It is being processed right now: its customer is fetched from ROLLER."
    return "It was being processed when the daemon ended; the next start begins it again."


def _sending_delivery(status: Status) -> str:
    if status.running:
        return "Its request is on its way right now."
    return (
        "Its request was on its way when the daemon ended, and what came of it is not known. The "
        "next start goes on with it: what may be told twice is told again, and a registration is "
        "parked for a person to look."
    )


def _way_out(row: Row) -> str:
    if row["reason"] == _IN_DOUBT:
        return (
            f"If it is not there: `pipeline deliveries retry {row['id']}`. If it is: `pipeline "
            f"deliveries drop {row['id']}`, after which the booking counts as registered."
        )
    return f"When it can work: `pipeline deliveries retry {row['id']}`."


def _of_dropped(row: Row) -> str:
    """Tell what dropping it means: what was in doubt counts as done."""
    if row["kind"] == DeliveryKind.BOOKING:
        return (
            "Somebody dropped it. If it was a registration of unknown outcome, the booking counts "
            "as registered and is not registered again; else a newer event of it is sent all the "
            "same."
        )
    return meaning(row["reason"])


def _allowance(name: str, budget: BudgetStatus, priority: int, before: Load) -> str:
    """Do the arithmetic of an allowance aloud; `before` is what goes before it."""
    urgent = priority <= Priority.URGENT
    fewer = (
        f", but {budget.allowed} for now, after a 429" if budget.allowed < budget.requests else ""
    )
    kept = "" if urgent else f", of which {budget.spared} are kept for classes 1-3"
    said = (
        f"{name} allows {budget.requests} requests in {span(budget.per_s)}{fewer}: "
        f"{budget.used} are used, {budget.left} left{kept}"
    )
    pace = Pace(
        allowed=budget.allowed,
        spared=budget.spared,
        used=budget.used,
        per_s=budget.per_s,
        pause_s=budget.pause_s,
        next_slot_s=budget.next_slot_s,
    )
    own = Load(urgent=before.urgent + urgent, lesser=before.lesser + (not urgent))
    wait = seconds(pace, own)
    if not wait:
        return f"{said}. So its turn comes at once{'' if urgent else ', or nearly'}."
    rate = budget.per_s / (budget.allowed if urgent else max(budget.allowed - budget.spared, 1))
    needed = math.ceil(before.urgent + before.lesser)
    return (
        f"{said}. Some {needed:,} go before it, and at one request every {rate:.3g} s its turn "
        f"comes in about {span(wait)}."
    )


def _last_attempt(row: Row, now: datetime) -> str:
    attempts: Sequence[Row] = row.get("attempts", ())
    if not attempts:
        return ""
    last = attempts[0]
    answer = f"was answered {last['status']}" if last["status"] else f"ended: {last['outcome']}"
    note = f" ({last['note']})" if last["note"] else ""
    request = f"{last['method']} {last['path']} {_ago(last['at'], now)}"
    return f"Its last request, {request}, {answer}{note}."


def meaning(reason: str | None) -> str:
    """Say in a sentence or two what a reason means; nothing where it speaks for itself."""
    return next((text for start, text in _HELP.items() if (reason or "").startswith(start)), "")


def _again(duplicates: int) -> str:
    return f", and again {_times(duplicates)}" if duplicates else ""


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{n} times"  # noqa: PLR2004


def _count(ahead: int) -> str:
    return "nothing goes" if not ahead else "one goes" if ahead == 1 else f"{ahead:,} go"


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)


def _ago(at: str, now: datetime) -> str:
    passed = (now - datetime.fromisoformat(at)).total_seconds()
    return f"{span(passed)} ago" if passed >= 1 else "just now"


def _next(due: datetime | None, now: datetime) -> str:
    if due is None or due <= now:
        return "at once"
    wait = due - now
    local = due.astimezone()
    shown = local.strftime("%H:%M:%S" if wait < timedelta(hours=12) else "%Y-%m-%d %H:%M")
    return f"not before {shown}, in {span(wait.total_seconds())}"
