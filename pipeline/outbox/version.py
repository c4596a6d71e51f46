"""What is known of the SQLite that Python is linked to."""

import sqlite3

#: The first with STRICT tables; RETURNING and UPDATE … FROM are older.
OLDEST_SQLITE = (3, 37, 0)

_HAZARD_BEGINS = (3, 7, 0)
_HAZARD_ENDS = (3, 51, 3)
#: Releases of older branches that have the fix, by branch.
_MENDED = {(3, 50): (3, 50, 7), (3, 44): (3, 44, 6)}

Version = tuple[int, int, int]


def sqlite_version() -> Version:
    """Give the version that runs."""
    major, minor, patch = sqlite3.sqlite_version_info
    return major, minor, patch


def has_wal_hazard(version: Version) -> bool:
    """Tell whether committed rows may be lost when two connections write and checkpoint in WAL.

    3.7.0 to 3.51.2; mended in 3.51.3, 3.50.7 and 3.44.6: https://sqlite.org/wal.html#walresetbug
    """
    mended = _MENDED.get(version[:2])
    if mended is not None and version >= mended:
        return False
    return _HAZARD_BEGINS <= version < _HAZARD_ENDS
