"""Plays a history on the virtual clock, and compares what comes of it with the plain model."""

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from pipeline.clock import SECOND
from pipeline.errors import OutboxUnavailable
from pipeline.model import Action, Booking, Guest, GuestConsent, Phase
from pipeline.simulation import traffic
from pipeline.simulation.clock import MONDAY
from pipeline.simulation.loop import simulate
from pipeline.simulation.network import Latency, Network, Outages
from pipeline.simulation.roller import SimulatedRoller
from pipeline.simulation.world import Setup, World
from tests.simulation.books import look_through
from tests.simulation.differences import differences
from tests.simulation.model import Model, Record, Said
from tests.simulation.now import now
from tests.simulation.steps import (
    VENUES,
    AtStampede,
    Book,
    Case,
    Change,
    Crash,
    Outage,
    Restart,
    RetryByHand,
    RevokeTokens,
    SetClock,
    Spoil,
    Step,
)
from tests.simulation.there import There

_DAY = 86_400.0

#: Seconds until a venue sends a webhook again that nobody took.
_AGAIN = 60.0

#: Whoever has been forgotten by the network is not in anybody's way: a request takes less.
_DOWN = 5.0

#: Times that a person retries what is parked, once nothing is spoilt any more.
_RETRIES = 6

#: Each booking was made at a moment of its own, long before it all.
_MADE = datetime(2026, 11, 1, tzinfo=UTC)
_BOOKINGS = [(venue, booking) for venue in VENUES for booking in ("b0", "b1")]

_STATUS = {Phase.ACTIVE: "Confirmed", Phase.CANCELLED: "Cancelled", Phase.DRAFT: "Draft"}


def play(case: Case) -> list[str]:
    """Play a history to its end, and name what is wrong; deterministic."""

    async def main(folder: Path) -> list[str]:
        history = _History(case, folder)
        async with asyncio.timeout(60 * _DAY):
            await history.play()
        return history.wrong

    with tempfile.TemporaryDirectory(prefix="pipeline-history-") as folder:
        return simulate(main(Path(folder)))


