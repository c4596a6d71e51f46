"""A source's products are read in time, seldom, and to nobody's delay."""

import asyncio
import io
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiolimiter import AsyncLimiter

from pipeline.clock import Clock
from pipeline.config import RetryPolicy
from pipeline.errors import Failure, Reject, Retry, Throttled, Unreachable
from pipeline.fetch import Fetcher
from pipeline.gather import Gatherer
from pipeline.hear import Hearing
from pipeline.lane import Lane, LaneState
from pipeline.log import Log
from pipeline.means import Means
from pipeline.model import Booking, Product
from pipeline.outbox.connection import InLoopConnection
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.products import Products
from pipeline.settings import Duration
from pipeline.simulation.clock import VirtualClock
from pipeline.simulation.loop import simulate
from pipeline.simulation.network import Latency, Outages
from pipeline.simulation.roller import SimulatedRoller
from tests.fakes import FakeClock
from tests.unit.made import booking, item

_HOUR = 3600.0
_JUMP = Product(id="1", name="Open Jump")
_SOCKS = Product(id="2", name="Socks", admits=False)


class _Peer:
    """A source's list of products, and how often it was asked for."""

    every = _HOUR

    def __init__(self) -> None:
        self.products: list[Product] = [_JUMP]
        self.failure: Failure | None = None
        self.asked = 0
        self.answer: Callable[[], object] | None = None

    async def fetch_products(self) -> Sequence[Product]:
        self.asked += 1
        if self.answer:
            await asyncio.Event().wait()
        if self.failure:
            raise self.failure
        return list(self.products)


class _Here:
    def __init__(self, outbox: SqliteOutbox, clock: Clock) -> None:
        self.lines = io.StringIO()
        self.log = Log(clock, level="info", style="json", sink=self.lines)
        means = Means(outbox=outbox, gatherer=Gatherer(outbox, {}), clock=clock, log=self.log)
        policy = RetryPolicy(first=Duration(2), max=Duration(3600))
        self.lane = Lane(policy, clock, random.Random(1))
        dice = random.Random(1)
        source = SimulatedRoller(dice, latency=Latency(least=0.0, usual=0.001), outages=Outages())
        limiter = AsyncLimiter(1000, 1)
        keep = Hearing(means, {}, {}).keep
        self.fetcher = Fetcher(
            "leeds", source, keep=keep, limiter=limiter, lane=self.lane, means=means
        )
        self.peer = _Peer()
        self.outbox = outbox
        self.means = means
        self.products = Products("leeds", self.peer, self.fetcher, means)

    def restarted(self) -> Products:
        """Give what a new process would have."""
        return Products("leeds", self.peer, self.fetcher, self.means)

    async def known(self) -> list[str]:
        return sorted(await self.outbox.products.known("leeds"))


