"""The sandbox's Stampede without HTTP: its own handlers, called in place of being sent to."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict, MultiDict

from pipeline.plugin import Call, Reply
from pipeline.sandbox.control import CONTROL
from pipeline.sandbox.control import Lost as LostAnswer
from pipeline.sandbox.faults import Fault
from pipeline.sandbox.settings import StampedeSettings
from pipeline.sandbox.stampede.app import stampede_app
from pipeline.sandbox.stampede.data import Guest, Guests
from pipeline.sandbox.stampede.peer import STAMPEDE, Stampede
from pipeline.simulation.network import Lost


class SimulatedStampede:
    """Takes calls as a server does: its allowance, tokens, validation, faults and answers.

    `clock` gives true seconds since 1970: a peer's clock is not ours, and is not stepped with it.
    """

    def __init__(self, settings: StampedeSettings, clock: Callable[[], float]) -> None:
        self._app = stampede_app(settings, clock)
        self._routes = list(_routes(self._app))
        self._nowhere = _guarded(self._app, _nowhere)
        self.peer: Stampede = self._app[STAMPEDE]
        self.peer.guests = _FoundByEmail(clock)

    def fault(self, fault: Fault) -> None:
        """Activate a fault."""
        self._app[CONTROL].faults.add(fault)

    def end_faults(self) -> None:
        """End all faults."""
        self._app[CONTROL].faults.clear()

    @property
    def requests(self) -> int:
        """How many requests have arrived, refused ones included."""
        return self._app[CONTROL].log.total

    def booking(self, event_id: str) -> tuple[object, object] | None:
        """Give status and amount of a booking as it was told last; None of one that was not."""
        found = [one for one in self.peer.bookings.all() if one.body["event_id"] == event_id]
        return (found[-1].body["status"], found[-1].body.get("amount")) if found else None

    async def take(self, call: Call) -> Reply:
        """Do what a call asks; Lost when the connection breaks in place of an answer."""
        parts = urlsplit(call.url)
        handler, found = self._find(call.method, parts.path)
        request = _Request(self._app, call, parts.path, parts.query, found)
        answer = await handler(cast("web.Request", request))
        if isinstance(answer, LostAnswer):
            raise Lost
        body = answer.body if isinstance(answer, web.Response) else b""
        pause = answer.headers.get("Retry-After")
        return Reply(
            status=answer.status,
            body=body if isinstance(body, bytes) else b"",
            retry_after=float(pause) if pause else None,
        )

    def _find(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]]:
        for known, pattern, handler in self._routes:
            if known == method and (found := pattern.fullmatch(path)):
                return handler, found.groupdict()
        return self._nowhere, {}


class _Request:
    """What the sandbox's handlers look at of an aiohttp request."""

    content_type = "application/json"
    transport = None

    def __init__(
        self,
        app: web.Application,
        call: Call,
        path: str,
        query: str,
        match_info: Mapping[str, str],
    ) -> None:
        self.app = app
        self.method = call.method
        self.path = path
        self.query_string = query
        self.path_qs = f"{path}?{query}" if query else path
        self.query = MultiDict(parse_qsl(query))
        self.headers = CIMultiDict(call.headers)
        self.match_info = match_info
        self._body = call.body or b""
        self._marks: dict[object, object] = {}

    async def read(self) -> bytes:
        """Give the body."""
        return self._body

    def __getitem__(self, key: object) -> object:
        return self._marks[key]

    def __setitem__(self, key: object, value: object) -> None:
        self._marks[key] = value


class _FoundByEmail(Guests):
    """Guests of whom a search by a whole e-mail finds one at once, for there may be many."""

    def matching(self, search: str) -> list[Guest]:
        """Find by a whole e-mail; else by any part of what is known, as the vendor does."""
        guest = self._by_email.get(search.lower())
        return [guest] if guest else super().matching(search) if "@" not in search else []


def _routes(app: web.Application) -> Iterator[tuple[str, re.Pattern[str], Handler]]:
    for route in app.router.routes():
        assert route.resource is not None  # noqa: S101 - the sandbox adds none without
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.resource.canonical)
        yield route.method, re.compile(pattern), _guarded(app, route.handler)


def _guarded(app: web.Application, handler: Handler) -> Handler:
    """Put the application's middlewares around a handler, as aiohttp does."""
    for middleware in reversed(app.middlewares):
        handler = functools.partial(cast("Any", middleware), handler=handler)
    return handler


async def _nowhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound
