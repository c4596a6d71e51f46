"""The admin listener: health, readiness and status, for people and machines that may know.

It guards itself as if a browser on the same machine were hostile: a web page can make that browser
send requests here, under a name of its own (DNS rebinding), so the Host must be one of ours, and
what changes anything must say that it is JSON and come from our own origin.
"""

import hmac
import re
from collections.abc import Mapping
from ipaddress import ip_address

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.api import add_routes
from pipeline.config import Server
from pipeline.desk import Desk
from pipeline.errors import OutboxUnavailable
from pipeline.gauges import Gauges
from pipeline.metrics import CONTENT_TYPE
from pipeline.report import Reporter

#: A name or an address, an IPv6 one in brackets, and a port.
_HOST = re.compile(r"(\[[^]]+\]|[^][:/?#@]+)(?::\d+)?")

_OPEN = {"/healthz", "/"}
_OPEN_FOLDER = "/static/"
_SAFE = {"GET", "HEAD"}

#: On every answer, unless it says otherwise itself: nobody may guess its type, keep it, frame it,
#: run anything in it, or learn where it came from.
_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def admin_app(server: Server, reporter: Reporter, desk: Desk, gauges: Gauges) -> web.Application:
    """Make the application of the admin listener."""
    app = web.Application(middlewares=[_guard(server)])
    app.on_response_prepare.append(_harden)
    admin = _Admin(reporter, gauges)
    app.router.add_get("/healthz", admin.healthz)
    app.router.add_get("/readyz", admin.readyz)
    app.router.add_get("/api/status", admin.status)
    app.router.add_get("/metrics", admin.metrics)
    add_routes(app, desk)
    return app


class _Admin:
    """The handlers."""

    def __init__(self, reporter: Reporter, gauges: Gauges) -> None:
        self._reporter = reporter
        self._gauges = gauges

    async def healthz(self, _: web.Request) -> web.Response:
        """Say that the process lives."""
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        """Say whether webhooks are accepted and work goes on, and if not, why."""
        reasons = self._reporter.blockers()
        return web.Response(status=503 if reasons else 200, text="\n".join(reasons) or "ready")

    async def status(self, _: web.Request) -> web.Response:
        """Give the status document."""
        body = msgspec.json.encode(await self._reporter.status())
        return web.Response(body=body, content_type="application/json")

    async def metrics(self, _: web.Request) -> web.Response:
        """Give all metrics as Prometheus reads them."""
        body = await self._gauges.text()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def _guard(server: Server) -> Middleware:
    token = server.admin_token.reveal().encode() if server.admin_token else None

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_ours(request.headers.get("Host", ""), server.admin_hosts):
            return _no(421, "this Host name is not in server.admin_hosts")
        if token is not None and not _is_open(request.path) and not _has_token(request, token):
            return _no(401, "Authorization: Bearer with server.admin_token is needed")
        if request.method not in _SAFE and (reason := _foreign(request)):
            return _no(403, reason)
        try:
            return await handler(request)
        except OutboxUnavailable as exc:
            return _no(503, str(exc))

    return guard


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _no(status: int, reason: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004
    body = msgspec.json.encode({"error": reason})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _is_ours(host: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether a Host header names us: an IP address, localhost, or a configured name."""
    found = _HOST.fullmatch(host)
    name = found[1].lower() if found else ""
    if name == "localhost" or name in {one.lower() for one in allowed}:
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _has_token(request: web.Request, token: bytes) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    matches = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token)
    return matches and scheme.lower() == "bearer"


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDER)


def _foreign(request: web.Request) -> str | None:
    """Tell why a changing request may have been made by a foreign page; None when it was not."""
    # Read by hand: the parsers of aiohttp and urllib raise on some of what may stand in these.
    kind = request.headers.get("Content-Type", "").partition(";")[0]
    if kind.strip().lower() != "application/json":
        return "Content-Type: application/json is needed"
    origin = request.headers.get("Origin")
    host = request.headers.get("Host", "")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return "the Origin is another one"
    return None
