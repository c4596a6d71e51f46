"""What a destination is told of a guest: details and consent, once it said what it has.

Part of transform, and as pure; see `consent.py` for the rules.
"""

from collections.abc import Callable

import msgspec

from pipeline.clock import SECOND
from pipeline.consent import History, Statement, decide, moves, opts_out
from pipeline.contact import Contact, contact, email_of
from pipeline.errors import Reject, Skip
from pipeline.model import (
    OWN_CALL,
    DeliveryKind,
    Facts,
    Guest,
    NeedsFresh,
    Nothing,
    Presence,
    Send,
    Step,
    ToldConsent,
    ToldGuest,
)
from pipeline.plugin import Mapper
from pipeline.seal import Seal
from pipeline.sendable import known_guest, sendable_guest

#: Microseconds for which a guest's details, and what a destination says of them, are fresh.
FRESH = 900 * SECOND

#: Microseconds from when a request may go until it is chosen.
_SLACK = 60 * SECOND

#: Of the consent, in the digest of what a guest's call says beside it.
_SILENT = ToldConsent(data=False, email=False, sms=False, behind={})

#: Pages of a destination's list that are read to find a guest.
_MOST_PAGES = 4


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
    at = _said_at(facts)
    return taking_back(facts.source, facts.guest, at, mapper)(facts.told_guest)


def taking_back(
    source: str, guest: Guest, fetched_at: int, mapper: Mapper
) -> Callable[[ToldGuest], bool]:
    """Give what tells whether a guest, as fetched then, takes back what was told of them."""
    statement = _statement(source, guest, fetched_at)
    feeds = mapper.consents(source)
    return lambda told: opts_out(statement, history(told), feeds)


def has_news(facts: Facts, mapper: Mapper) -> bool:
    """Tell whether the guest's record says of consent what the destination must be told."""
    if facts.guest is None or facts.told_guest is None:
        return False
    feeds = mapper.consents(facts.source)
    statement = _statement(facts.source, facts.guest, _said_at(facts))
    return moves(statement, history(facts.told_guest), feeds)


def profile_is_told(facts: Facts, mapper: Mapper, seal: Seal) -> bool:
    """Tell whether the destination has all that there is to tell of the guest beside consent."""
    if facts.guest is None or facts.told_guest is None or facts.venue is None:
        return False
    told = facts.told_guest
    now = profile(contact(facts.guest, facts.venue), mapper, seal)
    return told.remote_id is not None and told.payload_hash == now


def history(told: ToldGuest) -> History:
    """Give what a person was told of consent, and may have been."""
    maybe = dict(told.maybe)
    again = maybe.pop(OWN_CALL, None)
    return History(told=told.consent, maybe=tuple(maybe.values()), again=again)


def record_of(source: str, guest: Guest) -> str:
    """Name a customer record among all sources."""
    return f"{source}/{guest.customer}"


def is_to_opt_out(facts: Facts, mapper: Mapper) -> bool:
    """Tell whether a guest takes back a consent that may stand at the destination."""
    if facts.told_guest is None or not takes_back(facts, mapper):
        return False
    seen = _seen(facts.told_guest, facts)
    return seen is None or seen.remote_id is not None or seen.cursor is not None


