"""A relay in front of a simulated API that notes what passes, bodies included."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

from tests.e2e.world import free_address


class Passed(Struct, frozen=True, kw_only=True):
    """One request that went through."""

    method: str
    path: str
    body: Any


@asynccontextmanager
async def relay(upstream: str, passed: list[Passed]) -> AsyncIterator[str]:
    """Serve at the address given, and hand everything on to `upstream`."""
    async with aiohttp.ClientSession() as http:

        async def handle(request: web.BaseRequest) -> web.Response:
            body = await request.read()
            passed.append(
                Passed(method=request.method, path=request.path, body=msgspec.json.decode(body))
            )
            wanted = {n: v for n, v in request.headers.items() if n in {"Authorization", "Accept"}}
            headers = wanted | {"Content-Type": request.content_type}
            async with http.request(
                request.method, upstream + request.path, data=body, headers=headers
            ) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    content_type=answer.content_type,
                )

        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        try:
            host, _, port = free_address().rpartition(":")
            await web.TCPSite(runner, host, int(port)).start()
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()
