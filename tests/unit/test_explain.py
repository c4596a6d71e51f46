"""Whoever asks where a booking is gets the place, the reason, and what happens next and when."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.explain import DeliveryStory, EventStory, explain_delivery, explain_event
from pipeline.model import DeliveryKind, DeliveryState, EventState
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
    assert "leeds is unauthorized (HTTP 500)" in _event(_status(source="unauthorized"))


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


def test_every_reason_that_the_code_gives_is_explained() -> None:
    """Found in the code itself, so that no new one is forgotten."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in Path(pipeline.__file__).parent.rglob("*.py")
        if "sandbox" not in path.parts
    )
    reasons = set(re.findall(r'raise Skip\("([^"]+)"\)', code))
    reasons |= {"no e-mail", "unusable e-mail", "already told", "not configured", "too_large"}
    reasons |= {"given up: x", "unexpected KeyError: see the log", "guest d5 parked"}
    assert len(reasons) > 10
    unexplained = [
        reason
        for reason in reasons
        if len(_event(state="parked", reason=reason))
        <= len(_event(state="parked", reason="?" * len(reason)))
    ]
    assert unexplained == []
