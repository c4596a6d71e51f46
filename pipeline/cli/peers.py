"""The peers of a configuration for one command, and who counts its requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pipeline.assembly import peer_session
from pipeline.budget import Budget
from pipeline.calls import Calls
from pipeline.client import call, fetch_status
from pipeline.clock import Clock, SystemClock
from pipeline.config import Config
from pipeline.drift import MOST_NAMES, OTHERS
from pipeline.errors import OutboxError, PipelineError, Throttled
from pipeline.notebook import CALLS, month
from pipeline.outbox import Note
from pipeline.outbox.sqlite import open_ledger, open_noted, read_outbox
from pipeline.plugin import Destination, Source
from pipeline.plugins import make_destination, make_source
from pipeline.purse import Purse, Spending
from pipeline.tokens import Tokens, tokens_beside
from pipeline.wire import client, recorded_by

_T = TypeVar("_T")


class Peers:
    """Sources and destinations to be asked, each request of theirs counted."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        destinations: Mapping[str, Destination],
        till: "_Till",
        trouble: str,
    ) -> None:
        self.sources = sources
        self.destinations = destinations
        self.is_running = till.is_running
        #: Why a daemon that seems to run cannot be asked; empty when there is none.
        self.trouble = trouble
        self._till = till
        #: By peer: the requests that left.
        self.requests: dict[str, int] = {}

    @property
    def is_recorded(self) -> bool:
        """Tell whether the requests to destinations are in the ledger."""
        return self._till.has_ledger

    async def ask_source(self, name: str, ask: Callable[[Source], Awaitable[_T]]) -> _T:
        """Ask a source; its requests are counted."""
        counter, where = _Counter(None, name, self._till), f"sources.{name}"
        with recorded_by(counter):
            try:
                return await ask(self.sources[name])
            finally:
                self.requests[where] = self.requests.get(where, 0) + counter.count

    async def ask_destination(self, name: str, ask: Callable[[Destination], Awaitable[_T]]) -> _T:
        """Ask a destination; each request takes a slot of its allowance, outside the reserve."""
        counter = _Counter(self.destinations[name], name, self._till)
        with recorded_by(counter):
            try:
                return await ask(self.destinations[name])
            finally:
                self.requests[f"destinations.{name}"] = counter.count


@asynccontextmanager
async def open_peers(config: Config) -> AsyncIterator[Peers]:
    """Make the peers; tokens are kept only where no daemon keeps them."""
    clock, path, trouble = SystemClock(), config.outbox.path, ""
    try:
        running = await fetch_status(config.server) is not None
    except PipelineError as exc:
        running, trouble = False, str(exc)
    keeps = not running and not trouble
    tokens = Tokens(tokens_beside(path), clock, writes=keeps)
    till = _Till(config, clock, is_running=running)
    async with client() as http:
        peers = Peers(
            {
                name: make_source(name, one, peer_session(name, one, http, tokens))
                for name, one in config.sources.items()
            },
            {
                name: make_destination(name, one, peer_session(name, one, http, tokens))
                for name, one in config.destinations.items()
            },
            till,
            trouble,
        )
        try:
            yield peers
        finally:
            for name in peers.sources:
                await till.count(name, peers.requests.get(f"sources.{name}", 0))


class _Till:
    """Takes slots from the running daemon's allowance, or from the ledger of an outbox at rest."""

    def __init__(self, config: Config, clock: Clock, *, is_running: bool) -> None:
        self.is_running = is_running
        self.has_ledger = is_running or _may_be_there(config.outbox.path)
        self._config = config
        self._clock = clock
        self._lock = asyncio.Lock()

    async def spend(self, name: str, destination: Destination, spending: Spending) -> None:
        """Take a slot; Throttled when there is none, or it cannot be written down."""
        async with self._lock:
            try:
                if self.is_running:
                    await self._ask(name, spending)
                elif self.has_ledger:
                    await self._write(name, destination, spending)
            except (OutboxError, OSError) as exc:
                why = exc.strerror if isinstance(exc, OSError) else exc
                raise Throttled(f"not asked, for it could not be counted: {why}") from exc

    async def count(self, source: str, n: int) -> None:
        """Count requests to a source among those of the month; of no harm where that fails."""
        if not n or not self.has_ledger:
            return
        with suppress(PipelineError, OSError):
            if self.is_running:
                await call(
                    self._config.server, "POST", f"/api/sources/{source}/calls", body=Calls(n=n)
                )
                return
            now = self._clock.now()
            note = Note(source=source, what=CALLS, name=month(now), n=n, first_at=now, last_at=now)
            async with open_noted(self._config.outbox.path) as noted:
                await noted.add([note], most=MOST_NAMES, rest=OTHERS)

    async def _ask(self, name: str, spending: Spending) -> None:
        path = f"/api/destinations/{name}/attempts"
        try:
            answer = await call(self._config.server, "POST", path, body=spending)
        except PipelineError as exc:
            raise Throttled(str(exc)) from exc
        if answer is None:
            raise Throttled("not asked, for the daemon does not answer any more")

    async def _write(self, name: str, destination: Destination, spending: Spending) -> None:
        """Open the ledger for a moment only, so that a daemon may start meanwhile."""
        path = self._config.outbox.path
        async with read_outbox(path) as outbox:
            if await outbox.overview.is_restored():
                raise Throttled(
                    "not asked: the outbox was put back from a backup, and what was sent since is "
                    "not known; the next start of the daemon waits one window"
                )
        async with open_ledger(path) as ledger:
            budget = Budget(destination.rate_limit, self._clock)
            newest = 2 * destination.rate_limit.requests
            entries = await ledger.entries(name, newest=newest)
            budget.restore(entries, await ledger.learnt(name))
            await Purse({name: budget}, ledger, self._clock).spend(name, spending)


class _Counter:
    """Counts requests as they leave; those to a destination need a slot first."""

    def __init__(self, destination: Destination | None, name: str, till: _Till) -> None:
        self._destination = destination
        self._name = name
        self._till = till
        self.count = 0

    async def leaving(self, method: str, path: str) -> None:
        """Take a slot, or keep the request from leaving."""
        if self._destination is not None:
            spending = Spending(method=method, path=path)
            await self._till.spend(self._name, self._destination, spending)
        self.count += 1

    def answered(self, status: int) -> None:
        """An answer changes nothing about the count."""


def _may_be_there(path: Path) -> bool:
    """Tell whether there is something, or it cannot be told."""
    try:
        return path.exists()
    except OSError:
        return True


async def at_once(jobs: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """Run these side by side, and give what they give in their order."""

    async def run(job: Callable[[], Awaitable[_T]]) -> _T:
        return await job()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(job), name="peer") for job in jobs]
    return [task.result() for task in tasks]
