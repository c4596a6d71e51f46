"""Decides what a play is made of: guests, bookings, and the messages in the order they are sent."""

import random
from collections import Counter
from datetime import datetime, timedelta

import msgspec

from pipeline.sandbox.answers import Document, Refused
from pipeline.sandbox.roller.catalogue import Catalogue
from pipeline.sandbox.roller.data import Booking
from pipeline.sandbox.roller.invention import cancelled, changed, invent_booking, new_uuid
from pipeline.sandbox.roller.messages import Event, Message, Shape, Style, wire_time
from pipeline.sandbox.roller.people import invent_guest
from pipeline.sandbox.roller.playbill import Play
from pipeline.sandbox.roller.tickets import with_tickets
from pipeline.sandbox.settings import RollerVenue

#: A guest without any booking became one before all bookings.
_LONGEST_AGO = 7200.0
#: Messages that are sent at the same time; the next ones follow when these are answered.
Step = tuple[Message, ...]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A play, ready to be performed."""

    guests: dict[int, Document]
    #: when each guest bought something, in seconds since 1970; never empty
    bought: dict[int, list[float]]
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
    play: Play, venue: RollerVenue, catalogue: Catalogue, now: datetime, seed: int
) -> Script:
    """The script that belongs to this seed."""
    chance = random.Random(seed)
    plan = _plan(play, chance)
    guests = _guests(play, chance)
    customers, bought = list(guests), {number: list[float]() for number in guests}
    bookings: list[Booking] = []
    chains: list[list[Step]] = []
    for index in range(play.bookings):
        customer = None if index in plan.no_customer else customers[index % len(customers)]
        created = now - timedelta(seconds=chance.uniform(3600, play.days * 86_400 or 7200))
        first = invent_booking(chance, venue, created, customer)
        first = with_tickets(first, catalogue) if play.tickets else first
        history = _history(plan, index, first, venue)
        messages = _messages(play, chance, history, created)
        bookings.append(Booking(document=history[-1][1], happened=messages[-1].happened))
        if customer is not None:
            bought[customer].append(created.timestamp())
        if index in plan.out_of_order:
            messages[0], messages[1] = messages[1], messages[0]
        chains.append([(message,) for message in messages])
    _duplicate(chains, play.duplicates, chance)
    idle = [now.timestamp() - _LONGEST_AGO]
    bought = {number: times or idle for number, times in bought.items()}
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
