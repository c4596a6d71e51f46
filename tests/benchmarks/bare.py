"""The server that the daemon is compared with: it reads the body, stores nothing, says 200.

A process of its own, with asyncio's loop as the daemon has; it prints its port when it listens.
"""

import asyncio
import signal
import sys

from aiohttp import web


async def _handle(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_post("/webhooks/{source}", _handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
