"""Heeds what a source tells beside bookings: changed customers, redeemed tickets, signed waivers.

A part of the stage enrich. What such a message says of people is read once and not kept: of its
body only ids and dates stay.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from pipeline.chronicle import chronicle
from pipeline.clock import micros
from pipeline.errors import NotYet, Skip, Unreadable
from pipeline.fetch import Fetcher, Occasion, unknown_customer
from pipeline.means import Means
from pipeline.model import Action, Event, EventState, Kind, Minor, Origin
from pipeline.notice import Notices, Redeemed

#: The kinds of event that are heeded.
NOTICED = frozenset({Kind.CUSTOMER, Kind.REDEMPTION, Kind.SIGNED_WAIVER})

#: A booking's message may come after that of its tickets.
_TRIES_FOR_A_BOOKING = 6

#: Tickets of one message that are asked for in one try, which its lease would else not last for.
#: What is found for one has its booking's others.
_MOST_SEARCHES = 5

#: How far a message is whose other tickets a later try asks for, as the reason why it waits.
_SEARCHED = re.compile(r"so many tickets have been looked for: ([0-9]+) of [0-9]+")

#: Seconds until a guest is asked for again whom the source has no more: one 404 is no proof.
_BEFORE_BELIEVING = 300.0

DELETED = "the guest was deleted at ROLLER"


class Heeder:
    """Takes in the events of one source that are about no booking."""

    def __init__(
        self,
        name: str,
        notices: Notices,
        fetcher: Fetcher,
        means: Means,
        *,
        wants_visits: bool,
        know_venue: Callable[[], Awaitable[None]],
    ) -> None:
        self._name = name
        self._notices = notices
        self._fetcher = fetcher
        self._wants_visits = wants_visits
        self._know_venue = know_venue
        self._outbox = means.outbox
        self._clock = means.clock
        self._log = means.log

    def is_light(self, event: Event) -> bool:
        """Tell whether nothing is in the body that is not needed; not if it cannot be read."""
        with suppress(Unreadable):
            return self._notices.shrunk(event.kind, event.body) == event.body
        return False

    async def lighten(self, event: Event) -> Event:
        """Drop what is not needed of the body, and learn who is a minor, whoever is told of it."""
        if not event.body:
            raise Skip("nothing is left of the message")
        if event.kind is Kind.SIGNED_WAIVER:
            await self._learn_minors(event)
        body = self._notices.shrunk(event.kind, event.body)
        if body != event.body:
            await self._outbox.events.rewrite(event.id, body)
        return msgspec.structs.replace(event, body=body)

    async def heed(self, event: Event) -> Event | None:
        """Learn what the event's deliveries need; None when it has come to its end here.

        Raises Skip when it has none, and NotYet while it cannot be told.
        """
        match event.kind:
            case Kind.CUSTOMER:
                return await self._customer(event)
            case Kind.REDEMPTION:
                return await self._redemption(event)
            case _:
                await self._end(event, None)
                return None

    async def _end(self, event: Event, reason: str | None) -> None:
        now = self._clock.now()
        await self._outbox.events.finish(event.id, EventState.DONE, reason, now=now)
        about = {} if reason is None else {"reason": reason}
        self._log.info("done", event=event.id, source=self._name, **about)

    async def _learn_minors(self, event: Event) -> None:
        minors = {
            waived.customer: Minor(born=waived.born)
            for waived in self._notices.waived(event.body)
            if waived.is_for_minor and waived.customer is not None
        }
        await self._outbox.people.learn_minors(self._name, minors, at=event.as_of)

    async def _customer(self, event: Event) -> Event | None:
        """Fetch the guest, if there ever was a booking: whoever signs a waiver is a guest too.

        A backfill says of whom it is that they are to be told all the same.
        """
        customer = self._notices.customer(event.body)
        if event.origin is not Origin.BACKFILL and not await self._outbox.people.is_known(
            self._name, customer
        ):
            raise Skip("no booking")
        await self._know_venue()
        known = await self._outbox.facts.guest(self._name, customer)
        occasion = Occasion(event=event.id)
        fetched = known is not None and known.answers(event, self._clock.now())
        if fetched or await self._fetcher.guest(customer, occasion):
            return msgspec.structs.replace(event, customer=customer)
        if event.action is Action.CREATED:
            raise unknown_customer(event.attempts)
        once = "the source does not know the customer any more"
        first = "their opt-out goes first"
        believed = event.reason in {once, first}
        if not believed or not await self._knows_others(customer, occasion):
            raise NotYet(once, after=_BEFORE_BELIEVING)
        if await self._outbox.people.opts_out(self._name, customer):
            raise NotYet(first, after=_BEFORE_BELIEVING)
        erased = await self._outbox.people.erase(
            self._name,
            customer,
            DELETED,
            named_in=await self._named_in(customer),
            now=self._clock.now(),
        )
        chronicle(self._log, erased)
        await self._end(event, DELETED)
        return None

    async def _named_in(self, customer: str) -> Sequence[int]:
        """Find what has parked that names a customer, whatever else it may say."""
        found: list[int] = []
        after = 0
        while page := await self._outbox.people.parked(self._name, customer, after=after):
            found += [event for event, body in page if self._notices.names(body, customer)]
            after = page[-1][0]
        return found

    async def _knows_others(self, customer: str, occasion: Occasion) -> bool:
        """Tell whether the source still knows somebody else, if there is anybody.

        One that answers 404 to every question has lost its way, and not its guests.
        """
        others = await self._outbox.people.others(self._name, customer)
        for other in others:
            if await self._fetcher.guest(other, occasion):
                return True
        return not others

    async def _redemption(self, event: Event) -> Event:
        """Find the bookings that somebody came to."""
        redeemed = self._notices.redeemed(event.body)
        if not self._wants_visits:
            raise Skip("not used")
        await self._know_venue()
        bookings = await self._bookings(event, redeemed)
        visited = [one for one in bookings if await self._know_booking(event, one)]
        if not visited:
            raise Skip("no booking with this ticket")
        for booking in visited:
            at = bookings[booking]
            await self._outbox.visits.learn(self._name, booking, at=at, event=event.id)
        return msgspec.structs.replace(event, visited=tuple(visited))

    async def _bookings(self, event: Event, redeemed: Sequence[Redeemed]) -> Mapping[str, int]:
        """Give the bookings of these tickets, and when somebody came to each."""
        tickets = [one.ticket for one in redeemed]
        found = dict(await self._outbox.visits.of_tickets(self._name, tickets))
        missing = [ticket for ticket in tickets if ticket not in found]
        if missing and event.attempts + 1 < _TRIES_FOR_A_BOOKING:
            raise NotYet("no booking with this ticket is known yet")
        if missing:
            found |= await self._search(event, tickets)
        came: dict[str, int] = {}
        for one in redeemed:
            if booking := found.get(one.ticket):
                at = event.as_of if one.at is None else one.at
                came[booking] = min(at, came.get(booking, at))
        return came

    async def _search(self, event: Event, tickets: Sequence[str]) -> Mapping[str, str]:
        """Ask for the bookings of those tickets that are not known, and give what is known then.

        Raises NotYet when others are left to a later try.
        """
        begun = _SEARCHED.fullmatch(event.reason or "")
        asked = 0
        for place in range(int(begun[1]) if begun else 0, len(tickets)):
            ticket = tickets[place]
            # Whatever was found for the one before may have this one too.
            if await self._outbox.visits.of_tickets(self._name, [ticket]):
                continue
            if asked == _MOST_SEARCHES:
                raise NotYet(f"so many tickets have been looked for: {place} of {len(tickets)}")
            asked += 1
            if booking := await self._fetcher.booking_of(ticket):
                await self._know_ticket(event, booking, ticket)
        return await self._outbox.visits.of_tickets(self._name, tickets)

    async def _know_ticket(self, event: Event, booking: str, ticket: str) -> None:
        """Learn that a ticket is of a booking, also where that had told of no tickets."""
        if await self._know_booking(event, booking):
            known = await self._outbox.facts.booking(self._name, booking)
            if known is not None:
                its = msgspec.structs.replace(known.booking, tickets=(ticket,))
                await self._outbox.visits.learn_booking(event, its, as_of=known.occurred_at)

    async def _know_booking(self, event: Event, booking: str) -> bool:
        """Learn a booking and its guest where they are not known, or not any more."""
        known = await self._outbox.facts.booking(self._name, booking)
        found = known.booking if known else await self._fetcher.booking(booking)
        if found is None:
            return False
        if known is None:
            made = 0 if found.created_at is None else micros(found.created_at)
            await self._outbox.visits.learn_booking(event, found, as_of=made)
        if found.customer and await self._outbox.facts.guest(self._name, found.customer) is None:
            await self._fetcher.guest(found.customer, Occasion(event=event.id))
        return True
