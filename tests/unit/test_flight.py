"""What one fetches for many is fetched once, whatever comes of it."""

import asyncio

import pytest

from pipeline.errors import Unauthorized
from pipeline.flight import SharedFetch
from tests.waiting import turn


class _Shop:
    """Something to be fetched, and how often that was tried."""

    def __init__(self) -> None:
        self.fetch = SharedFetch()
        self.there = False
        self.closed = True
        self.tries = 0

    async def buy(self) -> None:
        async with self.fetch:
            if not self.there:
                self.tries += 1
                await turn()
                if self.closed:
                    raise Unauthorized(f"refused {self.tries}")
                self.there = True


async def test_all_who_wait_for_a_failing_fetch_get_its_failure() -> None:
    """Eight tries with a wrong secret at once look like an attack."""
    shop = _Shop()
    found = await asyncio.gather(*(shop.buy() for _ in range(8)), return_exceptions=True)
    assert [str(one) for one in found] == ["refused 1"] * 8
    assert shop.tries == 1


async def test_who_comes_after_a_failure_tries_anew() -> None:
    """Even while the others are still being told of it."""
    shop = _Shop()
    waiting = asyncio.gather(*(shop.buy() for _ in range(3)), return_exceptions=True)
    await turn()
    await turn()
    with pytest.raises(Unauthorized, match="refused 2"):
        await shop.buy()
    assert [str(one) for one in await waiting] == ["refused 1"] * 3
    shop.closed = False
    await shop.buy()
    assert shop.there


async def test_all_who_wait_for_a_success_find_it() -> None:
    """That is what they came for."""
    shop = _Shop()
    shop.closed = False
    await asyncio.gather(*(shop.buy() for _ in range(8)))
    assert shop.tries == 1


async def test_a_cancelled_fetch_is_nobodys_failure() -> None:
    """The next one does it."""
    shop = _Shop()
    shop.closed = False
    first, *others = [asyncio.create_task(shop.buy(), name=f"buyer {n}") for n in range(3)]
    await turn()
    first.cancel()
    await asyncio.gather(*others)
    assert (first.cancelled(), shop.there, shop.tries) == (True, True, 2)
