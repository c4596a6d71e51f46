"""Compares what a Stampede has in the end with what it should have."""

from pipeline.model import Phase
from tests.simulation.model import CHANNELS, Said, sendable
from tests.simulation.there import There


def differences(there: There) -> list[str]:
    """Name what is not as it should be."""
    model, found = there.model, _registered_again(there)
    for (venue, name), said in model.newest().items():
        look = _not_registered if there.registers else _booking_differences
        found += look(there, venue, name, said)
    for email in sorted({one for record in model.records for one in model.emails(record)}):
        found += [] if there.registers else _guest_differences(there, email)
        found += _consent_differences(there, email)
    return [f"{there.name}: {one}" for one in found]


def _registered_again(there: There) -> list[str]:
    """Name the bookings that were counted more than once, whatever has happened."""
    return [f"{one} is registered {n} times" for one, n in there.registered.items() if n > 1]


def _not_registered(there: There, venue: str, name: str, said: Said) -> list[str]:
    """Name a booking that should have been registered; what comes later changes nothing there."""
    key, model = f"{venue}-{name}", there.model
    if said.phase is not Phase.ACTIVE or there.registered[key]:
        return []
    last = model.since((venue, said.customer), said.came) if said.customer else []
    return [f"{key} is not registered"] if last and all(map(sendable, last)) else []


def _consent_differences(there: There, email: str) -> list[str]:
    """Name the channels on which a guest has what they do not want any more, or not what they do.

    With a registration alone goes an opt-in, and there may be none to come.
    """
    guest, model = there.guest(email), there.model
    if guest is None:
        return []
    found = []
    for name in CHANNELS:
        wanted, has = model.wanted(email, name), guest.opt_in_at[name] is not None
        if wanted is not None and has is not wanted and (has or not there.registers):
            found.append(f"{email} has {name} {has}, which ROLLER has changed")
        elif has and model.has_heard_no(email, name):
            found.append(f"{email} has {name}, and has taken that back in our hearing")
    return found


def _booking_differences(there: There, venue: str, name: str, said: Said) -> list[str]:
    model, key = there.model, f"{venue}-{name}"
    guests = there.stampede.peer.guests.by_id
    held_by = {
        one.guest.email: (one.body["status"], one.body["amount"])
        for one in there.stampede.peer.bookings.all()
        if one.body["event_id"] == key and one.guest.id in guests
    }
    if said.phase is Phase.DRAFT:
        return []
    last = model.since((venue, said.customer), said.came) if said.customer else []
    holders = {one.email for one in last}
    # Who changed the e-mail has become somebody else, and that one keeps what it had.
    moved = {
        email
        for one in model.bookings[(venue, name)] if one.customer
        for email in model.emails((venue, one.customer))
        if model.changed_email((venue, one.customer))
    }  # fmt: skip
    wrong = [
        f"{key} is still {what} at {who}"
        for who, what in held_by.items()
        if what[0] != "cancelled" and who not in holders and who not in moved
    ]
    if said.phase is Phase.CANCELLED:
        wrong += [
            f"{key} is {what} at {who}, though it is cancelled"
            for who, what in held_by.items()
            if what[0] != "cancelled" and who in holders and who not in moved
        ]
    if not last or not all(map(sendable, last)):
        return wrong
    if any(model.has_left(email, said.came) for email in holders if email):
        return wrong
    status = "cancelled" if said.phase is Phase.CANCELLED else "active"
    held = [held_by[who] for who in held_by if who in holders]
    if said.phase is Phase.CANCELLED and not held and (held_by or moved):
        return wrong  # it was cancelled where it was told, and that guest may have left
    right = [what for what in held if what[0] == status]
    if said.phase is Phase.ACTIVE:
        right = [what for what in right if what[1] == said.amount]
    if not right:
        wrong.append(f"{key} should be {status} {said.amount} at {holders}: {held_by}")
    return wrong


def _guest_differences(there: There, email: str) -> list[str]:
    guest, model = there.guest(email), there.model
    allowed: set[tuple[str | None, str | None]] = set()
    must = False
    for record in model.records:
        came = [
            said.came for (where, _), said in model.newest().items()
            if (where, said.customer) == record and said.phase is Phase.ACTIVE
        ]  # fmt: skip
        last = model.since(record, max(came) if came else 0.0)
        if not all(sendable(one) and one.email == email for one in last):
            last = model.since(record, 0.0)  # what was told before may have stayed
        allowed |= {(one.first, one.phone) for one in last if one.email == email}
        certain = all(sendable(one) and one.email == email for one in last)
        must |= bool(came) and certain and not model.has_left(email, max(came, default=0.0))
    if not must:
        return []
    if guest is None:
        return [f"{email} is not at Stampede"]
    if (guest.profile.get("first"), guest.profile.get("phone")) not in allowed:
        return [f"{email} is {guest.profile}, not one of {allowed}"]
    return []
