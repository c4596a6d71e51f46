"""The HTTP server of the webhook listener: aiohttp's, with every refusal of its own turned to 503.

`web.Application` would answer 405, 417 or 500, and the parser 400; so the low-level server is used,
with one handler and one way to say no.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from pipeline.log import Log, trace
from pipeline.settings import Address

#: Seconds an idle connection is kept: above the 60 s or so of common proxies, so that it is the
#: proxy that closes.
_KEEPALIVE = 75.0

#: Seconds in which what a refused client still sends is read and thrown away.
_LINGERING = 5.0

#: SD_LISTEN_FDS_START of sd_listen_fds(3).
_FIRST_HANDED_OVER = 3

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


#: Answers one request.
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """The request is not accepted: answer 503, and nothing was stored."""


class _Protocol(RequestHandler):
    """A connection on which errors, the parser's too, are answered 503."""

    __slots__ = ()

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
    """Runs one handler for all requests of a listener."""

    def __init__(self, handler: Handler, log: Log) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await _answer(handler, request, log)

        super().__init__(
            answer, access_log=None, keepalive_timeout=_KEEPALIVE, lingering_time=_LINGERING
        )

    def __call__(self) -> RequestHandler:
        """Make the protocol of a new connection."""
        return _Protocol(self, loop=self._loop, **self._kwargs)


def refused() -> web.Response:
    """Make the one answer that asks for a repetition."""
    response = web.Response(status=503)
    response.force_close()
    return response


async def _answer(handler: Handler, request: web.BaseRequest, log: Log) -> web.StreamResponse:
    try:
        expected = request.headers.get("Expect")
        if expected is not None:
            await _expect(request, expected)
        return await handler(request)
    except Refusal:
        return refused()
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as exc:  # noqa: BLE001 - the last resort of a listener that must say 503
        # What the parser finds in a body (framing, encoding) comes as an exception of the read.
        log.warning("refused", reason="the request could not be read", trace=trace(exc))
        return refused()


async def _expect(request: web.BaseRequest, expected: str) -> None:
    """Ask for the body if the client waits to be asked (RFC 9110 §10.1.1)."""
    if expected.strip().lower() != "100-continue":
        raise Refusal("an expectation that is not understood")
    await request.writer.write(_CONTINUE)
    # It is no part of the answer, whose beginning aiohttp recognises by this count.
    request.writer.output_size = 0


async def start_site(runner: web.BaseRunner, address: Address, *, inherit: bool = False) -> str:
    """Listen, and tell where; with `inherit`, a socket handed over by systemd wins.

    Raises OSError when the address is not to be had.
    """
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
    return f"{bound[0]}:{bound[1]}" if isinstance(bound, tuple) else str(bound)


def _inherited() -> socket.socket | None:
    """Give the first socket of systemd's (sd_listen_fds(3)), if it is meant for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") == "0":
        return None
    return socket.socket(fileno=_FIRST_HANDED_OVER)
