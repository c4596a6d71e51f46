"""Products are kept by source, and whatever was named once stays."""

from pathlib import Path

from pipeline.model import Product
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox, read_outbox
from tests.outbox.support import T0, look

_ADULT = Product(id="1", name="Adult", parent="Open Jump", type="pass")
_SOCKS = Product(id="2", name="Socks", type="addon", admits=False)


async def test_what_was_fetched_is_known_now_and_after_a_restart(path: Path) -> None:
    """Bookings must not go without names until ROLLER can be asked again."""
    async with open_outbox(path) as outbox:
        assert await outbox.products.known("leeds") == {}
        assert await outbox.products.fetched_at("leeds") is None
        assert await outbox.products.learn("leeds", [_ADULT, _SOCKS], fetched_at=T0) == 2
        assert await outbox.products.known("leeds") == {"1": _ADULT, "2": _SOCKS}
    async with open_outbox(path) as outbox:
        assert await outbox.products.known("leeds") == {"1": _ADULT, "2": _SOCKS}
        assert await outbox.products.fetched_at("leeds") == T0
        assert await outbox.products.known("york") == {}
        assert await outbox.products.fetched_at("york") is None
    async with read_outbox(path) as glance:
        assert await glance.products("leeds") == {"1": _ADULT, "2": _SOCKS}


async def test_what_vanishes_stays_and_what_changes_is_replaced(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Old bookings name it still."""
    await outbox.products.learn("leeds", [_ADULT, _SOCKS], fetched_at=T0)
    renamed = Product(id="1", name="Adult", parent="Big Jump", type="pass")
    assert await outbox.products.learn("leeds", [renamed], fetched_at=T0 + 1) == 1
    assert await outbox.products.known("leeds") == {"1": renamed, "2": _SOCKS}
    assert await outbox.products.fetched_at("leeds") == T0 + 1
    kept = "SELECT key, as_of FROM subject WHERE kind = 'product' ORDER BY key"
    assert look(path, kept) == [("", T0 + 1), ("1", T0 + 1), ("2", T0)], "2 was not written anew"


async def test_an_hourly_reading_of_the_same_writes_one_row(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Thousands of rows an hour would be written for nothing."""
    many = [Product(id=str(number), name="x") for number in range(1_200)]
    assert await outbox.products.learn("leeds", many, fetched_at=T0) == 1_200
    assert await outbox.products.learn("leeds", many, fetched_at=T0 + 1) == 0
    count = "SELECT count(*) FROM subject WHERE kind = 'product' AND as_of = ?"
    assert look(path, count.replace("?", str(T0 + 1))) == [(1,)]
    assert len(await outbox.products.known("leeds")) == 1_200


async def test_products_outlive_what_is_dropped_with_finished_work(
    outbox: SqliteOutbox, path: Path
) -> None:
    """They are nobody's data, and the next booking needs them."""
    await outbox.products.learn("leeds", [_ADULT], fetched_at=T0)
    await outbox.shed(before=T0 * 2, attempts_before=T0 * 2)
    assert look(path, "SELECT count(*) FROM subject WHERE doc IS NOT NULL") == [(2,)]
