"""A subscription that ROLLER has switched off, or somebody deleted, sends again."""

import asyncio
import io
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.assembly import Assembly, PeersOnTheWire
from pipeline.client import call
from pipeline.errors import Failure, LaneFailure
from pipeline.log import Log
from pipeline.outbox.sqlite import open_outbox
from pipeline.status import SourceStatus
from pipeline.tokens import Tokens
from pipeline.wire import client
from tests.e2e.holder import WANTED, Holder
from tests.e2e.watching import BOOKINGS_ONLY, HEARD, HOUR, Watch, at_home
from tests.e2e.world import KEY, World, world
from tests.fakes import NOON, FakeClock
from tests.waiting import until

_DONE = "SELECT count(DISTINCT booking) FROM events WHERE kind = 'booking' AND state = 'done'"


async def test_it_looks_a_little_after_the_start_and_then_once_an_hour(watch: Watch) -> None:
    """Each look is one of the calls that ROLLER counts by the month."""
    await watch.roller.alone(watch.url)
    before = len(await watch.calls())
    assert await watch.look(after=0) == 30
    assert (watch.lookout.state, len(await watch.calls())) == ("unknown", before)
    assert await watch.look(after=30) == HOUR
    assert await watch.look(after=60) == HOUR - 60, "woken by hand, say"
    assert await watch.look(after=HOUR) == HOUR
    assert (await watch.calls())[before:] == ["GET", "GET"]
    assert (watch.lookout.state, watch.lookout.note, watch.gaps) == ("registered", None, [])


async def test_one_that_is_switched_off_is_switched_on_and_the_gap_asked_for(watch: Watch) -> None:
    """What ROLLER did not send meanwhile it never sends."""
    number = await watch.roller.alone(watch.url, enabled=False, **BOOKINGS_ONLY)
    before = len(await watch.calls())
    await watch.look()
    assert (await watch.calls())[before:] == ["GET", "PUT"]
    [found] = await watch.roller.all()
    assert (found["webhookId"], found["configuration"]["enabled"]) == (number, True)
    assert found["configuration"]["webhooks"] == WANTED
    assert found["configuration"]["authentication"] == {"apiKey": KEY}
    assert watch.gaps == [HEARD]
    assert watch.lookout.state == "registered"
    assert "was disabled, and was switched on again at 2026-11-21T13" in (
        watch.lookout.trouble or ""
    ), "somebody should know all the same"
    told = [(one["level"], one["message"]) for one in watch.lines()]
    assert ("error", "webhook looked at") in told
    assert ("warning", "webhook repaired") in told
    await watch.look()
    assert (watch.lookout.trouble, watch.lookout.note, len(watch.gaps)) == (None, None, 1)


async def test_a_missing_one_is_made_when_it_is_missing_twice(watch: Watch) -> None:
    """The first time it may be a slip, or somebody who replaces it just now."""
    [one] = await watch.roller.all()
    await watch.roller.delete(one["webhookId"])
    assert await watch.look() == 300
    assert (watch.lookout.state, await watch.roller.all()) == ("missing", [])
    assert "none sends booking events here" in (watch.lookout.trouble or "")
    assert await watch.look(after=300) == HOUR
    found = await watch.roller.only()
    assert (found["url"], found["webhooks"]) == (watch.url, WANTED)
    assert watch.gaps == [HEARD]
    assert "was missing, and was made anew" in (watch.lookout.trouble or "")


async def test_one_that_differs_is_told_and_left(watch: Watch) -> None:
    """Somebody may mean it so; `register` sets it right."""
    await watch.roller.alone(watch.url, **BOOKINGS_ONLY)
    before = await watch.roller.all()
    await watch.look()
    assert watch.lookout.state == "differs"
    assert "leaves out customer Created, Updated" in (watch.lookout.trouble or "")
    assert (await watch.roller.all(), watch.gaps) == (before, [])


async def test_without_an_address_it_only_looks(stranger: Watch) -> None:
    """One with our path and another key may be another installation's."""
    await stranger.roller.alone(stranger.url, enabled=False, authentication={"apiKey": "theirs"})
    await stranger.look()
    assert stranger.lookout.state == "disabled"
    [one] = await stranger.roller.all()
    assert one["configuration"]["enabled"] is False
    await stranger.roller.delete(one["webhookId"])
    for _ in range(3):
        await stranger.look()
    assert (stranger.lookout.state, await stranger.roller.all()) == ("missing", [])
    assert "set sources.leeds.public_url" in (stranger.lookout.trouble or "")


