"""Counts what is to be known of the sources for years, and writes it down now and then.

Requests by month, for ROLLER's contracts cap them; and what in their messages differs from what is
known, before it breaks anything. What is not written yet is lost with a crash: a minute of it.
"""

from collections.abc import Mapping

import msgspec

from pipeline.clock import Clock, moment
from pipeline.drift import MOST_NAMES, OTHERS, Drift
from pipeline.errors import OutboxUnavailable
from pipeline.log import Log
from pipeline.outbox import Note, Noted

_MINUTE = 60.0

CALLS, DRIFT = "calls", "drift"


class Notebook:
    """An errand: writes down what has been counted."""

    name = "notebook"

    def __init__(
        self,
        peers: Mapping[str, str],
        drifts: Mapping[str, Drift | None],
        noted: Noted,
        clock: Clock,
        log: Log,
    ) -> None:
        #: By what requests are counted under: the source.
        self._peers = peers
        self._drifts = drifts
        self._noted = noted
        self._clock = clock
        self._log = log
        self._pending: dict[tuple[str, str, str], Note] = {}

    def sent(self, peer: str) -> None:
        """Count a request that has left."""
        if source := self._peers.get(peer):
            self.called(source, 1)

    def called(self, source: str, n: int) -> bool:
        """Count so many requests to a source; False when there is none of this name."""
        if source not in self._drifts:
            return False
        now = self._clock.now()
        self._note(source, CALLS, month(now), n, now)
        return True

    async def once(self) -> float:
        """Write down what there is."""
        await self.write()
        return _MINUTE

    async def write(self) -> None:
        """Write down what there is; what could not be written is kept for the next time."""
        self._gather()
        if not self._pending:
            return
        taken, self._pending = self._pending, {}
        try:
            fresh = await self._noted.add(list(taken.values()), most=MOST_NAMES, rest=OTHERS)
        except OutboxUnavailable:
            for note in taken.values():
                self._add(note)
            raise
        for source in {note.source for note in fresh if note.what == DRIFT}:
            names = [note.name for note in fresh if note.what == DRIFT and note.source == source]
            self._log.warning("drifted", source=source, fields=names)

    async def read(self) -> list[Note]:
        """Give all that has been counted, be it written or not."""
        written = {_key(note): note for note in await self._noted.all()}
        self._gather()
        for key, note in self._pending.items():
            written[key] = _sum(written.get(key), note)
        return list(written.values())

    def _gather(self) -> None:
        now = self._clock.now()
        for source, drift in self._drifts.items():
            for name, n in drift.take().items() if drift else ():
                self._note(source, DRIFT, name, n, now)

    def _note(self, source: str, what: str, name: str, n: int, at: int) -> None:
        self._add(Note(source=source, what=what, name=name, n=n, first_at=at, last_at=at))

    def _add(self, note: Note) -> None:
        self._pending[_key(note)] = _sum(self._pending.get(_key(note)), note)


def month(now: int) -> str:
    """Name a month of UTC; whose midnight counts with ROLLER is not known."""
    return f"{moment(now):%Y-%m}"


def _key(note: Note) -> tuple[str, str, str]:
    return note.source, note.what, note.name


def _sum(before: Note | None, note: Note) -> Note:
    if before is None:
        return note
    return msgspec.structs.replace(
        before,
        n=before.n + note.n,
        first_at=min(before.first_at, note.first_at),
        last_at=max(before.last_at, note.last_at),
    )
