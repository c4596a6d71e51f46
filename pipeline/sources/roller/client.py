"""Talks to ROLLER's REST API: tokens, guests, bookings, the venue."""

from collections.abc import Sequence
from urllib.parse import quote

import msgspec
from msgspec import Struct

from pipeline.catalogue import Catalogue
from pipeline.errors import Failure, LaneFailure, Reject, Retry, Unauthorized, Unreadable
from pipeline.findings import Finding
from pipeline.flight import SharedFetch
from pipeline.model import Booking, Envelope, Event, Guest, Kind
from pipeline.notice import Notices, Redeemed, Waived
from pipeline.plugin import AccessToken, Call, ListedVenue, Reply, Session, VenueDetails
from pipeline.reports import Reports
from pipeline.sources.roller.catalogue import RollerCatalogue
from pipeline.sources.roller.drift import RollerDrift
from pipeline.sources.roller.examination import Examination
from pipeline.sources.roller.failures import failure
from pipeline.sources.roller.guests import read_guest
from pipeline.sources.roller.messages import (
    read_booking,
    read_booking_detail,
    read_envelope,
    read_search,
)
from pipeline.sources.roller.notices import (
    names,
    read_customer,
    read_redeemed,
    read_waived,
    shrink,
)
from pipeline.sources.roller.reports import RollerReports
from pipeline.sources.roller.settings import RollerSettings
from pipeline.sources.roller.subscriber import Subscriber
from pipeline.sources.roller.venue import read_listed_venue, read_venue
from pipeline.subscription import Subscriptions

_OK = 200
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
#: "Generally 24 hours": ROLLER's documentation, for an answer that does not say.
_TOKEN_LIFE = 86_400.0

#: That the search wants to be given: ROLLER's documentation.
_FEWEST_LETTERS = 3

_JSON = {"Content-Type": "application/json; charset=UTF-8", "Accept": "application/json"}


class _Credentials(Struct, frozen=True):
    client_id: str
    client_secret: str


class _Token(Struct, frozen=True):
    access_token: AccessToken
    expires_in: float = _TOKEN_LIFE


_token = msgspec.json.Decoder(_Token)


