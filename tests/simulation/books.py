"""Looks into the outbox of a running simulation: what must hold after every step."""

from collections.abc import Iterable

from pipeline.simulation.machine import Machine

#: Each finds only what is wrong.
_WRONG = {
    "a counter of states is not the rows": """
        SELECT what, owner, state, sum(n) FROM (
            SELECT what, owner, state, n FROM counter WHERE state <> 'duplicates'
            UNION ALL
            SELECT 'event', source, state, -count(*) FROM event GROUP BY 2, 3
            UNION ALL
            SELECT 'delivery', destination, state, -count(*) FROM delivery GROUP BY 2, 3)
        GROUP BY what, owner, state HAVING sum(n) <> 0""",
    "a counter of duplicates is not the rows": """
        SELECT source, sum(n) FROM (
            SELECT owner AS source, n FROM counter WHERE state = 'duplicates'
            UNION ALL
            SELECT source, -sum(duplicates) FROM event GROUP BY source)
        GROUP BY source HAVING sum(n) <> 0""",
    "a counter of what is owed is not the rows": """
        SELECT destination, priority, kind, sum(n) FROM (
            SELECT destination, priority, kind, n FROM owed
            UNION ALL
            SELECT destination, priority, kind, -count(*) FROM delivery
            WHERE state IN ('waiting', 'sending') GROUP BY 1, 2, 3)
        GROUP BY destination, priority, kind HAVING sum(n) <> 0""",
    "two are being sent for one guest or booking": """
        SELECT a.id, b.id FROM delivery AS a JOIN delivery AS b
        ON a.id < b.id AND a.destination = b.destination AND a.source = b.source
           AND (a.customer = b.customer OR a.booking = b.booking)
        WHERE a.state = 'sending' AND b.state = 'sending'""",
    "one waits for what has ended": """
        SELECT d.id, d.state, g.id, g.state
        FROM delivery AS d JOIN delivery AS g ON g.id = d.waits_for
        WHERE d.state = 'waiting' AND g.state NOT IN ('waiting', 'sending')
           OR d.state = 'parked' AND g.state <> 'parked'""",
    "one is superseded by another thing": """
        SELECT d.id, n.id FROM delivery AS d JOIN delivery AS n ON n.id = d.superseded_by
        WHERE (d.destination, d.source, d.kind, d.detail)
              <> (n.destination, n.source, n.kind, n.detail)
           OR d.kind IN ('booking', 'tag') AND d.booking <> n.booking
           OR d.kind IN ('guest', 'consent') AND d.customer <> n.customer
           OR d.kind = 'booking' AND (n.as_of, n.id) < (d.as_of, d.id)
           OR d.kind <> 'booking' AND n.id < d.id""",
    "one is superseded by no immediate successor": """
        SELECT d.id, n.id, m.id FROM delivery AS d
        JOIN delivery AS n ON n.id = d.superseded_by
        JOIN delivery AS m ON m.destination = d.destination AND m.source = d.source
                          AND m.kind = d.kind AND m.booking = d.booking
        WHERE d.kind = 'booking' AND m.id < max(d.id, n.id)
          AND (m.as_of, m.id) > (d.as_of, d.id) AND (m.as_of, m.id) < (n.as_of, n.id)""",
    "an older event that came after a newer one is not superseded": """
        SELECT d.id, d.state, n.id FROM delivery AS d
        JOIN delivery AS n ON n.destination = d.destination AND n.source = d.source
                          AND n.kind = d.kind AND n.booking = d.booking
        WHERE d.kind = 'booking' AND d.state <> 'superseded'
          AND n.id < d.id AND n.as_of > d.as_of""",
    "an event that is done has not one delivery of its booking at each destination": """
        SELECT e.id, pair.destination, count(d.id) FROM event AS e
        JOIN (SELECT NULL AS destination, NULL AS source {pairs}) AS pair ON pair.source = e.source
        LEFT JOIN delivery AS d
        ON d.event = e.id AND d.kind = 'booking' AND d.destination = pair.destination
        WHERE e.state = 'done' AND e.kind = 'booking'
        GROUP BY e.id, pair.destination HAVING count(d.id) <> 1""",
}


async def look_through(machine: Machine, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Name what is wrong, where these destinations are told of these sources."""
    told = "".join(f" UNION ALL SELECT '{there}', '{source}'" for there, source in pairs)
    found = [(what, await machine.rows(sql.format(pairs=told))) for what, sql in _WRONG.items()]
    return [f"{what}: {rows}" for what, rows in found if rows]
