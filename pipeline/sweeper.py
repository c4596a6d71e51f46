"""Finds what no webhook has told: once a day, after a gap, and when somebody asks for it.

The outbox holds the runs that are to be made, so that one goes on where it was, after a crash too.
What cannot be read on a day holds up neither the days behind it nor the other reports: it is left
to a part, which is a run of its own, told of, and tried again at its own times until it is read.
"""

from collections.abc import Callable
from datetime import date, time, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec

from pipeline.clock import SECOND, span
from pipeline.days import DAY, day_of, last_at, next_at
from pipeline.errors import Failure, LaneFailure, PipelineError, Throttled
from pipeline.fetch import Fetcher
from pipeline.means import Means
from pipeline.model import Origin
from pipeline.outbox import Asked, Gap, Run, RunState
from pipeline.reports import Report
from pipeline.room import Room
from pipeline.setback import LONGEST, Setback
from pipeline.survey import Survey, survey
from pipeline.sweep import Sweep

#: Seconds until it is looked again whether there is room.
_CROWDED = 2.0
_NO_ROOM = 60.0

#: Seconds by which a run may be due later than the longest pause.
_SLACK = 60.0

#: Nothing is due by the clock: an hour is soon enough to look again.
_NEVER = 3600.0

#: What reports are asked for is no longer ago than this, which a mistyped year would be.
_FIRST_DAY = date(2010, 1, 1)

#: The time zone in which a day begins first.
_EASTERNMOST = timezone(timedelta(hours=14))

_OPEN = {RunState.RUNNING, RunState.WAITING}

_replace = msgspec.structs.replace


class Wrong(PipelineError):
    """What is asked for makes no sense; the text says why."""


def check_days(since: date | None, until: date | None, *, now: int) -> None:
    """See whether there can be such days anywhere, before anybody is asked for them; else Wrong."""
    for name, day in (("since", since), ("until", until)):
        if day and day < _FIRST_DAY:
            raise Wrong(f"{name}: {day} is before {_FIRST_DAY}")
        if day and day > day_of(now, _EASTERNMOST):
            raise Wrong(f"{name}: {day} is still to come")
    if since and until and since > until:
        raise Wrong(f"since: {since} is after {until}")


