"""`pipeline webhooks`: list and delete, against a simulated ROLLER on real sockets."""

import asyncio
import os
import pty
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from pipeline.client import call
from pipeline.errors import PipelineError
from tests.cli.desk import Desk
from tests.e2e.holder import WANTED
from tests.e2e.watching import at_home
from tests.e2e.world import World, free_address, world


async def test_a_list_that_is_one_object_is_read_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ROLLER's documentation has it; an empty one is none."""
    async with world(tmp_path, webhooks_as_object=True) as here:
        at_home(here)
        desk = Desk(here, capsys)
        for said in ("set webhook", "nothing had to be done"):
            done = await desk.run("register")
            assert (done.code, said in done.out) == (0, True)
        listed = msgspec.json.decode((await desk.run("list", "--json")).out)
        [one] = listed["sources"]["leeds"]["webhooks"]
        assert (await desk.run("delete", str(one["id"]), "--yes")).code == 0
        assert "There are no webhooks." in (await desk.run("list")).out
        done = await desk.run("register")
        assert (done.code, "registered webhook" in done.out) == (0, True)


async def test_what_else_is_there_is_warned_of_and_left(desk: Desk) -> None:
    """Stampede's own integration counts each visit once more; an old address holds bookings."""
    await desk.roller.alone(desk.url)
    theirs = await desk.roller.add(
        "https://hooks.example.com/in/hunter2?secret=s3cret", authentication={"apiKey": "s3cret"}
    )
    stray = await desk.roller.add(f"https://{free_address()}/webhooks/leeds")
    double = await desk.roller.add(desk.url)
    before = await desk.roller.all()
    done = await desk.run("register")
    assert (done.code, await desk.roller.all()) == (0, before)
    assert f"webhook {theirs} to hooks.example.com is not ours and gets booking events" in done.err
    assert "each visit counts twice" in done.err
    assert f"webhook {stray} to 127.0.0.1 looks like this pipeline's" in done.err
    assert f"webhook {double} to 127.0.0.1 is one of ours too many" in done.err
    assert f"`pipeline webhooks delete {double}`" in done.err


async def test_list_shows_all_of_them_and_whose_they_are(desk: Desk) -> None:
    """For people, and for scripts as one document."""
    number = await desk.roller.alone(desk.url)
    theirs = await desk.roller.add(
        "https://hooks.example.com/hunter2", authentication={"apiKey": "s3cret"},
        webhooks={"customer": {"events": ["Updated"]}},
    )  # fmt: skip
    done = await desk.run("list")
    rows = {line.split()[1]: line for line in done.out.splitlines() if " 10" in line}
    assert done.code == 0
    assert f"{desk.url}  yes  ours  booking Created, Updated" in " ".join(
        rows[str(number)].split()
    ).replace(" yes ours ", "  yes  ours  ")
    assert "somebody else's" in rows[str(theirs)]
    found = msgspec.json.decode((await desk.run("list", "--json")).out)
    assert found["problems"] == {}
    assert found["requests"] == {"sources.leeds": 1}
    assert found["sources"]["leeds"]["state"] == "registered"
    assert found["sources"]["leeds"]["webhooks"] == [
        {
            "id": number, "url": desk.url, "enabled": True, "whose": "ours",
            "events": {kind: one["events"] for kind, one in WANTED.items()},
        },
        {
            "id": theirs, "url": "hooks.example.com", "enabled": True, "whose": "other",
            "events": {"customer": ["Updated"]},
        },
    ]  # fmt: skip


async def test_list_says_what_is_wrong_with_ours(desk: Desk) -> None:
    """And what to do about it."""
    await desk.roller.alone(desk.url, enabled=False)
    done = await desk.run("list")
    assert done.code == 0
    assert "leeds: disabled: webhook" in done.out
    assert "`pipeline webhooks register` sets it right" in done.out


@pytest.mark.parametrize(
    "changes", [{"enabled": False}, {"webhooks": {"booking": WANTED["booking"]}}, None]
)
async def test_what_register_lacks_is_named_where_it_is_advised(
    here: World, capsys: pytest.CaptureFixture[str], changes: dict[str, Any] | None
) -> None:
    """Whoever does as told must not be told then that something was missing."""
    desk = Desk(here, capsys)
    if changes:
        await desk.roller.alone(desk.url, **changes)
    else:
        await desk.emptied()
    done = await desk.run("list")
    told = "set sources.leeds.public_url to https://YOUR-HOST; then `pipeline webhooks register`"
    assert told in done.out
    at_home(here)
    assert "`pipeline webhooks register`" in (done := await desk.run("list")).out
    assert "public_url" not in done.out


async def test_delete_deletes_what_it_says(desk: Desk) -> None:
    """By ROLLER's own id; where nobody can be asked, the command was meant."""
    number = await desk.roller.alone(desk.url)
    theirs = await desk.roller.add("https://hooks.example.com/x")
    done = await desk.run("delete", str(theirs))
    assert (done.code, done.err) == (0, "")
    assert f"leeds: deleted webhook {theirs} to 127.0.0.1" not in done.out
    assert f"leeds: deleted webhook {theirs} to hooks.example.com" in done.out
    assert [one["webhookId"] for one in await desk.roller.all()] == [number]
    done = await desk.run("delete", str(number), "--yes")
    assert (done.code, await desk.roller.all()) == (0, [])
    assert "take sources.leeds.public_url out" in done.err, "the daemon would make it anew"


