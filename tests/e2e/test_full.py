"""An outbox that is full: webhooks are refused, with the reason, until there is room again."""

import asyncio

import pytest

from pipeline.cli import main
from tests.e2e.world import World, equations
from tests.waiting import until


async def test_a_full_outbox_refuses_with_503_and_says_so_until_there_is_room(here: World) -> None:
    """Better asked again for four days than accepted and lost."""
    here.write(here.path.read_text().replace("[outbox]", "[outbox]\nmax_waiting = 8"))
    await here.control("roller", "faults", {"kind": "500", "path": "/guests"})
    async with here.running():
        answers = (await here.play(bookings=12, concurrency=1, seed=1))["answers"]
        assert answers["503"] >= 4
        # The room is counted once a second, and what is on its way just then is taken off twice.
        await until(lambda: here.rows("SELECT count(*) FROM events") == [(8,)])
        status = await here.status()
        assert not status.ready
        assert "the outbox is full: outbox.max_waiting = 8" in status.reasons
        assert await asyncio.to_thread(main, ["status", "--config", str(here.path)]) == 0
        await here.clear_faults("roller")
        await until(here.everything_was_answered)
        status = await here.settled()
        equations(status)
        assert status.events["done"] == len((await here.state("roller"))["messages"])

        async def ready() -> bool:
            return (await here.status()).ready

        await until(ready)


@pytest.mark.waits
async def test_a_file_that_is_gone_is_noticed_though_no_webhook_comes(here: World) -> None:
    """SQLite goes on with a file that has no name any more, and what is in it is lost."""
    aside = here.outbox.with_name("aside.db")
    async with here.running():
        await here.book(booking={})
        await here.settled()
        here.outbox.rename(aside)

        async def ready(*, wanted: bool) -> bool:
            return (await here.status()).ready is wanted

        # Once a minute the clocks are noted, which would bring it out too.
        await until(lambda: ready(wanted=False), timeout=40)
        [reason] = (await here.status()).reasons
        assert "was removed or replaced under the running daemon: put it back, or restart" in reason
        assert (await here.book(booking={}))["answers"] == {"503": 1}
        aside.rename(here.outbox)
        await until(lambda: ready(wanted=True))
        status = await here.settled()
        equations(status)
