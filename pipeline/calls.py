"""Counts requests that another process of ours has sent to a source: a command of the user."""

from typing import Annotated

import msgspec
import orjson
from aiohttp import web
from msgspec import Meta, Struct

from pipeline.api import refuse
from pipeline.notebook import Notebook


class Calls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many requests a command has sent."""

    n: Annotated[int, Meta(ge=1, le=100_000)]


def add_routes(app: web.Application, notebook: Notebook) -> None:
    """Add the route by which a command tells a running daemon."""

    async def count(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            calls = msgspec.json.decode(await request.read(), type=Calls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise refuse(400, f"the body is not as it should be: {exc}") from exc
        if not notebook.called(name, calls.n):
            raise refuse(404, f"there is no source {name}")
        return web.Response(
            body=orjson.dumps({"counted": calls.n}), content_type="application/json"
        )

    app.router.add_post("/api/sources/{name}/calls", count)
