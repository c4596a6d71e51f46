"""Whatever happens in whatever order, everything accepted is accounted for."""

import random
from pathlib import Path

import pytest

from pipeline.model import DeliveryState, EventState, Outcome, ToldBooking, ToldGuest
from pipeline.outbox import Intent, Learnt, Pick
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    LEASE,
    T0,
    TAG,
    arrival,
    conserved,
    intent,
    lines,
    look,
    sent,
)

_LEARNT = {
    "guest": Learnt(key="p", told=ToldGuest(remote_id="g")),
    "booking": Learnt(key="b", told=ToldBooking(guest="g", customer="c", payload_hash="h")),
    "tag": Learnt(key="p", told=ToldGuest(remote_id="g", tags=("t",))),
}
_PLANS: tuple[list[Intent], ...] = (
    [BOOKING, GUEST, TAG],
    [BOOKING, TAG],
    [BOOKING],
    [intent(state=DeliveryState.SKIPPED, reason="draft")],
    [intent(state=DeliveryState.PARKED, reason="amount")],
    [],
)


class _Walk:
    """Does at random what the stages do, and what happens to them."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.now = T0

    async def run(self) -> None:
        for _ in range(6):
            async with open_outbox(self.path) as outbox:
                await outbox.recover(now=self.now)
                for _ in range(25):
                    self.now += self.chance.choice([1, 1000, LEASE])
                    act = self.chance.choice([self.receive, self.enrich, self.deliver])
                    await act(outbox)
                    conserved(self.path)

    async def receive(self, outbox: SqliteOutbox) -> None:
        key, booking = self.chance.choice("abcdefghij"), self.chance.choice("xyz")
        at = T0 + self.chance.randrange(1000)
        await outbox.intake.accept(arrival(key * self.chance.randint(1, 3), booking=booking, at=at))

    async def enrich(self, outbox: SqliteOutbox) -> None:
        until = self.now + LEASE
        for event in await outbox.events.claim_due("leeds", now=self.now, until=until, limit=2):
            what = self.chance.choice(["settle", "settle", "settle", "park", "back", "crash"])
            if what == "settle":
                await outbox.deliveries.settle(event, self.chance.choice(_PLANS), now=self.now)
            elif what == "park":
                await outbox.events.finish(event.id, EventState.PARKED, "why", now=self.now)
            elif what == "back":
                await outbox.events.give_back(
                    event.id, due_at=self.now, reason="why", failed=True, now=self.now
                )

    async def deliver(self, outbox: SqliteOutbox) -> None:
        until = self.now + LEASE
        probe = self.chance.random() < 0.2
        pick = Pick.LEAST_TRIED if probe else self.chance.choice([Pick.FIRST, Pick.OLDEST])
        one = await outbox.deliveries.claim(
            "stampede", lines(), pick=pick, now=self.now, until=until
        )
        if one is None:
            return
        deliveries, now = outbox.deliveries, self.now
        ending = await sent(outbox, one, Outcome.OK)
        match self.chance.choice(["ok", "ok", "more", "park", "skip", "back", "guest", "crash"]):
            case "ok" | "more" as how:
                learnt, more = _LEARNT[one.kind], how == "more"
                await deliveries.succeed(one, [learnt], ending, more=more, now=now)
            case "park":
                await deliveries.close(one, DeliveryState.PARKED, "why", ending, now=now)
            case "skip":
                await deliveries.close(one, DeliveryState.SKIPPED, "why", None, now=now)
            case "back":
                await deliveries.give_back(
                    one, ending, due_at=now, reason="why", failed=True, now=now
                )
            case "guest" if one.kind != "guest":
                await deliveries.wait_for_guest(one, self.chance.choice("cd"), now=now)


@pytest.mark.parametrize("seed", range(4))
async def test_the_counters_are_the_rows_after_every_step(path: Path, seed: int) -> None:
    """`status` is believed; a count that is off by one once is believed no more."""
    await _Walk(path, seed).run()
    stuck = look(
        path,
        """SELECT d.id FROM delivery AS d JOIN delivery AS g ON g.id = d.waits_for
           WHERE d.state = 'waiting' AND g.state NOT IN ('waiting', 'sending')""",
    )
    assert stuck == [], "nothing waits for what has ended"
