"""Says in plain words where something is, why, and what happens next and when."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from pipeline.clock import span
from pipeline.outbox import Row, Standing
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
    "already registered": "In mode registration a booking is registered once, for ever.",
    "cancelled before it was registered": (
        "It was never told to the destination, and nothing is to be taken back there."
    ),
    "no destination": "No destination has this source in its `venues`.",
    "not used yet": "Messages of this kind are kept and counted, and not used by this version.",
    "not used": "Messages of this kind are of no use to any destination.",
    "erased": "The person was erased.",
}

_CLASSES = {
    1: "opt-outs",
    2: "new and cancelled bookings",
    3: "changed bookings, opt-ins, guest changes",
    4: "visits",
    5: "tags",
    6: "backfill and reconciliation",
}

#: Only these may use the last slots of an allowance.
_RESERVED_TO = 3


class EventStory(Struct, frozen=True, kw_only=True):
    """An event, and when it may be taken next."""

    row: Row
    due_at: datetime | None


class DeliveryStory(Struct, frozen=True, kw_only=True):
    """A delivery with its attempts, and where it stands."""

    row: Row
    standing: Standing | None


def explain_event(story: EventStory, status: Status, now: datetime) -> list[str]:
    """Explain an event, a sentence each."""
    row = story.row
    what = f"{row['id']} ({row['kind']} {row['action']}) from {row['source']}"
    said = [f"{what} came {_ago(row['received_at'], now)}{_again(row['duplicates'])}."]
    match row["state"]:
        case "waiting":
            said.append(_waiting_event(story, status, now))
        case "processing":
            said.append("It is being processed right now: its customer is fetched from ROLLER.")
        case "done":
            made = [one["id"] for one in row.get("deliveries", ())]
            rest = f"{_join(made)} came of it." if made else "nothing is owed for it."
            said.append(f"It is done: {rest}")
        case "parked":
            said.append(f"It is parked, and a person must look: {row['reason']}.")
            said.append(_help(row["reason"]))
            said.append(f"When it can work: `pipeline events retry {row['id']}`.")
        case _:
            said.append(f"It is ignored: {row['reason']}.")
            said.append(_help(row["reason"]))
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
            said.append("Its request is on its way right now.")
        case "delivered":
            said.append(f"It was delivered {since}.")
        case "superseded":
            said.append(f"Something newer took its place {since}: {row['superseded_by']}.")
        case "skipped":
            said += [f"Nothing is sent for it: {reason}.", _help(reason)]
        case "parked":
            said += [f"It is parked, and a person must look: {reason}.", _help(reason)]
            said.append(f"When it can work: `pipeline deliveries retry {row['id']}`.")
        case "dropped":
            said += [f"It was let go {since}: {reason}.", _help(reason)]
        case _:
            said.append(f"It is {row['state']}{f': {reason}' if reason else ''}.")
    return [one for one in [*said, _last_attempt(row, now)] if one]


def _waiting_event(story: EventStory, status: Status, now: datetime) -> str:
    row = story.row
    peer = status.sources.get(row["source"])
    tried = (
        f" It was tried {_times(row['attempts'])}; last: {row['reason']}." if row["reason"] else ""
    )
    if not status.running:
        return f"It waits, and no daemon is running.{tried}"
    if peer is not None and peer.state not in {"up", "key_mismatch"}:
        why = f" ({peer.last_error})" if peer.last_error else ""
        return (
            f"It waits until ROLLER can be asked: {row['source']} is {peer.state}{why}. "
            f"That is tried again by itself.{tried}"
        )
    return (
        f"It waits for its customer to be fetched from ROLLER, {_next(story.due_at, now)}.{tried}"
    )


def _waiting_delivery(story: DeliveryStory, status: Status, now: datetime) -> list[str]:
    row, standing = story.row, story.standing
    said = []
    if row["reason"]:
        tried = standing.tried if standing is not None else 1
        said.append(f"It was tried {_times(tried)}; last: {row['reason']}.")
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
        said.append(f"{row['destination']} is {peer.state}{why}: it waits until that is over.")
    due = datetime.fromisoformat(row["due_at"])
    if due > now:
        said.append(f"It may go {_next(due, now)}.")
    ahead = standing.ahead if standing is not None else 0
    said.append(
        f"It is of class {row['priority']} ({_CLASSES[row['priority']]}); "
        f"{_count(ahead)} before it."
    )
    if peer is not None:
        said.append(_allowance(row["destination"], peer.budget, row["priority"], ahead))
    return said


def _allowance(name: str, budget: BudgetStatus, priority: int, ahead: int) -> str:
    """Do the arithmetic of an allowance aloud."""
    window = span(budget.per_s)
    usable = budget.left if priority <= _RESERVED_TO else max(budget.left - budget.reserve, 0)
    kept = (
        "" if priority <= _RESERVED_TO else f", of which {budget.reserve} are kept for classes 1-3"
    )
    said = (
        f"{name} allows {budget.requests} requests in {window}: {budget.used} are used, "
        f"{budget.left} left{kept}"
    )
    if ahead < usable:
        return f"{said}. So its turn comes at once, or as soon as tags are spaced out."
    rate = budget.requests / budget.per_s
    seconds = (ahead - usable + 1) / rate
    return f"{said}. At one request every {1 / rate:.3g} s its turn comes in about {span(seconds)}."


def _last_attempt(row: Row, now: datetime) -> str:
    attempts: Sequence[Row] = row.get("attempts", ())
    if not attempts:
        return ""
    last = attempts[0]
    answer = f"was answered {last['status']}" if last["status"] else f"ended: {last['outcome']}"
    note = f" ({last['note']})" if last["note"] else ""
    request = f"{last['method']} {last['path']} {_ago(last['at'], now)}"
    return f"Its last request, {request}, {answer}{note}."


def _help(reason: str | None) -> str:
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
