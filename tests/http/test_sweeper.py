"""Reconciliation is done daily, after a gap and when it is asked for, and never skips a day."""

import asyncio
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.model import Origin
from pipeline.outbox import Gap, Place, RunState
from pipeline.reports import Report
from pipeline.room import Room
from pipeline.sweeper import Wrong
from tests.http.sweeping import Field, field, utc
from tests.outbox.support import arrival, look

_ITEMS = [{"bookingItemId": 1, "productId": 7, "quantity": 2}]
_DAILY = "03:30"
_HALF = "500 events and deliveries wait, half of outbox.max_waiting: it goes on once fewer do"
_NO_DISK = "less than 1 GiB is free on the disk of outbox.db: make room there"
_TODAY = date(2026, 10, 7)


def _runs(here: Field) -> Sequence[tuple[Any, ...]]:
    """Give the runs; what they had to leave out is not among them."""
    sql = "SELECT since, until, state, watermark FROM sweep WHERE only IS NULL ORDER BY id"
    return look(here.path, sql)


async def _wait(here: Field, *, hours: float = 0.0) -> float:
    """Let time pass, and the errand look; give the hours that it would wait."""
    here.clock.advance(hours * 3600)
    return await here.sweeper.once() / 3600


async def _missed(here: Field, since: str, *, until: str | None = None) -> None:
    """Let webhooks be missing since then."""
    await here.outbox.intake.accept(arrival(f"before {since}", at=utc(since)))
    await here.outbox.webhooks.miss("leeds")
    if until:
        await here.outbox.webhooks.seen("leeds", ["1"], now=utc(until))


async def _gap(here: Field) -> Gap | None:
    return (await here.outbox.webhooks.known("leeds")).gap


async def _fill(here: Field, source: str) -> None:
    """Let 500 events of a source wait."""
    await asyncio.gather(
        *(here.outbox.intake.accept(arrival(f"m{n}", source=source)) for n in range(500))
    )


async def test_it_is_done_every_day_at_its_hour(tmp_path: Path) -> None:
    """Yesterday and the day before, and what there is of today."""
    async with field(tmp_path, now="2026-10-07T12:00:00", daily=_DAILY) as here:
        assert await _wait(here) == 14.5, "03:30 in British summer time"
        assert _runs(here) == []
        assert await _wait(here, hours=14.5) == 24
        assert await _wait(here, hours=23.9) == pytest.approx(0.1)
        assert await _wait(here, hours=0.1) == 24
        assert _runs(here) == [
            ("2026-10-07", "2026-10-08", "done", "2026-10-07"),
            ("2026-10-07", "2026-10-09", "done", "2026-10-08"),
        ]


async def test_it_is_done_soon_after_an_hour_that_was_missed(tmp_path: Path) -> None:
    """The machine was off at night; but before there was anything, nothing was missed."""
    async with field(tmp_path, now="2026-10-07T12:00:00", daily=_DAILY) as here:
        await _wait(here)
        assert _runs(here) == []
        # Something came in two days before this start.
        await here.outbox.intake.accept(arrival("m", at=utc("2026-10-05T12:00:00")))
        await _wait(here)
        assert [state for _, _, state, _ in _runs(here)] == ["done"]
        await _wait(here)
        assert len(_runs(here)) == 1


async def test_an_outage_is_caught_up_with_day_by_day(tmp_path: Path) -> None:
    """From the last day that was read whole, however long ago that is."""
    async with field(tmp_path, now="2026-10-07T12:00:00", daily=_DAILY) as here:
        await _wait(here)
        await _wait(here, hours=15)
        await here.book(utc("2026-10-09T10:00:00"), customerId=9, items=_ITEMS)
        await _wait(here, hours=2 * 24)
        assert _runs(here)[-1] == ("2026-10-07", "2026-10-10", "done", "2026-10-09")
        assert here.kinds() == {"booking": 1}
        days = [day for name, day, _ in await here.asked() if name == "bookingitems"]
        assert days[2:] == [f"2026-10-{day:02}" for day in range(7, 11)]


