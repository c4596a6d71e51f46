"""`POST /_sandbox/play`: makes and changes bookings and sends their webhooks."""

import asyncio

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import reply
from pipeline.sandbox.roller.data import Venue
from pipeline.sandbox.roller.messages import Message
from pipeline.sandbox.roller.peer import ROLLER, Roller, chosen_targets
from pipeline.sandbox.roller.script import Play, Script, Step, write_script
from pipeline.sandbox.roller.sender import Attempt, counted

_decoder = msgspec.json.Decoder(Play)


async def play(request: web.Request) -> web.Response:
    """Answers when every message had its first attempt; failed ones are retried after that."""
    roller = request.app[ROLLER]
    wanted = _decoder.decode(await request.read() or b"{}")
    venue = roller.venue(wanted.venue)
    seed = next(roller.numbers) if wanted.seed is None else wanted.seed
    script = write_script(wanted, venue.settings, roller.now(), seed)
    venue.guests.update(script.guests)
    for booking in script.bookings:
        venue.keep(booking)
    attempts = await _Performance(roller, venue, wanted).perform(script)
    document = {
        "bookings": [booking.unique_id for booking in script.bookings],
        "messages": sum(len(step) for chain in script.chains for step in chain),
        "answers": counted(attempts),
    }
    return reply(document)


class _Performance:
    """Sends the messages of one play, several bookings at a time."""

    def __init__(self, roller: Roller, venue: Venue, play: Play) -> None:
        self._roller = roller
        self._venue = venue
        self._play = play
        self._places = asyncio.Semaphore(play.concurrency)
        self._attempts: list[Attempt] = []

    async def perform(self, script: Script) -> list[Attempt]:
        """All first attempts."""
        async with asyncio.TaskGroup() as group:
            for number, chain in enumerate(script.chains):
                group.create_task(self._follow(chain), name=f"play booking {number}")
        return self._attempts

    async def _follow(self, chain: list[Step]) -> None:
        async with self._places:
            for step in chain:
                sent = await asyncio.gather(*(self._send(message) for message in step))
                self._attempts += [attempt for attempts in sent for attempt in attempts]

    async def _send(self, message: Message) -> list[Attempt]:
        event = message.event.name if message.event else ""
        targets = chosen_targets(self._venue, message.kind, event, self._play.url, self._play.key)
        return await self._roller.send(self._venue, message, targets)