@asynccontextmanager
async def _at(path: Path, clock: Clock) -> AsyncIterator[_Here]:
    async with open_outbox(path, connect=InLoopConnection) as outbox:
        yield _Here(outbox, clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def here(tmp_path: Path, clock: FakeClock) -> AsyncIterator[_Here]:
    async with AsyncExitStack() as stack:
        outbox = await stack.enter_async_context(open_outbox(tmp_path / "outbox.db"))
        yield _Here(outbox, clock)


def _of(*products: str | None) -> Booking:
    return booking(*(item(product=one) for one in products))


async def test_they_are_read_at_once_and_then_as_often_as_configured(
    here: _Here, clock: FakeClock
) -> None:
    """Not at each start either: each call counts."""
    assert await here.products.once() == _HOUR
    assert await here.known() == ["1"]
    clock.advance(1000)
    assert await here.products.once() == _HOUR - 1000
    assert await here.restarted().once() == _HOUR - 1000
    clock.advance(_HOUR - 1000)
    assert await here.products.once() == _HOUR
    assert here.peer.asked == 2


async def test_a_clock_that_was_set_back_does_not_put_it_off(here: _Here, clock: FakeClock) -> None:
    """It would else wait for the hour at which it was once."""
    await here.products.once()
    clock.step(-10 * _HOUR)
    clock.advance(60)
    assert await here.products.once() == _HOUR
    assert here.peer.asked == 2


async def test_what_a_booking_names_unheard_of_is_read_before_it_goes(
    here: _Here, clock: FakeClock
) -> None:
    """The first booking of a new product is as good as the second."""
    await here.products.once()
    clock.advance(100)
    await here.products.know(_of("1", None))
    assert here.peer.asked == 1, "what is known needs nothing"
    here.peer.products.append(_SOCKS)
    await here.products.know(_of("1", "2"))
    assert await here.known() == ["1", "2"]


async def test_at_most_once_a_minute_and_never_twice_for_the_same(
    here: _Here, clock: FakeClock
) -> None:
    """A product that is archived is in old bookings for ever, and in no list."""
    await here.products.know(_of("98"))
    assert here.peer.asked == 1
    await here.products.know(_of("99"))
    clock.advance(59)
    await here.products.know(_of("99"))
    assert here.peer.asked == 1
    clock.advance(1)
    await here.products.know(_of("99"))
    assert here.peer.asked == 2
    clock.advance(3000)
    await here.products.know(_of("98", "99"))
    assert here.peer.asked == 2


async def test_many_bookings_at_once_ask_once(here: _Here) -> None:
    """Eight workers meet a new product at the same time."""
    here.peer.products.append(_SOCKS)
    await asyncio.gather(*(here.products.know(_of("2")) for _ in range(8)))
    assert here.peer.asked == 1


@pytest.mark.parametrize(
    "failure",
    [
        Reject("ROLLER answered 403 to /products"),
        Retry("ROLLER answered 500 to /products"),
        Unreachable("no connection"),
        Throttled("429", after=60.0),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_failure_is_told_and_holds_no_booking_up(here: _Here, failure: Failure) -> None:
    """It goes without the name, as it would if products were off."""
    here.peer.failure = failure
    await here.products.know(_of("2"))
    here.log.flush()
    assert failure.reason in here.lines.getvalue()
    states = {"Unreachable": "down", "Throttled": "throttled"}
    assert str(here.lane.state) == states.get(type(failure).__name__, "up")


async def test_a_refusal_is_not_repeated_before_the_hour(here: _Here, clock: FakeClock) -> None:
    """A key that lacks the permission lacks it in five minutes, and the call is counted."""
    here.peer.failure = Reject("ROLLER answered 403 to /products")
    assert await here.products.once() == _HOUR
    here.peer.failure = Retry("ROLLER answered 503 to /products")
    clock.advance(60)
    with pytest.raises(Retry):
        await here.products.once()


async def test_a_429_pauses_the_whole_source(here: _Here, clock: FakeClock) -> None:
    """ROLLER's penalty is on the credentials, whatever was asked."""
    here.peer.failure = Throttled("ROLLER answered 429 to /products", after=90.0)
    with pytest.raises(Throttled):
        await here.products.once()
    assert here.lane.state is LaneState.THROTTLED
    assert here.lane.breaker.wait() >= 90.0
    assert await here.products.once() >= 90.0
    await here.products.know(_of("2"))
    assert here.peer.asked == 1
    clock.advance(89)
    with pytest.raises(Throttled):
        await here.fetcher.venue()


async def test_nothing_is_asked_of_a_source_in_trouble(here: _Here) -> None:
    """The next event finds out whether it is back."""
    here.lane.lane_failed(Unreachable("no connection"))
    assert await here.products.once() > 0
    await here.products.know(_of("2"))
    assert here.peer.asked == 0


def test_a_booking_waits_some_seconds_at_most(tmp_path: Path) -> None:
    """A list that takes its time must not stop a venue's bookings."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with _at(tmp_path / "outbox.db", VirtualClock(loop.time)) as here:
            here.peer.answer = asyncio.Event().wait
            begun = loop.time()
            await asyncio.gather(*(here.products.know(_of("2")) for _ in range(8)))
            return loop.time() - begun

    assert 9.0 < simulate(main()) < 12.0
