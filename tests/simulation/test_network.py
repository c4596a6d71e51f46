"""What becomes of a request on its way to a simulated peer."""

import asyncio
import random

import pytest

from pipeline.errors import NoAnswer, Unreachable
from pipeline.plugin import Call, Reply
from pipeline.simulation.loop import simulate
from pipeline.simulation.network import Latency, Lost, Network, Outages
from pipeline.wire import recorded_by

_CALL = Call(method="PUT", url="http://peer.example/v1/guests/1/tags?x=1")


class Peer:
    """Answers 200, or as it is told, and keeps when it was asked."""

    def __init__(self, *, loses: int = 0) -> None:
        self.asked_at: list[float] = []
        self._loses = loses

    async def take(self, _: Call) -> Reply:
        self.asked_at.append(asyncio.get_running_loop().time())
        if len(self.asked_at) <= self._loses:
            raise Lost
        return Reply(status=200, body=b"{}")


class Noted:
    """A recorder that lets one request leave, as an attempt does."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.statuses: list[int] = []

    async def leaving(self, method: str, path: str) -> None:
        if self.left:
            raise NoAnswer("a second one")
        self.left.append(f"{method} {path}")

    def answered(self, status: int) -> None:
        self.statuses.append(status)


def _network(peer: Peer, took: float = 2.0, *, outage: bool = False) -> Network:
    spans = ((0.0, 100.0),) if outage else ()
    latency = Latency(least=took, usual=took)
    return Network(peer.take, random.Random(1), latency=latency, outages=Outages(spans=spans))


def test_a_request_is_recorded_before_it_leaves_and_counted_on_its_way() -> None:
    """The peer counts it some time between the two moments that we know of."""
    peer, noted = Peer(), Noted()

    async def main() -> float:
        with recorded_by(noted):
            assert (await _network(peer).send(_CALL)).status == 200
        return asyncio.get_running_loop().time()

    assert simulate(main()) == pytest.approx(2.0, abs=0.01)
    assert (noted.left, noted.statuses) == (["PUT /v1/guests/1/tags"], [200])
    assert 0.0 < peer.asked_at[0] < 2.0


def test_a_request_arrives_although_its_sender_has_gone() -> None:
    """A crash takes no request back, and the peer counts it."""
    peer = Peer()

    async def main() -> None:
        sending = asyncio.create_task(_network(peer).send(_CALL))
        await asyncio.sleep(0.001)
        sending.cancel()
        await asyncio.sleep(5.0)

    simulate(main())
    assert len(peer.asked_at) == 1


def test_a_broken_put_is_sent_again_by_whom_nobody_watches_and_else_never() -> None:
    """Aiohttp would, by itself; whoever keeps a limit must know of it."""
    peer, noted = Peer(loses=1), Noted()

    async def main() -> None:
        with pytest.raises(NoAnswer, match="a second one"), recorded_by(noted):
            _ = await _network(peer).send(_CALL)

    simulate(main())
    assert len(peer.asked_at) == 1


def test_an_answer_that_takes_too_long_is_none() -> None:
    """The real client waits for 30 s."""

    async def main() -> float:
        with pytest.raises(NoAnswer, match="within 30 s"):
            _ = await _network(Peer(), took=500.0).send(_CALL)
        return asyncio.get_running_loop().time()

    assert simulate(main()) == pytest.approx(30.0, abs=0.01)


def test_in_an_outage_nothing_arrives() -> None:
    """And who asks is told that no connection came about."""
    peer = Peer()

    async def main() -> None:
        with pytest.raises(Unreachable):
            _ = await _network(peer, outage=True).send(_CALL)

    simulate(main())
    assert peer.asked_at == []
