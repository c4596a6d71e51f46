"""Reconciliation and backfill are asked for in the same way with the daemon running or not."""

import asyncio
import os
import pty
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from tests.e2e.world import World, equations, newest_truth, told

_TODAY = datetime.now(UTC).date()
_SINCE = (_TODAY - timedelta(days=1)).isoformat()


async def _main(*arguments: str) -> int:
    """Run a command as a person beside the daemon does."""
    return await asyncio.to_thread(main, list(arguments))


async def _lost(here: World, bookings: int = 3) -> None:
    """Make bookings of which no webhook tells."""
    seed = {"items": bookings, "days": 0.01, "no_customer": 0.0, "drafts": 0.0}
    await here.control("roller", "seed", seed)


async def test_what_was_lost_is_taken_in_and_told_by_the_running_daemon(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person has it put right without stopping anything."""
    async with here.running():
        await _lost(here)
        assert await _main("reconcile", "--config", str(here.path), "--since", _SINCE) == 0
        shown = capsys.readouterr().out
        assert "leeds" in shown
        assert "done" in shown
        status = await here.settled()
        equations(status)
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))
        source = status.sources["leeds"]
        assert source.reconcile is not None
        assert source.last_reconcile_at == source.reconcile.updated_at
        assert source.reconcile.taken_in > 0
        assert await _main("status", "--config", str(here.path)) == 0
        assert f"reconcile {_SINCE} to" in capsys.readouterr().out


async def test_without_a_daemon_it_is_taken_in_and_delivered_later(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the command says so."""
    await _lost(here)
    arguments = ["--config", str(here.path), "--since", _SINCE]
    assert await _main("reconcile", *arguments, "--dry-run") == 0
    assert "only counted" in capsys.readouterr().out
    assert here.rows("SELECT * FROM events") == []
    assert await _main("reconcile", *arguments) == 0
    assert "delivered once the daemon runs" in capsys.readouterr().out
    assert await _main("reconcile", *arguments, "--json") == 0
    document = msgspec.json.decode(capsys.readouterr().out)
    [run] = document["runs"]
    assert (run["state"], run["taken_in"], document["by_daemon"]) == ("done", 0, False)
    assert run["known"] > 0
    assert run["seen"] == run["known"] + sum(run["not_sendable"].values())
    async with here.running():
        await here.settled()
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))


async def test_what_has_stopped_is_said_to_go_on_and_when(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sees a failure would else ask again and again."""
    await here.control("roller", "faults", {"kind": "500", "path": "/data/*"})
    arguments = ["reconcile", "--config", str(here.path), "--since", _SINCE]
    assert await _main(*arguments) == 1
    said = capsys.readouterr().err
    assert "it goes on with the daemon (pipeline run), or when it is asked for again" in said
    assert "None" not in said
    async with here.running():
        assert await _main(*arguments) == 0
    assert "the daemon goes on with it by itself: pipeline status" in capsys.readouterr().err


async def test_a_backfill_says_how_much_it_is_and_goes_last(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told in class 6, after whatever comes meanwhile."""
    await _lost(here, 10)
    arguments = ["backfill", "--config", str(here.path), "--since", _SINCE]
    assert await _main(*arguments, "--yes") == 0
    shown = capsys.readouterr().out
    assert "bookings and up to" in shown
    assert "monthly package" in shown
    assert "stampede's allowance is busy with it for" in shown
    assert "switch them\noff there until it is done" in shown
    async with here.running():
        status = await here.settled()
        equations(status)
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))
        origins = here.rows("SELECT DISTINCT origin FROM events")
        assert origins == [("backfill",)]
        sql = "SELECT DISTINCT priority FROM deliveries WHERE kind <> 'consent'"
        assert here.rows(sql) == [(6,)]


