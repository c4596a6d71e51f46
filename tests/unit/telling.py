"""A destination's teller on a real outbox, before a peer whose answers are made up."""

import io
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.attempt import Attempt
from pipeline.budget import Budget
from pipeline.config import RetryPolicy
from pipeline.destinations.stampede import Stampede, StampedeSettings
from pipeline.destinations.stampede.settings import Serial
from pipeline.feed import Feed
from pipeline.fetch import Occasion
from pipeline.gather import Gatherer, SourceTraits
from pipeline.hear import Hearing
from pipeline.intend import Intender
from pipeline.lane import Lane
from pipeline.log import Log
from pipeline.means import Means
from pipeline.model import Booking, Event, Guest
from pipeline.outbox import Intent
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.plugin import Call, Reply, VenueDetails
from pipeline.settings import Duration, Secret
from pipeline.tell import Teller
from pipeline.wire import current_recorder
from tests.fakes import FakeClock
from tests.outbox.support import LEASE, T0, arrival, lines
from tests.outboxes import place_outbox

TOKEN = "t0ken"


class Peer:
    """A session that has a token, records what leaves, and answers by `answer`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Reply | Exception] = lambda _: reply(200, {"id": "g-1"})
        #: What happens while the next request is under way.
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def call(self, call: Call) -> Reply:
        recorder = current_recorder()
        assert recorder is not None
        await recorder.leaving(call.method, call.url)
        self.calls.append(call)
        if self.meanwhile is not None:
            await self.meanwhile()
        answer = self.answer(call)
        if isinstance(answer, Exception):
            raise answer
        recorder.answered(answer.status)
        return answer

    def token(self) -> str | None:
        return TOKEN

    def keep_token(self, token: str, *, lifetime: float) -> None:
        raise AssertionError(token, lifetime)

    def drop_token(self, token: str) -> bool:
        raise AssertionError(token)


def reply(status: int, document: object) -> Reply:
    """Make an answer."""
    return Reply(status=status, body=msgspec.json.encode(document))


class Told(Struct, kw_only=True):
    """A teller and what surrounds it."""

    outbox: SqliteOutbox
    peer: Peer
    clock: FakeClock
    teller: Teller
    hearing: Hearing
    means: Means
    stampede: Stampede
    lanes: Mapping[str, Feed[int]]
    log: Log
    lines: io.StringIO
    budget: Budget

    async def owe(self, booking: Booking, *intents: Intent, key: str, guest: Guest | None) -> None:
        """Take in an event of a booking, and owe what it asks for."""
        event = await self.take_in(booking, key=key, guest=guest)
        await self.outbox.deliveries.settle(event, intents, now=self.clock.now())

    async def take_in(self, booking: Booking, *, key: str, guest: Guest | None) -> Event:
        """Take in an event of a booking, and fetch its guest."""
        now = self.clock.now()
        receipt = await self.outbox.intake.accept(arrival(key, booking=booking.id, at=now))
        [event] = await self.outbox.events.claim([receipt.event], now=now, until=now + LEASE)
        await self.outbox.events.learn_booking(event, booking)
        if guest is not None:
            await self.hearing.keep("leeds", guest, now, Occasion(event=event.id))
        return event

    async def transform(self, event: Event) -> None:
        """Make the deliveries that an event asks for."""
        enriched: Feed[Event] = Feed(1)
        intender = Intender(self.means, {"stampede": self.stampede}, enriched, self.lanes)
        await enriched.put(event)
        intender.stop()
        await intender.run()

    async def tell(self) -> bool:
        """Tell what goes next; False when nothing is owed that may go."""
        now = self.clock.now()
        delivery = await self.outbox.deliveries.claim(
            "stampede", lines(), now=now, until=now + LEASE
        )
        if delivery is None:
            return False
        attempt = Attempt("stampede", delivery.id, self.budget, self.outbox.ledger, self.clock)
        await self.teller.tell(delivery, attempt)
        attempt.settle()
        return True

    def said(self) -> list[dict[str, object]]:
        """Give the lines of the log."""
        self.log.flush()
        return [msgspec.json.decode(line) for line in self.lines.getvalue().splitlines()]


@asynccontextmanager
async def telling(
    path: Path, clock: FakeClock | None = None, **settings: Any
) -> AsyncIterator[Told]:
    """Open an outbox and make the teller of a Stampede with these settings."""
    clock = clock or FakeClock(now=T0)
    lines, peer = io.StringIO(), Peer()
    log = Log(clock, level="info", style="json", sink=lines)
    made = StampedeSettings(
        type="stampede",
        client_id="key",
        client_secret=Secret("secret"),
        venues={"leeds": Serial("A1B2C3D4E5F6")},
        **({"first_contact": "trust"} | settings),
    )
    venue = VenueDetails(timezone="Europe/London", currency="GBP", country="GB")
    traits = {"leeds": SourceTraits(venue=venue, adults_only=True)}
    async with open_outbox(place_outbox(path)) as outbox:
        budget = Budget(made.rate_limit, clock)
        means = Means(outbox=outbox, gatherer=Gatherer(outbox, traits), clock=clock, log=log)
        policy = RetryPolicy(first=Duration(2), max=Duration(3600))
        stampede = Stampede("stampede", made, peer)
        lanes = {"stampede": Feed[int](10)}
        teller = Teller(
            "stampede",
            stampede,
            budget=budget,
            lane=Lane(policy, clock, random.Random(1)),
            means=means,
            fetchers={},
        )
        yield Told(
            outbox=outbox,
            peer=peer,
            clock=clock,
            teller=teller,
            hearing=Hearing(means, {"stampede": stampede}, lanes),
            means=means,
            stampede=stampede,
            lanes=lanes,
            log=log,
            lines=lines,
            budget=budget,
        )
