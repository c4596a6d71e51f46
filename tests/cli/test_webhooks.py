"""`pipeline webhooks`: list, register and delete, against a simulated ROLLER on real sockets."""

import asyncio
import os
import pty
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from pipeline.cli.sandbox import printed
from pipeline.client import call
from pipeline.errors import PipelineError
from pipeline.outbox.file import instance_lock
from pipeline.sandbox.settings import DEFAULT_WEBHOOK
from tests.e2e.holder import WANTED, Holder
from tests.e2e.test_lookout import at_home
from tests.e2e.world import KEY, World, free_address, world
from tests.waiting import until

_DONE = "SELECT count(*) FROM events WHERE kind = 'booking' AND state = 'done'"
_BODY = b'{"id": "m", "type": 1, "eventType": 1, "data": {}}'
_GAP = "SELECT gap_since, gap_until FROM webhook"
_SECRETS = (KEY, "sandbox-leeds-secret", "-token-", "hunter2", "s3cret")


class Said:
    """What a command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


class Desk:
    """Somebody who uses the command."""

    def __init__(self, here: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.here = here
        self.roller = Holder(here)
        self.url = f"http://{here.listen}/webhooks/leeds"
        self._capsys = capsys

    async def run(self, *arguments: str) -> Said:
        """Run it, and see that it shows no secret."""
        self._capsys.readouterr()
        command = ["webhooks", *arguments, "--config", str(self.here.path)]
        code = await asyncio.to_thread(main, command)
        out, err = self._capsys.readouterr()
        assert not [secret for secret in _SECRETS if secret in out + err]
        return Said(code, out, err)

    async def calls(self) -> list[str]:
        """Give the changes that ROLLER was asked for."""
        log = await self.here.requests("roller")
        return [
            one["method"] for one in log
            if one["path"].startswith("/webhooks") and one["method"] != "GET"
        ]  # fmt: skip

    async def emptied(self) -> None:
        """Delete what the sandbox begins with."""
        for one in await self.roller.all():
            await self.roller.delete(one["webhookId"])


@pytest.fixture
def desk(here: World, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A configuration that says where ROLLER is to send to."""
    at_home(here)
    return Desk(here, capsys)


@pytest.fixture
def rotating(desk: Desk) -> Desk:
    """The same with a new key before the one that ROLLER has."""
    desk.here.replace(f'webhook_key = "{KEY}"', f'webhook_key = ["a-new-key", "{KEY}"]')
    return desk


async def test_register_makes_what_is_needed_and_the_second_time_nothing(desk: Desk) -> None:
    """Whoever is not sure whether it was done does it again."""
    await desk.emptied()
    done = await desk.run("register")
    [made] = await desk.roller.all()
    assert made["configuration"] == {
        "url": desk.url, "enabled": True, "authentication": {"apiKey": KEY}, "webhooks": WANTED,
    }  # fmt: skip
    assert done.code == 0
    assert f"leeds: registered webhook {made['webhookId']}, ROLLER sends to {desk.url}" in done.out
    before = await desk.calls()
    again = await desk.run("register")
    assert (again.code, again.err) == (0, "")
    assert "nothing had to be done" in again.out
    assert await desk.calls() == before


async def test_what_is_registered_works(desk: Desk) -> None:
    """A booking comes in and goes out."""
    await desk.emptied()
    assert (await desk.run("register")).code == 0
    async with desk.here.running():
        await desk.here.book(booking={})
        status = await desk.here.settled()
    assert (desk.here.rows(_DONE), status.deliveries["parked"]) == ([(1,)], 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": False},
        {"authentication": {"apiKey": "hunter2"}},
        {"webhooks": {"booking": WANTED["booking"]}},
        {"webhooks": WANTED | {"booking": WANTED["booking"] | {"filter": {"channels": ["Api"]}}}},
    ],
    ids=["off", "key", "types", "filter"],
)
async def test_register_sets_one_of_ours_right(desk: Desk, changes: dict[str, Any]) -> None:
    """In its place, so that nothing comes twice; ROLLER wants the whole of it."""
    number = await desk.roller.alone(desk.url, **changes)
    before = await desk.calls()
    done = await desk.run("register")
    assert (done.code, f"set webhook {number} right" in done.out) == (0, True)
    assert await desk.calls() == [*before, "PUT"]
    [found] = await desk.roller.all()
    assert found["webhookId"] == number
    assert found["configuration"]["enabled"] is True
    assert found["configuration"]["authentication"] == {"apiKey": KEY}
    assert found["configuration"]["webhooks"] == WANTED


