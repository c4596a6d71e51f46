"""What leaves for a peer, and on which connection."""

from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from pipeline.plugin import Call
from pipeline.tokens import Tokens
from pipeline.wire import PeerSession, client
from tests.fakes import FakeClock


async def _port(request: web.Request) -> web.Response:
    """Tell which connection it came on, and whether that is to be closed."""
    assert request.transport
    [_, port, *_] = request.transport.get_extra_info("peername")
    return web.Response(text=f"{port} {request.headers.get('Connection')} {request.keep_alive}")


async def test_what_must_not_be_sent_twice_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """A kept one may be closed by the peer just as the request leaves on it."""
    app = web.Application()
    app.router.add_post("/", _port)
    async with TestServer(app) as server, client() as http:
        session = PeerSession("peer", http, Tokens(tmp_path / "tokens", FakeClock()), "c")
        said = [
            (await session.call(Call(method="POST", url=str(server.make_url("/")), once=once))).body
            for once in (False, False, True, True, False)
        ]
    kept, again, first, second, last = (one.decode().split(" ") for one in said)
    assert kept == again == last, "the others share one"
    assert len({kept[0], first[0], second[0]}) == 3
    assert first[1:] == ["close", "False"]
