"""Spends an allowance for requests that are not deliveries and that another process sends."""

from collections.abc import Mapping

import msgspec
import orjson
from aiohttp import web
from msgspec import Struct

from pipeline.api import refuse
from pipeline.budget import Budget
from pipeline.clock import SECOND, Clock, span
from pipeline.errors import Throttled
from pipeline.model import Outcome
from pipeline.outbox import Ending, Ledger, Opening
from pipeline.wire import TIMEOUT


class Spending(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that is about to leave; its path carries no personal data."""

    method: str
    path: str


class Purse:
    """The allowances of all destinations, and the ledger that they are kept in."""

    def __init__(self, budgets: Mapping[str, Budget], ledger: Ledger, clock: Clock) -> None:
        self._budgets = budgets
        self._ledger = ledger
        self._clock = clock

    def knows(self, destination: str) -> bool:
        """Tell whether there is such a destination."""
        return destination in self._budgets

    async def spend(self, destination: str, spending: Spending) -> None:
        """Take a slot for the request and write it down; Throttled when none may be had.

        The reserve is for what is urgent. The request counts as under way for as long as one may
        take, for whoever sends it may end without a word.
        """
        budget = self._budgets[destination]
        if budget.left() <= budget.reserved:
            per = span(float(budget.limit.per))
            raise Throttled(
                f"not asked: of {budget.allowed} requests in {per} only those are left "
                f"that are reserved for bookings ({budget.left()} of {budget.reserved})"
            )
        timeout = round(TIMEOUT * SECOND)
        now, boot = self._clock.now(), self._clock.boot()
        budget.lend(TIMEOUT)
        attempt = await self._ledger.open(
            Opening(
                destination=destination,
                delivery=None,
                method=spending.method,
                path=spending.path,
                at=now,
                boot=boot,
                boot_id=self._clock.boot_id,
                timeout=timeout,
            )
        )
        await self._ledger.close(
            Ending(
                attempt=attempt,
                outcome=Outcome.UNKNOWN,
                status=None,
                note="sent by hand: pipeline check or venues",
                at=now + timeout,
                boot=boot + timeout,
            )
        )


def add_routes(app: web.Application, purse: Purse) -> None:
    """Add the route by which a command asks a running daemon for a slot."""

    async def spend(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not purse.knows(name):
            raise refuse(404, f"there is no destination {name}")
        try:
            spending = msgspec.json.decode(await request.read(), type=Spending)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise refuse(400, f"the body is not as it should be: {exc}") from exc
        try:
            await purse.spend(name, spending)
        except Throttled as exc:
            raise refuse(409, exc.reason) from exc
        return web.Response(body=orjson.dumps({"spent": 1}), content_type="application/json")

    app.router.add_post("/api/destinations/{name}/attempts", spend)
