"""Decides what a play is made of: guests, bookings, and the messages in the order they are sent."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from pipeline.sandbox.answers import Document, Refused
from pipeline.sandbox.roller.data import Booking
from pipeline.sandbox.roller.invention import cancelled, changed, invent_booking, new_uuid
from pipeline.sandbox.roller.messages import Event, Message, Shape, Style, wire_time
from pipeline.sandbox.roller.people import invent_guest
from pipeline.sandbox.roller.tickets import with_tickets
from pipeline.sandbox.settings import RollerVenue

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
#: A guest without any booking became one before all bookings.
_LONGEST_AGO = 7200.0
#: Messages that are sent at the same time; the next ones follow when these are answered.
Step = tuple[Message, ...]


class Play(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/play` takes: first the bookings, then what becomes of the people.

    Messages of bookings: bookings + updates + cancellations + duplicates + out_of_order. Then one
    per change of a guest, deletion, redeemed booking and signed waiver; and if a subscription asks
    for customers, one per purchase and one per record that a waiver makes or changes.
    """

    bookings: Positive = 25
    #: of `bookings`: without a customer, as from the till
    no_customer: Count = 0
    #: of `bookings`: drafts; their one message is an Updated, as drafts have no Created
    drafts: Count = 0
    #: different guests; None for one per booking
    guests: Positive | None = None
    #: further changes, each to a booking picked at random, drafts excepted
    updates: Count = 0
    cancellations: Count = 0
    #: bookings that get a further change which is delivered before their Created
    out_of_order: Count = 0
    #: messages of bookings that are sent twice, half of them both at the same time
    duplicates: Count = 0
    #: over how many past days the bookings are made; 0 is the last two hours
    days: Count = 0
    #: True: passes have tickets, for subscriptions that include them, and for reports
    tickets: bool = False
    #: guests whose name, phone or birthday changes
    guest_changes: Count = 0
    #: guests whose consents change: each is given, taken away, or was given or refused first
    consent_changes: Count = 0
    #: guests who are deleted in the end, no one twice
    deletions: Count = 0
    #: bookings, neither drafts nor cancelled, whose tickets are all redeemed
    redemptions: Count = 0
    #: adults who sign a waiver, half of them guests who are known
    waivers: Count = 0
    #: of the waivers: how many minors they are signed for in all
    minors: Count = 0
    #: whose guests and bookings these are: the play's, or all that the venue has
    among: Literal["play", "venue"] = "play"
    #: of all messages: never sent
    lost: Share = 0.0
    #: of the others: sent once more, right after the first answer
    twice: Share = 0.0
    #: of the others: not sent before everything else was, and in any order
    late: Share = 0.0
    #: when this share of the messages is sent, the venue's subscriptions are switched off
    switch_off: Share | None = None
    shape: Literal["nested", "flat", "guest", "mixed"] = "nested"
    words: bool | Literal["mixed"] = False
    #: decides everything but the time; None takes the next unused one
    seed: int | None = None
    #: client_id; None for the first venue
    venue: str | None = None
    #: bookings whose messages are under way at the same time
    concurrency: Positive = 8
    #: where to and with which key, instead of the venue's subscriptions
    url: str | None = None
    key: str | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A play, ready to be performed."""

    guests: dict[int, Document]
    #: when each guest bought something last, in seconds since 1970
    bought: dict[int, float]
    #: every booking as it is in the end
    bookings: list[Booking]
    #: per booking the messages in the order of their delivery
    chains: list[list[Step]]


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which bookings, by their index, get what."""

    drafts: set[int]
    no_customer: set[int]
    out_of_order: set[int]
    cancellations: set[int]
    updates: Counter[int]


