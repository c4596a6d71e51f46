"""The tags that a booking gives to its guest: its source, its channel, and its status.

Tags stay, but a status gives way to the next; only what we have set is ever removed.
"""

from collections.abc import Iterable

import msgspec

from pipeline.model import (
    Booking,
    Facts,
    NeedsGuest,
    Nothing,
    Send,
    StatusTag,
    Step,
    ToldGuest,
)
from pipeline.plugin import Mapper
from pipeline.sendable import reserved, sendable_guest


def tag_step(role: str, facts: Facts, mapper: Mapper) -> Step:
    """Give the next request for the tag of a role; see `next_step`."""
    booking = reserved(facts)
    sendable_guest(facts)
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


def tags_of(booking: Booking, mapper: Mapper) -> tuple[str, ...]:
    """Name all tags that a booking gives."""
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