async def test_without_an_hour_it_is_done_only_when_it_is_asked_for(tmp_path: Path) -> None:
    """`reconcile = "off"`."""
    async with field(tmp_path) as here:
        await _wait(here)
        await _wait(here, hours=48)
        assert _runs(here) == []
        await here.sweeper.begin(Origin.RECONCILE)
        await _wait(here)
        assert [row[:3] for row in _runs(here)] == [("2026-10-07", "2026-10-09", "done")]


async def test_a_gap_is_reconciled_from_its_beginning_on(tmp_path: Path) -> None:
    """The subscription was off: nobody knows what happened meanwhile."""
    async with field(tmp_path, timezone="Pacific/Auckland") as here:
        # It is already the 6th in Auckland.
        await _missed(here, "2026-10-05T11:30:00")
        assert _runs(here) == []
        await here.outbox.webhooks.seen("leeds", ["1"], now=here.clock.now())
        for _ in range(2):
            await _wait(here)
            assert [row[:3] for row in _runs(here)] == [("2026-10-06", "2026-10-08", "done")]
        assert await _gap(here) is None


async def test_a_gap_is_read_once_however_often_we_crash(tmp_path: Path) -> None:
    """What is to be read is in the outbox, and so is that somebody is at it."""
    async with field(tmp_path) as here:
        await _missed(here, "2026-10-06T11:30:00", until="2026-10-06T12:00:00")
        # As far as one gets who crashes before the first page.
        run = await here.sweeper.begin(Origin.RECONCILE, since=date(2026, 10, 6))
    async with field(tmp_path) as here:
        gap = await _gap(here)
        assert (gap and gap.run) == run.id
        await _wait(here)
        await _wait(here)
        assert [row[:3] for row in _runs(here)] == [("2026-10-06", "2026-10-07", "done")]
        assert await _gap(here) is None


async def test_a_gap_that_could_not_be_read_is_tried_again_a_day_later(tmp_path: Path) -> None:
    """With `reconcile = "off"` nobody else would."""
    async with field(tmp_path) as here:
        await here.control("faults", kind="401", path="/data/*", count=2)
        await _missed(here, "2026-10-05T11:30:00", until="2026-10-07T11:00:00")
        await _wait(here)
        await _wait(here, hours=23)
        assert [row[:3] for row in _runs(here)] == [("2026-10-05", "2026-10-07", "failed")]
        [told] = (await here.status()).reasons
        assert told.startswith(
            "sources.leeds: webhooks may be missing from 2026-10-05T11:30:00.000Z to "
            "2026-10-07T11:00:00.000Z, and what they would have told cannot be read: ROLLER "
            "refuses a fresh token"
        )
        assert told.endswith("at once by `pipeline reconcile --since 2026-10-05`")
        await _wait(here, hours=1)
        assert _runs(here)[1][:3] == ("2026-10-05", "2026-10-08", "done")
        assert await _gap(here) is None


@pytest.mark.parametrize(("since", "is_filled"), [(5, True), (6, False)])
async def test_whoever_reads_as_far_back_by_hand_fills_the_gap(
    tmp_path: Path, since: int, *, is_filled: bool
) -> None:
    """As `status` tells them to; but not with less."""
    async with field(tmp_path) as here:
        await here.control("faults", kind="401", path="/data/*", count=2)
        await _missed(here, "2026-10-05T11:30:00", until="2026-10-07T11:00:00")
        await _wait(here)
        await here.sweeper.begin(Origin.RECONCILE, since=date(2026, 10, since), dry_run=True)
        await here.sweeper.begin(Origin.RECONCILE, since=date(2026, 10, since))
        await _wait(here)
        assert [state for _, _, state, _ in _runs(here)] == ["failed", "done", "done"]
        assert (await _gap(here) is None) is is_filled


async def test_of_a_long_gap_only_what_was_not_read_meanwhile_is_read(tmp_path: Path) -> None:
    """Every night somebody has looked all the same."""
    async with field(tmp_path, daily=_DAILY) as here:
        await _missed(here, "2026-10-07T12:00:00")
        await _wait(here)
        for _ in range(2):
            await _wait(here, hours=24)
        await here.outbox.webhooks.seen("leeds", ["1"], now=here.clock.now())
        await _wait(here)
        assert _runs(here)[-1][:3] == ("2026-10-08", "2026-10-09", "done")
        assert await _gap(here) is None


