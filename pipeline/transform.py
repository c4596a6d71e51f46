"""Decides what a destination is to be told next of a booking, its guest or a tag.

One pure function, used twice: to see what is owed when something has changed, and again at the
moment a request may go out. Coalescing, freshness and "no longer needed" fall out of that.
"""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

import msgspec

from pipeline.clock import moment
from pipeline.consent import decide
from pipeline.contact import contact, email_of, is_minor
from pipeline.errors import NotYet, Skip, UnknownOutcome
from pipeline.model import (
    Booking,
    DeliveryKind,
    Facts,
    Guest,
    NeedsGuest,
    Nothing,
    Phase,
    Priority,
    Send,
    Step,
    ToldBooking,
    ToldConsent,
    ToldGuest,
    Venue,
)
from pipeline.plugin import Mapper, Registrar
from pipeline.seal import Seal
from pipeline.visit import visit


def next_step(kind: DeliveryKind, detail: str, facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    """Give the next request for a delivery, or nothing, or that the guest comes first.

    Raises Skip with the reason when the subject is not to be told, Reject when it cannot be told
    as it is, UnknownOutcome while nobody knows whether it was, and NotYet while the venue's
    details are not known.
    """
    match kind:
        case DeliveryKind.GUEST:
            return _guest_step(facts, mapper, seal)
        case DeliveryKind.TAG:
            return _tag_step(detail, facts, mapper)
        case _ if mapper.registrar:
            return _registration_step(facts, mapper, mapper.registrar, seal)
        case _:
            return _booking_step(facts, mapper, seal)


def priority(facts: Facts) -> int:
    """Give the class of a booking's delivery: new and cancelled ones go before changed ones."""
    new = facts.told_booking is None
    cancelled = facts.booking is not None and facts.booking.phase is Phase.CANCELLED
    return Priority.NEW if new or cancelled else Priority.CHANGED


def person(guest: Guest | None, seal: Seal) -> str | None:
    """Name the person behind a guest record; None without a usable e-mail."""
    try:
        return seal.person(email_of(guest)) if guest else None
    except Skip:
        return None


def _guest_step(facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    guest, venue = _sendable_guest(facts)
    told = facts.told_guest or ToldGuest()
    consent = _consent(guest, facts, mapper)
    if mapper.registrar and not _withdraws(consent, told.consent):
        return Nothing(reason="goes with the registration")
    request = mapper.guest(contact(guest, venue), consent)
    payload_hash = seal.digest(request.body)
    if told.remote_id and told.payload_hash == payload_hash:
        return Nothing()
    learnt = msgspec.structs.replace(told, payload_hash=payload_hash, consent=consent)
    return Send(request=request, told=learnt)


def _booking_step(facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    booking = _reserved(facts)
    before = facts.told_booking
    if before and before.guest and not before.cancelled:
        if before.customer != booking.customer:
            # It changed hands: it is cancelled where it was, and then made where it is now.
            gone = msgspec.structs.replace(booking, phase=Phase.CANCELLED)
            step = _tell(gone, before.guest, before.customer, facts, mapper, seal)
            return msgspec.structs.replace(step, more=booking.customer is not None)
        if booking.phase is Phase.CANCELLED:
            # Whoever was told of it must hear that it is off, be they sendable any more or not.
            return _tell(booking, before.guest, before.customer, facts, mapper, seal)
    _sendable_guest(facts)
    if before and before == _registered(booking, facts, mapper, seal):
        return Nothing()
    holder = facts.told_guest.remote_id if facts.told_guest else None
    if holder is None:
        # Reckoned all the same: what cannot be told must not wait for its guest to find out.
        visit(booking, _venue(facts), moment(facts.occurred_at or facts.now))
        return NeedsGuest()
    step = _tell(booking, holder, booking.customer, facts, mapper, seal)
    return Nothing() if step.told == before else step


def _tell(
    booking: Booking,
    holder: str,
    customer: str | None,
    facts: Facts,
    mapper: Mapper,
    seal: Seal,
) -> Send:
    shown = visit(booking, _venue(facts), moment(facts.occurred_at or facts.now))
    request = mapper.booking(shown, guest=holder, source=facts.source)
    learnt = ToldBooking(
        guest=holder,
        customer=customer,
        payload_hash=seal.digest(request.body),
        cancelled=shown.cancelled,
    )
    return Send(request=request, told=learnt)


def _registration_step(facts: Facts, mapper: Mapper, register: Registrar, seal: Seal) -> Step:
    """Register a booking, once for ever: there is no call that changes or cancels it."""
    booking = _reserved(facts)
    if facts.told_booking:
        if facts.told_booking.in_doubt:
            raise UnknownOutcome("nobody knows whether it is registered already")
        return Nothing(reason="already registered")
    if booking.phase is Phase.CANCELLED:
        # It would count a visit that does not happen.
        raise Skip("cancelled before it was registered")
    guest, venue = _sendable_guest(facts)
    told = facts.told_guest or ToldGuest()
    shown = visit(booking, venue, moment(facts.occurred_at or facts.now))
    consent = _consent(guest, facts, mapper)
    if _withdraws(consent, told.consent):
        # What a registration does to an opt-in that was given before is not documented.
        return NeedsGuest()
    person_ = contact(guest, venue)
    tags = _tags(booking, mapper)
    # As `_guest_step` will reckon it, should the mode change; what differs is told again then.
    unchanged = told.payload_hash == seal.digest(mapper.guest(person_, consent).body)
    learnt = msgspec.structs.replace(
        told,
        payload_hash=told.payload_hash if unchanged else None,
        consent=consent,
        tags=(*told.tags, *(tag for tag in tags if tag not in told.tags)),
    )
    return Send(
        request=register(shown, person_, consent, tags=tags, source=facts.source),
        told=_registered(booking, facts, mapper, seal),
        guest=learnt,
    )


def _registered(booking: Booking, facts: Facts, mapper: Mapper, seal: Seal) -> ToldBooking:
    """Say what is known of a booking in this state once it is registered."""
    told = _tell(booking, "", booking.customer, facts, mapper, seal).told
    assert isinstance(told, ToldBooking)  # noqa: S101 - it was a booking's request
    return msgspec.structs.replace(told, guest=None)


def _tag_step(role: str, facts: Facts, mapper: Mapper) -> Step:
    booking = _reserved(facts)
    _sendable_guest(facts)
    name = tag_name(role, booking)
    told = facts.told_guest
    if mapper.registrar and not (facts.told_booking and told and told.remote_id):
        return Nothing(reason="goes with the registration")
    if name is None or (told and name in told.tags):
        return Nothing()
    if told is None or told.remote_id is None:
        return NeedsGuest()
    learnt = msgspec.structs.replace(told, tags=(*told.tags, name))
    return Send(request=mapper.tag(name, guest=told.remote_id), told=learnt)


def _tags(booking: Booking, mapper: Mapper) -> tuple[str, ...]:
    names = (tag_name(role, booking) for role in distinct_roles(mapper.tag_roles, booking))
    return tuple(name for name in names if name)


def _consent(guest: Guest, facts: Facts, mapper: Mapper) -> ToldConsent:
    record = f"{facts.source}/{guest.customer}"
    before = facts.told_guest.consent if facts.told_guest else None
    return decide(record, guest.consent, before, mapper.consents(facts.source))


def _withdraws(now: ToldConsent, before: ToldConsent | None) -> bool:
    """Tell whether a yes that was sent is a yes no longer."""
    if before is None:
        return False
    pairs = ((before.data, now.data), (before.email, now.email), (before.sms, now.sms))
    return any(was and not is_ for was, is_ in pairs)


def distinct_roles(roles: Iterable[str], booking: Booking) -> list[str]:
    """Leave out roles that make the same tag: source and channel often say the same."""
    by_name: dict[str | None, str] = {}
    for role in roles:
        by_name.setdefault(tag_name(role, booking), role)
    return list(by_name.values())


def tag_name(role: str, booking: Booking) -> str | None:
    """Give the tag that a booking's source, channel or status makes; None when it has none."""
    match role:
        case "source":
            return booking.origin
        case "channel":
            return booking.channel
        case _:
            return booking.status


def _reserved(facts: Facts) -> Booking:
    if facts.booking is None:
        raise Skip("erased")
    if facts.booking.phase is Phase.DRAFT:
        raise Skip("draft")
    return facts.booking


def _sendable_guest(facts: Facts) -> tuple[Guest, Venue]:
    """Give the guest who may be told; Skip says why there is none."""
    if facts.booking and facts.booking.customer is None:
        raise Skip("no customer")
    if facts.guest is None:
        raise Skip("customer not known")
    email_of(facts.guest)
    venue = _venue(facts)
    today = moment(facts.now).astimezone(ZoneInfo(venue.timezone)).date()
    if facts.adults_only and is_minor(facts.guest, today):
        raise Skip("minor")
    return facts.guest, venue


def _venue(facts: Facts) -> Venue:
    if facts.venue is None:
        raise NotYet("the venue's details are not known yet")
    return facts.venue