class _History:
    """One history as it goes on."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.wrong: list[str] = []
        self.model = Model(trusting=case.first_contact == "trust")
        self._case = case
        setup = Setup(
            seed=case.seed,
            venues=len(VENUES),
            requests=20,
            per=300.0,
            receivers=case.receivers,
            first_contact=case.first_contact,
            tags=("status",),
            stampede=Latency(least=0.05, usual=0.5),
        )
        self._world = World(setup, folder)
        self._there: list[There] = []
        for name, receiver in zip(self._world.stampedes, case.receivers, strict=True):
            told = self.model.beside(receiver.venues or VENUES)
            there = There(name, receiver, self._world, told, self.wrong)
            self._world.networks[name] = there.network
            self._there.append(there)
        for venue in VENUES:
            self._world.rollers[venue] = _Telling(venue, self)
        self._sending: set[asyncio.Task[None]] = set()
        self._names = 0
        self._order = 0

    @property
    def world(self) -> World:
        """Where it plays."""
        return self._world

    async def play(self) -> None:
        """Play it, let all become quiet, and compare."""
        for guest in self._case.guests:
            self._change(guest)
        await self._world.machine.start()
        for step, pause in self._case.steps:
            await self._do(step)
            await asyncio.sleep(pause)
            self.wrong += await look_through(self._world.machine, self._pairs())
        await self._become_quiet()
        self.wrong += await look_through(self._world.machine, self._pairs())
        self.wrong += [wrong for there in self._there for wrong in differences(there)]
        await self._world.machine.stop()
        if self._world.refused():
            self.wrong.append(f"{self._world.refused()} requests were too many")
        complaints = self._world.machine.complaints.getvalue().splitlines()
        self.wrong += [line for line in complaints if "unexpected" in line]

    async def _do(self, step: Step) -> None:
        match step:
            case Book():
                self._book(step)
            case Change():
                self._change(step)
            case AtStampede():
                self._where(step.there).happen(step)
            case Spoil(fault=fault):
                self._where(step.there).spoil(fault)
            case RevokeTokens():
                self._where(step.there).stampede.peer.revoke_tokens()
            case Outage(peer=name, seconds=seconds):
                peer = self._peers().get(name) or self._there[0].network
                span = (now(), now() + seconds)
                peer.outages = Outages(spans=(*peer.outages.spans, span))
            case _:
                await self._do_to_us(step)

    async def _do_to_us(self, step: Step) -> None:
        machine = self._world.machine
        match step:
            case Crash(uses=uses, after=after, reboots=reboots):
                await self._crash(uses, after=after)
                if reboots:
                    machine.clock.reboot()
                await machine.start()
            case Restart():
                await machine.restart(_DOWN)
            case SetClock(seconds=seconds):
                if seconds < 0:
                    self.model.set_back.append(now())
                await machine.step(seconds)
            case RetryByHand():
                await self._retry_by_hand()
            case _:
                raise AssertionError(step)

    def _peers(self) -> Mapping[str, Network | SimulatedRoller]:
        return {**{one.name: one.network for one in self._there}, **self._world.rollers}

    def _where(self, there: int) -> There:
        return self._there[there % len(self._there)]

    def _pairs(self) -> list[tuple[str, str]]:
        return [(there.name, venue) for there in self._there for venue in there.model.venues]

    # --- At ROLLER ---

    def _change(self, step: Change) -> None:
        roller, record = self._world.rollers[step.venue], (step.venue, step.customer)
        guest = roller.guests.get(step.customer) or Guest(
            customer=step.customer, first=self._name(record), last="Example"
        )
        consent = GuestConsent(
            email=step.by_email or guest.consent.email, sms=step.by_sms or guest.consent.sms
        )
        guest = msgspec.structs.replace(
            guest,
            first=self._name(record) if step.named_anew else guest.first,
            phone=step.phone or guest.phone,
            email=guest.email if step.email is None else step.email or None,
            born={None: guest.born, False: None, True: date(2020, 1, 1)}[step.minor],
            consent=consent,
        )
        roller.guests[step.customer] = guest
        versions = self.model.versions.setdefault(record, [])
        if versions and versions[-1][0] == now():
            versions.pop()  # nobody can have seen it
        versions.append((now(), guest))
        if step.tells is not None:
            self._order += 1
            body = roller.change_of(self._order, step.customer, now=_at())
            self._start(self._tell(step.venue, body, wait=step.tells))

    def _name(self, record: Record) -> str:
        """Make a name that tells on the wire whose record it is."""
        self._names += 1
        return f"{record[0]} {record[1]} {self._names}"

    def _book(self, step: Book) -> None:
        self._order += 1
        booking = _booking(step)
        for there in self._there:
            there.made_at[_written(booking.created_at)] = booking.id
        body = self._world.rollers[step.venue].message(
            self._order, booking, Action.UPDATED, now=_at()
        )
        for copy in range(step.copies):
            self._start(self._send(step, body, now(), self._order, wait=step.late * (copy + 1)))

    async def _send(self, step: Book, body: bytes, at: float, order: int, *, wait: float) -> None:
        """Let a venue send a booking's webhook, and note when it can have been first."""
        await asyncio.sleep(wait)
        said = self.model.bookings.setdefault((step.venue, step.booking), [])
        if all(one.order != order for one in said):
            said.append(
                Said(
                    at=at,
                    order=order,
                    customer=step.customer,
                    phase=step.phase,
                    amount=step.amount * 100,
                    came=now(),
                )
            )
        await self._tell(step.venue, body, wait=0.0)

    async def _tell(self, venue: str, body: bytes, *, wait: float) -> None:
        """Let a venue send a webhook until it is taken."""
        await asyncio.sleep(wait)
        while True:
            try:
                _ = await self._world.machine.accept(venue, body)
            except OutboxUnavailable:
                await asyncio.sleep(_AGAIN)
            else:
                return

    # --- What happens to us ---

    async def _crash(self, uses: int, *, after: bool) -> None:
        machine = self._world.machine
        try:
            async with asyncio.timeout(_DOWN):  # nobody may use the disk for long
                await machine.crash(uses=uses, after=after)
        except TimeoutError:
            await machine.crash()
        self.model.crashes.append(now())
        for there in self._there:
            there.network.forget()
        await asyncio.sleep(_DOWN)

    async def _retry_by_hand(self) -> int:
        machine = self._world.machine
        at = machine.clock.now()
        if machine.outbox is None or machine.stages is None:
            return 0
        events = [row[0] for row in await machine.rows(_PARKED_EVENTS)]
        parked = await machine.rows(_PARKED_DELIVERIES)
        done = [row[0] for row in parked if self._is_done(*row[1:])]
        again = [row[0] for row in parked if row[0] not in done]
        repair = machine.outbox.repair
        _ = await repair.retry_events(events, now=at)
        _ = await repair.drop_deliveries(done, now=at)
        _ = await repair.retry_deliveries(again, now=at)
        machine.stages.wake()
        return len(events) + len(parked)

    def _is_done(self, destination: str, booking: str, reason: str) -> bool:
        """Look at Stampede whether a booking of unknown outcome is there."""
        there = next(one for one in self._there if one.name == destination)
        return reason == "unknown outcome" and there.registered[booking] > 0

    async def _become_quiet(self) -> None:
        """End all trouble, and let the time pass that everything takes."""
        for there in self._there:
            there.stampede.end_faults()
        for peer in self._peers().values():
            peer.outages = Outages()
        await asyncio.gather(*self._sending)
        for _ in range(_RETRIES):
            if not await self._world.finish(2 * _DAY):
                left = await self._world.machine.rows(_LEFT)
                self.wrong.append(f"still waiting after two quiet days: {left}")
                return
            if not await self._retry_by_hand():
                return
        self.wrong.append(f"parks again: {await self._world.machine.rows(_WHY)}")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


