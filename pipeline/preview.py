"""Shows what a webhook would make: the requests to each destination, or the reason why none.

It asks the same pure function as the daemon and plays the destination's answers itself: a request
is taken to succeed, a guest to get an invented id, and then it asks again, until nothing more is to
be sent. It begins with a destination that knows neither the guest nor the booking.
"""

from collections.abc import Mapping

from msgspec import Struct, structs

from pipeline.errors import Reject, Retry, Skip
from pipeline.mask import Mask
from pipeline.model import (
    Booking,
    DeliveryKind,
    DeliveryState,
    Facts,
    Guest,
    Later,
    Minor,
    NeedsFresh,
    NeedsGuest,
    Nothing,
    Presence,
    Product,
    Request,
    Send,
    Sighting,
    ToldBooking,
    Venue,
)
from pipeline.plugin import Destination, Mapper
from pipeline.seal import Seal
from pipeline.tags import distinct_roles
from pipeline.transform import next_step

#: Stands in paths and bodies for the id that a destination would give to the guest.
GUEST_ID = "GUEST_ID"

#: Steps of one delivery at most; a booking that waits for its guest and changes hands takes three.
_MOST_STEPS = 8

#: Digests are compared with each other only, so any key does.
_SEAL = Seal(b"preview")


class Subject(Struct, frozen=True, kw_only=True):
    """What a webhook is about, as its source tells it."""

    source: str
    booking: Booking
    #: When this state of the booking came about, and what time it is taken to be now.
    occurred_at: int
    now: int
    #: None where the source has none, or where none is needed.
    guest: Guest | None
    #: None while a part of it is unknown, and what that is.
    venue: Venue | None
    unknown: tuple[str, ...] = ()
    adults_only: bool
    #: Those of the booking's that are known, by their ids.
    products: Mapping[str, Product] = {}
    #: What the outbox knows of the guest from a waiver.
    minor: Minor | None = None


class Outlook(Struct, frozen=True, kw_only=True):
    """What one destination would be sent."""

    requests: tuple[Request, ...] = ()
    #: How the booking's delivery would end: delivered, skipped or parked; None if none is made.
    state: DeliveryState | None
    #: Why nothing, or nothing further, is sent; None when nothing is in the way.
    reason: str | None = None


def preview(subject: Subject, destinations: Mapping[str, Destination]) -> dict[str, Outlook]:
    """Give for each destination what it would be sent, in order.

    Raises NotYet where the venue's details are needed and not known.
    """
    return {
        name: _Play(subject, destination.mapper).outlook()
        if subject.source in destination.sources
        else _untaken(subject.source)
        for name, destination in destinations.items()
    }


def nothing(source: str, destinations: Mapping[str, Destination], why: str) -> dict[str, Outlook]:
    """Give for each destination that it is sent nothing, where no delivery is made at all."""
    return {
        name: Outlook(state=None, reason=why) if source in one.sources else _untaken(source)
        for name, one in destinations.items()
    }


def _untaken(source: str) -> Outlook:
    return Outlook(state=None, reason=f"it does not take the source {source}")


def mask(outlook: Outlook, subject: Subject) -> Outlook:
    """Give the outlook with everything hidden that names the guest."""
    hiding = Mask(subject.guest, subject.venue.country if subject.venue else "")
    return structs.replace(outlook, requests=tuple(map(hiding.request, outlook.requests)))


class _Play:
    """One destination's part, from nothing told to nothing owed."""

    def __init__(self, subject: Subject, mapper: Mapper) -> None:
        self._mapper = mapper
        self._requests: list[Request] = []
        self._booking = subject.booking
        self._facts = Facts(
            source=subject.source,
            now=subject.now,
            adults_only=subject.adults_only,
            venue=subject.venue,
            booking=subject.booking,
            occurred_at=subject.occurred_at,
            guest=subject.guest,
            guest_at=subject.now,
            minor=subject.minor,
            told_guest=None,
            told_booking=None,
            products=subject.products,
        )

    def outlook(self) -> Outlook:
        state, reason = DeliveryState.DELIVERED, None
        try:
            # The booking first: it asks for the guest, so nobody is made for a booking that is
            # not told.
            self._tell(DeliveryKind.BOOKING, "")
        except Skip as exc:
            state, reason = DeliveryState.SKIPPED, exc.reason
        except Reject as exc:
            state, reason = DeliveryState.PARKED, exc.reason
        else:
            self._tell_the_rest()
        return Outlook(requests=tuple(self._requests), state=state, reason=reason)

    def _tell_the_rest(self) -> None:
        """Tell what is owed beside the booking; like the daemon, leave out what cannot be told."""
        wanted = [(DeliveryKind.GUEST, "")]
        roles = distinct_roles(self._mapper.tag_roles, self._booking)
        wanted += [(DeliveryKind.TAG, role) for role in roles]
        for kind, detail in wanted:
            try:
                self._tell(kind, detail)
            except (Skip, Reject, Retry):
                continue

    def _tell(self, kind: DeliveryKind, detail: str) -> None:
        """Play one delivery to its end, and what it waits for before it."""
        for _ in range(_MOST_STEPS):
            step = next_step(kind, detail, self._facts, self._mapper, _SEAL)
            match step:
                case Nothing():
                    return
                case NeedsGuest():
                    self._tell(DeliveryKind.GUEST, "")
                case NeedsFresh() | Later():
                    raise AssertionError("the guest was fetched just now, and nobody came yet")
                case Send():
                    self._requests.append(step.request)
                    self._learn(step)
                    if not step.more:
                        return
        raise Reject(f"the {kind} takes more requests than are shown here")

    def _learn(self, step: Send) -> None:
        told = step.told
        if isinstance(told, ToldBooking):
            self._facts = structs.replace(self._facts, told_booking=told)
            return
        if step.request.method == "GET":
            absent = Sighting(presence=Presence(remote_id=None), at=self._facts.now)
            known = structs.replace(told, seen=absent)
        else:
            known = structs.replace(told, remote_id=told.remote_id or GUEST_ID)
        self._facts = structs.replace(self._facts, told_guest=known)
