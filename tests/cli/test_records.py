"""Looking at events and deliveries and changing them, with the daemon running and without."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from pipeline.cli import main
from tests.e2e.world import World, world
from tests.waiting import until


async def _run(here: World, *arguments: str) -> int:
    return await asyncio.to_thread(main, [*arguments, "--config", str(here.path)])


async def _one_parked(here: World) -> None:
    """Let one booking be delivered, and one message be unreadable."""
    async with here.running():
        await here.book(booking={})
        assert await here.post(b"no JSON") == 200
        await here.settled()


async def test_lists_and_shows_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When it does not run is when people look."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        capsys.readouterr()
        assert await _run(here, "events", "list", "--state", "parked", "--json") == 0
        [row] = msgspec.json.decode(capsys.readouterr().out)
        assert (row["state"], row["reason"]) == ("parked", "unreadable: the body is not JSON")
        assert await _run(here, "deliveries", "list", "--state", "delivered") == 0
        assert "stampede" in capsys.readouterr().out
        assert await _run(here, "deliveries", "show", "d1", "--json") == 0
        shown = msgspec.json.decode(capsys.readouterr().out)
        assert [one["path"] for one in shown["attempts"]] == ["/v1/guests"]
        for arguments in (
            ["events", "show", "e1"],
            ["deliveries", "show", "1"],
            ["events", "list"],
        ):
            assert await _run(here, *arguments) == 0
        assert "delivered" in capsys.readouterr().out


@pytest.mark.parametrize("running", [True, False], ids=["running", "at rest"])
async def test_all_that_is_parked_is_retried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], running: bool
) -> None:
    """Through the daemon when it runs, for two must never write to one outbox."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        stamp = here.rows("SELECT updated_at FROM events WHERE state = 'parked'")
        retry = ("events", "retry", "--state", "parked", "--yes")
        if running:
            async with here.running():
                assert await _run(here, *retry) == 0
                # It is read again, and parks again.
                await until(
                    lambda: (
                        here.rows("SELECT updated_at FROM events WHERE state = 'parked'")
                        not in ([], stamp)
                    )
                )
        else:
            assert await _run(here, *retry) == 0
            assert here.rows("SELECT state FROM events WHERE reason IS NOT NULL") == []
        assert "1 event will be tried again." in capsys.readouterr().out


async def test_what_an_older_version_could_not_read_is_read_anew(tmp_path: Path) -> None:
    """It was kept as it came for that."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        with closing(sqlite3.connect(here.outbox)) as connection, connection:
            connection.execute(
                """UPDATE event SET kind = 'other', action = 'other', booking = NULL,
                                    reference = NULL, state = 'parked', reason = 'unreadable: x'
                   WHERE id = 1"""
            )
        async with here.running():
            assert await _run(here, "events", "retry", "e1") == 0
            await here.settled()
        sql = "SELECT kind, action, state, booking IS NULL FROM events WHERE id = 'e1'"
        assert here.rows(sql) == [("booking", "created", "done", 0)]


async def test_what_may_have_been_done_is_not_retried_with_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A registration that is sent twice counts a visit twice."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        with closing(sqlite3.connect(here.outbox)) as connection, connection:
            for number, reason in ((1, "unknown outcome"), (2, "refused")):
                connection.execute(
                    "UPDATE delivery SET state = 'parked', reason = ? WHERE id = ?",
                    (reason, number),
                )
        assert await _run(here, "deliveries", "retry", "--state", "parked", "--yes") == 0
        found = capsys.readouterr()
        assert "1 delivery will be tried again." in found.out
        assert "Left alone is what parked with unknown outcome" in found.err
        sql = "SELECT state FROM deliveries WHERE id IN ('d1', 'd2') ORDER BY id"
        assert here.rows(sql) == [("parked",), ("waiting",)]
        assert await _run(here, "deliveries", "retry", "d1") == 0
        assert here.rows(sql) == [("waiting",), ("waiting",)]


async def test_what_cannot_be_changed_is_said_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that retries by id must learn that one is not there."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        for running in (False, True):
            if running:
                async with here.running():
                    code = await _run(here, "deliveries", "drop", "d1", "d99", "--yes")
            else:
                code = await _run(here, "deliveries", "drop", "d1", "d99", "--yes")
            assert code == 1
            said = capsys.readouterr().err
            assert "d1 is delivered, and only what waits or is parked can be changed" in said
            assert "there is no delivery d99" in said
            assert "Traceback" not in said


async def test_it_asks_on_a_terminal_and_takes_no_for_an_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand rows are soon dropped."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(sys.stdin, "readline", lambda: "n\n")
        assert await _run(here, "events", "retry", "--state", "parked") == 1
        assert "This will retry 1 event. Go on?" in capsys.readouterr().err
        assert here.rows("SELECT count(*) FROM events WHERE state = 'parked'") == [(1,)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["events", "retry"], 2, "give ids, or --state parked"),
        (["events", "retry", "e1", "--state", "parked"], 2, "not both"),
        (["events", "retry", "d1"], 1, "'d1' is no id of events: they look like e5"),
        (["deliveries", "show", "x"], 1, "'x' is no id of deliveries"),
        (["events", "show", "e99"], 1, "there is no event e99"),
        (["deliveries", "drop"], 2, "give ids: all cannot be dropped"),
        (["events", "list", "--state", "odd"], 2, "invalid choice: 'odd' (choose from"),
        (["deliveries", "list", "--state", "odd"], 2, "'waiting', 'sending', 'delivered'"),
        (["events", "list", "--limit", "0"], 2, "a number from 1 to 1000"),
        (["explain", "nothing"], 1, "nothing like that in the outbox"),
    ],
)
async def test_wrong_usage_is_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    """What is wrong, and what to write instead."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        try:
            found = await _run(here, *arguments)
        except SystemExit as exc:
            found = int(str(exc.code))
        assert found == code
        assert said in " ".join(capsys.readouterr().err.split())


async def test_a_booking_is_explained_by_any_of_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person has the reference, the log the event, the dashboard the delivery."""
    async with world(tmp_path) as here:
        await _one_parked(here)
        capsys.readouterr()
        [(reference, booking)] = here.rows("SELECT reference, booking FROM events WHERE id = 'e1'")
        for name in (reference, booking):
            assert await _run(here, "explain", name) == 0
            told = capsys.readouterr().out
            assert "e1 (booking created) from leeds came" in told
            assert "d2 (booking) to stampede" in told
            assert "was answered 2" in told
        assert await _run(here, "explain", "e2", "--json") == 0
        [story] = msgspec.json.decode(capsys.readouterr().out)
        assert "`pipeline events retry e2`" in " ".join(story["sentences"])
