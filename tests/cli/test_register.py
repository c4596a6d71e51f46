"""`pipeline webhooks register`, against a simulated ROLLER on real sockets."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.sandbox import printed
from pipeline.client import call
from pipeline.outbox.file import instance_lock
from pipeline.sandbox.settings import DEFAULT_WEBHOOK
from tests.cli.desk import Desk
from tests.e2e.holder import WANTED
from tests.e2e.world import KEY, World, world
from tests.waiting import until

_DONE = "SELECT count(*) FROM events WHERE kind = 'booking' AND state = 'done'"
_BODY = b'{"id": "m", "type": 1, "eventType": 1, "data": {}}'
_GAP = "SELECT gap_since, gap_until FROM webhook"


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


async def test_what_roller_keeps_otherwise_than_it_was_told_is_said(desk: Desk) -> None:
    """An answer without a body says nothing of it, and is no mistake."""
    await desk.roller.alone(desk.url, enabled=False)
    await desk.here.control(
        "roller", "faults", {"kind": "garbage", "path": "/webhooks/", "after": True, "count": 1}
    )
    done = await desk.run("register")
    assert (done.code, done.err) == (0, "")
    assert (await desk.roller.only())["enabled"] is True
