"""Finds out what a preview must know of a webhook: its booking, the guest and the venue.

It asks as the stage enrich does, and changes nothing: the outbox and the tokens beside it are read
only, and what is made here for a destination cannot reach anybody.
"""

from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct

from pipeline.assembly import peer_session, source_traits
from pipeline.clock import Clock
from pipeline.config import Config
from pipeline.errors import Failure, OutboxError, Unreadable
from pipeline.gather import merge_details, whole_venue
from pipeline.model import Booking, Envelope, Event, Guest, Kind, Minor, Phase, Product
from pipeline.outbox.sqlite import read_outbox
from pipeline.plugin import Call, Destination, Reply, Source, VenueDetails
from pipeline.plugins import make_destination, make_source
from pipeline.preview import Subject
from pipeline.tokens import Tokens, tokens_beside
from pipeline.wire import Http, client

#: What the daemon does with messages of other kinds; what comes of it depends on what was told.
_NO_BOOKING = {
    Kind.CUSTOMER: "it names a customer, of whom the daemon tells those who were told before",
    Kind.REDEMPTION: "it names tickets, and the daemon tells of the visit if their booking is told",
    Kind.SIGNED_WAIVER: "it is read for who is a minor, and tells nobody anything",
}


class _Nowhere:
    """The way to a peer that is not to be contacted."""

    async def call(self, call: Call) -> Reply:
        """Refuse, for a preview that asked all the same would break its promise."""
        raise AssertionError(f"a preview does not ask {call.url}")

    def token(self) -> str | None:
        return None

    def keep_token(self, token: str, *, lifetime: float) -> None:
        """Forget it at once."""

    def drop_token(self, token: str) -> bool:  # noqa: ARG002 - there is none
        return False


class NoDelivery(Failure):
    """The daemon makes no delivery of a message."""


class Message(Struct, frozen=True, kw_only=True):
    """A webhook's body, read as the daemon reads it."""

    source: str
    kind: Kind
    #: What it calls the booking; None where it names none.
    id: str | None
    reference: str | None
    #: None in a message of another kind.
    booking: Booking | None
    #: When the booking came to be as it is.
    occurred_at: int


def offline_destinations(config: Config) -> dict[str, Destination]:
    """Make the destinations without a way to reach them."""
    return {
        name: make_destination(name, settings, _Nowhere())
        for name, settings in config.destinations.items()
    }


def read_message(config: Config, source: str, body: bytes, *, now: int) -> Message:
    """Read a webhook's body; Unreadable says what the daemon would not take in it."""
    if len(body) > config.server.max_body:
        raise Unreadable(f"longer than server.max_body, {config.server.max_body} bytes")
    reader = _offline(config, source)
    envelope = reader.envelope(body)
    return Message(
        source=source,
        kind=envelope.kind,
        id=envelope.booking,
        reference=envelope.reference,
        booking=_booking(reader, source, envelope, body, now),
        occurred_at=now if envelope.occurred_at is None else envelope.occurred_at,
    )


def _booking(
    reader: Source, source: str, envelope: Envelope, body: bytes, now: int
) -> Booking | None:
    if envelope.kind is not Kind.BOOKING:
        return None
    event = Event(
        id=0,
        source=source,
        kind=envelope.kind,
        action=envelope.action,
        occurred_at=envelope.occurred_at,
        received_at=now,
        booking=envelope.booking,
        reference=envelope.reference,
        attempts=0,
        first_failure_at=None,
        body=body,
    )
    booking = reader.booking(event)
    if booking.id != envelope.booking:
        raise Unreadable("the message names two bookings")
    return booking


def read_guest(config: Config, message: Message, body: bytes) -> Guest:
    """Read the source's answer for the booking's guest; Unreadable when it is none."""
    customer = message.booking.customer if message.booking else None
    return _offline(config, message.source).guest(customer or "", body)


async def inquire(config: Config, message: Message, guest: Guest | None, clock: Clock) -> Subject:
    """Find out the rest; with a `guest` at hand, without asking the source anything.

    Raises what a source's calls raise, and NoDelivery for what ends before any destination.
    """
    name, booking = message.source, message.booking
    if booking is None:
        raise NoDelivery(_NO_BOOKING.get(message.kind, "not used"))
    details = await _known_details(config, name)
    products = await _known_products(config, name)
    if guest is None and _is_taken(config, name):
        async with client() as http:
            source = _online(config, name, http, clock)
            if booking.is_partial:
                booking = await source.fetch_booking(booking.id) or booking
            if booking.customer and booking.phase is not Phase.DRAFT:
                guest = await _ask_for_guest(source, booking, booking.customer)
                if whole_venue(details) is None:
                    details = merge_details(details, await source.fetch_venue())
                if source.catalogue and _named(booking) - products.keys():
                    with suppress(Failure):  # the daemon goes on without, too
                        listed = await source.catalogue.fetch_products()
                        products = {**products, **{one.id: one for one in listed}}
    return Subject(
        source=name,
        booking=booking,
        occurred_at=message.occurred_at,
        now=clock.now(),
        guest=guest,
        venue=whole_venue(details),
        unknown=_unknown(details),
        adults_only=source_traits(config.sources[name]).adults_only,
        products={one: products[one] for one in _named(booking) & products.keys()},
        minor=await _known_minor(config, name, booking.customer),
    )


async def _known_details(config: Config, name: str) -> VenueDetails:
    """Give what the configuration says of a venue, and else the outbox, if it can be read."""
    ours = source_traits(config.sources[name]).venue
    if whole_venue(ours):
        return ours
    with suppress(OutboxError):  # there may be none yet, or it is another user's
        async with read_outbox(config.outbox.path) as outbox:
            if known := await outbox.facts.venue(name):
                return merge_details(ours, known.details)
    return ours


async def _known_products(config: Config, name: str) -> Mapping[str, Product]:
    """Give what the outbox knows, if it can be read and they are to be used."""
    if source_traits(config.sources[name]).products:
        with suppress(OutboxError):
            async with read_outbox(config.outbox.path) as outbox:
                return await outbox.products(name)
    return {}


def _named(booking: Booking) -> set[str]:
    return {item.product for item in booking.items if item.product}


async def _known_minor(config: Config, name: str, customer: str | None) -> Minor | None:
    """Tell what the outbox knows of a customer from a waiver, if it can be read."""
    with suppress(OutboxError):
        async with read_outbox(config.outbox.path) as outbox:
            return await outbox.facts.minor(name, customer) if customer else None
    return None


async def _ask_for_guest(source: Source, booking: Booking, customer: str) -> Guest | None:
    guest = await source.fetch_guest(customer)
    if guest is None and booking.phase is not Phase.CANCELLED:
        raise NoDelivery(
            "the source does not know the customer: the daemon asks again, then parks it"
        )
    return guest


def _is_taken(config: Config, name: str) -> bool:
    return any(name in one.source_names() for one in config.destinations.values())


def _offline(config: Config, name: str) -> Source:
    return make_source(name, config.sources[name], _Nowhere())


def _online(config: Config, name: str, http: Http, clock: Clock) -> Source:
    """Make the source with the daemon's token, if there is one; a new one is not kept."""
    tokens = Tokens(tokens_beside(config.outbox.path), clock, writes=False)
    settings = config.sources[name]
    return make_source(name, settings, peer_session(name, settings, http, tokens))


def _unknown(details: VenueDetails) -> tuple[str, ...]:
    """Name the settings that would say what is not known."""
    return tuple(name for name in details.__struct_fields__ if not getattr(details, name))
