"""The admin listener: health, readiness and status, for people and machines that may know.

It guards itself as if a browser on the same machine were hostile: a web page can make that browser
send requests here, under a name of its own (DNS rebinding), so the Host must be one of ours, and
what changes anything must say that it is JSON and come from our own origin.
"""

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.config import Server
from pipeline.report import Reporter

_OPEN = {"/healthz", "/"}
_SAFE = {"GET", "HEAD"}


def admin_app(server: Server, reporter: Reporter) -> web.Application:
    """Make the application of the admin listener."""
    app = web.Application(middlewares=[_guard(server)])
    admin = _Admin(reporter)
    app.router.add_get("/healthz", admin.healthz)
    app.router.add_get("/readyz", admin.readyz)
    app.router.add_get("/api/status", admin.status)
    return app


class _Admin:
    """The handlers."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

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


def _guard(server: Server) -> Middleware:
    token = server.admin_token.reveal().encode() if server.admin_token else None

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_ours(request.headers.get("Host", ""), server.admin_hosts):
            return _no(421, "this Host name is not in server.admin_hosts")
        if token is not None and request.path not in _OPEN and not _has_token(request, token):
            return _no(401, "Authorization: Bearer with server.admin_token is needed")
        if request.method not in _SAFE and (reason := _foreign(request)):
            return _no(403, reason)
        response = await handler(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    return guard


def _no(status: int, reason: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004
    body = msgspec.json.encode({"error": reason})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _is_ours(host: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether a Host header names us: an IP address, localhost, or a configured name."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    if name == "localhost" or name in {one.lower() for one in allowed}:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _has_token(request: web.Request, token: bytes) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    matches = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token)
    return matches and scheme.lower() == "bearer"


def _foreign(request: web.Request) -> str | None:
    """Tell why a changing request may have been made by a foreign page; None when it was not."""
    if request.content_type != "application/json":
        return "Content-Type: application/json is needed"
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
        return "the Origin is another one"
    return None
