"""ROLLER is asked with one token, and its answers say what to do."""

import asyncio
from typing import Any

import msgspec
import pytest
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from pipeline.errors import (
    Failure,
    LaneFailure,
    PipelineError,
    Reject,
    Retry,
    Throttled,
    Unauthorized,
)
from pipeline.plugin import VenueDetails
from pipeline.settings import Keys, Secret, Url
from pipeline.sources.roller import Roller, RollerSettings
from pipeline.sources.roller.settings import Every
from pipeline.wire import PeerSession
from tests.waiting import turn

_BASE = "https://roller.example"
_GUEST = f"{_BASE}/guests/7"


@pytest.fixture
def roller(session: PeerSession) -> Roller:
    settings = RollerSettings(
        type="roller",
        base_url=Url(_BASE),
        client_id="venue",
        client_secret=Secret("hunter22"),
        webhook_key=Keys((Secret("key"),)),
    )
    return Roller("leeds", settings, session)


@pytest.fixture
def authorised(roller: Roller, session: PeerSession) -> Roller:
    session.keep_token("token-1", lifetime=86_400)
    return roller


def _calls(answers: aioresponses, method: str, url: str) -> list[Any]:
    return answers.requests.get((method, URL(url)), [])


async def test_a_token_is_fetched_once_for_all_who_wait(
    roller: Roller, answers: aioresponses
) -> None:
    """ROLLER suspends credentials that ask for a token with every call."""

    async def slowly(_: URL, **__: object) -> CallbackResult:
        await turn()
        return CallbackResult(payload={"access_token": "t", "expires_in": 86_400})

    answers.post(f"{_BASE}/token", callback=slowly, repeat=True)
    answers.get(_GUEST, payload={"firstName": "Anna"}, repeat=True)
    found = await asyncio.gather(*(roller.fetch_guest("7") for _ in range(5)))
    assert [guest.first for guest in found if guest] == ["Anna"] * 5
    [call] = _calls(answers, "POST", f"{_BASE}/token")
    assert msgspec.json.decode(call.kwargs["data"]) == {
        "client_id": "venue",
        "client_secret": "hunter22",
    }
    assert {one.kwargs["headers"]["Authorization"] for one in _calls(answers, "GET", _GUEST)} == {
        "Bearer t"
    }


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_all_who_wait_for_a_token_that_is_refused_are_told_so(
    roller: Roller, answers: aioresponses, status: int
) -> None:
    """ROLLER suspends credentials that ask for a token again and again."""

    async def slowly(_: URL, **__: object) -> CallbackResult:
        await turn()
        return CallbackResult(status=status)

    answers.post(f"{_BASE}/token", callback=slowly, repeat=True)
    found = await asyncio.gather(
        *(roller.fetch_guest("7") for _ in range(8)), return_exceptions=True
    )
    assert all(isinstance(one, LaneFailure) for one in found)
    assert len(_calls(answers, "POST", f"{_BASE}/token")) == 1


async def test_a_kept_token_is_used(authorised: Roller, answers: aioresponses) -> None:
    """Across restarts too."""
    answers.get(_GUEST, payload={"firstName": "Anna"})
    await authorised.fetch_guest("7")
    assert not _calls(answers, "POST", f"{_BASE}/token")


async def test_a_401_renews_the_token_once(authorised: Roller, answers: aioresponses) -> None:
    """Tokens are to be used until a 401 says otherwise."""
    answers.get(_GUEST, status=401)
    answers.post(f"{_BASE}/token", payload={"access_token": "t-2"})
    answers.get(_GUEST, payload={"firstName": "Anna"})
    found = await authorised.fetch_guest("7")
    assert found is not None
    tokens = [one.kwargs["headers"]["Authorization"] for one in _calls(answers, "GET", _GUEST)]
    assert tokens == ["Bearer token-1", "Bearer t-2"]


