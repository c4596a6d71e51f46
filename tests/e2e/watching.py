"""Who looks after a subscription, with a clock that goes when it is told to."""

import io
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from pipeline.assembly import Assembly, PeersOnTheWire, Stages
from pipeline.clock import SECOND
from pipeline.log import Log
from pipeline.lookout import Lookout
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.tokens import Tokens
from pipeline.wire import client
from tests.e2e.holder import WANTED, Holder
from tests.e2e.world import World, world
from tests.fakes import NOON, FakeClock
from tests.outbox.support import arrival

#: When the last webhook came, unless a test says otherwise.
HEARD = NOON - 7200 * SECOND
HOUR = 3600.0
#: What is left out when nothing but bookings is sent.
BOOKINGS_ONLY = {"webhooks": {"booking": WANTED["booking"]}}
_GAP = "SELECT gap_since FROM webhook WHERE source = 'leeds' AND gap_until IS NOT NULL"


def at_home(here: World) -> str:
    """Configure the address that ROLLER sends to, and give that of the source."""
    line = 'client_id = "sandbox-leeds"'
    here.replace(line, f'{line}\npublic_url = "http://{here.listen}"')
    return f"http://{here.listen}/webhooks/leeds"


class Watch:
    """One lookout with a clock that goes when it is told to, in front of a simulated ROLLER."""

    def __init__(
        self,
        here: World,
        outbox: SqliteOutbox,
        stages: Stages,
        clock: FakeClock,
        lines: io.StringIO,
    ) -> None:
        self.here = here
        self.roller = Holder(here)
        self.url = f"http://{here.listen}/webhooks/leeds"
        self.clock = clock
        #: Since when each gap was that has ended.
        self.gaps: list[int] = []
        self.outbox = outbox
        self.stages = stages
        self._lines = lines
        self.log = Log(clock, level="info", style="json", sink=lines)
        self.lookout = self.made()

    def made(self) -> Lookout:
        """Make a lookout as the daemon does at its start, but for what it tells."""
        subscriptions = self.stages.doors["leeds"].source.subscriptions
        assert subscriptions is not None
        return Lookout(
            "leeds",
            subscriptions,
            self.stages.enrichers["leeds"].fetcher,
            webhooks=self.outbox.webhooks,
            gap_ended=lambda: self.gaps.append(self.here.rows(_GAP)[0][0]),
            clock=self.clock,
            log=self.log,
        )

    async def hear(self, at: int) -> None:
        """Let a webhook come."""
        await self.outbox.intake.accept(arrival(f"at {at}", at=at))

    async def look(self, *, after: float = HOUR) -> float:
        """Let it look once when some time has passed; gives the seconds until the next time."""
        self.clock.advance(after)
        return await self.lookout.once()

    async def calls(self) -> list[str]:
        """Give what ROLLER was asked about its webhooks so far, but for what `roller` asked."""
        log = await self.here.requests("roller")
        return [one["method"] for one in log if one["path"].startswith("/webhooks")]

    def lines(self) -> list[Any]:
        """Give the lines logged so far."""
        self.log.flush()
        return [msgspec.json.decode(line) for line in self._lines.getvalue().splitlines()]


async def watching(
    folder: Path,
    stack: AsyncExitStack,
    prepare: Callable[[World], Any],
    heard: int | None = HEARD,
) -> Watch:
    here = await stack.enter_async_context(world(folder))
    prepare(here)
    clock, lines = FakeClock(), io.StringIO()
    log = Log(clock, level="info", style="json", sink=lines)
    outbox = await stack.enter_async_context(open_outbox(here.outbox))
    http = await stack.enter_async_context(client())
    peers = PeersOnTheWire(http, Tokens(folder / "tokens", clock))
    stages = Assembly(here.config, outbox, peers, clock, log).stages()
    watch = Watch(here, outbox, stages, clock, lines)
    if heard is not None:
        await watch.hear(heard)
    return watch
