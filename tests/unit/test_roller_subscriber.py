"""ROLLER's answers about webhooks say what was kept, or what to do."""

from typing import Any

import msgspec
import pytest
from aioresponses import aioresponses
from yarl import URL

from pipeline.errors import Failure, Reject, Retry, Throttled
from pipeline.settings import Keys, Secret, Url
from pipeline.sources.roller import Roller, RollerSettings
from pipeline.subscription import Mend, Mended, Subscriptions
from pipeline.wire import PeerSession

_BASE = "https://roller.example"
_ALL = f"{_BASE}/webhooks"
_HERE = "https://hooks.example.com/webhooks/leeds"
_ANEW = Mend(webhook=None, url=_HERE)


@pytest.fixture
def subscriptions(session: PeerSession) -> Subscriptions:
    settings = RollerSettings(
        type="roller",
        base_url=Url(_BASE),
        client_id="venue",
        client_secret=Secret("hunter22"),
        webhook_key=Keys((Secret("new"), Secret("old"))),
    )
    session.keep_token("token-1", lifetime=86_400)
    return Roller("leeds", settings, session).subscriptions


def _sent(answers: aioresponses, method: str, url: str) -> list[Any]:
    calls = answers.requests.get((method, URL(url)), [])
    return [msgspec.json.decode(one.kwargs["data"]) for one in calls]


async def test_what_is_sent_is_all_that_is_needed_with_the_first_key(
    subscriptions: Subscriptions, answers: aioresponses
) -> None:
    """`PUT` replaces the whole, so both are given the same; metadata is wished for."""
    answers.post(_ALL, status=201, payload={"webhookId": 233})
    answers.put(f"{_ALL}/233", status=200)
    assert await subscriptions.mend(_ANEW) == Mended(webhook=233)
    assert await subscriptions.mend(Mend(webhook=233, url=_HERE)) == Mended(webhook=233)
    [made] = _sent(answers, "POST", _ALL)
    assert _sent(answers, "PUT", f"{_ALL}/233") == [made]
    assert made == {
        "url": _HERE,
        "enabled": True,
        "authentication": {"apiKey": "new"},
        "webhooks": {
            "booking": {
                "events": ["Created", "Updated", "Cancelled"],
                "include": {"tickets": True, "payments": True, "metadata": True},
            },
            "customer": {"events": ["Created", "Updated"]},
            "redemption": {"events": ["Created"]},
            "signedWaiver": {"events": ["Created"]},
        },
    }


_KEPT: dict[str, Any] = {
    "booking": {
        "events": ["Created", "Updated", "Cancelled"],
        "include": {"tickets": True, "payments": True},
    },
    "customer": {"events": ["Created", "Updated"]},
    "redemption": {"events": ["Created"]},
    "signedWaiver": {"events": ["Created"]},
}


@pytest.mark.parametrize(
    ("configuration", "note"),
    [
        ({"enabled": True, "webhooks": _KEPT}, ""),
        ({"enabled": "true"}, ""),
        ({"enabled": False}, "ROLLER keeps it switched off"),
        (
            {"enabled": True, "webhooks": _KEPT | {"customer": {"events": ["Created"]}}},
            "ROLLER keeps it without customer Updated",
        ),
    ],
)
async def test_what_roller_keeps_otherwise_is_said(
    subscriptions: Subscriptions,
    answers: aioresponses,
    configuration: dict[str, Any],
    note: str,
) -> None:
    """Nobody has seen what it does with what it does not know."""
    answers.post(_ALL, status=201, payload={"webhookId": 7, "configuration": configuration})
    assert await subscriptions.mend(_ANEW) == Mended(webhook=7, note=note)


@pytest.mark.parametrize("body", ["", "[]", '"ok"', "<html>"])
async def test_an_answer_that_says_nothing_of_what_was_kept_is_enough(
    subscriptions: Subscriptions, answers: aioresponses, body: str
) -> None:
    """The next look tells."""
    answers.post(_ALL, status=200, body=body)
    assert await subscriptions.mend(_ANEW) == Mended(webhook=None)


@pytest.mark.parametrize(
    ("status", "raised", "said"),
    [
        (400, Reject, "ROLLER answered 400 to /webhooks"),
        (403, Reject, "give the key the permission for POST /webhooks"),
        (404, Reject, "404"),
        (429, Throttled, "429"),
        (503, Retry, "503"),
    ],
)
async def test_an_answer_that_is_none_says_what_to_do(
    subscriptions: Subscriptions,
    answers: aioresponses,
    status: int,
    raised: type[Failure],
    said: str,
) -> None:
    """A permission that lacks is for a person; the lane's trouble is the lane's."""
    answers.post(_ALL, status=status)
    with pytest.raises(raised, match=said) as found:
        _ = await subscriptions.mend(_ANEW)
    assert type(found.value) is raised


async def test_what_is_not_there_is_not_deleted(
    subscriptions: Subscriptions, answers: aioresponses
) -> None:
    """An id is whatever ROLLER gives, and stays within its place in the address."""
    answers.delete(f"{_ALL}/7", status=404)
    answers.delete(f"{_ALL}/8", status=204)
    answers.delete(URL(f"{_ALL}/..%2Ftoken", encoded=True), status=200)
    assert await subscriptions.delete(7) is False
    assert await subscriptions.delete("8") is True
    assert await subscriptions.delete("../token") is True