class _Telling(SimulatedRoller):
    """A ROLLER that notes what it has told."""

    def __init__(self, venue: str, history: _History) -> None:
        world = history.world
        super().__init__(world.dice(venue), latency=world.setup.roller, outages=Outages())
        self._venue = venue
        self._model = history.model

    async def fetch_guest(self, customer: str) -> Guest | None:
        guest = await super().fetch_guest(customer)
        if guest is not None:
            told = self._model.fetched.setdefault((self._venue, customer), [])
            told.append((now(), guest))
        return guest


_PARKED_DELIVERIES = """
    SELECT id, destination, booking, reason FROM delivery WHERE state = 'parked'
"""
_PARKED_EVENTS = "SELECT id FROM event WHERE state = 'parked'"
_WHY = "SELECT what, id, reason FROM parked"
_LEFT = """
    SELECT 'e' || id, state, reason FROM event WHERE state IN ('waiting', 'processing')
    UNION ALL
    SELECT 'd' || id, kind || ' ' || state, reason FROM delivery
    WHERE state IN ('waiting', 'sending')
"""


def _booking(step: Book) -> Booking:
    happening = traffic.Happening(at=0.0, booking=0, action=Action.CREATED, guest=0)
    return msgspec.structs.replace(
        traffic.booking(step.venue, happening),
        id=f"{step.venue}-{step.booking}",
        reference=step.booking,
        customer=step.customer,
        phase=step.phase,
        status=_STATUS[step.phase],
        total=Decimal(step.amount),
        created_at=_MADE + _BOOKINGS.index((step.venue, step.booking)) * timedelta(seconds=1),
    )


def _at() -> int:
    """Tell the time as ROLLER writes it."""
    return MONDAY + round(now() * SECOND)


def _written(at: datetime | None) -> str:
    """Write a time as a registration has it."""
    assert at is not None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
