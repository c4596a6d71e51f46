"""Takes in webhooks: a 200 means that the message is on disk.

ROLLER allows 200, 500, 503 and 504, reviews a subscription that answers anything else, and switches
it off after seven failures. So this listener says 200 or 503 and nothing else, whatever the bytes:
what is authentic is kept, readable or not, and what is not kept is asked for again.
"""

import hashlib
import hmac
import posixpath
import re
import secrets
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress

import msgspec
from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from msgspec import Struct
from multidict import istr

from pipeline.body import Body, BodyReader
from pipeline.clock import SECOND
from pipeline.errors import OutboxUnavailable, Unreadable
from pipeline.feed import Feed
from pipeline.listener import Refusal
from pipeline.means import Means
from pipeline.model import Action, Arrival, Envelope, EventState, Kind, Origin
from pipeline.plugin import Source
from pipeline.settings import Keys

#: Seconds for a body; ROLLER itself waits no longer for an answer.
_BODY_TIMEOUT = 10.0

#: A refused body is looked at up to here, to tell a wrong key from a stranger.
_PEEK = 65_536

_ROOT = "/webhooks/"

_WRONG_KEY = "wrong or missing key"

#: What became of a message, as the metrics call it.
_RESULTS = {EventState.WAITING: "accepted", EventState.PARKED: "unreadable"}
_KEY_HEADER = istr("x-roller-apikey")

