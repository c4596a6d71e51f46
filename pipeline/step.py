"""Notices that somebody has set the wall clock, and has what waits moved along.

CLOCK_BOOTTIME goes on evenly, so within a boot the distance between the two tells; it may grow or
shrink slowly, as NTP has it. Across a reboot only a wall clock that is before its last reading is
seen to have been set back, by that much at least.
"""

from pipeline.clock import SECOND, Clock
from pipeline.log import Log
from pipeline.outbox import Reading, Times

#: What is less is not worth the writing: the shortest wait of a retry is of its size.
_LEAST = SECOND

#: How often the clocks are noted, for the next start.
_NOTE_EVERY = 60 * SECOND

#: A reading that took longer than this is taken anew, for the process was stopped within it.
_QUICK = SECOND // 10


class Steps:
    """Compares the two clocks; `begin` at a start, and then `look` once a second."""

    def __init__(self, times: Times, clock: Clock, log: Log) -> None:
        self._times = times
        self._clock = clock
        self._log = log
        self._last: Reading | None = None
        self._noted = 0

    async def begin(self) -> int:
        """Compare with what the outbox knows, before anything else is written; see `look`."""
        last, reading = await self._times.seen(), self._read()
        step = 0 if last is None else _step(last, reading)
        if step:
            await self._shift(step, reading, since=reading.at + 1)
        else:
            await self._times.note(reading)
        self._last, self._noted = reading, reading.boot
        return step

    async def look(self) -> int:
        """Give the microseconds by which the wall clock was set since the last look, mostly 0.

        Raises OutboxUnavailable when what waits could not be moved; the next look does it then.
        """
        reading = self._read()
        last = self._last or reading
        step = _step(last, reading)
        if step:
            await self._shift(step, reading, since=reading.at - (reading.boot - last.boot))
            self._noted = reading.boot
        elif reading.boot - self._noted >= _NOTE_EVERY:
            await self._times.note(reading)
            self._noted = reading.boot
        self._last = reading
        return step

    async def _shift(self, step: int, reading: Reading, *, since: int) -> None:
        moved = await self._times.shift(step, reading, since=since)
        self._log.warning("clock stepped", seconds=round(step / SECOND, 3), moved=moved)

    def _read(self) -> Reading:
        while True:
            before, now, boot = self._clock.boot(), self._clock.now(), self._clock.boot()
            if boot - before <= _QUICK:
                return Reading(at=now, boot=boot, boot_id=self._clock.boot_id)


def _step(last: Reading, reading: Reading) -> int:
    if reading.boot_id == last.boot_id:
        step = (reading.at - reading.boot) - (last.at - last.boot)
    else:
        step = min(reading.at - last.at, 0)
    return step if abs(step) > _LEAST else 0
