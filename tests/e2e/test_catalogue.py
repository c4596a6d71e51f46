"""What ROLLER's products say of a booking goes along with it, and is no news by itself."""

import sqlite3
from pathlib import Path

import pytest

from tests.e2e.world import World, equations
from tests.waiting import until

_PRODUCTS: list[dict[str, object]] = [
    {
        "parentProductId": "100", "parentProductName": "Open Jump", "type": "sessionpass",
        "products": [{"id": "101", "name": "Adult"}, {"id": "102", "name": "Child"}],
    },
    {
        "parentProductId": "200", "parentProductName": "Grip Socks", "type": "addon",
        "stockProductType": "retail", "products": [{"id": "201", "name": "Large"}],
    },
]  # fmt: skip
_PARTY: dict[str, object] = {
    "parentProductId": "300", "parentProductName": "Birthday Party", "type": "partypackage",
    "products": [{"id": "301", "name": "Pirates"}],
}  # fmt: skip


async def _stock(here: World, *products: dict[str, object]) -> None:
    await here.control("roller", "products", {"products": products})


async def _readings(here: World) -> int:
    return sum(one["path"] == "/products" for one in await here.requests("roller"))


async def _book(here: World, customer: int, booking: str, **items: int) -> None:
    """Have some of each product booked: p101=2."""
    made = [{"productId": int(one[1:]), "quantity": n} for one, n in items.items()]
    await here.book(booking={"uniqueId": booking, "customerId": customer, "items": made})
    await here.settled()


async def _told(here: World) -> dict[str, tuple[str | None, int]]:
    """Give what Stampede has by booking: type and party size."""
    bookings = (await here.state("stampede"))["bookings"]
    return {one["event_id"]: (one.get("type"), one["party_size"]) for one in bookings}


async def test_a_booking_says_what_is_visited_and_by_how_many(here: World) -> None:
    """Socks are no people, and ROLLER's webhook has no name of anything."""
    await _stock(here, *_PRODUCTS)
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _book(here, customer, "jump", p101=2, p102=1, p201=3)
        await _book(here, customer, "socks", p201=4)
        status = await here.settled()
    equations(status)
    assert await _told(here) == {"jump": ("Open Jump", 3), "socks": ("Grip Socks", 1)}
    assert await _readings(here) == 1


async def test_a_new_or_renamed_product_sends_nothing_by_itself(here: World) -> None:
    """A venue that tidies up its names must not spend an hour of Stampede's allowance."""
    at = "2026-06-01T10:00:00Z"
    items = [{"productId": 101, "quantity": 2}, {"productId": 201, "quantity": 3}]
    booked: dict[str, object] = {"uniqueId": "one", "items": items}
    await _stock(here)
    async with here.running():
        booked["customerId"] = await here.guest(email="ada@example.com")
        await here.book(booking=booked, event_date=at)
        await here.settled()
    assert await _told(here) == {"one": (None, 5)}
    await _stock(here, *_PRODUCTS)
    here.replace("webhook_key =", 'products = "1s"\nwebhook_key =')
    async with here.running():
        await until(
            lambda: here.rows("SELECT 1 FROM subject WHERE kind = 'product' AND key = '201'")
        )
        before = len(await here.requests("stampede"))
        await here.book(booking=booked, event_date=at)
        await here.settled()
        assert here.rows("SELECT reason FROM deliveries WHERE state = 'skipped'") == [
            ("already told",)
        ]
        assert len(await here.requests("stampede")) == before
        await here.book(booking=booked)
        await here.settled()
    assert await _told(here) == {"one": ("Open Jump", 2)}


async def test_a_product_that_nobody_has_heard_of_is_asked_for_before_its_booking_goes(
    here: World, tmp_path: Path
) -> None:
    """Its first booking is as good as the second; and a restart asks nothing."""
    await _stock(here, *_PRODUCTS)
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _book(here, customer, "jump", p101=2)
    # As if the last reading had been a while ago.
    connection = sqlite3.connect(tmp_path / "outbox.db")
    connection.execute("UPDATE subject SET as_of = as_of - 600000000 WHERE kind = 'product'")
    connection.commit()
    connection.close()
    await _stock(here, *_PRODUCTS, _PARTY)
    async with here.running():
        await _book(here, customer, "again", p102=1)
        assert await _readings(here) == 1
        await _book(here, customer, "party", p301=1)
        assert await _readings(here) == 2
        await _book(here, customer, "archived", p999=2)
        assert await _readings(here) == 2, "not twice in a minute"
    assert await _told(here) == {
        "jump": ("Open Jump", 2), "again": ("Open Jump", 1),
        "party": ("Birthday Party", 1), "archived": (None, 2),
    }  # fmt: skip


@pytest.mark.parametrize("fault", ["403", "404", "500", "garbage", "reset"])
async def test_bookings_go_without_names_while_products_cannot_be_read(
    here: World, fault: str
) -> None:
    """They waited for nothing before there was a catalogue."""
    await here.control("roller", "faults", {"kind": fault, "path": "/products"})
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _book(here, customer, "one", p101=2, p201=3)
        status = await here.settled()
    assert status.sources["leeds"].state == "up"
    assert await _told(here) == {"one": (None, 5)}


async def test_with_products_off_nothing_is_asked_and_nothing_used(here: World) -> None:
    """Whoever counts calls may do without names."""
    await _stock(here, *_PRODUCTS)
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _book(here, customer, "on", p101=2, p201=3)
    here.replace("webhook_key =", 'products = "off"\nwebhook_key =')
    before = await _readings(here)
    async with here.running():
        await _book(here, customer, "off", p101=2, p201=3, p999=1)
    assert await _readings(here) == before
    assert await _told(here) == {"on": ("Open Jump", 2), "off": (None, 6)}
