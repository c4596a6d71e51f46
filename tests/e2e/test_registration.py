"""Mode `registration`: one call per booking for ever, whatever happens on the way."""

import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_restart import process
from tests.e2e.world import World, equations, newest_truth, told, world
from tests.waiting import until

_MODE = 'mode = "registration"\nregistration_path = "/registration"\n'
_OFF = "".join(f"# {line}\n" for line in _MODE.splitlines())
_UNKNOWN = ("booking", "parked", "unknown outcome")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose Stampede is told by registrations."""
    async with world(tmp_path) as made:
        made.replace(_OFF, _MODE)
        yield made


async def _guest(here: World, name: str = "ada", **fields: object) -> int:
    yes = {"acceptMarketing": True, "acceptMarketingSMS": True}
    return await here.guest(email=f"{name}@example.com", firstName="Ada", **(yes | fields))


async def _book(here: World, customer: int, unique: str = "one", **booking: object) -> None:
    await here.book(booking={"customerId": customer, "uniqueId": unique, **booking})


async def _withdraw(here: World, customer: int) -> None:
    """Have a guest take all consents back at ROLLER."""
    no = {"acceptMarketing": False, "acceptMarketingSMS": False}
    await here.control("roller", "guests", {"customerId": customer, "guest": no})


async def _visits(here: World) -> Counter[str]:
    """Count what Stampede takes for visits, by guest."""
    state = await here.state("stampede")
    visits = Counter({guest["email"]: guest["visits"] for guest in state["guests"]})
    assert sum(visits.values()) == len(state["registrations"])
    return visits


async def _wanted(here: World) -> Counter[tuple[str, str]]:
    """Count the requests at Stampede but those for tokens."""
    found = [(r["method"], r["path"]) for r in await here.requests("stampede")]
    return Counter(one for one in found if one[1] != "/oauth/token")


def _ends(here: World) -> list[tuple[Any, ...]]:
    return here.rows(
        "SELECT kind, state, reason FROM deliveries ORDER BY CAST(substr(id, 2) AS INT)"
    )


async def test_a_booking_is_one_call_that_holds_all_of_it(here: World) -> None:
    """What Stampede's own integration sends, field by field."""
    async with here.running():
        customer = await _guest(here, lastName="Example", phone="07400 123456")
        told = {"source": "VenueManager", "channel": "Online", "status": "Paid", "total": 350.64}
        made = {"customerId": customer, "createdDate": "2026-05-31T23:05:55.163Z"}
        await here.book(booking=made | told)
        status = await here.settled()
    equations(status)
    [sent] = (await here.state("stampede"))["registrations"]
    assert sent.pop("at")
    assert sent == {
        "source": "booking",
        "first": "Ada",
        "last": "Example",
        "email": "ada@example.com",
        "phone": "+447400123456",
        "dataOptIn": True,
        "smsOptIn": True,
        "emailOptIn": True,
        "penny_value": 35064,
        "createdAt": "2026-05-31T23:05:55.163Z",
        "serials": ["A1B2C3D4E5F6"],
        "tags": ["VenueManager", "Online", "Paid"],
        "currency": "GBP",
    }
    assert await _wanted(here) == {("POST", "/registration"): 1}
    assert _ends(here) == [("booking", "delivered", None)]


async def test_changes_and_a_cancellation_are_skipped_and_cost_nothing(here: World) -> None:
    """There is no call that changes a registration, and another would count another visit."""
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer)
        await here.settled()
        await _book(here, customer, status="PartiallyPaid")
        await here.settled()
        await _book(here, customer, status="Cancelled")
        status = await here.settled()
    async with here.running():
        await _book(here, customer, status="Paid")
        await here.settled()
    equations(status)
    assert await _wanted(here) == {("POST", "/registration"): 1}
    again = ("booking", "skipped", "already registered")
    assert _ends(here) == [("booking", "delivered", None), again, again, again]


async def test_what_is_cancelled_first_is_never_registered(here: World) -> None:
    """It would count a visit that does not happen."""
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer, status="Cancelled")
        status = await here.settled()
        assert _ends(here) == [("booking", "skipped", "cancelled before it was registered")]
        assert not await _wanted(here)
        await _book(here, customer, status="Paid")
        await here.settled()
    equations(status)
    assert await _visits(here) == {"ada@example.com": 1}


