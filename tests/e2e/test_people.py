"""What ROLLER tells of people beside their bookings reaches those who were told of them."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from pipeline.model import Action, Arrival, EventState, Kind, Origin
from pipeline.outbox.sqlite import open_outbox
from tests.e2e.test_registration import _MODE, _OFF
from tests.e2e.world import World, equations, world
from tests.outbox.support import change
from tests.waiting import until

_ANNA = {
    "firstName": "Anna",
    "lastName": "Example",
    "email": "anna@example.com",
    "dateOfBirth": "1990-01-01",
    "acceptMarketing": True,
}
_CHANNELS = ("data", "email", "sms")
_NO = {"acceptMarketing": False, "acceptMarketingSMS": False}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose ROLLER sends messages of every type."""
    async with world(tmp_path, everything=True) as made:
        yield made


async def _booked(here: World, **guest: object) -> int:
    customer = await here.guest(**(_ANNA | guest))
    await here.book(booking={"customerId": customer, "uniqueId": "one"})
    await here.settled()
    return customer


async def _change(here: World, customer: int, **fields: object) -> list[tuple[str, int, str]]:
    """Change a guest at ROLLER; give the kind, class and end of the deliveries that come of it."""
    [[before]] = here.rows("SELECT count(*) FROM deliveries")
    await here.change(customer, **fields)
    equations(await here.settled())
    return here.rows(
        "SELECT kind, priority, state FROM deliveries ORDER BY created_at, id LIMIT -1 OFFSET ?",
        before,
    )


async def _guests(here: World) -> dict[str, Any]:
    return {guest["email"]: guest for guest in (await here.state("stampede"))["guests"]}


async def _opt_ins(here: World) -> list[bool]:
    guest = (await _guests(here))["anna@example.com"]
    return [guest[f"{channel}_opt_in"] for channel in _CHANNELS]


async def _asked(here: World) -> list[str]:
    """Give the paths of guests and bookings that ROLLER was asked for."""
    paths = [one["path"] for one in await here.requests("roller")]
    return [path for path in paths if path.startswith(("/guests", "/customers", "/bookings"))]


def _ends(here: World) -> list[tuple[Any, ...]]:
    """Give how the events of people ended."""
    return here.rows("SELECT kind, action, state, reason FROM events WHERE kind <> 'booking'")


async def test_a_change_of_a_guest_is_told_to_who_was_told_of_them(here: World) -> None:
    """No booking message comes of it, for a year perhaps."""
    async with here.running():
        customer = await _booked(here, acceptMarketing=False)
        assert await _change(here, customer, lastName="Married") == [("guest", 3, "delivered")]
        assert (await _guests(here))["anna@example.com"]["last"] == "Married"
        yes = {"acceptMarketing": True}
        assert await _change(here, customer, **yes) == [("guest", 3, "delivered")]
        assert await _opt_ins(here) == [True, True, True]
        assert await _change(here, customer, **_NO) == [("consent", 1, "delivered")]
        assert await _opt_ins(here) == [False, False, False]
        assert await _change(here, customer, flags=[{"type": "VIP"}]) == []


async def test_another_address_is_another_guest_and_the_old_one_keeps_what_it_has(
    here: World,
) -> None:
    """Whom the old address belongs to now nobody knows."""
    async with here.running():
        customer = await _booked(here)
        assert await _change(here, customer, email="new@example.com") == [("guest", 3, "delivered")]
        assert await _change(here, customer, email="new@example.com") == []
        guests = await _guests(here)
        assert await _change(here, customer, email=None) == []
    assert set(guests) == {"anna@example.com", "new@example.com"}
    assert (await _opt_ins(here))[1], "she said nothing else"


async def test_a_customer_without_a_booking_costs_no_request(here: World) -> None:
    """Everyone who signs a waiver is one, and calls are counted by the month."""
    async with here.running():
        customer = await here.guest(**_ANNA)
        await here.change(customer, lastName="Married")
        equations(await here.settled())
        assert await _asked(here) == []
    assert _ends(here) == [
        ("customer", "created", "ignored", "no booking"),
        ("customer", "updated", "ignored", "no booking"),
    ]
    assert here.deliveries() == {}