def guest_step(kind: DeliveryKind, facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    """Give the next request for a guest's delivery, or for that of an opt-out; see `next_step`."""
    if is_to_opt_out(facts, mapper):
        return _opt_out_step(kind, facts, mapper, seal)
    guest, venue = sendable_guest(facts)
    told, whom = facts.told_guest or ToldGuest(), contact(guest, venue)
    if told.missing and told.remote_id:
        return _look_up(whom.email, told, mapper)
    if nothing := _nothing(kind, facts, told, mapper, seal):
        return nothing
    found = consent_to_send(guest, whom, facts, mapper, is_opt_out=False)
    if not isinstance(found, ToldConsent):
        return found
    learnt = msgspec.structs.replace(
        told, payload_hash=profile(whom, mapper, seal), consent=found, seen=None, maybe={}
    )
    return Send(request=mapper.guest(whom, found), told=learnt)


def _nothing(
    kind: DeliveryKind, facts: Facts, told: ToldGuest, mapper: Mapper, seal: Seal
) -> Nothing | None:
    if mapper.registrar:
        return Nothing(reason="goes with the registration")
    if kind is DeliveryKind.CONSENT and takes_back(facts, mapper):
        return Nothing(reason="the destination has nobody to opt out")
    # A guest who was made anew by an opt-out has no name there yet.
    if kind is DeliveryKind.CONSENT and told.payload_hash is not None:
        return Nothing()
    if profile_is_told(facts, mapper, seal) and not has_news(facts, mapper):
        return Nothing()
    return None


def _opt_out_step(kind: DeliveryKind, facts: Facts, mapper: Mapper, seal: Seal) -> Step:
    """Tell of consent and of nothing else: what else is known may be old, or be refused.

    Whoever was told before may take it back, be they sendable any more or not.
    """
    guest, venue = known_guest(facts)
    told, whom = facts.told_guest or ToldGuest(), contact(guest, venue)
    found = consent_to_send(guest, whom, facts, mapper, is_opt_out=True)
    if not isinstance(found, ToldConsent):
        return found
    rest = kind is DeliveryKind.GUEST and not profile_is_told(facts, mapper, seal)
    return Send(
        request=mapper.opt_out(whom.email, found),
        told=msgspec.structs.replace(told, consent=found, seen=None, maybe={}),
        more=rest and not mapper.registrar,
    )


def consent_to_send(
    guest: Guest, whom: Contact, facts: Facts, mapper: Mapper, *, is_opt_out: bool
) -> ToldConsent | Send | NeedsFresh:
    """Give what to send of the guest's consent, or what must happen before that is known."""
    told = facts.told_guest or ToldGuest()
    is_old = not is_fresh(facts.guest_at, facts.now)
    if is_old and not is_opt_out:
        return NeedsFresh()
    presence = _seen(told, facts)
    is_whole = presence is not None and presence.cursor is None
    found = decide(
        _statement(facts.source, guest, _said_at(facts)),
        history(told),
        presence if is_whole else None,
        mapper.consents(facts.source),
        trusting=mapper.trusting and not facts.wary and facts.restored_at is None,
        is_old=is_old,
    )
    if found is not None:
        return found
    if presence is None:
        return _look_up(whom.email, msgspec.structs.replace(told, seen=None), mapper)
    if presence.pages >= _MOST_PAGES:
        raise Reject(
            f"the guest is on none of the first {presence.pages} pages of the destination's search"
        )
    return _look_up(whom.email, told, mapper, cursor=presence.cursor)


def missed(holder: str, facts: Facts, mapper: Mapper) -> Send | None:
    """Give the request that asks for a guest who seems to be gone from there; None of another."""
    told = facts.told_guest
    if facts.guest is None or told is None or not told.missing or told.remote_id != holder:
        return None
    return _look_up(email_of(facts.guest), told, mapper)


def _look_up(email: str, told: ToldGuest, mapper: Mapper, *, cursor: str | None = None) -> Send:
    request = mapper.look_up(email, guest=told.remote_id, cursor=cursor)
    return Send(request=request, told=told, more=True)


def _seen(told: ToldGuest, facts: Facts) -> Presence | None:
    """Give what the destination said of a guest; None if it must be asked again.

    Where the allowance lets one request go in a quarter of an hour or in longer, what the last one
    found is too old by the time the next one may go, and asking again would never end. So it is
    relied on until that one; `Config.warnings` says what that means.
    """
    lasts = max(FRESH, facts.spacing + _SLACK)
    return told.seen.presence if told.seen and is_fresh(told.seen.at, facts.now, lasts) else None


def is_fresh(at: int | None, now: int, lasts: int = FRESH) -> bool:
    """Tell whether something that was fetched then may be relied on; not if the clock was set."""
    return at is not None and 0 <= now - at <= lasts


def profile(whom: Contact, mapper: Mapper, seal: Seal) -> str:
    """Give the digest of all that is told of a guest beside consent."""
    return seal.digest(mapper.guest(whom, _SILENT).body)


def _statement(source: str, guest: Guest, at: int) -> Statement:
    return Statement(record=record_of(source, guest), said=guest.consent, at=at)


def _said_at(facts: Facts) -> int:
    return facts.now if facts.guest_at is None else facts.guest_at
