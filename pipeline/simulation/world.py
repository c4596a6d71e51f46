"""A world to run the pipeline in: venues and their guests, and Stampede with its allowances."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from pipeline.clock import SECOND
from pipeline.config import Config, Outbox
from pipeline.errors import OutboxUnavailable
from pipeline.model import Action, Booking, DeliveryKind, DeliveryState, Origin, Phase, Priority
from pipeline.outbox import Intent
from pipeline.plugins import DESTINATIONS, SOURCES
from pipeline.sandbox.faults import Fault
from pipeline.sandbox.settings import StampedeSettings, StampedeVenue
from pipeline.settings import Duration, Keys, RateLimit, Secret
from pipeline.simulation.clock import MONDAY, VirtualClock
from pipeline.simulation.machine import Machine
from pipeline.simulation.network import Latency, Network, Outages
from pipeline.simulation.roller import VENUE, SimulatedRoller
from pipeline.simulation.stampede import SimulatedStampede
from pipeline.simulation.traffic import Happening, booking, guest
from pipeline.simulation.watch import Watch

#: Seconds until ROLLER sends a webhook again that nobody took.
_AGAIN = 60.0

#: Items of a backfill that are taken in together.
_AT_ONCE = 200

_CLIENT = "ai.stampede.marketplace.simulation"


class Receiver(Struct, frozen=True, kw_only=True):
    """One destination: how it is told, and of which venues."""

    mode: Literal["api", "registration"] = "api"
    #: None for all.
    venues: Sequence[str] | None = None


class Setup(Struct, frozen=True, kw_only=True):
    """What a world is like."""

    seed: int = 1
    venues: int = 1
    receivers: tuple[Receiver, ...] = (Receiver(),)
    #: Of each of them: what it allows, and what we are configured to keep.
    requests: int = 100
    per: float = 900.0
    reserve: int | None = None
    first_contact: Literal["check", "trust"] = "check"
    tags: tuple[Literal["source", "channel", "status"], ...] = ("source", "channel", "status")
    token_lifetime: int = 86_400
    #: How much faster our clocks run than Stampede's; NTP slews by up to 500 in a million.
    drift: float = 0.0
    #: What Stampede commits besides: errors, unexpected 429s, garbage, resets, no answers.
    faults: tuple[Fault, ...] = ()
    stampede: Latency = Latency()
    roller: Latency = Latency()
    stampede_outages: tuple[tuple[float, float], ...] = ()
    roller_outages: tuple[tuple[float, float], ...] = ()


class World:
    """All of it, made anew for each simulation; times are seconds of the simulation."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup = setup
        loop = asyncio.get_running_loop()
        self.venues = [f"venue-{n}" for n in range(setup.venues)]
        self.clock = VirtualClock(loop.time)
        self.watch = Watch()
        self.stampedes: dict[str, SimulatedStampede] = {}
        self._sent = 0
        self.networks: dict[str, Network] = {}
        for name in self._destinations():
            made = SimulatedStampede(self._sandbox(), self._their_time)
            for fault in setup.faults:
                made.fault(fault)
            self.stampedes[name] = made
            self.networks[name] = Network(
                made.take,
                self.dice(name),
                latency=setup.stampede,
                outages=Outages(spans=setup.stampede_outages),
            )
        self.rollers = {
            venue: SimulatedRoller(
                self.dice(venue),
                latency=setup.roller,
                outages=Outages(spans=setup.roller_outages),
            )
            for venue in self.venues
        }
        config = self._config(folder / "outbox.db")
        self.machine = Machine(
            config, self.rollers, self.networks, self.clock, self.watch, self.dice("machine")
        )

    def dice(self, purpose: str) -> random.Random:
        """Make dice of their own for each purpose, so that none depends on another's order."""
        return dice(self.setup.seed, purpose)

    async def play(self, venue: str, happenings: Sequence[Happening]) -> None:
        """Let things happen at a venue, each at its time."""
        loop = asyncio.get_running_loop()
        for one in happenings:
            await asyncio.sleep(max(one.at - loop.time(), 0.0))
            await self.happen(venue, one)

    async def happen(self, venue: str, one: Happening) -> None:
        """Let something happen at a venue now: ROLLER sends a webhook until it is taken."""
        body = self._message(venue, one)
        while True:
            try:
                _ = await self.machine.accept(venue, body)
            except OutboxUnavailable:
                await asyncio.sleep(_AGAIN)
            else:
                return

    def _message(self, venue: str, one: Happening) -> bytes:
        roller = self.rollers[venue]
        person = guest(venue, one.guest)
        roller.guests.setdefault(person.customer, person)
        self._sent += 1
        now = MONDAY + round(asyncio.get_running_loop().time() * SECOND)
        return roller.message(self._sent, booking(venue, one), Action(one.action), now=now)

    def _their_time(self) -> float:
        return MONDAY / SECOND + asyncio.get_running_loop().time() * (1 - self.setup.drift)

    def refused(self) -> int:
        """Tell how many requests Stampede has answered 429 because there were too many."""
        return sum(one.peer.window.refused for one in self.stampedes.values())

    async def owe(self, venue: str, happenings: Sequence[Happening]) -> None:
        """Owe what a backfill brings, in class 6: nothing else makes such deliveries yet."""
        outbox = self.machine.outbox
        assert outbox is not None  # noqa: S101 - the machine runs
        roller = self.rollers[venue]
        now = self.clock.now()
        await outbox.events.learn_venue(venue, VENUE, fetched_at=now)
        for start in range(0, len(happenings), _AT_ONCE):
            chosen = happenings[start : start + _AT_ONCE]
            part = [(one, self._message(venue, one)) for one in chosen]
            for one, _ in part:
                person = guest(venue, one.guest)
                await outbox.events.learn_guest(venue, person, fetched_at=now)
            ids = await asyncio.gather(
                *(self.machine.accept(venue, body, Origin.BACKFILL) for _, body in part)
            )
            for event in await outbox.events.claim(ids, now=now, until=now + SECOND):
                told = roller.booking(event)
                await outbox.events.learn_booking(event, told)
                await outbox.deliveries.settle(event, self._intents(venue, told), now=now)
        for deliverer in (self.machine.stages.deliverers if self.machine.stages else {}).values():
            deliverer.wake()

    def _intents(self, venue: str, told: Booking) -> list[Intent]:
        kinds = (DeliveryKind.BOOKING, DeliveryKind.GUEST)
        return [
            Intent(
                destination=name,
                kind=kind,
                state=DeliveryState.WAITING,
                priority=Priority.BACKFILL,
                customer=told.customer,
            )
            for name, receiver in self._destinations().items()
            if venue in self._venues(receiver)
            for kind in kinds
        ]

    async def finish(self, longest: float) -> bool:
        """Let time pass until nothing is owed, for so many seconds at most; tell whether it is."""
        until = asyncio.get_running_loop().time() + longest
        while await self._owed():
            if asyncio.get_running_loop().time() >= until:
                return False
            await asyncio.sleep(_AGAIN)
        return True

    def differences(self) -> list[str]:
        """Name the bookings that are not at every Stampede as they are at ROLLER."""
        return [
            f"{name} {booking.id}: {wanted} at ROLLER, {found}"
            for name, stampede in self.stampedes.items()
            for venue in self._venues(self._destinations()[name])
            for booking in self.rollers[venue].bookings.values()
            if (wanted := _state(booking)) != (found := stampede.booking(booking.id))
        ]

    async def _owed(self) -> int:
        outbox = self.machine.outbox
        if outbox is None:
            return 1
        counts = await outbox.overview.counts()
        return sum(one.n for one in counts if one.state in {"waiting", "processing", "sending"})

    def _destinations(self) -> Mapping[str, Receiver]:
        return {f"stampede-{n}": one for n, one in enumerate(self.setup.receivers)}

    def _venues(self, receiver: Receiver) -> Sequence[str]:
        return self.venues if receiver.venues is None else receiver.venues

    def _serials(self) -> Mapping[str, str]:
        return {venue: f"SIMULATED{n:03}" for n, venue in enumerate(self.venues)}

    def _sandbox(self) -> StampedeSettings:
        setup = self.setup
        return StampedeSettings(
            client_id=_CLIENT,
            client_secret="simulated",  # noqa: S106 - it opens nothing
            venues=tuple(StampedeVenue(id=s, name=v) for v, s in self._serials().items()),
            requests=setup.requests,
            per=setup.per,
            token_lifetime=setup.token_lifetime,
        )

    def _config(self, outbox: Path) -> Config:
        setup = self.setup
        secret = Secret("simulated")
        limit = RateLimit(requests=setup.requests, per=Duration(setup.per), reserve=setup.reserve)
        told: dict[str, Any] = {
            "rate_limit": limit,
            "first_contact": setup.first_contact,
            "tags": setup.tags,
        }
        return Config(
            outbox=Outbox(path=outbox),
            sources={
                venue: SOURCES["roller"](
                    type="roller", client_id=venue, client_secret=secret, webhook_key=Keys([secret])
                )
                for venue in self.venues
            },
            destinations={
                name: DESTINATIONS["stampede"](
                    type="stampede",
                    client_id=_CLIENT,
                    client_secret=secret,
                    **told,
                    **self._receives(receiver),
                )
                for name, receiver in self._destinations().items()
            },
        )

    def _receives(self, receiver: Receiver) -> dict[str, Any]:
        serials, registers = self._serials(), receiver.mode == "registration"
        return {
            "venues": {venue: serials[venue] for venue in self._venues(receiver)},
            "mode": receiver.mode,
            "registration_path": self._sandbox().registration_path if registers else None,
        }


def dice(seed: int, purpose: str) -> random.Random:
    """Make dice that fall the same way for the same seed and purpose."""
    return random.Random(f"{seed} {purpose}")


def _state(told: Booking) -> tuple[str, int] | None:
    """Give what Stampede should know of a booking; None of one that it need not."""
    status = "cancelled" if told.phase is Phase.CANCELLED else "active"
    return status, int((told.total or 0) * 100)
