"""Whose turn it is: the venues of a class go one after the other.

So a venue that floods the outbox fills its own line, and holds up no other's.
"""

from collections.abc import Callable, Iterable

from pipeline.model import Priority
from pipeline.outbox import Line

#: Of the classes that must not wait for ever, though others go before them.
_LESSER = (Priority.VISIT, Priority.TAG)

_CLASSES = range(Priority.OPT_OUT, Priority.BACKFILL + 1)


class Turn:
    """The order of the sources in each class: who was served longest ago goes first.

    It is kept in memory, and begins anew with each start.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._order = {priority: sorted(sources) for priority in _CLASSES}

    def lines(self, most: int, admits: Callable[[str], bool] = lambda _source: True) -> list[Line]:
        """Give the lines of the classes up to `most`, in the order of going.

        Of several sources only those that are admitted; an opt-out goes in any case.
        """
        lines = self._lines(priority for priority in _CLASSES if priority <= most)
        if len(self._order[Priority.OPT_OUT]) == 1:
            return lines
        return [line for line in lines if line.priority == Priority.OPT_OUT or admits(line.source)]

    def lesser(self) -> list[Line]:
        """Give the lines of the visits and tags, of which the oldest goes now and then."""
        return self._lines(_LESSER)

    def served(self, priority: int, source: str) -> None:
        """Let this source be the last of its class."""
        self._order[priority].sort(key=lambda one: one == source)

    def goes_on(self, priority: int, source: str) -> None:
        """Let this source be the first of its class: what it began must not become old."""
        self._order[priority].sort(key=lambda one: one != source)

    def _lines(self, classes: Iterable[int]) -> list[Line]:
        return [
            Line(priority=priority, source=source)
            for priority in classes
            for source in self._order[priority]
        ]
