"""Products and the search of bookings at the simulated ROLLER."""

import pytest

from tests.sandbox.support import Api, Json


async def _found(roller: Api, query: str) -> list[str]:
    answer = await roller.get(f"/bookings?{query}")
    assert answer.status == 200, answer.body
    return [booking["bookingReference"] for booking in answer.json["bookings"]]


async def _book(roller: Api, reference: str, **fields: object) -> Json:
    return await roller.control("bookings", booking={"bookingReference": reference} | fields)


async def test_products_are_nested_and_their_ids_are_texts(roller: Api) -> None:
    """Every product that an invented booking holds is among them."""
    products = (await roller.get("/products")).json
    variations = {one["id"]: one for product in products for one in product["products"]}
    assert all(isinstance(number, str) for number in variations)
    assert {"pass", "sessionpass", "membership", "addon", "partypackage"} <= {
        product["type"] for product in products
    }
    await roller.control("play", bookings=60)
    bookings = (await roller.state())["bookings"]
    held = {str(item["productId"]) for one in bookings for item in one["booking"]["items"]}
    assert len(held) > 30
    assert held <= set(variations)


async def test_products_are_filtered_by_the_types_of_reports(roller: Api) -> None:
    """Which are not the words that they have themselves."""
    stock = (await roller.get("/products?productType=AddOn&productSubType=Stock")).json
    assert {product["stockProductType"] for product in stock} == {"retail", "foodAndBeverage"}
    passes = (await roller.get("/products?productType=Pass")).json
    assert {product["type"] for product in passes} == {
        "pass",
        "sessionpass",
        "membership",
        "recurringpass",
    }


async def test_products_can_be_given(roller: Api) -> None:
    """And are what a ticket belongs to from then on."""
    product = {"parentProductId": "1", "type": "AddOn", "products": [{"id": "77", "name": "Sock"}]}
    await roller.control("products", products=[product])
    assert (await roller.get("/products")).json == [product]
    fields = {"items": [{"bookingItemId": 5, "productId": 77}]}
    made = await roller.control("bookings", booking=fields, tickets=True)
    assert "tickets" not in made["booking"]["items"][0]


async def test_bookings_are_found_by_what_is_asked(roller: Api) -> None:
    """By words in the name or the holder's data, day, time or product; all that is asked."""
    ada = {"firstName": "Ada", "email": "ada@example.com", "phone": "07400 123456"}
    number = (await roller.control("guests", guest=ada))["customerId"]
    item = {"productId": 7_000_000, "bookingDate": "2026-12-01", "sessionStartTime": "10:00"}
    await _book(roller, "1", customerId=number, name="x", items=[item], status="Paid")
    other = item | {"bookingDate": "2026-12-02", "productId": 7_000_020}
    await _book(roller, "2", customerId=None, name="Robin's party", items=[other], status="Paid")
    assert await _found(roller, "keywords=ADA@example") == ["1"]
    assert await _found(roller, "keywords=123456") == ["1"]
    assert await _found(roller, "keywords=party") == ["2"]
    assert await _found(roller, "date=2026-12-01") == ["1"]
    assert await _found(roller, "startTime=10:00") == ["2", "1"]
    assert await _found(roller, "startTime=10:00&date=2026-12-02") == ["2"]
    assert await _found(roller, "productIds=1,7000020") == ["2"]
    assert await _found(roller, "productIds=6990000") == ["1"], "a parent's"


async def test_the_search_has_words_of_its_own_and_hides_what_is_over(roller: Api) -> None:
    """It is no way to find out what changed."""
    day = {"items": [{"bookingDate": "2026-12-01"}]}
    for number, status in enumerate(("Paid", "PartiallyPaid", "Draft", "Cancelled", "Deleted")):
        await _book(roller, str(number), status=status, **day)
    found = (await roller.get("/bookings?date=2026-12-01")).json["bookings"]
    assert [booking["status"] for booking in found] == ["PaidPart", "PaidFull"]


async def test_no_more_than_the_newest_hundred_are_found(roller: Api) -> None:
    """However many there are."""
    await roller.control("seed", items=400, cancelled=0, drafts=0)
    newest = (await roller.state())["bookings"][-1]["booking"]["bookingReference"]
    found = await _found(roller, "keywords=sandbox")
    assert (len(found), found[0]) == (100, newest)


@pytest.mark.parametrize("query", ["", "keywords=ab", "colour=red"])
async def test_a_search_for_nothing_is_refused(roller: Api, query: str) -> None:
    """One criterion at least, and three letters."""
    assert (await roller.get(f"/bookings?{query}")).status == 400