async def test_who_was_not_told_for_want_of_an_address_is_told_once_there_is_one(
    here: World,
) -> None:
    """The till forgot to ask for it, and the guest adds it at home."""
    async with here.running():
        customer = await here.guest(**(_ANNA | {"email": "not an address"}))
        for unique in ("older", "newer"):
            await here.book(booking={"customerId": customer, "uniqueId": unique})
            await here.settled()
        assert here.deliveries() == {("booking", "skipped"): 2}
        made = await _change(here, customer, email="anna@example.com")
        assert {one for one in made if one[0] != "tag"} == {
            ("guest", 2, "delivered"),
            ("booking", 2, "delivered"),
        }
        assert await _change(here, customer, lastName="Married") == [("guest", 3, "delivered")]
        bookings = (await here.state("stampede"))["bookings"]
    assert [booking["event_id"] for booking in bookings] == ["newer"]
    sql = "SELECT booking, state FROM deliveries WHERE kind = 'booking' ORDER BY created_at"
    assert here.rows(sql) == [
        ("older", "skipped"), ("newer", "superseded"), ("newer", "delivered"),
    ]  # fmt: skip


async def test_in_mode_registration_an_opt_out_still_goes(here: World) -> None:
    """There is no call for what else changes; to be left alone is another matter."""
    here.replace(_OFF, _MODE)
    async with here.running():
        customer = await _booked(here, acceptMarketingSMS=True)
        assert await _change(here, customer, lastName="Married") == []
        assert await _change(here, customer, **_NO) == [("consent", 1, "delivered")]
        assert await _opt_ins(here) == [False, False, False]


async def test_whom_a_waiver_calls_a_minor_is_sent_nowhere(here: World) -> None:
    """Not even where the venue takes guests of any age, or the record lacks it."""
    text = here.path.read_text()
    here.write(text.replace("[sources.leeds]\n", "[sources.leeds]\nadults_only = false\n"))
    async with here.running():
        kid = {"email": "kid@example.com", "dateOfBirth": None}
        signed = await here.sign(minors=[kid])
        await here.settled()
        [customer] = signed["minors"]
        await here.book(booking={"customerId": customer, "uniqueId": "kid's"})
        status = await here.settled()
        equations(status)
        adult = signed["customerId"]
        await here.book(booking={"customerId": adult, "uniqueId": "adult's"})
        await here.settled()
        bookings = (await here.state("stampede"))["bookings"]
        requests = repr(await here.requests("stampede"))
    assert here.rows("SELECT state, reason FROM deliveries WHERE booking = 'kid''s'") == [
        ("skipped", "minor")
    ]
    assert [booking["event_id"] for booking in bookings] == ["adult's"]
    assert "kid" not in requests
    assert ("signed_waiver", "created", "done", None) in _ends(here)


async def test_who_turns_out_to_be_a_minor_is_told_nothing_but_to_be_left_alone(
    here: World,
) -> None:
    """A parent's word on a waiver comes after the booking."""
    async with here.running():
        customer = await _booked(here, dateOfBirth=None, acceptMarketingSMS=True)
        before = len(await here.requests("stampede"))
        await here.waived(customer, isForMinor=True)
        await here.settled()
        assert await _change(here, customer, lastName="Married") == []
        await here.book(booking={"uniqueId": "one", "total": 12})
        await here.settled()
        assert len(await here.requests("stampede")) == before
        assert await _change(here, customer, **_NO) == [("consent", 1, "delivered")]
        assert await _opt_ins(here) == [False, False, False]


async def test_a_booking_is_told_without_those_who_come_along(here: World) -> None:
    """Their names are on the tickets, and many of them are minors."""
    async with here.running():
        customer = await here.guest(**_ANNA)
        await here.book(booking={"customerId": customer, "uniqueId": "one"})
        await here.sign(customerId=customer, minors=[{"firstName": "Markerchild"}], booking="one")
        await here.settled()
        stampede = repr(await here.state("stampede"))
        roller = repr(await here.state("roller"))
    assert "Markerchild" in roller
    assert "Markerchild" not in stampede
    assert [row for row in here.rows("SELECT doc FROM subject") if "Markerchild" in str(row)] == []


