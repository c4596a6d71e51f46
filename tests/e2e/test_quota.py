"""What ROLLER counts is counted here, and what it sends differently is seen."""

import asyncio
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from pipeline.status import Status
from tests.e2e.world import World
from tests.waiting import until


async def _roller_counts(here: World) -> int:
    """Give what the simulated ROLLER would charge for, tokens too."""
    [venue] = (await here.state("roller"))["venues"]
    return sum(sum(month.values()) for month in venue["calls"].values())


async def _command(
    here: World, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    capsys.readouterr()
    code = await asyncio.to_thread(main, [*arguments, "--config", str(here.path)])
    return code, capsys.readouterr().out


async def _status(here: World, capsys: pytest.CaptureFixture[str]) -> tuple[int, Status]:
    code, out = await _command(here, capsys, "status", "--json")
    return code, msgspec.json.decode(out, type=Status)


@pytest.mark.parametrize("fault", [None, "500", "reset", "401"])
async def test_each_call_is_counted_whatever_became_of_it(
    here: World, capsys: pytest.CaptureFixture[str], fault: str | None
) -> None:
    """The contract counts what ROLLER gets: by the running daemon, commands, and from the file."""
    if fault:
        await here.control("roller", "faults", {"kind": fault, "rate": 0.3, "count": 20})
    async with here.running():
        await here.play(bookings=6, guests=4, updates=3, seed=2)
        status = await here.settled()
        assert await _command(here, capsys, "venues", "--json")
        status = await here.status()
        calls = await _seen_on_the_wire(here)
        assert status.sources["leeds"].calls_this_month == calls > 7
    await _command(here, capsys, "venues", "--json")
    code, found = await _status(here, capsys)
    assert code == 69
    assert found.sources["leeds"].calls_this_month == await _seen_on_the_wire(here)
    assert found.sources["leeds"].state == "unknown"
    if fault is None:
        assert found.sources["leeds"].calls_this_month == await _roller_counts(here)


async def _seen_on_the_wire(here: World) -> int:
    return len(await here.requests("roller"))


async def test_messages_as_they_are_known_are_no_drift(here: World) -> None:
    """A finding that is none would have people look for nothing, and then not look."""
    async with here.running():
        await here.play(bookings=20, guests=12, updates=10, cancellations=3, seed=5)
        await here.settled()
        customer = await here.guest(email="ada@example.com")
        made = await here.book(booking={"customerId": customer, "metadata": {"Ada": "x"}})
        await here.control("roller", "waivers", {"customerId": customer, "minors": 2})
        await here.control("roller", "redemptions", {"booking": made["booking"]["uniqueId"]})
        for shape in ("flat", "nested"):
            await here.book(booking={"customerId": customer}, shape=shape, words=shape == "flat")
        status = await here.settled()
    assert [str(one) for one in status.sources["leeds"].drift] == []


async def test_a_difference_is_shown_before_it_breaks_anything(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name and type, and nothing of what was in it."""
    odd: dict[str, Any] = {"colour": "Markercolour", "Marker Name": 1, "total": 12.5}
    async with here.running():
        customer = await here.guest(email="ada@example.com", firstName=7, nickname="Markernick")
        await here.book(booking={"customerId": customer, **odd, "remainder": "Markertext"})
        await here.settled()
        await here.book(booking={"customerId": customer, "uniqueId": "two", **odd})
        status = await here.settled()
        drift = {str(one): one.count for one in status.sources["leeds"].drift}
        assert drift["new booking.colour (string)"] == 2
        assert drift["retyped booking.remainder (string)"] == 1
        assert drift["new guest.nickname (string)"] >= 1
        assert drift["retyped guest.firstName (integer)"] >= 1
        assert drift["new (others)"] == 2
        code, out = await _command(here, capsys, "status")
        assert code == 0
    code, later = await _command(here, capsys, "status")
    assert code == 69
    for text in (out, later):
        assert "leeds: its messages differ" in text
        assert "new booking.colour (string): 2 times" in text
        assert "arker" not in text
    assert "calls this month" in later
    log = capsys.readouterr().err
    assert "arker" not in repr(here.rows("SELECT * FROM noted")) + log
    [count] = here.rows("SELECT count(*) FROM noted WHERE what = 'drift'")
    assert count == (len(drift),)


async def test_the_counts_survive_a_restart(here: World) -> None:
    """A month is longer than most runs."""
    async with here.running():
        await here.play(bookings=2, seed=1)
        before = (await here.settled()).sources["leeds"].calls_this_month
    async with here.running():
        await until(lambda: here.rows("SELECT n FROM noted WHERE what = 'calls'") == [(before,)])
        await here.play(bookings=2, seed=2)
        after = (await here.settled()).sources["leeds"].calls_this_month
    assert before < after == await _roller_counts(here)
