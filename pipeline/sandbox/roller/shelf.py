"""Records by their key, and all their rows in the order in which they were last modified."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

K = TypeVar("K")
V = TypeVar("V")

#: When it was modified, which record it belongs to, and its number within that record.
_Place = tuple[float, int, int]


class Held(msgspec.Struct, Generic[V], frozen=True, kw_only=True):
    """A record as it lies on a shelf; the times are seconds since 1970."""

    value: V
    created: float
    modified: float
    #: tells records of one time apart, in the order in which they came
    number: int
    #: lines that it has in a report
    rows: int


class Shelf(Generic[K, V]):
    """A page of any window costs no more than its own rows, however many there are."""

    def __init__(self) -> None:
        self._held: dict[K, Held[V]] = {}
        self._keys: dict[int, K] = {}
        self._places: list[_Place] = []
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: K) -> bool:
        return key in self._held

    def __iter__(self) -> Iterator[K]:
        return iter(self._held)

    def held(self) -> list[tuple[K, Held[V]]]:
        """Everything, in the order in which it was first put here."""
        return list(self._held.items())

    def find(self, key: K) -> Held[V] | None:
        """The record with its times."""
        return self._held.get(key)

    def get(self, key: K) -> V | None:
        """The record itself."""
        held = self._held.get(key)
        return None if held is None else held.value

    def put(self, key: K, value: V, at: float, *, rows: int = 1) -> None:
        """Keeps a record that was created, or modified, at that time; it stands there only."""
        known = self._held.get(key)
        if known is not None:
            self._forget_places(known)
        self._numbers += 1
        self._held[key] = Held(
            value=value,
            created=known.created if known else at,
            modified=at,
            number=self._numbers,
            rows=rows,
        )
        self._keys[self._numbers] = key
        places = [(at, self._numbers, row) for row in range(rows)]
        if not self._places or self._places[-1] < (at, 0, 0):
            self._places += places
        else:
            position = bisect_left(self._places, (at, self._numbers, 0))
            self._places[position:position] = places

    def remove(self, key: K) -> None:
        """Forgets a record; it is in no window any more."""
        held = self._held.pop(key, None)
        if held is not None:
            self._forget_places(held)

    def window(self, start: float, end: float) -> range:
        """The places of all rows modified from `start` until before `end`."""
        return range(
            bisect_left(self._places, (start, 0, 0)), bisect_left(self._places, (end, 0, 0))
        )

    def rows(self, places: range) -> list[tuple[K, Held[V], int]]:
        """What stands at these places: key, record, number of the row within it."""
        found = []
        for place in self._places[places.start : places.stop]:
            key = self._keys[place[1]]
            found.append((key, self._held[key], place[2]))
        return found

    def _forget_places(self, held: Held[V]) -> None:
        first = bisect_left(self._places, (held.modified, held.number, 0))
        del self._places[first : first + held.rows]
        del self._keys[held.number]