def write_script(
    play: Play, venue: RollerVenue, products: Sequence[Document], now: datetime, seed: int
) -> Script:
    """The script that belongs to this seed."""
    chance = random.Random(seed)
    plan = _plan(play, chance)
    guests = _guests(play, chance)
    customers, bought = list(guests), dict.fromkeys(guests, now.timestamp() - _LONGEST_AGO)
    bookings: list[Booking] = []
    chains: list[list[Step]] = []
    for index in range(play.bookings):
        customer = None if index in plan.no_customer else customers[index % len(customers)]
        created = now - timedelta(seconds=chance.uniform(3600, play.days * 86_400 or 7200))
        first = invent_booking(chance, venue, created, customer)
        first = with_tickets(first, products) if play.tickets else first
        history = _history(plan, index, first, venue)
        messages = _messages(play, chance, history, created)
        bookings.append(Booking(document=history[-1][1], happened=messages[-1].happened))
        if customer is not None:
            bought[customer] = max(bought[customer], created.timestamp())
        if index in plan.out_of_order:
            messages[0], messages[1] = messages[1], messages[0]
        chains.append([(message,) for message in messages])
    _duplicate(chains, play.duplicates, chance)
    return Script(guests=guests, bought=bought, bookings=bookings, chains=chains)


def _plan(play: Play, chance: random.Random) -> _Plan:
    special = play.drafts + play.no_customer
    live = play.bookings - play.drafts
    if special > play.bookings:
        raise Refused(400, "drafts and no_customer together are more than bookings")
    if max(play.cancellations, play.out_of_order, min(play.updates, 1)) > live:
        raise Refused(400, "not enough bookings for the cancellations, updates or out_of_order")
    order = chance.sample(range(play.bookings), play.bookings)
    reserved = order[play.drafts :]
    return _Plan(
        drafts=set(order[: play.drafts]),
        no_customer=set(order[play.drafts : special]),
        out_of_order=set(chance.sample(reserved, play.out_of_order)),
        cancellations=set(chance.sample(reserved, play.cancellations)),
        updates=Counter(chance.choice(reserved) for _ in range(play.updates)),
    )


def _guests(play: Play, chance: random.Random) -> dict[int, Document]:
    guests: dict[int, Document] = {}
    while len(guests) < (play.guests or play.bookings):
        customer_id = chance.randrange(10_000_000, 1_000_000_000)
        guests[customer_id] = invent_guest(chance, customer_id)
    return guests


def _history(
    plan: _Plan, index: int, first: Document, venue: RollerVenue
) -> list[tuple[Event, Document]]:
    """What happens to one booking, in the order in which it happens."""
    if index in plan.drafts:
        return [(Event.Updated, {**first, "status": "Draft"})]
    history = [(Event.Created, first)]
    for _ in range(plan.updates[index] + (index in plan.out_of_order)):
        history.append((Event.Updated, changed(history[-1][1], venue)))
    if index in plan.cancellations:
        history.append((Event.Cancelled, cancelled(history[-1][1])))
    return history


def _messages(
    play: Play, chance: random.Random, history: list[tuple[Event, Document]], created: datetime
) -> list[Message]:
    """One message per event, half a minute apart: in order however few digits a date has."""
    shapes: tuple[Shape, ...] = ("nested", "flat") if play.shape == "mixed" else (play.shape,)
    words = (True, False) if play.words == "mixed" else (play.words,)
    return [
        Message(
            id=new_uuid(chance),
            event=event,
            happened=wire_time(created + timedelta(seconds=30 * number), chance.randint(0, 7)),
            matter=document,
            booking=str(document["uniqueId"]),
            style=Style(shape=chance.choice(shapes), words=chance.choice(words)),
        )
        for number, (event, document) in enumerate(history)
    ]


def _duplicate(chains: list[list[Step]], wanted: int, chance: random.Random) -> None:
    """Sends some messages twice: alternately both at once, and once more at the end."""
    places = [(chain, at) for chain in chains for at in range(len(chain))]
    if wanted > len(places):
        raise Refused(400, "more duplicates than messages")
    for number, (chain, at) in enumerate(chance.sample(places, wanted)):
        if number % 2:
            chain.append(chain[at][:1])
        else:
            chain[at] = chain[at] * 2
