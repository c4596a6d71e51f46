"""What was fetched for one destination's delivery is heard of by all that must."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from pipeline.errors import OutboxUnavailable
from pipeline.guest import taking_back
from pipeline.model import (
    Delivery,
    DeliveryKind,
    DeliveryState,
    Guest,
    GuestConsent,
    Outcome,
    ToldConsent,
    ToldGuest,
)
from pipeline.outbox import Heard, Hearer, Learnt, OptOut, TakenBack
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.simulation.power import Power
from tests.outbox.support import (
    BOOKING,
    GUEST,
    LEASE,
    T0,
    claimed,
    conserved,
    lines,
    look,
    next_delivery,
    sent,
    settled,
)
from tests.unit import made
from tests.unit.made import NO, YES

_SAYS_YES = GuestConsent(email=YES, sms=YES)
_SAYS_NO = GuestConsent(email=NO, sms=NO)
_OPT_OUTS = """SELECT destination, priority, state, customer, event FROM delivery
               WHERE kind = 'consent'"""


def _guest(consent: GuestConsent) -> Guest:
    return Guest(customer="c", email="ada@example.com", consent=consent)


def _told(consent: GuestConsent) -> Learnt:
    """What is known of a guest who was told when that was said."""
    yes = consent == _SAYS_YES
    told = ToldConsent(data=yes, email=yes, sms=yes, behind={"leeds/c": consent})
    return Learnt(key="ada", told=ToldGuest(remote_id="g", payload_hash="h", consent=told))


async def _tell(outbox: SqliteOutbox, destination: str, consent: GuestConsent) -> None:
    """Have a destination told of the guest when that was said."""
    there = msgspec.structs.replace(GUEST, destination=destination)
    await settled(outbox, f"told {destination}", there, booking=f"of {destination}")
    delivery = await _claim(outbox, destination)
    ending = await sent(outbox, delivery, Outcome.OK)
    await outbox.deliveries.succeed(delivery, [_told(consent)], ending, more=False, now=T0)


async def _claim(outbox: SqliteOutbox, destination: str) -> Delivery:
    found = await outbox.deliveries.claim(destination, lines(), now=T0, until=T0 + LEASE)
    assert found is not None
    return found


async def _in_hand(outbox: SqliteOutbox) -> Delivery:
    """Give a delivery of the guest to Stampede that is under way, its details having become old."""
    await outbox.events.learn_guest("leeds", _guest(_SAYS_YES), fetched_at=T0)
    await settled(outbox, "1", BOOKING, GUEST)
    return await next_delivery(outbox)


async def _hear(
    outbox: SqliteOutbox,
    delivery: Delivery,
    says: GuestConsent = _SAYS_NO,
    *,
    at: int = T0 + 1,
    kinds: Sequence[DeliveryKind] = (DeliveryKind.GUEST, DeliveryKind.CONSENT),
    whom: Sequence[str] = ("second", "third"),
) -> list[OptOut]:
    guest = _guest(says)
    takes_back = taking_back("leeds", guest, at, made.stampede_mapper())
    hearers = [Hearer(destination=one, takes_back=takes_back, kinds=kinds) for one in whom]
    heard = Heard(
        source="leeds",
        guest=guest,
        person="ada",
        fetched_at=at,
        event=delivery.event,
        delivery=delivery.id,
    )
    return await outbox.deliveries.hear(heard, hearers, now=at)


async def test_an_opt_out_is_owed_to_whom_a_yes_was_told(outbox: SqliteOutbox, path: Path) -> None:
    """Else it waits for the guest's next booking, which may be next year's."""
    await _tell(outbox, "second", _SAYS_YES)
    await _tell(outbox, "third", _SAYS_NO)
    delivery = await _in_hand(outbox)
    [owed] = await _hear(outbox, delivery)
    assert owed.destination == "second"
    assert look(path, _OPT_OUTS) == [("second", 1, "waiting", "c", delivery.event)]
    known = await outbox.facts.guest("leeds", "c")
    assert known is not None
    assert (known.guest.consent, known.fetched_at) == (_SAYS_NO, T0 + 1)
    conserved(path)


async def test_who_is_there_again_is_erased_no_more(outbox: SqliteOutbox) -> None:
    """Else one later 404 would drop their booking for good."""
    delivery = await _in_hand(outbox)
    await outbox.people.erase("leeds", "c", "gone", now=T0)
    assert await outbox.people.is_erased("leeds", "c")
    await _hear(outbox, delivery)
    assert not await outbox.people.is_erased("leeds", "c")


async def test_nobody_is_forgotten_whose_opt_out_is_owed(outbox: SqliteOutbox) -> None:
    """It is told by their e-mail."""
    await _tell(outbox, "second", _SAYS_YES)
    delivery = await _in_hand(outbox)
    assert not await outbox.people.opts_out("leeds", "c")
    assert await _hear(outbox, delivery)
    assert await outbox.people.opts_out("leeds", "c")
    await outbox.events.lose_guest("leeds", "c", at=T0 + 5)
    assert await outbox.facts.guest("leeds", "c") is not None


async def test_it_is_owed_once(outbox: SqliteOutbox, path: Path) -> None:
    """What waits will tell of it."""
    await _tell(outbox, "second", _SAYS_YES)
    delivery = await _in_hand(outbox)
    assert len(await _hear(outbox, delivery)) == 1
    assert await _hear(outbox, delivery, at=T0 + 2) == []
    assert len(look(path, _OPT_OUTS)) == 1


async def test_nothing_is_owed_for_what_takes_nothing_back(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Deliveries exist where something is to be sent."""
    await _tell(outbox, "second", _SAYS_YES)
    delivery = await _in_hand(outbox)
    assert await _hear(outbox, delivery, _SAYS_YES) == []
    assert look(path, _OPT_OUTS) == []


