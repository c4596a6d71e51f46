"""Of people as little is kept as can be, and nothing once they are gone."""

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.model import (
    Booking,
    DeliveryKind,
    DeliveryState,
    Event,
    EventState,
    Guest,
    GuestConsent,
    Minor,
    Outcome,
    Phase,
    ToldConsent,
    ToldGuest,
)
from pipeline.outbox import About, Learnt
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    LEASE,
    T0,
    TAG,
    arrival,
    claimed,
    conserved,
    intent,
    look,
    next_delivery,
    sent,
    settled,
)
from tests.waiting import until

_REASON = "the guest was deleted at ROLLER"
_MARKED = Guest(customer="c", first="Markerfirst", email="marker@example.com")


async def _known(outbox: SqliteOutbox, guest: Guest = _MARKED) -> None:
    await outbox.events.learn_guest("leeds", guest, fetched_at=T0)


async def test_a_customer_is_known_from_the_moment_they_are_asked_for(
    outbox: SqliteOutbox,
) -> None:
    """What they change while the answer is on its way must not be missed."""
    assert not await outbox.people.is_known("leeds", "c")
    await outbox.people.expect("leeds", "c")
    assert await outbox.people.is_known("leeds", "c")
    assert not await outbox.people.is_known("york", "c")
    assert await outbox.facts.guest("leeds", "c") is None
    await _known(outbox)
    await outbox.people.expect("leeds", "c")
    known = await outbox.facts.guest("leeds", "c")
    assert known is not None
    assert known.guest == _MARKED


async def test_a_customer_is_known_though_keep_is_over(outbox: SqliteOutbox) -> None:
    """They may opt out a year after their visit."""
    await _known(outbox)
    await outbox.shed(before=T0 + LEASE, attempts_before=T0)
    assert await outbox.facts.guest("leeds", "c") is None
    assert await outbox.people.is_known("leeds", "c")


def _told(person: str, record: str = "leeds/c") -> Learnt:
    consent = ToldConsent(data=True, email=True, sms=False, behind={record: GuestConsent()})
    return Learnt(key=person, told=ToldGuest(remote_id="g", consent=consent))


async def _tell(outbox: SqliteOutbox, key: str, *learnt: Learnt) -> None:
    await settled(outbox, key, GUEST)
    guest = await next_delivery(outbox)
    ending = await sent(outbox, guest, Outcome.OK)
    await outbox.deliveries.succeed(guest, learnt, ending, more=False, now=T0)


async def test_that_a_customer_was_told_is_remembered(outbox: SqliteOutbox) -> None:
    """Whatever e-mail they have now, and though the details are dropped after `keep`."""
    assert not await outbox.people.is_told("stampede", "leeds", "c")
    await _tell(outbox, "looked up", Learnt(key="p", told=ToldGuest(remote_id="g")))
    assert not await outbox.people.is_told("stampede", "leeds", "c"), "asked for is not told"
    await _tell(outbox, "another record", _told("p", "york/c"))
    assert not await outbox.people.is_told("stampede", "leeds", "c")
    await _tell(outbox, "told", _told("p"))
    assert await outbox.people.is_told("stampede", "leeds", "c")
    assert not await outbox.people.is_told("second", "leeds", "c")


async def test_a_customer_of_whom_is_to_be_told_counts_as_told(outbox: SqliteOutbox) -> None:
    """What was refused is corrected at ROLLER, and then it must go again."""
    await settled(outbox, "1", GUEST)
    assert await outbox.people.is_told("stampede", "leeds", "c")
    guest = await next_delivery(outbox)
    await outbox.deliveries.close(guest, DeliveryState.PARKED, "refused", None, now=T0)
    assert await outbox.people.is_told("stampede", "leeds", "c")
    await outbox.repair.drop_deliveries([guest.id], now=T0)
    assert not await outbox.people.is_told("stampede", "leeds", "c")


def _skipped(reason: str) -> Any:
    return intent(state=DeliveryState.SKIPPED, reason=reason)


