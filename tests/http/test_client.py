"""The command line's way to the daemon: what it takes for an answer, and what it makes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pipeline.client import fetch_status
from pipeline.config import Server
from pipeline.errors import PipelineError
from pipeline.settings import Address, Secret
from tests.http.support import TOKEN, Here, free_port


def _server(port: int, token: str = TOKEN) -> Server:
    return Server(admin=Address(host="127.0.0.1", port=port), admin_token=Secret(token))


@asynccontextmanager
async def _stranger(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Something that is no pipeline: it says the same to everything, and notes what was asked."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def _http(status: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


async def test_a_running_daemon_tells_its_status(here: Here) -> None:
    """What `pipeline status` shows is what the daemon itself counts."""
    assert isinstance(here.admin.where, int)
    found = await fetch_status(_server(here.admin.where))

    assert found is not None
    assert found == await here.status()


async def test_another_token_is_an_error_that_names_it(here: Here) -> None:
    """Whoever changed the token and did not restart must learn that, and not "not running"."""
    assert isinstance(here.admin.where, int)

    with pytest.raises(PipelineError, match=r"refuses server\.admin_token"):
        await fetch_status(_server(here.admin.where, token="another"))


async def test_nobody_is_no_daemon() -> None:
    """Then the outbox's file is read instead."""
    assert await fetch_status(_server(free_port())) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="hangs-up"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="speaks-another-language"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", id="breaks-off"),
    ],
)
async def test_whoever_does_not_answer_is_no_daemon(answer: bytes) -> None:
    """It may be dying, or may never have been one."""
    async with _stranger(answer) as (port, _):
        assert await fetch_status(_server(port)) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_http(b"404 Not Found", b""), id="not-found"),
        pytest.param(_http(b"302 Found", b"", b"Location: http://127.0.0.1:1/"), id="elsewhere"),
        pytest.param(_http(b"200 OK", b"<html>"), id="html"),
        pytest.param(_http(b"200 OK", b"{}"), id="other-json"),
        pytest.param(_http(b"200 OK", b'{"version":"\xff"}'), id="not-utf8"),
        pytest.param(_http(b"200 OK", b'{"x":' + b"[" * 99_999), id="deep"),
    ],
)
async def test_a_stranger_at_the_address_is_an_error_that_names_it(answer: bytes) -> None:
    """A wrong port is the user's to put right, so the message says which."""
    async with _stranger(answer) as (port, _):
        with pytest.raises(PipelineError, match=f"127.0.0.1:{port}"):
            await fetch_status(_server(port))


async def test_the_daemon_is_asked_by_a_name_it_knows() -> None:
    """`admin = "some-host:8081"` must not need that name in admin_hosts as well."""
    async with _stranger(_http(b"404 Not Found", b"")) as (port, asked):
        with pytest.raises(PipelineError):
            await fetch_status(_server(port))

    assert b"\r\nHost: localhost\r\n" in asked[0]
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode() in asked[0]
