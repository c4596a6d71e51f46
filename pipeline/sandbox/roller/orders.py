"""Single changes at the simulated ROLLER, by hand or in a play, and the webhooks of them."""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.roller.data import Venue
from pipeline.sandbox.roller.messages import Event, Message, Shape, Style, wire_time
from pipeline.sandbox.roller.peer import ROLLER, Roller, chosen_targets
from pipeline.sandbox.roller.sender import Attempt, counted

#: Guests who are made by hand have numbers from here on.
FIRST_CUSTOMER = 1_000_000


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all orders have in common."""

    #: client_id; None for the first venue
    venue: str | None = None
    #: when it happens: `eventDate`, and the modified date of what is changed. None: now. A date
    #: before the newest of what it changes makes a message, and not a new truth
    event_date: str | None = None
    shape: Shape = "nested"
    words: bool = False
    send: bool = True
    #: where to and with which key, instead of the venue's subscriptions
    url: str | None = None
    key: str | None = None


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order."""

    #: what the caller is told, beside the messages
    answer: Document
    #: what the order is about
    messages: list[Message] = []
    #: what the vendor sends besides; an address given by hand does not get it
    beside: list[Message] = []


@dataclass(frozen=True, kw_only=True, slots=True)
class Hand:
    """Who carries out orders at a venue: a caller, or a play from its seed."""

    roller: Roller
    venue: Venue
    chance: random.Random
    #: makes the ids of messages
    ids: Callable[[], str]

    def customer_id(self) -> int:
        """A number that no guest has."""
        return FIRST_CUSTOMER + next(self.roller.numbers)

    def happened(self, order: Order) -> str:
        """The order's `eventDate`; raises `Refused` when it is none."""
        if order.event_date is None:
            return wire_time(self.roller.now(), 6)
        seconds(order.event_date)
        return order.event_date

    def at(self, order: Order) -> float:
        """The same as seconds since 1970."""
        return self.roller.clock() if order.event_date is None else seconds(order.event_date)

    def message(
        self,
        order: Order,
        kind: str,
        event: Event,
        matter: Document | list[Document],
        *,
        booking: str | None = None,
        customer: int | None = None,
    ) -> Message:
        """A message in the style that is ordered."""
        return Message(
            id=self.ids(),
            kind=kind,
            event=event,
            happened=self.happened(order),
            matter=matter,
            booking=booking,
            customer=customer,
            style=Style(shape=order.shape, words=order.words),
        )


_O = TypeVar("_O", bound=Order)
CarryOut = Callable[[Hand, _O], Deed]


def taking(order: type[_O], carry_out: CarryOut[_O]) -> Handler:
    """A handler that carries out the order in a request and sends what there is to send."""
    decoder = msgspec.json.Decoder(order)

    async def handle(request: web.Request) -> web.Response:
        return await _obey(request.app[ROLLER], decoder.decode(await request.read()), carry_out)

    return handle


async def _obey(roller: Roller, order: _O, carry_out: CarryOut[_O]) -> web.Response:
    venue = roller.venue(order.venue)
    chance = random.Random(next(roller.orders))
    # Not from the seed: a daemon that outlives a reset would take the same ids for duplicates.
    hand = Hand(roller=roller, venue=venue, chance=chance, ids=lambda: str(uuid.uuid4()))
    deed = carry_out(hand, order)
    attempts = await _send(roller, venue, order, deed) if order.send else []
    envelopes = [message.envelope(roller.now()) for message in deed.messages]
    told = {
        "message": envelopes[0] if envelopes else None,
        "messages": envelopes,
        "answers": counted(attempts),
    }
    return reply(deed.answer | told)


async def _send(roller: Roller, venue: Venue, order: Order, deed: Deed) -> list[Attempt]:
    attempts = []
    for message in deed.messages:
        targets = chosen_targets(venue, message.kind, message.event_name, order.url, order.key)
        attempts += await roller.send(venue, message, targets)
    for message in deed.beside if order.url is None and order.key is None else ():
        targets = chosen_targets(venue, message.kind, message.event_name)
        attempts += await roller.send(venue, message, targets)
    return attempts


def seconds(date: str) -> float:
    """An ISO 8601 time as seconds since 1970; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(date)
    except ValueError as exc:
        raise Refused(400, f"event_date {date} is not an ISO 8601 time") from exc
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
