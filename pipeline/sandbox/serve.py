"""Runs simulated APIs on real sockets."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from aiohttp import web

from pipeline.sandbox.roller import roller_app
from pipeline.sandbox.settings import SandboxSettings
from pipeline.sandbox.stampede import stampede_app

LOOPBACK = "127.0.0.1"
_HIGHEST_PORT = 65_535


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens."""

    host: str = LOOPBACK
    #: 0 takes a free one
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Reads HOST:PORT; raises ValueError with a sentence."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
            raise ValueError(f"{text} is not an address; write HOST:PORT")
        return cls(host=host.strip("[]"), port=int(port))


FREE = Address()


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """The base URLs of the running simulated APIs."""

    roller: str
    stampede: str


@asynccontextmanager
async def serve(app: web.Application, address: Address = FREE) -> AsyncIterator[str]:
    """The base URL of `app` while it runs; raises OSError when the address is not to be had.

    A client that hangs up cancels its handler, so that a request that is never to be answered
    leaves nothing behind.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    try:
        await runner.setup()
        await web.TCPSite(runner, address.host, address.port).start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def run_sandbox(
    settings: SandboxSettings,
    *,
    roller: Address = FREE,
    stampede: Address = FREE,
) -> AsyncIterator[Sandbox]:
    """All simulated APIs while they run."""
    async with AsyncExitStack() as stack:
        yield Sandbox(
            roller=await stack.enter_async_context(serve(roller_app(settings.roller), roller)),
            stampede=await stack.enter_async_context(
                serve(stampede_app(settings.stampede), stampede)
            ),
        )
