"""A daemon's surroundings: simulated APIs, a configuration, and ways to look at what happened."""

import asyncio
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from pipeline import daemon
from pipeline.client import fetch_status
from pipeline.config import Config, load
from pipeline.sandbox.configuration import render_config
from pipeline.sandbox.serve import Sandbox, run_sandbox, serve
from pipeline.sandbox.settings import SandboxSettings, default_settings
from pipeline.sandbox.stampede import stampede_app
from pipeline.status import Status
from tests.outboxes import place_outbox
from tests.waiting import until

KEY = "sandbox-webhook-key"

#: Waits of milliseconds in place of seconds; everything else as by default.
_QUICK = """
[retry]
first = "20ms"
max = "200ms"
"""

_OWED = """
SELECT 1 FROM events WHERE state IN ('waiting', 'processing')
UNION ALL
SELECT 1 FROM deliveries WHERE state IN ('waiting', 'sending')
LIMIT 1
"""

_STAMPEDE = 'type = "stampede"\n'
_ROLLER = 'type = "roller"\n'
#: A year's reports would take minutes under ROLLER's limit.
_BRIEF = 'waivers = "1d"\n'
_TRUSTING = 'first_contact = "trust"\n'


#: Below those that the system gives out by itself, a hundred at a time.
_HUNDREDS = range(20_000, 32_000, 100)
_TAKEN: list[socket.socket] = []


def _ports() -> Iterator[int]:
    """Give ports that no other test process gives, of this run or of another beside it.

    A hundred belongs to the process that has the UDP port of its first. One that merely looked
    whether anybody listens would find the port of a daemon that is about to be started free.
    """
    for first in _HUNDREDS:
        taken = socket.socket(type=socket.SOCK_DGRAM)
        try:
            taken.bind(("127.0.0.1", first))
        except OSError:
            taken.close()
            continue
        _TAKEN.append(taken)  # until this process ends
        yield from range(first, first + _HUNDREDS.step)


_PORTS = _ports()


def free_address() -> str:
    """Give a loopback address whose port nobody uses, and that is not given again."""
    for port in _PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return f"127.0.0.1:{port}"
    raise AssertionError


