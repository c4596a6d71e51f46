"""What every simulated API has under `/_sandbox/`: its state, its request log, its faults."""

import asyncio
import socket
import struct
import time
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.faults import Fault, Faults
from pipeline.sandbox.requestlog import LoggedRequest, RequestLog
from pipeline.sandbox.window import Clock

PREFIX = "/_sandbox/"

_fault_decoder = msgspec.json.Decoder(Fault)


class Peer(Protocol):
    """What a simulated API shows to its control."""

    def state(self) -> Document:
        """All that it holds."""

    def reset(self) -> None:
        """Back to how it started."""

    def error(self, _: web.Request, status: int, message: str | list[str], /) -> web.Response:
        """An error in the vendor's own shape."""


class Control:
    """The log and the faults of one simulated API."""

    def __init__(self, peer: Peer, clock: Clock = time.time) -> None:
        self.peer = peer
        self.log = RequestLog(clock)
        self.faults = Faults()
        #: set when the server closes, so that nothing hangs on
        self.closing = asyncio.Event()


class Lost(web.Response):
    """Stands for an answer that never left: its connection is already gone."""


CONTROL = web.AppKey("control", Control)
_ENTRY = web.RequestKey("entry", LoggedRequest)


def install(app: web.Application, control: Control) -> None:
    """Adds the routes; `record`, `translate` and `strike` are the application's middlewares."""
    app[CONTROL] = control
    app.on_shutdown.append(_close)
    app.router.add_get(PREFIX + "state", _show_state)
    app.router.add_get(PREFIX + "requests", _show_requests)
    app.router.add_post(PREFIX + "faults", _add_fault)
    app.router.add_delete(PREFIX + "faults", _clear_faults)
    app.router.add_post(PREFIX + "reset", _reset)


@web.middleware
async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Logs the vendor's requests; outermost, so that refused and faulted ones are there too."""
    if request.path.startswith(PREFIX):
        return await handler(request)
    log = request.app[CONTROL].log
    entry = request[_ENTRY] = log.open(request.method, request.path, request.query_string)
    answer = await handler(request)
    entry.status = None if isinstance(answer, Lost) else answer.status
    return answer


@web.middleware
async def translate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Words what is raised: in the vendor's shape, or for `/_sandbox/` as one plain sentence."""
    try:
        return await handler(request)
    except Refused as exc:
        answer = _worded(request, exc.status, exc.message)
        answer.headers.extend(exc.headers or {})
        return answer
    except web.HTTPException as exc:
        return _worded(request, exc.status, exc.reason)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return _worded(request, 400, str(exc))


def _worded(request: web.Request, status: int, message: str | list[str]) -> web.Response:
    if request.path.startswith(PREFIX):
        sentence = message if isinstance(message, str) else "; ".join(message)
        return reply({"error": sentence}, status)
    return request.app[CONTROL].peer.error(request, status, message)


@web.middleware
async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Commits the faults; innermost, so that a struck request still counts against the limits."""
    control = request.app[CONTROL]
    if request.path.startswith(PREFIX):
        return await handler(request)
    fault = control.faults.draw(request.method, request.path)
    if fault is None:
        return await handler(request)
    request[_ENTRY].fault = fault.kind
    if fault.kind == "slow" and not fault.after:
        await asyncio.sleep(fault.delay)
        return await handler(request)
    answer = await handler(request) if fault.after else None
    return await _spoil(request, fault, answer)


async def _spoil(
    request: web.Request, fault: Fault, answer: web.StreamResponse | None
) -> web.StreamResponse:
    """What leaves instead of `answer`, which is None when the request took no effect."""
    match fault.kind:
        case "slow" if answer is not None:
            await asyncio.sleep(fault.delay)
            return answer
        case "timeout":
            await request.app[CONTROL].closing.wait()
            return _aborted(request)
        case "reset":
            return _aborted(request)
        case "garbage":
            return _garbage(answer)
        case status:
            quoted = (await request.read()).decode(errors="replace") if fault.quotes else ""
            return _error(request, int(status), fault.retry_after, quoted)


def _aborted(request: web.Request) -> web.Response:
    """Ends the connection at once; a TCP peer sees a reset, not an orderly end."""
    transport = request.transport
    if transport is not None:
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None:
            no_lingering = struct.pack("ii", 1, 0)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
        transport.abort()
    return Lost()


def _garbage(answer: web.StreamResponse | None) -> web.Response:
    """Half of the real answer if there is one, else the page of a proxy in between."""
    if isinstance(answer, web.Response) and isinstance(answer.body, bytes) and answer.body:
        half = answer.body[: len(answer.body) // 2]
        return web.Response(body=half, content_type="application/json")
    return web.Response(text="<html><body>Bad Gateway</body></html>", content_type="text/html")


def _error(
    request: web.Request, status: int, retry_after: int | str | None, quoted: str
) -> web.Response:
    message = f"Sandbox Fault {quoted}".rstrip()
    answer = request.app[CONTROL].peer.error(request, status, message)
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


async def _close(app: web.Application) -> None:
    app[CONTROL].closing.set()


async def _show_state(request: web.Request) -> web.Response:
    control = request.app[CONTROL]
    common = {"requests": control.log.total, "faults": control.faults.state()}
    return reply(common | control.peer.state())


async def _show_requests(request: web.Request) -> web.Response:
    return reply(request.app[CONTROL].log.entries())


async def _add_fault(request: web.Request) -> web.Response:
    faults = request.app[CONTROL].faults
    faults.add(_fault_decoder.decode(await request.read()))
    return reply(faults.state())


async def _clear_faults(request: web.Request) -> web.Response:
    request.app[CONTROL].faults.clear()
    return reply([])


async def _reset(request: web.Request) -> web.Response:
    control = request.app[CONTROL]
    control.peer.reset()
    control.faults.clear()
    control.log.clear()
    return reply({"reset": True})
