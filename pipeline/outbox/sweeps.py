"""The runs of reconciliation and backfill, and what they need not take in."""

import sqlite3
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Literal

import msgspec

from pipeline.model import Origin
from pipeline.outbox import Asked, Place, Run, RunState, Sums
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.webhooks import close_gap
from pipeline.outbox.writer import Writer
from pipeline.reports import Report

_COLUMNS = """id, source, origin, since, until, guests_only, dry_run, state, reason, day, feed,
              page, row_count, seen, known, taken_in, unsendable, watermark, started_at,
              updated_at"""

_unsendable = msgspec.json.Decoder(dict[str, int])


class SqliteRuns:
    """What has been made of reconciliation and backfill."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def run(self, number: int) -> Run | None:
        """Give a run."""
        return await self._one("WHERE id = ?", number)

    async def newest(self, source: str, origin: Origin, *, done: bool = False) -> Run | None:
        """Give the newest run that took in, or that has done so."""
        return await self._one(
            """WHERE id = (SELECT max(id) FROM sweep
                           WHERE source = ? AND origin = ? AND dry_run = 0
                             AND (state = 'done' OR ?))""",
            source,
            origin,
            not done,
        )

    async def _one(self, where: str, *parameters: object) -> Run | None:
        row = await self._readers.row(f"SELECT {_COLUMNS} FROM sweep {where}", parameters)
        return None if row is None else _run(row)


class SqliteSweeps(SqliteRuns):
    """What reconciliation asks of the outbox."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        super().__init__(readers)
        self._writer = writer

    async def begin(self, source: str, asked: Asked, first: Report, *, now: int) -> Run:
        """Note a run that is to be made."""

        def unit(connection: sqlite3.Connection) -> Run:
            [row] = rows(
                connection,
                f"""INSERT INTO sweep (source, origin, since, until, guests_only, dry_run, state,
                                       day, feed, page, started_at, updated_at)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', ?3, ?7, 1, ?8, ?8)
                    RETURNING {_COLUMNS}""",
                (
                    source,
                    asked.origin,
                    asked.since.isoformat(),
                    asked.until.isoformat(),
                    asked.guests_only,
                    asked.dry_run,
                    first,
                    now,
                ),
            )
            return _run(row)

        return await self._writer.do(unit)

    async def keep(self, run: Run, *, now: int) -> None:
        """Note how far a run is."""
        place, sums = run.place, run.sums

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                """UPDATE sweep
                   SET state = ?, reason = ?, day = ?, feed = ?, page = ?, row_count = ?, seen = ?,
                       known = ?, taken_in = ?, unsendable = ?, watermark = ?, updated_at = ?
                   WHERE id = ?""",
                (
                    run.state,
                    run.reason,
                    place.day.isoformat(),
                    place.report,
                    place.page,
                    place.rows,
                    sums.seen,
                    sums.known,
                    sums.taken_in,
                    msgspec.json.encode(sums.unsendable).decode(),
                    run.watermark and run.watermark.isoformat(),
                    now,
                    run.id,
                ),
            )
            if run.state is RunState.DONE:
                close_gap(connection, run.source, run.id)

        await self._writer.do(unit)

    async def unfinished(self, source: str) -> Run | None:
        """Give the run of a source that goes on first."""
        return await self._one(
            """WHERE id = coalesce((SELECT min(id) FROM sweep
                                    WHERE source = ?1 AND origin = 'reconcile'
                                      AND state IN ('running', 'stopped')),
                                   (SELECT min(id) FROM sweep
                                    WHERE source = ?1 AND origin = 'backfill'
                                      AND state IN ('running', 'stopped')))""",
            source,
        )

    async def alike(self, source: str, asked: Asked) -> Run | None:
        """Give the newest run that was asked for in the same way, its last day aside."""
        return await self._one(
            """WHERE id = (SELECT max(id) FROM sweep
                           WHERE source = ? AND origin = ? AND since = ? AND guests_only = ?
                             AND dry_run = ?)""",
            source,
            asked.origin,
            asked.since.isoformat(),
            asked.guests_only,
            asked.dry_run,
        )

    async def watermark(self, source: str) -> date | None:
        """Tell up to which day reconciliation has read everything."""
        row = await self._readers.row(
            """SELECT max(watermark) FROM sweep
               WHERE source = ? AND origin = 'reconcile' AND state = 'done'""",
            (source,),
        )
        return None if row[0] is None else date.fromisoformat(row[0])

    async def begun(self) -> int | None:
        """Tell when the first event was received."""
        row = await self._readers.row(
            "SELECT received_at FROM event WHERE id = (SELECT min(id) FROM event)"
        )
        return None if row is None else int(row[0])

    async def as_of(
        self, source: str, kind: Literal["booking", "guest", "minor"], keys: Collection[str]
    ) -> Mapping[str, int]:
        """Tell as of when these subjects are known; those that are not are left out."""
        found = await self._readers.rows(
            """SELECT key, as_of FROM subject
               WHERE source = ? AND kind = ? AND key IN (SELECT value FROM json_each(?))""",
            (source, kind, msgspec.json.encode(list(keys)).decode()),
        )
        return dict(found)


def _run(row: tuple[Any, ...]) -> Run:
    found = dict(zip(_COLUMNS.replace("\n", " ").replace(",", " ").split(), row, strict=True))
    watermark = found["watermark"]
    return Run(
        id=found["id"],
        source=found["source"],
        asked=Asked(
            origin=Origin(found["origin"]),
            since=date.fromisoformat(found["since"]),
            until=date.fromisoformat(found["until"]),
            guests_only=bool(found["guests_only"]),
            dry_run=bool(found["dry_run"]),
        ),
        state=RunState(found["state"]),
        reason=found["reason"],
        place=Place(
            day=date.fromisoformat(found["day"]),
            report=Report(found["feed"]),
            page=found["page"],
            rows=found["row_count"],
        ),
        sums=Sums(
            seen=found["seen"],
            known=found["known"],
            taken_in=found["taken_in"],
            unsendable=_unsendable.decode(found["unsendable"]),
        ),
        watermark=None if watermark is None else date.fromisoformat(watermark),
        started_at=found["started_at"],
        updated_at=found["updated_at"],
    )
