"""Plays a history on the virtual clock, and compares what comes of it with the plain model."""

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from pipeline.clock import SECOND
from pipeline.errors import OutboxUnavailable
from pipeline.model import Action, Booking, Guest, GuestConsent, Phase
from pipeline.plugin import Call, Reply
from pipeline.sandbox.stampede.data import iso
from pipeline.simulation import traffic
from pipeline.simulation.clock import MONDAY
from pipeline.simulation.loop import simulate
from pipeline.simulation.network import Latency, Network, Outages
from pipeline.simulation.roller import SimulatedRoller
from pipeline.simulation.stampede import SimulatedStampede
from pipeline.simulation.world import Setup, World
from tests.simulation.books import look_through
from tests.simulation.model import CHANNELS, Model, Record, Said, Told, sendable
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

_HERE = "stampede-0"
_DAY = 86_400.0

#: Seconds until a venue sends a webhook again that nobody took.
_AGAIN = 60.0

#: Whoever has been forgotten by the network is not in anybody's way: a request takes less.
_DOWN = 5.0

#: Times that a person retries what is parked, once nothing is spoilt any more.
_RETRIES = 6

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
            first_contact=case.first_contact,
            tags=("status",),
            stampede=Latency(least=0.05, usual=0.5),
        )
        self._world = World(setup, folder)
        self._stampede = self._world.stampedes[_HERE]
        self._network = self._world.networks[_HERE] = _Heard(self)
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
            self.wrong += await look_through(self._world.machine)
        await self._become_quiet()
        self.wrong += await look_through(self._world.machine)
        self.wrong += self._differences()
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
                self._happen_there(step)
            case Spoil(fault=fault):
                self._stampede.fault(fault)
            case RevokeTokens():
                self._stampede.peer.revoke_tokens()
            case Outage(peer=peer, seconds=seconds):
                there = self._peers()[peer]
                span = (now(), now() + seconds)
                there.outages = Outages(spans=(*there.outages.spans, span))
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
        return {_HERE: self._network, **self._world.rollers}

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

    def _name(self, record: Record) -> str:
        """Make a name that tells on the wire whose record it is."""
        self._names += 1
        return f"{record[0]} {record[1]} {self._names}"

    def _book(self, step: Book) -> None:
        self._order += 1
        booking = _booking(step)
        body = self._world.rollers[step.venue].message(
            self._order, booking, Action.UPDATED, now=MONDAY + round(now() * SECOND)
        )
        for copy in range(step.copies):
            self._start(self._send(step, body, now(), self._order, wait=step.late * (copy + 1)))

    async def _send(self, step: Book, body: bytes, at: float, order: int, *, wait: float) -> None:
        """Let a venue send a webhook until it is taken, and note when it can have been first."""
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
        while True:
            try:
                _ = await self._world.machine.accept(step.venue, body)
            except OutboxUnavailable:
                await asyncio.sleep(_AGAIN)
            else:
                return

    # --- At Stampede ---

    def _happen_there(self, step: AtStampede) -> None:
        guests, at = self._stampede.peer.guests, iso(self._stampede.peer.clock())
        if step.leaves:
            for guest in [one for one in guests.by_id.values() if one.email == step.email]:
                had = {name: guest.opt_in_at[name] is not None for name in CHANNELS}
                self.model.left.append((now(), step.email, had))
                guests.remove(guest)
            return
        guest, made = guests.upsert(step.email)
        if made:
            self.model.wishes.append((now(), step.email, "all", False))
        guest.consent({step.channel: step.wanted}, "guest", at)
        self.model.wishes.append((now(), step.email, step.channel, step.wanted))

    def check_call(self, call: Call) -> None:
        """Look at a request that arrives, before it has its effect."""
        if not _is_guest(call):
            return
        body = msgspec.json.decode(call.body or b"")
        email, record, said = body["email"], self._record(body), _consent(body)
        guests = self._stampede.peer.guests.by_id.values()
        guest = next((one for one in guests if one.email == email), None)
        for name in CHANNELS:
            if said[name] and not (guest and guest.opt_in_at[name]):
                exists = guest is not None
                if not any(
                    self.model.may_say_yes(email, one, name, exists=exists, now=now())
                    for one in self._records(body)
                ):
                    self.wrong.append(f"{now():.1f}: {email} is sent a yes for {name} by {record}")
        had = [{one: guest.opt_in_at[one] is not None for one in CHANNELS}] if guest else []
        had += [one.consent for one in [x for x in self.model.told if x.email == email][-1:]]
        takes_back = any(one[name] and not said[name] for one in had for name in CHANNELS)
        current = self.model.is_current(record, body.get("first"), body.get("phone"), now())
        if "first" in body and not (current or takes_back or self.model.takes_back(record)):
            self.wrong.append(f"{now():.1f}: {email} is told old details: {body}")

    def note_told(self, call: Call, left: float, reply: Reply) -> None:
        """Note that a guest's call was answered with success."""
        if _is_guest(call) and reply.status in (200, 201) and _has_id(reply.body):
            body = msgspec.json.decode(call.body or b"")
            self.model.told.append(
                Told(
                    left=left,
                    answered=now(),
                    email=body["email"],
                    record=self._record(body),
                    consent=_consent(body),
                )
            )

    def _record(self, body: dict[str, Any]) -> Record:
        """Tell whose record a guest's call speaks for, as far as it can be told."""
        return next(iter(self._records(body)), ("nobody", ""))

    def _records(self, body: dict[str, Any]) -> list[Record]:
        """Tell whose records a guest's call may speak for: it is in the name, if there is one.

        An opt-out has none; it can be of any record with this e-mail that takes something back.
        """
        if "first" in body:
            venue, customer, _ = body["first"].split()
            return [(venue, customer)]
        records = self.model.fetched
        mine = [one for one, said in records.items() if said[-1][1].email == body["email"]]
        return [one for one in mine if self.model.takes_back(one)]

    def subjects(self, call: Call) -> set[str]:
        """Name the guest and the booking that a call is about, as far as it tells."""
        parts = urlsplit(call.url)
        found: set[str] = set()
        if parts.path.startswith("/v1/guests/"):
            guest_id = parts.path.split("/")[3]
            guest = self._stampede.peer.guests.by_id.get(guest_id)
            found.add(guest.email if guest else guest_id)
        found.update(parse_qs(parts.query).get("search", []))
        if call.body and parts.path.startswith("/v1/"):
            body = msgspec.json.decode(call.body)
            found.update(body[one] for one in ("email", "event_id") if one in body)
        return found

    # --- What happens to us ---

    async def _crash(self, uses: int, *, after: bool) -> None:
        machine = self._world.machine
        try:
            async with asyncio.timeout(_DOWN):  # nobody may use the disk for long
                await machine.crash(uses=uses, after=after)
        except TimeoutError:
            await machine.crash()
        self.model.crashes.append(now())
        self._network.forget()
        await asyncio.sleep(_DOWN)

    async def _retry_by_hand(self) -> int:
        machine = self._world.machine
        at = machine.clock.now()
        if machine.outbox is None or machine.stages is None:
            return 0
        events = [row[0] for row in await machine.rows(_PARKED.format("event"))]
        deliveries = [row[0] for row in await machine.rows(_PARKED.format("delivery"))]
        _ = await machine.outbox.repair.retry_events(events, now=at)
        _ = await machine.outbox.repair.retry_deliveries(deliveries, now=at)
        machine.stages.wake()
        return len(events) + len(deliveries)

    async def _become_quiet(self) -> None:
        """End all trouble, and let the time pass that everything takes."""
        self._stampede.end_faults()
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

    # --- In the end ---

    def _differences(self) -> list[str]:
        found: list[str] = []
        for (venue, name), said in self.model.newest().items():
            found += self._booking_differences(venue, name, said)
        for email in sorted({one for record in self.model.versions
                             for one in self.model.emails(record)}):  # fmt: skip
            found += self._guest_differences(email)
        return found

    def _booking_differences(self, venue: str, name: str, said: Said) -> list[str]:
        model, key = self.model, f"{venue}-{name}"
        guests = self._stampede.peer.guests.by_id
        there = {
            one.guest.email: (one.body["status"], one.body["amount"])
            for one in self._stampede.peer.bookings.all()
            if one.body["event_id"] == key and one.guest.id in guests
        }
        if said.phase is Phase.DRAFT:
            return []
        last = model.since((venue, said.customer), said.came) if said.customer else []
        holders = {one.email for one in last}
        # Who changed the e-mail has become somebody else, and that one keeps what it had.
        moved = {
            email
            for one in model.bookings[(venue, name)] if one.customer
            for email in model.emails((venue, one.customer))
            if model.changed_email((venue, one.customer))
        }  # fmt: skip
        wrong = [
            f"{key} is still {what} at {who}"
            for who, what in there.items()
            if what[0] != "cancelled" and who not in holders and who not in moved
        ]
        if said.phase is Phase.CANCELLED:
            wrong += [
                f"{key} is {what} at {who}, though it is cancelled"
                for who, what in there.items()
                if what[0] != "cancelled" and who in holders and who not in moved
            ]
        if not last or not all(map(sendable, last)):
            return wrong
        if any(model.has_left(email, said.came) for email in holders if email):
            return wrong
        status = "cancelled" if said.phase is Phase.CANCELLED else "active"
        held = [there[who] for who in there if who in holders]
        if said.phase is Phase.CANCELLED and not held and (there or moved):
            return wrong  # it was cancelled where it was told, and that guest may have left
        right = [what for what in held if what[0] == status]
        if said.phase is Phase.ACTIVE:
            right = [what for what in right if what[1] == said.amount]
        if not right:
            wrong.append(f"{key} should be {status} {said.amount} at {holders}: {there}")
        return wrong

    def _guest_differences(self, email: str) -> list[str]:
        model = self.model
        guest = next(
            (one for one in self._stampede.peer.guests.by_id.values() if one.email == email), None
        )
        allowed: set[tuple[str | None, str | None]] = set()
        must = False
        for record in model.versions:
            came = [
                said.came for (where, _), said in model.newest().items()
                if (where, said.customer) == record and said.phase is Phase.ACTIVE
            ]  # fmt: skip
            last = model.since(record, max(came) if came else 0.0)
            if not all(sendable(one) and one.email == email for one in last):
                last = model.since(record, 0.0)  # what was told before may have stayed
            allowed |= {(one.first, one.phone) for one in last if one.email == email}
            certain = all(sendable(one) and one.email == email for one in last)
            must |= bool(came) and certain and not model.has_left(email, max(came, default=0.0))
        if not must:
            return []
        if guest is None:
            return [f"{email} is not at Stampede"]
        wrong = []
        if (guest.profile.get("first"), guest.profile.get("phone")) not in allowed:
            wrong.append(f"{email} is {guest.profile}, not one of {allowed}")
        for name in CHANNELS:
            wanted = model.wanted(email, name)
            if wanted is not None and bool(guest.opt_in_at[name]) is not wanted:
                wrong.append(f"{email} has {name} {not wanted}, which ROLLER has changed")
        return wrong

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


