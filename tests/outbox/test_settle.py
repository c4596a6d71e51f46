"""An event's deliveries fall into place beside those that are there."""

from pathlib import Path

import msgspec

from pipeline.model import (
    Consent,
    DeliveryKind,
    DeliveryState,
    Event,
    Guest,
    GuestConsent,
    Origin,
    Outcome,
    Priority,
    ToldConsent,
    ToldGuest,
)
from pipeline.outbox import Heard, Hearer, Learnt, Remembered
from pipeline.outbox.sqlite import SqliteOutbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    T0,
    TAG,
    claimed,
    conserved,
    intent,
    look,
    next_delivery,
    nothing_goes,
    sent,
    settled,
)

_SKIPPED = intent(state=DeliveryState.SKIPPED, reason="draft")


async def test_bookings_and_tags_wait_for_their_guest(outbox: SqliteOutbox, path: Path) -> None:
    """Stampede's paths hold the guest's id, so the guest goes first."""
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    guest = await next_delivery(outbox)
    assert guest.kind == "guest"
    assert await nothing_goes(outbox)
    learnt = Learnt(key="person", told=ToldGuest(remote_id="g"))
    ending = await sent(outbox, guest, Outcome.OK)
    await outbox.deliveries.succeed(guest, [learnt], ending, more=False, now=T0)
    booking = await next_delivery(outbox)
    assert booking.kind == "booking"
    conserved(path)


