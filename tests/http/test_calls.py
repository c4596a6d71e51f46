"""The route by which a command tells a running daemon of its requests to a source."""

import io

import aiohttp
import pytest
from aiohttp import web

from pipeline.calls import add_routes
from pipeline.log import Log
from pipeline.notebook import Notebook
from pipeline.outbox.sqlite import SqliteOutbox
from pipeline.sandbox.serve import serve
from pipeline.status import calls_this_month
from tests.fakes import NOON, FakeClock
from tests.outbox.conftest import outbox, path

__all__ = ["outbox", "path"]


@pytest.mark.parametrize(
    ("source", "body", "status", "counted"),
    [
        ("leeds", b'{"n": 7}', 200, 7),
        ("york", b'{"n": 7}', 404, 0),
        ("leeds", b'{"n": 0}', 400, 0),
        ("leeds", b'{"n": -7}', 400, 0),
        ("leeds", b'{"n": 100001}', 400, 0),
        ("leeds", b'{"n": "7"}', 400, 0),
        ("leeds", b'{"n": 7, "m": 1}', 400, 0),
        ("leeds", b"", 400, 0),
        ("leeds", b"\xff", 400, 0),
    ],
)
async def test_what_a_command_has_sent_is_counted_with_the_rest(
    outbox: SqliteOutbox, source: str, body: bytes, status: int, counted: int
) -> None:
    """ROLLER makes no difference, and nonsense must not spoil the count of a month."""
    clock = FakeClock()
    log = Log(clock, level="error", style="json", sink=io.StringIO())
    notebook = Notebook({}, {"leeds": None}, outbox.noted, clock, log)
    app = web.Application()
    add_routes(app, notebook)
    async with serve(app) as base, aiohttp.ClientSession() as session:
        url = f"{base}/api/sources/{source}/calls"
        async with session.post(url, data=body) as response:
            assert response.status == status
            assert ("error" in await response.json()) == (status != 200)
    assert calls_this_month(await notebook.read(), "leeds", now=NOON) == counted