async def test_of_a_message_about_people_only_ids_and_dates_are_kept(here: World) -> None:
    """They say how people are, and nobody asked us to know."""
    async with here.running():
        customer = await _booked(here, flags=[{"type": "Medical", "comment": "asthma"}])
        await here.change(customer, lastName="Married")
        await here.sign(minors=1)
        await here.redeem("one")
        await here.heard()
    bodies = here.rows("SELECT kind, body FROM event WHERE kind <> 'booking'")
    fields = {"id", "sendDate", "type", "eventDate", "eventType", "data"}
    ids = {
        "customer": {"customerId"},
        "redemption": {"ticketId", "redemptionDate", "customerId"},
        "signed_waiver": {
            "signedWaiverId", "parentSignedWaiverId", "waiverId", "guestId", "isForMinor",
            "dateOfBirth", "expiryDate", "createdDate",
        },
    }  # fmt: skip
    assert {kind for kind, _ in bodies} == set(ids)
    for kind, body in bodies:
        kept = msgspec.json.decode(body)
        assert set(kept) <= fields
        assert set().union(*kept["data"]) <= ids[kind]


_LATE = {
    "uniqueId": "one",
    "status": "Paid",
    "total": 12,
    "name": "Markerlate",
    "items": [{"productId": 1, "quantity": 1, "bookingDate": "2026-12-05"}],
}
_DELETED = "the guest was deleted at ROLLER"
_ONCE = "the source does not know the customer any more"


async def _once(here: World) -> None:
    """Wait until ROLLER has been asked once for somebody whom it does not know."""
    sql = "SELECT 1 FROM events WHERE state = 'waiting' AND reason = ?"
    await until(lambda: here.rows(sql, _ONCE), timeout=20.0)


def _some_minutes_later(here: World) -> None:
    """Have what waits be due; the daemon is stopped."""
    [(wait,)] = here.rows("SELECT due_at - updated_at FROM event WHERE state = 'waiting'")
    assert wait >= 299e6, "one 404 may be a hiccup of minutes"
    change(here.outbox, "UPDATE event SET due_at = updated_at WHERE state = 'waiting'")


