"""Decides what becomes of a run that cannot go on: it waits, fails, or leaves a part out.

What is of a day or of a report holds up neither the days behind it nor the other reports: it is
left to a part, told of, and tried again at its own times. What is of the whole source holds up all.
"""

from zoneinfo import ZoneInfo

import msgspec

from pipeline.clock import SECOND, Clock
from pipeline.errors import Failure, Forbidden, LaneFailure, Retry, Unauthorized
from pipeline.log import Log
from pipeline.outbox import Run, RunState, Sweeps
from pipeline.reports import Report
from pipeline.runs import described
from pipeline.sweep import Sweep

#: Seconds until what failed is tried again.
_AGAIN = 300.0

#: Seconds that a source is left alone at the least.
_PAUSE = 60.0

#: Seconds until a part is tried again, at most: a permission takes about a minute once it is given,
#: and each try is a call of those that are counted by the month.
_LONGEST_FORBIDDEN = 3600.0
LONGEST = 6 * 3600.0

#: So many failures in a row are not of a day or a report, but of the source, which needs time.
_IN_A_ROW = 3

_replace = msgspec.structs.replace


class Setback:
    """What one source's runs meet with."""

    def __init__(self, name: str, sweep: Sweep, sweeps: Sweeps, clock: Clock, log: Log) -> None:
        self._name = name
        self._sweep = sweep
        self._sweeps = sweeps
        self._clock = clock
        self._log = log
        self._failures = 0
        #: Why the source is left alone.
        self.why = ""
        #: By the boot clock: until then nothing is asked.
        self._resume_at = 0

    @property
    def rest(self) -> float:
        """For how many seconds the source is to be left alone."""
        return max(self._resume_at - self._clock.boot(), 0) / SECOND

    def over(self) -> None:
        """Take note that something could be read."""
        self._failures = 0

    async def wait_for(self, run: Run, part: Run) -> Run:
        """Let a run wait until it is known who is a minor: tried again when the part has been."""
        why = f"who is a minor is not known yet, for {described(part)}: {part.reason}"
        if part.forbidden:
            why += f'; or do without them: sources.{run.source}.waivers = "off"'
        after = max(part.due_at, self._clock.now()) + SECOND
        return await self.halt(_replace(run, due_at=after), RunState.WAITING, why)

    async def wait(self, run: Run, exc: Retry) -> tuple[Run, float]:
        """Let a run wait with its source."""
        pause = self.leave_alone(exc.after, exc.reason)
        return await self.halt(run, RunState.WAITING, exc.reason), pause

    async def lane_failed(self, run: Run, exc: LaneFailure) -> tuple[Run, float | None]:
        """Wait with all of a source, or give a run up: the next night's has its days, too."""
        if not isinstance(exc, Unauthorized):
            return await self.wait(run, exc)
        if run.asked.only is None:
            return await self.halt(run, RunState.FAILED, exc.reason), None
        return await self._put_off(run, exc.reason, forbidden=run.forbidden), None

    async def failed(self, run: Run, exc: Failure, zone: ZoneInfo) -> tuple[Run, float | None]:
        """Leave out what cannot be read; a dry run, which has nothing to come back to, ends."""
        asked, forbidden = run.asked, isinstance(exc, Forbidden)
        if asked.dry_run and run.place.report is not Report.WAIVERS:
            if isinstance(exc, Retry) and run.tries < _IN_A_ROW:
                return await self.wait(_replace(run, tries=run.tries + 1), exc)
            return await self.halt(run, RunState.FAILED, exc.reason), None
        in_a_row = self._failures + 1 >= _IN_A_ROW
        if asked.only is not None and (forbidden or in_a_row or asked.since == asked.until):
            run = await self._put_off(run, exc.reason, forbidden=forbidden)
        else:
            whole = forbidden or (in_a_row and run.place.report is Report.WAIVERS)
            run = await self._leave(run, exc.reason, zone, forbidden=forbidden, whole=whole)
        self._failures += not forbidden
        after = exc.after if isinstance(exc, Retry) else None
        if after is None and self._failures < _IN_A_ROW:
            return run, None
        return run, self.leave_alone(after, exc.reason)

    async def _leave(
        self, run: Run, reason: str, zone: ZoneInfo, *, forbidden: bool, whole: bool
    ) -> Run:
        """Leave out a day, or the whole report: a year of days that fail one by one is too long."""
        part = _replace(
            self._sweep.route.part(run, zone, whole=whole),
            forbidden=forbidden,
            state=RunState.WAITING,
            reason=reason,
            tries=1,
            due_at=self._clock.now() + round(_AGAIN * SECOND),
        )
        self._log.warning("left unread", errand=self._name, what=described(part), reason=reason)
        return await self._sweep.skip(run, zone, part)

    async def _put_off(self, run: Run, reason: str, *, forbidden: bool) -> Run:
        """Try a part again later, each time after twice as long."""
        most = _LONGEST_FORBIDDEN if forbidden else LONGEST
        pause = min(_AGAIN * 2 ** min(run.tries, 10), most)
        run = _replace(
            run,
            tries=run.tries + 1,
            forbidden=forbidden,
            due_at=self._clock.now() + round(pause * SECOND),
        )
        return await self.halt(run, RunState.WAITING, reason)

    def leave_alone(self, after: float | None, why: str) -> float:
        """Ask nothing of the source for a while."""
        self.why = why
        pause = max(after or _AGAIN, _PAUSE)
        self._resume_at = self._clock.boot() + round(pause * SECOND)
        return pause

    async def halt(self, run: Run, state: RunState, reason: str) -> Run:
        """Note that a run waits or has failed, and say so once."""
        if (run.state, run.reason) != (state, reason):
            self._log.warning(str(state), errand=self._name, reason=reason)
        run = _replace(run, state=state, reason=reason)
        free_at = self._sweep.tempo.free_at
        await self._sweeps.keep(run, now=self._clock.now(), free_at=free_at or None)
        return run
