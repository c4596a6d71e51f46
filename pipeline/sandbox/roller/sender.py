"""Delivers webhooks by the vendor's rules: what counts as success, when it tries again, when never.

https://docs.roller.app/docs/api/retry-logic-and-response-handling
"""

import asyncio
import io
from datetime import UTC, datetime

import aiohttp
import msgspec

from pipeline.sandbox.answers import Document
from pipeline.sandbox.clock import MovableClock
from pipeline.sandbox.roller.inclusion import EVERYTHING
from pipeline.sandbox.roller.messages import Message
from pipeline.sandbox.roller.subscription import Subscription

#: Seconds before the second to the seventh attempt: 1 min, 1 min, 15 min, 1 h, 1 day, 3 days.
WAITS = (60.0, 60.0, 900.0, 3600.0, 86_400.0, 259_200.0)
#: Any other status, 200 aside, gets the subscription reviewed by the vendor.
_RETRIED = (500, 503, 504)
_SUCCESS = 200


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message goes; `subscription` is None for an address given by hand."""

    url: str
    #: value of `x-roller-apikey`; None leaves the header out
    key: str | None
    subscription: Subscription | None = None
    include: frozenset[str] = EVERYTHING


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver a message."""

    at: float
    #: None without an answer; `note` says why
    status: int | None
    note: str = ""


class Delivery(msgspec.Struct, kw_only=True):
    """A message on its way to one target."""

    venue: str
    message: Message
    target: Target
    attempts: list[Attempt] = []
    #: waiting, delivered, failed (all attempts), dropped (its subscription was switched off)
    outcome: str = "waiting"

    def state(self) -> Document:
        """The delivery in `/_sandbox/state`."""
        subscription = self.target.subscription
        return {
            **summary(self.venue, self.message),
            "url": self.target.url,
            "webhookId": subscription.id if subscription else None,
            "attempts": self.attempts,
            "outcome": self.outcome,
        }


def summary(venue: str, message: Message) -> Document:
    """Which message it is, in `/_sandbox/state`."""
    return {
        "id": message.id,
        "type": message.kind,
        "event": message.event_name or None,
        "booking": message.booking,
        "customerId": message.customer,
        "venue": venue,
    }


class Sender:
    """Owns every delivery and the tasks that retry them."""

    def __init__(self, clock: MovableClock, *, retry_factor: float, answer_limit: float) -> None:
        self.deliveries: list[Delivery] = []
        #: answers that are neither success nor one of the statuses that ROLLER accepts
        self.reviews: list[Document] = []
        #: messages that a play lost: nobody ever tried to send them
        self.lost: list[Document] = []
        self._waits = [wait * retry_factor for wait in WAITS]
        self._answer_limit = aiohttp.ClientTimeout(total=answer_limit)
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Makes the client session; `close` ends it."""
        self._session = aiohttp.ClientSession(
            timeout=self._answer_limit,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Ends all deliveries under way."""
        tasks = list(self._tasks)
        self.reset()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def reset(self) -> None:
        """Stops retrying and forgets every delivery."""
        for task in self._tasks:
            task.cancel()
        self.deliveries.clear()
        self.reviews.clear()
        self.lost.clear()

    async def send(self, venue: str, message: Message, target: Target, *, retry: bool) -> Attempt:
        """Returns the first attempt; after a failed one, the others follow in the background."""
        delivery = Delivery(venue=venue, message=message, target=target)
        self.deliveries.append(delivery)
        attempt = await self._attempt(delivery)
        if delivery.outcome == "waiting" and not retry:
            delivery.outcome = "failed"
        elif delivery.outcome == "waiting":
            task = asyncio.create_task(self._retry(delivery), name=f"webhook {message.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return attempt

    async def _retry(self, delivery: Delivery) -> None:
        subscription = delivery.target.subscription
        # Whether what waited comes after all when it was switched off and on is not known; here
        # it never does.
        switched_off = subscription.switched_off if subscription else 0
        for wait in self._waits:
            await self._clock.sleep(wait)
            if subscription is not None and subscription.switched_off != switched_off:
                delivery.outcome = "dropped"
                return
            await self._attempt(delivery)
            if delivery.outcome == "delivered":
                return
        delivery.outcome = "failed"
        if subscription is not None:
            subscription.switch(on=False)

    async def _attempt(self, delivery: Delivery) -> Attempt:
        at = self._clock()
        status, note = await self._post(delivery)
        attempt = Attempt(at=at, status=status, note=note)
        delivery.attempts.append(attempt)
        if status == _SUCCESS:
            delivery.outcome = "delivered"
        elif status is not None and status not in _RETRIED:
            self.reviews.append({"id": delivery.message.id, "at": at, "status": status})
        return attempt

    async def _post(self, delivery: Delivery) -> tuple[int | None, str]:
        """The status of the answer, or None and what happened instead."""
        if self._session is None:
            raise RuntimeError("the sender is not open")
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if delivery.target.key is not None:
            headers["x-roller-apikey"] = delivery.target.key
        # As a file, because aiohttp warns of plain bytes from 1 MiB on.
        sent = datetime.fromtimestamp(self._clock(), UTC)
        body = io.BytesIO(delivery.message.body(sent, delivery.target.include))
        try:
            async with self._session.post(
                delivery.target.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.status, ""
        except TimeoutError:
            return None, "timeout"
        except (aiohttp.ClientError, OSError) as exc:
            return None, type(exc).__name__


def counted(attempts: list[Attempt]) -> dict[str, int]:
    """How many attempts ended in which status; those without an answer under their note."""
    counts: dict[str, int] = {}
    for attempt in attempts:
        answer = attempt.note if attempt.status is None else str(attempt.status)
        counts[answer] = counts.get(answer, 0) + 1
    return counts
