"""Asks a running daemon over its admin listener."""

import aiohttp
import msgspec
from msgspec import Struct

from pipeline.config import Server
from pipeline.errors import PipelineError
from pipeline.status import Status

_TIMEOUT = aiohttp.ClientTimeout(total=5.0, connect=2.0)
_OK = 200
_UNAUTHORIZED = 401
_UNAVAILABLE = 503


class _Refusal(Struct, frozen=True, kw_only=True):
    error: str


_status = msgspec.json.Decoder(Status)
_refusal = msgspec.json.Decoder(_Refusal)


async def fetch_status(server: Server) -> Status | None:
    """Give the status document; None when no daemon answers at `server.admin`.

    Raises PipelineError when something answers that is not our daemon, refuses us, or cannot tell.
    """
    address = server.admin
    connector = aiohttp.UnixConnector(str(address.socket)) if address.socket else None
    host = "localhost" if address.socket else str(address)
    # A name that the daemon knows, whatever name the configuration calls its address by.
    headers = {"Host": "localhost"}
    if server.admin_token:
        headers["Authorization"] = f"Bearer {server.admin_token.reveal()}"
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
        try:
            url = f"http://{host}/api/status"
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
    if response.status == _UNAUTHORIZED:
        msg = f"the daemon at {address} refuses server.admin_token: has it been changed since?"
        raise PipelineError(msg)
    if response.status == _UNAVAILABLE and (reason := _reason(body)):
        msg = f"the daemon at {address} cannot tell: {reason}"
        raise PipelineError(msg)
    if response.status != _OK:
        msg = f"what listens at {address} answered {response.status}: is it this pipeline?"
        raise PipelineError(msg)
    try:
        return _status.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        msg = f"what listens at {address} is not a pipeline of this version"
        raise PipelineError(msg) from exc


def _reason(body: bytes) -> str | None:
    """Read why our daemon cannot answer; None when it was not our daemon that said so."""
    try:
        return _refusal.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
