"""Stampede's answers become an id, or an exception that says what to do."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientConnectionError, ServerDisconnectedError
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from pipeline.destinations.stampede import Stampede, StampedeSettings
from pipeline.destinations.stampede.settings import Serial
from pipeline.errors import (
    Failure,
    Gone,
    NoAnswer,
    Reject,
    Retry,
    Throttled,
    TokenRefused,
    Unauthorized,
)
from pipeline.model import Answer, Request
from pipeline.settings import Secret, Url
from pipeline.wire import PeerSession
from tests.fakes import FakeClock
from tests.waiting import turn

_BASE = "https://stampede.example"
_TOKEN = f"{_BASE}/oauth/token"
_GUEST = Request(method="POST", path="/v1/guests", body=b'{"email":"anna@example.com"}')
_REGISTRATION = Request(
    method="POST",
    path="/registration",
    body=b'{"email":"anna@example.com","first":"Anna","phone":"+447400123456"}',
    once=True,
)
_TAG = Request(method="PUT", path="/v1/guests/g-1/tags", body=b'{"name":"Online"}')


@pytest.fixture
def stampede(session: PeerSession) -> Stampede:
    settings = StampedeSettings(
        type="stampede",
        base_url=Url(_BASE),
        client_id="ai.stampede.marketplace.test",
        client_secret=Secret("hunter22"),
        venues={"leeds": Serial.parse("A1B2C3D4E5F6", Path())},
    )
    return Stampede("stampede", settings, session)


@pytest.fixture
def authorised(stampede: Stampede, session: PeerSession) -> Stampede:
    session.keep_token("token-1", lifetime=3600)
    return stampede


def _only_call(answers: aioresponses, method: str, url: str) -> Any:
    [call] = answers.requests[(method, URL(url))]
    return call


async def test_a_token_is_asked_for_in_json_and_kept(
    stampede: Stampede, session: PeerSession, answers: aioresponses, clock: FakeClock
) -> None:
    """It is not form-encoded as OAuth says, and twenty a minute is all there are."""
    answers.post(_TOKEN, payload={"access_token": "t", "expires_in": 3600, "scope": "ALL:ALL"})
    assert not stampede.authorised()
    await stampede.authorise()
    assert stampede.authorised()
    assert session.token() == "t"
    call = _only_call(answers, "POST", _TOKEN)
    assert call.kwargs["headers"]["Content-Type"] == "application/json"
    assert msgspec.json.decode(call.kwargs["data"]) == {
        "client_id": "ai.stampede.marketplace.test",
        "client_secret": "hunter22",
        "grant_type": "client_credentials",
    }
    clock.advance(3600)
    assert not stampede.authorised()


@pytest.mark.parametrize("expires", [0, -1, 1e18, ...], ids=["zero", "negative", "huge", "absent"])
async def test_a_token_of_an_odd_life_is_a_token(
    stampede: Stampede, answers: aioresponses, expires: object
) -> None:
    """One that ended at once would have the whole allowance spent on tokens."""
    payload = {"access_token": "t"} | ({} if expires is ... else {"expires_in": expires})
    answers.post(_TOKEN, payload=payload)
    await stampede.authorise()
    assert stampede.authorised()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":"invalid_client","error_description":"hunter22"}', Unauthorized),
        (401, b"", Unauthorized),
        (403, b"", Unauthorized),
        (404, b'{"message":"no hunter22 here"}', Reject),
        (429, b"", Throttled),
        (500, b"<html>", Retry),
        (200, b"<html>", Retry),
        (200, b"{}", Retry),
        (200, b'{"access_token":null}', Retry),
        (200, b'{"access_token":"t","expires_in":"soon"}', Retry),
        (200, b'{"access_token":"\xff"}', Retry),
        (200, b'{"access_token":""}', Retry),
        (200, b'{"access_token":"a\\nb"}', Retry),
        (200, b'{"access_token":"a\\n"}', Retry),
        (200, b'{"access_token":"caf\\u00e9"}', Retry),
        (200, b'{"x":' + b"[" * 100_000, Retry),
        (302, b"", Reject),
    ],
)
async def test_no_token_is_said_with_the_reason(
    stampede: Stampede, answers: aioresponses, status: int, body: bytes, kind: type[Failure]
) -> None:
    """`status` shows it, and the secret it never shows."""
    answers.post(_TOKEN, status=status, body=body)
    with pytest.raises(Failure) as caught:
        await stampede.authorise()
    assert type(caught.value) is kind
    assert "hunter22" not in caught.value.reason
    assert not stampede.authorised()


async def test_a_guests_id_comes_back(authorised: Stampede, answers: aioresponses) -> None:
    """Bookings and tags are told by it."""
    answers.post(f"{_BASE}/v1/guests", status=201, payload={"id": "g-1", "profile_id": 7})
    assert await authorised.send(_GUEST) == Answer(remote_id="g-1")
    call = _only_call(answers, "POST", f"{_BASE}/v1/guests")
    assert call.kwargs["headers"]["Authorization"] == "Bearer token-1"
    assert call.kwargs["data"] == _GUEST.body
    assert call.kwargs["allow_redirects"] is False


@pytest.mark.parametrize("body", [b"", b"{}", b'{"message":"done"}'])
async def test_a_tag_is_done_by_any_json(
    authorised: Stampede, answers: aioresponses, body: bytes
) -> None:
    """What the answer holds is not documented."""
    answers.put(f"{_BASE}/v1/guests/g-1/tags", body=body)
    assert await authorised.send(_TAG) == Answer()


@pytest.mark.parametrize(
    "request_", [_GUEST, _TAG, _REGISTRATION], ids=["guest", "tag", "registration"]
)
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (301, b"", Reject),
        (302, b"", Reject),
        (400, b'{"message":["email must be an email"]}', Reject),
        (403, b"{}", Reject),
        (404, b'{"message":"Not Found"}', Reject),
        (408, b"", Retry),
        (422, b'{"message":"x","errors":[]}', Reject),
        (425, b"", Retry),
        (429, b"", Throttled),
        (500, b"", Retry),
        (502, b"<html>", Retry),
        (503, b"", Retry),
        (504, b"", Retry),
    ],
)
async def test_every_other_answer_is_the_exception_it_asks_for(
    authorised: Stampede,
    answers: aioresponses,
    request_: Request,
    status: int,
    body: bytes,
    kind: type[Failure],
) -> None:
    """A redirect is no success though aiohttp calls it ok, and a page with a 200 neither."""
    answers.add(_BASE + request_.path, method=request_.method, status=status, body=body)
    with pytest.raises(Failure) as caught:
        await authorised.send(request_)
    gone = status == 404 and request_ is _TAG  # the guest, who is in the address
    assert type(caught.value) is (Gone if gone else kind)
    assert str(status) in caught.value.reason


@pytest.mark.parametrize("body", [b"<html>", b'{"id":', b"\xff", b"[" * 100_000], ids=len)
@pytest.mark.parametrize(
    ("request_", "kind"),
    [(_GUEST, Retry), (_TAG, Retry), (_REGISTRATION, NoAnswer)],
    ids=["guest", "tag", "registration"],
)
async def test_garbage_with_a_200_is_no_success(
    authorised: Stampede, answers: aioresponses, request_: Request, kind: type[Failure], body: bytes
) -> None:
    """An upsert is asked again; of what counts each time nobody knows what came of it."""
    answers.add(_BASE + request_.path, method=request_.method, status=200, body=body)
    with pytest.raises(Retry, match="Stampede answered 200 without") as caught:
        await authorised.send(request_)
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"", b"{}", b'{"id":"r-1"}', b'"ok"'])
async def test_a_registration_is_done_by_any_json(
    authorised: Stampede, answers: aioresponses, body: bytes
) -> None:
    """What the answer holds is not published, so no id is taken from it."""
    answers.post(f"{_BASE}/registration", status=201, body=body)
    assert await authorised.send(_REGISTRATION) == Answer()


@pytest.mark.parametrize(
    "request_",
    [
        _GUEST,
        _REGISTRATION,
        _TAG,
        Request(method="POST", path="/v1/guests/g-1/booking", body=b"{}"),
        Request(method="GET", path="/v1/guests", query="search=anna%40example.com"),
    ],
    ids=["guest", "registration", "tag", "booking", "look-up"],
)
@pytest.mark.parametrize("status", [422, 429, 500])
async def test_a_refusal_is_quoted_without_the_guest_and_the_token(
    authorised: Stampede, answers: aioresponses, request_: Request, status: int
) -> None:
    """People read it in the views; the calls of bookings and tags hold no name."""
    said = b'{"message":["Anna <anna@example.com> on +447400123456 by token-1 is blocked"]}'
    query = f"?{request_.query}" if request_.query else ""
    answers.add(_BASE + request_.path + query, request_.method, status=status, body=said)
    private = msgspec.structs.replace(request_, private=("Anna", "anna@example.com"))
    with pytest.raises(Failure) as caught:
        await authorised.send(private)
    said_of_it = f"Stampede answered {status}: … <…> on … by … is blocked"
    assert caught.value.reason == said_of_it


async def test_a_guest_without_an_id_was_not_made(
    authorised: Stampede, answers: aioresponses
) -> None:
    """Without it the booking could go nowhere; asking again is an upsert."""
    answers.post(f"{_BASE}/v1/guests", payload={"message": "ok"})
    with pytest.raises(Retry, match="without the guest's id"):
        await authorised.send(_GUEST)


@pytest.mark.parametrize(
    ("header", "after"), [("120", 120.0), ("junk", None), (None, None), ("999999999", 86_400.0)]
)
async def test_retry_after_comes_with_a_429(
    authorised: Stampede, answers: aioresponses, header: str | None, after: float | None
) -> None:
    """The lane pauses for as long as it asks."""
    headers = {"Retry-After": header} if header else {}
    answers.post(f"{_BASE}/v1/guests", status=429, headers=headers)
    with pytest.raises(Throttled) as caught:
        await authorised.send(_GUEST)
    assert caught.value.after == after


async def test_a_newer_token_survives_the_refusal_of_an_older_one(
    authorised: Stampede, session: PeerSession, answers: aioresponses
) -> None:
    """It would be fetched again and again."""

    def renew(_: URL, **__: object) -> CallbackResult:
        session.keep_token("token-2", lifetime=3600)
        return CallbackResult(status=401)

    answers.post(f"{_BASE}/v1/guests", callback=renew)
    with pytest.raises(TokenRefused) as caught:
        await authorised.send(_GUEST)
    assert caught.value.late
    assert session.token() == "token-2"


async def test_a_refused_token_is_dropped_once(
    authorised: Stampede, session: PeerSession, answers: aioresponses
) -> None:
    """Of many requests that meet the refusal, one counts."""

    async def slowly(_: URL, **__: object) -> CallbackResult:
        await turn()
        return CallbackResult(status=401)

    answers.post(f"{_BASE}/v1/guests", callback=slowly, repeat=True)
    found = await asyncio.gather(
        *(authorised.send(_GUEST) for _ in range(3)), return_exceptions=True
    )
    assert [isinstance(one, TokenRefused) and one.late for one in found] == [False, True, True]
    assert session.token() is None
    with pytest.raises(TokenRefused) as caught:
        await authorised.send(_GUEST)
    assert caught.value.late


@pytest.mark.parametrize(
    "trouble",
    [
        TimeoutError(),
        ServerDisconnectedError(),
        ClientConnectionError(),
        ConnectionError(),
        ssl.SSLError(),
    ],
)
async def test_silence_is_no_answer(
    authorised: Stampede, answers: aioresponses, trouble: Exception
) -> None:
    """The request may have been carried out: only an upsert may be told again."""
    for request in (_GUEST, _REGISTRATION):
        answers.post(_BASE + request.path, exception=trouble)
        with pytest.raises(NoAnswer):
            await authorised.send(request)