async def test_without_an_address_one_with_our_key_is_switched_on_again(stranger: Watch) -> None:
    """That is always right: nobody else has the key."""
    await stranger.roller.alone("http://127.0.0.1:1/in/7", enabled=False)
    await stranger.look()
    found = await stranger.roller.only()
    assert (found["url"], found["enabled"]) == ("http://127.0.0.1:1/in/7", True)
    assert stranger.gaps == [HEARD]


async def test_a_key_that_may_not_list_is_no_alarm_but_said(watch: Watch) -> None:
    """Nobody is called each hour for what somebody has decided."""
    await watch.here.control("roller", "permissions", {"missing": ["GET /webhooks"]})
    for _ in range(3):
        assert await watch.look() == HOUR
    assert (watch.lookout.state, watch.lookout.trouble) == ("unknown", None)
    assert "give the key the permission for GET /webhooks" in (watch.lookout.note or "")
    assert [one["level"] for one in watch.lines()] == ["info"]
    assert watch.stages.enrichers["leeds"].lane.state == "up", "guests may still be asked for"


async def test_a_key_that_may_not_change_one_leaves_the_reason(watch: Watch) -> None:
    """It is tried again at the next look; what is heard meanwhile makes the gap no smaller."""
    await watch.roller.alone(watch.url, enabled=False)
    await watch.here.control("roller", "permissions", {"missing": ["PUT /webhooks"]})
    assert await watch.look() == HOUR
    assert watch.lookout.state == "disabled"
    assert "could not be repaired: ROLLER answered 403" in (watch.lookout.trouble or "")
    assert watch.stages.enrichers["leeds"].lane.state == "up"
    await watch.hear(NOON)
    assert await watch.look() == HOUR
    await watch.here.control("roller", "permissions", {"missing": []})
    await watch.look()
    assert (watch.lookout.state, watch.gaps) == ("registered", [HEARD])


async def test_one_that_was_made_and_is_not_listed_is_not_made_again(watch: Watch) -> None:
    """However often; ROLLER would send each booking once for each."""
    for one in await watch.roller.all():
        await watch.roller.delete(one["webhookId"])
    await watch.look()
    await watch.look(after=300)
    [made] = await watch.roller.all()
    await watch.roller.delete(made["webhookId"])  # the list does not show it
    for _ in range(4):
        await watch.look()
    assert (watch.lookout.state, await watch.roller.all()) == ("missing", [])
    await watch.roller.add(watch.url)
    await watch.look()
    await watch.roller.alone(watch.url)
    await watch.roller.delete((await watch.roller.all())[0]["webhookId"])
    await watch.look()
    await watch.look(after=300)
    assert len(await watch.roller.all()) == 1, "it was listed meanwhile, so this is another loss"


@pytest.mark.parametrize(
    ("fault", "lane"),
    [
        ("500", "up"),
        ("reset", "up"),
        ("garbage", "up"),
        ("429", "throttled"),
        ("401", "unauthorized"),
    ],
)
async def test_a_source_in_trouble_changes_nothing_about_what_is_known(
    watch: Watch, fault: str, lane: str
) -> None:
    """An outage of ROLLER is none of its webhooks; and what is the lane's stays the lane's."""
    await watch.roller.alone(watch.url)
    await watch.look()
    faults = {"kind": fault, "path": "/webhooks", "count": 5}
    await watch.here.control("roller", "faults", faults)
    if fault == "garbage":
        await watch.look()
        assert (watch.lookout.state, watch.lookout.trouble) == ("unknown", None)
    else:
        with pytest.raises(Failure):
            await watch.look()
        assert (watch.lookout.state, watch.lookout.trouble) == ("registered", None)
    assert watch.stages.enrichers["leeds"].lane.state == lane
    assert watch.gaps == []


