"""Who may be told to a destination, and of what: Skip says why not."""

from zoneinfo import ZoneInfo

from pipeline.clock import moment
from pipeline.contact import email_of, has_grown_up, is_minor
from pipeline.errors import NotYet, Skip
from pipeline.model import (
    Booking,
    Facts,
    Guest,
    Phase,
    Venue,
)


def reserved(facts: Facts) -> Booking:
    """Give the booking, whatever its guest; Skip for a draft, and for one that was erased."""
    if facts.booking is None:
        raise Skip("erased")
    if facts.booking.phase is Phase.DRAFT:
        raise Skip("draft")
    return facts.booking


def sendable_guest(facts: Facts) -> tuple[Guest, Venue]:
    """Give the guest who may be told; Skip says why there is none."""
    guest, venue = known_guest(facts)
    today = moment(facts.now).astimezone(ZoneInfo(venue.timezone)).date()
    if facts.minor and not has_grown_up(facts.minor, guest, today):
        raise Skip("minor")
    if facts.adults_only and is_minor(guest, today):
        raise Skip("minor")
    return guest, venue


def known_guest(facts: Facts) -> tuple[Guest, Venue]:
    """Give a guest who can be told, be they of age or not; Skip says why there is none."""
    if facts.booking and facts.booking.customer is None:
        raise Skip("no customer")
    if facts.guest is None:
        raise Skip("customer not known")
    email_of(facts.guest)
    return facts.guest, venue_of(facts)


def venue_of(facts: Facts) -> Venue:
    """Give the venue; NotYet while its details are not known."""
    if facts.venue is None:
        raise NotYet("the venue's details are not known yet")
    return facts.venue
