"""`POST /_sandbox/play`: makes and changes bookings and people, and sends the webhooks."""

import asyncio
import random
from collections.abc import Coroutine, Iterable, Sequence

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import Document, reply
from pipeline.sandbox.roller.crowd import Turn, cast_of, write_turns
from pipeline.sandbox.roller.data import Venue
from pipeline.sandbox.roller.invention import new_uuid
from pipeline.sandbox.roller.messages import Message
from pipeline.sandbox.roller.orders import Deed, Hand, seconds
from pipeline.sandbox.roller.peer import ROLLER
from pipeline.sandbox.roller.playbill import Play
from pipeline.sandbox.roller.post import Post
from pipeline.sandbox.roller.purchases import purchases
from pipeline.sandbox.roller.script import Script, Step, write_script
from pipeline.sandbox.roller.sender import counted

_decoder = msgspec.json.Decoder(Play)


async def play(request: web.Request) -> web.Response:
    """Answers when every message had its first attempt; failed ones are retried after that."""
    roller = request.app[ROLLER]
    wanted = _decoder.decode(await request.read() or b"{}")
    venue = roller.venue(wanted.venue)
    seed = next(roller.numbers) if wanted.seed is None else wanted.seed
    script = write_script(wanted, venue.settings, venue.catalogue, roller.now(), seed)
    # Apart from the script's, so that the same bookings come of a seed whatever follows them.
    chance = random.Random(f"people {seed}")
    turns = write_turns(wanted, cast_of(wanted, script, venue), chance)
    _keep(venue, script)
    beside = purchases(script, chance)
    messages = sum(len(step) for chain in script.chains for step in chain)
    post = Post(roller, venue, wanted, seed=seed, expected=messages + len(turns))
    hand = Hand(roller=roller, venue=venue, chance=chance, ids=lambda: new_uuid(chance))
    performance = _Performance(post, hand, wanted.concurrency)
    deeds = await performance.perform(script, beside, turns)
    document: Document = {
        "bookings": [booking.unique_id for booking in script.bookings],
        "guests": list(script.guests),
        "messages": messages + sum(len(deed.messages) for deed in deeds),
        "answers": counted(post.attempts),
        **post.mishaps(),
        "people": [deed.answer for deed in deeds],
    }
    return reply(document)


class _Performance:
    """Several bookings at a time, then several people, then what is late."""

    def __init__(self, post: Post, hand: Hand, concurrency: int) -> None:
        self._post = post
        self._hand = hand
        self._places = asyncio.Semaphore(concurrency)
        self._deeds: list[Deed] = []

    async def perform(
        self, script: Script, beside: Sequence[Message | None], turns: Sequence[Turn]
    ) -> list[Deed]:
        """All that became of the people."""
        pairs = zip(script.chains, beside, strict=True)
        await self._all(self._follow(chain, purchase) for chain, purchase in pairs)
        await self._all(self._take(turn) for turn in turns)
        await self._post.hand_over_late()
        return self._deeds

    async def _all(self, works: Iterable[Coroutine[object, object, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for number, work in enumerate(works):
                group.create_task(work, name=f"play {number}")

    async def _follow(self, chain: list[Step], purchase: Message | None) -> None:
        async with self._places:
            for number, step in enumerate(chain):
                sending = [self._post.hand_over(message) for message in step]
                if number == 0 and purchase is not None:
                    sending.append(self._post.hand_over(purchase, beside=True))
                await asyncio.gather(*sending)

    async def _take(self, turn: Turn) -> None:
        async with self._places:
            deed = turn(self._hand)
            self._deeds.append(deed)
            for message in deed.messages:
                await self._post.hand_over(message)
            for message in deed.beside:
                await self._post.hand_over(message, beside=True)


def _keep(venue: Venue, script: Script) -> None:
    for customer, guest in script.guests.items():
        times = script.bought[customer]
        for at in (min(times), max(times)):
            venue.guests.put(customer, guest, at)
    for booking in script.bookings:
        venue.keep(booking, seconds(booking.happened))
