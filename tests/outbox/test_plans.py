"""What is asked all the time is answered from an index, however large the outbox is."""

from pathlib import Path

import pytest

from pipeline.outbox import deliveries, file
from tests.outbox.support import look


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (deliveries._NEXT, "delivery_next"),  # noqa: SLF001 - the statement itself
        (
            """SELECT id FROM event WHERE source = ? AND state IN ('waiting', 'processing')
               AND due_at <= ? ORDER BY due_at LIMIT ?""",
            "event_due",
        ),
        ("SELECT id FROM event WHERE source = ? AND key = ?", "sqlite_autoindex_event_1"),
        ("SELECT * FROM parked", "delivery_parked"),
        ("SELECT id FROM delivery WHERE waits_for = ?", "delivery_waits_for"),
    ],
    ids=["claim", "due events", "duplicates", "parked", "waiting for"],
)
def test_hot_statements_use_their_index(path: Path, sql: str, index: str) -> None:
    """A million rows must not be read for the next one."""
    file.migrate(path)
    holes = max(sql.count("?"), 6)
    plan = look(path, f"EXPLAIN QUERY PLAN {sql}", *([None] * _parameters(sql, holes)))
    assert index in repr(plan), plan


def _parameters(sql: str, most: int) -> int:
    numbered = [n for n in range(1, most + 1) if f"?{n}" in sql]
    return max(numbered) if numbered else sql.count("?")
