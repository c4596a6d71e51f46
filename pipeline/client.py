"""Asks a running daemon over its admin listener."""

import aiohttp
import msgspec
from msgspec import Struct

from pipeline.config import Server
from pipeline.errors import PipelineError
from pipeline.status import Status

_TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=2.0)
_OK = 200
_UNAUTHORIZED = 401

_status = msgspec.json.Decoder(Status)


class _Error(Struct, frozen=True):
    error: str


class Refused(PipelineError):
    """The daemon says why it does not do what was asked."""


async def fetch_status(server: Server) -> Status | None:
    """Give the status document; None when no daemon answers at `server.admin`.

    Raises PipelineError when something answers that is not our daemon, refuses us, or cannot tell.
    """
    try:
        body = await call(server, "GET", "/api/status")
    except Refused as exc:
        msg = f"the daemon at {server.admin} cannot tell: {exc}"
        raise PipelineError(msg) from exc
    if body is None:
        return None
    try:
        return _status.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        msg = f"what listens at {server.admin} is not a pipeline of this version"
        raise PipelineError(msg) from exc


async def call(
    server: Server,
    method: str,
    path: str,
    *,
    body: object = None,
    timeout: float | None = None,  # noqa: ASYNC109 - of the request, as aiohttp has it
) -> bytes | None:
    """Send one request to the daemon, and give its answer; None when nobody answers.

    `timeout` is in seconds, where it takes longer to answer than it does as a rule.
    Raises Refused with the daemon's sentence when it does not do it, and PipelineError when it is
    no daemon, or refuses our token.
    """
    address = server.admin
    connector = aiohttp.UnixConnector(str(address.socket)) if address.socket else None
    host = "localhost" if address.socket else str(address)
    # A name that the daemon knows, whatever name the configuration calls its address by.
    headers = {"Host": "localhost"}
    if server.admin_token:
        headers["Authorization"] = f"Bearer {server.admin_token.reveal()}"
    if body is not None or method != "GET":
        headers["Content-Type"] = "application/json"
    patience = _TIMEOUT if timeout is None else aiohttp.ClientTimeout(total=timeout, connect=2.0)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
        try:
            async with session.request(
                method,
                f"http://{host}{path}",
                data=msgspec.json.encode(body) if body is not None else None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
    if response.status == _OK:
        return answer
    if response.status == _UNAUTHORIZED:
        msg = f"the daemon at {address} refuses server.admin_token: has it been changed since?"
        raise PipelineError(msg)
    try:
        raise Refused(msgspec.json.decode(answer, type=_Error).error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        msg = f"what listens at {address} answered {response.status}: is it this pipeline?"
        raise PipelineError(msg) from None