class World:
    """One sandbox, one configuration, one outbox."""

    def __init__(
        self, folder: Path, settings: SandboxSettings, sandbox: Sandbox, http: aiohttp.ClientSession
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.sandbox = sandbox
        self.http = http
        #: Further simulated Stampedes, by the names of their destinations.
        self.others: dict[str, str] = {}
        self.listen = settings.roller.webhooks[0].url.removeprefix("http://").split("/")[0]
        self.admin = free_address()
        self.path = folder / "config.toml"
        self._loaded: tuple[str, Config] | None = None
        text = render_config(settings, sandbox, listen=self.listen, admin=self.admin)
        # Where looking a guest up is what is tested, it says so: `checking`.
        text = text.replace(_ROLLER, _ROLLER + _BRIEF)
        self.write(text.replace(_STAMPEDE, _STAMPEDE + _TRUSTING) + _QUICK)

    @property
    def config(self) -> Config:
        """The configuration as it stands in the file."""
        text = self.path.read_text()
        if self._loaded is None or self._loaded[0] != text:
            self._loaded = (text, load(self.path))
        return self._loaded[1]

    @property
    def outbox(self) -> Path:
        """The outbox's file."""
        return self.folder / "outbox.db"

    def checking(self) -> None:
        """Have new guests looked up first, as by default."""
        self.replace(_TRUSTING, "")

    def write(self, text: str) -> None:
        """Write the configuration's file."""
        self.path.write_text(text)

    def replace(self, old: str, new: str) -> None:
        """Change the configuration's file."""
        text = self.path.read_text()
        assert old in text
        self.write(text.replace(old, new))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the daemon in this process; leaving stops it as SIGTERM does."""
        place_outbox(self.outbox)
        stop = asyncio.Event()
        task = asyncio.create_task(daemon.run(self.config, stop), name="daemon")
        try:
            await until(lambda: task.done() or self.listens())
            yield
        finally:
            stop.set()
            await task

    @asynccontextmanager
    async def another_stampede(self, name: str) -> AsyncIterator[None]:
        """Have a second organisation at Stampede told of the same venue."""
        async with serve(stampede_app(self.settings.stampede)) as url:
            text = self.path.read_text()
            begin = text.index("[destinations.stampede]")
            section = text[begin : text.index("[retry]")]
            self.others[name] = url
            there = section.replace("[destinations.stampede]", f"[destinations.{name}]")
            self.write(text + "\n" + there.replace(self.sandbox.stampede, url))
            yield

    def _url(self, peer: str) -> str:
        url = self.others.get(peer) or getattr(self.sandbox, peer)
        return f"{url}/_sandbox"

    def listens(self) -> bool:
        """Tell whether something accepts connections at the webhook address."""
        host, _, port = self.listen.rpartition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    async def status(self) -> Status:
        """Ask the daemon how it is doing."""
        status = await fetch_status(self.config.server)
        assert status is not None, "the daemon does not answer"
        return status

    async def settled(self) -> Status:
        """Wait until nothing waits any more, and give the daemon's own account of it."""
        # The rows say so for a tenth of what it costs to ask the daemon, ten times a test.
        await self._has_none(_OWED)
        return await self.status()

    async def heard(self) -> None:
        """Wait until every event has come to its end, whatever is still owed."""
        await self._has_none("SELECT 1 FROM events WHERE state IN ('waiting', 'processing')")

    async def everything_was_answered(self) -> bool:
        """Tell whether ROLLER has been answered 200 to every message, be it after repetitions."""
        messages = (await self.state("roller"))["messages"]
        return all(message["outcome"] == "delivered" for message in messages)

    async def play(self, **wanted: object) -> Any:
        """Have the simulated ROLLER make bookings and send their webhooks."""
        return await self.control("roller", "play", wanted)

    async def guest(self, **fields: object) -> int:
        """Make a guest at ROLLER, and give the customerId."""
        made = await self.control("roller", "guests", {"guest": fields})
        return int(made["customerId"])

    async def change(self, customer: int, **fields: object) -> None:
        """Change a guest at ROLLER, and send the webhook."""
        await self.control("roller", "guests", {"customerId": customer, "guest": fields})

    async def delete(self, customer: int) -> None:
        """Delete a guest at ROLLER, and send the webhook."""
        await self.control("roller", "guests", {"customerId": customer, "delete": True})

    async def sign(self, **order: object) -> Any:
        """Have an adult sign waivers at ROLLER, and send the webhooks."""
        return await self.control("roller", "waivers", order)

    async def waived(self, customer: int, **waiver: object) -> None:
        """Send the webhook of one waiver for a customer."""
        body = {"id": f"waiver {customer}", "type": 7, "eventType": 1}
        data = [{"signedWaiverId": 1, "guestId": customer, **waiver}]
        assert await self.post(msgspec.json.encode(body | {"data": data})) == 200

    async def redeem(self, booking: str, **order: object) -> Any:
        """Have tickets of a booking redeemed at ROLLER, and send the webhook."""
        return await self.control("roller", "redemptions", {"booking": booking, **order})

    async def book(self, **change: object) -> Any:
        """Make or change a booking at ROLLER and send its webhook."""
        return await self.control("roller", "bookings", change)

    async def control(self, peer: str, what: str, body: object) -> Any:
        """Use a simulated API's own control."""
        async with self.http.post(f"{self._url(peer)}/{what}", json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def clear_faults(self, peer: str) -> None:
        """Let a simulated API work again."""
        async with self.http.delete(f"{self._url(peer)}/faults") as response:
            assert response.status == 200

    async def state(self, peer: str) -> Any:
        """Give all that a simulated API holds."""
        async with self.http.get(f"{self._url(peer)}/state") as response:
            return await response.json()

    async def requests(self, peer: str) -> list[Any]:
        """Give the log of a simulated API, its own control left out."""
        async with self.http.get(f"{self._url(peer)}/requests") as response:
            found: list[Any] = await response.json()
        return found

    async def post(self, body: bytes, *, source: str = "leeds", key: str = KEY) -> int:
        """Send a webhook by hand, and give the answer's status."""
        url = f"http://{self.listen}/webhooks/{source}"
        async with self.http.post(url, data=body, headers={"x-roller-apikey": key}) as response:
            return response.status

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Look into the outbox as a user does: read-only."""
        with closing(self._opened()) as connection:
            return connection.execute(sql, parameters).fetchall()

    async def _has_none(self, sql: str) -> None:
        # Of a look that opens the file, reading what tables it has is nearly all of the work.
        with closing(self._opened()) as connection:
            await until(lambda: not connection.execute(sql).fetchall())

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.outbox}?mode=ro", uri=True)

    def deliveries(self) -> Counter[tuple[str, str]]:
        """Count the deliveries by kind and state."""
        return Counter(self.rows("SELECT kind, state FROM deliveries"))


def equations(status: Status) -> None:
    """Assert that both equations of the status document hold."""
    events, deliveries = dict(status.events), dict(status.deliveries)
    events.pop("duplicates")
    assert events.pop("accepted") == sum(events.values())
    assert deliveries.pop("created") == sum(deliveries.values())


def newest_truth(roller: Any) -> dict[str, tuple[str, str]]:
    """Give what Stampede should hold, by a simulated ROLLER: per booking its state and e-mail."""
    emails = {guest["customerId"]: guest["email"] for guest in roller["guests"]}
    truth = {}
    for one in roller["bookings"]:
        booking = one["booking"]
        if booking["status"] != "Draft" and booking.get("customerId") is not None:
            gone = booking["status"] in {"Cancelled", "Deleted"}
            email = emails[booking["customerId"]].strip().lower()
            truth[booking["uniqueId"]] = ("cancelled" if gone else "active", email)
    return truth


def told(stampede: Any) -> dict[str, tuple[str, str]]:
    """Give what a simulated Stampede holds, in the same form."""
    return {b["event_id"]: (b["status"], b["email"]) for b in stampede["bookings"]}


@asynccontextmanager
async def world(
    folder: Path,
    *,
    requests: int = 5000,
    per: float = 60.0,
    stampede: Mapping[str, object] | None = None,
    everything: bool = False,
    **roller: object,
) -> AsyncIterator[World]:
    """Start a sandbox and write a configuration for it; the allowance is wide by default.

    With `everything` ROLLER sends messages of every type, and bookings with their tickets.
    """
    webhook = f"http://{free_address()}/webhooks/leeds"
    settings = default_settings(webhook, everything=everything)
    replace = msgspec.structs.replace
    settings = replace(
        settings,
        roller=replace(settings.roller, **{"requests": 60_000, "retry_factor": 0.001, **roller}),
        stampede=replace(
            settings.stampede, **{"requests": requests, "per": per, **(stampede or {})}
        ),
    )
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(run_sandbox(settings))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(folder, settings, sandbox, http)
