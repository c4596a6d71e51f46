"""What is asked all the time is answered from an index, however large the outbox is."""

import re
import sqlite3
from datetime import date
from pathlib import Path

import msgspec

from pipeline.model import (
    COMPLETE,
    Booking,
    Consent,
    DeliveryState,
    Guest,
    GuestConsent,
    Minor,
    Origin,
    Outcome,
    Phase,
    Product,
    ToldGuest,
)
from pipeline.outbox import (
    Asked,
    Heard,
    Hearer,
    Learnt,
    Note,
    Pick,
    Place,
    Reading,
    RunState,
    VisitDue,
)
from pipeline.outbox.sqlite import SqliteOutbox
from pipeline.reports import Report
from tests.outbox.support import (
    BOOKING,
    GUEST,
    LEASE,
    T0,
    TAG,
    arrival,
    claimed,
    intent,
    lines,
    next_delivery,
    sent,
)

#: Tables that grow; their partial indexes of what is under way or parked may be read whole.
_WHOLE = re.compile(
    r"SCAN (event|delivery|attempt|subject|sweep|told|webhook|[a-z])\b(?! USING (COVERING )?INDEX "
    r"(event_processing|delivery_sending|delivery_failed|attempt_open|event_parked|delivery_parked))"
)

#: At the start all that waits is read once, to see whether it is still configured.
_AT_START = "'not configured'"

#: Reads the newest rows and no more.
_NEWEST = re.compile(r"SELECT id FROM (event|delivery) ORDER BY id DESC LIMIT 50")

#: Of one booking, one guest, what was asked for or the runs that are open; and listings
#: by reason or of what waits, which keep the newest of what they find in an index (`make bench` has
#: their time).
_SMALL_SORTS = (
    "n.as_of",
    "SELECT id, state FROM delivery",
    "SELECT started_at",
    "INDEXED BY delivery_reason",
    "LIMIT 2000",
    "ORDER BY due_at DESC LIMIT -1",
    "ORDER BY CASE WHEN only",
)


async def _everything(outbox: SqliteOutbox) -> None:
    """Do all that the stages do, and what a start does."""
    await outbox.recover(now=T0)
    await outbox.ledger.allow("stampede", 100, LEASE)
    await outbox.ledger.entries("stampede", newest=200)
    await outbox.park_unconfigured(["leeds"], [("stampede", "leeds")], now=T0)
    await outbox.intake.accept(arrival("again"))
    await outbox.intake.accept(arrival("again"))
    await outbox.events.claim_due("leeds", now=T0, until=T0 + LEASE, limit=8)
    await outbox.events.next_due("leeds")
    event = await claimed(outbox, "1")
    await outbox.events.learn_booking(event, Booking(id="b", customer="c", phase=Phase.ACTIVE))
    await outbox.events.learn_guest("leeds", Guest(customer="c"), fetched_at=T0)
    await outbox.deliveries.settle(event, [BOOKING, GUEST, TAG], now=T0)
    guest = await next_delivery(outbox)
    await outbox.deliveries.close(guest, DeliveryState.PARKED, "refused", None, now=T0)
    late = await claimed(outbox, "2", at=T0 - 1)
    await outbox.deliveries.settle(late, [intent(state=DeliveryState.SKIPPED), GUEST], now=T0)
    guest = await next_delivery(outbox, probe=True)
    ending = await sent(outbox, guest, Outcome.OK)
    learnt = Learnt(key="p", told=ToldGuest(remote_id="g"))
    await outbox.deliveries.succeed(guest, [learnt], ending, more=False, now=T0)
    booking = await next_delivery(outbox)
    await outbox.deliveries.give_back(booking, None, due_at=T0, reason="x", failed=True, now=T0)
    booking = await next_delivery(outbox)
    await outbox.deliveries.wait_for_guest(booking, "c", now=T0)
    says_no = Guest(customer="c", consent=GuestConsent(email=Consent.NO))
    hearer = Hearer(destination="stampede", takes_back=bool, kinds=[])
    for person in (None, "p"):
        heard = Heard(source="leeds", guest=says_no, person=person, fetched_at=T0, event=1)
        await outbox.deliveries.hear(heard, [hearer], now=T0)
    await outbox.deliveries.next_due("stampede", most=6)
    await outbox.deliveries.queue("stampede", 2, most=9)
    await outbox.deliveries.claim(
        "stampede", lines(), pick=Pick.OLDEST, under_way=[1], now=T0, until=T0 + LEASE
    )
    await outbox.ledger.learnt("stampede")
    await outbox.facts.booking("leeds", "b")
    await outbox.facts.told_guest("stampede", "p")
    await outbox.overview.counts()
    await outbox.overview.oldest_due(now=T0)
    await _looked_at(outbox)
    await outbox.overview.due(now=T0)
    reading = Reading(at=T0, boot=0, boot_id="boot")
    for step in (-1, 1):
        await outbox.times.shift(step, reading, since=T0)
    await outbox.times.seen()
    await outbox.products.learn("leeds", [Product(id="1")], fetched_at=T0)
    await outbox.products.fetched_at("leeds")
    note = Note(source="leeds", what="drift", name="x", n=1, first_at=T0, last_at=T0)
    await outbox.noted.add([note, note], most=1, rest="y")
    await outbox.noted.all()
    await _swept(outbox)
    await outbox.shed(before=T0, attempts_before=T0)
    await _told_beside_bookings(outbox)


