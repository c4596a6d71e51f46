"""Whoever takes something back is opted out wherever the contrary was told, before or since."""

from pathlib import Path

import msgspec

from pipeline.fetch import Occasion
from pipeline.model import DeliveryKind, Guest, GuestConsent
from tests.outbox.support import lines, look
from tests.unit import made
from tests.unit.made import NO, YES
from tests.unit.telling import Told, telling

_CONSENTS = "SELECT state, customer FROM delivery WHERE kind = 'consent' ORDER BY id"


def _guest(customer: str, says: GuestConsent) -> Guest:
    """Give one of two records of one person, with the same details."""
    return made.guest(customer=customer, consent=says)


_SAYS_YES, _SAYS_NO = GuestConsent(email=YES, sms=YES), GuestConsent(email=NO, sms=NO)


async def _tell_all(told: Told) -> None:
    while await told.tell():
        told.clock.advance(1)


def _opt_ins(told: Told) -> list[bool]:
    """Give what the last call that tells of consent has said of e-mail and SMS."""
    [*_, last] = [call for call in told.peer.calls if call.url.endswith("/v1/guests")]
    privacy = msgspec.json.decode(last.body or b"")["privacy"]
    return [privacy["marketing"]["email"], privacy["marketing"]["sms"]]


async def test_a_no_counts_of_which_the_contrary_is_told_between_fetch_and_transform(
    tmp_path: Path,
) -> None:
    """When it was fetched there was nothing to take back yet; another record has said yes since."""
    async with telling(tmp_path / "outbox.db") as told:
        booking = made.booking(id="of-b", customer="b")
        event = await told.take_in(booking, key="b", guest=_guest("b", _SAYS_NO))
        told.clock.advance(1)
        first = made.booking(id="of-a", customer="a")
        await told.transform(
            await told.take_in(first, key="a", guest=_guest("a", _SAYS_YES)),
        )
        await _tell_all(told)
        said_first = _opt_ins(told)
        await told.transform(event)
        await _tell_all(told)
        assert (said_first, _opt_ins(told)) == ([True, True], [False, False])
        assert look(tmp_path / "outbox.db", _CONSENTS) == [("delivered", "b")]


async def test_a_no_that_a_guests_own_delivery_finds_is_owed_apart_from_it(tmp_path: Path) -> None:
    """That one may be refused for a name, and be dropped by hand: nobody means the no by it."""
    async with telling(tmp_path / "outbox.db") as told:
        booking = made.booking(customer="a")
        event = await told.take_in(booking, key="a", guest=_guest("a", _SAYS_YES))
        await told.transform(event)
        await _tell_all(told)
        renamed = msgspec.structs.replace(_guest("a", _SAYS_YES), last="Married")
        told.clock.advance(1)
        event = await told.take_in(made.booking(id="b", customer="a"), key="b", guest=renamed)
        await told.transform(event)
        assert await told.tell(), "the booking"
        now = told.clock.now()
        delivery = await told.outbox.deliveries.claim("stampede", lines(), now=now, until=now + 1)
        assert delivery is not None
        assert delivery.kind is DeliveryKind.GUEST
        says_no = msgspec.structs.replace(renamed, consent=_SAYS_NO)
        told.clock.advance(1)
        occasion = Occasion(event=delivery.event, delivery=delivery)
        await told.hearing.keep("leeds", says_no, told.clock.now(), occasion)
        assert look(tmp_path / "outbox.db", _CONSENTS) == [("waiting", "a")]
