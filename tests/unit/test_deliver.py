"""A lane outlives whatever goes wrong in it, and with it the daemon."""

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pipeline.budget import Budget
from pipeline.clock import SystemClock
from pipeline.config import RetryPolicy
from pipeline.deliver import Deliverer
from pipeline.destinations.stampede import Stampede, StampedeSettings
from pipeline.destinations.stampede.settings import Serial
from pipeline.feed import Feed
from pipeline.gather import Gatherer, SourceTraits
from pipeline.lane import Lane, LaneState
from pipeline.log import Log
from pipeline.means import Means
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.plugin import Call, Reply, VenueDetails
from pipeline.settings import Duration, Secret
from tests.outbox.support import GUEST, claimed, look
from tests.outboxes import place_outbox
from tests.waiting import until

_QUICK = RetryPolicy(first=Duration(0.02), max=Duration(0.1))


class _Broken:
    """A peer's session with a mistake of ours in it, wherever it is used first."""

    def __init__(self, *, wherever: str) -> None:
        self._wherever = wherever
        self.failed_at: list[float] = []

    async def call(self, call: Call) -> Reply:
        self._fail("call")
        raise AssertionError(call)

    def token(self) -> str | None:
        self._fail("token")
        return None

    def keep_token(self, token: str, *, lifetime: float) -> None:
        raise AssertionError(token, lifetime)

    def drop_token(self, token: str) -> bool:
        raise AssertionError(token)

    def _fail(self, where: str) -> None:
        if where == self._wherever:
            self.failed_at.append(time.monotonic())
            raise ValueError("anna@example.com")


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[SqliteOutbox]:
    """An outbox that owes Stampede a guest."""
    async with open_outbox(place_outbox(tmp_path / "outbox.db")) as opened:
        event = await claimed(opened, "1")
        await opened.deliveries.settle(event, [GUEST], now=1)
        yield opened


@pytest.mark.parametrize("wherever", ["call", "token"])
async def test_a_mistake_of_ours_is_the_lanes_trouble_and_is_tried_again_later(
    outbox: SqliteOutbox, tmp_path: Path, wherever: str
) -> None:
    """It would end the daemon, and systemd would start it again for the same mistake."""
    clock, lines, session = SystemClock(), io.StringIO(), _Broken(wherever=wherever)
    log = Log(clock, level="info", style="json", sink=lines)
    settings = StampedeSettings(
        type="stampede",
        client_id="key",
        client_secret=Secret("secret"),
        venues={"leeds": Serial("A1B2C3D4E5F6")},
    )
    traits = {"leeds": SourceTraits(venue=VenueDetails(), adults_only=True)}
    means = Means(outbox=outbox, gatherer=Gatherer(outbox, traits), clock=clock, log=log)
    deliverer = Deliverer(
        "stampede",
        Stampede("stampede", settings, session),
        budget=Budget(settings.rate_limit, clock),
        lane=Lane(_QUICK, clock, random.Random(1)),
        means=means,
        fetchers={},
        owed=Feed(10),
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(deliverer.run(), name="deliver")
        await until(lambda: running.done() or len(session.failed_at) >= 4)
        deliverer.stop()

    lane = deliverer.lane
    assert (lane.state, lane.last_error) == (LaneState.DOWN, "unexpected ValueError: see the log")
    waits = [b - a for a, b in zip(session.failed_at, session.failed_at[1:], strict=False)]
    assert [wait > least for wait, least in zip(waits, (0.009, 0.018, 0.036), strict=False)] == [
        True
    ] * 3
    log.flush()
    told = [msgspec.json.decode(line) for line in lines.getvalue().splitlines()]
    assert any(line.get("trace", "").startswith("ValueError at test_deliver.py:") for line in told)
    assert "anna" not in lines.getvalue()
    assert deliverer.budget.used == 0
    assert look(tmp_path / "outbox.db", "SELECT attempts, reason FROM delivery") == [(0, None)]
