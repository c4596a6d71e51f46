"""Bookings that move and configurations that change while work waits."""

from tests.e2e.world import World, equations, newest_truth, told
from tests.waiting import until


async def test_what_waits_for_a_source_that_is_gone_parks_as_not_configured(here: World) -> None:
    """It must neither be lost nor keep the rest of the destination from going on."""
    await here.control("stampede", "faults", {"kind": "500"})
    async with here.running():
        await here.play(bookings=3, seed=1)
        done = "SELECT count(*) FROM events WHERE state = 'done'"
        await until(lambda: here.rows(done) == [(3,)])
    await here.clear_faults("stampede")
    here.replace("[sources.leeds]", "[sources.york]")
    here.replace("leeds = ", "york = ")
    async with here.running():
        status = await here.settled()
        assert status.destinations["stampede"].state == "up"
    equations(status)
    rows = here.rows("SELECT DISTINCT state, reason FROM deliveries")
    assert rows == [("parked", "not configured")]


async def test_a_booking_that_moves_to_a_guest_who_is_refused_parks_with_them(here: World) -> None:
    """Its tags and itself wait for the new guest, and wait quietly."""
    async with here.running():
        ada = await here.guest(email="ada@example.com")
        ben = await here.guest(email="ben@example.com")
        first = {"uniqueId": "moving", "customerId": ada, "status": "PendingPayment"}
        await here.book(booking=first, event_date="2026-06-01T10:00:00Z")
        await here.settled()
        await here.control("stampede", "faults", {"kind": "400", "path": "/v1/guests", "count": 1})
        await here.book(booking={"customerId": ben, "uniqueId": "of ben"})
        await here.settled()
        await here.control("stampede", "faults", {"kind": "400", "path": "/v1/guests", "count": 1})
        moved = {"uniqueId": "moving", "customerId": ben, "status": "Paid"}
        await here.book(booking=moved, event_date="2026-06-02T10:00:00Z")
        status = await here.settled()
        equations(status)
        assert status.deliveries["created"] < 20
        # A later event of the same guest brings everything back.
        await here.book(booking={"customerId": ben, "uniqueId": "of ben too"})
        status = await here.settled()
    equations(status)
    assert status.deliveries["parked"] == 0
    stampede = told(await here.state("stampede"))
    assert stampede == newest_truth(await here.state("roller"))


async def test_a_cancellation_reaches_a_guest_who_has_lost_the_email(here: World) -> None:
    """The reminder of a visit that is off must not go out."""
    async with here.running():
        ada = await here.guest(email="ada@example.com")
        booking = {"uniqueId": "one", "customerId": ada}
        await here.book(booking=booking, event_date="2026-06-01T10:00:00Z")
        await here.settled()
        await here.control("roller", "guests", {"customerId": ada, "delete": True})
        gone = {"uniqueId": "one", "status": "Cancelled"}
        await here.book(booking=gone, event_date="2026-06-02T10:00:00Z")
        status = await here.settled()
    assert status.events["parked"] == 0
    [stampede] = (await here.state("stampede"))["bookings"]
    assert stampede["status"] == "cancelled"
