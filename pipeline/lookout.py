"""Looks once an hour whether a source still sends its webhooks, and has it send again.

ROLLER switches a subscription off after seven failures, tells nobody who looks here, and never
sends what happened meanwhile.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

import msgspec
import orjson
from aiohttp import web
from msgspec import Struct

from pipeline.api import refuse
from pipeline.clock import SECOND, Clock, iso
from pipeline.errors import Failure, Reject
from pipeline.fetch import Fetcher
from pipeline.log import Log
from pipeline.outbox import KnownWebhooks, Webhooks
from pipeline.subscription import Look, Mend, Subscriptions, WebhookState, Whose

#: Seconds: each look is one of the calls that ROLLER counts by the month. The first is a little
#: after the start, so that one who starts it ten times in a row does not look ten times.
_EVERY = 3600.0
_AT_FIRST = 30.0
#: A list without ours is asked for once more before another is made: it may be ROLLER's slip, or
#: somebody may be replacing it just now.
_TO_BE_SURE = 300.0
#: After a failure; the same as an errand's that did not say.
_AGAIN = 300.0

#: Seconds after which ROLLER has given up what it tried to send all the while: seven times in four
#: days and an hour.
_GIVEN_UP = 4 * 86_400.0

_LOST = {WebhookState.MISSING, WebhookState.DISABLED}
_SEEN = {WebhookState.REGISTERED, WebhookState.DISABLED, WebhookState.DIFFERS}
#: Nobody is called for these. A key that may not ask is told of in the status document.
_QUIET = {WebhookState.REGISTERED, WebhookState.UNKNOWN}


class Missed(Struct, frozen=True, kw_only=True):
    """What is answered to a command that has found a subscription wanting."""

    #: Since when webhooks may be missing; None when none has ever come.
    since: str | None


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
        webhooks: Webhooks,
        gap_ended: Callable[[], None],
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
        self._webhooks = webhooks
        #: Called when what was missed can be asked for.
        self._gap_ended = gap_ended
        self._clock = clock
        self._log = log
        self._lock = asyncio.Lock()
        self._due = clock.boot() + round(_AT_FIRST * SECOND)
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
            await self._learn(look)
            self._wait(_EVERY)
            if look.mend is None or look.state not in _LOST:
                return
            if look.state is WebhookState.DISABLED:
                await self._repair(look.mend)
            elif before is not WebhookState.MISSING:
                self._wait(_TO_BE_SURE)
            elif not self._has_made:
                await self._repair(look.mend)

    async def miss(self) -> int | None:
        """Take note that not all webhooks come that are needed, until a look says otherwise.

        Gives since when; None when none has ever come.
        """
        await self._webhooks.miss(self._source)
        gap = (await self._webhooks.known(self._source)).gap
        return gap.since if gap else None

    def _wait(self, seconds: float) -> None:
        self._due = self._clock.boot() + round(seconds * SECOND)

    async def _learn(self, look: Look) -> None:
        is_news = (look.state, look.note) != (self.state, self.note)
        self.state, self.note = look.state, look.note
        self.trouble = None if look.state in _QUIET else look.note
        if is_news:
            say = self._log.error if self.trouble else self._log.info
            say("webhook looked at", source=self._source, state=look.state, reason=look.note)
        if look.state in _SEEN:
            self._has_made = False
        if look.state is WebhookState.REGISTERED:
            await self._sends(
                {str(one.id) for one in look.subscriptions
                 if one.whose is Whose.OURS and one.enabled and one.id is not None}
            )  # fmt: skip
        elif look.state is not WebhookState.UNKNOWN:
            await self._webhooks.miss(self._source)

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
        await self._sends(set() if mended.webhook is None else {str(mended.webhook)})

    async def _sends(self, by: Collection[str]) -> None:
        """Have asked for what happened while not all came, by these subscriptions, that is needed.

        It is noted first: whoever is asked may not answer for days, and we may crash.
        """
        known = await self._webhooks.known(self._source)
        if _was_interrupted(known, by, now=self._clock.now()):
            await self._webhooks.miss(self._source)
        await self._webhooks.seen(self._source, by, now=self._clock.now())
        gap = (await self._webhooks.known(self._source)).gap
        if gap and gap != known.gap:
            since, until = iso(gap.since), iso(gap.until or self._clock.now())
            self._log.warning("webhooks missed", source=self._source, since=since, until=until)
            self._gap_ended()


def _was_interrupted(known: KnownWebhooks, by: Collection[str], *, now: int) -> bool:
    """Tell whether webhooks may be lost although nobody has seen a subscription off or missing.

    Those of the last look are gone, so somebody has made another one; or we were away for so long.
    """
    last = max(known.heard_at or 0, known.seen_at or 0)
    is_another = bool(by) and bool(known.seen) and known.seen.isdisjoint(by)
    return is_another or 0 < last < now - round(_GIVEN_UP * SECOND)


def add_routes(app: web.Application, lookouts: Mapping[str, Lookout]) -> None:
    """Add the routes by which a command that changes a subscription tells it, and has it looked at.

    Told is only what was found wanting, before it is changed.
    """

    def found(request: web.Request) -> Lookout:
        lookout = lookouts.get(request.match_info["name"])
        if lookout is None:
            raise refuse(404, "there is no such source, or it has no webhooks to look at")
        return lookout

    async def miss(request: web.Request) -> web.Response:
        body = msgspec.json.encode(Missed(since=iso(await found(request).miss())))
        return web.Response(body=body, content_type="application/json")

    async def look(request: web.Request) -> web.Response:
        lookout = found(request)
        try:
            await lookout.look()
        except Failure as exc:
            raise refuse(409, exc.reason) from exc
        seen = {"webhook": str(lookout.state), "note": lookout.note}
        return web.Response(body=orjson.dumps(seen), content_type="application/json")

    app.router.add_post("/api/sources/{name}/miss", miss)
    app.router.add_post("/api/sources/{name}/look", look)
