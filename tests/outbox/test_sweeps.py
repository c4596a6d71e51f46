"""What a sweep has read stays read, and what it need not take in is told at once."""

from datetime import date
from pathlib import Path

import msgspec

from pipeline.model import Booking, Guest, Origin, Phase
from pipeline.outbox import Asked, Place, Run, RunState, Sums
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from pipeline.reports import Report
from tests.outbox.support import T0, claimed

_FIRST, _LAST = date(2026, 10, 5), date(2026, 10, 9)
_START = Place(day=_FIRST, report=Report.WAIVERS)
_ASKED = Asked(origin=Origin.RECONCILE, since=_FIRST, until=_LAST)


async def _run(outbox: SqliteOutbox, asked: Asked = _ASKED, **how: object) -> Run:
    run = await outbox.sweeps.begin("leeds", asked, _START, now=T0)
    kept = msgspec.structs.replace(run, **how)
    await outbox.sweeps.keep(kept, now=T0 + 1)
    return msgspec.structs.replace(kept, updated_at=T0 + 1)


async def _next(outbox: SqliteOutbox, source: str = "leeds", *, now: int = T0) -> Run | None:
    return await outbox.sweeps.unfinished(source, now=now, patience=100)


async def test_a_run_goes_on_where_it_was_after_a_restart(path: Path) -> None:
    """A crash must make it skip nothing."""
    async with open_outbox(path) as outbox:
        run = await _run(
            outbox,
            state=RunState.WAITING,
            reason="the disk is full",
            place=Place(
                day=date(2026, 10, 7), report=Report.CUSTOMERS, page=3, rows=1200, size=100, backs=2
            ),
            sums=Sums(seen=9, known=5, taken_in=2, unsendable={"draft": 2}),
            watermark=_FIRST,
        )
    async with open_outbox(path) as outbox:
        assert await _next(outbox) == run
        assert await outbox.sweeps.run(run.id) == run
        assert await _next(outbox, "york") is None


async def test_the_oldest_goes_on_first_and_a_backfill_last(outbox: SqliteOutbox) -> None:
    """A backfill takes days, and what is lost meanwhile must be found."""
    await _run(outbox, state=RunState.DONE)
    await _run(outbox, state=RunState.FAILED)
    backfill = await _run(outbox, msgspec.structs.replace(_ASKED, origin=Origin.BACKFILL))
    assert await _next(outbox) == backfill
    first = await _run(outbox, state=RunState.WAITING)
    await _run(outbox)
    assert await _next(outbox) == first


async def _part(outbox: SqliteOutbox, run: Run, only: Report, **how: object) -> Run:
    """Leave a part of a run unread: its first day, or from there to its last."""
    until = run.asked.until if how.get("forbidden") else run.asked.since
    asked = msgspec.structs.replace(run.asked, until=until, only=only)
    place = Place(day=asked.since, report=only)
    part = msgspec.structs.replace(
        run, asked=asked, place=place, state=RunState.WAITING, reason="x", **how
    )
    return await outbox.sweeps.leave(run, part, now=T0)


async def test_who_is_a_minor_goes_before_all(outbox: SqliteOutbox) -> None:
    """Whoever is taken in until that is known may be one."""
    reconcile = await _run(outbox)
    backfill = await _run(outbox, msgspec.structs.replace(_ASKED, origin=Origin.BACKFILL))
    assert await _next(outbox) == reconcile
    part = await _part(outbox, backfill, Report.WAIVERS)
    found = await _next(outbox)
    assert found is not None
    assert (found.id, found.asked.only) == (part.id, Report.WAIVERS)


async def test_what_was_put_off_is_tried_when_it_is_due(outbox: SqliteOutbox) -> None:
    """Or when it seems to be due in years, which only a clock that was ahead has said."""
    run = await _run(outbox, state=RunState.DONE)
    part = await _part(outbox, run, Report.CUSTOMERS, due_at=T0 + 50)
    assert await _next(outbox) is None
    assert await outbox.sweeps.next_due("leeds") == T0 + 50
    for now in (T0 + 50, T0 - 51):
        found = await _next(outbox, now=now)
        assert found is not None
        assert found.id == part.id
    await outbox.sweeps.hasten("leeds")
    assert await _next(outbox) is not None
    newest = await outbox.sweeps.newest("leeds", Origin.RECONCILE)
    assert newest is not None
    assert newest.id == run.id, "a part is no run"


