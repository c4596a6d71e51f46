"""The way to a simulated peer: no sockets, but the time that they would take."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from pipeline.errors import NoAnswer, Unreachable
from pipeline.plugin import Call, Reply
from pipeline.tokens import Tokens
from pipeline.wire import TIMEOUT, current_recorder

#: What aiohttp sends a second time when the connection breaks before the answer (RFC 9110 §9.2.2).
_IDEMPOTENT = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}


class Lost(Exception):
    """The peer breaks the connection in place of an answer."""


class Latency(Struct, frozen=True, kw_only=True):
    """How long a request and its answer take together, in seconds."""

    least: float = 0.05
    usual: float = 0.25
    #: The share of requests that take up to `slow` seconds.
    slow_share: float = 0.0
    slow: float = 0.0

    def draw(self, dice: random.Random) -> float:
        """Draw one."""
        if self.slow_share and dice.random() < self.slow_share:
            return dice.uniform(self.usual, self.slow)
        return dice.uniform(self.least, self.usual)


class Outages(Struct, frozen=True, kw_only=True):
    """When a peer cannot be reached, in seconds of the simulation."""

    #: From and until.
    spans: tuple[tuple[float, float], ...] = ()

    def at(self, moment: float) -> bool:
        """Tell whether there is one."""
        return any(begins <= moment < ends for begins, ends in self.spans)


class Network:
    """Carries requests to one peer; one that has left arrives, whatever becomes of who sent it.

    It arrives at a random point of its latency, which is when a peer counts it.
    """

    def __init__(
        self,
        peer: Callable[[Call], Awaitable[Reply]],
        dice: random.Random,
        *,
        latency: Latency,
        outages: Outages,
    ) -> None:
        self.latency = latency
        self.outages = outages
        self._peer = peer
        self._dice = dice
        self._under_way: set[asyncio.Task[None]] = set()

    async def send(self, call: Call) -> Reply:
        """Send and wait for the answer; Unreachable, NoAnswer as from the wire."""
        path = urlsplit(call.url).path
        recorder = current_recorder()
        if recorder is not None:
            await recorder.leaving(call.method, path)
        try:
            reply = await self._exchange(call)
        except Lost as exc:
            if recorder is not None and call.method in _IDEMPOTENT:
                await recorder.leaving(call.method, path)
            msg = "the connection broke before the answer"
            raise NoAnswer(msg) from exc
        if recorder is not None:
            recorder.answered(reply.status)
        return reply

    async def _exchange(self, call: Call) -> Reply:
        loop = asyncio.get_running_loop()
        took = self.latency.draw(self._dice)
        there = took * self._dice.random()
        if self.outages.at(loop.time()):
            await asyncio.sleep(there)
            msg = "no connection: simulated outage"
            raise Unreachable(msg)
        answer: asyncio.Future[Reply] = loop.create_future()
        self._start(self._carry(call, there, took - there, answer))
        try:
            async with asyncio.timeout(TIMEOUT):
                return await answer
        except TimeoutError as exc:
            msg = f"no answer within {TIMEOUT:.0f} s"
            raise NoAnswer(msg) from exc

    async def _carry(
        self, call: Call, there: float, back: float, answer: asyncio.Future[Reply]
    ) -> None:
        await asyncio.sleep(min(there, TIMEOUT))
        try:
            reply = await self._peer(call)
        except Lost as exc:
            if not answer.done():
                answer.set_exception(exc)
            return
        await asyncio.sleep(back)
        if not answer.done():
            answer.set_result(reply)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """What has left is nobody's to cancel but the simulation's."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


class SimulatedSession:
    """A plug-in's way to a simulated peer; tokens are kept as in reality."""

    def __init__(self, name: str, network: Network, tokens: Tokens) -> None:
        self._name = name
        self._network = network
        self._tokens = tokens

    async def call(self, call: Call) -> Reply:
        """Send and read the answer, whatever its status."""
        return await self._network.send(call)

    def token(self) -> str | None:
        """Give the kept access token."""
        return self._tokens.get(self._name, self._name)

    def keep_token(self, token: str, *, lifetime: float) -> None:
        """Keep a token for `lifetime` seconds."""
        self._tokens.keep(self._name, self._name, token, lifetime=lifetime)

    def drop_token(self, token: str) -> bool:
        """Forget this token; False when it was not the one kept."""
        return self._tokens.drop(self._name, token)
