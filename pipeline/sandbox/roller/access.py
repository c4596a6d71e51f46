"""Who may call the simulated ROLLER, what, and how often."""

import math

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.sandbox.answers import Refused, read_document, reply
from pipeline.sandbox.control import PREFIX
from pipeline.sandbox.roller.data import Venue
from pipeline.sandbox.roller.peer import ROLLER, Roller

VENUE = web.RequestKey("venue", Venue)


class Permissions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/permissions` takes."""

    venue: str | None = None
    #: such as "GET /guests"; they answer 403
    missing: tuple[str, ...] = ()


_permissions_decoder = msgspec.json.Decoder(Permissions)


@web.middleware
async def bearer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The token decides the venue; its limit and its key's permissions hold from here on."""
    if request.path == "/token" or request.path.startswith(PREFIX):
        return await handler(request)
    roller = request.app[ROLLER]
    _, _, token = request.headers.get("Authorization", "").partition("Bearer ")
    venue = roller.bearer(token)
    if venue is None:
        raise Refused(401, "Unauthorized")
    _admit(roller, venue, request)
    called = f"{request.method} {request.path}"
    if any(called.startswith(permission) for permission in venue.missing_permissions):
        raise Refused(403, "The API key lacks the permission for this endpoint.")
    request[VENUE] = venue
    return await handler(request)


async def issue_token(request: web.Request) -> web.Response:
    """`POST /token`: JSON only; wrong credentials are a 400, not a 401."""
    roller = request.app[ROLLER]
    body = await read_document(request)
    venue = roller.venues.get(str(body.get("client_id")))
    if venue is None or body.get("client_secret") != venue.settings.client_secret:
        raise Refused(400, "Invalid client credentials.")
    _admit(roller, venue, request)
    answer = {
        "access_token": roller.token(venue),
        "token_type": "Bearer",
        "expires_in": roller.settings.token_lifetime,
    }
    return reply(answer)


async def set_permissions(request: web.Request) -> web.Response:
    """Takes permissions away from a venue's API key, or gives them back."""
    permissions = _permissions_decoder.decode(await request.read())
    venue = request.app[ROLLER].venue(permissions.venue)
    venue.missing_permissions = permissions.missing
    return reply({"missing": permissions.missing})


async def revoke_tokens(request: web.Request) -> web.Response:
    """`DELETE /_sandbox/tokens`: every token is refused from now on."""
    for venue in request.app[ROLLER].venues.values():
        venue.token_ends = 0.0
    return reply({"tokens": 0})


def _admit(roller: Roller, venue: Venue, request: web.Request) -> None:
    settings = roller.settings
    calls = venue.usage.count(roller.now(), request.method, request.path)
    if settings.monthly_calls is not None and calls > settings.monthly_calls:
        raise Refused(settings.monthly_refusal, "The month's API calls are used up.")
    window = venue.report_window if _is_report(request.path) else venue.window
    wait = window.admit()
    if wait is None:
        return
    headers = {"Retry-After": str(math.ceil(wait))} if settings.retry_after else {}
    raise Refused(429, "Too Many Requests", headers)


def _is_report(path: str) -> bool:
    """Whether it belongs to the Reporting API, at the same address."""
    return path.startswith(("/data/", "/reporting/"))
