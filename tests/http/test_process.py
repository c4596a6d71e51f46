"""The listeners of a daemon that is a process of its own."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from pipeline.client import fetch_status
from pipeline.config import load
from tests.http.support import CONFIG, Peer, message, rows, webhook
from tests.waiting import LONG, until

#: What systemd does: the socket is file descriptor 3, and LISTEN_PID says whom it is for.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""

#: Far longer than a stop takes here, and far shorter than anybody here would wait by himself.
_GRACE = 20.0


@asynccontextmanager
async def _daemon(
    folder: Path, text: str, *, command: Sequence[str] = (), pass_fds: Sequence[int] = ()
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """Run `pipeline run` until the end of the block; tells the addresses it listens at."""
    config = folder / "config.toml"
    config.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *command,
        *(sys.executable, "-m", "pipeline", "run", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
    )
    try:
        yield process, await _addresses(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _addresses(process: asyncio.subprocess.Process) -> dict[str, str]:
    found: dict[str, str] = {}
    assert process.stderr is not None
    async with asyncio.timeout(LONG):
        while len(found) < 2:
            line = await process.stderr.readline()
            assert line, "the daemon has ended"
            if line.startswith(b"{"):
                said = msgspec.json.decode(line)
                if said["message"] == "listening":
                    found[said["what"]] = said["address"]
    return found


def _peer(address: str) -> Peer:
    return Peer(int(address.rpartition(":")[2]))


async def _stop(process: asyncio.subprocess.Process) -> tuple[int, float]:
    """Stop the daemon as systemd does; tell its exit code, and how long it took."""
    begun = time.monotonic()
    process.terminate()
    async with asyncio.timeout(LONG):
        code = await process.wait()
    return code, time.monotonic() - begun


async def test_no_connection_holds_up_the_stop(tmp_path: Path) -> None:
    """A deploy must not wait for a proxy's idle connections, or for whoever sends half a body."""
    text = CONFIG.replace("[outbox]", f'shutdown_grace = "{_GRACE:g}s"\n[outbox]')
    async with _daemon(tmp_path, text) as (process, addresses):
        webhooks, admin = _peer(addresses["webhooks"]), _peer(addresses["admin"])
        health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        used = await webhooks.connect()
        used[1].write(webhook(close=False))
        assert (await used[0].readline()).startswith(b"HTTP/1.1 200 ")
        looked = await admin.connect()
        looked[1].write(health)
        assert (await looked[0].readline()).startswith(b"HTTP/1.1 200 ")
        open_ = [used, looked, *[await peer.connect() for peer in (webhooks, admin)]]
        for peer, part in (
            (webhooks, b"POST /webh"),
            (webhooks, webhook(message("half"), close=False)[:-9]),
            (webhooks, webhook(b"", b"Content-Length: 99", length=False, key=b"wrong")),
            (admin, health[:20]),
        ):
            connection = await peer.connect()
            connection[1].write(part)
            open_.append(connection)
        assert await webhooks.first(health) == 200

        code, took = await _stop(process)

        assert code == 0
        assert took < _GRACE
        for _, writer in open_:
            writer.close()
    assert [row.key for row in rows(tmp_path / "outbox.db")] == ["m-1"]


async def test_a_socket_handed_over_by_systemd_is_used(tmp_path: Path) -> None:
    """Held by systemd, the port stays open during a restart, and no webhook finds nobody there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        handed = (sys.executable, "-c", _HAND_OVER, str(held.fileno()))
        fds = [held.fileno()]
        async with _daemon(tmp_path, CONFIG, command=handed, pass_fds=fds) as (process, addresses):
            port = held.getsockname()[1]
            assert addresses["webhooks"] == f"127.0.0.1:{port}"
            assert await Peer(port).first(webhook()) == 200
            assert (await _stop(process))[0] == 0

    assert [row.key for row in rows(tmp_path / "outbox.db")] == ["m-1"]


async def test_both_listeners_may_be_unix_sockets(tmp_path: Path) -> None:
    """A proxy on the same machine then needs no port, and file permissions say who may connect."""
    text = CONFIG.replace('listen = "127.0.0.1:0"', 'listen = "unix:hooks"')
    text = text.replace('admin = "127.0.0.1:0"', 'admin = "unix:admin"')
    with socket.socket(socket.AF_UNIX) as stale:  # left behind by a predecessor that was killed
        stale.bind(str(tmp_path / "hooks"))

    async with _daemon(tmp_path, text) as (process, _):
        assert await Peer(tmp_path / "hooks").first(webhook()) == 200
        server = load(tmp_path / "config.toml").server

        async def is_counted() -> bool:
            found = await fetch_status(server)
            return found is not None and found.events["accepted"] == 1

        await until(is_counted)
        assert (await _stop(process))[0] == 0
