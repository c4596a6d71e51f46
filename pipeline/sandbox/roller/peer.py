"""The simulated ROLLER as one object: its venues, their data, and the webhook sender."""

import itertools
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.clock import MovableClock
from pipeline.sandbox.roller.data import Venue, new_venue
from pipeline.sandbox.roller.messages import Message, wire_time
from pipeline.sandbox.roller.sender import Attempt, Sender, Target
from pipeline.sandbox.roller.subscription import Subscription
from pipeline.sandbox.settings import RollerSettings, WebhookTarget
from pipeline.sandbox.window import Clock

_ERROR_NAMES = {400: "Validation", 403: "INSUFFICIENT_SCOPE", 404: "NotFound"}


class Roller:
    """Everything that lives from one reset to the next."""

    def __init__(self, settings: RollerSettings, clock: Clock = time.time) -> None:
        #: those of the start; `settings` may be changed while it runs
        self.original = settings
        self.settings = settings
        self.clock = MovableClock(clock)
        self.sender = Sender(
            self.clock, retry_factor=settings.retry_factor, answer_limit=settings.answer_limit
        )
        self.venues: dict[str, Venue] = {}
        #: numbers of webhooks, of what is made by hand, and of plays without a seed
        self.numbers = itertools.count(1)
        #: of orders, each of which has dice of its own
        self.orders = itertools.count(1)
        self._tokens = itertools.count(1)
        self._found()

    def reset(self) -> None:
        """Only the venues and the subscriptions of the settings; no webhook is under way."""
        self.sender.reset()
        self.clock.restore()
        self.settings = self.original
        self.numbers = itertools.count(1)
        self.orders = itertools.count(1)
        self._found()

    def _found(self) -> None:
        self.venues = {
            venue.client_id: new_venue(venue, self.settings, self.clock)
            for venue in self.settings.venues
        }
        for target in self.settings.webhooks:
            self.subscribe(self.venues[target.venue], _configuration(target))

    def move(self, seconds: float) -> None:
        """Moves the time; going back begins all limits anew, as no request is of the future."""
        self.clock.move(seconds)
        if seconds < 0:
            for venue in self.venues.values():
                venue.window.clear()
                venue.report_window.clear()

    def now(self) -> datetime:
        """The clock's time."""
        return datetime.fromtimestamp(self.clock(), UTC)

    def venue(self, client_id: str | None) -> Venue:
        """The venue with this client_id, the first one for None; raises `Refused`."""
        if client_id is None:
            return next(iter(self.venues.values()))
        if client_id not in self.venues:
            raise Refused(400, f"venue {client_id} does not exist; give a client_id")
        return self.venues[client_id]

    def token(self, venue: Venue) -> str:
        """The venue's token: the same one again until it expires."""
        if venue.token_ends <= self.clock():
            venue.token = f"sandbox-roller-token-{next(self._tokens)}"
            venue.token_ends = self.clock() + self.settings.token_lifetime
        return venue.token

    def bearer(self, token: str) -> Venue | None:
        """The venue that a valid token belongs to."""
        for venue in self.venues.values():
            if token and token == venue.token and venue.token_ends > self.clock():
                return venue
        return None

    def subscribe(self, venue: Venue, configuration: Document) -> Subscription:
        """Registers a webhook."""
        number = next(self.numbers) + 1000
        subscription = Subscription(
            id=number, created=wire_time(self.now(), 7), configuration=configuration
        )
        venue.subscriptions[number] = subscription
        return subscription

    async def send(
        self, venue: Venue, message: Message, targets: Sequence[Target], *, retry: bool = True
    ) -> list[Attempt]:
        """The first attempt at each target."""
        client_id = venue.settings.client_id
        return [
            await self.sender.send(client_id, message, target, retry=retry) for target in targets
        ]

    def state(self) -> Document:
        """All that it holds."""
        venues = list(self.venues.items())
        return {
            "now": wire_time(self.now(), 6),
            "venues": [venue.state() for _, venue in venues],
            "guests": [
                {"venue": name, "customerId": number, **held.value}
                for name, venue in venues
                for number, held in venue.guests.held()
            ],
            "bookings": [
                {"venue": name, "eventDate": held.value.happened, "booking": held.value.document}
                for name, venue in venues
                for _, held in venue.bookings.held()
            ],
            "waivers": [
                {"venue": name, **held.value}
                for name, venue in venues
                for _, held in venue.waivers.held()
            ],
            "subscriptions": [
                {"venue": name, **subscription.document()}
                for name, venue in venues
                for subscription in venue.subscriptions.values()
            ],
            "messages": [delivery.state() for delivery in self.sender.deliveries],
            "lost": self.sender.lost,
            "reviews": self.sender.reviews,
        }

    def error(self, _: web.Request, status: int, message: str | list[str]) -> web.Response:
        """An error; only some statuses have a known shape, the others are not even JSON."""
        sentence = message if isinstance(message, str) else "; ".join(message)
        if status in _ERROR_NAMES:
            named = {"name": _ERROR_NAMES[status], "message": sentence}
            return reply({"errors": [named]}, status)
        return web.Response(text=sentence, status=status)


def chosen_targets(
    venue: Venue, kind: str, event: str, url: str | None = None, key: str | None = None
) -> list[Target]:
    """Where a message goes: an address given by hand, or the subscriptions that want the event.

    With only a url or only a key given, the other is that of the venue's first subscription.
    """
    subscribed = [_target(subscription, kind) for subscription in venue.subscriptions.values()]
    if url is None and key is None:
        return [t for t in subscribed if t.subscription and t.subscription.wants(kind, event)]
    first = subscribed[0] if subscribed else Target(url="", key=None)
    return [Target(url=url or first.url, key=key or first.key)]


def _target(subscription: Subscription, kind: str) -> Target:
    authentication = subscription.configuration["authentication"]
    return Target(
        url=str(subscription.configuration["url"]),
        key=authentication["apiKey"] if isinstance(authentication, dict) else None,
        subscription=subscription,
        include=subscription.included(kind),
    )


def _configuration(target: WebhookTarget) -> Document:
    webhooks: Document = {}
    for kind, events in target.events.items():
        include = {"include": dict.fromkeys(target.include.get(kind, ()), True)}
        webhooks[kind] = {"events": list(events)} | (include if kind in target.include else {})
    return {
        "url": target.url,
        "enabled": True,
        "authentication": {"apiKey": target.key},
        "webhooks": webhooks,
    }


ROLLER = web.AppKey("roller", Roller)