@pytest.mark.parametrize(
    ("reasons", "found"),
    [
        (["no e-mail"], "b0"),
        (["unusable e-mail"], "b0"),
        (["minor"], "b0"),
        (["draft"], None),
        (["no customer", "minor"], "b1"),
        (["no e-mail", "draft"], None),
        (["no e-mail", None], None),
    ],
)
async def test_the_newest_booking_is_found_if_its_guest_was_what_kept_it(
    outbox: SqliteOutbox, reasons: list[str | None], found: str | None
) -> None:
    """It can be told once there is an address; the one before it is past."""
    for number, reason in enumerate(reasons):
        made = BOOKING if reason is None else _skipped(reason)
        await settled(outbox, f"{number}", made, booking=f"b{number}", at=T0 + number)
    unsendable = await outbox.people.unsendable("stampede", "leeds", "c")
    assert (unsendable and unsendable.booking) == found
    assert await outbox.people.unsendable("second", "leeds", "c") is None


async def test_what_becomes_sendable_gets_a_row_of_its_own_and_no_later_place(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A message of the booking that is on its way is newer than that, whenever it comes."""
    await settled(outbox, "booking", _skipped("no e-mail"), at=T0)
    event = await claimed(outbox, "customer", booking="", at=T0 + 100)
    about = About(booking="b", reference="ref-b", as_of=T0)
    intents = [msgspec.structs.replace(one, about=about) for one in (BOOKING, GUEST, TAG)]
    await outbox.deliveries.settle(event, intents, now=T0)
    await settled(outbox, "on its way", BOOKING, at=T0 + 50)
    found = look(
        path,
        """SELECT id, kind, booking, state, superseded_by, as_of FROM delivery
           WHERE kind = 'booking' ORDER BY id""",
    )
    assert found == [
        (1, "booking", "b", "superseded", 3, T0),
        (3, "booking", "b", "superseded", 5, T0),
        (5, "booking", "b", "waiting", None, T0 + 50),
    ]
    conserved(path)


async def _minor(outbox: SqliteOutbox) -> Minor | None:
    known = await outbox.facts.guest("leeds", "c")
    assert known is not None
    return known.minor


async def test_who_is_a_minor_is_known_with_the_guest(outbox: SqliteOutbox) -> None:
    """Whichever of the two comes first."""
    born = Minor(born=date(2015, 2, 28))
    await outbox.people.learn_minors("leeds", {"c": Minor(), "d": Minor()}, at=T0)
    await _known(outbox)
    assert await _minor(outbox) == Minor()
    await outbox.people.learn_minors("leeds", {"c": born}, at=T0 + 1)
    assert await _minor(outbox) == born
    await outbox.people.learn_minors("leeds", {"c": Minor()}, at=T0 + 2)
    assert await _minor(outbox) == born, "what was known of the birthday stays known"
    await outbox.people.learn_minors("york", {"c": Minor()}, at=T0 + 3)
    assert await _minor(outbox) == born
    await outbox.shed(before=T0 + LEASE, attempts_before=T0)
    await _known(outbox)
    assert await _minor(outbox) == born, "it outlives keep"
    for other in (date(1985, 6, 1), date(2016, 1, 1), date(2015, 1, 1)):
        await outbox.people.learn_minors("leeds", {"c": Minor(born=other)}, at=T0 + 4)
    assert await outbox.facts.minor("leeds", "c") == Minor(born=date(2016, 1, 1)), (
        "a parent's birthday, typed on a second waiver, makes nobody grow up"
    )
    assert await outbox.facts.minor("leeds", "e") is None


async def _body(outbox: SqliteOutbox, key: str, *, booking: str = "b", large: bool = False) -> int:
    body = b'{"name": "Markerbody"}' + b" Markerbody" * (2_000 if large else 0)
    made = msgspec.structs.replace(arrival(key, booking=booking), body=body)
    return (await outbox.intake.accept(made)).event


async def _process(outbox: SqliteOutbox, event: int) -> Event:
    [claimed_] = await outbox.events.claim([event], now=T0, until=T0 + LEASE)
    return claimed_


async def test_of_somebody_who_is_gone_nothing_stays_but_ids_and_digests(path: Path) -> None:
    """Also not in pages that became free, nor in what was written before."""
    async with open_outbox(path) as outbox:
        await _tell(outbox, "told", _told("p"))
        done = await _process(outbox, await _body(outbox, "done", large=True))
        booking = Booking(id="b", customer="c", phase=Phase.ACTIVE)
        await outbox.events.learn_booking(done, booking)
        await _known(outbox)
        await outbox.people.learn_minors("leeds", {"c": Minor(born=date(2015, 2, 28))}, at=T0)
        await outbox.deliveries.settle(done, [BOOKING, GUEST, TAG], now=T0)
        parked = await next_delivery(outbox)
        await outbox.deliveries.close(parked, DeliveryState.PARKED, "refused", None, now=T0)
        waiting = await _body(outbox, "waiting")
        refused = await _process(outbox, await _body(outbox, "refused"))
        await outbox.events.finish(refused.id, EventState.PARKED, "unreadable: x", now=T0)
        dropped = await _body(outbox, "dropped")
        await outbox.repair.drop_events([dropped], now=T0)
        other = await _body(outbox, "other", booking="other")
        odd = await _process(outbox, await _body(outbox, "odd", booking="odd"))
        await outbox.events.finish(odd.id, EventState.PARKED, "unreadable: x", now=T0)
        parked_ = await outbox.people.parked("leeds", "Marker", after=refused.id)
        assert [event for event, _ in parked_] == [odd.id]
        assert not await outbox.people.parked("leeds", "nobody", after=0)
        assert not await outbox.people.is_erased("leeds", "c")
        named_in = [odd.id]
        held = await outbox.people.erase("leeds", "c", _REASON, named_in=named_in, now=T0 + 5)
        assert await outbox.people.is_erased("leeds", "c")
        assert not await outbox.people.is_erased("leeds", "d")
        assert {one.state for one in held} == {DeliveryState.ERASED}
        assert {one.reason for one in held} == {_REASON}
        assert await outbox.facts.guest("leeds", "c") is None
        assert await outbox.people.is_known("leeds", "c")
        assert await outbox.people.is_told("stampede", "leeds", "c")
        conserved(path)
        bodies = dict(look(path, "SELECT id, body IS NOT NULL FROM event"))
        gone = [done.id, waiting, refused.id, dropped, odd.id]
        assert [bodies[one] for one in (*gone, other)] == [0, 0, 0, 0, 0, 1]
        assert look(path, "SELECT doc FROM subject WHERE kind IN ('guest', 'minor')") == [
            (None,), (None,),
        ]  # fmt: skip
        assert not look(path, "SELECT 1 FROM delivery WHERE state IN ('waiting', 'parked')")
        await until(lambda: not path.with_name("outbox.db-wal").stat().st_size)
        left = b"".join(one.read_bytes() for one in path.parent.glob("outbox.db*"))
        assert left.count(b"Markerbody") == 1, "the other booking's"
        for word in (b"Markerfirst", b"marker@example.com", b"2015-02-28"):
            assert word not in left
        await _known(outbox)
        assert await outbox.facts.guest("leeds", "c") is None, "an answer from before"


async def test_what_was_to_wait_for_somebody_who_is_gone_does_not(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A booking that has changed hands waits for its new guest, and its tag perhaps for the old."""
    await settled(outbox, "1", BOOKING, GUEST)
    await settled(outbox, "2", intent(DeliveryKind.BOOKING, customer="d"), booking="other")
    sql = "SELECT id FROM delivery WHERE kind = 'guest'"
    [(guest,)] = look(path, sql)
    booking = await next_delivery(outbox)
    assert booking.id == guest
    other = await next_delivery(outbox)
    assert other.customer == "d"
    await outbox.deliveries.wait_for_guest(other, "c", now=T0)
    await outbox.people.erase("leeds", "c", _REASON, now=T0)
    states = look(path, "SELECT kind, state, waits_for FROM delivery ORDER BY id")
    assert ("guest", "sending", None) in states, "its request is on its way"
    assert ("booking", "waiting", guest) not in states
    conserved(path)