async def test_a_cancellation_that_comes_while_the_booking_waits_is_in_time(here: World) -> None:
    """What is decided when the request may go out is decided by the newest truth."""
    await here.control("stampede", "faults", {"kind": "503", "path": "/oauth"})
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer)
        await _book(here, customer, status="Cancelled")
        await until(lambda: here.rows("SELECT count(*) FROM events WHERE state = 'done'") == [(2,)])
        await here.clear_faults("stampede")
        await here.settled()
    assert not await _wanted(here)


@pytest.mark.parametrize("kind", ["408", "425", "500", "502", "503", "504", "429"])
async def test_an_answer_that_asks_for_a_retry_is_retried(here: World, kind: str) -> None:
    """Whoever answers so has not counted a visit."""
    fault = {"kind": kind, "path": "/registration", "count": 3, "retry_after": 0}
    await here.control("stampede", "faults", fault)
    async with here.running():
        await _book(here, await _guest(here))
        status = await here.settled()
    equations(status)
    assert _ends(here) == [("booking", "delivered", None)]
    assert await _wanted(here) == {("POST", "/registration"): 4}
    assert await _visits(here) == {"ada@example.com": 1}


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
@pytest.mark.parametrize("kind", ["reset", "garbage"])
async def test_a_registration_without_an_answer_parks_and_is_never_repeated(
    here: World, kind: str, counted: bool
) -> None:
    """Nobody here can tell whether the visit was counted; a repeat might count it twice."""
    fault = {"kind": kind, "path": "/registration", "count": 1, "after": counted}
    await here.control("stampede", "faults", fault)
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer)
        status = await here.settled()
        assert _ends(here) == [_UNKNOWN]
        [(outcome, note)] = here.rows(
            "SELECT outcome, note FROM attempts WHERE path <> '/oauth/token'"
        )
        assert outcome == "unknown"
        assert note
        await _book(here, customer, status="PartiallyPaid")
        await here.settled()
        assert _ends(here) == [("booking", "superseded", None), _UNKNOWN]
    async with here.running():
        await _book(here, customer, status="Paid")
        status = await here.settled()
    equations(status)
    assert _ends(here)[2:] == [_UNKNOWN]
    assert await _wanted(here) == {("POST", "/registration"): 1}


async def test_a_change_that_comes_while_the_answer_is_awaited_waits_for_it(here: World) -> None:
    """Until then nobody knows what is true, and that is no reason to call a person."""
    fault = {"kind": "slow", "path": "/registration", "delay": 0.3, "after": True}
    await here.control("stampede", "faults", fault)
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer)
        await until(lambda: here.rows("SELECT id FROM attempts WHERE path = '/registration'"))
        await _book(here, customer, status="PartiallyPaid")
        await until(lambda: here.deliveries()["booking", "waiting"])
        assert here.deliveries()["booking", "sending"] == 1
        await here.settled()
    again = ("booking", "skipped", "already registered")
    assert _ends(here) == [("booking", "delivered", None), again]


async def test_a_peer_that_stops_answering_parks_a_few_and_not_the_backlog(here: World) -> None:
    """The lane closes after five in a row, and then tries with one at a time."""
    here.replace('first = "20ms"\nmax = "200ms"', 'first = "1s"\nmax = "1s"')
    await here.control("stampede", "faults", {"kind": "reset", "path": "/registration"})
    async with here.running():
        for number in range(30):
            await _book(here, await _guest(here, f"guest{number}"), f"b{number}")
        await until(lambda: here.deliveries()["booking", "parked"] >= 5)
        assert (await here.status()).destinations["stampede"].state == "down"
        await here.clear_faults("stampede")
        status = await here.settled()
    equations(status)
    # Five, the seven that may have been under way with the fifth, and a probe or two.
    assert status.deliveries["parked"] < 15
    assert status.deliveries["parked"] + status.deliveries["delivered"] == 30
    assert max((await _visits(here)).values()) == 1


