"""What /metrics tells of how things stand: each number against what was done to the outbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from pipeline.assembly import Assembly, PeersOnTheWire
from pipeline.config import load
from pipeline.gauges import Gauges
from pipeline.log import Log
from pipeline.metrics import Meters
from pipeline.model import DeliveryState
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.tokens import Tokens
from pipeline.wire import client
from tests.fakes import FakeClock
from tests.http.support import CONFIG
from tests.outbox.support import BOOKING, T0, arrival, intent, settled

_SKIPPED = intent(state=DeliveryState.SKIPPED, reason="draft")


class _Here:
    def __init__(
        self, outbox: SqliteOutbox, gauges: Gauges, meters: Meters, clock: FakeClock
    ) -> None:
        self.outbox = outbox
        self.meters = meters
        self.clock = clock
        self._gauges = gauges

    async def samples(self) -> dict[str, float]:
        """Give what is told, by its name and labels as Prometheus writes them."""
        text = (await self._gauges.text()).decode()
        return {
            f"{one.name}{{{','.join(sorted(one.labels.values()))}}}": one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }


@asynccontextmanager
async def _gauges(folder: Path, source: str = "leeds") -> AsyncIterator[_Here]:
    path = folder / "config.toml"
    path.write_text(CONFIG.replace("leeds", source))
    config, clock = load(path), FakeClock(now=T0)
    async with open_outbox(config.outbox.path) as outbox, client() as http:
        log = Log(clock, level="error", style="json")
        peers = PeersOnTheWire(http, Tokens(folder / "tokens", clock))
        stages = Assembly(config, outbox, peers, clock, log).stages()
        gauges = Gauges(outbox, stages, peers.meters, clock)
        yield _Here(outbox, gauges, peers.meters, clock)


async def test_rows_are_told_by_their_states_and_duplicates_are_no_rows(tmp_path: Path) -> None:
    """Their sum is what was accepted."""
    async with _gauges(tmp_path) as here:
        await settled(here.outbox, "1", BOOKING)
        await settled(here.outbox, "2", _SKIPPED, booking="another")
        await here.outbox.intake.accept(arrival("3", booking="third"))
        await here.outbox.intake.accept(arrival("3", booking="third"))
        found = await here.samples()
    items = {name: n for name, n in found.items() if name.startswith("pipeline_items") and n}
    assert items == {
        "pipeline_items{done,events}": 2,
        "pipeline_items{events,waiting}": 1,
        "pipeline_items{deliveries,waiting}": 1,
        "pipeline_items{deliveries,skipped}": 1,
    }


async def test_no_counter_falls_when_what_was_skipped_is_sent_after_all(tmp_path: Path) -> None:
    """A fall is taken for a restart, and all that was counted for new."""
    async with _gauges(tmp_path) as here:
        await settled(here.outbox, "1", _SKIPPED)
        before = await here.samples()
        await settled(here.outbox, "2", BOOKING, at=T0 + 1)
        after = await here.samples()
    fallen = {name for name, n in before.items() if "_total" in name and after.get(name, 0) < n}
    assert fallen == set()
    assert after["pipeline_deliveries_total{stampede,superseded}"] == 1
    assert after["pipeline_items{deliveries,waiting}"] == 1


async def test_what_has_been_due_for_longest_is_told_by_stage(tmp_path: Path) -> None:
    """The one number to be woken by."""
    async with _gauges(tmp_path) as here:
        await settled(here.outbox, "1", BOOKING)
        here.clock.advance(30)
        await here.outbox.intake.accept(arrival("2", booking="another", at=here.clock.now()))
        here.clock.advance(12)
        found = await here.samples()
    assert found["pipeline_oldest_waiting_seconds{deliveries}"] == 42
    assert found["pipeline_oldest_waiting_seconds{events}"] == 12


async def test_the_allowance_is_told_as_it_is_configured(tmp_path: Path) -> None:
    """Left is what the one lacks of the other."""
    async with _gauges(tmp_path) as here:
        found = await here.samples()
    assert found["pipeline_budget_limit{stampede}"] == 100
    assert found["pipeline_budget_used{stampede}"] == 0


async def test_only_a_destinations_own_429_are_its(tmp_path: Path) -> None:
    """A source may have the destination's name, and a 503 asks for something else."""
    async with _gauges(tmp_path, source="stampede") as here:
        for peer, status, times in (
            ("roller.stampede", 429, 4),
            ("stampede.stampede", 503, 2),
            ("stampede.stampede", 429, 3),
        ):
            for _ in range(times):
                here.meters.requested(peer, "GET", status, 0.0)
        found = await here.samples()
    assert found["pipeline_rate_limited_total{stampede}"] == 3
    assert found["pipeline_requests_total{429,GET,roller.stampede}"] == 4


async def test_each_request_is_in_the_histogram_of_its_peer(tmp_path: Path) -> None:
    """An average over none looks like a quick peer."""
    async with _gauges(tmp_path) as here:
        for peer in ("roller.leeds", "stampede.stampede", "stampede.stampede"):
            here.meters.requested(peer, "GET", 200, 0.0)
        found = await here.samples()
    assert found["pipeline_request_seconds_count{roller.leeds}"] == 1
    assert found["pipeline_request_seconds_count{stampede.stampede}"] == 2
    assert found["pipeline_request_seconds_bucket{+Inf,stampede.stampede}"] == 2
