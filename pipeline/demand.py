"""The admin listener's routes for reconciliation and backfill, on demand."""

import re
from collections.abc import Awaitable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from pipeline.api import decoded, refuse
from pipeline.errors import OutboxUnavailable, PipelineError
from pipeline.model import Origin
from pipeline.outbox import Run, Sweeps
from pipeline.runs import run_status, with_waits
from pipeline.status import RunStatus
from pipeline.survey import Survey
from pipeline.sweeper import Sweeper, Wrong

_ID = re.compile(r"[0-9]{1,18}")


class AskReconcile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be reconciled; what is left out is as it would be at night."""

    #: None for all.
    source: str | None = None
    #: The venue's own days.
    since: date | None = None
    until: date | None = None
    #: Only count what would be taken in.
    dry_run: bool = False


class AskBackfill(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be imported for the first time."""

    since: date
    source: str | None = None
    until: date | None = None
    guests_only: bool = False
    dry_run: bool = False


class Begun(Struct, frozen=True, kw_only=True):
    """What was begun, by source."""

    begun: tuple[RunStatus, ...]


class Surveyed(Struct, frozen=True, kw_only=True):
    """How much a backfill would be, by source."""

    surveys: dict[str, Survey]


async def look(sweepers: Mapping[str, Sweeper], asked: AskBackfill) -> Surveyed:
    """Look how much a backfill would be; raises Wrong before anything is asked, or Failure."""
    chosen, how = _chosen(sweepers, asked)
    plans = [(one, await one.plan(Origin.BACKFILL, **how)) for one in chosen]
    return Surveyed(surveys={one.source: await one.survey(plan) for one, plan in plans})


async def begin(
    sweepers: Mapping[str, Sweeper], origin: Origin, asked: AskReconcile | AskBackfill
) -> list[Run]:
    """Begin what is asked for at one source, or at all; at none, if it makes no sense at one.

    Raises Wrong.
    """
    chosen, how = _chosen(sweepers, asked)
    for sweeper in chosen:
        await sweeper.plan(origin, **how)
    return [await sweeper.begin(origin, **how) for sweeper in chosen]


def _chosen(
    sweepers: Mapping[str, Sweeper], asked: AskReconcile | AskBackfill
) -> tuple[Sequence[Sweeper], dict[str, Any]]:
    """Tell who is to do it, and how; raises Wrong."""
    if asked.source is not None and asked.source not in sweepers:
        known = ", ".join(sweepers) or "none"
        raise Wrong(f"source: {asked.source} is none that can be asked; there is {known}")
    chosen = [sweepers[asked.source]] if asked.source else list(sweepers.values())
    how: dict[str, Any] = {"since": asked.since, "until": asked.until, "dry_run": asked.dry_run}
    if isinstance(asked, AskBackfill):
        how["guests_only"] = asked.guests_only
    return chosen, how


def add_routes(app: web.Application, sweepers: Mapping[str, Sweeper], sweeps: Sweeps) -> None:
    """Add the routes that begin a run, and the one that tells of it."""
    api = _Api(sweepers, sweeps)
    app.router.add_post("/api/reconcile", api.reconcile)
    app.router.add_post("/api/backfill", api.backfill)
    app.router.add_post("/api/backfill/estimate", api.estimate)
    app.router.add_get("/api/reconcile/{id}", api.run)


class _Api:
    def __init__(self, sweepers: Mapping[str, Sweeper], sweeps: Sweeps) -> None:
        self._sweepers = sweepers
        self._sweeps = sweeps

    async def reconcile(self, request: web.Request) -> web.Response:
        """Begin a reconciliation."""
        return await self._begin(Origin.RECONCILE, await decoded(request, AskReconcile))

    async def backfill(self, request: web.Request) -> web.Response:
        """Begin a backfill."""
        return await self._begin(Origin.BACKFILL, await decoded(request, AskBackfill))

    async def estimate(self, request: web.Request) -> web.Response:
        """Tell how much a backfill would be; its requests are among those of the daemon's own."""
        return await _told(look(self._sweepers, await decoded(request, AskBackfill)))

    async def run(self, request: web.Request) -> web.Response:
        """Tell how far a run is."""
        text = request.match_info["id"]
        run = await self._sweeps.run(int(text)) if _ID.fullmatch(text) else None
        if run is None:
            raise refuse(404, "there is none with this id")
        told = run_status(run, await self._sweeps.parts(run.source))
        sweeper = self._sweepers.get(run.source)
        return _json(await with_waits(told, sweeper.room) if sweeper else told)

    async def _begin(self, origin: Origin, asked: AskReconcile | AskBackfill) -> web.Response:
        return await _told(self._begun(origin, asked))

    async def _begun(self, origin: Origin, asked: AskReconcile | AskBackfill) -> Begun:
        return Begun(begun=tuple(map(run_status, await begin(self._sweepers, origin, asked))))


async def _told(found: Awaitable[Struct]) -> web.Response:
    """Answer with what is found, or with the sentence that says why there is nothing."""
    try:
        return _json(await found)
    except Wrong as exc:
        raise refuse(400, str(exc)) from exc
    except OutboxUnavailable:
        raise
    except PipelineError as exc:  # ROLLER cannot be asked, be it for the venue's zone
        raise refuse(503, str(exc)) from exc


def _json(document: Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