async def test_a_key_is_replaced_without_a_moment_in_which_anything_is_refused(
    rotating: Desk,
) -> None:
    """The daemon takes both; ROLLER's webhook is on all the while, and there is only one."""
    here = rotating.here
    await rotating.roller.alone(rotating.url)

    async def sent() -> bool:
        return len((await here.state("roller"))["messages"]) >= 3

    async with here.running():
        playing = asyncio.create_task(here.play(bookings=20, concurrency=2, seed=4))
        await until(sent)
        done = await rotating.run("register")
        await playing
        await here.book(booking={})
        status = await here.settled()
        messages = (await here.state("roller"))["messages"]
    assert (done.code, "warning: " in done.err) == (0, False)
    assert (await rotating.roller.only())["authentication"] == {"apiKey": "a-new-key"}
    assert here.rows(_DONE) == [(21,)]
    assert status.events["duplicates"] == 0
    assert {len(one["attempts"]) for one in messages} == {1}
    here.replace(f'["a-new-key", "{KEY}"]', '"a-new-key"')
    again = await rotating.run("register")
    assert "nothing had to be done" in again.out


async def test_a_daemon_that_does_not_know_the_new_key_yet_is_told_of(rotating: Desk) -> None:
    """It was started before the configuration was changed: all would be answered 503."""
    here = rotating.here
    await rotating.roller.alone(rotating.url)
    here.replace(f'["a-new-key", "{KEY}"]', f'"{KEY}"')
    async with here.running():
        here.replace(f'webhook_key = "{KEY}"', f'webhook_key = ["a-new-key", "{KEY}"]')
        done = await rotating.run("register")
        status = await here.status()
    assert done.code == 0
    assert "the running daemon finds it differs" in done.err
    assert "restart it now" in done.err
    assert status.sources["leeds"].webhook == "differs"


async def test_a_running_daemon_sees_at_once_what_was_registered(desk: Desk) -> None:
    """Nobody waits an hour for `status` to agree."""
    await desk.emptied()
    async with desk.here.running():
        done = await desk.run("register")
        assert (done.code, "warning: " in done.err) == (0, False)
        assert (await desk.here.status()).sources["leeds"].webhook == "registered"


async def _sent_while_off(desk: Desk) -> int:
    """Let a booking come, and another one while the webhook is off; gives its id."""
    number = await desk.roller.alone(desk.url)
    async with desk.here.running():
        await desk.here.book(booking={})
        await desk.here.settled()
    await desk.roller.change(number, desk.url, enabled=False)
    await desk.here.book(booking={})
    return number


async def test_what_was_missed_is_read_when_it_is_registered_beside_the_daemon(desk: Desk) -> None:
    """The daemon has never seen it off: whoever switches it on says so."""
    await _sent_while_off(desk)
    async with desk.here.running():
        heard = (await desk.here.status()).sources["leeds"].last_event_at
        done = await desk.run("register")
        assert (done.code, "warning: " in done.err) == (0, False)
        assert f"leeds: ROLLER is asked for what changed since {heard}: see `pipeline" in done.out
        await until(lambda: desk.here.rows(_DONE) == [(2,)])


async def test_a_wrong_key_is_told_with_what_to_do_until_it_is_set_right(desk: Desk) -> None:
    """Nobody waits for the next booking to see that it has worked."""
    here = desk.here
    number = await desk.roller.alone(desk.url)
    async with here.running():
        await here.book(booking={})
        await here.settled()
        await desk.roller.change(number, desk.url, authentication={"apiKey": "hunter2"})
        assert await here.post(_BODY, key="hunter2") == 503
        status = await here.status()
        assert status.sources["leeds"].state == "key_mismatch"
        [told] = status.reasons
        assert "`pipeline webhooks register` has ROLLER send that" in told
        assert (await desk.run("register")).code == 0
        assert (await here.status()).sources["leeds"].state == "up"


