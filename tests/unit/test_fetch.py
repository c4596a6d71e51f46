"""A pause that a source asks for is kept by every request to it."""

import functools
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiolimiter import AsyncLimiter

from pipeline.config import RetryPolicy
from pipeline.errors import Throttled
from pipeline.fetch import Fetcher, Occasion
from pipeline.gather import Gatherer
from pipeline.hear import Hearing
from pipeline.lane import Lane
from pipeline.log import Log
from pipeline.means import Means
from pipeline.outbox.sqlite import open_outbox
from pipeline.simulation.network import Latency, Outages
from pipeline.simulation.roller import SimulatedRoller
from tests.fakes import FakeClock
from tests.outboxes import place_outbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def fetcher(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Fetcher]:
    log = Log(clock, level="error", style="json")
    source = SimulatedRoller(
        random.Random(1), latency=Latency(least=0.0, usual=0.001), outages=Outages()
    )
    async with open_outbox(place_outbox(tmp_path / "outbox.db")) as outbox:
        means = Means(outbox=outbox, gatherer=Gatherer(outbox, {}), clock=clock, log=log)
        yield Fetcher(
            "leeds",
            source,
            keep=Hearing(means, {}, {}).keep,
            limiter=AsyncLimiter(1000, 1),
            lane=Lane(RetryPolicy(), clock, random.Random(1)),
            means=means,
        )


async def _ask(fetcher: Fetcher, after: float, *, meanwhile: float | None = None) -> None:
    """Be answered 429; another request may be so before."""
    async with fetcher.turn():
        if meanwhile is not None:
            await _refused(fetcher, meanwhile)
        raise Throttled("429", after=after)


async def _refused(fetcher: Fetcher, after: float, *, meanwhile: float | None = None) -> None:
    with pytest.raises(Throttled):
        await _ask(fetcher, after, meanwhile=meanwhile)


async def test_nothing_leaves_until_the_pause_is_over(fetcher: Fetcher, clock: FakeClock) -> None:
    """Exceeding ROLLER's limit is answered with a minute's penalty, and asking on prolongs it."""
    await _refused(fetcher, 60.0)
    guest = functools.partial(fetcher.guest, "7", Occasion(event=1))
    for ask in (fetcher.venue, guest, lambda: fetcher.booking("b")):
        with pytest.raises(Throttled) as caught:
            await ask()
        assert caught.value.after == 60.0
    clock.advance(59.9)
    with pytest.raises(Throttled):
        await fetcher.venue()
    clock.advance(0.1)
    await fetcher.venue()


async def test_a_longer_pause_is_honoured_and_a_shorter_one_does_not_end_it(
    fetcher: Fetcher,
) -> None:
    """Retry-After may say more than a minute."""
    await _refused(fetcher, 60.0, meanwhile=300.0)
    assert fetcher.pause() == 300.0


async def test_an_answer_that_was_on_its_way_does_not_end_the_pause(
    fetcher: Fetcher, clock: FakeClock
) -> None:
    """Seven others are asked at the same time, and some were let through."""
    async with fetcher.turn():
        await _refused(fetcher, 60.0)
        fetcher.lane.lane_failed(Throttled("429", after=60.0))
    assert str(fetcher.lane.state) == "throttled"
    assert fetcher.lane.breaker.wait() >= 60.0
    clock.advance(60)
    await fetcher.venue()
    assert str(fetcher.lane.state) == "up"