async def _told_beside_bookings(outbox: SqliteOutbox) -> None:
    """Do all that messages about people ask for."""
    event = await claimed(outbox, "r")
    ticketed = Booking(id="b", customer="c", phase=Phase.ACTIVE, tickets=("T-1",))
    await outbox.events.learn_booking(event, ticketed)
    await outbox.events.rewrite(event.id, b"{}")
    await outbox.visits.of_tickets("leeds", ["T-1"])
    await outbox.visits.learn("leeds", "b", at=T0, event=event.id)
    await outbox.visits.learn_booking(event, ticketed, as_of=T0)
    await outbox.people.learn_minors("leeds", {"c": Minor()}, at=T0)
    await outbox.people.is_known("leeds", "c")
    await outbox.people.expect("leeds", "c")
    await outbox.people.others("leeds", "c")
    await outbox.people.is_told("stampede", "leeds", "c")
    await outbox.people.unsendable("stampede", "leeds", "c")
    due = VisitDue(
        destination="stampede",
        event=event.id,
        booking="b",
        reference=None,
        customer="c",
        detail=COMPLETE,
        due_at=T0,
    )
    await outbox.deliveries.settle(event, [], visits=[due, due], now=T0)
    await outbox.people.parked("leeds", "c", after=0)
    await outbox.people.opts_out("leeds", "c")
    await outbox.people.is_erased("leeds", "c")
    await outbox.people.erase("leeds", "c", "gone", now=T0)


async def _swept(outbox: SqliteOutbox) -> None:
    """Do all that reconciliation does, and before it who finds a gap."""
    await outbox.webhooks.known("leeds")
    await outbox.webhooks.seen("leeds", ["1"], now=T0)
    await outbox.webhooks.miss("leeds")
    day, sweeps = date(2026, 10, 5), outbox.sweeps
    asked = Asked(origin=Origin.RECONCILE, since=day, until=day)
    run = await sweeps.begin("leeds", asked, Place(day=day, report=Report.WAIVERS), now=T0)
    await sweeps.keep(run, now=T0, waivers=day, free_at=T0)
    for forbidden in (False, True):
        only = msgspec.structs.replace(asked, only=Report.BOOKINGS)
        part = msgspec.structs.replace(run, asked=only, forbidden=forbidden)
        await sweeps.leave(run, part, now=T0)
    await sweeps.parts("leeds")
    await sweeps.hasten("leeds")
    await sweeps.hold("leeds", "x", now=T0)
    await sweeps.release("leeds", now=T0)
    await sweeps.end_parts("leeds", Report.WAIVERS, now=T0)
    await sweeps.next_due("leeds")
    await sweeps.waiver_days("leeds", day)
    await sweeps.pace("leeds")
    await sweeps.paced("leeds", T0)
    await outbox.webhooks.hand_over("leeds", run.id)
    await sweeps.keep(msgspec.structs.replace(run, state=RunState.DONE), now=T0)
    await sweeps.run(run.id)
    await sweeps.unfinished("leeds", now=T0, patience=1)
    await sweeps.newest("leeds", Origin.RECONCILE)
    await sweeps.alike("leeds", asked)
    await sweeps.watermark("leeds")
    await sweeps.begun()
    await sweeps.as_of("leeds", "booking", ["a", "b"])


