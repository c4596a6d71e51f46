"""A simulated ROLLER, an outbox, and who sweeps; time passes for all of them when it is told to."""

import io
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from pipeline.assembly import Assembly, PeersOnTheWire, Stages
from pipeline.clock import SECOND, iso, micros
from pipeline.config import Config, load
from pipeline.log import Log
from pipeline.model import Action, Event, Kind
from pipeline.outbox import Run
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.report import Reporter
from pipeline.sandbox.roller import roller_app
from pipeline.sandbox.serve import serve
from pipeline.sandbox.settings import RollerSettings, RollerVenue
from pipeline.sources.roller.settings import Every
from pipeline.status import Status
from pipeline.sweeper import Sweeper
from pipeline.tokens import Tokens
from pipeline.wire import client
from tests.fakes import FakeClock
from tests.outbox.support import look
from tests.outboxes import place_outbox

_CONFIG = """
[outbox]
path = "outbox.db"
max_waiting = {most}
[sources.leeds]
type = "roller"
base_url = "{roller}"
client_id = "{venue.client_id}"
client_secret = "{venue.client_secret}"
webhook_key = "key"
reconcile = "{daily}"
waivers = "{waivers}"
{timezone}
currency = "GBP"
country = "GB"
[destinations.stampede]
type = "stampede"
base_url = "http://127.0.0.1:1"
client_id = "nobody"
client_secret = "none"
venues = {{ leeds = "A1B2C3D4E5F6" }}
"""

_VENUE = RollerVenue(
    client_id="test-leeds", client_secret="secret-leeds", id=1, name="Test Leeds", source="leeds"
)


def utc(text: str) -> int:
    """Read a moment, in microseconds."""
    return micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


class Field:
    """What a sweep has to do with."""

    def __init__(
        self, outbox: SqliteOutbox, config: Config, clock: FakeClock,
        made: Callable[[Config], Stages], log: Log, lines: io.StringIO,
        http: aiohttp.ClientSession, roller: str,
    ) -> None:  # fmt: skip
        self.outbox = outbox
        self.path = config.outbox.path
        self.config = config
        self.clock = clock
        #: Makes the stages anew, as another process does.
        self.made = made
        self.stages = made(config)
        self._log = log
        self._lines = lines
        self._http = http
        self._roller = roller

    def without_waivers(self) -> None:
        """Have the report of waivers not read any more, after a restart."""
        source = msgspec.structs.replace(self.config.sources["leeds"], waivers=Every(0))
        self.config = msgspec.structs.replace(self.config, sources={"leeds": source})
        self.stages = self.made(self.config)

    @property
    def sweeper(self) -> Sweeper:
        """Who reconciles Leeds."""
        return self.stages.sweepers["leeds"]

    async def status(self) -> Status:
        """Tell how it all is, as the daemon would."""
        return await Reporter(self.config, self.outbox, self.stages, self.clock).status()

    async def control(self, what: str, **order: object) -> Any:
        """Have something done at ROLLER."""
        url = f"{self._roller}/_sandbox/{what}"
        async with self._http.post(url, data=msgspec.json.encode(order)) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def book(self, at: int, **fields: object) -> Any:
        """Make or change a booking at ROLLER of which no webhook tells."""
        order = {"booking": fields, "event_date": iso(at), "send": False}
        return (await self.control("bookings", **order))["booking"]

    async def guest(self, at: int, customer: int | None = None, /, **fields: object) -> int:
        """Make or change a guest at ROLLER of whom no webhook tells."""
        known = {} if customer is None else {"customerId": customer}
        made = await self.control("guests", guest=fields, event_date=iso(at), send=False, **known)
        return int(made["customerId"])

    async def learn(self, booking: str, at: int) -> None:
        """Know a booking, and who it is of, as ROLLER has them, as of then."""
        source = self.stages.doors["leeds"].source
        found = await source.fetch_booking(booking)
        assert found is not None
        # It refers to no event, for there is none in the outbox.
        event = Event(
            id=None,  # type: ignore[arg-type]
            source="leeds", kind=Kind.BOOKING, action=Action.UPDATED, occurred_at=at,
            received_at=at, booking=booking, reference=None, attempts=0, first_failure_at=None,
            body=b"",
        )  # fmt: skip
        await self.outbox.events.learn_booking(event, found)
        guest = await source.fetch_guest(found.customer) if found.customer else None
        if guest is not None:
            now = self.clock.now()
            await self.outbox.events.learn_guest("leeds", guest, fetched_at=now)

    async def asked(self) -> list[tuple[str, str, int]]:
        """Give the pages that ROLLER was asked for: report, day, number."""
        async with self._http.get(f"{self._roller}/_sandbox/requests") as response:
            log = await response.json()
        found = []
        for one in log:
            if one["path"].startswith("/data/"):
                given = dict(part.split("=") for part in one["query"].split("&"))
                number = int(given["pageNumber"])
                found.append((one["path"].removeprefix("/data/"), given["startDate"], number))
        return found

    def events(self) -> list[tuple[str, str, str | None]]:
        """Give the events that were taken in: origin, kind, booking."""
        return look(self.path, "SELECT origin, kind, booking FROM event ORDER BY id")

    def kinds(self) -> Counter[str]:
        """Count the events that were taken in."""
        return Counter(kind for _, kind, _ in self.events())

    def minors(self) -> set[str]:
        """Give who is known as a minor by a waiver."""
        found = look(self.path, "SELECT key FROM subject WHERE kind = 'minor'")
        return {key for (key,) in found}

    def log(self) -> list[dict[str, Any]]:
        """Give the lines logged so far."""
        self._log.flush()
        return [msgspec.json.decode(line) for line in self._lines.getvalue().splitlines()]

    async def ran(self) -> Run:
        """Let the errand do what is due, and give the run that it did."""
        await self.sweeper.once()
        [(number,)] = look(self.path, "SELECT max(id) FROM sweep")
        run = await self.outbox.sweeps.run(number)
        assert run is not None
        return run


@asynccontextmanager
async def field(
    folder: Path,
    *,
    now: str = "2026-10-07T12:00:00",
    daily: str = "off",
    timezone: str | None = "Europe/London",
    most: int = 1_000_000,
    waivers: str = "1d",
    **roller: Any,
) -> AsyncIterator[Field]:
    """Start a simulated ROLLER with one venue and open an outbox, with no stage at work."""
    clock = FakeClock(now=utc(now))
    zone = timezone or "Europe/London"
    venue = msgspec.structs.replace(_VENUE, iana_time_zone=zone)
    settings = RollerSettings(venues=(venue,), webhooks=(), **{"report_requests": 10_000, **roller})
    async with AsyncExitStack() as stack:
        app = roller_app(settings, lambda: clock.now() / SECOND)
        url = await stack.enter_async_context(serve(app))
        config_file = folder / "config.toml"
        place = f'timezone = "{timezone}"' if timezone else ""
        config_file.write_text(
            _CONFIG.format(
                roller=url, venue=venue, daily=daily, timezone=place, most=most, waivers=waivers
            )
        )
        config = load(config_file)
        lines = io.StringIO()
        log = Log(clock, level="info", style="json", sink=lines)
        outbox = await stack.enter_async_context(open_outbox(place_outbox(config.outbox.path)))
        http = await stack.enter_async_context(client())
        peers = PeersOnTheWire(http, Tokens(folder / "tokens", clock))
        session = await stack.enter_async_context(aiohttp.ClientSession())

        def made(config: Config) -> Stages:
            return Assembly(config, outbox, peers, clock, log).stages()

        yield Field(outbox, config, clock, made, log, lines, session, url)