async def test_an_older_word_than_the_known_one_owes_nothing(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Two have asked at a time, and the guest has changed their mind between them."""
    await _tell(outbox, "second", _SAYS_YES)
    delivery = await _in_hand(outbox)
    await outbox.events.learn_guest("leeds", _guest(_SAYS_YES), fetched_at=T0 + 5)
    assert await _hear(outbox, delivery) == []
    assert look(path, _OPT_OUTS) == []


@pytest.mark.parametrize(
    ("says", "kinds", "owed"),
    [
        (_SAYS_NO, [DeliveryKind.GUEST], ["second"]),
        (_SAYS_NO, [DeliveryKind.BOOKING], []),
        (_SAYS_YES, [DeliveryKind.GUEST], []),
    ],
    ids=["a no", "it tells of no consent", "no news"],
)
async def test_who_is_being_told_something_older_just_now_is_owed_it_too(
    outbox: SqliteOutbox, says: GuestConsent, kinds: list[DeliveryKind], owed: list[str]
) -> None:
    """It is not known yet what that will have been."""
    delivery = await _in_hand(outbox)
    await _tell(outbox, "second", _SAYS_NO)
    there = msgspec.structs.replace(GUEST, destination="second")
    await settled(outbox, "again", there, booking="other")
    await _claim(outbox, "second")
    found = await _hear(outbox, delivery, says, kinds=kinds)
    assert [one.destination for one in found] == owed


async def test_the_delivery_that_has_fetched_it_is_not_taken_for_another(
    outbox: SqliteOutbox,
) -> None:
    """It has not told anything yet, and will tell what it has just fetched."""
    delivery = await _in_hand(outbox)
    kinds = [DeliveryKind.GUEST]
    assert await _hear(outbox, delivery, kinds=kinds, whom=["stampede"]) == []


async def test_an_opt_out_that_parked_gives_way(outbox: SqliteOutbox, path: Path) -> None:
    """A fresh one may succeed, and what parked with the old one goes on after it."""
    await _tell(outbox, "second", _SAYS_YES)
    delivery = await _in_hand(outbox)
    [first] = await _hear(outbox, delivery)
    consent = await _claim(outbox, "second")
    assert consent.id == first.delivery
    await outbox.deliveries.close(consent, DeliveryState.PARKED, "refused", None, now=T0)
    [second] = await _hear(outbox, delivery, at=T0 + 2)
    assert second.replaced == [first.delivery]
    states = look(path, "SELECT state FROM delivery WHERE kind = 'consent' ORDER BY id")
    assert states == [("superseded",), ("waiting",)]
    conserved(path)


async def test_one_that_parked_gives_way_to_what_an_event_finds_too(
    outbox: SqliteOutbox, path: Path
) -> None:
    """And it is told of, as of everything that is superseded."""
    await _tell(outbox, "second", _SAYS_YES)
    delivery = await _in_hand(outbox)
    [first] = await _hear(outbox, delivery)
    consent = await _claim(outbox, "second")
    await outbox.deliveries.close(consent, DeliveryState.PARKED, "refused", None, now=T0)
    event = await claimed(outbox, "2", booking="b2")
    says_no = _guest(_SAYS_NO)
    takes_back = taking_back("leeds", says_no, T0 + 2, made.stampede_mapper())
    heard = Heard(source="leeds", guest=says_no, person="ada", fetched_at=T0 + 2, event=event.id)
    hearer = Hearer(destination="second", takes_back=takes_back, kinds=())
    taken = TakenBack(heard=heard, hearer=hearer)
    settled_ = await outbox.deliveries.settle(event, [BOOKING], taken_back=[taken], now=T0)
    [(fresh,)] = look(path, "SELECT id FROM delivery WHERE kind = 'consent' AND state = 'waiting'")
    assert (first.delivery, fresh) in [(one.delivery, one.superseded_by) for one in settled_]
    conserved(path)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("uses", [1, 2])
async def test_no_crash_comes_between_the_word_and_what_is_owed_for_it(
    path: Path, uses: int, *, after: bool
) -> None:
    """The details are fresh then, so nobody would fetch them again and find out."""
    power = Power()
    async with open_outbox(path) as outbox:
        await _tell(outbox, "second", _SAYS_YES)
        delivery = await _in_hand(outbox)
    with suppress(OutboxUnavailable):
        async with open_outbox(path, connect=power.connect) as outbox:
            power.cut_in(uses, after=after)
            await _hear(outbox, delivery)
            await _hear(outbox, delivery, at=T0 + 2)
    assert power.gone.is_set()
    async with open_outbox(path) as outbox:
        known = await outbox.facts.guest("leeds", "c")
    assert known is not None
    is_known = known.guest.consent == _SAYS_NO
    assert bool(look(path, _OPT_OUTS)) is is_known
    conserved(path)