async def test_a_guest_who_was_deleted_is_erased_here_and_told_no_more(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """They asked the venue to be forgotten, and nobody else will tell us."""
    deleted = {"lastName": "Markerlast", "email": "marker.mail@example.com"}
    here.replace('first = "20ms"\nmax = "200ms"', 'first = "1m"\nmax = "1m"')
    async with here.running():
        customer = await _booked(here, **deleted)
        await here.control("stampede", "faults", {"kind": "500", "path": "/v1/"})
        await here.book(booking={"uniqueId": "one", "total": 12, "name": "Markerbooker"})
        await here.heard()
        await here.delete(customer)
        await _once(here)
        assert here.rows("SELECT 1 FROM deliveries WHERE state IN ('waiting', 'sending')")
    _some_minutes_later(here)
    async with here.running():
        await here.heard()
        await here.clear_faults("stampede")
        before = len(await here.requests("stampede"))
        equations(await here.settled())
        explained = await _explained(here, capsys)
    assert _ends(here)[-1] == ("customer", "updated", "done", _DELETED)
    erased = here.rows("SELECT kind, reason FROM deliveries WHERE state = 'erased'")
    told_since = (await here.requests("stampede"))[before:]
    assert erased, "something waited"
    assert {reason for _, reason in erased} == {_DELETED}
    assert "marker.mail" not in repr(told_since)
    assert f"It is done: {_DELETED}; " in explained
    assert f"It is erased: {_DELETED}." in explained
    left = b"".join(one.read_bytes() for one in here.folder.glob("outbox.db*"))
    assert b"arker" not in left
    assert here.rows("SELECT count(*) FROM told WHERE kind = 'guest'") == [(1,)]


async def test_who_has_taken_something_back_is_opted_out_before_they_are_erased(
    here: World,
) -> None:
    """They stay subscribed for ever otherwise, and nobody knows of them any more."""
    async with here.running():
        customer = await _booked(here)
        await here.control("stampede", "faults", {"kind": "503", "path": "/v1/"})
        await here.change(customer, **_NO)
        await until(lambda: here.rows("SELECT 1 FROM deliveries WHERE kind = 'consent'"))
        await here.delete(customer)
        await _once(here)
    _some_minutes_later(here)
    async with here.running():
        sql = "SELECT 1 FROM events WHERE state = 'waiting' AND reason = 'their opt-out goes first'"
        await until(lambda: here.rows(sql))
        await here.clear_faults("stampede")
        ended = "SELECT 1 FROM deliveries WHERE kind = 'consent' AND state = 'delivered'"
        await until(lambda: here.rows(ended))
    _some_minutes_later(here)
    async with here.running():
        equations(await here.settled())
    assert _ends(here)[-1] == ("customer", "updated", "done", _DELETED)
    assert await _opt_ins(here) == [False, False, False]


async def test_of_somebody_erased_nothing_is_kept_that_comes_late_or_has_parked(
    here: World,
) -> None:
    """A webhook may come hours later, and what cannot be read may name them too."""
    async with here.running():
        customer = await _booked(here)
        odd = {"id": "odd", "type": 1, "data": [{"customerId": customer, "name": "Markerodd"}]}
        assert await here.post(msgspec.json.encode(odd)) == 200
        assert await here.post(b'{"id": "other", "type": 1, "data": [{"customerId": 1}]}') == 200
        await here.delete(customer)
        await _once(here)
    _some_minutes_later(here)
    async with here.running():
        await here.heard()
        assert here.rows("SELECT state FROM event WHERE key = 'other' AND body IS NOT NULL")
        now = datetime.now(UTC)
        times = {
            "Updated": now,
            "Cancelled": now + timedelta(seconds=1),
            "Created": now - timedelta(days=9),
        }
        for event, at in times.items():
            late = {
                "id": f"late {event}", "type": "Booking", "eventType": event,
                "eventDate": at.isoformat(),
                "data": _LATE | {"customerId": customer},
            }  # fmt: skip
            assert await here.post(msgspec.json.encode(late)) == 200
        await here.heard()
    sql = "SELECT key, state, reason FROM event WHERE body IS NULL AND key LIKE '%late%'"
    assert here.rows(sql) == [
        ("late Updated", "ignored", _DELETED),
        ("late Cancelled", "done", None),
        ("late Created", "done", None),
    ]
    assert here.rows("SELECT state, body FROM event WHERE key = 'odd'") == [("parked", None)]


async def test_one_answer_404_does_not_erase_anybody(here: World) -> None:
    """A guest is erased once and for all."""
    async with here.running():
        customer = await _booked(here)
        missing = {"kind": "404", "count": 1, "path": "/guests/*"}
        await here.control("roller", "faults", missing)
        await here.change(customer, lastName="Married")
        await _once(here)
    _some_minutes_later(here)
    async with here.running():
        equations(await here.settled())
    assert _ends(here)[-1] == ("customer", "updated", "done", None)
    assert (await _guests(here))["anna@example.com"]["last"] == "Married"


async def test_a_source_that_knows_nobody_any_more_has_nobody_erased(here: World) -> None:
    """It has lost its way, as behind a gateway that is being changed, and not all its guests."""
    async with here.running():
        customer = await _booked(here)
        other = await here.guest(**(_ANNA | {"email": "bea@example.com"}))
        await here.book(booking={"customerId": other, "uniqueId": "two"})
        await here.settled()
        await here.control("roller", "faults", {"kind": "404", "path": "/guests/*"})
        await here.change(customer, lastName="Married")
        await _once(here)
    _some_minutes_later(here)
    asked = len(await _asked(here))
    async with here.running():
        await until(lambda: here.rows("SELECT 1 FROM events WHERE attempts = 2"))
        assert len(await _asked(here)) == asked + 2, "the guest, and somebody else"
        await here.clear_faults("roller")
    _some_minutes_later(here)
    async with here.running():
        equations(await here.settled())
    assert _ends(here)[-1] == ("customer", "updated", "done", None)
    assert (await _guests(here))["anna@example.com"]["last"] == "Married"


async def test_a_failure_between_two_answers_404_proves_nothing(here: World) -> None:
    """Whoever answers 500 in between may well have been wrong before."""
    async with here.running():
        customer = await _booked(here)
        await here.delete(customer)
        await _once(here)
    _some_minutes_later(here)
    await here.control("roller", "faults", {"kind": "500", "count": 1, "path": "/guests/*"})
    async with here.running():
        await _once(here)
        assert here.rows("SELECT doc FROM subject WHERE kind = 'guest'") != [(None,)]


async def _explained(here: World, capsys: pytest.CaptureFixture[str]) -> str:
    """Give what `explain` says of everything."""
    capsys.readouterr()
    for [name] in here.rows("SELECT id FROM events UNION SELECT id FROM deliveries"):
        await asyncio.to_thread(main, ["explain", name, "--config", str(here.path)])
    return capsys.readouterr().out


async def test_a_change_while_the_guest_is_being_asked_for_is_not_missed(here: World) -> None:
    """ROLLER tells of the purchase and of the customer at once, and may answer what was before."""
    async with here.running():
        customer = await here.guest(**_ANNA)
        await here.control("roller", "faults", {"kind": "slow", "count": 1, "path": "/guests/*"})
        await here.book(booking={"customerId": customer})
        await until(functools.partial(_is_being_asked_for, here))
        await here.change(customer, **_NO)
        await here.settled()
        assert await _opt_ins(here) == [False, False, False]
    assert _ends(here)[-1] == ("customer", "updated", "done", None)


async def _is_being_asked_for(here: World) -> bool:
    return any(path.startswith("/guests/") for path in await _asked(here))


async def test_a_destination_that_was_not_told_of_a_customer_hears_of_no_change(
    here: World,
) -> None:
    """It hears of the guest with their next booking, if it is for it at all."""
    async with here.running():
        customer = await _booked(here)
    async with here.another_stampede("second"), here.running():
        assert await _change(here, customer, lastName="Married") == [("guest", 3, "delivered")]
        assert (await here.state("second"))["guests"] == []


async def test_what_was_refused_of_a_guest_goes_again_once_it_is_corrected(here: World) -> None:
    """So `explain` promises to whoever looks at what has parked."""
    async with here.running():
        refused = {"kind": "400", "count": 1, "method": "POST", "path": "/v1/guests"}
        await here.control("stampede", "faults", refused)
        customer = await _booked(here)
        assert here.deliveries()["guest", "parked"] == 1
        assert [one[0] for one in await _change(here, customer, lastName="Married")] == ["guest"]
        assert here.deliveries()["booking", "delivered"] == 1


async def test_what_we_have_left_out_of_a_message_is_no_drift(here: World) -> None:
    """It is read again after a failure, and would seem to lack all that was dropped of it."""
    async with here.running():
        customer = await _booked(here)
        await here.control("roller", "faults", {"kind": "404", "count": 1, "path": "/guests/*"})
        await here.change(customer, lastName="Married")
        await _once(here)
    _some_minutes_later(here)
    async with here.running():
        status = await here.settled()
    assert [str(one) for one in status.sources["leeds"].drift] == []


async def _backfilled(here: World, **guest: object) -> list[tuple[Any, ...]]:
    """Take in a customer as a backfill of guests does; give the deliveries that come of it."""
    made = await here.control("roller", "guests", {"guest": _ANNA | guest, "send": False})
    customer = made["customerId"]
    body = {"type": "Customer", "eventType": "Updated", "data": {"customerId": str(customer)}}
    now = time.time_ns() // 1000
    found = Arrival(
        source="leeds", origin=Origin.BACKFILL, key=f"backfill:customer:{customer}",
        kind=Kind.CUSTOMER, action=Action.UPDATED, occurred_at=now, booking=None, reference=None,
        received_at=now, state=EventState.WAITING, reason=None, body=msgspec.json.encode(body),
    )  # fmt: skip
    async with open_outbox(here.outbox) as outbox:
        await outbox.intake.accept(found)
    async with here.running():
        equations(await here.settled())
    return here.rows("SELECT kind, priority, state FROM deliveries")


async def test_a_backfill_tells_of_a_guest_who_never_booked(here: World) -> None:
    """Marketing contacts are imported so: behind all else, and looked up before they are told."""
    assert await _backfilled(here) == [("guest", 6, "delivered")]
    guest = (await _guests(here))["anna@example.com"]
    assert (guest["first"], guest["email_opt_in"]) == ("Anna", True)
    asked = [one["method"] for one in await here.requests("stampede") if "guests" in one["path"]]
    assert asked == ["GET", "POST"], "also where the configuration trusts the source"


async def test_a_backfill_tells_of_no_minor(here: World) -> None:
    """Whatever their record says of consent."""
    assert await _backfilled(here, dateOfBirth="2015-01-01") == []
    assert await _guests(here) == {}
