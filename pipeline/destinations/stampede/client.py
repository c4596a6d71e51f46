"""Talks to Stampede: fetches tokens, sends requests, understands the answers."""

import re
from collections.abc import Sequence
from urllib.parse import quote

import msgspec
from msgspec import Struct

from pipeline.destinations.stampede.mapping import StampedeMapper
from pipeline.destinations.stampede.replies import (
    fail,
    guest_among,
    guest_id,
    is_json,
    one_guest,
)
from pipeline.destinations.stampede.settings import StampedeSettings
from pipeline.destinations.stampede.venues import Forbidden, examine, fetch_venues
from pipeline.errors import Gone, NoAnswer, TokenRefused, Unauthorized
from pipeline.findings import Finding
from pipeline.model import Answer, Presence, Request
from pipeline.plugin import AccessToken, Call, ListedVenue, Reply, Session

_OK = range(200, 300)
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404

#: A path below one guest, who is known by the id.
_GUEST = re.compile(r"/v1/guests/[^/]+")

#: A token's life when the answer does not tell it: "expires in 24 hours" (Stampede's help centre).
_TOKEN_LIFE = 86_400.0

_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class _Credentials(Struct, frozen=True, kw_only=True):
    client_id: str
    client_secret: str
    grant_type: str = "client_credentials"


class _Token(Struct, frozen=True, kw_only=True):
    access_token: AccessToken
    expires_in: float = _TOKEN_LIFE


_token_decoder = msgspec.json.Decoder(_Token)


class Stampede:
    """One API key of one Stampede organisation."""

    def __init__(self, name: str, settings: StampedeSettings, session: Session) -> None:
        self.name = name
        self.rate_limit = settings.rate_limit
        self.mapper = StampedeMapper(settings)
        self.sources = tuple(settings.venues)
        self._settings = settings
        self._session = session

    def authorised(self) -> bool:
        """Tell whether a token is at hand."""
        return self._session.token() is not None

    async def authorise(self) -> None:
        """Fetch a token (`POST /oauth/token`, JSON) and keep it.

        Raises Unauthorized when the credentials are refused, else what `fail` raises.
        """
        secret = self._settings.client_secret.reveal()
        body = _Credentials(client_id=self._settings.client_id, client_secret=secret)
        call = self._call(
            "POST", "/oauth/token", msgspec.json.encode(body), _JSON, private=(secret,)
        )
        reply = await self._session.call(call)
        if reply.status in {400, 401, 403}:
            msg = f"Stampede refuses the client id or secret ({reply.status} from /oauth/token)"
            raise Unauthorized(msg)
        try:
            token = _token_decoder.decode(reply.body) if reply.status in _OK else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            token = None
        if token is None:
            raise fail(reply, call, promised="an access token that a header can carry")
        self._session.keep_token(token.access_token, lifetime=token.expires_in)

    async def send(self, request: Request) -> Answer:
        """Send one request; Answer only for a success whose body is what the call promises."""
        token = self._session.token()
        if token is None:
            raise TokenRefused("the token was dropped meanwhile", late=True)
        headers = _JSON | {"Authorization": f"Bearer {token}"}
        call = self._call(
            request.method,
            request.path,
            request.body or None,
            headers,
            query=request.query,
            private=(token, *request.private),
            once=request.once,
        )
        reply = await self._session.call(call)
        if reply.status == _UNAUTHORIZED:
            dropped = self._session.drop_token(token)
            raise TokenRefused("Stampede refuses the token (401)", late=not dropped)
        return _understand(request, reply, call)

    async def examine(self) -> Sequence[Finding]:
        """Try the credentials and the serials of the mapped venues (`GET /v1/venues`)."""
        return await examine(self, self.name, self._settings)

    async def list_venues(self) -> Sequence[ListedVenue]:
        """Name all venues of the API key's organisation (`GET /v1/venues`)."""
        return await fetch_venues(self, self._settings.venues)

    async def fetch(self, path: str, query: str = "") -> bytes:
        """Ask with GET, fetching a token first if need be, and once more after a 401.

        Raises Forbidden for a 403, Unauthorized, and for the rest what `fail` raises.
        """
        reply, call = await self._get(path, query)
        if reply.status == _UNAUTHORIZED:
            reply, call = await self._get(path, query)
        if reply.status == _UNAUTHORIZED:
            raise Unauthorized("Stampede refuses a fresh token (401)")
        if reply.status == _FORBIDDEN:
            raise Forbidden(fail(reply, call).reason)
        if reply.status not in _OK:
            raise fail(reply, call)
        return reply.body

    async def _get(self, path: str, query: str) -> tuple[Reply, Call]:
        token = self._session.token()
        if token is None:
            await self.authorise()
            token = self._session.token() or ""
        headers = _JSON | {"Authorization": f"Bearer {token}"}
        call = self._call("GET", path, None, headers, query=query, private=(token,))
        reply = await self._session.call(call)
        if reply.status == _UNAUTHORIZED:
            self._session.drop_token(token)
        return reply, call

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        query: str = "",
        private: tuple[str, ...],
        once: bool = False,
    ) -> Call:
        url = self._settings.base_url + quote(path, safe="/-._~") + (f"?{query}" if query else "")
        return Call(method=method, url=url, headers=headers, body=body, private=private, once=once)


def _understand(request: Request, reply: Reply, call: Call) -> Answer:
    named = _GUEST.match(request.path)
    if reply.status == _NOT_FOUND and named:
        if request.method == "GET":
            return Answer(presence=Presence(remote_id=None))
        raise Gone(fail(reply, call).reason)
    if reply.status not in _OK:
        raise fail(reply, call)
    if request.method == "GET":
        return Answer(presence=_presence(request, reply, call))
    if request.once:
        if not is_json(reply.body):
            msg = f"Stampede answered {reply.status} without JSON"
            raise NoAnswer(msg)
        return Answer()
    if named:
        if not is_json(reply.body):
            raise fail(reply, call, promised="JSON")
        return Answer()
    remote_id = guest_id(reply.body)
    if remote_id is None:
        raise fail(reply, call, promised="the guest's id")
    return Answer(remote_id=remote_id)


def _presence(request: Request, reply: Reply, call: Call) -> Presence:
    """Read who was asked for: one guest by the id, or one of a list; both by the e-mail."""
    read = guest_among if request.query else one_guest
    found = read(reply.body, request.about or "")
    if found is None:
        raise fail(reply, call, promised="the guest that was asked for")
    return found
