"""Looks once an hour whether a source still sends its webhooks, and has it send again.

ROLLER switches a subscription off after seven failures, tells nobody who looks here, and never
sends what happened meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

import orjson
from aiohttp import web

from pipeline.api import refuse
from pipeline.clock import SECOND, Clock, iso
from pipeline.errors import Failure, Reject
from pipeline.fetch import Fetcher
from pipeline.log import Log
from pipeline.subscription import Look, Mend, Subscriptions, WebhookState

#: Seconds: each look is one of the calls that ROLLER counts by the month. The first is a little
#: after the start, so that one who starts it ten times in a row does not look ten times.
_EVERY = 3600.0
_AT_FIRST = 30.0
#: A list without ours is asked for once more before another is made: it may be ROLLER's slip, or
#: somebody may be replacing it just now.
_TO_BE_SURE = 300.0
#: After a failure; the same as an errand's that did not say.
_AGAIN = 300.0

#: Takes note that webhooks of this source may never come, since a time in microseconds.
Gap: TypeAlias = Callable[[str, int], None]

_LOST = {WebhookState.MISSING, WebhookState.DISABLED}
_SEEN = {WebhookState.REGISTERED, WebhookState.DISABLED, WebhookState.DIFFERS}
#: Nobody is called for these. A key that may not ask is told of in the status document.
_QUIET = {WebhookState.REGISTERED, WebhookState.UNKNOWN}


class Lookout:
    """The errand of one source; only a subscription that is switched off or missing is changed.

    One that differs may be meant so, and is told of. Missing is made where `public_url` says which
    address is ours; without it one that is surely ours (it has our key) is still switched on.
    """

    def __init__(
        self,
        source: str,
        subscriptions: Subscriptions,
        fetcher: Fetcher,
        *,
        heard: Callable[[], int | None],
        gap: Gap,
        clock: Clock,
        log: Log,
    ) -> None:
        self.name = f"webhook of {source}"
        self.state = WebhookState.UNKNOWN
        #: What was found, unless all is well; kept after a repair until the next look.
        self.note: str | None = None
        #: The same, where a person should know of it.
        self.trouble: str | None = None
        self._source = source
        self._subscriptions = subscriptions
        self._fetcher = fetcher
        self._heard = heard
        self._gap = gap
        self._clock = clock
        self._log = log
        self._lock = asyncio.Lock()
        self._due = clock.boot() + round(_AT_FIRST * SECOND)
        #: When the source was last heard of before it was lost; None while it is not lost.
        self._lost_since: int | None = None
        self._is_lost = False
        #: One was made that may not be listed yet, or ever; no second one is.
        self._has_made = False

    async def once(self) -> float:
        """Look if it is time to; a Failure when the source cannot be asked."""
        if self._clock.boot() >= self._due:
            await self.look()
        return max((self._due - self._clock.boot()) / SECOND, 0.001)

    async def look(self) -> None:
        """Look now, and repair; a Failure when the source cannot be asked."""
        async with self._lock:
            self._wait(_AGAIN)
            before = self.state
            look = await self._fetcher.ask(self._subscriptions.look)
            self._wait(_EVERY)
            self._learn(look)
            if look.mend is None or look.state not in _LOST:
                return
            if look.state is WebhookState.DISABLED:
                await self._repair(look.mend)
            elif before is not WebhookState.MISSING:
                self._wait(_TO_BE_SURE)
            elif not self._has_made:
                await self._repair(look.mend)

    def _wait(self, seconds: float) -> None:
        self._due = self._clock.boot() + round(seconds * SECOND)

    def _learn(self, look: Look) -> None:
        is_news = (look.state, look.note) != (self.state, self.note)
        self.state, self.note = look.state, look.note
        self.trouble = None if look.state in _QUIET else look.note
        if is_news:
            say = self._log.error if self.trouble else self._log.info
            say("webhook looked at", source=self._source, state=look.state, reason=look.note)
        if look.state in _SEEN:
            self._has_made = False
        if look.state in _LOST and not self._is_lost:
            self._is_lost, self._lost_since = True, self._heard()
        elif self._is_lost and look.state not in {*_LOST, WebhookState.UNKNOWN}:
            self._found()

    async def _repair(self, mend: Mend) -> None:
        is_new = mend.webhook is None
        try:
            mended = await self._fetcher.ask(lambda: self._subscriptions.mend(mend))
        except Failure as exc:
            self.note = self.trouble = f"{self.note}; it could not be repaired: {exc.reason}"
            if isinstance(exc, Reject):  # as long as nobody sees to it: at the next look again
                self._log.error("webhook not repaired", source=self._source, reason=exc.reason)
                return
            self._wait(_AGAIN)
            raise
        self._has_made |= is_new
        was, self.state = self.state, WebhookState.REGISTERED
        done = "made anew" if is_new else "switched on again"
        self.note = f"its webhook was {was}, and was {done} at {iso(self._clock.now())}"
        self.note += f"; {mended.note}" if mended.note else ""
        self.trouble = self.note
        self._log.warning("webhook repaired", source=self._source, webhook=mended.webhook, was=was)
        self._found()

    def _found(self) -> None:
        """Have asked for what happened while nothing came; with nothing before, nothing is lost."""
        since, self._is_lost, self._lost_since = self._lost_since, False, None
        if since is not None:
            self._gap(self._source, since)


def add_routes(app: web.Application, lookouts: Mapping[str, Lookout]) -> None:
    """Add the route by which a command that changed a subscription has it looked at."""

    async def look(request: web.Request) -> web.Response:
        lookout = lookouts.get(request.match_info["name"])
        if lookout is None:
            raise refuse(404, "there is no such source, or it has no webhooks to look at")
        try:
            await lookout.look()
        except Failure as exc:
            raise refuse(409, exc.reason) from exc
        found = {"webhook": str(lookout.state), "note": lookout.note}
        return web.Response(body=orjson.dumps(found), content_type="application/json")

    app.router.add_post("/api/sources/{name}/look", look)
