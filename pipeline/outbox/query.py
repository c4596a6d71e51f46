"""Runs one statement."""

import sqlite3
from collections.abc import Sequence
from typing import Any


def rows(connection: sqlite3.Connection, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
    """Execute and fetch everything, for an unfinished statement would hold up the WAL."""
    return connection.execute(sql, parameters).fetchall()
