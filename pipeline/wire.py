"""The way to a peer: HTTP with time limits, every request on the wire recorded.

Recording is a client middleware because aiohttp by itself repeats a PUT or GET whose connection
broke before the answer: a limit kept around the call would miss the second request.
"""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from msgspec import Struct

from pipeline import __version__
from pipeline.errors import NoAnswer, PipelineError, Reject, Unreachable
from pipeline.metrics import Meters
from pipeline.plugin import Call, Reply
from pipeline.tokens import Tokens

#: Seconds for one request, from its start to the end of its answer.
TIMEOUT = 30.0
_CONNECT = 5.0
#: The same with the name looked up: what takes longer has not left, and so may be sent again.
_REACH = 10.0

#: No connection came about, so nothing has left.
_UNREACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)

#: A peer cannot make us wait longer than a day.
_LONGEST_PAUSE = 86_400.0


class Recorder(Protocol):
    """Someone who must know of every request before it leaves."""

    async def leaving(self, method: str, path: str) -> None:
        """Take note of a request; raises NoAnswer to keep it from leaving."""

    def answered(self, status: int) -> None:
        """Take note of the answer's status."""


#: Called once a request of this task has left.
_sent: ContextVar[Callable[[], None]] = ContextVar("sent", default=lambda: None)
_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recorded_by(recorder: Recorder) -> Iterator[None]:
    """Have the requests of this task recorded."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


def current_recorder() -> Recorder | None:
    """Give whoever must know of the requests of this task."""
    return _recorder.get()


async def _record(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    recorder = current_recorder()
    if recorder is None:
        return await handler(request)
    await recorder.leaving(request.method, request.url.path)
    response = await handler(request)
    recorder.answered(response.status)
    return response


async def _count(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Count what has left: whatever comes of it, unless nobody was reached."""
    counted = True
    try:
        return await handler(request)
    except _UNREACHED:
        counted = False
        raise
    finally:
        if counted:
            _sent.get()()


class Http(Struct, frozen=True, kw_only=True):
    """The HTTP clients that all peers share."""

    kept: aiohttp.ClientSession
    #: Makes a connection for each request. The peer may close a kept one just as a request leaves
    #: on it, and then nobody knows what came of it.
    fresh: aiohttp.ClientSession


@asynccontextmanager
async def client() -> AsyncIterator[Http]:
    """Open the HTTP clients; no cookies, nothing of the environment."""
    fresh = aiohttp.TCPConnector(force_close=True)
    async with _client(None) as kept, _client(fresh) as made:
        yield Http(kept=kept, fresh=made)


def _client(connector: aiohttp.TCPConnector | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT, connect=_REACH, sock_connect=_CONNECT),
        middlewares=(_record, _count),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"roller-stampede-pipeline/{__version__}"},
    )


class PeerSession:
    """One peer's way to the wire, and its place for a token."""

    def __init__(
        self,
        name: str,
        http: Http,
        tokens: Tokens,
        credentials: str,
        meters: Meters | None = None,
    ) -> None:
        self._name = name
        self._meters = meters or Meters()
        self._http = http
        self._tokens = tokens
        self._credentials = credentials

    async def call(self, call: Call) -> Reply:
        """Send and read the answer, whatever its status; redirects are not followed."""
        begun, status = time.perf_counter(), None
        sent = _sent.set(lambda: self._meters.sent(self._name))
        http = self._http.fresh if call.once else self._http.kept
        try:
            async with http.request(
                call.method, call.url, headers=call.headers, data=call.body, allow_redirects=False
            ) as response:
                status = response.status
                body = bytearray(await response.content.read(call.longest))
                while not response.content.at_eof() and len(body) < call.longest:
                    body += await response.content.read(call.longest - len(body))
                pause = retry_after(response.headers.get("Retry-After"))
                return Reply(status=response.status, body=bytes(body), retry_after=pause)
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, ConnectionError) as exc:
            raise _no_answer(exc) from exc
        finally:
            _sent.reset(sent)
            self._meters.requested(self._name, call.method, status, begun)

    def token(self) -> str | None:
        """Give the kept access token."""
        return self._tokens.get(self._name, self._credentials)

    def keep_token(self, token: str, *, lifetime: float) -> None:
        """Keep a token for `lifetime` seconds."""
        self._tokens.keep(self._name, self._credentials, token, lifetime=lifetime)

    def drop_token(self, token: str) -> bool:
        """Forget this token; False when it was not the one kept."""
        return self._tokens.drop(self._name, token)


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110 §10.2.3): 0 to 24 hours; None if unreadable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    pause = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(pause, 0.0), _LONGEST_PAUSE)


def _no_answer(exc: Exception) -> PipelineError:
    """Tell whether the peer was not reached, or reached and silent."""
    match exc:
        case aiohttp.InvalidURL():
            return Reject("the address of the request is not valid")
        case _ if isinstance(exc, _UNREACHED):
            detail = getattr(exc, "strerror", None) or type(exc).__name__
            return Unreachable(f"no connection: {detail}")
        case TimeoutError():
            return NoAnswer(f"no answer within {TIMEOUT:.0f} s")
        case _:
            return NoAnswer(f"the connection broke before the answer ({type(exc).__name__})")
