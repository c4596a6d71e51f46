"""Puts the stages together from a configuration: the one place where the parts meet."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from aiolimiter import AsyncLimiter
from msgspec import Struct

from pipeline.budget import Budget
from pipeline.clock import SECOND, Clock
from pipeline.config import Config
from pipeline.deliver import Deliverer
from pipeline.enrich import Enricher
from pipeline.errand import Errand, Runner
from pipeline.feed import Feed
from pipeline.fetch import Fetcher
from pipeline.gather import Gatherer, SourceTraits
from pipeline.hear import Hearing
from pipeline.intend import Intender
from pipeline.lane import Lane
from pipeline.log import Log
from pipeline.lookout import Lookout
from pipeline.means import Means
from pipeline.metrics import Meters
from pipeline.model import Event
from pipeline.notebook import Notebook
from pipeline.outbox import Ledger, Outbox
from pipeline.plugin import Destination, Mapper, Source, VenueDetails
from pipeline.plugins import DestinationSettings, SourceSettings, make_destination, make_source
from pipeline.receive import Door, Receiver
from pipeline.reports import Reports
from pipeline.room import Room
from pipeline.subscription import Subscriptions
from pipeline.sweep import Sweep
from pipeline.sweeper import Sweeper
from pipeline.tokens import Tokens, fingerprint
from pipeline.wire import Http, PeerSession

#: Ids that wait in memory between two stages; the rest waits in the outbox.
_FEED = 1000


class Stages(Struct, kw_only=True):
    """All that works on the outbox."""

    receiver: Receiver
    doors: Mapping[str, Door]
    enrichers: Mapping[str, Enricher]
    intender: Intender
    deliverers: Mapping[str, Deliverer]
    #: By source: who finds what no webhook has told.
    sweepers: Mapping[str, Sweeper] = {}
    #: What is done for the sources every so often.
    errands: Sequence[Runner] = ()
    #: One of these: what it has not written at the end, it is to be told to.
    notebook: Notebook
    #: By source: who looks after its webhooks.
    lookouts: Mapping[str, Lookout] = {}
    #: By destination: what its requests are counted under.
    peers: Mapping[str, str]

    def wake(self) -> None:
        """Let all look at the outbox at once: somebody has changed it by hand."""
        for enricher in self.enrichers.values():
            enricher.wake()
        for deliverer in self.deliverers.values():
            deliverer.wake()
        for errand in self.errands:
            errand.wake()

    async def restore(self, ledger: Ledger, clock: Clock) -> bool:
        """Give each budget the attempts that still count, before anything is sent.

        Tells whether each allowance is taken as spent, for the outbox was put back from a backup.
        """
        for name, deliverer in self.deliverers.items():
            limit = deliverer.budget.limit
            await ledger.allow(name, limit.requests, round(limit.per * SECOND))
        presumed = await ledger.presume_spent(
            at=clock.now(), boot=clock.boot(), boot_id=clock.boot_id
        )
        for name, deliverer in self.deliverers.items():
            newest = 2 * deliverer.budget.limit.requests
            entries = await ledger.entries(name, newest=newest)
            deliverer.budget.restore(entries, await ledger.learnt(name))
        return presumed

    def start(self, tasks: asyncio.TaskGroup) -> "Running":
        """Start enrich for each source, transform, deliver for each destination, the errands."""
        return Running(
            stages=self,
            enriching=[
                tasks.create_task(stage.run(), name=f"enrich {name}")
                for name, stage in self.enrichers.items()
            ],
            intending=tasks.create_task(self.intender.run(), name="transform"),
            delivering=[
                tasks.create_task(stage.run(), name=f"deliver {name}")
                for name, stage in self.deliverers.items()
            ],
            running=[tasks.create_task(one.run(), name=one.errand.name) for one in self.errands],
        )


class Running(Struct, kw_only=True):
    """The tasks of the stages."""

    stages: Stages
    enriching: Sequence[asyncio.Task[None]]
    intending: asyncio.Task[None]
    delivering: Sequence[asyncio.Task[None]]
    running: Sequence[asyncio.Task[None]]

    async def drain(self) -> None:
        """Let each stage finish what it has begun, before the next is told to end."""
        for errand in self.running:
            errand.cancel()
        for enricher in self.stages.enrichers.values():
            enricher.stop()
        for deliverer in self.stages.deliverers.values():
            deliverer.stop()
        await asyncio.wait(self.enriching)
        self.stages.intender.stop()
        await asyncio.wait([self.intending, *self.delivering])

    def cancel(self) -> None:
        """Break off what has not ended."""
        for task in (*self.running, *self.enriching, self.intending, *self.delivering):
            task.cancel()


class Peers(Protocol):
    """Makes the plug-ins, each with its way to its peer."""

    @property
    def meters(self) -> Meters:
        """What counts their requests."""

    def source(self, name: str, settings: SourceSettings) -> Source:
        """Make the source of this name."""

    def destination(self, name: str, settings: DestinationSettings) -> Destination:
        """Make the destination of this name."""


class PeersOnTheWire:
    """The peers as they are: reached by HTTP."""

    def __init__(self, http: Http, tokens: Tokens) -> None:
        self.meters = Meters()
        self._http = http
        self._tokens = tokens

    def source(self, name: str, settings: SourceSettings) -> Source:
        """Make the source of this name."""
        return make_source(name, settings, self._session(name, settings))

    def destination(self, name: str, settings: DestinationSettings) -> Destination:
        """Make the destination of this name."""
        return make_destination(name, settings, self._session(name, settings))

    def _session(self, name: str, settings: SourceSettings | DestinationSettings) -> PeerSession:
        return peer_session(name, settings, self._http, self._tokens, self.meters)


class Assembly:
    """Makes the stages of one configuration."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        peers: Peers,
        clock: Clock,
        log: Log,
        *,
        dice: random.Random | None = None,
    ) -> None:
        self._config = config
        self._peers = peers
        self._clock = clock
        self._log = log
        self._dice = dice or random.Random()
        traits = {name: source_traits(settings) for name, settings in config.sources.items()}
        self._means = Means(
            outbox=outbox,
            gatherer=Gatherer(outbox, traits),
            clock=clock,
            log=log,
            meters=peers.meters,
        )
        self._enriched: Feed[Event] = Feed(_FEED)
        self._owed: dict[str, Feed[int]] = {name: Feed(_FEED) for name in config.destinations}

    def stages(self) -> Stages:
        """Make them all."""
        destinations = {
            name: self._peers.destination(name, settings)
            for name, settings in self._config.destinations.items()
        }
        hearing = Hearing(self._means, destinations, self._owed)
        doors: dict[str, Door] = {}
        enrichers: dict[str, Enricher] = {}
        lookouts: dict[str, Lookout] = {}
        sweepers: dict[str, Sweeper] = {}
        for name, settings in self._config.sources.items():
            source = self._peers.source(name, settings)
            doors[name] = Door(source=source, keys=settings.webhook_key, arrivals=Feed(_FEED))
            taken = [one.mapper for one in destinations.values() if name in one.sources]
            enrichers[name] = self._enricher(name, settings, doors[name], taken, hearing)
            if source.reports and taken:
                sweepers[name] = self._sweeper(name, settings, source.reports, enrichers[name])
            if subscriptions := source.subscriptions:
                lookouts[name] = self._lookout(
                    name, subscriptions, doors[name], enrichers[name], sweepers.get(name)
                )
        fetchers = {name: enricher.fetcher for name, enricher in enrichers.items()}
        notebook = self._notebook(doors)
        errands: list[Errand] = [
            *(one.products for one in enrichers.values() if one.products),
            *lookouts.values(),
            notebook,
        ]
        return Stages(
            receiver=Receiver(
                doors,
                self._means,
                max_body=self._config.server.max_body,
            ),
            doors=doors,
            enrichers=enrichers,
            intender=Intender(self._means, destinations, self._enriched, self._owed),
            deliverers={
                name: Deliverer(
                    name,
                    destination,
                    budget=Budget(destination.rate_limit, self._clock),
                    lane=self._lane(),
                    means=self._means,
                    fetchers=fetchers,
                    owed=self._owed[name],
                )
                for name, destination in destinations.items()
            },
            errands=[
                *(Runner(one, self._clock, self._log) for one in errands),
                *map(self._runner, sweepers.values()),
            ],
            notebook=notebook,
            lookouts=lookouts,
            sweepers=sweepers,
            peers={name: _peer(name, one) for name, one in self._config.destinations.items()},
        )

    def _lookout(
        self,
        name: str,
        subscriptions: Subscriptions,
        door: Door,
        enricher: Enricher,
        sweeper: Sweeper | None,
    ) -> Lookout:
        def gap_ended() -> None:
            door.key_mismatch = False  # if it was that; the next refusal would tell
            if sweeper:
                sweeper.ring()

        return Lookout(
            name,
            subscriptions,
            enricher.fetcher,
            webhooks=self._means.outbox.webhooks,
            gap_ended=gap_ended,
            clock=self._clock,
            log=self._log,
        )

    def _enricher(
        self,
        name: str,
        settings: SourceSettings,
        door: Door,
        mappers: Sequence[Mapper],
        hearing: Hearing,
    ) -> Enricher:
        limit = settings.rate_limit
        return Enricher(
            name,
            door.source,
            Fetcher(
                name,
                door.source,
                keep=hearing.keep,
                limiter=AsyncLimiter(limit.requests, limit.per),
                lane=self._lane(),
                means=self._means,
            ),
            mappers=mappers,
            means=self._means,
            arrivals=door.arrivals,
            enriched=self._enriched,
        )

    def _notebook(self, doors: Mapping[str, Door]) -> Notebook:
        notebook = Notebook(
            {_peer(name, one): name for name, one in self._config.sources.items()},
            {name: door.source.drift for name, door in doors.items()},
            self._means.outbox.noted,
            self._clock,
            self._log,
        )
        self._peers.meters.sent = notebook.sent
        return notebook

    def _sweeper(
        self, name: str, settings: SourceSettings, reports: Reports, enricher: Enricher
    ) -> Sweeper:
        means, outbox = self._means, self._config.outbox
        return Sweeper(
            name,
            Sweep(
                name,
                reports,
                means.outbox,
                self._clock,
                means.log,
                adults_only=settings.adults_only,
                waivers=settings.waiver_days,
            ),
            daily=settings.reconcile.of_day,
            room=Room(means.outbox.overview, outbox.path, outbox.max_waiting),
            fetcher=enricher.fetcher,
            means=means,
            taken_in=enricher.wake,
        )

    def _runner(self, sweeper: Sweeper) -> Runner:
        runner = Runner(sweeper, self._clock, self._means.log)
        sweeper.ring = runner.wake
        return runner

    def _lane(self) -> Lane:
        return Lane(self._config.retry, self._clock, self._dice)


def peer_session(
    name: str,
    settings: SourceSettings | DestinationSettings,
    http: Http,
    tokens: Tokens,
    meters: Meters | None = None,
) -> PeerSession:
    """Make the way to a peer; its token is found by the credentials that fetched it."""
    secret = settings.client_secret.reveal()
    credentials = fingerprint(settings.base_url, settings.client_id, secret)
    return PeerSession(_peer(name, settings), http, tokens, credentials, meters)


def _peer(name: str, settings: SourceSettings | DestinationSettings) -> str:
    """Name a peer among all: a source and a destination may be called the same."""
    return f"{settings.type}.{name}"


def source_traits(settings: SourceSettings) -> SourceTraits:
    """Give what the configuration says of a source that its deliveries depend on."""
    return SourceTraits(
        venue=VenueDetails(
            timezone=_plain(settings.timezone),
            currency=_plain(settings.currency),
            country=_plain(settings.country),
        ),
        adults_only=settings.adults_only,
        products=settings.products > 0,
    )


def _plain(text: str | None) -> str | None:
    """Make a plain text of a setting's own type, which msgspec would refuse to encode."""
    return None if text is None else str(text)