async def _looked_at(outbox: SqliteOutbox) -> None:
    """Ask all that people ask."""
    for state in (None, "waiting", "processing", "parked"):
        for owner in (None, "leeds"):
            await outbox.records.events(state=state, source=owner, limit=50)
        for owner in (None, "stampede"):
            await outbox.records.deliveries(state=state, destination=owner, limit=50)
            await outbox.records.deliveries(state=state, destination=owner, reason="x", limit=50)
    await outbox.records.event(1)
    await outbox.records.delivery(1)
    await outbox.records.of_booking("b")
    await outbox.records.standing(1)
    await outbox.records.in_doubt("stampede")
    await outbox.repair.retry_parked_events(None, before=T0, limit=500, now=T0)
    await outbox.repair.retry_parked_deliveries("stampede", before=T0, limit=500, now=T0)
    await outbox.repair.retry_events([1], now=T0)
    await outbox.repair.retry_deliveries([1, 2, 3], now=T0)
    await outbox.repair.drop_deliveries([1], now=T0)


async def test_no_statement_reads_or_sorts_a_whole_table(outbox: SqliteOutbox, path: Path) -> None:
    """A million rows must not be read for the next one, nor at a start."""
    seen: set[str] = set()
    idle = outbox.facts._readers._idle  # type: ignore[attr-defined]  # noqa: SLF001
    readers = [idle.get_nowait() for _ in range(idle.qsize())]
    for connection in (outbox._writer._connection, *readers):  # noqa: SLF001
        await connection.set_trace_callback(seen.add)
    for reader in readers:
        idle.put_nowait(reader)
    await _everything(outbox)
    seen |= {"SELECT * FROM budget", "SELECT * FROM parked"}
    look = sqlite3.connect(path)
    try:
        bad = [
            (step, " ".join(sql.split()))
            for sql in seen
            if sql.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))
            for *_, step in look.execute(f"EXPLAIN QUERY PLAN {sql}")
            if (_WHOLE.search(step) and _AT_START not in sql and not _NEWEST.search(sql))
            or ("TEMP B-TREE FOR ORDER" in step and not any(s in sql for s in _SMALL_SORTS))
        ]
    finally:
        look.close()
    assert len(seen) > 40
    assert not bad, chr(10).join(map(str, bad))


async def test_a_listing_of_what_waits_reads_no_row_but_the_newest(
    outbox: SqliteOutbox, path: Path
) -> None:
    """A million may wait, each with its body."""
    await outbox.intake.accept(arrival("waits"))
    await claimed(outbox, "begun")
    seen: list[str] = []
    idle = outbox.facts._readers._idle  # type: ignore[attr-defined]  # noqa: SLF001
    readers = [idle.get_nowait() for _ in range(idle.qsize())]
    for connection in readers:
        await connection.set_trace_callback(seen.append)
        idle.put_nowait(connection)
    assert len(await outbox.records.events(source="leeds", limit=50)) == 2
    look = sqlite3.connect(path)
    try:
        steps = {
            step
            for sql in seen
            if sql.lstrip().startswith("SELECT id FROM")
            for *_, step in look.execute(f"EXPLAIN QUERY PLAN {sql}")
        }
    finally:
        look.close()
    assert {step for step in steps if re.match(r"(SCAN|SEARCH) event", step)} == {
        "SEARCH event",
        "SEARCH event USING INTEGER PRIMARY KEY (rowid>?)",
        "SEARCH event USING COVERING INDEX event_due (source=?)",
        "SEARCH event USING INDEX event_processing (source=?)",
    }


async def test_all_rows_are_counted_without_reading_one(outbox: SqliteOutbox, path: Path) -> None:
    """With their bodies they are many gigabytes, and it is done every ten minutes."""
    seen: list[str] = []
    idle = outbox.facts._readers._idle  # type: ignore[attr-defined]  # noqa: SLF001
    readers = [idle.get_nowait() for _ in range(idle.qsize())]
    for connection in readers:
        await connection.set_trace_callback(seen.append)
        idle.put_nowait(connection)
    assert await outbox.overview.difference() == 0
    [sql] = [sql for sql in seen if "count(*)" in sql]
    look = sqlite3.connect(path)
    try:
        steps = [step for *_, step in look.execute(f"EXPLAIN QUERY PLAN {sql}")]
    finally:
        look.close()
    reads = [step for step in steps if re.match(r"(SCAN|SEARCH) (event|delivery)\b", step)]
    assert len(reads) == 3
    assert [step for step in reads if "COVERING INDEX" not in step] == []
