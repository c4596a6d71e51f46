"""The routes for events and deliveries, as the command line and the dashboard use them."""

import asyncio
from typing import Any

import msgspec
import pytest

from pipeline.desk import AT_ONCE
from pipeline.model import EventState
from tests.http.support import KEY, TOKEN, Here, message, webhook
from tests.outbox.support import arrival


async def _ask(
    here: Here, target: str, *, method: str = "GET", body: object = None
) -> tuple[int, Any]:
    sent = b"" if body is None else msgspec.json.encode(body)
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: application/json",
        f"Content-Length: {len(sent)}",
        "Connection: close",
    ]
    answers = await here.admin.send("\r\n".join([*lines, "", ""]).encode() + sent)
    return answers.statuses[0], msgspec.json.decode(answers.raw.partition(b"\r\n\r\n")[2])


async def test_what_came_in_is_listed_and_shown(here: Here) -> None:
    """The rows are those of the views, so that there is one set of names to learn."""
    await here.send(webhook(message("m-1")))
    await here.send(webhook(b"no JSON"))
    status, rows = await _ask(here, "/api/events?state=parked&limit=5")
    assert (status, [row["id"] for row in rows]) == (200, ["e2"])
    assert rows[0]["reason"] == "unreadable: the body is not JSON"
    assert await _ask(here, "/api/events?source=york") == (200, [])
    status, row = await _ask(here, "/api/events/e1")
    assert (status, row["key"], row["deliveries"]) == (200, "m-1", [])
    assert await _ask(here, "/api/deliveries") == (200, [])


async def test_an_event_is_retried_and_dropped(here: Here) -> None:
    """By hand, one at a time; what cannot be done is said in a sentence."""
    await here.send(webhook(b"no JSON"))
    assert await _ask(here, "/api/events/e1/retry", method="POST") == (200, {"changed": ["e1"]})
    assert here.rows()[0].state == "waiting"
    assert await _ask(here, "/api/events/1/drop", method="POST") == (200, {"changed": ["e1"]})
    assert here.rows()[0].reason == "dropped by hand"
    status, answer = await _ask(here, "/api/events/e1/drop", method="POST")
    assert (status, answer["error"]) == (
        409,
        "e1 is ignored, and only what waits or is parked can be changed",
    )
    missing = await _ask(here, "/api/events/e99/retry", method="POST")
    assert missing == (404, {"error": "there is no event e99"})


async def test_all_that_is_parked_is_retried_some_at_a_time(here: Here) -> None:
    """One transaction for ten thousand would let webhooks wait."""
    now = here.clock.now()
    bad = [
        msgspec.structs.replace(arrival(f"k{n}", at=now), state=EventState.PARKED, reason="x")
        for n in range(AT_ONCE + 20)
    ]
    await asyncio.gather(*map(here.outbox.intake.accept, bad))
    body: dict[str, object] = {"state": "parked"}
    status, first = await _ask(here, "/api/events/retry", method="POST", body=body)
    assert (status, first["changed"], first["more"]) == (200, AT_ONCE, True)
    body["before"] = first["before"]
    _, second = await _ask(here, "/api/events/retry", method="POST", body=body)
    assert (second["changed"], second["more"]) == (20, False)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/api/events?state=odd", "state: not one of waiting"),
        ("/api/events?status=parked", "status: not known; there are limit, source, state"),
        ("/api/events?limit=0", "limit: not between 1 and 1000"),
        ("/api/events?limit=000000050000", "limit: not between 1 and 1000"),
        ("/api/events?limit=000000050" + "9" * 5000, "limit: not between 1 and 1000"),
        ("/api/events?limit=%C2%B2", "limit: not between 1 and 1000"),
        ("/api/deliveries?limit=9999999999999999999999", "limit: not between 1 and 1000"),
        ("/api/deliveries?state=done", "state: not one of waiting"),
    ],
)
async def test_a_wrong_question_is_answered_400_and_says_what_is_wrong(
    here: Here, target: str, said: str
) -> None:
    """A typing mistake must not look like an empty outbox."""
    status, answer = await _ask(here, target)
    assert status == 400
    assert answer["error"].startswith(said)


@pytest.mark.parametrize("target", ["/api/events/d1", "/api/events/x", "/api/deliveries/e1"])
async def test_what_is_no_id_is_404(here: Here, target: str) -> None:
    """The letter says what it is an id of."""
    status, answer = await _ask(here, target)
    assert (status, answer["error"][:13]) == (404, "that is no id")


_PARKED: dict[str, object] = {"state": "parked"}


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("deliveries", {"state": "done"}),
        ("deliveries", _PARKED | {"odd": 1}),
        ("deliveries", []),
        ("deliveries", None),
        ("deliveries", _PARKED | {"source": "leeds"}),
        ("events", _PARKED | {"destination": "stampede"}),
        *(("events", _PARKED | {"before": n}) for n in (10**30, 2**63, -1, 1.5, "1", 1e30)),
    ],
)
async def test_only_what_is_parked_is_retried_as_a_whole(
    here: Here, what: str, body: object
) -> None:
    """Retrying all that waits would turn the backoff off; a filter that is ignored, likewise."""
    await here.send(webhook(b"no JSON"))
    status, answer = await _ask(here, f"/api/{what}/retry", method="POST", body=body)
    assert status == 400
    assert answer["error"]
    assert here.rows()[0].state == "parked"


async def test_nothing_of_the_body_or_the_key_is_told(here: Here) -> None:
    """A body has names and addresses in it."""
    await here.send(webhook(b'{"id":"1","data":{"booking":{"name":"Marker Person"}}}'))
    for target in ("/api/events", "/api/events/e1"):
        _, answer = await _ask(here, target)
        shown = msgspec.json.encode(answer).decode()
        assert "Marker" not in shown
        assert KEY not in shown
