"""What `preview` lists is what the daemon then sends."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from tests.e2e.relay import Passed, relay
from tests.e2e.world import World

_GUEST_IN_PATH = re.compile(r"^/v1/guests/[^/]+")


@pytest.fixture
async def passed(here: World) -> AsyncIterator[list[Passed]]:
    """What passes between the daemon and Stampede."""
    found: list[Passed] = []
    async with relay(here.sandbox.stampede, found) as address:
        here.replace(here.sandbox.stampede, address)
        yield found


async def _previewed(here: World, body: bytes, capsys: pytest.CaptureFixture[str]) -> Any:
    file = here.folder / "message.json"
    file.write_bytes(body)
    capsys.readouterr()
    arguments = ["preview", str(file), "--config", str(here.path), "--json", "--reveal"]
    assert await asyncio.to_thread(main, arguments) == 0
    return msgspec.json.decode(capsys.readouterr().out)["destinations"]["stampede"]


def _sent(passed: list[Passed]) -> list[Any]:
    """Give what passed as a preview shows it."""
    return [
        {
            "method": one.method,
            "path": _GUEST_IN_PATH.sub("/v1/guests/GUEST_ID", one.path),
            "body": one.body,
        }
        for one in passed
        if one.path != "/oauth/token"
    ]


@pytest.mark.parametrize(
    ("guest", "booking", "count"),
    [
        ({}, {}, 5),
        ({"phone": "none", "acceptMarketing": None}, {"channel": None}, 4),
        ({"acceptMarketingSMS": True, "gender": "Other"}, {"status": "Cancelled"}, 5),
        ({"lastName": "Groß <b>"}, {"source": "Online", "items": None}, 4),
        ({}, {"total": None, "createdDate": None}, 5),
        ({"email": None}, {}, 0),
        ({"dateOfBirth": "2020-01-01"}, {}, 0),
        ({}, {"status": "Draft"}, 0),
        ({}, {"total": 1.005}, 0),
    ],
    ids=[
        "plain",
        "little",
        "cancelled",
        "no items",
        "no total",
        "no mail",
        "minor",
        "draft",
        "odd",
    ],
)
async def test_the_daemon_sends_what_was_shown(
    here: World,
    passed: list[Passed],
    capsys: pytest.CaptureFixture[str],
    guest: dict[str, Any],
    booking: dict[str, Any],
    count: int,
) -> None:
    """A preview that differs from what then happens is worse than none."""
    customer = await here.guest(
        **{"firstName": "Ada", "lastName": "Example", "email": "Ada@Example.com"}
        | {"phone": "07400 123456", "dateOfBirth": "1990-05-01", "gender": "Female"}
        | {"acceptMarketing": True}
        | guest
    )
    whole = {"customerId": customer, "source": "VenueManager", "channel": "Online"}
    made = await here.book(booking=whole | {"status": "Paid"} | booking, send=False)
    body = msgspec.json.encode(made["message"])
    shown = await _previewed(here, body, capsys)
    assert len(shown["requests"]) == count
    assert passed == [], "a preview contacts no destination"
    async with here.running():
        assert await here.post(body) == 200
        await here.settled()
    assert shown["requests"] == _sent(passed)
    [(state, reason)] = here.rows("SELECT state, reason FROM deliveries WHERE kind = 'booking'")
    assert (shown["state"], shown["reason"]) == (state, reason)


async def test_what_a_message_leaves_out_is_asked_from_roller_by_both(
    here: World, passed: list[Passed], capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon completes such a message first, so the preview must."""
    made = await here.book(booking={"status": "Paid", "total": 12.5}, send=False)
    for name in ("status", "total", "items"):
        del made["message"]["data"]["booking"][name]
    body = msgspec.json.encode(made["message"])
    shown = await _previewed(here, body, capsys)
    assert shown["requests"][1]["body"]["amount"] == 1250
    async with here.running():
        assert await here.post(body) == 200
        await here.settled()
    assert shown["requests"] == _sent(passed)


async def test_a_minor_known_from_a_waiver_is_previewed_as_one(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record at ROLLER need not have a date of birth."""
    customer = await here.guest(email="kid@example.com", dateOfBirth=None)
    made = await here.book(booking={"customerId": customer}, send=False)
    body = msgspec.json.encode(made["message"])
    assert (await _previewed(here, body, capsys))["state"] == "delivered"
    async with here.running():
        await here.waived(customer, isForMinor=True)
        await here.settled()
    shown = await _previewed(here, body, capsys)
    assert (shown["state"], shown["reason"], shown["requests"]) == ("skipped", "minor", [])
