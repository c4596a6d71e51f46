"""Decides what a destination is to be told next of a booking, its guest or a tag.

One pure function, used twice: to see what is owed when something has changed, and again at the
moment a request may go out. Coalescing, freshness and "no longer needed" fall out of that.
"""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

import msgspec

from pipeline.clock import SECOND, micros, moment
from pipeline.consent import History, Statement, decide, moves, only_taking_back, opts_out
from pipeline.contact import Contact, contact, email_of, is_minor
from pipeline.errors import NotYet, Reject, Skip, UnknownOutcome
from pipeline.model import (
    Booking,
    DeliveryKind,
    Facts,
    Guest,
    NeedsFresh,
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
    Venue,
)
from pipeline.plugin import Mapper, Registrar
from pipeline.seal import Seal
from pipeline.visit import visit

#: Microseconds for which a guest's details, and what a destination says of them, are fresh.
FRESH = 900 * SECOND

#: In `ToldGuest.maybe`, for a call of the guest's own.
OWN_CALL = ""

#: Of the consent, in the digest of what a guest's call says beside it.
_SILENT = ToldConsent(data=False, email=False, sms=False, behind={})

#: Pages of a destination's list that are read to find a guest.
_MOST_PAGES = 4


def next_step(kind: DeliveryKind, detail: str, facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    """Give the next request for a delivery, or nothing, or what must come first.

    Raises Skip with the reason when the subject is not to be told, Reject when it cannot be told
    as it is, UnknownOutcome while nobody knows whether it was, and NotYet while the venue's
    details are not known.
    """
    match kind:
        case DeliveryKind.GUEST | DeliveryKind.CONSENT:
            return _guest_step(kind, facts, mapper, seal)
        case DeliveryKind.TAG:
            return _tag_step(detail, facts, mapper)
        case _ if mapper.registrar:
            return _registration_step(facts, mapper, mapper.registrar, seal)
        case _:
            return _booking_step(facts, mapper, seal)


def priority(facts: Facts) -> int:
    """Give the class of a booking's delivery: new and cancelled ones go before changed ones."""
    new = facts.told_booking is None or not facts.told_booking.payload_hash
    cancelled = facts.booking is not None and facts.booking.phase is Phase.CANCELLED
    return Priority.NEW if new or cancelled else Priority.CHANGED


def person(guest: Guest | None, seal: Seal) -> str | None:
    """Name the person behind a guest record; None without a usable e-mail."""
    try:
        return seal.person(email_of(guest)) if guest else None
    except Skip:
        return None


def takes_back(facts: Facts, mapper: Mapper) -> bool:
    """Tell whether the guest takes back a consent that was told: that goes before all else."""
    if facts.guest is None or facts.told_guest is None:
        return False
    feeds = mapper.consents(facts.source)
    return opts_out(_statement(facts.guest, facts), history(facts.told_guest), feeds)


def has_news(facts: Facts, mapper: Mapper) -> bool:
    """Tell whether the guest's record says of consent what the destination must be told."""
    if facts.guest is None or facts.told_guest is None:
        return False
    feeds = mapper.consents(facts.source)
    return moves(_statement(facts.guest, facts), history(facts.told_guest), feeds)


def profile_is_told(facts: Facts, mapper: Mapper, seal: Seal) -> bool:
    """Tell whether the destination has all that there is to tell of the guest beside consent."""
    if facts.guest is None or facts.told_guest is None or facts.venue is None:
        return False
    profile = _profile(contact(facts.guest, facts.venue), mapper, seal)
    return facts.told_guest.remote_id is not None and facts.told_guest.payload_hash == profile


def history(told: ToldGuest) -> History:
    """Give what a person was told of consent, and may have been."""
    maybe = dict(told.maybe)
    again = maybe.pop(OWN_CALL, None)
    return History(told=told.consent, maybe=tuple(maybe.values()), again=again)


def _guest_step(kind: DeliveryKind, facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    told = facts.told_guest or ToldGuest()
    opt_out = takes_back(facts, mapper)
    # Whoever was told before may take it back, be they sendable any more or not.
    guest, venue = _known_guest(facts) if opt_out else _sendable_guest(facts)
    whom = contact(guest, venue)
    if told.missing and told.remote_id:
        return _look_up(whom, told, mapper)
    unchanged = profile_is_told(facts, mapper, seal)
    if not opt_out and (kind is DeliveryKind.CONSENT or mapper.registrar):
        return Nothing(reason="goes with the registration") if mapper.registrar else Nothing()
    if not opt_out and unchanged and not has_news(facts, mapper):
        return Nothing()
    found = _consent(guest, whom, facts, mapper)
    if not isinstance(found, ToldConsent):
        return found
    learnt = msgspec.structs.replace(told, consent=found, seen=None, maybe={})
    if opt_out:
        # Nothing but that: what else is known of the guest may be old, or refused.
        more = kind is DeliveryKind.GUEST and not unchanged and not mapper.registrar
        return Send(request=mapper.opt_out(whom.email, found), told=learnt, more=more)
    learnt = msgspec.structs.replace(learnt, payload_hash=_profile(whom, mapper, seal))
    return Send(request=mapper.guest(whom, found), told=learnt)


def _consent(
    guest: Guest, whom: Contact, facts: Facts, mapper: Mapper
) -> ToldConsent | Send | NeedsFresh:
    """Give what to send of the guest's consent, or what must happen before that is known."""
    told = facts.told_guest or ToldGuest()
    statement = _statement(guest, facts)
    if not is_fresh(facts.guest_at, facts.now):
        if not takes_back(facts, mapper):
            return NeedsFresh()
        statement = only_taking_back(statement)
    presence = told.seen.presence if told.seen and is_fresh(told.seen.at, facts.now) else None
    is_whole = presence is not None and presence.cursor is None
    found = decide(
        statement,
        history(told),
        presence if is_whole else None,
        mapper.consents(facts.source),
        trusting=mapper.trusting and not facts.wary and facts.restored_at is None,
    )
    if found is not None:
        return found
    if presence is None:
        return _look_up(whom, msgspec.structs.replace(told, seen=None), mapper)
    if presence.pages >= _MOST_PAGES:
        raise Reject(
            f"the guest is on none of the first {presence.pages} pages of the destination's search"
        )
    return _look_up(whom, told, mapper, cursor=presence.cursor)


def _look_up(whom: Contact, told: ToldGuest, mapper: Mapper, *, cursor: str | None = None) -> Send:
    request = mapper.look_up(whom.email, guest=told.remote_id, cursor=cursor)
    return Send(request=request, told=told, more=True)


def is_fresh(at: int | None, now: int) -> bool:
    """Tell whether something that was fetched then may be relied on; not if the clock was set."""
    return at is not None and 0 <= now - at <= FRESH


def _profile(whom: Contact, mapper: Mapper, seal: Seal) -> str:
    """Give the digest of all that is told of a guest beside consent."""
    return seal.digest(mapper.guest(whom, _SILENT).body)


def _statement(guest: Guest, facts: Facts) -> Statement:
    at = facts.now if facts.guest_at is None else facts.guest_at
    return Statement(record=record_of(facts.source, guest), said=guest.consent, at=at)


def record_of(source: str, guest: Guest) -> str:
    """Name a customer record among all sources."""
    return f"{source}/{guest.customer}"


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
    told = facts.told_guest
    holder = told.remote_id if told and not told.missing else None
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
    return Send(request=request, told=learnt, guest=_later_status(booking, facts))


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
    booking = _reserved(facts)
    if facts.told_booking:
        if facts.told_booking.in_doubt:
            raise UnknownOutcome("nobody knows whether it is registered already")
        return Nothing(reason="already registered")
    if booking.phase is Phase.CANCELLED:
        # It would count a visit that does not happen.
        raise Skip("cancelled before it was registered")
    guest, venue = _sendable_guest(facts)
    shown = visit(booking, venue, moment(facts.occurred_at or facts.now))
    if facts.restored_at is not None and _made_at(booking, facts) <= facts.restored_at:
        raise UnknownOutcome("it may have been registered after the backup that was put back")
    if takes_back(facts, mapper):
        # What a registration does to an opt-in that was given before is not documented.
        return NeedsGuest()
    told = facts.told_guest or ToldGuest()
    whom = contact(guest, venue)
    found = _consent(guest, whom, facts, mapper)
    if not isinstance(found, ToldConsent):
        return found
    tags = _tags(booking, mapper)
    status = tag_name("status", booking) if "status" in mapper.tag_roles else None
    # As `_guest_step` will reckon it, should the mode change; what differs is told again then.
    unchanged = told.payload_hash == _profile(whom, mapper, seal)
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


def _tag_step(role: str, facts: Facts, mapper: Mapper) -> Step:
    booking = _reserved(facts)
    _sendable_guest(facts)
    name = tag_name(role, booking)
    told = facts.told_guest or ToldGuest()
    if mapper.registrar and not (facts.told_booking and told.remote_id):
        return Nothing(reason="goes with the registration")
    if role == "status":
        return _status_step(name, facts, told, mapper)
    if name is None or name in told.tags:
        return Nothing()
    if told.remote_id is None or told.missing:
        return NeedsGuest()
    learnt = msgspec.structs.replace(told, tags=(*told.tags, name))
    return Send(request=mapper.tag(name, guest=told.remote_id), told=learnt)


def _status_step(name: str | None, facts: Facts, told: ToldGuest, mapper: Mapper) -> Step:
    """Let the tag of an earlier status give way to this one, two requests in all."""
    before, as_of = told.status, facts.occurred_at or 0
    if name is None or (before and before.name == name):
        return Nothing()
    if before and before.as_of > as_of:
        return Nothing(reason="a newer booking's status stands")
    if told.remote_id is None or told.missing:
        return NeedsGuest()
    if before and before.name and before.name not in told.tags:
        gone = msgspec.structs.replace(told, status=StatusTag(name="", as_of=as_of))
        return Send(request=mapper.untag(before.name, guest=told.remote_id), told=gone, more=True)
    if name in told.tags:
        return Nothing()
    learnt = msgspec.structs.replace(told, status=StatusTag(name=name, as_of=as_of))
    return Send(request=mapper.tag(name, guest=told.remote_id), told=learnt)


def _tags(booking: Booking, mapper: Mapper) -> tuple[str, ...]:
    names = (tag_name(role, booking) for role in distinct_roles(mapper.tag_roles, booking))
    return tuple(name for name in names if name)


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
    guest, venue = _known_guest(facts)
    today = moment(facts.now).astimezone(ZoneInfo(venue.timezone)).date()
    if facts.adults_only and is_minor(guest, today):
        raise Skip("minor")
    return guest, venue


def _known_guest(facts: Facts) -> tuple[Guest, Venue]:
    if facts.booking and facts.booking.customer is None:
        raise Skip("no customer")
    if facts.guest is None:
        raise Skip("customer not known")
    email_of(facts.guest)
    return facts.guest, _venue(facts)


def _venue(facts: Facts) -> Venue:
    if facts.venue is None:
        raise NotYet("the venue's details are not known yet")
    return facts.venue
