"""What no webhook has told is found in ROLLER's reports, once, and nothing else is taken in."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.model import Origin
from pipeline.outbox import Place, Run, RunState, Sums
from pipeline.reports import Report
from tests.http.sweeping import Field, field, utc
from tests.outbox.support import conserved, look

_TODAY = date(2026, 10, 7)
_BEFORE = date(2026, 10, 5)
_AT = utc("2026-10-06T10:00:00.488739")
_ITEMS = [{"bookingItemId": 1, "productId": 7, "quantity": 2}]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Field]:
    """A venue in Leeds, at noon of 7 October."""
    async with field(tmp_path) as made:
        yield made


async def _reconciled(here: Field, **how: object) -> Run:
    await here.sweeper.begin(Origin.RECONCILE, **({"since": _BEFORE} | how))  # type: ignore[arg-type]
    run = await here.ran()
    assert run.state is RunState.DONE, run
    return run


async def test_a_booking_that_no_webhook_told_of_is_taken_in_once(here: Field) -> None:
    """It is fetched then; a day that is read twice takes in nothing twice."""
    made = await here.book(_AT, customerId=9, items=_ITEMS)
    run = await _reconciled(here)
    assert run.sums == Sums(seen=1, taken_in=1)
    sql = """SELECT origin, kind, key, booking, reference, body, state, occurred_at FROM event"""
    [row] = look(here.path, sql)
    booking = made["uniqueId"]
    key = f"reconcile:{booking}:2026-10-06T10:00:00.000Z"
    assert row[:-1] == (
        "reconcile", "booking", key, booking, made["bookingReference"], b"", "waiting",
    )  # fmt: skip
    assert row[-1] == utc("2026-10-06T10:00:00"), "as of the modification"
    assert (await _reconciled(here)).sums == Sums(seen=1, known=1)
    assert len(here.events()) == 1
    conserved(here.path)


async def test_a_booking_that_is_known_is_left_alone_and_asked_for_no_more(here: Field) -> None:
    """The webhook's time has a fraction that the report leaves out."""
    made = await here.book(_AT, customerId=9, items=_ITEMS)
    await here.learn(made["uniqueId"], _AT)
    assert (await _reconciled(here)).sums == Sums(seen=1, known=1)
    assert here.events() == []


@pytest.mark.parametrize("gap", [0, 5_000, 3_600_000_000])
async def test_a_booking_that_has_changed_since_is_taken_in(here: Field, gap: int) -> None:
    """Be the change an hour ago, some milliseconds or in the same second."""
    made = await here.book(_AT, customerId=9, items=_ITEMS, status="PendingPayment")
    await here.learn(made["uniqueId"], _AT)
    await here.book(_AT + gap + 1, uniqueId=made["uniqueId"], status="Paid")
    assert (await _reconciled(here)).sums == Sums(seen=1, taken_in=1)


async def test_what_cannot_be_sent_is_counted_and_not_taken_in(here: Field) -> None:
    """Drafts and sales at the till would cost a call each."""
    await here.book(_AT, customerId=9, status="Draft", items=_ITEMS)
    await here.book(_AT, customerId=None, items=_ITEMS)
    await here.book(_AT, customerId=None, items=_ITEMS)
    run = await _reconciled(here)
    assert run.sums == Sums(seen=3, unsendable={"draft": 1, "no customer": 2})
    assert here.events() == []


async def test_a_cancellation_is_taken_in(here: Field) -> None:
    """A destination that holds the booking must hear of it."""
    made = await here.book(_AT, customerId=9, items=_ITEMS)
    await here.learn(made["uniqueId"], _AT)
    await here.book(_AT + 60_000_000, uniqueId=made["uniqueId"], status="Cancelled")
    assert (await _reconciled(here)).sums.taken_in == 1


async def test_a_guest_is_taken_in_who_has_booked_and_changed_since(here: Field) -> None:
    """Consent given back is told by no booking."""
    customer = await here.guest(_AT, firstName="Anna", acceptMarketing=True)
    stranger = await here.guest(_AT, firstName="Bea")
    made = await here.book(_AT, customerId=customer, items=_ITEMS)
    await here.learn(made["uniqueId"], _AT)
    assert (await _reconciled(here)).sums.unsendable == {"no booking": 1}
    here.clock.advance(60)
    await here.guest(here.clock.now(), customer, acceptMarketing=False)
    run = await _reconciled(here, since=_TODAY)
    assert run.sums == Sums(seen=1, taken_in=1)
    [(origin, kind, key, body)] = look(here.path, "SELECT origin, kind, key, body FROM event")
    assert (origin, kind) == ("reconcile", "customer")
    assert key.startswith(f"reconcile:customer:{customer}:")
    assert msgspec.json.decode(body)["data"] == {"customerId": str(customer)}
    assert b"Anna" not in body
    assert stranger != customer


