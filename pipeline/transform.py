"""Decides what a destination is to be told next of a booking, its guest or a tag.

One pure function, used twice: to see what is owed when something has changed, and again at the
moment a request may go out. Coalescing, freshness and "no longer needed" fall out of that.
"""

import msgspec

from pipeline.clock import micros, moment
from pipeline.contact import contact
from pipeline.errors import Skip, UnknownOutcome
from pipeline.guest import consent_to_send, guest_step, is_to_opt_out, missed, profile
from pipeline.model import (
    COMPLETE,
    Booking,
    DeliveryKind,
    Facts,
    Later,
    NeedsGuest,
    Nothing,
    Phase,
    Priority,
    Send,
    StatusTag,
    Step,
    ToldBooking,
    ToldConsent,
    ToldGuest,
)
from pipeline.plugin import Mapper, Registrar
from pipeline.seal import Seal
from pipeline.sendable import reserved, sendable_guest, venue_of
from pipeline.tags import tag_name, tag_step, tags_of
from pipeline.visit import Visit, end_of, progress, visit


def next_step(kind: DeliveryKind, detail: str, facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    """Give the next request for a delivery, or nothing, or what must come first.

    Raises Skip with the reason when the subject is not to be told, Reject when it cannot be told
    as it is, UnknownOutcome while nobody knows whether it was, and NotYet while the venue's
    details are not known.
    """
    match kind:
        case DeliveryKind.GUEST | DeliveryKind.CONSENT:
            return guest_step(kind, facts, mapper, seal)
        case DeliveryKind.TAG:
            return tag_step(detail, facts, mapper)
        case _ if mapper.registrar and detail:
            return Nothing(reason="visits are not told in mode registration")
        case _ if mapper.registrar:
            return _registration_step(facts, mapper, mapper.registrar, seal)
        case _ if detail == COMPLETE and (end := _end_ahead(facts)):
            return Later(at=end)
        case _:
            return _booking_step(facts, mapper, seal)


def end_of_visit(facts: Facts) -> int | None:
    """Tell when the booking's visit is over; None where there is nothing to be over."""
    booking, venue = facts.booking, facts.venue
    if booking is None or venue is None or booking.phase is not Phase.ACTIVE:
        return None
    return micros(end_of(booking, venue, moment(facts.occurred_at or facts.now)))


def _end_ahead(facts: Facts) -> int | None:
    end = end_of_visit(facts)
    return end if end is not None and end > facts.now else None


def priority(facts: Facts) -> int:
    """Give the class of a booking's delivery: new and cancelled ones go before changed ones."""
    new = facts.told_booking is None or not facts.told_booking.payload_hash
    cancelled = facts.booking is not None and facts.booking.phase is Phase.CANCELLED
    return Priority.NEW if new or cancelled else Priority.CHANGED


def _booking_step(facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    booking = reserved(facts)
    before = facts.told_booking
    if before and before.guest and not before.cancelled:
        moved = before.customer != booking.customer
        if moved or booking.phase is Phase.CANCELLED:
            if asking := missed(before.guest, facts, mapper):
                return asking
            # Whoever was told of it must hear that it is off, be they sendable any more or not: it
            # was cancelled, or it changed hands, and is then made where it is now.
            gone = msgspec.structs.replace(booking, phase=Phase.CANCELLED)
            step = _tell(gone, before.guest, before.customer, facts, mapper, seal)
            return msgspec.structs.replace(step, more=moved and booking.customer is not None)
    sendable_guest(facts)
    if before and before == _registered(booking, facts, mapper, seal):
        return Nothing()
    told = facts.told_guest
    holder = told.remote_id if told and not told.missing else None
    if holder is None:
        # Reckoned all the same: what cannot be told must not wait for its guest to find out.
        _shown(booking, facts)
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
    shown = _shown(booking, facts)
    request = plain = mapper.booking(shown, guest=holder, source=facts.source)
    if facts.products:
        # What the catalogue says goes along and is no news by itself: otherwise the first reading
        # of it, or a new name in it, would have every booking told again.
        plain = mapper.booking(
            _shown(booking, facts, is_plain=True), guest=holder, source=facts.source
        )
    learnt = ToldBooking(
        guest=holder,
        customer=customer,
        payload_hash=seal.digest(plain.body),
        cancelled=shown.cancelled,
    )
    return Send(request=request, told=learnt, guest=_later_status(booking, facts))


def _shown(booking: Booking, facts: Facts, *, is_plain: bool = False) -> Visit:
    """Say how the booking is now, whatever delivery tells it; plainly without its products."""
    at = moment(facts.occurred_at or facts.now)
    shown = visit(booking, venue_of(facts), at, {} if is_plain else facts.products)
    how_far = progress(shown.ends_at, facts.visited_at, facts.now)
    return msgspec.structs.replace(shown, progress=how_far)


def _later_status(booking: Booking, facts: Facts) -> ToldGuest | None:
    """Note that the guest's newest event has the status that is shown already."""
    told, as_of = facts.told_guest, facts.occurred_at or 0
    if not told or not told.status or told.status.name != booking.status:
        return None
    if told.status.as_of >= as_of:
        return None
    return msgspec.structs.replace(told, status=StatusTag(name=told.status.name, as_of=as_of))


def _registration_step(facts: Facts, mapper: Mapper, register: Registrar, seal: Seal) -> Step:
    """Register a booking, once for ever: there is no call that changes or cancels it."""
    booking = reserved(facts)
    if facts.told_booking:
        if facts.told_booking.in_doubt:
            raise UnknownOutcome("nobody knows whether it is registered already")
        return Nothing(reason="already registered")
    if booking.phase is Phase.CANCELLED:
        # It would count a visit that does not happen.
        raise Skip("cancelled before it was registered")
    guest, venue = sendable_guest(facts)
    shown = _shown(booking, facts)
    if facts.restored_at is not None and _made_at(booking, facts) <= facts.restored_at:
        raise UnknownOutcome("it may have been registered after the backup that was put back")
    if is_to_opt_out(facts, mapper):
        # What a registration does to an opt-in that was given before is not documented.
        return NeedsGuest()
    told = facts.told_guest or ToldGuest()
    whom = contact(guest, venue)
    found = consent_to_send(guest, whom, facts, mapper, is_opt_out=False)
    if not isinstance(found, ToldConsent):
        return found
    tags = tags_of(booking, mapper)
    status = tag_name("status", booking) if "status" in mapper.tag_roles else None
    # As `guest_step` will reckon it, should the mode change; what differs is told again then.
    unchanged = told.payload_hash == profile(whom, mapper, seal)
    learnt = msgspec.structs.replace(
        told,
        payload_hash=told.payload_hash if unchanged else None,
        consent=found,
        tags=(*told.tags, *(tag for tag in tags if tag not in (*told.tags, status))),
        status=StatusTag(name=status, as_of=facts.occurred_at or 0) if status else told.status,
        seen=None,
        maybe={},
    )
    return Send(
        request=register(shown, whom, found, tags=tags, source=facts.source),
        told=_registered(booking, facts, mapper, seal),
        guest=learnt,
    )


def _made_at(booking: Booking, facts: Facts) -> int:
    """Tell when a booking was made; where its source does not say, when its newest state was."""
    if booking.created_at is not None:
        return micros(booking.created_at)
    return facts.now if facts.occurred_at is None else facts.occurred_at


def _registered(booking: Booking, facts: Facts, mapper: Mapper, seal: Seal) -> ToldBooking:
    """Say what is known of a booking in this state once it is registered."""
    told = _tell(booking, "", booking.customer, facts, mapper, seal).told
    assert isinstance(told, ToldBooking)  # noqa: S101 - it was a booking's request
    return msgspec.structs.replace(told, guest=None)
