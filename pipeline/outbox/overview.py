"""What the outbox says of itself, at a cost that does not grow with it."""

from pipeline.model import DeliveryKind
from pipeline.outbox import Count, Owed
from pipeline.outbox.file import Readers

#: How far the counters are off, by a count of all rows.
DIFFERENCE = """SELECT coalesce(sum(abs(off)), 0) FROM (
                   SELECT sum(n) AS off FROM (
                       SELECT what, owner, state, n FROM counter WHERE state <> 'duplicates'
                       UNION ALL
                       SELECT 'event', source, state, -count(*) FROM event
                       WHERE state IN ('done', 'ignored', 'parked') GROUP BY 2, 3
                       UNION ALL
                       SELECT 'event', source, state, -count(*) FROM event
                       WHERE state IN ('waiting', 'processing') GROUP BY 2, 3
                       UNION ALL
                       SELECT 'delivery', destination, state, -count(*) FROM delivery GROUP BY 2, 3
                       UNION ALL
                       SELECT 'owed', destination, '', n FROM owed
                       UNION ALL
                       SELECT 'owed', owner, '', -n FROM counter
                       WHERE what = 'delivery' AND state IN ('waiting', 'sending'))
                   GROUP BY what, owner, state)"""


class SqliteOverview:
    """What status asks of the outbox."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def counts(self) -> list[Count]:
        """Give all counters, from one snapshot."""
        found = await self._readers.rows("SELECT what, owner, state, n FROM counter")
        return [Count(what=row[0], owner=row[1], state=row[2], n=row[3]) for row in found]

    async def oldest_due(self, *, now: int) -> dict[str, int]:
        """Tell since when what is due for longest is due, events and deliveries apart."""
        found = await self._readers.rows(
            """SELECT what, min(at) FROM (
                   SELECT what, (SELECT min(due_at) FROM event
                                 WHERE source = owner AND state IN ('waiting', 'processing')) AS at
                   FROM counter WHERE what = 'event'
                   UNION ALL
                   SELECT what, (SELECT min(min(due_at), ?1) FROM delivery INDEXED BY delivery_due
                                 WHERE destination = owner AND held = 0 AND priority = class
                                   AND state = 'waiting' AND waits_for IS NULL)
                   FROM counter, (SELECT 1 AS class UNION ALL VALUES (2), (3), (4), (5), (6))
                   WHERE what = 'delivery'
                   UNION ALL
                   SELECT what, (SELECT min(due_at) FROM delivery INDEXED BY delivery_due
                                 WHERE destination = owner AND held = 1 AND priority = class
                                   AND state = 'waiting' AND waits_for IS NULL)
                   FROM counter, (SELECT 1 AS class UNION ALL VALUES (2), (3), (4), (5), (6))
                   WHERE what = 'delivery')
               WHERE at <= ?1 GROUP BY what""",
            (now,),
        )
        return dict(found)

    async def difference(self) -> int:
        """Count all rows, and tell how far the counters are off; in one statement, one snapshot.

        Each count reads an index and no row, for with their bodies rows are many gigabytes.
        """
        [found] = await self._readers.row(DIFFERENCE)
        return int(found)

    async def due(self, *, now: int) -> list[Owed]:
        """Count what may go: not what is held back, nor what waits for a guest that is."""
        found = await self._readers.rows(
            """WITH later (id, destination, priority, kind) AS MATERIALIZED (
                   SELECT id, destination, priority, kind
                   FROM (SELECT DISTINCT owner FROM counter WHERE what = 'delivery')
                   CROSS JOIN (SELECT 1 AS class UNION ALL VALUES (2), (3), (4), (5), (6))
                   CROSS JOIN delivery INDEXED BY delivery_due
                   WHERE destination = owner AND held = 1 AND priority = class AND due_at > ?
                     AND state = 'waiting' AND waits_for IS NULL)
               SELECT destination, priority, kind, sum(n) FROM (
                   SELECT destination, priority, kind, n FROM owed
                   UNION ALL
                   SELECT destination, priority, kind, -1 FROM later
                   UNION ALL
                   SELECT d.destination, d.priority, d.kind, -1
                   FROM later CROSS JOIN delivery AS d ON d.waits_for = later.id
                   WHERE d.state = 'waiting')
               GROUP BY destination, priority, kind HAVING sum(n) > 0""",
            (now,),
        )
        return [
            Owed(destination=row[0], priority=row[1], kind=DeliveryKind(row[2]), n=row[3])
            for row in found
        ]

    async def is_restored(self) -> bool:
        """Tell whether no start has spent the allowances since a restore."""
        row = await self._readers.row("SELECT 1 FROM meta WHERE name = 'restored'")
        return row is not None
