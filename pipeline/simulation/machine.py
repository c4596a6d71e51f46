"""A machine that runs the pipeline: the one place of the simulation that knows how it is started.

What `daemon.py` does around its listeners and the stages is done here in the same order.
"""

import asyncio
import io
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.assembly import Assembly, Stages
from pipeline.clock import SECOND
from pipeline.config import Config
from pipeline.errors import OutboxUnavailable
from pipeline.log import Log
from pipeline.metrics import Meters
from pipeline.model import Arrival, EventState, Origin
from pipeline.outbox import ATTEMPTS_KEPT
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.plugin import Destination, Source
from pipeline.plugins import DestinationSettings, SourceSettings, make_destination
from pipeline.simulation.clock import VirtualClock
from pipeline.simulation.network import Network, SimulatedSession
from pipeline.simulation.power import Power
from pipeline.simulation.roller import SimulatedRoller
from pipeline.simulation.watch import Watch
from pipeline.step import Steps
from pipeline.tokens import Tokens, tokens_beside

#: As in `daemon.py`.
_HOUR = 3600.0
_MINUTE = 60.0
_GRACE = 20.0


class Machine:
    """Starts, stops and crashes; what it has on disk is there again afterwards."""

    def __init__(
        self,
        config: Config,
        rollers: Mapping[str, SimulatedRoller],
        networks: Mapping[str, Network],
        clock: VirtualClock,
        watch: Watch,
        dice: random.Random,
    ) -> None:
        self.clock = clock
        self.watch = watch
        self.outbox: SqliteOutbox | None = None
        self.stages: Stages | None = None
        self._config = config
        self._rollers = rollers
        self._networks = networks
        self._dice = dice
        #: What was logged of what must not happen.
        self.complaints = io.StringIO()
        self._log = Log(clock, level="error", style="json", sink=self.complaints)
        self._power = Power()
        self._steps: Steps | None = None
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the pipeline, and return once it takes webhooks."""
        self._power, self._stop, up = Power(), asyncio.Event(), asyncio.Event()
        self._running = asyncio.create_task(self._run(up), name="pipeline")
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait([self._running, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._running.done():
            self._running.result()

    async def stop(self) -> None:
        """End in order, as on SIGTERM."""
        assert self._running is not None  # noqa: S101 - it was started
        self._stop.set()
        await self._running

    async def crash(self, *, uses: int = 0, after: bool = False) -> None:
        """Lose power: at once, or at a later use of the disk, before or after it took effect."""
        assert self._running is not None  # noqa: S101 - it was started
        if uses:
            self._power.cut_in(uses, after=after)
            await self._power.gone.wait()
        else:
            self._power.cut()
        self.outbox = self.stages = None
        self._running.cancel()
        with suppress(asyncio.CancelledError, OutboxUnavailable, OSError):
            await self._running

    async def restart(self, seconds: float = 1.0) -> None:
        """Stop, and start some time later."""
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def step(self, seconds: float) -> None:
        """Set the wall clock; the daemon looks at it once a second."""
        self.clock.step(seconds)
        await asyncio.sleep(self._dice.random())
        if self._steps is not None:
            with suppress(OutboxUnavailable):
                await self._steps.look()

    async def accept(self, source: str, body: bytes, origin: Origin = Origin.WEBHOOK) -> int:
        """Take a webhook in, as receive does, and give its event; OutboxUnavailable is a 503."""
        if self.outbox is None or self.stages is None or self._stop.is_set():
            msg = "nobody listens"
            raise OutboxUnavailable(msg)
        envelope = self._rollers[source].envelope(body)
        arrival = Arrival(
            source=source,
            origin=origin,
            key=envelope.key or "",
            kind=envelope.kind,
            action=envelope.action,
            occurred_at=envelope.occurred_at,
            booking=envelope.booking,
            reference=envelope.reference,
            received_at=self.clock.now(),
            state=EventState.WAITING,
            reason=None,
            body=body,
        )
        door = self.stages.doors[source]
        receipt = await self.outbox.intake.accept(arrival)
        self.watch.accepted(receipt.event, source)
        if origin is Origin.WEBHOOK:
            door.arrivals.offer(receipt.event)
        return receipt.event

    async def rows(self, sql: str) -> Sequence[Any]:
        """Look into the file while the pipeline runs, which lets nobody else in meanwhile."""
        return await self._power.rows(sql)

    def source(self, name: str, settings: SourceSettings) -> Source:  # noqa: ARG002 - of Peers
        """Give the simulated ROLLER."""
        return self._rollers[name]

    def destination(self, name: str, settings: DestinationSettings) -> Destination:
        """Make the real plug-in, with a way to the simulated Stampede."""
        tokens = Tokens(tokens_beside(self._path), self.clock)
        return make_destination(
            name, settings, SimulatedSession(name, self._networks[name], tokens)
        )

    @property
    def meters(self) -> Meters:
        """Nothing asks what they say."""
        return Meters()

    @property
    def _path(self) -> Path:
        return self._config.outbox.path

    async def _run(self, up: asyncio.Event) -> None:
        async with open_outbox(self._path, connect=self._power.connect) as outbox:
            await self._power.hurry()
            self._steps = Steps(outbox.times, self.clock, self._log)
            await self._steps.begin()
            await outbox.recover(now=self.clock.now())
            self.watch.look_at(outbox)
            assembly = Assembly(self._config, outbox, self, self.clock, self._log, dice=self._dice)
            stages = assembly.stages()
            await stages.restore(outbox.ledger, self.clock)
            self.outbox, self.stages = outbox, stages
            up.set()
            await self._work(outbox, stages)
            self.outbox = self.stages = None
            await outbox.recover(now=self.clock.now())

    async def _work(self, outbox: SqliteOutbox, stages: Stages) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = stages.start(tasks)
            keeping = tasks.create_task(self._keep_house(outbox))
            looking = tasks.create_task(self._keep_time())
            await self._stop.wait()
            keeping.cancel()
            looking.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await running.drain()
            running.cancel()

    async def _keep_house(self, outbox: SqliteOutbox) -> None:
        keep = round(self._config.outbox.keep * SECOND)
        while True:
            now = self.clock.now()
            with suppress(OutboxUnavailable):
                await outbox.shed(before=now - keep, attempts_before=now - ATTEMPTS_KEPT)
            await asyncio.sleep(_HOUR)

    async def _keep_time(self) -> None:
        """Note the clocks, as the daemon does; of a step it is told by `step`."""
        while self._steps is not None:
            with suppress(OutboxUnavailable):
                await self._steps.look()
            await asyncio.sleep(_MINUTE)
