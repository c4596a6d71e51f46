"""Who is a minor by a waiver is known before anybody is taken in, whenever it was signed."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.model import Origin
from pipeline.outbox import RunState
from pipeline.reports import Report
from tests.http.sweeping import Field, field, utc
from tests.outbox.support import look

_SINCE = date(2026, 10, 6)
_AT = utc("2026-10-06T10:00:00")
_GUESTS: Mapping[str, Any] = {"origin": Origin.BACKFILL, "guests_only": True}
_RUNS: Sequence[Mapping[str, Any]] = [
    {"origin": Origin.RECONCILE},
    {"origin": Origin.BACKFILL},
    _GUESTS,
]


async def _teenager(here: Field, *, signed: str) -> int:
    """Have a parent sign for somebody who has an e-mail and consents, and whose age is not known.

    Their record is modified within the days that are read.
    """
    fields = {"email": "tom@example.com", "acceptMarketing": True, "dateOfBirth": None}
    order = {"minors": [fields], "event_date": signed, "send": False}
    made = await here.control("waivers", **order)
    [customer] = made["minors"]
    return await here.guest(_AT, int(customer), firstName="Tom")


async def _ran(here: Field, how: Mapping[str, Any]) -> Any:
    run = await here.sweeper.begin(**{"since": _SINCE, **how})
    await here.sweeper.once()
    return await here.outbox.sweeps.run(run.id)


async def test_a_minor_by_an_old_waiver_is_not_imported_as_a_guest(tmp_path: Path) -> None:
    """The record has no date of birth, and the waiver was signed before the days that are read."""
    async with field(tmp_path, waivers="8d") as here:
        customer = await _teenager(here, signed="2026-09-29T10:00:00Z")
        run = await _ran(here, _GUESTS)
        assert run.state is RunState.DONE
        assert here.minors() == {str(customer)}
        assert here.kinds() == {}
        assert run.sums.taken_in == 0


@pytest.mark.parametrize("how", _RUNS)
async def test_waivers_come_before_whoever_is_taken_in(
    tmp_path: Path, how: Mapping[str, Any]
) -> None:
    """Of all days up to today, for a waiver may be signed after the booking."""
    async with field(tmp_path, waivers="4d") as here:
        await _ran(here, {**how, "until": _SINCE})
        names = [(name, day) for name, day, _ in await here.asked()]
        days = [f"2026-10-0{n}" for n in range(2, 8)]
        assert names[: len(days)] == [("signedwaivers", day) for day in days]
        assert "signedwaivers" not in {name for name, _ in names[len(days) :]}


async def test_old_waivers_are_read_once(tmp_path: Path) -> None:
    """Each day is a call; only the newest may not have been reported whole."""
    async with field(tmp_path, waivers="6d") as here:
        await _ran(here, _RUNS[0])
        first = len(await here.asked())
        await _ran(here, _GUESTS)
        read = [day for name, day, _ in (await here.asked())[first:] if name == "signedwaivers"]
        assert read == ["2026-10-06", "2026-10-07"]
        earlier = await here.sweeper.begin(Origin.BACKFILL, since=date(2026, 10, 5))
        assert (earlier.place.report, earlier.place.day) == (Report.WAIVERS, date(2026, 9, 29))


async def test_old_waivers_that_were_read_before_a_crash_stay_read(tmp_path: Path) -> None:
    """A year of them takes minutes."""
    async with field(tmp_path, waivers="6d") as here:
        run = await here.sweeper.begin(Origin.BACKFILL, since=_SINCE)
        zone = await here.sweeper._zone()  # noqa: SLF001 - to stop it where a crash would
        for _ in range(3):
            run = await here.sweeper._sweep.step(run, zone)  # noqa: SLF001
        assert await here.outbox.sweeps.waiver_days("leeds", date(2026, 1, 1)) == {
            date(2026, 9, 30), date(2026, 10, 1), date(2026, 10, 2),
        }  # fmt: skip
        kept = await here.outbox.sweeps.run(run.id)
        assert kept is not None
        assert kept.place.day == date(2026, 10, 3)


async def test_nothing_is_learnt_of_a_minor_who_was_erased(tmp_path: Path) -> None:
    """Their waiver is in the reports of the year before all the same."""
    async with field(tmp_path, waivers="8d") as here:
        customer = await _teenager(here, signed="2026-09-29T10:00:00Z")
        await here.outbox.people.erase("leeds", str(customer), "deleted", now=_AT)
        assert (await _ran(here, _RUNS[0])).state is RunState.DONE
        assert here.minors() == set()


async def test_a_dry_run_counts_minors_as_what_they_are(tmp_path: Path) -> None:
    """Its numbers are to be those of the run that follows."""
    async with field(tmp_path, waivers="8d") as here:
        await _teenager(here, signed="2026-09-29T10:00:00Z")
        dry = await _ran(here, {**_GUESTS, "dry_run": True})
        assert dry.sums.taken_in == 0
        assert dry.sums.unsendable["minor"] == 2, "of the waiver, and of the customer"


@pytest.mark.parametrize("how", _RUNS[1:])
async def test_a_backfill_waits_for_waivers_that_may_not_be_read(
    tmp_path: Path, how: Mapping[str, Any]
) -> None:
    """It says what to do, and goes on by itself once that is done."""
    async with field(tmp_path, waivers="8d") as here:
        customer = await _teenager(here, signed="2026-09-29T10:00:00Z")
        await here.book(_AT, customerId=customer, items=[{"bookingItemId": 1, "productId": 7}])
        await here.control("permissions", missing=["GET /data/signedwaivers"])
        run = await _ran(here, how)
        assert run.state is RunState.WAITING
        assert run.reason == (
            "who is a minor is not known yet, for the signed waivers of 2026-09-28 to 2026-10-07: "
            "ROLLER answered 403 to /data/signedwaivers: the API key lacks the permission for it: "
            "give it the permission for GET /data/signedwaivers at Venue Manager > Settings > "
            'Integrations > API keys; or do without them: sources.leeds.waivers = "off"'
        )
        assert {name for name, _, _ in await here.asked()} == {"signedwaivers"}
        assert len(await here.asked()) == 1
        here.clock.advance(3600)
        await here.sweeper.once()
        assert len(await here.asked()) == 2, "once an hour, and not in a circle"
        await here.control("permissions", missing=[])
        here.clock.advance(3600)
        while (pause := await here.sweeper.once()) < 5:
            here.clock.advance(pause)
        done = await here.outbox.sweeps.run(run.id)
        assert done is not None
        assert done.state is RunState.DONE
        assert here.minors() == {str(customer)}
        assert "customer" not in here.kinds()


@pytest.mark.parametrize("how", _RUNS)
async def test_a_venue_may_do_without_waivers(tmp_path: Path, how: Mapping[str, Any]) -> None:
    """It has none at ROLLER, or a key that may not read them: then nothing waits for them."""
    async with field(tmp_path, waivers="off") as here:
        await here.book(_AT, customerId=9, items=[{"bookingItemId": 1, "productId": 7}])
        await here.control("permissions", missing=["GET /data/signedwaivers"])
        assert (await _ran(here, how)).state is RunState.DONE
        assert "signedwaivers" not in {name for name, _, _ in await here.asked()}


async def test_a_reconciliation_does_not_wait_for_waivers(tmp_path: Path) -> None:
    """Webhooks do not wait for them either, and a lost booking must not be lost for ever."""
    async with field(tmp_path, waivers="8d") as here:
        await here.book(_AT, customerId=9, items=[{"bookingItemId": 1, "productId": 7}])
        await here.control("permissions", missing=["GET /data/signedwaivers"])
        run = await _ran(here, _RUNS[0])
        assert (run.state, run.watermark) == (RunState.DONE, date(2026, 10, 6))
        assert here.kinds() == {"booking": 1}
        [part] = await here.outbox.sweeps.parts("leeds")
        assert (part.asked.only, part.asked.since) == (Report.WAIVERS, date(2026, 9, 28))


async def test_who_asks_again_has_what_was_left_out_tried_at_once(tmp_path: Path) -> None:
    """The permission was just given: nobody wants to wait for an hour."""
    async with field(tmp_path) as here:
        await here.control("permissions", missing=["GET /data/customers"])
        await _ran(here, _RUNS[0])
        assert look(here.path, "SELECT count(*) FROM sweep WHERE due_at > 0") == [(1,)]
        await here.control("permissions", missing=[])
        await _ran(here, _RUNS[0])
        assert await here.outbox.sweeps.parts("leeds") == []
