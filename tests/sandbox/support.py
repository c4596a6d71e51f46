"""What the sandbox's tests share: a client, a webhook receiver, a clock."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web

from pipeline.sandbox.settings import (
    EVERY_EVENT,
    RollerSettings,
    RollerVenue,
    StampedeSettings,
    WebhookTarget,
)
from tests.waiting import LONG

KEY = "key-of-the-test"
#: A document of which a test looks at a few fields; a wrong one fails the test.
Json = Any


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return msgspec.json.decode(self.body)


class Api:
    """A client of one simulated API."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self.token = ""
        self._session = session

    async def call(
        self, method: str, path: str, json: object = None, *, timeout: float = LONG
    ) -> Answer:
        """One request with a JSON body, or without any."""
        body = None if json is None else msgspec.json.encode(json)
        return await self.send(method, path, body, timeout=timeout)

    async def send(
        self, method: str, path: str, body: bytes | None, *, timeout: float = LONG
    ) -> Answer:
        """One request, with the token if there is one."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        async with self._session.request(
            method,
            self.url + path,
            data=None if body is None else io.BytesIO(body),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as answer:
            return await _read(answer)

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def post(self, path: str, json: object, *, timeout: float = LONG) -> Answer:
        return await self.call("POST", path, json, timeout=timeout)

    async def post_form(self, path: str, form: Mapping[str, str]) -> Answer:
        """The form encoding that neither vendor takes."""
        async with self._session.post(self.url + path, data=form) as answer:
            return await _read(answer)

    async def state(self) -> Json:
        return (await self.get("/_sandbox/state")).json

    async def control(self, what: str, **order: object) -> Json:
        """An order that is carried out."""
        answer = await self.post(f"/_sandbox/{what}", order)
        assert answer.status == 200, answer.body
        return answer.json

    async def report(self, what: str, day: str, **query: object) -> Json:
        """What was modified on that day, by the venue's calendar."""
        end = date.fromisoformat(day) + timedelta(days=1)
        asked = urlencode({"startDate": day, "endDate": end.isoformat()} | query)
        answer = await self.get(f"/data/{what}?{asked}")
        assert answer.status == 200, answer.body
        return answer.json

    async def log(self) -> Json:
        return (await self.get("/_sandbox/requests")).json

    async def fault(self, **fault: object) -> None:
        answer = await self.post("/_sandbox/faults", fault)
        assert answer.status == 200, answer.body


async def _read(answer: aiohttp.ClientResponse) -> Answer:
    return Answer(status=answer.status, headers=answer.headers, body=await answer.read())


class Clock:
    """Seconds since 1970 that pass only when told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook as it arrived."""

    body: bytes
    key: str | None

    @property
    def json(self) -> Json:
        return msgspec.json.decode(self.body)

    @property
    def told(self) -> tuple[object, object]:
        """Type and event."""
        return self.json["type"], self.json["eventType"]


class Receiver:
    """A webhook receiver that gives the answers it is told, then 200."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        self.answers: list[int] = []
        #: cleared to let requests hang
        self.open = asyncio.Event()
        self.open.set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/webhooks/test", self._receive)
        app.router.add_route("*", "/webhooks/moved", self._redirect)
        return app

    async def _redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/webhooks/test")

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.received.append(Received(body=body, key=request.headers.get("x-roller-apikey")))
        await self.open.wait()
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


async def until(condition: Callable[[], Awaitable[bool]], timeout: float = LONG) -> None:
    """Waits for something that happens in the background."""
    async with asyncio.timeout(timeout):
        while not await condition():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)


VENUE = RollerVenue(
    client_id="test-leeds", client_secret="secret-leeds", id=1, name="Test Leeds", source="leeds"
)


def everything(receiver: Receiver, **include: tuple[str, ...]) -> WebhookTarget:
    """A subscription to every event of every type."""
    return WebhookTarget(
        venue=VENUE.client_id, url=receiver.url, key=KEY, events=EVERY_EVENT, include=include
    )


def roller_settings(receiver: Receiver, **changes: Json) -> RollerSettings:
    """One venue whose webhooks go to the receiver; the vendor's four days take 40 milliseconds."""
    target = WebhookTarget(venue=VENUE.client_id, url=receiver.url, key=KEY)
    settings = RollerSettings(venues=(VENUE,), webhooks=(target,), retry_factor=1e-7)
    return msgspec.structs.replace(settings, **changes)


async def stampede_token(api: Api) -> Answer:
    """Fetches a token; the client uses it from now on."""
    settings = StampedeSettings()
    answer = await api.post(
        "/oauth/token",
        {
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "grant_type": "client_credentials",
        },
    )
    api.token = answer.json.get("access_token", "")
    return answer


async def roller_token(api: Api, venue: RollerVenue = VENUE) -> Answer:
    """Fetches a token; the client uses it from now on."""
    answer = await api.post(
        "/token", {"client_id": venue.client_id, "client_secret": venue.client_secret}
    )
    if answer.status == 200:
        api.token = answer.json["access_token"]
    return answer


def guest(email: str = "ada@example.com", **changes: object) -> dict[str, object]:
    """A guest that Stampede takes."""
    privacy = {"data": True, "marketing": {"email": True, "sms": False}}
    return {"email": email, "first": "Ada", "privacy": privacy} | changes


def booking(**changes: object) -> dict[str, object]:
    """A booking that Stampede takes."""
    return {
        "event_id": "b-1",
        "venue_id": "A1B2C3D4E5F6",
        "status": "active",
        "party_size": 3,
        "amount": 35064,
        "currency": "GBP",
        "starts_at": "2026-11-21T18:30:00+00:00",
        "ends_at": "2026-11-21T19:30:00Z",
        "created_at": "2026-11-20T08:00:00.163Z",
        "updated_at": "2026-11-20T08:00:00Z",
        "metadata": {"reference": "9774710"},
    } | changes
