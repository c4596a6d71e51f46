"""A listener with a real outbox behind it, and a client that sends any bytes."""

import asyncio
import io
import re
import socket
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from pipeline.admin import admin_app
from pipeline.assembly import Assembly, PeersOnTheWire
from pipeline.budget import Budget
from pipeline.config import load
from pipeline.desk import Desk
from pipeline.gather import Gatherer
from pipeline.gauges import Gauges
from pipeline.listener import WebhookServer, start_site
from pipeline.log import Log
from pipeline.means import Means
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.receive import Door, Receiver
from pipeline.report import Reporter
from pipeline.settings import Address
from pipeline.status import Status
from pipeline.tokens import Tokens
from pipeline.wire import client
from tests.fakes import FakeClock
from tests.outboxes import place_outbox
from tests.waiting import LONG

#: Seconds to wait for an answer or the end of a connection: less than a body is waited for, so
#: that what comes has not come of that.
_CLOSED = LONG / 3

KEY = "the-key-of-the-test"
NEXT_KEY = "the-key-after-rotation"
TOKEN = "the-admin-token"

#: The smallest that a configuration may have, so that a body over it is soon sent.
MAX_BODY = 16_384

CONFIG = f"""
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
admin_token = "{TOKEN}"
admin_hosts = ["Pipeline.example.com"]
max_body = {MAX_BODY}
[outbox]
path = "outbox.db"
[sources.leeds]
type = "roller"
base_url = "http://127.0.0.1:1"
client_id = "nobody"
client_secret = "none"
webhook_key = ["{KEY}", "{NEXT_KEY}"]
timezone = "Europe/London"
currency = "GBP"
country = "GB"
[destinations.stampede]
type = "stampede"
base_url = "http://127.0.0.1:1"
client_id = "nobody"
client_secret = "none"
venues = {{ leeds = "A1B2C3D4E5F6" }}
"""

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})[ \r]")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the outbox has it."""

    key: str
    state: str
    reason: str | None
    kind: str
    origin: str
    booking: str | None
    duplicates: int
    body: bytes


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What came back on a connection."""

    raw: bytes
    #: The server closed the connection, rather than that we stopped waiting.
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """The answers' statuses, interim ones included."""
        return [int(found) for found in _STATUS.findall(self.raw)]

    def header(self, name: str) -> str | None:
        """A header of the only answer."""
        found = re.search(rf"^{name}: (.*?)\r$".encode(), self.raw, re.MULTILINE | re.IGNORECASE)
        return found and found[1].decode()


class Peer:
    """Something that listens, by TCP or at a Unix socket's path."""

    def __init__(self, where: int | Path) -> None:
        self.where = where

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.where, Path):
            return await asyncio.open_unix_connection(self.where)
        return await asyncio.open_connection("127.0.0.1", self.where)

    async def send(self, *parts: bytes, timeout: float = _CLOSED) -> Answers:
        """Send bytes, each part as a packet of its own, and read until the connection ends.

        Waits at most `timeout` seconds for that; the servers close after most of what is sent here.
        """
        reader, writer = await self.connect()
        try:
            for part in parts:
                writer.write(part)
                await _ignoring_resets(writer.drain())
                await asyncio.sleep(0)
            return await _all(reader, timeout)
        finally:
            writer.close()
            await _ignoring_resets(writer.wait_closed())

    async def first(self, *parts: bytes, timeout: float = _CLOSED) -> int:
        """Send bytes and give the first answer's status, whatever the connection does then."""
        reader, writer = await self.connect()
        try:
            writer.write(b"".join(parts))
            async with asyncio.timeout(timeout):
                line = await reader.readline()
            return int(line.split()[1])
        finally:
            writer.close()


class Here:
    """The webhook listener and the admin listener of one outbox, with no stage working behind."""

    def __init__(
        self,
        folder: Path,
        outbox: SqliteOutbox,
        reporter: Reporter,
        door: Door,
        receiver: Receiver,
        clock: FakeClock,
        log: Log,
        lines: io.StringIO,
    ) -> None:
        self.folder = folder
        self.outbox = outbox
        self.reporter = reporter
        self.door = door
        self.receiver = receiver
        self.clock = clock
        self._log = log
        self._lines = lines
        self.webhooks = Peer(0)
        self.admin = Peer(0)
        self.runner: web.BaseRunner
        self.budget: Budget

    async def send(self, *parts: bytes, timeout: float = _CLOSED) -> Answers:
        """Send bytes to the webhook listener."""
        return await self.webhooks.send(*parts, timeout=timeout)

    async def status(self) -> Status:
        return await self.reporter.status()

    def rows(self) -> list[Row]:
        """What is in the outbox's file."""
        return rows(self.folder / "outbox.db")

    def log(self) -> list[dict[str, Any]]:
        """The lines logged so far."""
        self._log.flush()
        return [msgspec.json.decode(line) for line in self._lines.getvalue().splitlines()]


