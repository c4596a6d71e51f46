"""Tries everything that a ROLLER source needs, without changing anything."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from pipeline.errors import Failure, Unauthorized, Unreachable
from pipeline.findings import Finding, failed, fault, ok, warning
from pipeline.plugin import Reply, VenueDetails
from pipeline.sources.roller.permission import FORBIDDEN, KEYS, forbidden
from pipeline.sources.roller.settings import RollerSettings
from pipeline.sources.roller.subscriptions import judge_subscriptions
from pipeline.sources.roller.venue import read_listed_venue, read_venue

_OK = 200
_THROTTLED = 429

#: Nobody has these ids: a 404 shows that the key may ask, and no one's data is read.
_ENDPOINTS: Mapping[str, str] = {
    "GET /guests/{guestId}": "/guests/0",
    "GET /bookings/{uniqueId}": "/bookings/00000000-0000-0000-0000-000000000000",
}
#: What ROLLER answers for such an id is a 404; a 400 would be about the id, too.
_MAY_ASK = (_OK, 400, 404)
#: What ROLLER answers where there are no webhooks is not documented.
_MAY_LIST = (_OK, 204, 404)
_VENUE = "GET /venues/me"
_PRODUCTS = "GET /products"
#: A day of which there is nothing to read.
_DAY = "?startDate=2010-01-01&endDate=2010-01-02&pageNumber=1&pageSize=1"
_LOST = "without it nobody finds what no webhook tells"
#: By what is called: where, what comes of it if it may not be read, and the setting that does
#: without it.
_REPORTS: Mapping[str, tuple[str, str, str]] = {
    "GET /data/bookingitems": (f"/data/bookingitems{_DAY}", _LOST, "reconcile"),
    "GET /data/customers": (f"/data/customers{_DAY}", _LOST, "reconcile"),
    "GET /data/signedwaivers": (
        f"/data/signedwaivers{_DAY}",
        "without it no backfill begins, and who signed before is not known as a minor",
        "waivers",
    ),
}
_WEBHOOKS = "GET /webhooks"


class Peer(Protocol):
    """What is needed of the client."""

    async def authorise(self) -> str:
        """Give a token; Unauthorized when the credentials are refused."""

    async def ask(self, path: str) -> Reply:
        """Ask, and give any answer but a 401."""


class Examination:
    """One look at one venue; it ends early when nobody is there, or the credentials are refused."""

    def __init__(self, name: str, settings: RollerSettings, peer: Peer) -> None:
        self._name = name
        self._settings = settings
        self._peer = peer
        self._where = f"sources.{name}"

    async def findings(self) -> Sequence[Finding]:
        """Try one after the other."""
        found: list[Finding] = []
        try:
            _ = await self._peer.authorise()
            await self._endpoints(found)
        except Unauthorized as exc:
            advice = f"compare {self._where}.client_id and .client_secret with {KEYS}"
            found.append(failed("token", exc.reason, advice))
        except Failure as exc:
            what = "connection" if isinstance(exc, Unreachable) else "token"
            found.append(fault(what, exc, base_url=self._settings.base_url))
        else:
            found.insert(0, ok("token", "ROLLER takes the client id and secret"))
        return found

    async def _endpoints(self, found: list[Finding]) -> None:
        """Raises Unauthorized and Unreachable, which concern all of them."""
        found += await self._venue()
        for called, path in _ENDPOINTS.items():
            reply = await self._reply(called, path, fine=_MAY_ASK)
            found.append(reply if isinstance(reply, Finding) else ok(called, "the key may ask"))
        if self._settings.products:
            lacks = "without it bookings have no type, and add-ons count as people"
            found.append(await self._spared(_PRODUCTS, "/products", lacks, "products"))
        if self._settings.reconcile != "off":
            for called, (path, lacks, setting) in _REPORTS.items():
                if setting != "waivers" or self._settings.waivers:
                    found.append(await self._spared(called, path, lacks, setting))
        reply = await self._reply(_WEBHOOKS, "/webhooks", fine=_MAY_LIST)
        if isinstance(reply, Finding):
            found.append(reply)
        else:
            look = judge_subscriptions(reply.status, reply.body, self._name, self._settings)
            found += (look.finding, *look.warnings)

    async def _spared(self, called: str, path: str, lacks: str, setting: str) -> Finding:
        """Bookings go without it, so a refusal is no more than a warning."""
        reply = await self._reply(called, path)
        if not isinstance(reply, Finding):
            return ok(called, "the key may ask")
        advice = f'{reply.advice}; or set {self._where}.{setting} = "off"'
        return warning(called, f"{reply.note}; {lacks}", advice)

    async def _reply(
        self, called: str, path: str, *, fine: Collection[int] = (_OK,)
    ) -> Reply | Finding:
        """Give an answer of a status that is `fine`, or the finding that it is."""
        try:
            reply = await self._peer.ask(path)
        except (Unauthorized, Unreachable):
            raise
        except Failure as exc:
            return fault(called, exc, base_url=self._settings.base_url)
        status = reply.status
        if status == FORBIDDEN:
            return failed(called, *forbidden(reply, called))
        if status == _THROTTLED:
            return warning(called, "ROLLER asks for fewer requests (429)", "check again later")
        if status not in fine:
            return failed(called, f"ROLLER answered {status}", "check again later")
        return reply

    async def _venue(self) -> list[Finding]:
        reply = await self._reply(_VENUE, "/venues/me")
        if isinstance(reply, Finding):
            return [reply]
        try:
            theirs = read_venue(reply.body)
            name = read_listed_venue(reply.body, self._name).name
        except Failure as exc:
            return [fault(_VENUE, exc, base_url=self._settings.base_url)]
        return [ok(_VENUE, "the key may ask"), *self._details(name, theirs)]

    def _details(self, name: str, theirs: VenueDetails) -> Iterator[Finding]:
        """Compare what ROLLER says of the venue with the configuration, which goes first."""
        settings, told = self._settings, []
        for key in ("timezone", "currency", "country"):
            ours, said = getattr(settings, key), getattr(theirs, key)
            if ours is None and said is None:
                yield failed(
                    "venue",
                    f"ROLLER does not tell its {key}, and bookings wait for it",
                    f"set {self._where}.{key}",
                )
            elif ours is not None and said is not None and ours != said:
                yield warning(
                    "venue",
                    f"{key} is {said} at ROLLER and {ours} in the configuration, which is used",
                    f"remove {self._where}.{key}, unless ROLLER is wrong",
                )
            else:
                told.append(f"{ours} (configured)" if ours else said)
        if told:
            yield ok("venue", f"{name or 'without a name'}: {', '.join(told)}")