async def test_a_run_that_leaves_out_days_moves_no_watermark(tmp_path: Path) -> None:
    """What lies between would never be read."""
    async with field(tmp_path, daily=_DAILY) as here:
        begin = here.sweeper.begin
        await begin(Origin.RECONCILE, since=date(2026, 10, 4), until=date(2026, 10, 4))
        await _wait(here)
        assert _runs(here)[-1][3] is None
        await begin(Origin.RECONCILE, since=date(2026, 10, 6))
        await _wait(here)
        assert _runs(here)[-1][3] == "2026-10-06"
        here.clock.advance(10 * 86_400)
        await begin(Origin.RECONCILE, since=date(2026, 10, 17))
        newest = await here.outbox.sweeps.newest("leeds", Origin.RECONCILE)
        assert newest is not None
        await here.sweeper.carry_out(newest, lambda _: None)
        assert _runs(here)[-1][3] == "2026-10-06"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"since": date(2026, 10, 6), "until": date(2026, 10, 5)}, "since: 2026-10-06 is after"),
        ({"since": date(2026, 10, 8)}, "since: 2026-10-08 is after 2026-10-07"),
        ({"until": date(2026, 10, 8)}, "until: 2026-10-08 is still to come at leeds"),
        ({"since": date(26, 10, 5)}, "since: 0026-10-05 is before 2010-01-01"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    tmp_path: Path, asked: dict[str, date], sentence: str
) -> None:
    """A mistyped year would be a day of requests."""
    async with field(tmp_path) as here:
        with pytest.raises(Wrong, match=sentence):
            await here.sweeper.begin(Origin.RECONCILE, **asked)  # type: ignore[arg-type]
        assert _runs(here) == []


async def test_a_backfill_that_is_asked_for_again_goes_on(tmp_path: Path) -> None:
    """After a crash, a Ctrl-C, or what made it fail; tomorrow too."""
    async with field(tmp_path) as here:
        first = await here.sweeper.begin(Origin.BACKFILL, since=_TODAY)
        again = await here.sweeper.begin(Origin.BACKFILL, since=_TODAY)
        assert again.id == first.id
        failed = msgspec.structs.replace(first, state=RunState.FAILED, reason="x")
        await here.outbox.sweeps.keep(failed, now=0)
        here.clock.advance(86_400)
        again = await here.sweeper.begin(Origin.BACKFILL, since=_TODAY)
        assert (again.id, again.state, again.reason) == (first.id, RunState.RUNNING, None)
        for other in ({"guests_only": True}, {"until": date(2026, 10, 8)}, {"dry_run": True}):
            made = await here.sweeper.begin(Origin.BACKFILL, since=_TODAY, **other)
            assert made.id > first.id
        await _wait(here)
        assert {state for _, _, state, _ in _runs(here)} == {"done"}
        anew = await here.sweeper.begin(Origin.BACKFILL, since=_TODAY)
        assert anew.state is RunState.RUNNING


async def test_a_reconciliation_that_has_read_today_is_not_taken_for_a_later_one(
    tmp_path: Path,
) -> None:
    """What has happened since is not in it."""
    async with field(tmp_path) as here:
        run = await here.sweeper.begin(Origin.RECONCILE)
        assert (await here.sweeper.begin(Origin.RECONCILE)).id == run.id
        place = Place(day=run.asked.until, report=Report.BOOKINGS)
        await here.outbox.sweeps.keep(msgspec.structs.replace(run, place=place), now=0)
        assert (await here.sweeper.begin(Origin.RECONCILE)).id != run.id


async def test_nothing_is_taken_in_while_half_of_the_outbox_is_full(tmp_path: Path) -> None:
    """The other half is for what webhooks tell."""
    async with field(tmp_path, most=1000) as here:
        await _fill(here, "york")
        await here.book(utc("2026-10-06T12:00:00"), customerId=9, items=_ITEMS)
        await here.sweeper.begin(Origin.RECONCILE)
        run = await here.ran()
        assert (run.state, run.reason) == (
            RunState.WAITING,
            _HALF,
        )
        assert (await here.status()).reasons == (
            f"sources.leeds: reconcile goes on by itself later: {_HALF}",
        )
        assert await here.asked() == []
        late = 2 * 10**15
        for event in await here.outbox.events.claim_due("york", now=late, until=late, limit=2):
            await here.outbox.deliveries.settle(event, [], now=late)
        assert (await here.ran()).state is RunState.DONE
        assert here.kinds()["booking"] == 501


