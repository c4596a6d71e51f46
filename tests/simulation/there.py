"""One Stampede of a history: each call is looked at as it arrives, and noted once it succeeded."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from pipeline.plugin import Call, Reply
from pipeline.sandbox.faults import Fault
from pipeline.sandbox.stampede.data import Guest, iso
from pipeline.simulation.network import Network, Outages
from pipeline.simulation.world import Receiver, World
from tests.simulation.model import CHANNELS, Model, Record, Told
from tests.simulation.now import now
from tests.simulation.steps import AtStampede

_REGISTRATION = "/registration"

#: The same of a guest, as the two kinds of call name it.
_CONSENTS = {"data": "dataOptIn", "email": "emailOptIn", "sms": "smsOptIn"}


class There:
    """A simulated Stampede, overheard."""

    def __init__(
        self, name: str, receiver: Receiver, world: World, model: Model, wrong: list[str]
    ) -> None:
        self.name = name
        self.model = model
        self.registers = receiver.mode == "registration"
        self.stampede = world.stampedes[name]
        self.network = _Heard(self, world)
        #: Which booking a registration is of, by when it was made: nothing else tells.
        self.made_at: dict[str, str] = {}
        self._wrong = wrong

    def complain(self, what: str) -> None:
        """Note that something is wrong here."""
        self._wrong.append(f"{now():.1f}: {self.name}: {what}")

    # --- What happens there ---

    def spoil(self, fault: Fault) -> None:
        """Spoil the next answers; but who asks for a registration again has not counted it."""
        if self.registers and fault.after and fault.kind.startswith("5"):
            fault = msgspec.structs.replace(fault, after=False)
        self.stampede.fault(fault)

    def happen(self, step: AtStampede) -> None:
        """Let a guest say what they want, or leave."""
        guests, at = self.stampede.peer.guests, iso(self.stampede.peer.clock())
        if step.leaves:
            if guest := self.guest(step.email):
                self.model.left.append((now(), step.email, _has(guest)))
                guests.remove(guest)
            return
        guest, made = guests.upsert(step.email)
        if made:
            self.model.wishes.append((now(), step.email, "all", False))
        guest.consent({step.channel: step.wanted}, "guest", at)
        self.model.wishes.append((now(), step.email, step.channel, step.wanted))

    def guest(self, email: str) -> Guest | None:
        """Find a guest."""
        guests = self.stampede.peer.guests.by_id.values()
        return next((one for one in guests if one.email == email), None)

    # --- What arrives there ---

    def check(self, call: Call) -> None:
        """Look at a request that arrives, before it has its effect."""
        if not _is_of_guest(call):
            return
        body = _body(call)
        guest, said, records = self.guest(body["email"]), _consent(body), self._records(body)
        for name in CHANNELS:
            if said[name] and not (guest and guest.opt_in_at[name]):
                exists, email = guest is not None, body["email"]
                if not any(
                    self.model.may_say_yes(email, one, name, exists=exists, now=now())
                    for one in records
                ):
                    self.complain(f"{email} is sent a yes for {name} by {records}")
        if "first" in body and not self._is_current(body, guest, said, records[0]):
            self.complain(f"{body['email']} is told old details: {body}")

    def _is_current(
        self, body: Mapping[str, Any], guest: Guest | None, said: dict[str, bool], record: Record
    ) -> bool:
        """Tell whether details are fresh, or need not be: an opt-out waits for nothing."""
        if self.model.is_current(record, body.get("first"), body.get("phone"), now()):
            return True
        had = [_has(guest)] if guest else []
        had += [
            one.consent for one in [x for x in self.model.told if x.email == body["email"]][-1:]
        ]
        takes_back = any(one[name] and not said[name] for one in had for name in CHANNELS)
        return takes_back or self.model.takes_back(record, now())

    def note_told(self, call: Call, left: float, reply: Reply) -> None:
        """Note that a guest's call was answered with success."""
        if _is_of_guest(call) and reply.status in (200, 201) and _has_id(reply.body):
            body = _body(call)
            self.model.told.append(
                Told(
                    left=left,
                    answered=now(),
                    email=body["email"],
                    record=next(iter(self._records(body)), ("nobody", "")),
                    consent=_consent(body),
                )
            )

    def _records(self, body: Mapping[str, Any]) -> Sequence[Record]:
        """Tell whose records a guest's call may speak for: it is in the name, if there is one.

        An opt-out has none; it can be of any record with this e-mail that says no: one that takes
        something back, or a further one of a person who was told.
        """
        if "first" in body:
            venue, customer, _ = body["first"].split()
            return [(venue, customer)]
        records = self.model.fetched
        mine = [one for one, said in records.items() if said[-1][1].email == body["email"]]
        return [one for one in mine if self.model.says_no(one, now())]

    def subjects(self, call: Call) -> set[str]:
        """Name the guest and the booking that a call is about, as far as it tells."""
        parts = urlsplit(call.url)
        found: set[str] = set()
        if parts.path.startswith("/v1/guests/"):
            guest_id = parts.path.split("/")[3]
            guest = self.stampede.peer.guests.by_id.get(guest_id)
            found.add(guest.email if guest else guest_id)
        found.update(parse_qs(parts.query).get("search", []))
        if call.body and not parts.path.startswith("/oauth"):
            body = _body(call)
            found.update(body[one] for one in ("email", "event_id", "createdAt") if one in body)
        return found

    # --- What a person sees there ---

    @property
    def registered(self) -> Counter[str]:
        """How often each booking was registered."""
        return Counter(
            self.made_at[str(one["createdAt"])] for one in self.stampede.peer.registrations
        )


class _Heard(Network):
    """The network, overheard."""

    def __init__(self, there: There, world: World) -> None:
        super().__init__(
            self._take,
            world.dice(f"network of {there.name}"),
            latency=world.setup.stampede,
            outages=Outages(),
        )
        self._there = there
        self._calls: dict[int, set[str]] = {}

    async def send(self, call: Call) -> Reply:
        left, subjects = now(), self._there.subjects(call)
        for others in self._calls.values():
            if both := others & subjects:
                self._there.complain(f"two requests under way for {both}")
        self._calls[id(call)] = subjects
        try:
            reply = await super().send(call)
        finally:
            self._calls.pop(id(call), None)
        self._there.note_told(call, left, reply)
        return reply

    async def _take(self, call: Call) -> Reply:
        self._there.check(call)
        return await self._there.stampede.take(call)

    def forget(self) -> None:
        """Forget what is under way: nobody waits for it any more."""
        self._calls.clear()


def _is_of_guest(call: Call) -> bool:
    return call.method == "POST" and urlsplit(call.url).path in {"/v1/guests", _REGISTRATION}


def _body(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(call.body or b"")
    return found


def _consent(body: Mapping[str, Any]) -> dict[str, bool]:
    if "privacy" not in body:
        return {name: body[field] for name, field in _CONSENTS.items()}
    privacy = body["privacy"]
    return {"data": privacy["data"], **privacy["marketing"]}


def _has(guest: Guest) -> dict[str, bool]:
    return {name: guest.opt_in_at[name] is not None for name in CHANNELS}


def _has_id(body: bytes) -> bool:
    try:
        return "id" in msgspec.json.decode(body)
    except (msgspec.DecodeError, TypeError):
        return False
