"""Whoever asks where a booking is gets the place, the reason, and what happens next and when."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.explain import DeliveryStory, EventStory, explain_delivery, explain_event
from pipeline.heed import DELETED
from pipeline.model import DeliveryKind, DeliveryState, EventState, Nothing
from pipeline.outbox import Owed, Standing
from pipeline.status import BudgetStatus, DestinationStatus, SourceStatus, Status

_NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_AT = "2026-11-21T11:45:00.000Z"

_EVENT: dict[str, Any] = {
    "id": "e5", "source": "leeds", "kind": "booking", "action": "created", "state": "waiting",
    "reason": None, "received_at": _AT, "updated_at": _AT, "attempts": 0, "duplicates": 0,
    "deliveries": [],
}  # fmt: skip
_DELIVERY: dict[str, Any] = {
    "id": "d7", "event": "e5", "source": "leeds", "destination": "stampede", "kind": "booking",
    "state": "waiting", "reason": None, "priority": 2, "created_at": _AT, "due_at": _AT,
    "updated_at": _AT, "attempts": [], "superseded_by": None,
}  # fmt: skip


def _status(
    *,
    source: str = "up",
    destination: str = "up",
    used: int = 0,
    allowed: int = 100,
    pause: float = 0.0,
    running: bool = True,
) -> Status:
    budget = BudgetStatus(
        requests=100,
        per_s=900.0,
        reserve=20,
        used=used,
        left=max(allowed - used, 0),
        allowed=allowed,
        spared=20 * allowed // 100,
        pause_s=pause,
    )
    return Status(
        running=running,
        started_at=None,
        ready=True,
        reasons=(),
        events={},
        deliveries={},
        oldest_waiting_s=None,
        destinations={
            "stampede": DestinationStatus(
                state=destination, budget=budget, waiting=1, eta_s=0, last_error="HTTP 503"
            )
        },
        sources={"leeds": SourceStatus(state=source, last_event_at=None, last_error="HTTP 500")},
    )


def _event(status: Status | None = None, *, due: datetime | None = None, **row: Any) -> str:
    story = EventStory(row=_EVENT | row, due_at=due)
    return " ".join(explain_event(story, status or _status(), _NOW))


def _delivery(
    status: Status | None = None,
    *,
    ahead: int = 0,
    held: bool = False,
    waits_for: int | None = None,
    **row: Any,
) -> str:
    standing = Standing(waits_for=waits_for, ahead=ahead, held=held, part=0.5)
    # As many again are in its class: half of them go before it.
    owed = Owed(
        destination="stampede",
        priority=row.get("priority", 2),
        kind=DeliveryKind.BOOKING,
        n=2 * ahead,
    )
    story = DeliveryStory(row=_DELIVERY | row, standing=standing, owed=[owed])
    return " ".join(explain_delivery(story, status or _status(), _NOW))


def test_an_event_says_when_it_came_and_how_often() -> None:
    """The first question is whether it came at all."""
    told = _event(duplicates=2)
    assert told.startswith("e5 (booking created) from leeds came 15 min ago, and again twice.")


def test_a_waiting_event_tells_its_next_time_and_its_last_failure() -> None:
    """Whoever waits wants to know for how long."""
    due = _NOW + timedelta(minutes=4)
    told = _event(due=due, reason="HTTP 500", attempts=3)
    assert "in 4 min" in told
    assert due.astimezone().strftime("%H:%M:%S") in told
    assert "tried 3 times; last: HTTP 500" in told
    assert "at once" in _event(due=_NOW)


def test_a_waiting_event_names_the_trouble_of_its_source() -> None:
    """It is not this booking that is at fault."""
    told = _event(_status(source="unauthorized"), reason="HTTP 500")
    assert "leeds is unauthorized (HTTP 500)" in told
    assert told.count("HTTP 500") == 1, "what holds it up is no failure of its own beside"
    assert "last: HTTP 500" in _event(_status(source="down"), reason="HTTP 500", attempts=1)


@pytest.mark.parametrize("explain", [_event, _delivery])
def test_without_a_daemon_what_waits_says_so(explain: Any) -> None:
    """The commonest reason of all."""
    assert "no daemon is running" in explain(_status(running=False))


def test_a_delivery_does_the_arithmetic_of_its_allowance() -> None:
    """9,600 requests a day are the bottleneck, and this is where it shows."""
    told = _delivery(_status(used=90), ahead=50)
    assert "class 2 (new and cancelled bookings); 50 go before it." in told
    assert "allows 100 requests in 15 min: 90 are used, 10 left." in told
    assert "one request every 9 s its turn comes in about 6 min" in told
    tag = _delivery(_status(used=85), ahead=0, kind="tag", priority=5)
    assert "15 left, of which 20 are kept for classes 1-3" in tag
    assert "its turn comes in about 11 s" in tag
    assert "at once" in _delivery(ahead=3)
    fewer = _delivery(_status(used=90, allowed=90), ahead=0)
    assert "100 requests in 15 min, but 90 for now, after a 429" in fewer
    assert "at one request every 10 s its turn comes in about 10 s" in fewer


def test_a_delivery_names_what_holds_it_up() -> None:
    """Its guest, its destination, or its own backoff."""
    assert "waits until its guest is there: d6" in _delivery(waits_for=6)
    down = _delivery(_status(destination="down", pause=120))
    assert (
        "stampede is down (HTTP 503): it waits until that is over, in 2 min at the latest" in down
    )
    later = (_NOW + timedelta(hours=30)).isoformat()
    assert "in 30 h" in _delivery(due_at=later, reason="HTTP 500", held=True)
    assert "in 30 h" not in _delivery(due_at=later), "the clock was set back: it is due"


def test_its_last_request_is_told_with_the_answer() -> None:
    """The destination's own words are often the reason."""
    attempt = {
        "at": _AT, "method": "POST", "path": "/v1/guests", "status": 422, "outcome": "rejected",
        "note": "phone: invalid",
    }  # fmt: skip
    told = _delivery(state="parked", reason="phone: invalid", attempts=[attempt])
    assert "POST /v1/guests 15 min ago, was answered 422 (phone: invalid)." in told
    assert "`pipeline deliveries retry d7`" in told