async def test_a_401_for_a_fresh_token_is_the_credentials(
    authorised: Roller, answers: aioresponses
) -> None:
    """It would go round for ever otherwise."""
    answers.get(_GUEST, status=401, repeat=True)
    answers.post(f"{_BASE}/token", payload={"access_token": "t-2"}, repeat=True)
    with pytest.raises(Unauthorized):
        await authorised.fetch_guest("7")
    assert len(_calls(answers, "POST", f"{_BASE}/token")) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"client_secret":"hunter22"}', Unauthorized),
        (401, b"", Unauthorized),
        (403, b"", Unauthorized),
        (404, b"", LaneFailure),
        (429, b"", Throttled),
        (500, b"", LaneFailure),
        (200, b"<html>", LaneFailure),
        (200, b"{}", LaneFailure),
        (200, b'{"access_token":""}', LaneFailure),
        (200, b'{"access_token":"a\\nb"}', LaneFailure),
        (200, b'{"access_token":"a\\n"}', LaneFailure),
        (200, b'{"access_token":"caf\\u00e9"}', LaneFailure),
        (200, b'{"x":' + b"[" * 100_000, LaneFailure),
    ],
)
async def test_no_token_is_said_with_the_reason(
    roller: Roller, answers: aioresponses, status: int, body: bytes, kind: type[Failure]
) -> None:
    """Wrong credentials come as a 400; and no booking is to blame for any of it."""
    answers.post(f"{_BASE}/token", status=status, body=body)
    with pytest.raises(Failure) as caught:
        await roller.fetch_guest("7")
    assert type(caught.value) is kind
    assert "hunter22" not in caught.value.reason


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Reject),
        (400, Reject),
        (403, Retry),
        (408, Retry),
        (409, Reject),
        (425, Retry),
        (429, Throttled),
        (500, Retry),
        (502, Retry),
        (503, Retry),
    ],
)
async def test_every_other_answer_is_the_exception_it_asks_for(
    authorised: Roller, answers: aioresponses, status: int, kind: type[Failure]
) -> None:
    """The body has no known shape and may quote a guest, so only the status is told."""
    answers.get(_GUEST, status=status, body="anna@example.com is odd")
    with pytest.raises(Failure) as caught:
        await authorised.fetch_guest("7")
    assert type(caught.value) is kind
    assert caught.value.reason.startswith(f"ROLLER answered {status} to /guests")
    assert "anna" not in caught.value.reason


@pytest.mark.parametrize(("header", "after"), [("5", 60.0), ("120", 120.0), (None, 60.0)])
async def test_a_429_means_a_minute_at_least(
    authorised: Roller, answers: aioresponses, header: str | None, after: float
) -> None:
    """ROLLER's cooling-off is 60 seconds, whatever it says."""
    answers.get(_GUEST, status=429, headers={"Retry-After": header} if header else {})
    with pytest.raises(Throttled) as caught:
        await authorised.fetch_guest("7")
    assert caught.value.after == after


async def test_who_is_not_there_is_none(authorised: Roller, answers: aioresponses) -> None:
    """The caller decides whether to ask again."""
    answers.get(_GUEST, status=404)
    answers.get(f"{_BASE}/bookings/b-1", status=404)
    assert await authorised.fetch_guest("7") is None
    assert await authorised.fetch_booking("b-1") is None


@pytest.mark.parametrize("body", ["", "[]", "{}", "<html>"])
async def test_a_success_without_a_guest_is_tried_again(
    authorised: Roller, answers: aioresponses, body: str
) -> None:
    """A proxy's page is no guest without an e-mail."""
    answers.get(_GUEST, body=body)
    with pytest.raises(Retry, match="without a guest"):
        await authorised.fetch_guest("7")


async def test_a_booking_is_read(authorised: Roller, answers: aioresponses) -> None:
    """The same words as in the message."""
    answers.get(f"{_BASE}/bookings/b-1", payload={"uniqueId": "b-1", "status": "Deleted"})
    found = await authorised.fetch_booking("b-1")
    assert found is not None
    assert (found.id, found.phase) == ("b-1", "cancelled")


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"uniqueId":"b-1","total":"NaN"}'])
async def test_a_booking_that_cannot_be_read_is_rejected_with_the_place(
    authorised: Roller, answers: aioresponses, body: str
) -> None:
    """A person must look."""
    answers.get(f"{_BASE}/bookings/b-1", body=body)
    with pytest.raises(Reject, match="cannot be read: "):
        await authorised.fetch_booking("b-1")