async def test_what_was_missed_is_read_at_the_start_after_it_was_registered(desk: Desk) -> None:
    """Without a daemon it is kept for the next one; what was well all the while leaves none."""
    number = await _sent_while_off(desk)
    done = await desk.run("register")
    assert (done.code, " once the daemon runs: see `pipeline status`" in done.out) == (0, True)
    [(since, until_)] = desk.here.rows(_GAP)
    assert (since is None, until_) == (False, None)
    assert "nothing had to be done" in (await desk.run("register")).out
    async with desk.here.running():
        path = "/api/sources/leeds/look"
        await call(desk.here.config.server, "POST", path, body={})
        await until(lambda: desk.here.rows(_DONE) == [(2,)])
        await until(lambda: desk.here.rows(_GAP) == [(None, None)])
    assert [one["webhookId"] for one in await desk.roller.all()] == [number]


async def test_what_cannot_be_noted_is_said_and_what_to_do(desk: Desk) -> None:
    """It sends again all the same: that cannot wait."""
    number = await _sent_while_off(desk)
    with instance_lock(desk.here.outbox):
        done = await desk.run("register")
    assert (done.code, f"set webhook {number} right" in done.out) == (0, True)
    assert "that webhooks may be missing could not be noted: " in done.err
    assert "`pipeline reconcile`" in done.err
    assert "is asked for what changed" not in done.out
    assert (await desk.roller.only())["enabled"] is True


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


@pytest.mark.parametrize("given", ["", "/", "/webhooks/leeds"])
async def test_an_address_may_be_given_in_place_of_the_configured_one(
    here: World, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    """With our path, or without it."""
    desk = Desk(here, capsys)
    await desk.emptied()
    assert (await desk.run("register", "--url", f"https://hooks.example.com{given}")).code == 0
    assert (await desk.roller.only())["url"] == "https://hooks.example.com/webhooks/leeds"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "set sources.leeds.public_url, or give --url"),
        ("hooks.example.com", "expected an address"),
        ("http://hooks.example.com", "https addresses only"),
        ("https://hooks.example.com/webhooks/york", "is not where sources.leeds listens"),
        ("https://u:s3cret@hooks.example.com", "one with credentials"),
    ],
)
async def test_an_address_that_will_not_do_is_refused_before_anything_is_asked(
    here: World, capsys: pytest.CaptureFixture[str], url: str | None, said: str
) -> None:
    """A clear sentence, and nothing changed."""
    desk = Desk(here, capsys)
    done = await desk.run("register", *(["--url", url] if url else []))
    assert (done.code, said in done.err) == (1, True)
    assert done.err.startswith("sources.leeds: ")
    assert await here.requests("roller") == []


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


async def test_register_works_with_the_configuration_that_the_sandbox_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever plays with it tries each command."""
    async with world(tmp_path, everything=True) as here:
        here.write(printed(here.settings, here.sandbox))
        desk = Desk(here, capsys)
        desk.url = DEFAULT_WEBHOOK
        for said in ("leeds: registered webhook", "nothing had to be done"):
            done = await desk.run("register")
            assert (done.code, said in done.out) == (0, True), done.err
        assert DEFAULT_WEBHOOK in (await desk.run("list")).out


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


async def test_what_roller_keeps_otherwise_than_it_was_told_is_said(desk: Desk) -> None:
    """An answer without a body says nothing of it, and is no mistake."""
    await desk.roller.alone(desk.url, enabled=False)
    await desk.here.control(
        "roller", "faults", {"kind": "garbage", "path": "/webhooks/", "after": True, "count": 1}
    )
    done = await desk.run("register")
    assert (done.code, done.err) == (0, "")
    assert (await desk.roller.only())["enabled"] is True