@pytest.mark.parametrize("state", list(EventState))
def test_every_state_of_an_event_has_its_words(state: EventState) -> None:
    """A new state must be explained before it is released."""
    assert len(_event(state=state.value, reason="x")) > 60


@pytest.mark.parametrize("state", list(DeliveryState))
def test_every_state_of_a_delivery_has_its_words(state: DeliveryState) -> None:
    """A new state must be explained before it is released."""
    assert len(_delivery(state=state.value, reason="x", superseded_by="d9")) > 50


#: What raises or gives a reason that ends up at a row, and how a row with it stands.
_GIVERS = {
    "Skip": "skipped",
    "Nothing": "skipped",
    "Reject": "parked",
    "Gone": "parked",
    "UnknownOutcome": "parked",
    "Outdated": "waiting",
    "NotYet": "waiting",
}
#: Modules whose reasons are of no row: what commands say, how venues, webhooks and reports are
#: asked for.
_ELSEWHERE = {
    "cli", "sandbox", "preview.py", "inquire.py", "venues.py", "subscriber.py", "sweep.py",
}  # fmt: skip

#: Made of another's: a Gone is a failed answer, and what the lane gives is tried below.
_HANDED_ON = {"fail(reply, call).reason", "_unexpected(exc)", "DELETED"}

#: What the outbox's own statements write, and the beginnings that go before another reason.
_OWN = {
    "parked": [
        "not configured", "too_large", "given up: x", "unexpected KeyError: see the log",
        "guest d5 parked", "unreadable: x", "unknown outcome",
    ],
    "skipped": ["restored: decided anew", DELETED],
}  # fmt: skip