async def test_a_newer_event_supersedes_what_has_not_gone_out(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A booking that is changed ten times while it waits costs one request."""
    for n in range(10):
        await settled(outbox, str(n), BOOKING, at=T0 + n)
    states = look(path, "SELECT state, superseded_by FROM deliveries ORDER BY created_at, id")
    assert sorted(state for state, _ in states) == ["superseded"] * 9 + ["waiting"]
    chain = look(path, "SELECT id, superseded_by FROM delivery WHERE superseded_by IS NOT NULL")
    assert sorted(chain) == [(n, n + 1) for n in range(1, 10)], "by the immediate successor"
    conserved(path)


async def test_an_older_event_is_superseded_at_once_by_the_next_newer(
    outbox: SqliteOutbox, path: Path
) -> None:
    """ROLLER promises no order."""
    for key, at in (("1", 10), ("2", 30), ("3", 50), ("late", 20)):
        await settled(outbox, key, BOOKING, at=T0 + at)
    assert look(path, "SELECT state, superseded_by FROM delivery WHERE id = 4") == [
        ("superseded", 2)
    ]


async def test_what_becomes_sendable_replaces_what_was_skipped_and_not_the_other_way(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A reason that still holds stays to be seen."""
    await settled(outbox, "1", _SKIPPED, at=T0)
    await settled(outbox, "2", _SKIPPED, at=T0 + 1)
    assert look(path, "SELECT state FROM delivery") == [("skipped",)] * 2
    await settled(outbox, "3", BOOKING, at=T0 + 2)
    assert look(path, "SELECT state FROM delivery ORDER BY id") == [
        ("superseded",),
        ("superseded",),
        ("waiting",),
    ]


async def test_one_open_delivery_serves_a_guest_and_each_tag(
    outbox: SqliteOutbox, path: Path
) -> None:
    """What is said once does not wait twice."""
    await settled(outbox, "1", BOOKING, GUEST, TAG, at=T0)
    await settled(outbox, "2", BOOKING, GUEST, TAG, at=T0 + 1)
    await settled(outbox, "3", BOOKING, GUEST, booking="other")
    kinds = dict(look(path, "SELECT kind, count(*) FROM delivery GROUP BY kind"))
    assert kinds == {"guest": 1, "tag": 1, "booking": 3}


async def test_a_parked_guest_parks_its_bookings_and_better_details_bring_all_back(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Nobody has to retry by hand what the next event cures."""
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    guest = await next_delivery(outbox)
    await outbox.deliveries.close(guest, DeliveryState.PARKED, "refused", None, now=T0)
    reasons = look(path, "SELECT DISTINCT state, reason FROM delivery WHERE kind <> 'guest'")
    assert reasons == [("parked", f"guest d{guest.id} parked")]
    await settled(outbox, "2", BOOKING, GUEST, booking="other")
    assert look(path, "SELECT DISTINCT state FROM delivery WHERE id > 1") == [("waiting",)]
    again = await next_delivery(outbox)
    assert again.kind == "guest"
    conserved(path)


async def test_an_event_that_another_worker_has_finished_makes_no_second_deliveries(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A lease may run out while its worker still lives."""
    event = await settled(outbox, "1", BOOKING)
    await outbox.deliveries.settle(event, [BOOKING], now=T0)
    assert look(path, "SELECT count(*) FROM delivery") == [(1,)]


async def _takes_back(outbox: SqliteOutbox, event: Event) -> None:
    """Hear of an event's guest, each time later, that they take back what the destination has."""
    guest = Guest(customer="c", consent=GuestConsent(email=Consent.NO))
    at = T0 + (event.id or 0)
    heard = Heard(source="leeds", guest=guest, person="p", fetched_at=at, event=event.id)
    hearer = Hearer(destination="stampede", takes_back=lambda _: True, kinds=[])
    await outbox.deliveries.hear(heard, [hearer], now=T0)


async def test_an_opt_out_overtakes_all_that_waits_of_the_guest(
    outbox: SqliteOutbox, path: Path
) -> None:
    """It goes first, and one that waits serves for the next."""
    await _tell(outbox, "p", ToldGuest())
    await settled(outbox, "1", BOOKING, GUEST, TAG)
    for key in ("2", "3"):
        await _takes_back(outbox, await settled(outbox, key, BOOKING, booking=f"b{key}"))
    assert look(path, "SELECT count(*) FROM delivery WHERE kind = 'consent'") == [(1,)]
    first = await next_delivery(outbox)
    assert (first.kind, first.booking, first.priority) == ("consent", None, Priority.OPT_OUT)
    assert await nothing_goes(outbox), "the guest's other work is not under way meanwhile"
    await _takes_back(outbox, await settled(outbox, "4", BOOKING, booking="b4"))
    assert look(path, "SELECT count(*) FROM delivery WHERE kind = 'consent'") == [(2,)]
    conserved(path)


async def test_a_booking_of_a_guest_whom_the_destination_has_waits_for_nothing(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A change of the guest's phone number is less urgent than a new booking."""
    known = msgspec.structs.replace(BOOKING, waits=False)
    await settled(outbox, "1", known, intent(DeliveryKind.GUEST, priority=Priority.CHANGED))
    assert (await next_delivery(outbox)).kind == "booking"
    conserved(path)


async def test_what_needs_not_be_sent_is_remembered_of_those_who_were_told(
    outbox: SqliteOutbox,
) -> None:
    """A further record's yes is not sent, but the no that follows it is a change."""
    told = ToldConsent(data=True, email=True, sms=True, behind={"leeds/c": _SAID})
    await _tell(outbox, "known", ToldGuest(remote_id="g-1", consent=told))
    await _tell(outbox, "unknown", ToldGuest(remote_id="g-2"))
    further = GuestConsent(email=Consent.YES, sms=Consent.UNKNOWN)
    event = await claimed(outbox, "2")
    remembered = [
        Remembered(destination="stampede", person=person, record="york/d", said=further)
        for person in ("known", "unknown", "nobody")
    ]
    await outbox.deliveries.settle(event, [], remembered, now=T0)
    found = await outbox.facts.told_guest("stampede", "known")
    assert found is not None
    assert found.consent is not None
    assert found.consent.behind == {"leeds/c": _SAID, "york/d": further}
    assert await outbox.facts.told_guest("stampede", "unknown") == ToldGuest(remote_id="g-2")
    assert await outbox.facts.told_guest("stampede", "nobody") is None


_SAID = GuestConsent(email=Consent.NO, sms=Consent.YES)


async def _tell(outbox: SqliteOutbox, person: str, told: ToldGuest) -> None:
    """Have a guest told to Stampede."""
    await settled(outbox, f"of {person}", intent(DeliveryKind.GUEST, customer=person))
    guest = await next_delivery(outbox)
    ending = await sent(outbox, guest, Outcome.OK)
    learnt = [Learnt(key=person, told=told)]
    await outbox.deliveries.succeed(guest, learnt, ending, more=False, now=T0)


async def test_what_comes_from_no_webhook_or_is_retried_by_hand_is_wary(
    outbox: SqliteOutbox,
) -> None:
    """What it knows may be old, so a guest is looked up before the first word."""
    await settled(outbox, "1", GUEST)
    assert (await next_delivery(outbox)).wary is False
    await settled(outbox, "2", intent(DeliveryKind.GUEST, customer="d"), origin=Origin.BACKFILL)
    assert (await next_delivery(outbox)).wary is True
    await settled(outbox, "3", intent(DeliveryKind.GUEST, customer="e"))
    await outbox.repair.retry_deliveries([3], now=T0)
    assert (await next_delivery(outbox)).wary is True


async def test_a_guest_who_is_being_told_is_told_again_of_what_came_meanwhile(
    outbox: SqliteOutbox, path: Path
) -> None:
    """What is under way may say what is true no more; where nothing is, nothing is owed."""
    spare = intent(DeliveryKind.GUEST, spare=True)
    await settled(outbox, "1", spare)
    assert look(path, "SELECT count(*) FROM delivery") == [(0,)]
    await settled(outbox, "2", GUEST)
    await settled(outbox, "3", spare)
    assert look(path, "SELECT count(*) FROM delivery") == [(1,)], "the one that waits will do"
    await next_delivery(outbox)
    await settled(outbox, "4", spare)
    assert look(path, "SELECT state FROM delivery ORDER BY id") == [("sending",), ("waiting",)]
