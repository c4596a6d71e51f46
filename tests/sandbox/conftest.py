"""Simulated APIs on real sockets for one test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from pipeline.sandbox.roller import roller_app
from pipeline.sandbox.serve import serve
from pipeline.sandbox.stampede import stampede_app
from tests.sandbox.support import (
    Api,
    Receiver,
    everything,
    roller_settings,
    roller_token,
    stampede_token,
)

Start = Callable[[web.Application], Awaitable[Api]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an application and returns a client of it."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def started(app: web.Application) -> Api:
            return Api(session, await stack.enter_async_context(serve(app)))

        yield started


@pytest.fixture
async def stampede(start: Start) -> Api:
    """A simulated Stampede, with a token."""
    api = await start(stampede_app())
    await stampede_token(api)
    return api


@pytest.fixture
async def receiver(start: Start) -> Receiver:
    """Where the webhooks go."""
    receiver = Receiver()
    receiver.url = (await start(receiver.app())).url + "/webhooks/test"
    return receiver


@pytest.fixture
async def busy(start: Start, receiver: Receiver) -> Api:
    """A simulated ROLLER whose one subscription is to every event, with a token."""
    settings = roller_settings(receiver, webhooks=(everything(receiver),))
    api = await start(roller_app(settings))
    await roller_token(api)
    return api


@pytest.fixture
async def roller(start: Start, receiver: Receiver) -> Api:
    """A simulated ROLLER, with a token."""
    api = await start(roller_app(roller_settings(receiver)))
    await roller_token(api)
    return api
