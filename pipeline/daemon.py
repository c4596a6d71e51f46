"""The daemon: opens everything in one place, runs the stages, and closes it all again."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiohttp import web

from pipeline import calls, demand, lookout, purse
from pipeline.admin import admin_app
from pipeline.assembly import Assembly, PeersOnTheWire, Stages
from pipeline.clock import SECOND, Clock, SystemClock
from pipeline.config import Config
from pipeline.desk import Desk
from pipeline.errors import OutboxUnavailable, PipelineError
from pipeline.gauges import Gauges
from pipeline.listener import WebhookServer, start_site
from pipeline.log import Bridge, Log
from pipeline.metrics import Meters
from pipeline.outbox import ATTEMPTS_KEPT, Outbox
from pipeline.outbox.sqlite import open_outbox
from pipeline.report import Reporter
from pipeline.settings import Address
from pipeline.status import tally
from pipeline.step import Steps
from pipeline.tokens import Tokens, tokens_beside
from pipeline.wire import client

#: How often finished payloads are looked for, and how often the house is looked after: a failing
#: outbox is tried again each time.
_HOUR = 3600.0
_SECOND = 1.0

#: Seconds after which something is written, should nothing else have been, to see whether it can.
_PROVE_EVERY = 5.0

#: Seconds between two counts of all rows: some tenths of a second for a million.
_COUNT_EVERY = 600.0

_IDS_A_LINE = 500


async def run(config: Config, stop: asyncio.Event, *, clock: Clock | None = None) -> None:
    """Run until `stop` is set, then finish or give back what is under way within the grace.

    Raises PipelineError with a sentence when it cannot start.
    """
    clock = clock or SystemClock()
    log = Log(clock, level=config.log.level, style=config.log.format)
    path = config.outbox.path
    try:
        async with open_outbox(path) as outbox, client() as http, _library_warnings(log, clock):
            steps = Steps(outbox.times, clock, log)
            await steps.begin()
            await outbox.recover(now=clock.now())
            await _park_unconfigured(config, outbox, clock, log)
            tokens = Tokens(tokens_beside(path), clock)
            peers = PeersOnTheWire(http, tokens)
            stages, meters = Assembly(config, outbox, peers, clock, log).stages(), peers.meters
            outbox.watch(meters.committed)
            if await stages.restore(outbox.ledger, clock):
                log.warning("restored", reason="each allowance waits one window")
            for name, door in stages.doors.items():
                door.last_event_at = (await outbox.webhooks.known(name)).heard_at
            reporter = Reporter(config, outbox, stages, clock)
            await _Daemon(config, outbox, stages, reporter, meters, steps, clock, log).run(stop)
            with suppress(OutboxUnavailable):
                await stages.notebook.write()
            await outbox.recover(now=clock.now())
            log.info("stopped")
    finally:
        log.flush()


async def _park_unconfigured(config: Config, outbox: Outbox, clock: Clock, log: Log) -> None:
    pairs = [
        (name, source)
        for name, destination in config.destinations.items()
        for source in destination.source_names()
    ]
    parked = await outbox.park_unconfigured(list(config.sources), pairs, now=clock.now())
    for what, ids in (("events", parked.events), ("deliveries", parked.deliveries)):
        for start in range(0, len(ids), _IDS_A_LINE):
            some = {what: ids[start : start + _IDS_A_LINE]}
            log.warning("parked", **some, reason="not configured")


class _Daemon:
    """The tasks and listeners of a running daemon."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        stages: Stages,
        reporter: Reporter,
        meters: Meters,
        steps: Steps,
        clock: Clock,
        log: Log,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._stages = stages
        self._reporter = reporter
        self._meters = meters
        self._steps = steps
        self._clock = clock
        self._log = log

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything; once `stop` is set, end the stages in the order of the flow."""
        await self._make_room()
        async with AsyncExitStack() as listeners:
            await listeners.enter_async_context(self._admin())
            webhooks = await listeners.enter_async_context(self._webhooks())
            async with asyncio.TaskGroup() as tasks:
                running = self._stages.start(tasks)
                keeping = tasks.create_task(self._keep_house(), name="housekeeping")
                await stop.wait()
                self._log.info("stopping")
                self._reporter.stopping = True
                self._stages.receiver.close()
                keeping.cancel()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._config.server.shutdown_grace):
                        await webhooks.cleanup()
                        await running.drain()
                running.cancel()

    async def _make_room(self) -> None:
        """Tell receive how much more the outbox may take; it counts down from there."""
        receiver = self._stages.receiver
        since = receiver.stored()
        unfinished = tally(await self._outbox.overview.counts()).unfinished
        receiver.make_room(self._config.outbox.max_waiting - unfinished, since=since)

    async def _keep_house(self) -> None:
        """Drop old payloads, count the room, and see whether the clock was set.

        And whether an outbox that fails works again.
        """
        shed_at = counted_at = proven_at = 0
        while True:
            now, boot = self._clock.now(), self._clock.boot()
            try:
                if await self._steps.look():
                    self._stages.wake()
                await self._make_room()
                if boot >= counted_at:
                    await self._count()
                    counted_at = boot + round(_COUNT_EVERY * SECOND)
                if self._outbox.trouble or boot >= proven_at:
                    await self._outbox.prove()
                    proven_at = boot + round(_PROVE_EVERY * SECOND)
                if boot >= shed_at:
                    keep = round(self._config.outbox.keep * SECOND)
                    await self._outbox.shed(before=now - keep, attempts_before=now - ATTEMPTS_KEPT)
                    shed_at = boot + round(_HOUR * SECOND)
            except OutboxUnavailable as exc:
                self._log.error("outbox failed", stage="housekeeping", reason=str(exc))
            await asyncio.sleep(_SECOND)

    async def _count(self) -> None:
        """Compare the counters with the rows; they never differ, unless we have made a mistake."""
        self._meters.difference = await self._outbox.overview.difference()
        if self._meters.difference:
            self._log.error("counters differ", by=self._meters.difference)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[None]:
        desk = Desk(
            self._outbox.records, self._outbox.repair, self._clock, self._stages.wake, self._log
        )
        gauges = Gauges(self._outbox, self._stages, self._meters, self._clock)
        app = admin_app(self._config.server, self._reporter, desk, gauges)
        budgets = {name: one.budget for name, one in self._stages.deliverers.items()}
        calls.add_routes(app, self._stages.notebook)
        purse.add_routes(app, purse.Purse(budgets, self._outbox.ledger, self._clock))
        lookout.add_routes(app, self._stages.lookouts)
        demand.add_routes(app, self._stages.sweepers, self._outbox.sweeps)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            where = await _listen(runner, "server.admin", self._config.server.admin)
            self._log.info("listening", what="admin", address=where)
            yield
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def _webhooks(self) -> AsyncIterator[web.BaseRunner]:
        receiver = self._stages.receiver
        server = WebhookServer(receiver.handle, self._log, plain=receiver.plain)
        # aiohttp takes up to twice this time, once for handlers and once for connections.
        runner = web.ServerRunner(server, shutdown_timeout=self._config.server.shutdown_grace / 4)
        await runner.setup()
        try:
            listen = self._config.server.listen
            where = await _listen(runner, "server.listen", listen, inherit=True)
            self._log.info("listening", what="webhooks", address=where)
            yield runner
        finally:
            await runner.cleanup()


async def _listen(
    runner: web.BaseRunner, key: str, address: Address, *, inherit: bool = False
) -> str:
    try:
        return await start_site(runner, address, inherit=inherit)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        msg = f"{key}: cannot listen at {address}: {reason}"
        raise PipelineError(msg) from exc


@asynccontextmanager
async def _library_warnings(log: Log, clock: Clock) -> AsyncIterator[None]:
    """Bring the warnings of libraries into our log, in place of what they would print."""
    bridge = Bridge(log, clock)
    root = logging.getLogger()
    root.addHandler(bridge)
    try:
        yield
    finally:
        root.removeHandler(bridge)