class Sweeper:
    """The errand of one source."""

    def __init__(
        self,
        source: str,
        sweep: Sweep,
        *,
        daily: time | None,
        room: Room,
        fetcher: Fetcher,
        means: Means,
        taken_in: Callable[[], None],
    ) -> None:
        self.name = f"reconciliation of {source}"
        self.source = source
        #: Called when a run is to be made: whoever carries the errand out should look.
        self.ring: Callable[[], None] = lambda: None
        self._sweep = sweep
        self._daily = daily
        self.room = room
        self._fetcher = fetcher
        self._setback = Setback(self.name, sweep, means.outbox.sweeps, means.clock, means.log)
        self._gatherer = means.gatherer
        self._sweeps = means.outbox.sweeps
        self._webhooks = means.outbox.webhooks
        self._clock = means.clock
        self._taken_in = taken_in
        self._started_at = self._clock.now()
        self._may_ask = False
        #: All runs say that they wait; at the start those of a process before may.
        self._are_held = True
        self._is_first = True

    @property
    def spent(self) -> int:
        """When the allowance for reports is whole again, after what was asked for here."""
        return self._sweep.tempo.free_at

    async def once(self) -> float:
        """Make the runs that are due, and give the seconds until there may be one."""
        if not await self._is_placed():
            return _NEVER
        zone = await self._zone()
        if self._is_first and not self._sweep.route.reads_waivers:
            await self._sweeps.end_parts(self.source, Report.WAIVERS, now=self._clock.now())
        self._is_first = False
        while True:
            if rest := self._setback.rest:
                # Whoever rings does not end a pause that ROLLER has asked for.
                await self._hold(self._setback.why)
                return rest
            await self._begin_gap()
            await self._begin_daily(zone)
            run = await self._sweeps.unfinished(
                self.source, now=self._clock.now(), patience=round((LONGEST + _SLACK) * SECOND)
            )
            if run is None:
                break
            takes_in = not run.asked.dry_run and run.place.report is not Report.WAIVERS
            if takes_in and await self.room.crowd(self.source):
                return _CROWDED
            run, pause = await self._step(run, zone)
            if pause is not None:
                await self._hold(run.reason or self._setback.why)
                return pause
            await self._release()
        now = self._clock.now()
        due = await self._sweeps.next_due(self.source)
        dues = [] if due is None else [min(due, now + round(LONGEST * SECOND))]
        if self._daily is not None:
            dues.append(next_at(self._daily, zone, now=now))
        return max(min(dues) - now, 0) / SECOND if dues else _NEVER

    async def _hold(self, why: str) -> None:
        """Let all runs say why they do not go on: who looks on is not to look for minutes."""
        self._are_held = True
        await self._sweeps.hold(self.source, why, now=self._clock.now())

    async def _release(self) -> None:
        """Let them say that they go on."""
        if self._are_held:
            self._are_held = False
            await self._sweeps.release(self.source, now=self._clock.now())

    async def begin(
        self,
        origin: Origin,
        *,
        since: date | None = None,
        until: date | None = None,
        guests_only: bool = False,
        dry_run: bool = False,
    ) -> Run:
        """Have a run made, or go on with one that was asked for in the same way.

        A gap that it covers is filled by it. Raises Wrong when such a run makes no sense.
        """
        asked = await self.plan(
            origin, since=since, until=until, guests_only=guests_only, dry_run=dry_run
        )
        run = await self._same(asked, until) or await self._sweep.begin(asked, await self._today())
        await self._sweeps.hasten(self.source)
        if (gap := await self._gap()) and await self._covers(run.asked, gap):
            await self._webhooks.hand_over(self.source, run.id)
        self.ring()
        return run

    async def plan(
        self,
        origin: Origin,
        *,
        since: date | None = None,
        until: date | None = None,
        guests_only: bool = False,
        dry_run: bool = False,
    ) -> Asked:
        """Say which days a run would read; raises Wrong when it makes no sense.

        Without `since` it begins where everything was read last; without `until` it ends today.
        """
        check_days(since, until, now=self._clock.now())
        today = await self._today()
        first = since or await self._unread_since(today)
        last = until or today
        if last > today:
            raise Wrong(f"until: {last} is still to come at {self.source}, where it is {today}")
        if first > last:
            raise Wrong(f"since: {first} is after {last}")
        return Asked(
            origin=origin, since=first, until=last, guests_only=guests_only, dry_run=dry_run
        )

    async def survey(self, asked: Asked) -> Survey:
        """Look how much a run would be; raises Failure when it cannot be told."""
        if rest := self._setback.rest:
            again = span(rest)
            raise Throttled(f"{self.source} is left alone just now: ask again in {again}")
        days = await self._sweep.route.waiver_days(asked, await self._today())
        tempo = self._sweep.tempo
        try:
            return await survey(self._sweep.reports, tempo, asked, waiver_days=len(days))
        except Throttled as exc:
            self._setback.leave_alone(exc.after, exc.reason)
            raise
        finally:
            await self._sweeps.paced(self.source, tempo.free_at)

    async def carry_out(self, run: Run, told: Callable[[Run], None]) -> Run:
        """Make a run at once, on an outbox that no daemon works on, until it ends or must wait."""
        zone = await self._zone()
        for part in await self._sweep.route.lacking(run.asked):
            if not self._setback.rest:
                await self._carry(part, zone, told=lambda _: None)
        if self._setback.rest:
            return await self._setback.halt(run, RunState.WAITING, self._setback.why)
        return await self._carry(run, zone, told)

    async def _carry(self, run: Run, zone: ZoneInfo, told: Callable[[Run], None]) -> Run:
        while run.state in _OPEN:
            run, pause = await self._step(run, zone)
            told(run)
            if pause is not None or run.due_at > self._clock.now():
                break
        return run

    async def _same(self, asked: Asked, until: date | None) -> Run | None:
        """Find the run that is to be gone on with, if there is one."""
        run = await self._sweeps.alike(self.source, asked)
        if run is None or run.state is RunState.DONE:
            return None
        if asked.origin is Origin.BACKFILL:
            if until is not None and run.asked.until != until:
                return None
            if run.state is RunState.FAILED:
                run = _replace(run, state=RunState.RUNNING, reason=None)
                await self._sweeps.keep(run, now=self._clock.now())
            return run
        # Only one that has not begun its last day yet finds all that has happened until now.
        place = run.place
        is_ahead = place.report is Report.WAIVERS or place.day < asked.until
        return run if run.state in _OPEN and is_ahead and asked.until == run.asked.until else None

    async def _step(self, run: Run, zone: ZoneInfo) -> tuple[Run, float | None]:
        """Go a page further; give the pause that the source needs if it cannot be asked."""
        if not run.asked.dry_run and (why := await self.room.lack()):
            return await self._setback.halt(run, RunState.WAITING, why), _NO_ROOM
        is_first = run.place.report is Report.WAIVERS
        if not is_first and (parts := await self._sweep.route.lacking(run.asked)):
            return await self._setback.wait_for(run, parts[0]), None
        if run.state is RunState.WAITING:
            run = _replace(run, state=RunState.RUNNING, reason=None)
        if await self._sweep.route.is_left(run):
            return await self._sweep.skip(run, zone), None
        taken_in = run.sums.taken_in
        try:
            run = await self._sweep.step(run, zone)
        except LaneFailure as exc:
            return await self._setback.lane_failed(run, exc)
        except Failure as exc:
            return await self._setback.failed(run, exc, zone)
        self._setback.over()
        if run.sums.taken_in > taken_in:
            self._taken_in()
        return run, None

    async def _gap(self) -> Gap | None:
        """Give the gap that is over, and not filled yet."""
        gap = (await self._webhooks.known(self.source)).gap
        return gap if gap and gap.until is not None else None

    async def _covers(self, asked: Asked, gap: Gap) -> bool:
        """Tell whether a run takes in what was missed in a gap."""
        if asked.origin is not Origin.RECONCILE or asked.dry_run:
            return False
        # One of what is still to come is of a clock that was set back since.
        last = min(day_of(gap.until or gap.since, await self._zone()), await self._today())
        return asked.since <= await self._first_day(gap) and asked.until >= last

    async def _first_day(self, gap: Gap) -> date:
        """Give the day from which on a gap is to be read: not what has been read whole since."""
        zone = await self._zone()
        today = day_of(self._clock.now(), zone)
        read = await self._sweeps.watermark(self.source)
        if read is None or read > today:  # one of a clock that was set back since
            read = _FIRST_DAY
        return min(max(day_of(gap.since, zone), read, _FIRST_DAY), today)

    async def _begin_gap(self) -> None:
        """Begin the run that a gap wants, and another one a day after it has failed."""
        gap = await self._gap()
        if gap is None:
            return
        if gap.run is not None:
            run = await self._sweeps.run(gap.run)
            rest = self._clock.now() - round(DAY.total_seconds() * SECOND)
            if run and (run.state in _OPEN or run.updated_at > rest):
                return
        await self.begin(Origin.RECONCILE, since=await self._first_day(gap))

    async def _begin_daily(self, zone: ZoneInfo) -> None:
        """Begin the run of the day when its hour has come, or was missed."""
        if self._daily is None:
            return
        now = self._clock.now()
        due = last_at(self._daily, zone, now=now)
        newest = await self._sweeps.newest(self.source, Origin.RECONCILE)
        if newest is None:
            # Before there was anything here, no hour can have been missed.
            since = min(self._started_at, await self._sweeps.begun() or now)
        else:
            since = newest.started_at
        if newest and newest.state in _OPEN:
            return  # one a day behind one that cannot go on would be a heap of the same days
        # One that was begun in what is still to come was begun by a clock that was set back since.
        if since < due or since > now:
            await self.begin(Origin.RECONCILE)

    async def _unread_since(self, today: date) -> date:
        """Give the first day that is to be read: the last one that was read whole, once more.

        What was modified while it was read may have been missed, or not have been reported yet.
        """
        watermark = await self._sweeps.watermark(self.source)
        if watermark is None:
            begun = await self._sweeps.begun() or self._started_at
            return max(min(day_of(begun, await self._zone()), today - DAY), _FIRST_DAY)
        # One of what is still to come is of a clock that was set back since.
        return watermark if watermark <= today else today - DAY

    async def _is_placed(self) -> bool:
        """Tell whether the venue's time zone is known, or worth a request of our own.

        The first event has the venue asked for, so a start leaves it to that.
        """
        may_ask, self._may_ask = self._may_ask, True
        if may_ask or await self._gap() or await self._gatherer.timezone(self.source):
            return True
        return await self._sweeps.next_due(self.source) is not None

    async def _today(self) -> date:
        return day_of(self._clock.now(), await self._zone())

    async def _zone(self) -> ZoneInfo:
        """Give the venue's time zone, by which reports are cut."""
        name = await self._gatherer.timezone(self.source)
        if name is None:
            await self._fetcher.venue()
            name = await self._gatherer.timezone(self.source)
        if name is None:
            msg = (
                "the source does not tell the venue's timezone, by which its reports are cut: "
                f"set timezone in [sources.{self.source}]"
            )
            raise PipelineError(msg)
        return ZoneInfo(name)