async def test_an_id_stays_within_its_part_of_the_path(
    authorised: Roller, answers: aioresponses
) -> None:
    """It comes from outside."""
    asked: list[str] = []

    def answer(url: URL, **_: object) -> CallbackResult:
        asked.append(url.raw_path)
        return CallbackResult(status=404)

    answers.get(URL(f"{_BASE}/guests/a%2F..%2Fb%3Fc", encoded=True), callback=answer)
    await authorised.fetch_guest("a/../b?c")
    assert asked == ["/guests/a%2F..%2Fb%3Fc"]


@pytest.mark.parametrize(
    ("payload", "details"),
    [
        (
            {"ianaTimeZone": "Europe/London", "currency": "GBP", "countryCode": "GB", "id": 7},
            VenueDetails(timezone="Europe/London", currency="GBP", country="GB"),
        ),
        (
            {"ianaTimeZone": "(UTC+10:00) Brisbane", "currency": "AUD", "countryCode": "AU"},
            VenueDetails(currency="AUD", country="AU"),
        ),
        ({"ianaTimeZone": 7, "currency": [], "countryCode": "Atlantis"}, VenueDetails()),
        ({"ianaTimeZone": "../../etc/passwd", "currency": "XXX"}, VenueDetails()),
        ({}, VenueDetails()),
    ],
    ids=["whole", "display name as zone", "wrong types", "nonsense", "empty"],
)
async def test_of_the_venue_only_what_can_be_used_is_taken(
    authorised: Roller, answers: aioresponses, payload: Any, details: VenueDetails
) -> None:
    """The documented example itself holds no IANA name; the configuration fills what is missing."""
    answers.get(f"{_BASE}/venues/me", payload=payload)
    assert await authorised.fetch_venue() == details


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b'{"x":' + b"[" * 100_000])
async def test_a_success_without_a_venue_is_tried_again(
    authorised: Roller, answers: aioresponses, body: bytes
) -> None:
    """It is asked once a day, and a bad moment must not fix the venue to nothing."""
    answers.get(f"{_BASE}/venues/me", body=body)
    with pytest.raises(Retry, match="without a venue"):
        await authorised.fetch_venue()


async def test_no_connection_is_said_as_such(authorised: Roller, answers: aioresponses) -> None:
    """Nothing of aiohttp leaves the wire."""
    answers.get(_GUEST, exception=TimeoutError())
    with pytest.raises(PipelineError, match="no answer within"):
        await authorised.fetch_guest("7")


async def test_all_products_are_asked_for_at_once(
    authorised: Roller, answers: aioresponses
) -> None:
    """One call an hour, for calls are counted."""
    products = [{"id": 7000001, "name": "Adult"}]
    listed = [{"parentProductId": "1", "parentProductName": "Open Jump", "products": products}]
    answers.get(f"{_BASE}/products", payload=listed)
    assert authorised.catalogue
    assert authorised.catalogue.every == 3600
    found = await authorised.catalogue.fetch_products()
    assert [(one.id, one.title) for one in found] == [("1", "Open Jump"), ("7000001", "Open Jump")]
    assert authorised.drift.take() == {
        "missing product.type": 1,
        "retyped product.products.id integer": 1,
    }


@pytest.mark.parametrize(
    ("status", "raised"),
    [(403, Reject), (404, Reject), (429, Throttled), (500, Retry), (302, Reject)],
)
async def test_what_keeps_products_from_us_is_no_trouble_of_the_sources(
    authorised: Roller, answers: aioresponses, status: int, raised: type[Failure]
) -> None:
    """Bookings go without; only a 429 is on the credentials as a whole."""
    answers.get(f"{_BASE}/products", status=status, headers={"Retry-After": "90"})
    assert authorised.catalogue
    with pytest.raises(raised) as caught:
        await authorised.catalogue.fetch_products()
    assert isinstance(caught.value, LaneFailure) == (status == 429)
    if isinstance(caught.value, Throttled):
        assert caught.value.after == 90.0


def test_products_that_are_off_cannot_be_asked_for(session: PeerSession) -> None:
    """Whoever counts calls."""
    settings = RollerSettings(
        type="roller",
        client_id="venue",
        client_secret=Secret("hunter22"),
        webhook_key=Keys((Secret("key"),)),
        products=Every.parse("off"),
    )
    assert Roller("leeds", settings, session).catalogue is None