async def test_other_refusals_park_until_what_is_wrong_is_changed(here: World) -> None:
    """The vendor's words say what it is, and the next event of the booking brings it back."""
    here.replace("A1B2C3D4E5F6", "YORK00000001")
    async with here.running():
        await _book(here, await _guest(here))
        status = await here.settled()
    equations(status)
    reason = "Stampede answered 400: serials do not all exist in this organisation"
    assert _ends(here) == [("booking", "parked", reason)]
    here.replace("YORK00000001", "A1B2C3D4E5F6")
    async with here.running():
        [guest] = (await here.state("roller"))["guests"]
        await _book(here, guest["customerId"], status="PartiallyPaid")
        await here.settled()
    assert await _visits(here) == {"ada@example.com": 1}


async def test_a_refusal_does_not_hide_what_a_guest_has_told(here: World) -> None:
    """Vendors quote what they refuse; people read the views."""
    await here.control("stampede", "faults", {"kind": "400", "path": "/registration"})
    async with here.running():
        await _book(here, await _guest(here, "marker", lastName="Markername"))
        await here.settled()
    [(_, state, reason)] = _ends(here)
    assert (state, reason) == ("parked", "Stampede answered 400: Sandbox Fault")
    for view in ("events", "deliveries", "attempts", "parked"):
        assert "marker" not in repr(here.rows(f"SELECT * FROM {view}")).lower()


async def test_drafts_and_whoever_cannot_be_told_are_skipped_for_the_same_reasons(
    here: World,
) -> None:
    """The mode changes what is called, not who is told."""
    async with here.running():
        await here.book(booking={"uniqueId": "a", "customerId": None})
        await _book(here, await here.guest(email=""), "b")
        await _book(here, await _guest(here, dateOfBirth="2020-01-01"), "c")
        await _book(here, await _guest(here, "bea"), "d", status="Draft")
        status = await here.settled()
    equations(status)
    reasons = {reason for _, state, reason in _ends(here) if state == "skipped"}
    assert reasons == {"no customer", "no e-mail", "minor", "draft"}
    assert not await _wanted(here)


async def test_a_guest_who_withdraws_is_told_by_a_call_that_counts_no_visit(here: World) -> None:
    """A booking that is registered will not be again, and an opt-out cannot wait for the next."""
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer)
        await here.settled()
        await _withdraw(here, customer)
        await _book(here, customer, status="PartiallyPaid")
        status = await here.settled()
        equations(status)
        assert Counter(_ends(here)) == {
            ("booking", "delivered", None): 1,
            ("consent", "delivered", None): 1,
            ("booking", "skipped", "already registered"): 1,
        }
        assert here.rows("SELECT priority FROM deliveries WHERE kind = 'consent'") == [(1,)]
        [guest] = (await here.state("stampede"))["guests"]
        assert [guest[f"{c}_opt_in"] for c in ("data", "email", "sms")] == [False] * 3
        await _book(here, customer, "two")
        await here.settled()
    [guest] = (await here.state("stampede"))["guests"]
    assert [guest[f"{c}_opt_in"] for c in ("data", "email", "sms")] == [False] * 3
    look_up = ("GET", f"/v1/guests/{guest['id']}")
    told = {("POST", "/registration"): 2, ("POST", "/v1/guests"): 1}
    assert await _wanted(here) == told | {look_up: 1}


async def test_an_opt_out_goes_before_the_next_registration(here: World) -> None:
    """Whether a registration takes an opt-in back is not documented; the guest call does."""
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer)
        await here.settled()
        await _withdraw(here, customer)
        await _book(here, customer, "two")
        await here.settled()
    calls = [r for r in await here.requests("stampede") if r["method"] == "POST"]
    assert [r["path"] for r in calls[1:]] == ["/registration", "/v1/guests", "/registration"]


async def test_what_was_told_in_one_mode_counts_in_the_other(here: World) -> None:
    """A change of the mode must not count every booking's visit again."""
    here.replace(_MODE, _OFF)
    async with here.running():
        customer = await _guest(here)
        await _book(here, customer)
        await here.settled()
    before = await _wanted(here)
    here.replace(_OFF, _MODE)
    async with here.running():
        await _book(here, customer, status="PartiallyPaid")
        await here.settled()
        assert await _wanted(here) == before
        assert _ends(here)[-1] == ("booking", "skipped", "already registered")
        await _book(here, customer, "two")
        await here.settled()
    assert await _visits(here) == {"ada@example.com": 1}
    here.replace(_MODE, _OFF)
    async with here.running():
        await _book(here, customer, "two", status="Cancelled")
        status = await here.settled()
    equations(status)
    assert told(await here.state("stampede"))["two"] == ("cancelled", "ada@example.com")
    assert await _visits(here) == {"ada@example.com": 1}


