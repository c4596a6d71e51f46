"""The HTTP server of the webhook listener: aiohttp's, with every refusal of its own turned to 503.

`web.Application` would answer 405, 417 or 500, and the parser 400; so the low-level server is used,
with one handler and one way to say no.
"""

import asyncio
import functools
import os
import socket
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from yarl import URL

from pipeline.log import Log, trace
from pipeline.settings import Address

#: Seconds an idle connection is kept: above the 60 s or so of common proxies, so that it is the
#: proxy that closes.
_KEEPALIVE = 75.0

#: Seconds in which what a refused client still sends is read and thrown away.
_LINGERING = 5.0

#: SD_LISTEN_FDS_START of sd_listen_fds(3).
_FIRST_HANDED_OVER = 3

_REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

#: Stands in for a target that cannot be understood; nothing is there on either listener.
_NOWHERE = URL("/webhooks/")

#: Answers one request.
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


#: Takes in one request that is nothing out of the ordinary; None when it is not one.
PlainHandler = Callable[[RawRequestMessage, StreamReader], Awaitable[None] | None]


class Refusal(Exception):
    """The request is not accepted: answer 503, and nothing was stored."""


def never_plain(message: RawRequestMessage, content: StreamReader) -> None:
    """Leave every request to the ordinary handler."""


class _Protocol(RequestHandler):
    """A connection on which plain webhooks are taken in at once, and errors are answered 503."""

    __slots__ = ("_log", "_plain")

    def __init__(self, server: web.Server, plain: PlainHandler, log: Log, **options: Any) -> None:
        super().__init__(server, **options)
        self._plain = plain
        self._log = log

    async def start(self) -> None:
        """Take in plain webhooks in the connection's own task, and leave the rest to aiohttp.

        It makes an object and a task of every request; making and waking them is a good part of
        what a webhook costs. From the first message on that is not plain, the connection is
        aiohttp's.
        """
        while not self._force_close:
            if not self._messages:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            message, content = self._messages[0]
            quiet = not (self._buffer_paused or self._paused or self._close)
            if not isinstance(message, RawRequestMessage) or not quiet:
                break
            taking = self._plain(message, content)
            if taking is None:
                break
            self._messages.popleft()
            if not await self._take(taking):
                return
        if not self._force_close:
            await super().start()

    async def _take(self, taking: Awaitable[None]) -> bool:
        """Wait until a webhook is taken in, and answer; False when that was the last answer."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._manager is not None:
            self._manager.requests_count += 1
        self._request_in_progress = True
        accepted = False
        try:
            await taking
            accepted = True
        except Refusal:
            pass
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception as exc:  # noqa: BLE001 - the last resort of a listener that must say 503
            self._log.error("failed unexpectedly", stage="receive", trace=trace(exc))
        finally:
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if self.transport is not None:
            self.transport.write(_accepted_at(int(time.time())) if accepted else _REFUSED)
        if not accepted or self._close:
            self.force_close()
            return False
        self._stay_alive()
        return True

    def _stay_alive(self) -> None:
        """Have the connection closed when it is idle for too long, as aiohttp does."""
        close_at = self._loop.time() + self._keepalive_timeout
        self._next_keepalive_close_time = close_at
        if self._keepalive_handle is None and not self._force_close:
            self._keepalive_handle = self._loop.call_at(close_at, self._process_keepalive)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer 503 and close, whatever went wrong; a stranger's bytes are worth no log line."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        return refused()


class WebhookServer(web.Server):
    """Runs one handler for all requests of a listener; `plain` is asked first."""

    def __init__(self, handler: Handler, log: Log, *, plain: PlainHandler = never_plain) -> None:
        super().__init__(
            self._answer,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE,
            lingering_time=_LINGERING,
        )
        self._handler = handler
        self._plain = plain
        self._log = log

    def __call__(self) -> RequestHandler:
        """Make the protocol of a new connection."""
        return _Protocol(self, self._plain, self._log, loop=self._loop, **self._kwargs)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            expected = request.headers.get(hdrs.EXPECT)
            if expected is not None:
                await _expect(request, expected)
            return await self._handler(request)
        except Refusal:
            return refused()
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as exc:  # noqa: BLE001 - the last resort of a listener that must say 503
            if request.transport is not None:  # else it has hung up, and reading failed for that
                self._log.error("failed unexpectedly", stage="receive", trace=trace(exc))
            return refused()


@functools.lru_cache(maxsize=1)
def _accepted_at(second: int) -> bytes:
    date = formatdate(second, usegmt=True)
    return f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n".encode()


def refused() -> web.Response:
    """Make the one answer that asks for a repetition."""
    response = web.Response(status=503)
    response.force_close()
    return response


async def _expect(request: web.BaseRequest, expected: str) -> None:
    """Ask for the body if the client waits to be asked (RFC 9110 §10.1.1)."""
    if expected.strip().lower() != "100-continue":
        raise Refusal("an expectation that is not understood")
    if request.version < HttpVersion11:
        return  # knows no interim answers
    await request.writer.write(_CONTINUE)
    # It is no part of the answer, whose beginning aiohttp recognises by this count.
    request.writer.output_size = 0


async def start_site(runner: web.BaseRunner, address: Address, *, inherit: bool = False) -> str:
    """Listen, and tell where; with `inherit`, a socket handed over by systemd wins.

    Raises OSError when the address is not to be had.
    """
    if runner.server is not None:
        runner.server.request_factory = _tolerant(runner.server.request_factory)
    site: web.BaseSite
    handed_over = _inherited() if inherit else None
    if handed_over is not None:
        site = web.SockSite(runner, handed_over)
    elif address.socket is not None:
        site = web.UnixSite(runner, address.socket)
    else:
        site = web.TCPSite(runner, address.host, address.port)
    await site.start()
    bound = runner.addresses[-1]
    return str(Address(host=bound[0], port=bound[1]) if isinstance(bound, tuple) else bound)


def _tolerant(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Let every request be made that could be parsed.

    aiohttp cannot make one whose target names a host that IDNA refuses (`http://xn--/`): the task
    of that connection dies of it, and the connection stays open.
    """

    def tolerant(message: RawRequestMessage, *rest: object) -> web.BaseRequest:
        try:
            return make(message, *rest)
        except ValueError:
            return make(message._replace(url=_NOWHERE), *rest)

    return tolerant


def _inherited() -> socket.socket | None:
    """Give the first socket of systemd's (sd_listen_fds(3)), if it is meant for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if os.environ.get("LISTEN_FDS", "0") == "0":
        return None
    return socket.socket(fileno=_FIRST_HANDED_OVER)
