"""The runs of reconciliation and backfill, and what they need not take in."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
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

_COLUMNS = """id, source, origin, since, until, guests_only, dry_run, only, state, reason, tries,
              due_at, forbidden, day, feed, page, row_count, page_size, backs, seen, known,
              taken_in, unsendable, watermark, started_at, updated_at"""

#: As it stands in the index of what is open.
_OPEN = "state IN ('running', 'waiting')"

_unsendable = msgspec.json.Decoder(dict[str, int])


_replace = msgspec.structs.replace


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
                           WHERE source = ? AND origin = ? AND dry_run = 0 AND only IS NULL
                             AND (state = 'done' OR ?))""",
            source,
            origin,
            not done,
        )

    async def parts(self, source: str) -> Sequence[Run]:
        """Give what was left unread."""
        found = await self._readers.rows(
            f"""SELECT {_COLUMNS} FROM sweep
                WHERE source = ? AND {_OPEN} AND only IS NOT NULL ORDER BY id""",
            (source,),
        )
        return [_run(row) for row in found]

    async def _one(self, where: str, *parameters: object) -> Run | None:
        row = await self._readers.row(f"SELECT {_COLUMNS} FROM sweep {where}", parameters)
        return None if row is None else _run(row)


class SqliteSweeps(SqliteRuns):
    """What reconciliation asks of the outbox."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        super().__init__(readers)
        self._writer = writer

    async def begin(self, source: str, asked: Asked, first: Place, *, now: int) -> Run:
        """Note a run that is to be made."""

        def unit(connection: sqlite3.Connection) -> Run:
            return _insert(connection, source, asked, first, now)

        return await self._writer.do(unit)

    async def keep(
        self, run: Run, *, now: int, waivers: date | None = None, free_at: int | None = None
    ) -> None:
        """Note how far a run is."""

        def unit(connection: sqlite3.Connection) -> None:
            _keep(connection, run, now)
            if waivers is not None:
                rows(
                    connection,
                    "INSERT INTO waiver_day (source, day) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (run.source, waivers.isoformat()),
                )
            if free_at is not None:
                _pace(connection, run.source, free_at)

        await self._writer.do(unit)

    async def leave(self, run: Run, part: Run, *, now: int) -> Run:
        """Note how far a run is, and the part that it leaves out."""

        def unit(connection: sqlite3.Connection) -> Run:
            _keep(connection, run, now)
            before = _kept_part(connection, part)
            if before is None:
                made = _insert(connection, part.source, part.asked, part.place, now)
                kept = _replace(part, id=made.id, started_at=now)
            elif part.forbidden:
                kept = _wider(before, part)
            else:
                return before
            _keep(connection, kept, now)
            return kept

        return await self._writer.do(unit)

    async def unfinished(self, source: str, *, now: int, patience: int) -> Run | None:
        """Give the run of a source that goes on first."""
        return await self._one(
            f"""WHERE source = ?1 AND {_OPEN} AND (due_at <= ?2 OR due_at > ?2 + ?3)
                ORDER BY CASE WHEN only IS NOT NULL AND tries = 0 THEN 1
                              WHEN only IS NULL AND origin = 'reconcile' THEN 2
                              WHEN only IS NOT NULL THEN 3
                              ELSE 4 END,
                         coalesce(only, '') <> 'waivers', dry_run, id LIMIT 1""",
            source,
            now,
            patience,
        )

    async def hold(self, source: str, reason: str, *, now: int) -> None:
        """Note that no run of a source goes on just now, and why."""

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                f"""UPDATE sweep SET state = 'waiting', reason = ?, updated_at = ?
                    WHERE source = ? AND state = 'running' AND {_OPEN}""",
                (reason, now, source),
            )

        await self._writer.do(unit)

    async def release(self, source: str, *, now: int) -> None:
        """Let the runs say that they go on which waited with their source."""

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                f"""UPDATE sweep SET state = 'running', reason = NULL, updated_at = ?
                    WHERE source = ? AND state = 'waiting' AND {_OPEN} AND only IS NULL
                      AND due_at = 0""",
                (now, source),
            )

        await self._writer.do(unit)

    async def end_parts(self, source: str, report: Report, *, now: int) -> None:
        """End what was left unread of a report that is not to be read any more."""

        def unit(connection: sqlite3.Connection) -> None:
            rows(
                connection,
                f"""UPDATE sweep SET state = 'done', reason = NULL, forbidden = 0, updated_at = ?
                    WHERE source = ? AND {_OPEN} AND only = ?""",
                (now, source, report),
            )
            _hasten(connection, source)

        await self._writer.do(unit)

    async def next_due(self, source: str) -> int | None:
        """Tell when the next unfinished run is due."""
        row = await self._readers.row(
            f"SELECT min(due_at) FROM sweep WHERE source = ? AND {_OPEN}", (source,)
        )
        return None if row[0] is None else int(row[0])

    async def hasten(self, source: str) -> None:
        """Let what was left unread be tried again at once."""
        await self._writer.do(lambda connection: _hasten(connection, source))

    async def alike(self, source: str, asked: Asked) -> Run | None:
        """Give the newest run that was asked for in the same way, its last day aside."""
        return await self._one(
            """WHERE id = (SELECT max(id) FROM sweep
                           WHERE source = ? AND origin = ? AND since = ? AND guests_only = ?
                             AND dry_run = ? AND only IS NULL)""",
            source,
            asked.origin,
            asked.since.isoformat(),
            asked.guests_only,
            asked.dry_run,
        )

    async def watermark(self, source: str) -> date | None:
        """Tell up to which day reconciliation has gone."""
        row = await self._readers.row(
            """SELECT max(watermark) FROM sweep
               WHERE source = ? AND origin = 'reconcile' AND state = 'done'""",
            (source,),
        )
        return None if row[0] is None else date.fromisoformat(row[0])

    async def waiver_days(self, source: str, since: date) -> Collection[date]:
        """Tell of which days from then on the signed waivers were read whole."""
        found = await self._readers.rows(
            "SELECT day FROM waiver_day WHERE source = ? AND day >= ?", (source, since.isoformat())
        )
        return {date.fromisoformat(day) for (day,) in found}

    async def pace(self, source: str) -> int:
        """Tell when the allowance for reports is, or was, whole again."""
        row = await self._readers.row("SELECT free_at FROM report_pace WHERE source = ?", (source,))
        return 0 if row is None else int(row[0])

    async def paced(self, source: str, free_at: int) -> None:
        """Note that, beside any run."""
        await self._writer.do(lambda connection: _pace(connection, source, free_at))

    async def begun(self) -> int | None:
        """Tell when the first event was received."""
        row = await self._readers.row(
            "SELECT received_at FROM event WHERE id = (SELECT min(id) FROM event)"
        )
        return None if row is None else int(row[0])

    async def as_of(
        self,
        source: str,
        kind: Literal["booking", "guest", "minor", "erased"],
        keys: Collection[str],
    ) -> Mapping[str, int]:
        """Tell as of when these subjects are known; those that are not are left out."""
        found = await self._readers.rows(
            """SELECT key, as_of FROM subject
               WHERE source = ? AND kind = ? AND key IN (SELECT value FROM json_each(?))""",
            (source, kind, msgspec.json.encode(list(keys)).decode()),
        )
        return dict(found)


def _insert(
    connection: sqlite3.Connection, source: str, asked: Asked, first: Place, now: int
) -> Run:
    [row] = rows(
        connection,
        f"""INSERT INTO sweep (source, origin, since, until, guests_only, dry_run, only, state,
                               day, feed, page, started_at, updated_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'running', ?8, ?9, ?10, ?11, ?11)
            RETURNING {_COLUMNS}""",
        (
            source,
            asked.origin,
            asked.since.isoformat(),
            asked.until.isoformat(),
            asked.guests_only,
            asked.dry_run,
            asked.only,
            first.day.isoformat(),
            first.report,
            first.page,
            now,
        ),
    )
    return _run(row)


def _keep(connection: sqlite3.Connection, run: Run, now: int) -> None:
    place, sums = run.place, run.sums
    rows(
        connection,
        """UPDATE sweep
           SET since = ?, until = ?, state = ?, reason = ?, tries = ?, due_at = ?, forbidden = ?,
               day = ?, feed = ?, page = ?, row_count = ?, page_size = ?, backs = ?,
               seen = ?, known = ?, taken_in = ?, unsendable = ?, watermark = ?, updated_at = ?
           WHERE id = ?""",
        (
            run.asked.since.isoformat(),
            run.asked.until.isoformat(),
            run.state,
            run.reason,
            run.tries,
            run.due_at,
            run.forbidden,
            place.day.isoformat(),
            place.report,
            place.page,
            place.rows,
            place.size,
            place.backs,
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


def _hasten(connection: sqlite3.Connection, source: str) -> None:
    sql = f"UPDATE sweep SET due_at = 0 WHERE source = ? AND {_OPEN} AND due_at > 0"
    rows(connection, sql, (source,))


def _kept_part(connection: sqlite3.Connection, part: Run) -> Run | None:
    """Find the part that holds this one, or that it is to become a part of."""
    asked = part.asked
    found = rows(
        connection,
        f"""SELECT {_COLUMNS} FROM sweep
            WHERE source = ? AND {_OPEN} AND only = ? AND origin = ? AND guests_only = ?
              AND forbidden = ? AND (forbidden OR (since = ? AND until = ?)) AND id <> ?
            ORDER BY id LIMIT 1""",
        (
            part.source,
            asked.only,
            asked.origin,
            asked.guests_only,
            part.forbidden,
            asked.since.isoformat(),
            asked.until.isoformat(),
            part.id,
        ),
    )
    return _run(found[0]) if found else None


def _wider(before: Run, part: Run) -> Run:
    """Let what is forbidden hold the days of both."""
    since = min(before.asked.since, part.asked.since)
    until = max(before.asked.until, part.asked.until)
    place = min(before.place, part.place, key=lambda place: place.day)
    return _replace(before, asked=_replace(before.asked, since=since, until=until), place=place)


def _pace(connection: sqlite3.Connection, source: str, free_at: int) -> None:
    rows(
        connection,
        """INSERT INTO report_pace (source, free_at) VALUES (?, ?)
           ON CONFLICT DO UPDATE SET free_at = excluded.free_at""",
        (source, free_at),
    )


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
            only=found["only"] and Report(found["only"]),
        ),
        state=RunState(found["state"]),
        reason=found["reason"],
        tries=found["tries"],
        due_at=found["due_at"],
        forbidden=bool(found["forbidden"]),
        place=Place(
            day=date.fromisoformat(found["day"]),
            report=Report(found["feed"]),
            page=found["page"],
            rows=found["row_count"],
            size=found["page_size"],
            backs=found["backs"],
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