async def test_a_guest_of_whom_nothing_has_changed_that_is_used_is_known(here: Field) -> None:
    """A purchase modifies a guest too."""
    customer = await here.guest(_AT, firstName="Anna", acceptMarketing=True)
    made = await here.book(_AT, customerId=customer, items=_ITEMS)
    await here.learn(made["uniqueId"], _AT)
    here.clock.advance(60)
    await here.guest(here.clock.now(), customer, address={"city": "Leeds"})
    assert (await _reconciled(here, since=_TODAY)).sums == Sums(seen=1, known=1)


async def test_minors_are_learnt_from_waivers_before_anything_else(here: Field) -> None:
    """Whoever is told of first must not be one of them, be it by a waiver of a later day."""
    signed = await here.control("waivers", minors=2, event_date="2026-10-07T10:00:00Z", send=False)
    await here.book(_AT, customerId=9, items=_ITEMS)
    run = await _reconciled(here)
    assert run.sums == Sums(seen=6, taken_in=1, unsendable={"minor": 2, "no booking": 3})
    assert here.kinds() == {"booking": 1}
    assert here.minors() == set(map(str, signed["minors"]))
    names = [name for name, _, _ in await here.asked()]
    assert names[:4] == ["signedwaivers"] * 4
    assert "signedwaivers" not in names[4:]


async def test_a_report_is_read_page_by_page_and_no_page_twice(tmp_path: Path) -> None:
    """Its calls are counted by the month."""
    async with field(tmp_path, largest_page=10) as here:
        for minute in range(25):
            await here.book(_AT + minute * 60_000_000, customerId=None, items=_ITEMS)
        run = await _reconciled(here, since=date(2026, 10, 6), until=date(2026, 10, 6))
        assert run.sums.seen == 25
        assert await here.asked() == [
            ("signedwaivers", "2026-10-05", 1),
            ("signedwaivers", "2026-10-06", 1),
            ("signedwaivers", "2026-10-07", 1),
            ("bookingitems", "2026-10-06", 1),
            ("bookingitems", "2026-10-06", 2),
            ("bookingitems", "2026-10-06", 3),
            ("customers", "2026-10-06", 1),
        ]


async def test_a_booking_on_two_pages_is_one_booking(tmp_path: Path) -> None:
    """Rows are items, and a page ends after any of them."""
    items = [{"bookingItemId": n, "productId": n} for n in range(3)]
    async with field(tmp_path, largest_page=4) as here:
        for minute in range(3):
            await here.book(_AT + minute * 60_000_000, customerId=9, items=items)
        await here.book(_AT + 3 * 60_000_000, customerId=None, items=items)
        day = {"since": date(2026, 10, 6), "until": date(2026, 10, 6)}
        run = await _reconciled(here, **day)
        expected = Sums(seen=4, taken_in=3, unsendable={"no customer": 1})
        assert run.sums == expected
        assert len(here.events()) == 3
        dry = await _reconciled(here, **day, dry_run=True)
        assert dry.sums == expected, "what was taken in is not enriched yet"


async def test_what_moves_up_while_it_is_read_is_read_all_the_same(tmp_path: Path) -> None:
    """What is modified leaves its day, and what is behind it moves to a page that was read."""
    async with field(tmp_path, largest_page=2) as here:
        made = [
            await here.book(_AT + minute * 60_000_000, customerId=9, items=_ITEMS)
            for minute in range(6)
        ]
        day = date(2026, 10, 6)
        run = await here.sweeper.begin(Origin.RECONCILE, since=day, until=day)
        place = Place(day=day, report=Report.BOOKINGS, page=2, rows=6)
        for one in made[:2]:  # these were on page 1
            await here.book(here.clock.now(), uniqueId=one["uniqueId"])
        await here.outbox.sweeps.keep(msgspec.structs.replace(run, place=place), now=0)
        await here.ran()
        assert {booking for _, _, booking in here.events()} == {one["uniqueId"] for one in made[2:]}


async def test_the_newest_day_comes_last_and_today_is_not_read_whole(here: Field) -> None:
    """What is modified moves to today, so that is read when all else has been."""
    run = await _reconciled(here)
    asked = await here.asked()
    waivers = [day for name, day, _ in asked if name == "signedwaivers"]
    days = [day for name, day, _ in asked if name != "signedwaivers"]
    assert (waivers, days) == (sorted(waivers), sorted(days))
    assert set(days) == {"2026-10-05", "2026-10-06", "2026-10-07"}
    assert run.watermark == date(2026, 10, 6)


