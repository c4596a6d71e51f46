"""A subscription that ROLLER has switched off, or somebody deleted, sends again."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.assembly import Assembly, PeersOnTheWire, Stages
from pipeline.client import call
from pipeline.clock import SECOND
from pipeline.errors import Failure, LaneFailure
from pipeline.log import Log
from pipeline.lookout import Lookout
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.status import SourceStatus
from pipeline.tokens import Tokens
from pipeline.wire import client
from tests.e2e.holder import WANTED, Holder
from tests.e2e.world import KEY, World, world
from tests.fakes import NOON, FakeClock
from tests.outbox.support import arrival
from tests.waiting import until

_HEARD = NOON - 7200 * SECOND
_HOUR = 3600.0
_DONE = "SELECT count(DISTINCT booking) FROM events WHERE kind = 'booking' AND state = 'done'"
_GAP = "SELECT gap_since FROM webhook WHERE source = 'leeds' AND gap_until IS NOT NULL"
_BOOKINGS = {"webhooks": {"booking": WANTED["booking"]}}


def at_home(here: World) -> str:
    """Configure the address that ROLLER sends to, and give that of the source."""
    line = 'client_id = "sandbox-leeds"'
    here.replace(line, f'{line}\npublic_url = "http://{here.listen}"')
    return f"http://{here.listen}/webhooks/leeds"


class _Watch:
    """One lookout with a clock that goes when it is told to, in front of a simulated ROLLER."""

    def __init__(
        self,
        here: World,
        outbox: SqliteOutbox,
        stages: Stages,
        clock: FakeClock,
        lines: io.StringIO,
    ) -> None:
        self.here = here
        self.roller = Holder(here)
        self.url = f"http://{here.listen}/webhooks/leeds"
        self.clock = clock
        #: Since when each gap was that has ended.
        self.gaps: list[int] = []
        self.outbox = outbox
        self.stages = stages
        self._lines = lines
        self.log = Log(clock, level="info", style="json", sink=lines)
        self.lookout = self.made()

    def made(self) -> Lookout:
        """Make a lookout as the daemon does at its start, but for what it tells."""
        subscriptions = self.stages.doors["leeds"].source.subscriptions
        assert subscriptions is not None
        return Lookout(
            "leeds",
            subscriptions,
            self.stages.enrichers["leeds"].fetcher,
            webhooks=self.outbox.webhooks,
            gap_ended=lambda: self.gaps.append(self.here.rows(_GAP)[0][0]),
            clock=self.clock,
            log=self.log,
        )

    async def hear(self, at: int) -> None:
        """Let a webhook come."""
        await self.outbox.intake.accept(arrival(f"at {at}", at=at))

    async def look(self, *, after: float = _HOUR) -> float:
        """Let it look once when some time has passed; gives the seconds until the next time."""
        self.clock.advance(after)
        return await self.lookout.once()

    async def calls(self) -> list[str]:
        """Give what ROLLER was asked about its webhooks so far, but for what `roller` asked."""
        log = await self.here.requests("roller")
        return [one["method"] for one in log if one["path"].startswith("/webhooks")]

    def lines(self) -> list[Any]:
        """Give the lines logged so far."""
        self.log.flush()
        return [msgspec.json.decode(line) for line in self._lines.getvalue().splitlines()]


async def _watch(
    folder: Path,
    stack: AsyncExitStack,
    prepare: Callable[[World], Any],
    heard: int | None = _HEARD,
) -> _Watch:
    here = await stack.enter_async_context(world(folder))
    prepare(here)
    clock, lines = FakeClock(), io.StringIO()
    log = Log(clock, level="info", style="json", sink=lines)
    outbox = await stack.enter_async_context(open_outbox(here.outbox))
    http = await stack.enter_async_context(client())
    peers = PeersOnTheWire(http, Tokens(folder / "tokens", clock))
    stages = Assembly(here.config, outbox, peers, clock, log).stages()
    watch = _Watch(here, outbox, stages, clock, lines)
    if heard is not None:
        await watch.hear(heard)
    return watch


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[_Watch]:
    """A lookout that knows the address that ROLLER is to send to."""
    async with AsyncExitStack() as stack:
        yield await _watch(tmp_path, stack, at_home)


@pytest.fixture
async def newcomer(tmp_path: Path) -> AsyncIterator[_Watch]:
    """The same where no webhook has ever come."""
    async with AsyncExitStack() as stack:
        yield await _watch(tmp_path, stack, at_home, heard=None)


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[_Watch]:
    """A lookout that does not."""
    async with AsyncExitStack() as stack:
        yield await _watch(tmp_path, stack, lambda _: None)


async def test_it_looks_a_little_after_the_start_and_then_once_an_hour(watch: _Watch) -> None:
    """Each look is one of the calls that ROLLER counts by the month."""
    await watch.roller.alone(watch.url)
    before = len(await watch.calls())
    assert await watch.look(after=0) == 30
    assert (watch.lookout.state, len(await watch.calls())) == ("unknown", before)
    assert await watch.look(after=30) == _HOUR
    assert await watch.look(after=60) == _HOUR - 60, "woken by hand, say"
    assert await watch.look(after=_HOUR) == _HOUR
    assert (await watch.calls())[before:] == ["GET", "GET"]
    assert (watch.lookout.state, watch.lookout.note, watch.gaps) == ("registered", None, [])


async def test_one_that_is_switched_off_is_switched_on_and_the_gap_asked_for(watch: _Watch) -> None:
    """What ROLLER did not send meanwhile it never sends."""
    number = await watch.roller.alone(watch.url, enabled=False, **_BOOKINGS)
    before = len(await watch.calls())
    await watch.look()
    assert (await watch.calls())[before:] == ["GET", "PUT"]
    [found] = await watch.roller.all()
    assert (found["webhookId"], found["configuration"]["enabled"]) == (number, True)
    assert found["configuration"]["webhooks"] == WANTED
    assert found["configuration"]["authentication"] == {"apiKey": KEY}
    assert watch.gaps == [_HEARD]
    assert watch.lookout.state == "registered"
    assert "was disabled, and was switched on again at 2026-11-21T13" in (
        watch.lookout.trouble or ""
    ), "somebody should know all the same"
    told = [(one["level"], one["message"]) for one in watch.lines()]
    assert ("error", "webhook looked at") in told
    assert ("warning", "webhook repaired") in told
    await watch.look()
    assert (watch.lookout.trouble, watch.lookout.note, len(watch.gaps)) == (None, None, 1)


async def test_a_missing_one_is_made_when_it_is_missing_twice(watch: _Watch) -> None:
    """The first time it may be a slip, or somebody who replaces it just now."""
    [one] = await watch.roller.all()
    await watch.roller.delete(one["webhookId"])
    assert await watch.look() == 300
    assert (watch.lookout.state, await watch.roller.all()) == ("missing", [])
    assert "none sends booking events here" in (watch.lookout.trouble or "")
    assert await watch.look(after=300) == _HOUR
    found = await watch.roller.only()
    assert (found["url"], found["webhooks"]) == (watch.url, WANTED)
    assert watch.gaps == [_HEARD]
    assert "was missing, and was made anew" in (watch.lookout.trouble or "")


async def test_a_gap_begins_where_it_was_first_seen_and_whoever_ends_it(watch: _Watch) -> None:
    """A person may be faster; and a message that comes by hand is no sign that nothing is lost."""
    [one] = await watch.roller.all()
    await watch.roller.delete(one["webhookId"])
    await watch.look()
    await watch.hear(NOON)
    await watch.roller.add(watch.url)
    assert watch.gaps == []
    await watch.look(after=300)
    assert (watch.lookout.state, watch.gaps) == ("registered", [_HEARD])


async def test_a_new_installation_has_no_gap(newcomer: _Watch) -> None:
    """What was before is for a first import, which a person begins."""
    await newcomer.roller.alone(newcomer.url, enabled=False)
    await newcomer.look()
    assert (newcomer.lookout.state, newcomer.gaps) == ("registered", [])


async def test_a_gap_that_was_open_at_a_crash_ends_when_all_is_well_again(watch: _Watch) -> None:
    """Whoever looks next has not seen it begin."""
    await watch.roller.alone(watch.url, enabled=False)
    await watch.here.control("roller", "permissions", {"missing": ["PUT /webhooks"]})
    await watch.look()
    await watch.hear(NOON)
    await watch.here.control("roller", "permissions", {"missing": []})
    watch.lookout = watch.made()
    await watch.roller.alone(watch.url)
    await watch.look()
    assert (watch.lookout.state, watch.gaps) == ("registered", [_HEARD])
    watch.lookout = watch.made()
    await watch.look()
    assert watch.gaps == [_HEARD], "it was one gap"


async def test_another_webhook_in_place_of_ours_is_a_gap(watch: _Watch) -> None:
    """Somebody was faster than the hourly look; what was between nobody has seen."""
    number = await watch.roller.alone(watch.url)
    await watch.look()
    await watch.hear(NOON + 1)
    watch.lookout = watch.made()
    second = await watch.roller.add(watch.url)
    await watch.look()
    await watch.roller.delete(number)
    await watch.look()
    assert watch.gaps == [], "the second was there before the first one went"
    await watch.roller.delete(second)
    await watch.roller.add(watch.url)
    await watch.look()
    assert watch.gaps == [NOON + 1]


async def test_whoever_was_away_for_longer_than_roller_tries_has_a_gap(watch: _Watch) -> None:
    """It gives a message up after four days and an hour, and may have been switched on by hand."""
    await watch.roller.alone(watch.url)
    await watch.look()
    await watch.look(after=4 * 86_400)
    assert watch.gaps == []
    await watch.look(after=4 * 86_400 + 7200)
    assert watch.gaps == [_HEARD]


async def test_one_that_differed_leaves_a_gap_too(watch: _Watch) -> None:
    """What it left out never came."""
    await watch.roller.alone(watch.url)
    await watch.look()
    seen = watch.clock.now()
    await watch.roller.alone(watch.url, **_BOOKINGS)
    await watch.look()
    await watch.hear(seen + 1)
    assert watch.gaps == []
    await watch.roller.alone(watch.url)
    await watch.look()
    assert watch.gaps == [_HEARD]


async def test_one_that_differs_is_told_and_left(watch: _Watch) -> None:
    """Somebody may mean it so; `register` sets it right."""
    await watch.roller.alone(watch.url, **_BOOKINGS)
    before = await watch.roller.all()
    await watch.look()
    assert watch.lookout.state == "differs"
    assert "leaves out customer Created, Updated" in (watch.lookout.trouble or "")
    assert (await watch.roller.all(), watch.gaps) == (before, [])


async def test_without_an_address_it_only_looks(stranger: _Watch) -> None:
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


async def test_without_an_address_one_with_our_key_is_switched_on_again(stranger: _Watch) -> None:
    """That is always right: nobody else has the key."""
    await stranger.roller.alone("http://127.0.0.1:1/in/7", enabled=False)
    await stranger.look()
    found = await stranger.roller.only()
    assert (found["url"], found["enabled"]) == ("http://127.0.0.1:1/in/7", True)
    assert stranger.gaps == [_HEARD]


async def test_a_key_that_may_not_list_is_no_alarm_but_said(watch: _Watch) -> None:
    """Nobody is called each hour for what somebody has decided."""
    await watch.here.control("roller", "permissions", {"missing": ["GET /webhooks"]})
    for _ in range(3):
        assert await watch.look() == _HOUR
    assert (watch.lookout.state, watch.lookout.trouble) == ("unknown", None)
    assert "give the key the permission for GET /webhooks" in (watch.lookout.note or "")
    assert [one["level"] for one in watch.lines()] == ["info"]
    assert watch.stages.enrichers["leeds"].lane.state == "up", "guests may still be asked for"


async def test_a_key_that_may_not_change_one_leaves_the_reason(watch: _Watch) -> None:
    """It is tried again at the next look; what is heard meanwhile makes the gap no smaller."""
    await watch.roller.alone(watch.url, enabled=False)
    await watch.here.control("roller", "permissions", {"missing": ["PUT /webhooks"]})
    assert await watch.look() == _HOUR
    assert watch.lookout.state == "disabled"
    assert "could not be repaired: ROLLER answered 403" in (watch.lookout.trouble or "")
    assert watch.stages.enrichers["leeds"].lane.state == "up"
    await watch.hear(NOON)
    assert await watch.look() == _HOUR
    await watch.here.control("roller", "permissions", {"missing": []})
    await watch.look()
    assert (watch.lookout.state, watch.gaps) == ("registered", [_HEARD])


async def test_one_that_was_made_and_is_not_listed_is_not_made_again(watch: _Watch) -> None:
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
    watch: _Watch, fault: str, lane: str
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


async def test_a_lane_in_trouble_is_not_asked(watch: _Watch) -> None:
    """Its probes are for bookings; and whatever was asked for fewer requests gets them."""
    lane = watch.stages.enrichers["leeds"].lane
    lane.lane_failed(LaneFailure("ROLLER answered 503", after=_HOUR + 60))
    before = await watch.calls()
    with pytest.raises(LaneFailure, match="it is not asked just now: ROLLER answered 503"):
        await watch.look()
    assert await watch.calls() == before
    await watch.look(after=_HOUR)
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
