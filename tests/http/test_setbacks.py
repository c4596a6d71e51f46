"""What cannot be read holds up nothing else for long, and says of itself alone why it waits."""

from datetime import date
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.demand import add_routes
from pipeline.errors import Throttled
from pipeline.model import Origin
from pipeline.outbox import RunState
from pipeline.reports import Report
from tests.http.sweeping import Field, field, utc
from tests.http.test_sweeper import _fill, _gap, _missed, _runs, _wait

_ITEMS = [{"bookingItemId": 1, "productId": 7, "quantity": 2}]


async def _days(here: Field, hours: int) -> None:
    """Let the errand look whenever it would, for so long."""
    left = float(hours)
    while left > 0:
        pause = min(max(await here.sweeper.once() / 3600, 0.001), left)
        here.clock.advance(pause * 3600)
        left -= pause
    await here.sweeper.once()


async def test_waivers_that_fail_for_days_hold_up_no_booking(tmp_path: Path) -> None:
    """A year of days, each tried again and again, would leave no time for anything else."""
    async with field(tmp_path, daily="03:30", waivers="6d") as here:
        await here.book(utc("2026-10-07T10:00:00"), customerId=9, items=_ITEMS)
        await here.sweeper.once()
        await here.control("faults", kind="500", path="/data/signedwaivers")
        await _days(here, 20)
        assert here.kinds() == {"booking": 1}
        assert [state for _, _, state, _ in _runs(here)] == ["done"]
        asked = [one for one in await here.asked() if one[0] == "signedwaivers"]
        assert len(asked) < 30, "each is a call"
        parts = await here.outbox.sweeps.parts("leeds")
        assert {part.asked.only for part in parts} == {Report.WAIVERS}


async def test_a_dry_run_that_cannot_go_on_ends(tmp_path: Path) -> None:
    """Nothing is lost with it, and the night's run is behind it."""
    async with field(tmp_path, daily="03:30") as here:
        await here.sweeper.once()
        await here.control("faults", kind="503", retry_after=60, path="/data/bookingitems", count=9)
        await here.sweeper.begin(Origin.RECONCILE, since=date(2026, 10, 6), dry_run=True)
        await _days(here, 36)
        assert [state for _, _, state, _ in _runs(here)] == ["failed", "done"]


async def test_a_run_of_today_alone_says_nothing_of_the_days_before(tmp_path: Path) -> None:
    """A gap that opened before is still to be read."""
    async with field(tmp_path) as here:
        await _missed(here, "2026-10-05T11:30:00")
        await here.book(utc("2026-10-05T12:00:00"), customerId=9, items=_ITEMS)
        await here.sweeper.begin(Origin.RECONCILE, since=date(2026, 10, 7))
        await here.sweeper.once()
        assert await here.outbox.sweeps.watermark("leeds") is None
        await here.outbox.webhooks.seen("leeds", ["1"], now=here.clock.now())
        await here.sweeper.once()
        assert here.kinds()["booking"] == 2, "the one before the gap, and the one in it"
        assert await _gap(here) is None


async def test_a_gap_is_read_whatever_a_clock_that_was_ahead_has_noted(tmp_path: Path) -> None:
    """Else it is taken for read, by a day that is still to come."""
    async with field(tmp_path, now="2026-12-01T12:00:00") as here:
        await here.sweeper.begin(Origin.RECONCILE)
        await here.sweeper.once()
        here.clock.step(-55 * 86_400)
        await _missed(here, "2026-10-06T11:30:00", until="2026-10-07T11:00:00")
        await here.sweeper.once()
        assert _runs(here)[-1][:3] == ("2026-10-06", "2026-10-07", "done")


async def test_what_is_not_to_be_read_any_more_is_left_unread_no_more(tmp_path: Path) -> None:
    """Whoever does without waivers is not to be told of them for ever."""
    async with field(tmp_path, waivers="8d") as here:
        await here.control("permissions", missing=["GET /data/signedwaivers"])
        run = await here.sweeper.begin(Origin.BACKFILL, since=date(2026, 10, 6))
        await here.sweeper.once()
        assert await here.outbox.sweeps.parts("leeds")
        here.without_waivers()
        await here.sweeper.once()
        assert await here.outbox.sweeps.parts("leeds") == []
        done = await here.outbox.sweeps.run(run.id)
        assert done is not None
        assert done.state is RunState.DONE


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_waits_with_its_source_goes_on_with_it(
    tmp_path: Path, *, restarts: bool
) -> None:
    """And says so: nobody is to look for what is mended."""
    async with field(tmp_path) as here:
        await here.control("faults", kind="429", retry_after=60, path="/data/*", count=1)
        await here.sweeper.begin(Origin.RECONCILE)
        backfill = await here.sweeper.begin(Origin.BACKFILL, since=date(2026, 10, 6))
        await here.sweeper.once()
        waiting = await here.outbox.sweeps.run(backfill.id)
        assert waiting is not None
        assert (waiting.state, "429" in (waiting.reason or "")) == (RunState.WAITING, True)
        if restarts:
            here.stages = here.made(here.config)
        await _fill(here, "leeds")
        assert await _wait(here, hours=0.1) * 3600 == 2.0, "there is no room for more just now"
        running = await here.outbox.sweeps.run(backfill.id)
        assert running is not None
        assert (running.state, running.reason) == (RunState.RUNNING, None)


async def test_who_looks_on_is_told_for_what_a_run_waits(tmp_path: Path) -> None:
    """It goes on by itself, but a bar that stands still looks broken."""
    async with field(tmp_path) as here:
        run = await here.sweeper.begin(Origin.RECONCILE)
        app = web.Application()
        add_routes(app, here.stages.sweepers, here.outbox.sweeps)
        async with TestClient(TestServer(app)) as looking:

            async def waits() -> object:
                async with looking.get(f"/api/reconcile/{run.id}") as response:
                    return (await response.json())["waits"]

            assert await waits() is None
            await _fill(here, "leeds")
            assert await waits() == "500 of its events, which are taken up first"


async def test_a_run_behind_an_estimate_that_was_throttled_says_why_it_waits(
    tmp_path: Path,
) -> None:
    """ROLLER has asked for a pause, whatever it was asked for."""
    async with field(tmp_path) as here:
        asked = await here.sweeper.plan(Origin.BACKFILL, since=date(2026, 10, 6))
        await here.control("faults", kind="429", retry_after=60, path="/data/*", count=1)
        with pytest.raises(Throttled):
            await here.sweeper.survey(asked)
        run = await here.sweeper.begin(Origin.BACKFILL, since=date(2026, 10, 6))
        await here.sweeper.once()
        waiting = await here.outbox.sweeps.run(run.id)
        assert waiting is not None
        assert "429" in (waiting.reason or "")


async def test_without_a_daemon_a_pause_that_roller_asks_for_is_kept_too(tmp_path: Path) -> None:
    """Each request in it makes it longer."""
    async with field(tmp_path, waivers="8d") as here:
        await here.control("faults", kind="500", path="/data/signedwaivers", count=2)
        run = await here.sweeper.begin(Origin.BACKFILL, since=date(2026, 10, 6))
        await here.sweeper.once()
        assert len(await here.outbox.sweeps.parts("leeds")) == 2
        await here.control("faults", kind="429", retry_after=60, path="/data/*")
        before = len(await here.asked())
        here.clock.advance(3600)
        held = await here.outbox.sweeps.run(run.id)
        assert held is not None
        run = await here.sweeper.carry_out(held, told=lambda _: None)
        assert run.state is RunState.WAITING
        assert len(await here.asked()) == before + 1