@asynccontextmanager
async def listening(folder: Path, *, body_timeout: float = LONG) -> AsyncIterator[Here]:
    """Run both listeners on free ports, in front of a real outbox in `folder`."""
    config_file = folder / "config.toml"
    config_file.write_text(CONFIG)
    config = load(config_file)
    clock, lines = FakeClock(), io.StringIO()
    log = Log(clock, level="info", style="json", sink=lines)
    async with AsyncExitStack() as stack:
        outbox = await stack.enter_async_context(open_outbox(place_outbox(config.outbox.path)))
        http = await stack.enter_async_context(client())
        tokens = Tokens(folder / "tokens", clock)
        peers = PeersOnTheWire(http, tokens)
        stages = Assembly(config, outbox, peers, clock, log).stages()
        means = Means(outbox=outbox, gatherer=Gatherer(outbox, {}), clock=clock, log=log)
        receiver = Receiver(
            stages.doors, means, max_body=config.server.max_body, body_timeout=body_timeout
        )
        reporter = Reporter(config, outbox, stages, clock)
        here = Here(folder, outbox, reporter, stages.doors["leeds"], receiver, clock, log, lines)
        here.budget = stages.deliverers["stampede"].budget
        here.runner = web.ServerRunner(
            WebhookServer(receiver.handle, log, plain=receiver.plain), shutdown_timeout=0.2
        )
        here.webhooks = await _start(stack, here.runner)
        desk = Desk(outbox.records, outbox.repair, clock, stages.wake)
        gauges = Gauges(outbox, stages, means.meters, clock)
        app = admin_app(config.server, reporter, desk, gauges)
        here.admin = await _start(stack, web.AppRunner(app, access_log=None, shutdown_timeout=0.1))
        yield here


def message(key: str = "m-1", booking: str = "b-1") -> bytes:
    """A booking message, as short as one can be."""
    return b'{"id":"%s","type":1,"eventType":1,"data":{"booking":{"uniqueId":"%s"}}}' % (
        key.encode(),
        booking.encode(),
    )


def webhook(
    body: bytes | None = None,
    *extra: bytes,
    method: bytes = b"POST",
    target: bytes = b"/webhooks/leeds",
    version: bytes = b"HTTP/1.1",
    key: bytes | None = KEY.encode(),
    host: Sequence[bytes] = (b"Host: hooks.example.com",),
    length: bool = True,
    close: bool = True,
) -> bytes:
    """A request as bytes: a good one, unless an argument makes it something else."""
    sent = message() if body is None else body
    lines = [b"%s %s %s" % (method, target, version), *host]
    if key is not None:
        lines.append(b"x-roller-apikey: " + key)
    if length:
        lines.append(b"Content-Length: %d" % len(sent))
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join([*lines, *extra, b"", b""]) + sent


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A body in the chunked coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def rows(outbox: Path) -> list[Row]:
    """The events in an outbox's file, read as any SQLite tool would."""
    connection = sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)
    try:
        names = ", ".join(Row.__struct_fields__)
        found = connection.execute(f"SELECT {names} FROM event ORDER BY id").fetchall()
    finally:
        connection.close()
    return [Row(**dict(zip(Row.__struct_fields__, row, strict=True))) for row in found]


def free_port() -> int:
    """A loopback port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _start(stack: AsyncExitStack, runner: web.BaseRunner) -> Peer:
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    address = await start_site(runner, Address(host="127.0.0.1", port=0))
    return Peer(int(address.rpartition(":")[2]))


async def _all(reader: asyncio.StreamReader, timeout: float) -> Answers:
    raw = b""
    try:
        async with asyncio.timeout(timeout):
            while part := await reader.read(65_536):
                raw += part
    except TimeoutError:
        return Answers(raw=raw, closed=False)
    except ConnectionError:  # a reset: what we were still sending was not read
        return Answers(raw=raw, closed=True)
    return Answers(raw=raw, closed=True)


async def _ignoring_resets(done: Any) -> None:
    try:
        await done
    except ConnectionError:
        return
