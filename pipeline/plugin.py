"""What the core asks of a plug-in, and what it gives to one.

A plug-in knows its peer's words: addresses, payloads, answers. It never sees the outbox, a stage
or another plug-in; whatever it needs of the world comes through `Session`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from pipeline.catalogue import Catalogue
from pipeline.contact import Contact
from pipeline.drift import Drift
from pipeline.findings import Finding
from pipeline.model import (
    Answer,
    Booking,
    Envelope,
    Event,
    Guest,
    Request,
    ToldConsent,
)
from pipeline.notice import Notices
from pipeline.reports import Reports
from pipeline.settings import RateLimit
from pipeline.subscription import Subscriptions
from pipeline.visit import Visit

#: An access token that a header can carry: RFC 6749 appendix A.12, without spaces.
AccessToken = Annotated[str, Meta(pattern=r"^[!-~]+\Z")]


class Call(Struct, frozen=True, kw_only=True):
    """One HTTP request as it goes out."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    #: JSON, or nothing.
    body: bytes | None = None
    #: What must not be shown of an answer that quotes it, secrets too; it is not sent by itself.
    private: tuple[str, ...] = ()
    #: It needs a connection of its own: see `Request.once`.
    once: bool = False
    #: Bytes of the answer that are read; more than a megabyte is promised by few calls.
    longest: int = 1_048_576


class Reply(Struct, frozen=True, kw_only=True):
    """One HTTP answer, read whole (at most `Call.longest` of it)."""

    status: int
    body: bytes
    #: Seconds, from either form of Retry-After; None without one.
    retry_after: float | None = None


class Session(Protocol):
    """A plug-in's way to its peer: HTTP and a place for its token."""

    async def call(self, call: Call) -> Reply:
        """Send and read the answer, whatever its status.

        Raises Unreachable when no connection came about and NoAnswer when no answer did.
        """

    def token(self) -> str | None:
        """Give the kept access token; None when there is none or it is about to expire."""

    def keep_token(self, token: str, *, lifetime: float) -> None:
        """Keep a token for `lifetime` seconds, across restarts too."""

    def drop_token(self, token: str) -> bool:
        """Forget this token; False when it was not the one kept (any more)."""


class VenueDetails(Struct, frozen=True, kw_only=True):
    """What a source knows of its venue; None where it does not."""

    timezone: str | None = None
    currency: str | None = None
    country: str | None = None


class ListedVenue(Struct, frozen=True, kw_only=True):
    """A venue as its peer names it."""

    id: str
    name: str
    #: The sources that the configuration maps to it.
    sources: tuple[str, ...] = ()


class Source(Protocol):
    """A place where bookings come from."""

    @property
    def subscriptions(self) -> Subscriptions | None:
        """What can be done about its webhooks; None where that is nothing."""

    @property
    def catalogue(self) -> Catalogue | None:
        """Where its products are asked for; None where it has no such thing."""

    @property
    def drift(self) -> Drift | None:
        """What compares its messages with what is known of them; None where nothing does."""

    @property
    def notices(self) -> Notices | None:
        """What reads its messages that are about no booking; None where it sends none."""

    @property
    def reports(self) -> Reports | None:
        """Where it is asked what was modified; None where it has no such thing."""

    def envelope(self, body: bytes) -> Envelope:
        """Read the outside of a message; Unreadable says what is wrong."""

    def booking(self, event: Event) -> Booking:
        """Read the booking in an event of kind booking; Unreadable says what is wrong."""

    def guest(self, customer: str, body: bytes) -> Guest:
        """Read a guest as the source answers with; Unreadable when it is none."""

    async def fetch_guest(self, customer: str) -> Guest | None:
        """Ask for a guest as they are now; None when the source has none by this id."""

    async def fetch_booking(self, booking: str) -> Booking | None:
        """Ask for a booking as it is now; None when the source has none by this id."""

    async def fetch_venue(self) -> VenueDetails:
        """Ask for the venue that the credentials belong to."""

    async def examine(self) -> Sequence[Finding]:
        """Try everything that it needs of its peer; changes nothing there, and raises nothing."""

    async def list_venues(self) -> Sequence[ListedVenue]:
        """Name the venues that the credentials belong to."""


class ConsentFeeds(Struct, frozen=True, kw_only=True):
    """Which consent of the source feeds each of a destination's: see `consent.py`."""

    data: str = "email"
    email: str = "email"
    sms: str = "sms_or_email"


class Registrar(Protocol):
    """The call that registers a booking with its guest: anew each time, so once for ever."""

    def __call__(
        self,
        visit: Visit,
        contact: Contact,
        consent: ToldConsent,
        *,
        tags: Sequence[str],
        source: str,
    ) -> Request:
        """Make it; the request is one of those that go `once`."""


class Mapper(Protocol):
    """The pure side of a destination: its words for our things."""

    @property
    def registrar(self) -> Registrar | None:
        """The one call for a booking and its guest; None where each is told by calls of its own."""

    @property
    def tag_roles(self) -> tuple[str, ...]:
        """The roles whose values become tags, of: source, channel, status."""

    @property
    def visit_updates(self) -> Collection[str]:
        """Of ARRIVED and COMPLETE those that it wants to be told of a booking."""

    @property
    def trusting(self) -> bool:
        """Whether a person of whom it was never told need not be looked up first."""

    def consents(self, source: str) -> ConsentFeeds:
        """Tell which of the source's consents feeds which of the destination's."""

    def guest(self, contact: Contact, consent: ToldConsent) -> Request:
        """Make the call that creates or updates a guest."""

    def opt_out(self, email: str, consent: ToldConsent) -> Request:
        """Make the call that tells of a guest's consent and leaves all else as it is."""

    def look_up(self, email: str, *, guest: str | None, cursor: str | None) -> Request:
        """Make the call that asks for a guest, by this remote id or else by the e-mail.

        `cursor` is where an earlier answer's list goes on.
        """

    def booking(self, visit: Visit, *, guest: str, source: str) -> Request:
        """Make the call that creates or updates a booking of the guest with this remote id."""

    def tag(self, name: str, *, guest: str) -> Request:
        """Make the call that tags a guest."""

    def untag(self, name: str, *, guest: str) -> Request:
        """Make the call that takes a tag from a guest."""


class Destination(Protocol):
    """A place that bookings are told to."""

    @property
    def rate_limit(self) -> RateLimit:
        """Its allowance."""

    @property
    def mapper(self) -> Mapper:
        """Its pure side."""

    @property
    def sources(self) -> Collection[str]:
        """The sources that it takes."""

    def authorised(self) -> bool:
        """Tell whether a token is at hand, so that `send` needs no other request first."""

    async def authorise(self) -> None:
        """Fetch a token with one request; Unauthorized when the credentials are refused."""

    async def send(self, request: Request) -> Answer:
        """Send one request and understand the answer.

        Raises Retry, NoAnswer, Reject, Gone, Throttled, TokenRefused (it is dropped then) or
        Unreachable.
        """

    async def examine(self) -> Sequence[Finding]:
        """Try, with as few requests as can be, everything that changes nothing at its peer.

        Raises nothing; what keeps a request from leaving becomes a finding too.
        """

    async def list_venues(self) -> Sequence[ListedVenue]:
        """Name the venues that bookings may be told to; none where the peer has no such thing."""