class _Heard(Network):
    """The network, overheard."""

    def __init__(self, history: _History) -> None:
        world = history.world
        super().__init__(
            self._take,
            world.dice("network"),
            latency=world.setup.stampede,
            outages=Outages(),
        )
        self._history = history
        self._stampede: SimulatedStampede = world.stampedes[_HERE]
        self._calls: dict[int, set[str]] = {}

    async def send(self, call: Call) -> Reply:
        left, subjects = now(), self._history.subjects(call)
        for others in self._calls.values():
            if both := others & subjects:
                self._history.wrong.append(f"{left:.1f}: two requests under way for {both}")
        self._calls[id(call)] = subjects
        try:
            reply = await super().send(call)
        finally:
            self._calls.pop(id(call), None)
        self._history.note_told(call, left, reply)
        return reply

    async def _take(self, call: Call) -> Reply:
        self._history.check_call(call)
        return await self._stampede.take(call)

    def forget(self) -> None:
        """Forget what is under way: nobody waits for it any more."""
        self._calls.clear()


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


_PARKED = "SELECT id FROM {} WHERE state = 'parked'"
_WHY = "SELECT id, kind, reason FROM delivery WHERE state = 'parked'"
_LEFT = """
    SELECT 'e' || id, state, reason FROM event WHERE state IN ('waiting', 'processing')
    UNION ALL
    SELECT 'd' || id, kind || ' ' || state, reason FROM delivery
    WHERE state IN ('waiting', 'sending')
"""


def now() -> float:
    """Tell the time."""
    return asyncio.get_running_loop().time()


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
    )


def _is_guest(call: Call) -> bool:
    return call.method == "POST" and urlsplit(call.url).path == "/v1/guests"


def _consent(body: dict[str, Any]) -> dict[str, bool]:
    privacy = body["privacy"]
    return {"data": privacy["data"], **privacy["marketing"]}


def _has_id(body: bytes) -> bool:
    try:
        return "id" in msgspec.json.decode(body)
    except (msgspec.DecodeError, TypeError):
        return False