class Roller:
    """One ROLLER venue."""

    def __init__(self, name: str, settings: RollerSettings, session: Session) -> None:
        self.name = name
        self._settings = settings
        self._session = session
        self._token_fetch = SharedFetch()
        self.drift = RollerDrift()
        self._reports = RollerReports(self)

    @property
    def catalogue(self) -> Catalogue | None:
        """Where its products are asked for, unless the configuration says "off"."""
        every = self._settings.products
        return RollerCatalogue(self, every, self.drift) if every else None

    @property
    def reports(self) -> Reports | None:
        """Where it is asked what was modified: the Reporting API."""
        return self._reports

    @property
    def subscriptions(self) -> Subscriptions:
        """The venue's webhooks."""
        return Subscriber(self.name, self._settings, self)

    def envelope(self, body: bytes) -> Envelope:
        """Read the outside of a message; Unreadable says what is wrong."""
        return read_envelope(body)

    def booking(self, event: Event) -> Booking:
        """Read the booking in an event of kind booking; Unreadable says what is wrong."""
        return read_booking(event.body, event.action)

    @property
    def notices(self) -> Notices:
        """Read the messages of other kinds."""
        return self

    def customer(self, body: bytes) -> str:
        """Name the customer whose record has changed; Unreadable says what is wrong."""
        return read_customer(body)

    def redeemed(self, body: bytes) -> Sequence[Redeemed]:
        """Name the tickets that were redeemed; Unreadable says what is wrong."""
        return read_redeemed(body)

    def waived(self, body: bytes) -> Sequence[Waived]:
        """Tell for whom waivers were signed; Unreadable says what is wrong."""
        return read_waived(body)

    def shrunk(self, kind: Kind, body: bytes) -> bytes:
        """Write a message of these kinds anew with its ids and dates alone."""
        return shrink(kind, body)

    def names(self, body: bytes, customer: str) -> bool:
        """Tell whether any message, be it readable or not, names this customer."""
        return names(body, customer)

    def guest(self, customer: str, body: bytes) -> Guest:
        """Read an answer of `GET /guests/{customerId}`; Unreadable when it is none."""
        found = read_guest(customer, body)
        if found is None:
            msg = "not a guest as ROLLER answers GET /guests/{customerId} with"
            raise Unreadable(msg)
        return found

    async def fetch_guest(self, customer: str) -> Guest | None:
        """Ask `GET /guests/{customerId}`; None when ROLLER has no such guest.

        `GET /customers/{id}`, deprecated since May 2025, lacks the consent to SMS.
        """
        body = await self._get(f"/guests/{quote(customer, safe='')}")
        if body is None:
            return None
        self.drift.guest(body)
        return _readable(read_guest(customer, body), "guest")

    async def fetch_booking(self, booking: str) -> Booking | None:
        """Ask `GET /bookings/{uniqueId}`; None when ROLLER has no such booking."""
        body = await self._get(f"/bookings/{quote(booking, safe='')}")
        if body is None:
            return None
        self.drift.booking(body)
        try:
            return read_booking_detail(body)
        except Unreadable as exc:
            msg = f"ROLLER's answer for the booking cannot be read: {exc}"
            raise Reject(msg) from exc

    async def find_booking(self, ticket: str) -> str | None:
        """Ask `GET /bookings?keywords={ticketId}`, which finds also what is merely similar."""
        if len(ticket) < _FEWEST_LETTERS:
            return None
        body = await self._get(f"/bookings?keywords={quote(ticket, safe='')}")
        try:
            found = () if body is None else read_search(body)
        except Unreadable as exc:
            msg = f"ROLLER's answer for the ticket cannot be read: {exc}"
            raise Reject(msg) from exc
        return next((one.id for one in found if ticket in one.tickets), None)

    async def fetch_venue(self) -> VenueDetails:
        """Ask `GET /venues/me`; what it says and we cannot use is left out."""
        body = await self._get("/venues/me") or b"{}"
        self.drift.venue(body)
        return read_venue(body)

    async def list_venues(self) -> Sequence[ListedVenue]:
        """Name the one venue that the credentials belong to (`GET /venues/me`)."""
        body = await self._get("/venues/me") or b"{}"
        return (read_listed_venue(body, self.name),)

    async def examine(self) -> Sequence[Finding]:
        """Try the credentials, each endpoint, the venue's details and the webhooks."""
        return await Examination(self.name, self._settings, self).findings()

    async def _get(self, path: str) -> bytes | None:
        """Give the answer's body; None for a 404."""
        reply = await self.ask(path)
        if reply.status == _NOT_FOUND:
            return None
        if reply.status != _OK:
            raise failure(reply, path)
        return reply.body

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        longest: int = 1_048_576,
    ) -> Reply:
        """Ask once, and once more with a fresh token after a 401; any other answer is given.

        Of an answer, `longest` bytes are read.
        """
        reply = await self._ask(method, path, body, longest)
        if reply.status == _UNAUTHORIZED:
            reply = await self._ask(method, path, body, longest)
        if reply.status == _UNAUTHORIZED:
            msg = "ROLLER refuses a fresh token (401)"
            raise Unauthorized(msg)
        return reply

    async def _ask(self, method: str, path: str, body: bytes | None, longest: int) -> Reply:
        token = await self.authorise()
        url = self._settings.base_url + path
        headers = _JSON | {"Authorization": f"Bearer {token}"}
        call = Call(method=method, url=url, headers=headers, body=body, longest=longest)
        reply = await self._session.call(call)
        if reply.status == _UNAUTHORIZED:
            self._session.drop_token(token)
        return reply

    async def authorise(self) -> str:
        """Give the kept token or fetch one; of many callers at once, one asks (single flight).

        A failure is the lane's: no request can be made without a token, and no item is to blame.
        """
        async with self._token_fetch:
            try:
                return self._session.token() or await self._fetch_token()
            except LaneFailure:
                raise
            except Failure as exc:
                after = exc.after if isinstance(exc, Retry) else None
                raise LaneFailure(exc.reason, after=after) from exc

    async def _fetch_token(self) -> str:
        credentials = _Credentials(self._settings.client_id, self._settings.client_secret.reveal())
        url = f"{self._settings.base_url}/token"
        body = msgspec.json.encode(credentials)
        reply = await self._session.call(Call(method="POST", url=url, headers=_JSON, body=body))
        if reply.status in {400, _UNAUTHORIZED, _FORBIDDEN}:
            msg = f"ROLLER refuses the client id or secret ({reply.status} from /token)"
            raise Unauthorized(msg)
        if reply.status != _OK:
            raise failure(reply, "/token")
        try:
            token = _token.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            msg = "ROLLER answered 200 to /token without an access token that a header can carry"
            raise Retry(msg) from exc
        self._session.keep_token(token.access_token, lifetime=token.expires_in)
        return token.access_token


def _readable(found: Guest | None, what: str) -> Guest:
    if found is None:
        msg = f"ROLLER answered 200 without a {what}"
        raise Retry(msg)
    return found
