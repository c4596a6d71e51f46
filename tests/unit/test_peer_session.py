"""What leaves for a peer, and on which connection."""

from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipeline.errors import Unreachable
from pipeline.metrics import Meters
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


async def _dropped(request: web.Request) -> web.Response:
    """Close the connection in place of the first answer to each path, and answer the next."""
    seen: set[str] = request.app[_SEEN]
    if request.path not in seen:
        seen.add(request.path)
        assert request.transport
        request.transport.abort()
    return web.Response()


_SEEN = web.AppKey("seen", set[str])


async def test_what_has_left_is_counted_and_what_nobody_got_is_not(tmp_path: Path) -> None:
    """ROLLER counts a repetition of aiohttp's own too, and knows of no connection that failed."""
    app = web.Application()
    app[_SEEN] = set()
    app.router.add_get("/{path}", _dropped)
    meters, sent = Meters(), Counter[str]()
    meters.sent = lambda peer: sent.update([peer])
    tokens = Tokens(tmp_path / "tokens", FakeClock())
    async with client() as http:
        session = PeerSession("roller.leeds", http, tokens, "c", meters)
        async with TestServer(app) as server:
            url = str(server.make_url("/one"))
            await session.call(Call(method="GET", url=url, once=True))
            assert sent == {"roller.leeds": 2}
            await session.call(Call(method="GET", url=url, once=True))
            assert sent == {"roller.leeds": 3}
        with pytest.raises(Unreachable):
            await session.call(Call(method="GET", url=url, once=True))
    assert sent == {"roller.leeds": 3}


async def test_of_an_answer_as_much_is_read_as_the_call_allows(tmp_path: Path) -> None:
    """A list of all products is longer than anything else, and a flood must end somewhere."""

    async def long(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 3_000_000)

    app = web.Application()
    app.router.add_get("/", long)
    async with TestServer(app) as server, client() as http:
        session = PeerSession("peer", http, Tokens(tmp_path / "tokens", FakeClock()), "c")
        url = str(server.make_url("/"))
        short = await session.call(Call(method="GET", url=url))
        whole = await session.call(Call(method="GET", url=url, longest=4_000_000))
    assert (len(short.body), len(whole.body)) == (1_048_576, 3_000_000)
