"""Knows the key of every message that was ever taken in, so that a repetition is seen.

Keys are random. An index that is kept up with every message is written at another page for each of
them, and that page, written whole, would be most of what storing a message costs. So the newest
keys are held in memory and go to the index many at a time, in its order: then a page is written
once for many. At a start they are read back from the messages themselves.
"""

import functools
import sqlite3
import zlib
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from pipeline.outbox.query import rows

#: Keys in memory, at some 250 bytes each, before they go to the index.
_MOST_RECENT = 8192

#: Keys looked up by one statement; fewer are filled up, so that it is prepared once.
_AT_ONCE = 64

#: Keys that one statement brings to the index.
_MOVED_AT_ONCE = 256

#: What is in the index, and what the running transaction has stored before.
_FIND = f"""
    SELECT source, key, id FROM event WHERE id > ?
    UNION ALL
    SELECT e.source, e.key, e.id FROM event_key AS k JOIN event AS e ON e.id = k.event
    WHERE k.digest IN ({", ".join("?" * _AT_ONCE)})
"""

#: What names a message: its source, and its key there.
Key = tuple[str, str]


class KnownKeys:
    """The index of keys, and before it the keys that are not in it yet.

    What it holds in memory is committed; a transaction that is rolled back leaves it as it was. It
    belongs to the connection's thread.
    """

    def __init__(self, recent: Mapping[Key, int], newest: int) -> None:
        self._recent = dict(recent)
        #: Events up to this one are in memory or in the index.
        self.newest = newest

    def find(self, connection: sqlite3.Connection, keys: Sequence[Key]) -> dict[Key, int]:
        """Give the events of those of these keys that are known, and maybe of others."""
        found = {key: self._recent[key] for key in keys if key in self._recent}
        digests = [_digest(key) for key in keys if key not in found]
        for start in range(0, len(digests), _AT_ONCE):
            part = digests[start : start + _AT_ONCE]
            part += part[-1:] * (_AT_ONCE - len(part))
            for source, key, event in rows(connection, _FIND, [self.newest, *part]):
                found[source, key] = event
        return found

    def add(self, events: Mapping[Key, int]) -> None:
        """Remember events that are on disk now; none is older than what was there before."""
        if not events:
            return
        self._recent.update(events)
        self.newest = max(self.newest, *events.values())

    def tidy(self, connection: sqlite3.Connection) -> Collection[Key]:
        """Write what is in memory to the index, if it has become much, and tell what that was."""
        if len(self._recent) < _MOST_RECENT:
            return ()
        moved = sorted([(_digest(key), event) for key, event in self._recent.items()])
        for start in range(0, len(moved), _MOVED_AT_ONCE):
            part = moved[start : start + _MOVED_AT_ONCE]
            rows(connection, _move(len(part)), list(chain.from_iterable(part)))
        rows(
            connection,
            """INSERT INTO meta (name, value) VALUES ('indexed', CAST(? AS BLOB))
               ON CONFLICT DO UPDATE SET value = excluded.value""",
            (str(self.newest),),
        )
        return tuple(self._recent)

    def drop(self, keys: Collection[Key]) -> None:
        """Forget keys that are in the index now."""
        for key in keys:  # two loads of one transaction may both have brought them there
            self._recent.pop(key, None)


def known_keys(connection: sqlite3.Connection) -> KnownKeys:
    """Read back what a predecessor had in memory."""
    found = rows(
        connection,
        """SELECT source, key, id FROM event
           WHERE id > (SELECT coalesce(max(CAST(CAST(value AS TEXT) AS INTEGER)), 0)
                       FROM meta WHERE name = 'indexed')
           ORDER BY id""",
    )
    recent = {(source, key): event for source, key, event in found}
    [[newest]] = rows(connection, "SELECT coalesce(max(id), 0) FROM event")
    return KnownKeys(recent, newest)


@functools.lru_cache(maxsize=2)
def _move(count: int) -> str:
    return f"INSERT OR IGNORE INTO event_key VALUES {', '.join(['(?, ?)'] * count)}"


def _digest(key: Key) -> int:
    """Make a key short; two that come out the same are told apart by the messages' own columns."""
    source, name = key
    return zlib.crc32(name.encode(), zlib.crc32(source.encode()))