async def test_a_run_goes_on_after_a_crash_at_the_page_that_was_next(tmp_path: Path) -> None:
    """Never after it; what was taken in of it is recognised."""
    async with field(tmp_path, largest_page=2) as here:
        for minute in range(5):
            await here.book(_AT + minute * 60_000_000, customerId=9, items=_ITEMS)
        run = await here.sweeper.begin(Origin.RECONCILE, since=_BEFORE)
        sweep = here.sweeper._sweep  # noqa: SLF001 - to stop it where a crash would
        zone = await here.sweeper._zone()  # noqa: SLF001
        before = run
        while run.place.report is not Report.BOOKINGS or run.place.page < 3:
            before, run = run, await sweep.step(run, zone)
        # The events of the page were stored, and then the row was not.
        await here.outbox.sweeps.keep(before, now=0)
        run = await here.ran()
        assert run.state is RunState.DONE
        assert len({booking for _, _, booking in here.events()}) == 5
        assert len(here.events()) == 5
        pages = [number for name, _, number in await here.asked() if name == "bookingitems"]
        assert pages == [1, 1, 2, 2, 3, 1], "of the 5th, the 6th and the 7th"
        conserved(here.path)


async def test_a_dry_run_only_counts(here: Field) -> None:
    """Whoever tries what it would do must not have done it."""
    await here.book(_AT, customerId=9, items=_ITEMS)
    run = await _reconciled(here, dry_run=True)
    assert (run.sums.taken_in, run.watermark) == (1, None)
    assert here.events() == []


@pytest.mark.parametrize("dry_run", [True, False])
async def test_whose_booking_is_taken_in_is_not_called_without_one(
    here: Field, *, dry_run: bool
) -> None:
    """They come with it, so a dry run must not count them as lost."""
    customer = await here.guest(_AT, firstName="Anna", acceptMarketing=True)
    stranger = await here.guest(_AT, firstName="Bea")
    await here.book(_AT - 86_400_000_000, customerId=customer, items=_ITEMS)
    run = await _reconciled(here, dry_run=dry_run)
    assert run.sums == Sums(seen=3, known=1, taken_in=1, unsendable={"no booking": 1})
    assert stranger != customer


async def test_a_backfill_takes_in_bookings_and_no_customers(here: Field) -> None:
    """Each booking's guest is fetched with it."""
    customer = await here.guest(_AT, acceptMarketing=True)
    await here.book(_AT, customerId=customer, items=_ITEMS)
    await here.sweeper.begin(Origin.BACKFILL, since=_BEFORE)
    run = await here.ran()
    assert (run.sums, run.watermark) == (Sums(seen=1, taken_in=1), None)
    assert [(origin, kind) for origin, kind, _ in here.events()] == [("backfill", "booking")]
    assert {name for name, _, _ in await here.asked()} == {"signedwaivers", "bookingitems"}


async def test_a_backfill_of_guests_takes_in_adults_whose_consent_is_known(here: Field) -> None:
    """Marketing contacts, and nobody else."""
    good: dict[str, Any] = {
        "email": "anna@example.com",
        "acceptMarketing": False,
        "dateOfBirth": "1990-01-01",
    }
    await here.guest(_AT, **good)
    await here.guest(_AT, **(good | {"acceptMarketing": None, "acceptMarketingSMS": None}))
    await here.guest(_AT, **(good | {"email": None}))
    await here.guest(_AT, **(good | {"dateOfBirth": "2015-01-01"}))
    await here.book(_AT, customerId=None, items=_ITEMS)
    await here.sweeper.begin(Origin.BACKFILL, since=_BEFORE, guests_only=True)
    run = await here.ran()
    reasons = {"consent not known": 1, "no e-mail": 1, "minor": 1}
    assert run.sums == Sums(seen=4, taken_in=1, unsendable=reasons)
    assert here.kinds() == {"customer": 1}


async def test_rows_that_cannot_be_read_are_counted(here: Field) -> None:
    """A report that has changed its shape must not look like one in which nothing is missing."""
    await here.book(_AT, customerId=9, items=[{"bookingItemId": 1, "quantity": "many"}])
    assert (await _reconciled(here)).sums == Sums(seen=1, unsendable={"unreadable": 1})


async def test_a_page_of_long_notes_is_read_whole(here: Field) -> None:
    """It is longer than any other answer."""
    items = [{"bookingItemId": n, "productId": 7} for n in range(300)]
    await here.book(_AT, customerId=9, items=items, comments="n" * 5000)
    assert (await _reconciled(here)).sums == Sums(seen=1, taken_in=1)
