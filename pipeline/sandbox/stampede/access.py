"""Who may call the simulated Stampede, and how often."""

import math

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.sandbox.answers import Document, Refused, read_document, reply
from pipeline.sandbox.control import PREFIX
from pipeline.sandbox.stampede.peer import STAMPEDE, Stampede
from pipeline.sandbox.window import SlidingWindow


class Permissions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/permissions` takes."""

    #: such as "GET /v1/venues"; they answer 403
    missing: tuple[str, ...] = ()


_permissions_decoder = msgspec.json.Decoder(Permissions)


@web.middleware
async def allowance(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts every request but the sandbox's own, whatever becomes of it."""
    if not request.path.startswith(PREFIX):
        stampede = request.app[STAMPEDE]
        _admit(stampede, stampede.window)
    return await handler(request)


@web.middleware
async def bearer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything under `/v1/` needs a valid token of a key that may, and so does a registration."""
    registers = request.path == request.app[STAMPEDE].settings.registration_path
    if registers or request.path.startswith("/v1/"):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not request.app[STAMPEDE].accepts(token):
            raise Refused(401, "Unauthorized")
        called = f"{request.method} {request.path}"
        missing = request.app[STAMPEDE].missing_permissions
        if any(called.startswith(permission) for permission in missing):
            # The vendor publishes no such answer; it has its most common shape here.
            raise Refused(403, "Forbidden")
    return await handler(request)


async def issue_token(request: web.Request) -> web.Response:
    """`POST /oauth/token`: JSON only, with its own limit and its own error shape."""
    stampede = request.app[STAMPEDE]
    _admit(stampede, stampede.token_window)
    try:
        body = await read_document(request)
    except Refused as exc:
        return _not_granted("invalid_request", str(exc.message))
    settings = stampede.settings
    if body.get("grant_type") != "client_credentials":
        return _not_granted("unsupported_grant_type", "grant_type must be client_credentials")
    if (body.get("client_id"), body.get("client_secret")) != (
        settings.client_id,
        settings.client_secret,
    ):
        return _not_granted("invalid_client", "Client authentication failed")
    answer: Document = {
        "access_token": stampede.issue_token(),
        "expires_in": settings.token_lifetime,
        "token_type": "Bearer",
        "scope": "ALL:ALL",
    }
    return reply(answer)


async def set_permissions(request: web.Request) -> web.Response:
    """`POST /_sandbox/permissions`: takes permissions away from the key, or gives them back."""
    permissions = _permissions_decoder.decode(await request.read())
    request.app[STAMPEDE].missing_permissions = permissions.missing
    return reply({"missing": permissions.missing})


async def revoke_tokens(request: web.Request) -> web.Response:
    """`DELETE /_sandbox/tokens`: every token is refused from now on."""
    request.app[STAMPEDE].revoke_tokens()
    return reply({"tokens": 0})


def _not_granted(error: str, description: str) -> web.Response:
    return reply({"error": error, "error_description": description}, 400)


def _admit(stampede: Stampede, window: SlidingWindow) -> None:
    wait = window.admit()
    if wait is None:
        return
    # Rounded up: a client that comes back after so many whole seconds is admitted.
    headers = {"Retry-After": str(math.ceil(wait))} if stampede.settings.retry_after else {}
    raise Refused(429, "Too Many Requests", headers)