async def test_nothing_is_taken_in_while_the_disk_is_almost_full(tmp_path: Path) -> None:
    """What is left is for what webhooks tell."""
    async with field(tmp_path) as here:
        room = Room(here.outbox.overview, here.path, 1000, free=lambda _: 2**30 - 1)
        assert await room.lack() == _NO_DISK
        here.sweeper.room = room
        told = f"reconciliation and backfill take in nothing: {_NO_DISK}"
        assert (await here.status()).reasons == (told,), "also while there is no run"
        room = Room(here.outbox.overview, here.path, 1000, free=lambda _: 2**30)
        assert await room.lack() is None
        free = shutil.disk_usage(tmp_path).free
        assert Room(here.outbox.overview, here.path, 1000)._free(here.path) == pytest.approx(  # noqa: SLF001
            free, rel=0.5
        )


async def test_more_is_taken_in_when_what_there_is_has_been_enriched(tmp_path: Path) -> None:
    """An event that failed would else wait for a backfill of days."""
    async with field(tmp_path) as here:
        await _fill(here, "leeds")
        await here.sweeper.begin(Origin.BACKFILL, since=date(2026, 10, 6))
        assert await here.sweeper.once() == 2.0
        assert {name for name, _, _ in await here.asked()} == {"signedwaivers"}
        assert [state for _, _, state, _ in _runs(here)] == ["running"]
        status = await here.status()
        run = status.sources["leeds"].backfill
        assert (run and run.waits) == "500 of its events, which are taken up first"
        assert status.reasons == (), "nobody need do anything"


@pytest.mark.parametrize("report", ["customers", "signedwaivers", "bookingitems"])
async def test_a_missing_permission_holds_up_nothing_but_its_own_report(
    tmp_path: Path, report: str
) -> None:
    """The others go on day by day, and it is read from where it failed once it may be."""
    async with field(tmp_path, now="2026-10-07T12:00:00", daily=_DAILY) as here:
        await _wait(here)
        await here.control("permissions", missing=[f"GET /data/{report}"])
        for _ in range(2):
            await _wait(here, hours=24)
        assert [row[2:] for row in _runs(here)] == [("done", "2026-10-07"), ("done", "2026-10-08")]
        [part] = await here.outbox.sweeps.parts("leeds")
        assert part.asked.until == date(2026, 10, 9)
        assert part.reason is not None
        assert (
            f"403 to /data/{report}: the API key lacks the permission for it: give" in part.reason
        )
        told = [line for line in here.log() if line["message"] == "left unread"]
        assert [line["level"] for line in told] == ["warning"] * 2
        before = await here.asked()
        assert len([one for one in before if one[0] == report]) < 5, "each is a call"
        await here.control("permissions", missing=[])
        await _wait(here, hours=1)
        assert await here.outbox.sweeps.parts("leeds") == []
        read = {day for name, day, _ in (await here.asked())[len(before) :] if name == report}
        first = "2026-10-06" if report == "signedwaivers" else "2026-10-07"
        assert read == {f"2026-10-{n:02}" for n in range(int(first[-2:]), 10)}
        assert await _wait(here) > 12, "nothing is left to be tried"


