"""Whose turn it is: classes one before the other, and in each the venues one after the other.

So a venue that floods the outbox fills its own line, and holds up no other's.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto

from pipeline.model import Priority
from pipeline.outbox import Line

#: Of the classes that must not wait for ever, though others go before them.
_LESSER = (Priority.VISIT, Priority.TAG)

_CLASSES = range(Priority.OPT_OUT, Priority.BACKFILL + 1)


class Begun(Enum):
    """When new bookings go on of which a request was answered already."""

    #: Before others are begun, as it is in every other class: what was looked up must not become
    #: too old to be used.
    FIRST = auto()
    #: After the first requests of others.
    LATER = auto()
    #: Not now: the next slot is for the first request of another, or for an opt-out.
    NOT_YET = auto()


class Turn:
    """The order of the sources in each class: who was served longest ago goes first.

    It is kept in memory, and begins anew with each start.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._order = {priority: sorted(sources) for priority in _CLASSES}

    def lines(
        self,
        most: int,
        admits: Callable[[str], bool] = lambda _source: True,
        begun: Begun = Begun.FIRST,
    ) -> list[Line]:
        """Give the lines of the classes up to `most`, in the order of going.

        Of several sources only those that are admitted; an opt-out goes in any case.
        """
        if begun is Begun.NOT_YET:
            most = min(most, Priority.NEW)
        lines = [
            line
            for priority in _CLASSES
            if priority <= most
            for line in self._class(priority, Begun.FIRST if priority != Priority.NEW else begun)
        ]
        if len(self._order[Priority.OPT_OUT]) == 1:
            return lines
        return [line for line in lines if line.priority == Priority.OPT_OUT or admits(line.source)]

    def lesser(self) -> list[Line]:
        """Give the lines of the visits and tags, of which the oldest goes now and then."""
        return [line for priority in _LESSER for line in self._class(priority, Begun.FIRST)]

    def served(self, priority: int, source: str) -> None:
        """Let this source be the last of its class."""
        self._order[priority].sort(key=lambda one: one == source)

    def _class(self, priority: int, begun: Begun) -> list[Line]:
        """Give the lines of a class: of what is begun, and of what is not."""
        parts = {Begun.FIRST: (True, False), Begun.LATER: (False, True), Begun.NOT_YET: (False,)}
        return [
            Line(priority=priority, source=source, begun=part)
            for part in parts[begun]
            for source in self._order[priority]
        ]