async def test_a_lane_in_trouble_is_not_asked(watch: Watch) -> None:
    """Its probes are for bookings; and whatever was asked for fewer requests gets them."""
    lane = watch.stages.enrichers["leeds"].lane
    lane.lane_failed(LaneFailure("ROLLER answered 503", after=HOUR + 60))
    before = await watch.calls()
    with pytest.raises(LaneFailure, match="it is not asked just now: ROLLER answered 503"):
        await watch.look()
    assert await watch.calls() == before
    await watch.look(after=HOUR)
    assert len(await watch.calls()) == len(before) + 1
    assert (lane.state, lane.last_error) == ("up", None)


class _Source:
    """What a running daemon says of its only source."""

    def __init__(self, here: World) -> None:
        self._here = here

    async def looks(self) -> Any:
        """Have it look now."""
        server = self._here.config.server
        body = await call(server, "POST", "/api/sources/leeds/look", body={})
        return msgspec.json.decode(body or b"")

    async def status(self) -> SourceStatus:
        return (await self._here.status()).sources["leeds"]

    async def enabled(self) -> list[str]:
        """Give the lines of the metric."""
        text = (await call(self._here.config.server, "GET", "/metrics") or b"").decode()
        name = "pipeline_source_webhook_enabled{"
        return [line for line in text.splitlines() if line.startswith(name)]


async def test_a_running_daemon_tells_and_repairs(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status, metric, log, and a booking that comes through afterwards."""
    url, roller, source = at_home(here), Holder(here), _Source(here)
    number = await roller.alone(url)
    async with here.running():
        assert (await source.status()).webhook == "unknown"
        assert await source.enabled() == []
        await here.book(booking={})
        await here.settled()
        heard = (await source.status()).last_event_at
        await roller.change(number, url, enabled=False)
        await here.book(booking={})
        assert (await source.looks())["webhook"] == "registered"
        status = await here.status()
        assert status.ready
        assert ["was disabled, and was switched on again" in one for one in status.reasons] == [
            True
        ]
        assert status.reasons[0].startswith("sources.leeds: ")
        assert (await source.status()).webhook_note
        await here.book(booking={})
        # The one in between too, which is asked for.
        await until(lambda: here.rows(_DONE) == [(3,)])
        assert await source.enabled() == ['pipeline_source_webhook_enabled{source="leeds"} 1.0']
        await roller.change(number, url, enabled=False, authentication={"apiKey": "x"})
        await here.control("roller", "permissions", {"missing": ["PUT /webhooks"]})
        assert (await source.looks())["webhook"] == "disabled"
        assert await source.enabled() == ['pipeline_source_webhook_enabled{source="leeds"} 0.0']
        await here.control("roller", "permissions", {"missing": ["GET /webhooks"]})
        assert (await source.looks())["webhook"] == "unknown"
        assert await source.enabled() == []
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().err.splitlines()]
    [missed] = [one for one in lines if one["message"] == "webhooks missed"]
    assert (missed["source"], missed["since"]) == ("leeds", heard)


async def test_what_roller_gave_up_while_the_daemon_was_away_is_found_after_the_start(
    tmp_path: Path,
) -> None:
    """Seven failures in four days: after a long weekend nothing would come any more."""
    async with world(tmp_path, retry_factor=1e-7) as here:
        url, roller, source = at_home(here), Holder(here), _Source(here)
        await roller.alone(url)
        async with here.running():
            await here.book(booking={})
            await here.settled()
        await here.book(booking={})

        async def switched_off() -> bool:
            return not (await roller.only())["enabled"]

        await until(switched_off)
        async with here.running():
            await source.looks()
            assert (await roller.only())["enabled"]
            await here.book(booking={})
            await until(lambda: here.rows(_DONE) == [(3,)])


async def test_the_errand_runs_by_itself(here: World) -> None:
    """An hour later, whatever else happens."""
    url, roller = at_home(here), Holder(here)
    await roller.alone(url, enabled=False)
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        outbox = await stack.enter_async_context(open_outbox(here.outbox))
        http = await stack.enter_async_context(client())
        peers = PeersOnTheWire(http, Tokens(here.folder / "tokens", clock))
        log = Log(clock, level="error", style="json", sink=io.StringIO())
        stages = Assembly(here.config, outbox, peers, clock, log).stages()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = stages.start(tasks)
        clock.advance(31)

        async def repaired() -> bool:
            stages.wake()
            return bool((await roller.only())["enabled"])

        await until(repaired)
        await running.drain()