async def test_a_day_is_left_out_once_and_what_is_forbidden_is_one_part(
    outbox: SqliteOutbox,
) -> None:
    """Each night reads a day twice, and each permission that is missing lacks for months."""
    run = await _run(outbox)
    day = await _part(outbox, run, Report.CUSTOMERS)
    assert (await _part(outbox, run, Report.CUSTOMERS)).id == day.id
    whole = await _part(outbox, run, Report.CUSTOMERS, forbidden=True)
    later = msgspec.structs.replace(_ASKED, since=_LAST, until=date(2026, 10, 12))
    wider = await _part(outbox, await _run(outbox, later), Report.CUSTOMERS, forbidden=True)
    assert wider.id == whole.id
    assert (wider.asked.since, wider.asked.until) == (_FIRST, date(2026, 10, 12))
    other = await _part(outbox, run, Report.BOOKINGS, forbidden=True)
    assert [one.id for one in await outbox.sweeps.parts("leeds")] == [day.id, whole.id, other.id]


async def test_waivers_that_were_read_and_what_was_asked_are_kept(path: Path) -> None:
    """A start neither reads a year of them again, nor asks as if nobody had asked."""
    async with open_outbox(path) as outbox:
        run = await _run(outbox)
        assert await outbox.sweeps.pace("leeds") == 0
        await outbox.sweeps.keep(run, now=T0, waivers=_FIRST, free_at=T0 + 7)
        await outbox.sweeps.keep(run, now=T0, waivers=_FIRST)
    async with open_outbox(path) as outbox:
        assert await outbox.sweeps.waiver_days("leeds", _FIRST) == {_FIRST}
        assert await outbox.sweeps.waiver_days("leeds", _LAST) == set()
        assert await outbox.sweeps.pace("leeds") == T0 + 7


async def test_the_newest_run_is_one_that_took_in(outbox: SqliteOutbox) -> None:
    """A dry run tells nobody that all is well."""
    assert await outbox.sweeps.newest("leeds", Origin.RECONCILE) is None
    done = await _run(outbox, state=RunState.DONE)
    failed = await _run(outbox, state=RunState.FAILED)
    await _run(outbox, msgspec.structs.replace(_ASKED, dry_run=True), state=RunState.DONE)
    assert await outbox.sweeps.newest("leeds", Origin.RECONCILE) == failed
    assert await outbox.sweeps.newest("leeds", Origin.RECONCILE, done=True) == done
    assert await outbox.sweeps.newest("leeds", Origin.BACKFILL) is None


async def test_what_was_asked_in_the_same_way_is_found_again(outbox: SqliteOutbox) -> None:
    """The last day is today as a rule, and another one tomorrow."""
    asked = msgspec.structs.replace(_ASKED, origin=Origin.BACKFILL, guests_only=True)
    run = await _run(outbox, asked)
    later = msgspec.structs.replace(asked, until=date(2026, 11, 1))
    assert await outbox.sweeps.alike("leeds", later) == run
    for other in (
        msgspec.structs.replace(asked, guests_only=False),
        msgspec.structs.replace(asked, since=_LAST),
        msgspec.structs.replace(asked, dry_run=True),
    ):
        assert await outbox.sweeps.alike("leeds", other) is None


async def test_the_watermark_is_that_of_what_is_done(outbox: SqliteOutbox) -> None:
    """What was not read to its end is read again."""
    assert await outbox.sweeps.watermark("leeds") is None
    await _run(outbox, state=RunState.DONE, watermark=_LAST)
    await _run(outbox, state=RunState.DONE, watermark=_FIRST)
    await _run(outbox, state=RunState.RUNNING, watermark=date(2027, 1, 1))
    assert await outbox.sweeps.watermark("leeds") == _LAST
    assert await outbox.sweeps.watermark("york") is None


async def test_what_is_known_is_told_by_its_time_also_without_its_details(
    outbox: SqliteOutbox, path: Path
) -> None:
    """Details go after a while; that a booking was known then does not."""
    assert await outbox.sweeps.begun() is None
    event = await claimed(outbox, "1", at=T0)
    await outbox.events.learn_booking(event, Booking(id="b", customer="c", phase=Phase.ACTIVE))
    await outbox.events.learn_guest("leeds", Guest(customer="c"), fetched_at=T0 + 5)
    await outbox.events.lose_guest("leeds", "c", at=T0 + 6)
    assert await outbox.sweeps.as_of("leeds", "booking", ["b", "other"]) == {"b": T0}
    assert await outbox.sweeps.as_of("leeds", "guest", ["c", "b"]) == {"c": T0 + 6}
    assert await outbox.sweeps.as_of("york", "booking", ["b"]) == {}
    assert await outbox.sweeps.begun() == T0