async def test_a_day_that_cannot_be_read_is_left_out_told_of_and_read_later(
    tmp_path: Path,
) -> None:
    """What comes after it does not wait, on that day and on the days behind it."""
    async with field(tmp_path) as here:
        await here.book(utc("2026-10-06T10:00:00"), customerId=9, items=_ITEMS)
        await here.sweeper.begin(Origin.RECONCILE)
        await here.control("faults", kind="500", path="/data/bookingitems", count=3)
        await here.control("faults", kind="garbage", path="/data/bookingitems", count=1)
        assert await here.sweeper.once() == 300
        assert _runs(here)[0][:3] == ("2026-10-06", "2026-10-07", "done")
        left = await here.outbox.sweeps.parts("leeds")
        assert [(one.asked.only, one.asked.since, one.reason) for one in left] == [
            (Report.BOOKINGS, date(2026, 10, 6), "ROLLER answered 500 to /data"),
            (Report.BOOKINGS, date(2026, 10, 7), "ROLLER answered 500 to /data"),
        ]
        asked = len(await here.asked())
        assert await here.sweeper.once() == pytest.approx(300), "whoever rings changes nothing"
        assert len(await here.asked()) == asked
        assert await _wait(here, hours=0.1) == pytest.approx(600 / 3600), "each time twice as long"
        assert here.kinds() == {}
        await _wait(here, hours=0.2)
        assert await here.outbox.sweeps.parts("leeds") == []
        assert here.kinds() == {"booking": 1}
        assert here.stages.enrichers["leeds"].lane.last_error is None


async def test_a_source_that_fails_as_a_whole_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """After three failures in a row; a year of days would else be tried within minutes."""
    async with field(tmp_path, daily=_DAILY) as here:
        await here.control("faults", kind="503", path="/data/*")
        await here.sweeper.begin(Origin.RECONCILE)
        assert await here.sweeper.once() == 300
        assert len(await here.asked()) == 3
        assert await here.sweeper.once() == 300, "whoever rings does not end the pause"
        assert await _wait(here, hours=0.1) * 3600 == 300
        assert len(await here.asked()) == 4


async def test_an_answer_429_stops_the_run_and_leaves_nothing_out(tmp_path: Path) -> None:
    """It is of no page, and says for how long."""
    async with field(tmp_path) as here:
        await here.control("faults", kind="429", path="/data/*", count=1)
        await here.sweeper.begin(Origin.RECONCILE)
        assert await here.sweeper.once() == 60
        [(_, _, state, _)] = _runs(here)
        assert state == "waiting"
        here.clock.advance(60)
        assert (await here.ran()).state is RunState.DONE
        assert await here.outbox.sweeps.parts("leeds") == []


async def test_refused_credentials_fail_the_run_and_not_the_day_after(tmp_path: Path) -> None:
    """Each try costs a call; and what was not read is read when it may be."""
    async with field(tmp_path, now="2026-10-07T12:00:00", daily=_DAILY) as here:
        await _wait(here)
        await here.control("faults", kind="401", path="/data/*", count=2)
        await _wait(here, hours=15)
        run = await here.ran()
        assert (run.state, run.reason) == (
            RunState.FAILED,
            "ROLLER refuses a fresh token (401)",
        )
        assert await _wait(here, hours=1) == 22.5
        await _wait(here, hours=23)
        # All since it was set up, for nothing was ever read.
        assert _runs(here)[-1] == ("2026-10-07", "2026-10-09", "done", "2026-10-08")


async def test_a_run_that_cannot_go_on_has_no_others_pile_up_behind_it(tmp_path: Path) -> None:
    """Each would read the same days once more, when all it takes is to go on."""
    async with field(tmp_path, now="2026-10-07T12:00:00", daily=_DAILY) as here:
        await _wait(here)
        await here.control("faults", rate=1.0, kind="429", path="/data/*", count=2)
        for _ in range(2):
            await _wait(here, hours=24)
        assert [state for _, _, state, _ in _runs(here)] == ["waiting"]
        await _wait(here, hours=24)
        assert {state for _, _, state, _ in _runs(here)} == {"done"}
        assert _runs(here)[0][0] == "2026-10-07"


async def test_a_clock_that_was_ahead_once_keeps_no_run_from_being_made(tmp_path: Path) -> None:
    """The last one would seem to have been made a year from now."""
    async with field(tmp_path, now="2027-10-07T12:00:00", daily=_DAILY) as here:
        await here.sweeper.begin(Origin.RECONCILE)
        await here.ran()
        here.clock.step(-365 * 86_400)
        await _wait(here)
        await _wait(here, hours=24)
        assert [row[:3] for row in _runs(here)][1:] == [
            ("2026-10-06", "2026-10-07", "done"), ("2026-10-07", "2026-10-08", "done"),
        ]  # fmt: skip


