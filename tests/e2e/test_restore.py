"""A backup while the daemon runs, and what a daemon does that starts on one put back."""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.e2e.world import World, equations, newest_truth, told, world
from tests.waiting import until

_PER = 2.0


async def _run(here: World, *arguments: str | Path) -> int:
    return await asyncio.to_thread(main, [*map(str, arguments), "--config", str(here.path)])


async def _a_backup_with_work_to_do(here: World, backup: Path) -> int:
    """Back up with one guest told and one not, whom Stampede hears of later; give the latter."""
    await here.play(bookings=3, seed=4)
    await here.settled()
    await here.control("stampede", "faults", {"kind": "503"})
    customer = await here.guest(email="ada@example.com", firstName="Ada")
    await here.book(booking={"customerId": customer, "uniqueId": "waiting"})
    await until(lambda: here.rows("SELECT 1 FROM deliveries WHERE state = 'waiting' AND attempts"))
    assert await _run(here, "backup", backup) == 0
    await here.clear_faults("stampede")
    await here.settled()
    await here.book(booking={"uniqueId": "later"})
    await here.settled()
    return customer


@pytest.mark.waits
async def test_a_restored_outbox_waits_a_window_and_asks_for_its_guests_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was sent after the backup is not known to it, nor what its guests have changed."""
    backup = tmp_path / "copy.db"
    async with world(tmp_path, requests=100, per=_PER) as here:
        async with here.running():
            customer = await _a_backup_with_work_to_do(here, backup)
            assert await _run(here, "restore", backup, "--yes") == 1
            assert "another pipeline is running on this outbox; stop it" in capsys.readouterr().err
        await here.control(
            "roller", "guests", {"customerId": customer, "guest": {"firstName": "Adelaide"}}
        )
        assert await _run(here, "restore", backup, "--yes") == 0
        said = capsys.readouterr().out
        assert "before-restore, its -wal folded in" in said
        assert "sent after the backup is not in it: `pipeline reconcile` asks for that" in said
        assert await _run(here, "explain", "d1") == 0
        assert "the next start waits one window" in capsys.readouterr().err
        before = {peer: len(await here.requests(peer)) for peer in ("roller", "stampede")}
        started = time.time()
        async with here.running():
            status = await here.status()
            budget = status.destinations["stampede"].budget
            assert budget.left == 0
            assert budget.used >= 100
            [(used,)] = here.rows("SELECT used FROM budget")
            assert used >= 100
            assert await _run(here, "status") == 0
            assert " 100 of 100 in " in capsys.readouterr().out, "more than all is not used up"
            status = await here.settled()
        equations(status)
        asked = (await here.requests("roller"))[before["roller"] :]
        assert [r["path"] for r in asked if "/guests" in r["path"]] == [f"/guests/{customer}"]
        sent = (await here.requests("stampede"))[before["stampede"] :]
        assert min(r["at"] for r in sent) >= started + _PER
        # The guest, the booking and its two tags once more, and nothing of the others.
        kinds = Counter(r["path"].rsplit("/", 1)[1] for r in sent)
        del kinds["token"]
        assert kinds == {"guests": 1, "booking": 1, "tags": 2}
        stampede = await here.state("stampede")
        assert told(stampede) == newest_truth(await here.state("roller"))
        ada = [g for g in stampede["guests"] if g["email"] == "ada@example.com"]
        assert [g["first"] for g in ada] == ["Adelaide"]
        assert status.deliveries["parked"] == 0
        assert here.rows("SELECT * FROM parked") == []
        restored = "SELECT count(*) FROM attempts WHERE note LIKE 'restored%'"
        assert here.rows(restored) == [(100,)], "only the first start waits"
        async with here.running():
            assert here.rows(restored) == [(100,)]


async def test_what_had_parked_is_retried_with_the_guest_as_they_are_now(tmp_path: Path) -> None:
    """A consent from before the backup may have been taken back since."""
    backup = tmp_path / "copy.db"
    async with world(tmp_path, per=0.2) as here:
        await here.control("stampede", "faults", {"kind": "400", "path": "/v1/guests"})
        async with here.running():
            customer = await here.guest(email="ada@example.com", firstName="Ada")
            await here.book(booking={"customerId": customer})
            assert (await here.settled()).deliveries["parked"] >= 2
        assert await _run(here, "backup", backup) == 0
        await here.clear_faults("stampede")
        change = {"customerId": customer, "guest": {"firstName": "Adelaide"}}
        await here.control("roller", "guests", change)
        assert await _run(here, "restore", backup, "--yes") == 0
        async with here.running():
            assert (await here.settled()).deliveries["parked"] >= 2
            assert await _run(here, "deliveries", "retry", "--state", "parked", "--yes") == 0
            status = await here.settled()
        equations(status)
        assert status.deliveries["parked"] == 0
        stampede = await here.state("stampede")
        assert [g["first"] for g in stampede["guests"]] == ["Adelaide"]
        assert told(stampede) == newest_truth(await here.state("roller"))


async def test_an_opt_out_stays_owed_whose_booking_has_changed_hands(tmp_path: Path) -> None:
    """No event brings it up again: its own is of somebody else by now."""
    backup = tmp_path / "copy.db"
    async with world(tmp_path, per=0.2) as here:
        async with here.running():
            ada = await here.guest(email="ada@example.com", acceptMarketing=True)
            await here.book(booking={"customerId": ada, "uniqueId": "one"})
            await here.settled()
            await here.control("stampede", "faults", {"kind": "503"})
            no = {"acceptMarketing": False, "acceptMarketingSMS": False}
            await here.control("roller", "guests", {"customerId": ada, "guest": no, "send": False})
            await here.book(booking={"uniqueId": "one", "total": 12})
            await until(lambda: here.rows("SELECT 1 FROM deliveries WHERE kind = 'consent'"))
            bea = await here.guest(email="bea@example.com", acceptMarketing=False)
            await here.book(booking={"uniqueId": "one", "customerId": bea})
            await here.heard()
        assert await _run(here, "backup", backup) == 0
        assert await _run(here, "restore", backup, "--yes") == 0
        await here.clear_faults("stampede")
        async with here.running():
            equations(await here.settled())
        stampede = await here.state("stampede")
        assert [one["email_opt_in"] for one in stampede["guests"]] == [False, False]
        assert told(stampede) == newest_truth(await here.state("roller"))


async def test_it_asks_on_a_terminal_and_takes_no_for_an_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what would be put where, so that the wrong file is seen."""
    backup = tmp_path / "copy.db"
    async with world(tmp_path) as here:
        async with here.running():
            await here.book(booking={})
            await here.settled()
        assert await _run(here, "backup", backup) == 0
        said = capsys.readouterr().out
        assert "copy.db: " in said
        assert "events: 1, deliveries: 4" in said
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(sys.stdin, "readline", lambda: "n\n")
        assert await _run(here, "restore", backup) == 1
        said = capsys.readouterr().err
        assert f"This will put {backup}" in said
        assert "Nothing was changed." in said
        assert not list(tmp_path.glob("*before-restore*"))
        monkeypatch.setattr(sys.stdin, "readline", lambda: "y\n")
        assert await _run(here, "restore", backup) == 0
        assert await _run(here, "backup", backup) == 1
        assert "exists already; --force replaces it" in capsys.readouterr().err
        assert await _run(here, "backup", backup, "--force") == 0


