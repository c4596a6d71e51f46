"""The admin listener's routes for events and deliveries; the rows are those of the SQL views."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import orjson
from aiohttp import web
from msgspec import Meta, Struct

from pipeline.desk import Batch, Desk
from pipeline.model import DeliveryState, EventState
from pipeline.outbox import Changed

_T = TypeVar("_T", bound=Struct)

_MOST = 1000
_AS_A_RULE = 50

_LIMIT = re.compile(r"[0-9]{1,4}")
_ID = {"event": re.compile(r"e?([0-9]{1,18})"), "delivery": re.compile(r"d?([0-9]{1,18})")}


#: Microseconds; what SQLite can hold.
_Moment = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class RetryEvents(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events to retry; one answer covers some, and says how to go on."""

    state: Literal["parked"]
    source: str | None = None
    #: From the previous answer; absent the first time.
    before: _Moment | None = None


class RetryDeliveries(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to retry, likewise."""

    state: Literal["parked"]
    destination: str | None = None
    before: _Moment | None = None


def add_routes(app: web.Application, desk: Desk) -> None:
    """Add the routes that list, show, retry and drop, and those that retry all that is parked."""
    api = _Api(desk)
    app.router.add_get("/api/events", api.events)
    app.router.add_get("/api/events/{id}", api.event)
    app.router.add_post("/api/events/retry", api.retry_parked_events)
    app.router.add_post("/api/events/{id}/retry", _change("event", desk.retry_events))
    app.router.add_post("/api/events/{id}/drop", _change("event", desk.drop_events))
    app.router.add_get("/api/deliveries", api.deliveries)
    app.router.add_get("/api/deliveries/{id}", api.delivery)
    app.router.add_post("/api/deliveries/retry", api.retry_parked_deliveries)
    app.router.add_post("/api/deliveries/{id}/retry", _change("delivery", desk.retry_deliveries))
    app.router.add_post("/api/deliveries/{id}/drop", _change("delivery", desk.drop_deliveries))


class _Api:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def events(self, request: web.Request) -> web.Response:
        """List events: ?state=, ?source=, ?limit=."""
        query = _query(request, {"state", "source", "limit"})
        _one_of(query.get("state"), EventState)
        found = await self._desk.records.events(
            state=query.get("state"), source=query.get("source"), limit=_limit(query)
        )
        return _json(found)

    async def deliveries(self, request: web.Request) -> web.Response:
        """List deliveries: ?state=, ?destination=, ?reason= (a part of it), ?limit=."""
        query = _query(request, {"state", "destination", "reason", "limit"})
        _one_of(query.get("state"), DeliveryState)
        found = await self._desk.records.deliveries(
            state=query.get("state"),
            destination=query.get("destination"),
            reason=query.get("reason"),
            limit=_limit(query),
        )
        return _json(found)

    async def event(self, request: web.Request) -> web.Response:
        """Give an event and its deliveries."""
        return _found(await self._desk.records.event(_number(request, "event")))

    async def delivery(self, request: web.Request) -> web.Response:
        """Give a delivery and its attempts."""
        return _found(await self._desk.records.delivery(_number(request, "delivery")))

    async def retry_parked_events(self, request: web.Request) -> web.Response:
        """Retry some of the parked events."""
        asked = await decoded(request, RetryEvents)
        return _batch(await self._desk.retry_parked_events(asked.source, asked.before))

    async def retry_parked_deliveries(self, request: web.Request) -> web.Response:
        """Retry some of the parked deliveries."""
        asked = await decoded(request, RetryDeliveries)
        return _batch(await self._desk.retry_parked_deliveries(asked.destination, asked.before))


def _change(
    what: str, change: Callable[[Sequence[int]], Awaitable[Changed]]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        changed = await change([_number(request, what)])
        if not changed.ids:
            [reason] = changed.refused.values()
            raise refuse(404 if reason.startswith("there is no") else 409, reason)
        return _json({"changed": changed.ids})

    return handle


def refuse(status: int, reason: str) -> web.HTTPException:
    """Make the answer that says in a sentence why something is not done."""
    kinds: dict[int, type[web.HTTPException]] = {
        400: web.HTTPBadRequest,
        404: web.HTTPNotFound,
        409: web.HTTPConflict,
        503: web.HTTPServiceUnavailable,
    }
    body = orjson.dumps({"error": reason}).decode()
    return kinds[status](text=body, content_type="application/json")


async def decoded(request: web.Request, wanted: type[_T]) -> _T:
    """Read what is asked for; the refusal says what is wrong with it."""
    try:
        return msgspec.json.decode(await request.read(), type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise refuse(400, f"the body is not as it should be: {exc}") from exc


def _query(request: web.Request, known: set[str]) -> dict[str, str]:
    unknown = sorted(set(request.query) - known)
    if unknown:
        raise refuse(400, f"{unknown[0]}: not known; there are {', '.join(sorted(known))}")
    return dict(request.query)


def _one_of(state: str | None, states: type[EventState | DeliveryState]) -> None:
    if state is not None and state not in set(states):
        raise refuse(400, f"state: not one of {', '.join(states)}")


def _limit(query: dict[str, str]) -> int:
    text = query.get("limit", str(_AS_A_RULE))
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= _MOST:
        raise refuse(400, f"limit: not between 1 and {_MOST}")
    return int(text)


def _number(request: web.Request, what: str) -> int:
    found = _ID[what].fullmatch(request.match_info["id"])
    if found is None:
        raise refuse(404, f"that is no id of {'an event' if what == 'event' else 'a delivery'}")
    return int(found[1])


def _found(row: dict[str, Any] | None) -> web.Response:
    if row is None:
        raise refuse(404, "there is none with this id")
    return _json(row)


def _batch(batch: Batch) -> web.Response:
    return _json(msgspec.to_builtins(batch))


def _json(value: object) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
