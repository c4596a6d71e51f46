"""What becomes of the people of a play: they change, sign waivers, come in, and are deleted."""

import random
from collections.abc import Callable
from typing import TypeVar

import msgspec

from pipeline.sandbox.answers import Document, Refused
from pipeline.sandbox.roller.data import Booking, Venue
from pipeline.sandbox.roller.guests import GuestChange, change_guest
from pipeline.sandbox.roller.messages import Shape
from pipeline.sandbox.roller.orders import Deed, Hand, Order
from pipeline.sandbox.roller.playbill import Play
from pipeline.sandbox.roller.redemptions import Redemption, redeem
from pipeline.sandbox.roller.script import Script
from pipeline.sandbox.roller.waivers import Signing, sign

#: Something that happens when its turn comes, so that the records change only then.
Turn = Callable[[Hand], Deed]
_PHONES = ("07400 123456", "+44 7400 123456", "0044 7400 123456")
_O = TypeVar("_O", bound=Order)
_CONSENTS = ("acceptMarketing", "acceptMarketingSMS")


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """Who and what may be picked."""

    guests: list[int]
    #: those with an e-mail of their own
    adults: list[int]
    #: those whose tickets can be redeemed, by `uniqueId`
    bookings: list[str]


def cast_of(play: Play, script: Script, venue: Venue) -> Cast:
    """The play's own people, or everybody at the venue and them."""
    bookings, guests = list(script.bookings), dict(script.guests)
    if play.among == "venue":
        bookings += [held.value for _, held in venue.bookings.held()]
        guests |= {number: held.value for number, held in venue.guests.held()}
    live = [one.unique_id for one in bookings if _is_redeemable(venue, one)]
    return Cast(
        guests=list(guests),
        adults=[number for number, guest in guests.items() if guest.get("email")],
        bookings=list(dict.fromkeys(live)),
    )


def _is_redeemable(venue: Venue, booking: Booking) -> bool:
    over = booking.document.get("status") in ("Draft", "Cancelled", "Deleted")
    return not over and any(map(venue.catalogue.admits, booking.items()))


def write_turns(play: Play, cast: Cast, chance: random.Random) -> list[Turn]:
    """One turn per message that is ordered, in their order; deletions come last."""
    if play.deletions > len(cast.guests) or play.redemptions > len(cast.bookings):
        raise Refused(400, "not enough guests for the deletions, or bookings for the redemptions")
    if play.minors and not play.waivers:
        raise Refused(400, "minors need waivers")
    turns = [_detail(play, chance, chance.choice(cast.guests)) for _ in range(play.guest_changes)]
    turns += [_consent(play, chance, cast) for _ in range(play.consent_changes)]
    turns += [_entry(play, chance, one) for one in chance.sample(cast.bookings, play.redemptions)]
    turns += [
        _signing(play, chance, cast, number, minors)
        for number, minors in enumerate(_shared_out(play.minors, play.waivers))
    ]
    chance.shuffle(turns)
    gone = chance.sample(cast.guests, play.deletions)
    return turns + [_deletion(play, chance, number) for number in gone]


def _detail(play: Play, chance: random.Random, number: int) -> Turn:
    changes: tuple[Document, ...] = (
        {"lastName": f"Newname-{chance.randrange(1000)}"},
        {"phone": chance.choice(_PHONES)},
        {"dateOfBirth": f"{chance.randint(1950, 2000)}-02-03"},
    )
    change = chance.choice(changes)
    order = _styled(play, chance, GuestChange(customer=number, guest=change))
    return lambda hand: change_guest(hand, order)


def _consent(play: Play, chance: random.Random, cast: Cast) -> Turn:
    """Turns one consent round; who was never asked says yes or no now."""
    number, consent = chance.choice(cast.guests), chance.choice(_CONSENTS)
    unasked = chance.choice((True, False))
    order = _styled(play, chance, GuestChange(customer=number))

    def turn(hand: Hand) -> Deed:
        before = (hand.venue.guests.get(number) or {}).get(consent)
        after = unasked if before is None else not before
        return change_guest(hand, msgspec.structs.replace(order, guest={consent: after}))

    return turn


def _deletion(play: Play, chance: random.Random, number: int) -> Turn:
    order = _styled(play, chance, GuestChange(customer=number, delete=True))
    return lambda hand: change_guest(hand, order)


def _entry(play: Play, chance: random.Random, booking: str) -> Turn:
    order = _styled(play, chance, Redemption(booking=booking))
    return lambda hand: redeem(hand, order)


def _signing(play: Play, chance: random.Random, cast: Cast, number: int, minors: int) -> Turn:
    known = chance.choice(cast.adults) if number % 2 == 0 and cast.adults else None
    order = _styled(play, chance, Signing(customer=known, minors=minors))
    return lambda hand: sign(hand, order)


def _shared_out(minors: int, waivers: int) -> list[int]:
    """The minors, as evenly as may be, among the adults."""
    return [minors // waivers + (number < minors % waivers) for number in range(waivers)]


def _styled(play: Play, chance: random.Random, order: _O) -> _O:
    """The order, to be told in a shape that the play allows."""
    shapes: tuple[Shape, ...] = (
        ("nested", "flat", "guest") if play.shape == "mixed" else (play.shape,)
    )
    words = chance.choice((True, False)) if play.words == "mixed" else play.words
    return msgspec.structs.replace(order, shape=chance.choice(shapes), words=words)
