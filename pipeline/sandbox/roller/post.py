"""Hands the messages of a play to the sender, but for those to which something is to happen."""

import asyncio
import random

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.data import Venue
from pipeline.sandbox.roller.messages import Message
from pipeline.sandbox.roller.peer import Roller, chosen_targets
from pipeline.sandbox.roller.playbill import Play
from pipeline.sandbox.roller.sender import Attempt, Target, summary


class Post:
    """What happens to a message depends on the seed and on its id, not on when it comes."""

    def __init__(
        self, roller: Roller, venue: Venue, play: Play, *, seed: int, expected: int
    ) -> None:
        #: the first attempt at every target
        self.attempts: list[Attempt] = []
        self._roller = roller
        self._venue = venue
        self._play = play
        self._seed = seed
        self._late: list[tuple[Message, list[Target]]] = []
        self._counts = {"lost": 0, "twice": 0, "late": 0}
        #: messages until the subscriptions are switched off
        self._left = None if play.switch_off is None else round(play.switch_off * expected)

    def mishaps(self) -> Document:
        """How many messages each mishap had."""
        return dict(self._counts)

    async def hand_over(self, message: Message, *, beside: bool = False) -> None:
        """Sends a message, unless it is lost or late; `beside` goes to subscriptions only."""
        self._switch_off_in_time()
        targets = self._targets(message, beside=beside)
        if not targets:
            return
        chance = random.Random(f"{self._seed} {message.id}")
        lost, late, twice = chance.random(), chance.random(), chance.random()
        if lost < self._play.lost:
            self._counts["lost"] += 1
            lost_one = summary(self._venue.settings.client_id, message)
            self._roller.sender.lost.append(lost_one)
            return
        if twice < self._play.twice:
            self._counts["twice"] += 1
            targets = targets * 2
        if late < self._play.late:
            self._counts["late"] += 1
            self._late.append((message, targets))
        else:
            await self._send(message, targets)

    async def hand_over_late(self) -> None:
        """Sends what was held back, in any order; what was switched off meanwhile, never."""
        # By their random ids, for the order in which they came is not the seed's alone.
        late = sorted(self._late, key=lambda one: one[0].id)
        places = asyncio.Semaphore(self._play.concurrency)
        async with asyncio.TaskGroup() as group:
            for message, targets in late:
                open_ones = [t for t in targets if t.subscription is None or t.subscription.enabled]
                group.create_task(
                    self._send_in_turn(places, message, open_ones), name=f"late {message.id}"
                )

    async def _send_in_turn(
        self, places: asyncio.Semaphore, message: Message, targets: list[Target]
    ) -> None:
        async with places:
            await self._send(message, targets)

    async def _send(self, message: Message, targets: list[Target]) -> None:
        self.attempts += await self._roller.send(self._venue, message, targets)

    def _targets(self, message: Message, *, beside: bool) -> list[Target]:
        kind, event = message.kind, message.event_name
        if not beside:
            return chosen_targets(self._venue, kind, event, self._play.url, self._play.key)
        by_hand = self._play.url is not None or self._play.key is not None
        return [] if by_hand else chosen_targets(self._venue, kind, event)

    def _switch_off_in_time(self) -> None:
        if self._left is None:
            return
        if self._left == 0:
            for subscription in self._venue.subscriptions.values():
                subscription.switch(on=False)
        self._left -= 1
