"""Whether the webhooks of each source come, and since when some may never do."""

import sqlite3
from collections.abc import Collection

import msgspec

from pipeline.outbox import Gap, KnownWebhooks
from pipeline.outbox.file import Readers
from pipeline.outbox.query import rows
from pipeline.outbox.writer import Writer

_KNOWN = """
    SELECT received_at, seen_at, seen, gap_since, gap_until, gap_run FROM webhook WHERE source = ?
"""
#: The earlier of both, for what came last may have come by hand, and a look tells only that
#: webhooks would be sent. One that is open already began there.
_MISS = """
    UPDATE webhook
    SET gap_since = min(coalesce(received_at, seen_at), coalesce(seen_at, received_at),
                        coalesce(gap_since, received_at, seen_at)),
        gap_until = NULL, gap_run = NULL
    WHERE source = ? AND coalesce(received_at, seen_at) IS NOT NULL
      AND (gap_since IS NULL OR gap_until IS NOT NULL)
"""
_SEEN = """
    INSERT INTO webhook (source, seen_at, seen) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE
    SET seen_at = excluded.seen_at, seen = excluded.seen,
        gap_until = CASE WHEN gap_since IS NULL THEN NULL ELSE coalesce(gap_until, ?2) END
"""
_HAND_OVER = "UPDATE webhook SET gap_run = ? WHERE source = ? AND gap_until IS NOT NULL"
_CLOSE = """
    UPDATE webhook SET gap_since = NULL, gap_until = NULL, gap_run = NULL
    WHERE source = ? AND gap_run = ?
"""
_HEARD = """
    INSERT INTO webhook (source, received_at) VALUES (?, ?)
    ON CONFLICT DO UPDATE SET received_at = excluded.received_at
"""

_ids = msgspec.json.Decoder(frozenset[str])


class SqliteWebhooks:
    """What is known of the webhooks."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def known(self, source: str) -> KnownWebhooks:
        """Tell what is known of a source's webhooks."""
        return await known_webhooks(self._readers, source)

    async def miss(self, source: str) -> None:
        """Note that webhooks may be lost until `seen` says otherwise."""
        await self._do(_MISS, source)

    async def seen(self, source: str, webhooks: Collection[str], *, now: int) -> None:
        """Note by which subscriptions all comes that is needed; a gap ends."""
        await self._do(_SEEN, source, now, msgspec.json.encode(sorted(webhooks)).decode())

    async def hand_over(self, source: str, run: int) -> None:
        """Note which run looks for what a gap has left out."""
        await self._do(_HAND_OVER, run, source)

    async def _do(self, sql: str, *parameters: object) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            rows(connection, sql, parameters)

        await self._writer.do(unit)


async def known_webhooks(readers: Readers, source: str) -> KnownWebhooks:
    """Read what is known of a source's webhooks."""
    row = await readers.row(_KNOWN, (source,))
    if row is None:
        return KnownWebhooks()
    heard_at, seen_at, seen, since, until, run = row
    gap = None if since is None else Gap(since=since, until=until, run=run)
    return KnownWebhooks(heard_at=heard_at, seen_at=seen_at, seen=_ids.decode(seen), gap=gap)


def hear(connection: sqlite3.Connection, source: str, at: int) -> None:
    """Note when a source's newest webhook came, in the transaction that stores it."""
    rows(connection, _HEARD, (source, at))


def close_gap(connection: sqlite3.Connection, source: str, run: int) -> None:
    """Forget the gap that a run was to fill, in the transaction in which it is done."""
    rows(connection, _CLOSE, (source, run))
