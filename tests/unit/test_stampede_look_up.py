"""What Stampede says of a guest is read exactly, or not taken for an answer at all."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from aioresponses import aioresponses

from pipeline.destinations.stampede import Stampede, StampedeSettings
from pipeline.destinations.stampede.settings import Serial
from pipeline.errors import Gone, Reject, Retry
from pipeline.model import Answer, Presence, Request
from pipeline.settings import Secret, Url
from pipeline.wire import PeerSession

_BASE = "https://stampede.example"
_SEARCH = Request(method="GET", path="/v1/guests", query="search=anna%2Bx%40example.com")
_BY_ID = Request(method="GET", path="/v1/guests/g-1")
_SEARCHED = f"{_BASE}/v1/guests?search=anna%2Bx%40example.com"
_SINCE = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def stampede(session: PeerSession) -> Stampede:
    settings = StampedeSettings(
        type="stampede",
        base_url=Url(_BASE),
        client_id="id",
        client_secret=Secret("secret"),
        venues={"leeds": Serial.parse("A1B2C3D4E5F6", Path())},
    )
    session.keep_token("token-1", lifetime=3600)
    return Stampede("stampede", settings, session)


def _guest(email: str | None = "anna+x@example.com", **changes: Any) -> dict[str, Any]:
    guest: dict[str, Any] = {
        "id": "g-1",
        "organization_id": "o",
        "profile_id": 7,
        "data_opt_in_at": _SINCE,
        "email_opt_in_at": None,
        "sms_opt_in_at": _SINCE,
        "user_profile": {"email": email, "first": "Anna", "id": 7, "phone": None, "last": None},
    }
    return guest | changes


def _page(*guests: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    links = {"first": None, "last": None, "next": following, "prev": None}
    return {"data": list(guests), "links": links}


_THERE = Presence(remote_id="g-1", data=True, email=False, sms=True)


async def test_a_guest_is_found_by_the_whole_e_mail_alone(
    stampede: Stampede, answers: aioresponses
) -> None:
    """What a search matches is not documented, and Joanna's consent is not Anna's."""
    other = _guest("joanna+x@example.com", id="g-2", email_opt_in_at=_SINCE)
    answers.get(_SEARCHED, payload=_page(other, _guest(" Anna+X@Example.com ")))
    assert await stampede.send(_SEARCH) == Answer(presence=_THERE)


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        (_page(), None),
        (_page(_guest("joanna+x@example.com"), following="c-2"), "c-2"),
        (_page(_guest(None), following=f"{_SEARCHED}&cursor=c-2"), "c-2"),
        ({"data": []}, None),
    ],
    ids=["nobody", "further pages", "an address", "no links"],
)
async def test_a_guest_who_is_not_on_the_page_may_be_on_the_next(
    stampede: Stampede, answers: aioresponses, page: dict[str, Any], cursor: str | None
) -> None:
    """A guest taken for absent would get an old yes."""
    answers.get(_SEARCHED, payload=page)
    found = (await stampede.send(_SEARCH)).presence
    assert found == Presence(remote_id=None, cursor=cursor)


async def test_a_guest_is_asked_for_by_the_id(stampede: Stampede, answers: aioresponses) -> None:
    """It needs no list, and no e-mail in an address."""
    answers.get(f"{_BASE}/v1/guests/g-1", payload=_guest())
    assert await stampede.send(_BY_ID) == Answer(presence=_THERE)


async def test_a_guest_who_is_gone_is_no_failure_to_ask_for_and_one_to_tell(
    stampede: Stampede, answers: aioresponses
) -> None:
    """Whoever tells must make the guest anew first."""
    answers.get(f"{_BASE}/v1/guests/g-1", status=404, payload={"message": "Not Found"})
    assert await stampede.send(_BY_ID) == Answer(presence=Presence(remote_id=None))
    for method, end in (("POST", "booking"), ("PUT", "tags"), ("DELETE", "tags/by-name")):
        url = f"{_BASE}/v1/guests/g-1/{end}"
        answers.add(url, method=method, status=404, payload={"message": "Not Found"})
        request = Request(method=method, path=f"/v1/guests/g-1/{end}", body=b"{}")
        with pytest.raises(Gone, match="404"):
            await stampede.send(request)


async def test_a_list_that_is_not_there_is_no_list_without_the_guest(
    stampede: Stampede, answers: aioresponses
) -> None:
    """A 404 of the address itself is a misconfiguration, and nobody's absence."""
    answers.get(_SEARCHED, status=404, payload={"message": "Not Found"})
    with pytest.raises(Reject) as caught:
        await stampede.send(_SEARCH)
    assert type(caught.value) is Reject


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b"[]",
        b'{"data":{}}',
        b"\xff",
        b"[" * 100_000,
        b'{"id":"g-1"}',
        b'{"data":[{"id":"g-1","user_profile":{"email":"anna+x@example.com"}}]}',
        msgspec.json.encode(_page(_guest(id="../x"))),
        msgspec.json.encode(_guest(id="../x")),
    ],
    ids=len,
)
@pytest.mark.parametrize("request_", [_SEARCH, _BY_ID], ids=["search", "by id"])
async def test_what_is_not_as_promised_is_asked_again(
    stampede: Stampede, answers: aioresponses, request_: Request, body: bytes
) -> None:
    """Consent that is not told is not a no, nor is it a yes."""
    url = _SEARCHED if request_ is _SEARCH else f"{_BASE}/v1/guests/g-1"
    answers.get(url, body=body)
    with pytest.raises(Retry, match="without the guest"):
        await stampede.send(request_)
