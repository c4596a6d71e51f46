"""A venue's past, made in bulk at the simulated ROLLER."""

from datetime import date, timedelta

from tests.sandbox.support import Api, Json, Receiver

LAST = date(2026, 10, 31)


async def _days(roller: Api, what: str, days: int) -> list[list[Json]]:
    found = []
    for number in range(days):
        rows: list[Json] = []
        page = {"totalPages": 1}
        day = (LAST - timedelta(days=number)).isoformat()
        for at in range(1, 1000):
            if at > page["totalPages"]:
                break
            page = await roller.report(what, day, pageNumber=at, pageSize=500)
            rows += page["items"]
        found.append(rows)
    return found


async def test_a_past_is_spread_over_days_and_found_in_reports(
    roller: Api, receiver: Receiver
) -> None:
    """Every item once, with ids that no other has; nobody is sent anything."""
    await roller.control("clock", at=f"{LAST}T23:00:00Z")
    order = {"items": 900, "days": 4, "guests": 100, "minors": 0.2}
    made = await roller.control("seed", **order)
    rows = [row for day in await _days(roller, "bookingitems", 6) for row in day]
    assert len(rows) == made["items"] >= 900
    assert len({row["bookingItemId"] for row in rows}) == len(rows)
    assert len({row["bookingReference"] for row in rows}) == made["bookings"]
    guests = [row for day in await _days(roller, "customers", 6) for row in day]
    assert len(guests) == made["guests"] <= 100
    assert 5 <= sum(guest["email"] is None for guest in guests) <= 40
    statuses = [row["bookingStatus"] for row in rows]
    assert {"Draft", "Cancelled", "Paid"} <= set(statuses)
    assert any(row["bookingCustomerId"] is None for row in rows)
    assert receiver.received == []


async def test_a_second_past_does_not_replace_the_first(roller: Api) -> None:
    """The same order makes other records of other numbers."""
    for _ in range(2):
        await roller.control("seed", items=100, seed=3)
    state = await roller.state()
    references = {held["booking"]["bookingReference"] for held in state["bookings"]}
    assert len(references) == len(state["bookings"]) > 80