@pytest.mark.parametrize(("answer", "code", "taken_in"), [("n", 1, 0), ("y", 0, 3)])
async def test_a_backfill_asks_on_a_terminal(
    here: World, answer: str, code: int, taken_in: int
) -> None:
    """Automations at Stampede may write to every guest of a year."""
    await _lost(here)
    arguments = ["backfill", "--config", str(here.path), "--since", _SINCE]
    found, shown = await asyncio.to_thread(_answer, arguments, answer)
    assert found == code, shown
    assert "This will import them. Go on? [y/N]" in shown
    if taken_in:
        assert "taken in" in shown
        assert here.rows("SELECT origin FROM events")[0] == ("backfill",)
    else:
        assert not here.outbox.exists()


async def test_what_may_not_be_read_is_told_with_what_is_missing(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key has a permission for each report, and webhooks come without any of them."""
    await here.control("roller", "permissions", {"missing": ["GET /data/bookingitems"]})
    async with here.running():
        assert await _main("reconcile", "--config", str(here.path)) == 1
        sentence = "403 to /data/bookingitems: the API key lacks the permission for it"
        assert sentence in capsys.readouterr().err
        status = await here.status()
        assert status.ready
        [reason] = status.reasons
        assert reason.startswith("sources.leeds: the bookings of ")
        assert "are not read: ROLLER answered 403" in reason
        assert "give it the permission for GET /data/bookingitems" in reason


async def test_what_waits_has_not_failed(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The daemon goes on with it by itself, and so does whoever has called the command."""
    fault = {"kind": "429", "path": "/data/*", "count": 1}
    async with here.running():
        await here.control("roller", "faults", fault)
        assert await _main("reconcile", "--config", str(here.path)) == 0
        told = capsys.readouterr()
        assert "waiting" in told.out
        assert told.err.splitlines()[-1] == (
            "leeds: not done yet: ROLLER answered 429 to /data; the daemon goes on with it by "
            "itself: pipeline status"
        )
        status = await here.status()
        assert status.reasons == (
            "sources.leeds: reconcile goes on by itself later: ROLLER answered 429 to /data",
        )
    await here.control("roller", "faults", fault)
    assert await _main("reconcile", "--config", str(here.path), "--until", _SINCE) == 1
    assert "it goes on with the daemon (pipeline run)" in capsys.readouterr().err


async def test_without_a_daemon_what_was_left_unread_is_read_when_it_is_asked_for_again(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backfill waits until it is known who is a minor, and says what to do."""
    await here.guest(email="anna@example.com", acceptMarketing=True)
    await here.control("roller", "permissions", {"missing": ["GET /data/signedwaivers"]})
    arguments = ["backfill", "--config", str(here.path), "--since", _SINCE, "--guests-only"]
    assert await _main(*arguments) == 1
    told = capsys.readouterr().err
    assert "leeds: not done yet: who is a minor is not known yet, for the signed waivers" in told
    assert "give it the permission for GET /data/signedwaivers" in told
    assert here.rows("SELECT * FROM events") == []
    await here.control("roller", "permissions", {"missing": []})
    assert await _main(*arguments) == 0
    assert here.rows("SELECT origin, kind FROM events") == [("backfill", "customer")]


async def test_days_that_cannot_be_are_refused_before_anything_is_asked(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped year must cost no calls, nor wait for an estimate of it."""
    for since, until in (("1999-01-01", _SINCE), (_SINCE, "2999-01-01"), ("2999-01-01", None)):
        arguments = ["backfill", "--config", str(here.path), "--since", since]
        assert await _main(*arguments, *(["--until", until] if until else [])) == 1
        assert "is before 2010-01-01" in (told := capsys.readouterr().err) or "to come" in told
    assert await here.requests("roller") == []


async def test_guests_are_imported_through_the_daemon_and_minors_are_not(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command to Stampede; the estimate is the daemon's, whose limit it shares."""
    consent = {"acceptMarketing": True, "acceptMarketingSMS": False}
    week = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    here.replace('waivers = "1d"', 'waivers = "8d"')
    await here.guest(firstName="Anna", email="anna@example.com", **consent)
    await here.guest(email="nobody@example.com", acceptMarketing=None, acceptMarketingSMS=None)
    tom = {"email": "tom@example.com", "dateOfBirth": None, **consent}
    signed = await here.sign(minors=[tom], event_date=week, send=False)
    change = {"customerId": signed["minors"][0], "guest": {"firstName": "Tom"}, "send": False}
    await here.control("roller", "guests", change)
    arguments = ["backfill", "--config", str(here.path), "--since", _SINCE, "--guests-only"]
    async with here.running():
        assert await _main(*arguments, "--yes") == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "leeds: up to 2 guests; " in shown
        assert "which count in your monthly package" in shown
        status = await here.settled()
        equations(status)
        assert status.sources["leeds"].backfill is not None
        assert status.sources["leeds"].backfill.taken_in == 1
        [guest] = (await here.state("stampede"))["guests"]
        assert (guest["email"], guest["first"]) == ("anna@example.com", "Anna")
        assert (guest["email_opt_in"], guest["sms_opt_in"]) == (True, False)
    paths = Counter(one["path"] for one in await here.requests("roller"))
    # A page of each of two days is looked at, and then read.
    assert paths["/data/customers"] == 4


def _answer(arguments: Sequence[str], answer: str) -> tuple[int, str]:
    """Run a command on a terminal, and answer its question."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pipeline", *arguments]
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        sent = b""
        with suppress(OSError):  # so Linux says that the other end is closed
            while part := os.read(ours, 65_536):
                sent += part
        os.close(ours)
        return process.wait(timeout=30), sent.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["reconcile", "--since", "yesterday"], 2, "expected a day such as 2026-11-01"),
        (["backfill"], 2, "--since"),
        (["backfill", "--since", "2026-11-02", "--until", "2026-11-01"], 2, "is before --since"),
        (["backfill", "--since", "2026-11-02", "--source", "york"], 2, "no source york"),
        (["reconcile", "--source", "york"], 1, "york is none that can be asked; there is leeds"),
        (["reconcile", "--since", "1999-01-01"], 1, "1999-01-01 is before 2010-01-01"),
        (["reconcile", "--until", "2999-01-01"], 1, "until: 2999-01-01 is still to come"),
    ],
)
async def test_what_makes_no_sense_is_answered_with_a_sentence(
    here: World, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    """Nothing is begun."""
    command, *rest = arguments
    try:
        found = await _main(command, "--config", str(here.path), *rest)
    except SystemExit as exc:
        found = int(str(exc.code))
    assert found == code
    assert sentence in " ".join(capsys.readouterr().err.split())


async def test_the_daemon_refuses_what_makes_no_sense(here: World) -> None:
    """Scripts use the address too."""
    async with here.running():
        url = f"http://{here.admin}/api/"
        for path, body, status, part in [
            ("reconcile", {"since": "2999-01-01"}, 400, "since: 2999-01-01 is still to come"),
            ("reconcile", {"source": "york"}, 400, "source: york is none"),
            ("reconcile", {"since": "soon"}, 400, "the body is not as it should be"),
            ("reconcile", {"from": "2026-01-01"}, 400, "the body is not as it should be"),
            ("backfill", {}, 400, "the body is not as it should be"),
        ]:
            answer = await _post(here, url + path, body)
            assert answer[0] == status, path
            assert part in answer[1]["error"]
        assert (await _get(here, url + "reconcile/1"))[0] == 404
        assert (await _get(here, url + "reconcile/x"))[0] == 404
        code, begun = await _post(here, url + "reconcile", {"dry_run": True})
        assert (code, begun["begun"][0]["state"]) == (200, "running")
        assert begun["begun"][0]["until"] == date.isoformat(_TODAY)


async def _post(here: World, url: str, body: object) -> tuple[int, Any]:
    async with here.http.post(url, json=body) as response:
        return response.status, await response.json()


async def _get(here: World, url: str) -> tuple[int, Any]:
    async with here.http.get(url) as response:
        return response.status, await response.json()