async def test_the_venues_zone_is_asked_for_when_nobody_has_told_it(tmp_path: Path) -> None:
    """Reports are cut by it; but a start leaves the question to the first event."""
    async with field(tmp_path, timezone=None, daily=_DAILY) as here:
        assert await here.sweeper.once() == 3600
        assert await here.outbox.facts.venue("leeds") is None
        assert await here.sweeper.once() == 14.5 * 3600
        known = await here.outbox.facts.venue("leeds")
        assert known is not None
        assert known.details.timezone == "Europe/London"


@pytest.mark.parametrize(
    ("zone", "now", "moment", "day"),
    [
        # The day on which clocks go back has 25 hours, the one on which they go forward 23.
        ("Europe/London", "2026-10-27T12:00:00", "2026-10-24T23:00:00", "2026-10-25"),
        ("Europe/London", "2026-10-27T12:00:00", "2026-10-25T23:59:59", "2026-10-25"),
        ("Europe/London", "2026-10-27T12:00:00", "2026-10-26T00:00:00", "2026-10-26"),
        ("Europe/London", "2026-03-31T12:00:00", "2026-03-29T22:59:59", "2026-03-29"),
        ("Europe/London", "2026-03-31T12:00:00", "2026-03-29T23:00:00", "2026-03-30"),
        ("America/Los_Angeles", "2026-11-03T12:00:00", "2026-11-01T06:59:59", "2026-10-31"),
        ("America/Los_Angeles", "2026-11-03T12:00:00", "2026-11-02T07:59:59", "2026-11-01"),
        ("Pacific/Auckland", "2026-04-07T12:00:00", "2026-04-04T10:59:59", "2026-04-04"),
        ("Pacific/Auckland", "2026-04-07T12:00:00", "2026-04-05T11:59:59", "2026-04-05"),
        ("Pacific/Kiritimati", "2026-10-07T12:00:00", "2026-10-06T09:59:59", "2026-10-06"),
    ],
)
async def test_what_happens_at_the_edge_of_a_day_is_found_in_it(
    tmp_path: Path, zone: str, now: str, moment: str, day: str
) -> None:
    """By the venue's calendar, west and east of UTC, and when its clocks change."""
    async with field(tmp_path, now=now, timezone=zone) as here:
        await here.book(utc(moment), customerId=9, items=_ITEMS)
        one = date.fromisoformat(day)
        await here.sweeper.begin(Origin.RECONCILE, since=one, until=one)
        run = await here.ran()
        assert (run.state, run.sums.taken_in) == (RunState.DONE, 1)


async def test_the_venues_day_has_begun_when_it_has_there(tmp_path: Path) -> None:
    """Without an end it goes up to today, which is another day elsewhere."""
    for zone, today in (
        ("Pacific/Auckland", "2026-10-08"),
        ("Europe/London", "2026-10-07"),
        ("America/Los_Angeles", "2026-10-07"),
    ):
        folder = tmp_path / today / zone.partition("/")[2]
        folder.mkdir(parents=True)
        async with field(folder, timezone=zone) as here:
            run = await here.sweeper.begin(Origin.RECONCILE)
            assert run.asked.until.isoformat() == today


async def test_a_report_of_each_run_is_logged(tmp_path: Path) -> None:
    """Whoever reads the log sees whether webhooks get lost."""
    async with field(tmp_path) as here:
        await here.book(utc("2026-10-06T12:00:00"), customerId=9, items=_ITEMS)
        await here.book(utc("2026-10-06T12:00:00"), customerId=None, items=_ITEMS)
        await here.sweeper.begin(Origin.RECONCILE)
        await here.ran()
        [line] = [one for one in here.log() if one["message"] == "reconciled"]
        facts = {name: line[name] for name in list(line)[3:]}
        assert facts == {
            "source": "leeds", "since": "2026-10-06", "until": "2026-10-07", "dry_run": False,
            "seen": 2, "known": 0, "taken_in": 1, "not_sendable": {"no customer": 1},
        }  # fmt: skip
