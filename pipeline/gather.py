"""Gathers what decides a delivery: the truth, the venue, and what was told."""

from collections.abc import Mapping

from msgspec import Struct

from pipeline.guest import person
from pipeline.model import (
    Booking,
    Facts,
    Guest,
    Minor,
    Product,
    ToldBooking,
    ToldGuest,
    Venue,
)
from pipeline.outbox import Outbox
from pipeline.plugin import VenueDetails


class SourceTraits(Struct, frozen=True, kw_only=True):
    """What the configuration says of a source that its deliveries depend on."""

    #: Overrides; what is None is asked from the source.
    venue: VenueDetails
    adults_only: bool
    #: Whether its catalogue is used.
    products: bool = True


class Truth(Struct, frozen=True, kw_only=True):
    """What the source says, and who the guest is."""

    source: str
    booking: Booking | None
    occurred_at: int | None
    guest: Guest | None
    #: When the guest was fetched.
    guest_at: int | None
    minor: Minor | None = None
    visited_at: int | None = None
    visited_by: int | None = None
    venue: Venue | None
    #: The guest's digest, None without a usable e-mail.
    person: str | None


class Gatherer:
    """Reads the outbox for transform."""

    def __init__(self, outbox: Outbox, sources: Mapping[str, SourceTraits]) -> None:
        self._facts = outbox.facts
        self._products = outbox.products
        self._seal = outbox.seal
        self._restored_at = outbox.restored_at
        self._sources = sources

    async def truth(self, source: str, booking: str | None, customer: str | None) -> Truth:
        """Give the newest known truth about a booking and its guest, or about a guest alone."""
        known = await self._facts.booking(source, booking) if booking else None
        holder = known.booking.customer if known else customer
        guest = await self._facts.guest(source, holder) if holder else None
        return Truth(
            source=source,
            booking=known.booking if known else None,
            occurred_at=known.occurred_at if known else None,
            guest=guest.guest if guest else None,
            guest_at=guest.fetched_at if guest else None,
            minor=guest.minor if guest else None,
            visited_at=known.visited_at if known else None,
            visited_by=known.visited_by if known else None,
            venue=await self.venue(source),
            person=person(guest.guest if guest else None, self._seal),
        )

    async def facts(
        self, truth: Truth, destination: str, *, wary: bool = False, spacing: int = 0, now: int
    ) -> Facts:
        """Add what the destination was told, and how often it may be."""
        told_guest: ToldGuest | None = None
        told_booking: ToldBooking | None = None
        restored_at = self._restored_at
        if truth.person:
            told_guest = await self._facts.told_guest(destination, truth.person)
        if truth.booking:
            key = booking_key(truth.source, truth.booking.id)
            told_booking = await self._facts.told_booking(destination, key)
        if told_booking:
            restored_at = None
            told_booking = None if told_booking.absent else told_booking
        return Facts(
            source=truth.source,
            now=now,
            adults_only=self._sources[truth.source].adults_only,
            venue=truth.venue,
            booking=truth.booking,
            occurred_at=truth.occurred_at,
            guest=truth.guest,
            guest_at=truth.guest_at,
            minor=truth.minor,
            visited_at=truth.visited_at,
            told_guest=told_guest,
            told_booking=told_booking,
            restored_at=restored_at,
            wary=wary,
            spacing=spacing,
            products=await self.products(truth.source, truth.booking),
        )

    async def products(self, source: str, booking: Booking | None) -> Mapping[str, Product]:
        """Give those of a booking's products that are known, unless they are not to be used."""
        if booking is None or not self._sources[source].products:
            return {}
        known = await self._products.known(source)
        named = {item.product for item in booking.items if item.product}
        return {product: known[product] for product in named & known.keys()}

    def is_configured(self, source: str) -> bool:
        """Tell whether the configuration says all of a source's venue."""
        return whole_venue(self._sources[source].venue) is not None

    async def timezone(self, source: str) -> str | None:
        """Give the venue's time zone, by the configuration first; None while it is not known."""
        known = await self._facts.venue(source)
        return self._sources[source].venue.timezone or (known.details.timezone if known else None)

    async def venue(self, source: str) -> Venue | None:
        """Give the venue, by the configuration first; None while a part of it is unknown."""
        known = await self._facts.venue(source)
        theirs = known.details if known else VenueDetails()
        return whole_venue(merge_details(self._sources[source].venue, theirs))


def merge_details(first: VenueDetails, second: VenueDetails) -> VenueDetails:
    """Give what is known of a venue by the first, and else by the second."""
    return VenueDetails(
        timezone=first.timezone or second.timezone,
        currency=first.currency or second.currency,
        country=first.country or second.country,
    )


def whole_venue(details: VenueDetails) -> Venue | None:
    """Give the venue; None while a part of it is unknown."""
    timezone, currency, country = details.timezone, details.currency, details.country
    if not (timezone and currency and country):
        return None
    return Venue(timezone=timezone, currency=currency, country=country)


def booking_key(source: str, booking: str) -> str:
    """Name a booking in what was told: unique over all sources."""
    return f"{source}/{booking}"