@pytest.mark.parametrize("number", ["7", "x", "../token", "0"])
async def test_delete_knows_what_is_not_there(desk: Desk, number: str) -> None:
    """A slip deletes nothing."""
    before = await desk.roller.all()
    done = await desk.run("delete", number, "--yes")
    assert (done.code, f"ROLLER has no webhook {number}" in done.err) == (1, True)
    assert await desk.roller.all() == before


@pytest.mark.parametrize("answer", ["n\n", "y\n"])
async def test_delete_asks_on_a_terminal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """What is deleted stops sending at once."""
    number = await desk.roller.alone(desk.url)
    leader, follower = pty.openpty()
    with os.fdopen(follower) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        os.write(leader, answer.encode())
        done = await desk.run("delete", str(number))
    os.close(leader)
    assert f"webhook {number} to {desk.url} (ours) will be deleted. Go on?" in done.err
    assert (done.code, len(await desk.roller.all())) == ((0, 0) if answer == "y\n" else (1, 1))


def _second(here: World, *, client: str = "sandbox-leeds") -> None:
    """Add a source, of the same venue unless another is named."""
    text = here.path.read_text()
    start, end = text.index("[sources.leeds]"), text.index("[destinations.stampede]")
    york = (
        text[start:end]
        .replace("sources.leeds", "sources.york")
        .replace('sandbox-leeds"', f'{client}"')
    )
    here.write(text[:end] + york + text[end:])


async def test_all_sources_are_registered_or_the_one_that_is_named(desk: Desk) -> None:
    """ROLLER's credentials, and so its webhooks, are per venue."""
    await desk.emptied()
    _second(desk.here)
    done = await desk.run("register", "--source", "york")
    assert done.code == 0
    assert [one["configuration"]["url"][-13:] for one in await desk.roller.all()] == [
        "webhooks/york"
    ]
    done = await desk.run("register")
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert len(await desk.roller.all()) == 2
    done = await desk.run("register", "--source", "hull")
    assert (done.code, "there is no source hull; there is leeds, york" in done.err) == (1, True)


async def test_an_id_that_two_sources_have_needs_its_source(desk: Desk) -> None:
    """Nothing says that ROLLER's numbers are one row for all venues."""
    number = str(await desk.roller.alone(desk.url))
    _second(desk.here)
    done = await desk.run("delete", number, "--yes")
    assert (done.code, f"leeds and york have a webhook {number} each" in done.err) == (1, True)
    assert (await desk.run("delete", number, "--yes", "--source", "york")).code == 0
    assert await desk.roller.all() == []


async def test_a_source_that_cannot_be_asked_does_not_keep_the_others(desk: Desk) -> None:
    """With the exit code that says so."""
    _second(desk.here, client="nobody")
    done = await desk.run("register")
    assert (done.code, "leeds: set webhook" in done.out) == (1, True)
    assert "sources.york: ROLLER refuses the client id or secret" in done.err
    done = await desk.run("list", "--json")
    found = msgspec.json.decode(done.out)
    assert (done.code, list(found["sources"]), list(found["problems"])) == (
        1, ["leeds"], ["sources.york"],
    )  # fmt: skip


async def test_a_roller_that_is_not_there_exits_with_69(desk: Desk) -> None:
    """Time may cure that."""
    desk.here.replace(desk.here.sandbox.roller, f"http://{free_address()}")
    for arguments in (["list"], ["register"], ["delete", "7", "--yes"]):
        done = await desk.run(*arguments)
        assert (done.code, done.out) == (69, ""), "that there are none is not known"
        assert done.err.startswith("sources.leeds: no connection: ")


async def test_status_tells_what_the_daemon_has_seen(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it was not allowed to look, which is no alarm."""

    async def shown() -> str:
        body = await call(desk.here.config.server, "POST", "/api/sources/leeds/look", body={})
        assert body
        assert await asyncio.to_thread(main, ["status", "--config", str(desk.here.path)]) == 0
        return capsys.readouterr().out

    await desk.roller.alone(desk.url, webhooks={"booking": WANTED["booking"]})
    async with desk.here.running():
        told = await shown()
        assert "! sources.leeds: webhook 1001 to 127.0.0.1 leaves out customer Created" in told
        assert "webhook differs, last event:" in told
        await desk.here.control("roller", "permissions", {"missing": ["GET /webhooks"]})
        told = await shown()
        assert "whether it sends webhooks is not known: ROLLER answered 403" in told
        assert "!" not in told
        with pytest.raises(PipelineError, match="there is no such source"):
            _ = await call(desk.here.config.server, "POST", "/api/sources/hull/look", body={})


@pytest.mark.parametrize(
    ("permission", "arguments"),
    [
        ("GET /webhooks", ["register"]),
        ("PUT /webhooks", ["register"]),
        ("DELETE /webhooks", ["delete", "ID", "--yes"]),
    ],
)
async def test_a_permission_that_the_key_lacks_is_named(
    desk: Desk, permission: str, arguments: list[str]
) -> None:
    """Keys have permissions per endpoint."""
    number = await desk.roller.alone(desk.url, enabled=False)
    await desk.here.control("roller", "permissions", {"missing": [permission]})
    done = await desk.run(*[str(number) if one == "ID" else one for one in arguments])
    assert done.code == 1
    assert f"give the key the permission for {permission}" in done.err