#: Compared with where there is no source, so that this takes no less time.
_NOBODYS_KEYS = (secrets.token_hex().encode(),)

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

    def __init__(
        self,
        doors: Mapping[str, Door],
        means: Means,
        *,
        max_body: int,
        body_timeout: float = _BODY_TIMEOUT,
    ) -> None:
        self._doors = doors
        self._keys = {
            name: tuple(key.reveal().encode() for key in door.keys) for name, door in doors.items()
        }
        self._plain_paths = {_ROOT + name: name for name in doors}
        self._intake = means.outbox.intake
        self._max_body = max_body
        self._clock = means.clock
        self._log = means.log
        self._meters = means.meters
        self._bodies = BodyReader(body_timeout)
        self._closed = False
        #: How many more messages may be taken in before the outbox is counted again.
        self.room = sys.maxsize
        self._taken = 0
        self._stored = 0
        self._refusals_logged: dict[str, int] = {}

    def close(self) -> None:
        """Accept nothing more: we are shutting down."""
        self._closed = True
        self._bodies.close()

    def stored(self) -> int:
        """Tell how many messages have been stored; to be asked before the outbox is counted."""
        return self._stored

    def make_room(self, most: int, *, since: int) -> None:
        """Take in `most` more than were stored when `stored` said `since`.

        What is on its way to the disk meanwhile may be in that count or not, so it is taken off.
        """
        self.room = most - (self._taken - since)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; Refusal becomes a 503."""
        path = request.path
        if not path.startswith(_ROOT):
            return _elsewhere(request)
        name = path.removeprefix(_ROOT)
        try:
            await self._take(name, request)
        except Refusal as exc:
            self._note(name, str(exc))
            raise
        return web.Response()

    def plain(
        self, message: RawRequestMessage, content: StreamReader
    ) -> Coroutine[None, None, None] | None:
        """Take in a request that has come as a whole and needs no second look; Refusal is a 503.

        None when it is not such a one: then `handle` says what is to be said to it.
        """
        name = self._plain_paths.get(message.path)
        headers = message.headers
        if (
            name is None
            or self._closed
            or message.method != hdrs.METH_POST
            or message.version != HttpVersion11
            or message.should_close
            or message.upgrade
            or hdrs.EXPECT in headers
            or hdrs.CONTENT_ENCODING in headers
            or not content.is_eof()
            or content.exception() is not None
            or content.total_bytes > self._max_body
            or not _has_key(headers, self._keys[name])
        ):
            return None
        return self._take_plain(name, content.read_nowait())

    async def _take_plain(self, name: str, data: bytes) -> None:
        try:
            await self._store(name, self._doors[name], Body(data=data, whole=True))
        except Refusal as exc:
            self._note(name, str(exc))
            raise

    async def _take(self, name: str, request: web.BaseRequest) -> None:
        if self._closed:
            raise Refusal("shutting down")
        if request.method != hdrs.METH_POST:
            raise Refusal("not a POST")
        door = self._doors.get(name)
        if not _has_key(request.headers, self._keys.get(name, _NOBODYS_KEYS)) or door is None:
            await self._look_at(door, request)
            raise Refusal(_WRONG_KEY)
        await self._store(name, door, await self._bodies.read(request, self._max_body))

    async def _store(self, name: str, door: Door, body: Body) -> None:
        begun = time.perf_counter()
        arrival = self._arrival(name, door, body)
        if self.room <= 0:
            raise Refusal("the outbox is full")
        self.room -= 1
        self._taken += 1
        try:
            receipt = await self._intake.accept(arrival)
            if not body.whole:
                await self._ask_for(door, arrival)
        except OutboxUnavailable as exc:
            raise Refusal(str(exc)) from exc
        finally:
            self._stored += 1
        door.last_event_at = arrival.received_at
        door.key_mismatch = False
        self._meters.ack_seconds.observe(time.perf_counter() - begun)
        result = "duplicate" if receipt.duplicate else _RESULTS[arrival.state]
        self._meters.events[name, arrival.kind, result] += 1
        if receipt.duplicate:
            self._log.info("received again", event=receipt.event, source=name, key=arrival.key)
            return
        self._log.info("received", event=receipt.event, source=name, kind=arrival.kind)
        if arrival.state is EventState.WAITING:
            door.arrivals.offer(receipt.event)
        else:
            self._log.warning("parked", event=receipt.event, reason=arrival.reason)

    def _arrival(self, name: str, door: Door, body: Body) -> Arrival:
        envelope, trouble = _OTHER, None if body.whole else "too_large"
        try:
            if body.whole:
                envelope = door.source.envelope(body.data)
        except Unreadable as exc:
            trouble = f"unreadable: {exc}"
        return Arrival(
            source=name,
            origin=Origin.WEBHOOK,
            key=envelope.key or hashlib.sha256(body.data).hexdigest(),
            kind=envelope.kind,
            action=envelope.action,
            occurred_at=envelope.occurred_at,
            booking=envelope.booking,
            reference=envelope.reference,
            received_at=self._clock.now(),
            state=EventState.PARKED if trouble else EventState.WAITING,
            reason=trouble,
            body=body.data,
        )

    async def _ask_for(self, door: Door, cause: Arrival) -> None:
        """Have a booking fetched whose message was too large; it is an event of its own."""
        found = _UNIQUE_ID.search(cause.body)
        if found is None:
            return
        asked = msgspec.structs.replace(
            cause,
            origin=Origin.RECONCILE,
            key=f"too_large:{cause.key}",
            kind=Kind.BOOKING,
            action=Action.UPDATED,
            booking=found[1].decode(),
            state=EventState.WAITING,
            reason=None,
            body=b"",
        )
        door.arrivals.offer((await self._intake.accept(asked)).event)

    async def _look_at(self, door: Door | None, request: web.BaseRequest) -> None:
        """See whether it is ROLLER that has the wrong key: then ours is not what it sends."""
        if door is None or (request.content_length or 0) > _PEEK:
            return
        body = await self._bodies.read(request, _PEEK)
        with suppress(Unreadable):
            door.key_mismatch |= door.source.envelope(body.data).key is not None

    def _note(self, name: str, reason: str) -> None:
        """Log a refusal, of each source one a minute."""
        known = name if name in self._doors else "unknown"
        result = "unauthorized" if reason == _WRONG_KEY else "refused"
        self._meters.events[known, Kind.OTHER, result] += 1
        now = self._clock.now()
        if now - self._refusals_logged.get(known, 0) >= 60 * SECOND:
            self._refusals_logged[known] = now
            self._log.warning("refused", source=known, reason=reason)


def _has_key(headers: Mapping[str, str], keys: Sequence[bytes]) -> bool:
    """Compare the key with each of ours in constant time."""
    given = headers.get(_KEY_HEADER, "").encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, key) for key in keys]
    return any(matches)


def _elsewhere(request: web.BaseRequest) -> web.Response:
    """Answer what is not for us; Refusal when it is, said in another way (`//webhooks/leeds`)."""
    path = request.path
    if path == "/healthz" and request.method == hdrs.METH_GET:
        return web.Response(text="ok")
    # The x keeps a slash at the end, which makes the difference between inside and outside.
    plain = posixpath.normpath("/" + path.lstrip("/") + "x")
    if plain.startswith(_ROOT) or request.method == hdrs.METH_CONNECT:  # which names no path
        raise Refusal("not the plain path")
    return web.Response(status=404)
