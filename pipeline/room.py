"""Whether there is room to take in what is found by looking: what webhooks tell goes first."""

import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.outbox import Overview
from pipeline.status import tally

_LEAST_FREE = 1 << 30

#: Events of a source that wait at most, while more are taken in: an event that failed goes on after
#: those that were due before it, so they must not be a day's work.
_MOST_WAITING = 500

_OPEN = {"waiting", "processing"}


def free_bytes(path: Path) -> int:
    """Tell how much room a file's disk has."""
    return shutil.disk_usage(path.parent).free


class Room:
    """The room in the outbox and on its disk."""

    def __init__(
        self,
        overview: Overview,
        path: Path,
        max_waiting: int,
        *,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._overview = overview
        self._path = path
        self._most = max_waiting // 2
        self._free = free

    async def lack(self) -> str | None:
        """Say in words why nothing may be taken in; None when it may."""
        try:
            free = self._free(self._path)
        except OSError as exc:
            return f"the room on the disk of {self._path.name} cannot be told: {exc.strerror}"
        if free < _LEAST_FREE:
            return f"less than 1 GiB is free on the disk of {self._path.name}: make room there"
        unfinished = tally(await self._overview.counts()).unfinished
        if unfinished >= self._most:
            return (
                f"{unfinished} events and deliveries wait, half of outbox.max_waiting: it goes on "
                "once fewer do"
            )
        return None

    async def crowd(self, source: str) -> str | None:
        """Say in words that so much waits to be enriched that more had better come later."""
        counts = await self._overview.counts()
        waiting = sum(
            one.n
            for one in counts
            if one.what == "event" and one.owner == source and one.state in _OPEN
        )
        if waiting < _MOST_WAITING:
            return None
        return f"{waiting} of its events, which are taken up first"
