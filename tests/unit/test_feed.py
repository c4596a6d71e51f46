"""The fast lane between two stages holds so much and no more, and wakes who waits."""

import asyncio

import pytest

from pipeline.feed import Feed
from tests.waiting import LONG, turn, until


async def test_items_come_out_in_order_and_as_many_as_asked_for() -> None:
    """First come, first served."""
    feed: Feed[int] = Feed(10)
    for item in range(5):
        feed.offer(item)
    assert (feed.take(3), feed.size) == ([0, 1, 2], 2)
    assert feed.take(10) == [3, 4]
    assert feed.take(10) == []


async def test_what_does_not_fit_stays_in_the_outbox() -> None:
    """Memory does not grow with the backlog, and the one who offers does not wait."""
    feed: Feed[int] = Feed(2)
    for item in range(100):
        feed.offer(item)
    assert feed.take(100) == [0, 1]


async def test_who_waits_is_woken_by_an_item() -> None:
    """A booking takes seconds, not a minute."""
    feed: Feed[int] = Feed(2)
    async with asyncio.timeout(LONG), asyncio.TaskGroup() as tasks:
        tasks.create_task(feed.wait())
        await turn()
        feed.offer(1)
    assert feed.take(1) == [1]


@pytest.mark.parametrize("how", ["ring", "offer to a full one", "before the wait"])
async def test_who_waits_is_woken_without_an_item(how: str) -> None:
    """There is work in the outbox though the lane is full, or something else has changed."""
    feed: Feed[int] = Feed(1)
    feed.offer(0)
    if how != "before the wait":
        await feed.wait()  # the bell of the first item
    async with asyncio.timeout(LONG), asyncio.TaskGroup() as tasks:
        tasks.create_task(feed.wait())
        await turn()
        if how == "ring":
            feed.ring()
        elif how == "offer to a full one":
            feed.offer(1)


async def test_a_ring_is_heard_once() -> None:
    """Otherwise the loop would spin."""
    feed: Feed[int] = Feed(1)
    feed.ring()
    await feed.wait()
    waiting = asyncio.create_task(feed.wait())
    await turn()
    await turn()
    assert not waiting.done()
    feed.ring()
    await waiting


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.01])
async def test_a_wait_ends(seconds: float) -> None:
    """What is due by then is in the outbox and rings no bell."""
    async with asyncio.timeout(LONG):
        await Feed[int](1).wait(seconds)


async def test_put_waits_for_room() -> None:
    """What must not be lost slows down the stage before."""
    feed: Feed[int] = Feed(1)
    await feed.put(0)
    putting = asyncio.create_task(feed.put(1))
    await turn()
    assert not putting.done()
    assert feed.take(1) == [0]
    await until(putting.done)
    assert feed.take(1) == [1]
