"""What no webhook told is told all the same, behind everything that one did tell."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.client import call
from tests.e2e.holder import Holder
from tests.e2e.watching import at_home
from tests.e2e.world import World, equations, newest_truth, told
from tests.outbox.support import change
from tests.waiting import until

_TODAY = datetime.now(UTC).date()


async def reconcile(here: World, path: str = "reconcile", **asked: object) -> Any:
    """Have the daemon reconcile, and wait until all is delivered."""
    url = f"http://{here.admin}/api/{path}"
    async with here.http.post(url, json=asked) as response:
        assert response.status == 200, await response.text()
        runs = (await response.json())["begun"]

    async def is_done() -> bool:
        url = f"http://{here.admin}/api/reconcile"
        found = [await _json(here, f"{url}/{run['id']}") for run in runs]
        return all(one["state"] == "done" for one in found)

    await until(is_done)
    status = await here.settled()
    equations(status)
    return status


async def _json(here: World, url: str) -> Any:
    async with here.http.get(url) as response:
        return await response.json()


async def test_what_is_found_goes_last_but_an_opt_out_first(here: World) -> None:
    """A year's past must hold up no new booking, and it must hold up no opt-out."""
    async with here.running():
        customer = await here.guest(email="anna@example.com", acceptMarketing=True)
        made = await here.book(booking={"customerId": customer, "status": "PendingPayment"})
        await here.settled()
        change = {"guest": {"acceptMarketing": False}, "customerId": customer, "send": False}
        await here.control("roller", "guests", change)
        booking = {"uniqueId": made["booking"]["uniqueId"], "status": "Paid"}
        await here.book(booking=booking, send=False)
        await here.book(booking={"customerId": customer}, send=False)
        await reconcile(here)
        sql = """SELECT d.kind, d.priority FROM deliveries AS d JOIN events AS e ON e.id = d.event
                 WHERE e.origin = 'reconcile' AND e.kind = 'booking'"""
        found = here.rows(sql)
        assert {priority for kind, priority in found if kind != "consent"} == {6}
        assert {priority for kind, priority in found if kind == "consent"} == {1}
        assert len([kind for kind, _ in found if kind == "booking"]) == 2
        stampede = await here.state("stampede")
        assert told(stampede) == newest_truth(await here.state("roller"))
        [guest] = stampede["guests"]
        assert not guest["email_opt_in"]


async def test_what_is_booked_while_the_webhook_is_off_comes_to_stampede(here: World) -> None:
    """The look that is made every hour switches it on again, and has the gap reconciled."""
    url, roller = at_home(here), Holder(here)
    number = await roller.alone(url)
    async with here.running():
        await here.book(booking={})
        await here.settled()
        await roller.change(number, url, enabled=False)
        made = await here.book(booking={})
        lost = made["booking"]["uniqueId"]
        assert lost not in told(await here.state("stampede"))
        assert await call(here.config.server, "POST", "/api/sources/leeds/look", body={})
        assert (await roller.only())["enabled"]
        await until(lambda: here.rows("SELECT 1 FROM events WHERE booking = ?", lost))
        status = await here.settled()
        assert here.rows("SELECT DISTINCT origin FROM events WHERE booking = ?", lost) == [
            ("reconcile",)
        ]
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))
        assert lost in told(await here.state("stampede"))
        assert status.sources["leeds"].webhook == "registered"
        await until(lambda: here.rows("SELECT 1 FROM sweep WHERE state = 'done'"))


async def test_what_is_known_costs_no_further_call(here: World) -> None:
    """Calls are counted by the month; a quiet night is three reports a day and nothing else."""
    async with here.running():
        await here.play(bookings=5, updates=5, cancellations=1)
        await here.settled()
        before = len(await here.requests("roller"))
        status = await reconcile(here)
        run = status.sources["leeds"].reconcile
        assert (run.taken_in, run.known) == (0, run.seen)
        assert run.seen > 0
        later = (await here.requests("roller"))[before:]
        assert {one["path"] for one in later} == {
            "/data/bookingitems", "/data/customers", "/data/signedwaivers",
        }  # fmt: skip
        since = (_TODAY - timedelta(days=1)).isoformat()
        assert (run.since, run.until) == (since, _TODAY.isoformat())


async def test_a_booking_that_is_known_by_the_time_is_not_asked_for(here: World) -> None:
    """Its late webhook was before us."""
    async with here.running():
        made = await here.book(send=False)
        async with here.http.post(f"{here.sandbox.roller}/_sandbox/faults", json={
            "rate": 1.0, "kind": "500", "path": "/guests", "count": 3,
        }) as response:  # fmt: skip
            assert response.status == 200
        await reconcile(here)
        sql = "SELECT state FROM events WHERE booking = ?"
        assert here.rows(sql, made["booking"]["uniqueId"]) == [("done",)]
        asked = [one["path"] for one in await here.requests("roller")]
        assert asked.count(f"/bookings/{made['booking']['uniqueId']}") == 1


async def test_a_booking_that_roller_has_deleted_is_cancelled_where_it_was_told(
    here: World,
) -> None:
    """The report still names it when GET answers 404; nobody is told of one they never had."""
    async with here.running():
        customer = await here.guest(email="anna@example.com")
        mine = {"customerId": customer, "status": "Paid"}
        made = await here.book(booking=mine)
        await here.settled()
        gone = {"uniqueId": made["booking"]["uniqueId"], "status": "Deleted"}
        await here.book(booking=gone, send=False)
        await here.book(booking={"customerId": customer, "status": "Deleted"}, send=False)
        draft = {"uniqueId": "draft", "customerId": customer, "status": "Draft"}
        await here.book(booking=draft, event="Updated")
        await here.heard()
        await here.book(booking=draft | {"status": "Deleted"}, send=False)
        await here.control("roller", "faults", {"kind": "404", "path": "/bookings/*"})
        await reconcile(here)
    stampede = await here.state("stampede")
    assert told(stampede) == {gone["uniqueId"]: ("cancelled", "anna@example.com")}
    sql = "SELECT action, state, reason FROM events WHERE origin = 'reconcile' AND kind = 'booking'"
    assert sorted(here.rows(sql), key=str) == [
        ("cancelled", "done", None),
        ("cancelled", "ignored", "deleted before it was told"),
        ("cancelled", "ignored", "deleted before it was told"),
    ]


async def test_a_booking_that_was_deleted_after_keep_was_over_needs_a_person(here: World) -> None:
    """What it was is not kept, and ROLLER tells no more: Stampede may still have it."""
    async with here.running():
        customer = await here.guest(email="anna@example.com")
        made = await here.book(booking={"customerId": customer, "status": "Paid"})
        await here.settled()
    change(here.outbox, "UPDATE subject SET doc = NULL WHERE kind = 'booking'")
    async with here.running():
        gone = {"uniqueId": made["booking"]["uniqueId"], "status": "Deleted"}
        await here.book(booking=gone, send=False)
        await here.control("roller", "faults", {"kind": "404", "path": "/bookings/*"})
        await reconcile(here)
    [(state, reason)] = here.rows(
        "SELECT state, reason FROM events WHERE origin = 'reconcile' AND kind = 'booking'"
    )
    assert state == "parked"
    assert reason == "the source has deleted the booking, and it is not kept here"