def _texts(node: ast.expr, function: ast.AST) -> list[str]:
    """Give the texts that an expression may be, with X where something is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(str(p.value) if isinstance(p, ast.Constant) else "X" for p in parts)]
        case ast.IfExp(body=body, orelse=other):
            return [*_texts(body, function), *_texts(other, function)]
        case ast.BinOp(left=left):
            return _texts(left, function)
        case ast.Name(id=name):
            return [
                text
                for one in ast.walk(function)
                if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name
                for text in _texts(one.value, function)
            ]
        case _:
            return []


def _given(path: Path) -> Iterator[tuple[str, str]]:
    """Give each reason in a module, with the state of a row that has it."""
    text = path.read_text(encoding="utf-8")
    if not any(f"{giver}(" in text for giver in _GIVERS):
        return
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            state = _GIVERS.get(call.func.id)
            said = [*call.args, *(one.value for one in call.keywords if one.arg == "reason")][:1]
            if state is None or not said or ast.unparse(said[0]) in _HANDED_ON:
                continue
            if call.func.id == "UnknownOutcome":  # what it is given is the attempt's note
                continue
            texts = _texts(said[0], function)
            assert texts, f"{path.name}: {ast.unparse(call)}: its reason is not found"
            yield from ((text, state) for text in texts)


def _reasons() -> set[tuple[str, str]]:
    folder = Path(pipeline.__file__).parent
    found = {(reason, state) for state, reasons in _OWN.items() for reason in reasons}
    for path in folder.rglob("*.py"):
        if not _ELSEWHERE & set(path.relative_to(folder).parts):
            found.update(_given(path))
    return found | {(Nothing().reason, "skipped")}


@pytest.mark.parametrize(("reason", "state"), sorted(_reasons()))
def test_every_reason_that_the_code_gives_is_explained(reason: str, state: str) -> None:
    """Found in the code itself, so that no new one is forgotten."""
    reason = reason.replace("answered X", "answered 400")
    assert len(_delivery(state=state, reason=reason)) > len(
        _delivery(state=state, reason="?" * len(reason))
    )


def test_the_reasons_are_found_wherever_they_are_given() -> None:
    """A search that finds nothing would explain everything."""
    found = {reason for reason, _ in _reasons()}
    for reason in (
        "draft", "not used", "no e-mail", "goes with the registration", "already told",
        "a newer booking's status stands", "the message names two bookings",
        "Stampede answered X", "ROLLER answered X to X", "the guest is not fetched anew: X",
        "the amount is not a finite number below 10^12",
    ):  # fmt: skip
        assert reason in found


def test_what_its_peers_trouble_held_up_was_not_tried() -> None:
    """Tried 0 times is no answer to anything."""
    for told in (
        _event(attempts=0, reason="no connection"),
        _event(_status(running=False), attempts=0, reason="no connection"),
        _delivery(reason="no connection"),
    ):
        assert "What held it up last: no connection." in told
        assert "0 times" not in told


def test_without_a_daemon_nothing_is_under_way() -> None:
    """A crash leaves its rows as they were; nobody works on them."""
    stopped = _status(running=False)
    assert "right now" in _event(state="processing")
    assert "right now" in _delivery(state="sending")
    assert "when the daemon ended" in _event(stopped, state="processing")
    assert "when the daemon ended" in _delivery(stopped, state="sending")


def test_what_dropping_means_is_said_before_and_after() -> None:
    """A registration in doubt that is dropped counts as done: no newer event sends it."""
    parked = _delivery(state="parked", reason="unknown outcome")
    assert "`pipeline deliveries drop d7`, after which the booking counts as registered" in parked
    doubtful = _delivery(state="dropped", reason="dropped by hand")
    assert "the booking counts as registered and is not registered again" in doubtful, (
        "also where the doubt is another row's, or comes from a backup"
    )
    plain = _delivery(state="dropped", reason="dropped by hand", kind="guest")
    assert "a newer event of the booking is sent all the same" in plain