async def test_the_mode_may_change_while_work_waits(here: World) -> None:
    """What waits is decided by the mode that there is when it may go."""
    here.replace(_MODE, _OFF)
    await here.control("stampede", "faults", {"kind": "503", "path": "/oauth"})
    async with here.running():
        await here.play(bookings=5, guests=5, seed=4)
        await until(lambda: here.rows("SELECT count(*) FROM events WHERE state = 'done'") == [(5,)])
    await here.clear_faults("stampede")
    here.replace(_OFF, _MODE)
    async with here.running():
        status = await here.settled()
    equations(status)
    assert set(await _wanted(here)) == {("POST", "/registration")}
    assert sum((await _visits(here)).values()) == len(newest_truth(await here.state("roller")))


async def test_kill_9_between_request_and_answer_parks_and_registers_once(here: World) -> None:
    """The one moment that no order of writing can close."""
    fault = {"kind": "timeout", "path": "/registration", "after": True}
    await here.control("stampede", "faults", fault)

    async def counted() -> bool:
        return bool((await here.state("stampede"))["registrations"])

    async with process(here, here.folder / "daemon.log") as daemon:
        customer = await _guest(here)
        await _book(here, customer)
        await until(counted)
        daemon.send_signal(signal.SIGKILL)
        await daemon.wait()
    await here.clear_faults("stampede")
    async with here.running():
        status = await here.settled()
        assert _ends(here) == [_UNKNOWN]
        await _book(here, customer, status="Cancelled")
        await here.settled()
    equations(status)
    assert _ends(here)[-1] == _UNKNOWN
    assert await _visits(here) == {"ada@example.com": 1}


async def test_a_stop_that_does_not_wait_for_the_answer_parks_too(here: World) -> None:
    """Systemd gives so much time and no more."""
    here.replace("[outbox]", 'shutdown_grace = "100ms"\n\n[outbox]')
    await here.control("stampede", "faults", {"kind": "timeout", "path": "/registration"})
    async with here.running():
        await _book(here, await _guest(here))
        await until(lambda: here.rows("SELECT id FROM attempts WHERE path = '/registration'"))
    await here.clear_faults("stampede")
    async with here.running():
        await here.settled()
    assert _ends(here) == [_UNKNOWN]


async def test_no_booking_is_registered_twice_however_often_it_is_killed(here: World) -> None:
    """Each is counted once or waits for a person; none is lost and none is doubled."""
    chance = random.Random(20261121)
    # Some are counted and never answered, and one of each start is, so that some are under way
    # whenever it is killed.
    fault = {"kind": "timeout", "path": "/registration", "after": True}
    await here.control("stampede", "faults", {**fault, "rate": 0.3})
    under_way = "SELECT id FROM attempts WHERE path = '/registration' AND outcome = 'open'"
    emails: dict[str, str] = {}
    for _ in range(2):
        await here.control("stampede", "faults", {**fault, "count": 1})
        async with process(here, here.folder / "daemon.log") as daemon:
            for number in range(len(emails), len(emails) + chance.randint(6, 12)):
                emails[f"b{number}"] = f"guest{number}@example.com"
                customer = await _guest(here, f"guest{number}")
                await _book(here, customer, f"b{number}")
                await _book(here, customer, f"b{number}", status="PartiallyPaid")
            await until(lambda: here.rows(under_way))
            daemon.send_signal(signal.SIGKILL)
            await daemon.wait()
    await here.clear_faults("stampede")
    async with here.running():
        status = await here.settled()
    equations(status)
    visits = await _visits(here)
    assert max(visits.values()) == 1
    parked = {booking for (booking,) in here.rows("SELECT booking FROM parked")}
    done = {b for (b,) in here.rows("SELECT booking FROM deliveries WHERE state = 'delivered'")}
    assert parked
    assert not parked & done
    assert parked | done == emails.keys()
    assert {emails[booking] for booking in done} <= visits.keys()
