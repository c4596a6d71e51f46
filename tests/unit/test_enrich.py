"""A source's lane outlives a mistake of ours, and with it the daemon."""

import asyncio
import io
import random
from pathlib import Path

from aiolimiter import AsyncLimiter

from pipeline.clock import SystemClock
from pipeline.config import RetryPolicy
from pipeline.enrich import Enricher
from pipeline.feed import Feed
from pipeline.fetch import Fetcher
from pipeline.gather import Gatherer
from pipeline.hear import Hearing
from pipeline.lane import Lane, LaneState
from pipeline.log import Log
from pipeline.means import Means
from pipeline.outbox.sqlite import open_outbox
from pipeline.settings import Duration, Keys, Secret
from pipeline.sources.roller import Roller, RollerSettings
from pipeline.wire import PeerSession
from tests.outbox.support import arrival, look
from tests.outboxes import place_outbox
from tests.waiting import until


class _BrokenOnce(Feed[int]):
    """A queue with a mistake in it that shows once."""

    broken = True

    def take(self, most: int) -> list[int]:
        if self.broken:
            self.broken = False
            raise ValueError("anna@example.com")
        return super().take(most)


async def test_a_mistake_of_ours_is_the_lanes_trouble_and_the_work_goes_on(
    tmp_path: Path, session: PeerSession
) -> None:
    """It would end the daemon, with all other sources."""
    clock, lines = SystemClock(), io.StringIO()
    log = Log(clock, level="info", style="json", sink=lines)
    settings = RollerSettings(
        type="roller",
        client_id="venue",
        client_secret=Secret("secret"),
        webhook_key=Keys((Secret("key"),)),
    )
    policy = RetryPolicy(first=Duration(0.02), max=Duration(0.1))
    async with open_outbox(place_outbox(tmp_path / "outbox.db")) as outbox:
        await outbox.intake.accept(arrival("1", at=1))
        means = Means(outbox=outbox, gatherer=Gatherer(outbox, {}), clock=clock, log=log)
        source = Roller("leeds", settings, session)
        enricher = Enricher(
            "leeds",
            source,
            Fetcher(
                "leeds",
                source,
                keep=Hearing(means, {}, {}).keep,
                limiter=AsyncLimiter(60, 60),
                lane=Lane(policy, clock, random.Random(1)),
                means=means,
            ),
            mappers=(),
            means=means,
            arrivals=_BrokenOnce(10),
            enriched=Feed(10),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(enricher.run(), name="enrich")
            await until(lambda: enricher.lane.state is LaneState.DOWN)
            assert enricher.lane.last_error == "unexpected ValueError: see the log"
            sql = "SELECT state FROM events"
            await until(lambda: look(tmp_path / "outbox.db", sql) == [("ignored",)])
            enricher.stop()
    log.flush()
    assert "ValueError at test_enrich.py:" in lines.getvalue()
    assert "anna" not in lines.getvalue()
