"""Takes in webhooks: a 200 means that the message is on disk.

ROLLER allows 200, 500, 503 and 504, reviews a subscription that answers anything else, and switches
it off after seven failures. So this listener says 200 or 503 and nothing else, whatever the bytes:
what is authentic is kept, readable or not, and what is not kept is asked for again.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Mapping
from contextlib import suppress

import msgspec
from aiohttp import web
from msgspec import Struct

from pipeline.clock import SECOND
from pipeline.errors import OutboxUnavailable, Unreadable
from pipeline.feed import Feed
from pipeline.listener import Refusal
from pipeline.means import Means
from pipeline.model import Action, Arrival, Envelope, EventState, Kind, Origin
from pipeline.plugin import Source
from pipeline.settings import Keys

#: Seconds for a body: aiohttp by itself waits for ever for one that was announced.
_BODY_TIMEOUT = 10.0

#: A refused body is looked at up to here, to tell a wrong key from a stranger.
_PEEK = 65_536

_ROOT = "/webhooks/"
_KEY_HEADER = "x-roller-apikey"

_UNIQUE_ID = re.compile(rb'"uniqueId"\s*:\s*"([0-9A-Za-z-]{1,128})"')

_OTHER = Envelope(
    key=None, kind=Kind.OTHER, action=Action.OTHER, occurred_at=None, booking=None, reference=None
)


class Door(Struct, kw_only=True):
    """What receive knows of one source."""

    source: Source
    keys: Keys
    arrivals: Feed[int]
    #: Someone with our address but another key speaks ROLLER's language.
    key_mismatch: bool = False
    last_event_at: int | None = None


class Receiver:
    """The webhook listener's handler."""

    def __init__(self, doors: Mapping[str, Door], means: Means, *, max_body: int) -> None:
        self._doors = doors
        self._intake = means.outbox.intake
        self._max_body = max_body
        self._clock = means.clock
        self._log = means.log
        self._closed = False
        self._refusals_logged: dict[str, int] = {}

    def close(self) -> None:
        """Accept nothing more: we are shutting down."""
        self._closed = True

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; Refusal becomes a 503."""
        path = request.path
        if not path.startswith(_ROOT):
            healthy = path == "/healthz" and request.method == "GET"
            return web.Response(text="ok") if healthy else web.Response(status=404)
        if self._closed:
            raise Refusal("shutting down")
        name = path.removeprefix(_ROOT)
        door = self._doors.get(name)
        if request.method != "POST":
            raise Refusal("not a POST")
        if not _may_enter(door, request) or door is None:
            await self._refuse(name, door, request)
            raise Refusal("wrong key")
        body, whole = await _read(request, self._max_body)
        await self._accept(name, door, body, whole=whole)
        return web.Response()

    async def _accept(self, name: str, door: Door, body: bytes, *, whole: bool) -> None:
        arrival = self._arrival(name, door, body) if whole else self._too_large(name, body)
        try:
            receipt = await self._intake.accept(arrival)
            if not whole and (found := _UNIQUE_ID.search(body)):
                await self._ask_for(door, found[1].decode(), arrival)
        except OutboxUnavailable as exc:
            self._log.error("outbox failed", stage="receive", source=name, reason=str(exc))
            raise Refusal("the outbox does not take it") from exc
        door.last_event_at = arrival.received_at
        door.key_mismatch = False
        if receipt.duplicate:
            self._log.info("received again", source=name, key=arrival.key)
            return
        self._log.info("received", event=receipt.event, source=name, kind=arrival.kind)
        if arrival.state is EventState.WAITING:
            door.arrivals.offer(receipt.event)

    def _arrival(self, name: str, door: Door, body: bytes) -> Arrival:
        try:
            return self._filed(name, door.source.envelope(body), body, None)
        except Unreadable as exc:
            return self._filed(name, _OTHER, body, f"unreadable: {exc}")

    def _too_large(self, name: str, body: bytes) -> Arrival:
        return self._filed(name, _OTHER, body, "too_large")

    def _filed(self, name: str, envelope: Envelope, body: bytes, trouble: str | None) -> Arrival:
        return Arrival(
            source=name,
            origin=Origin.WEBHOOK,
            key=envelope.key or hashlib.sha256(body).hexdigest(),
            kind=envelope.kind,
            action=envelope.action,
            occurred_at=envelope.occurred_at,
            booking=envelope.booking,
            reference=envelope.reference,
            received_at=self._clock.now(),
            state=EventState.PARKED if trouble else EventState.WAITING,
            reason=trouble,
            body=body,
        )

    async def _ask_for(self, door: Door, booking: str, cause: Arrival) -> None:
        """Have a booking fetched whose message was too large; it is an event of its own."""
        asked = msgspec.structs.replace(
            cause,
            origin=Origin.RECONCILE,
            key=f"too_large:{cause.key}",
            kind=Kind.BOOKING,
            action=Action.UPDATED,
            booking=booking,
            state=EventState.WAITING,
            reason=None,
            body=b"",
        )
        door.arrivals.offer((await self._intake.accept(asked)).event)

    async def _refuse(self, name: str, door: Door | None, request: web.BaseRequest) -> None:
        """Take note of a wrong key; from ROLLER itself it means that ours is not what it sends."""
        if door is not None and (request.content_length or _PEEK) < _PEEK:
            body, _ = await _read(request, _PEEK)
            with suppress(Unreadable):
                door.key_mismatch |= door.source.envelope(body).key is not None
        known = name if door is not None else "unknown"
        now = self._clock.now()
        if now - self._refusals_logged.get(known, 0) >= 60 * SECOND:
            self._refusals_logged[known] = now
            self._log.warning("refused", source=known, reason="wrong or missing key")


def _may_enter(door: Door | None, request: web.BaseRequest) -> bool:
    """Compare the key with each of ours in constant time, also for a source that is not there."""
    given = request.headers.get(_KEY_HEADER, "").encode("utf-8", "surrogateescape")
    keys = [key.reveal().encode() for key in door.keys] if door else [b""]
    matches = [hmac.compare_digest(given, key) for key in keys]
    return door is not None and any(matches)


async def _read(request: web.BaseRequest, most: int) -> tuple[bytes, bool]:
    """Read a body up to `most` bytes; tell also whether that was all of it."""
    content = request.content
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            while size <= most and (chunk := await content.readany()):
                chunks.append(chunk)
                size += len(chunk)
    except TimeoutError:
        raise Refusal("the body did not come in time") from None
    body = b"".join(chunks)
    return body[:most], size <= most