async def test_nothing_is_registered_again_by_itself_after_a_restore(tmp_path: Path) -> None:
    """Each registration counts a visit, and what was registered after the backup is not known."""
    backup = tmp_path / "copy.db"
    off = '# mode = "registration"\n# registration_path = "/registration"\n'
    async with world(tmp_path, per=0.2) as here:
        here.replace(off, off.replace("# ", ""))
        async with here.running():
            customer = await here.guest(email="ada@example.com")
            await here.book(booking={"customerId": customer, "uniqueId": "known"})
            await here.settled()
            await here.control("stampede", "faults", {"kind": "503", "path": "/registration"})
            await here.book(booking={"customerId": customer, "uniqueId": "waiting"})
            await until(lambda: here.rows("SELECT 1 FROM deliveries WHERE state = 'waiting'"))
            assert await _run(here, "backup", backup) == 0
            await here.clear_faults("stampede")
            await here.book(booking={"customerId": customer, "uniqueId": "after"})
            await here.settled()
        assert await _run(here, "restore", backup, "--yes") == 0
        async with here.running():
            for booking in ("known", "after"):
                changed = {"customerId": customer, "uniqueId": booking, "status": "PartiallyPaid"}
                await here.book(booking=changed)
            await here.book(booking={"customerId": customer, "uniqueId": "new"})
            status = await here.settled()
        equations(status)
        assert here.rows("SELECT booking, reason FROM parked ORDER BY booking") == [
            ("after", "unknown outcome"),
            ("waiting", "unknown outcome"),
        ]
        [guest] = (await here.state("stampede"))["guests"]
        assert guest["visits"] == 4, "one for each booking"
