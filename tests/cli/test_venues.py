"""`pipeline venues`: both sides, and the line that maps them."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from pipeline.cli.venues import match
from pipeline.plugin import ListedVenue
from pipeline.sandbox.settings import StampedeVenue
from tests.e2e.world import World, free_address, world

_VENUES = (
    StampedeVenue(id="YORK00000001", name="York"),
    StampedeVenue(id="LEEDS0000001", name="sandbox  LEEDS"),
    StampedeVenue(id="HULL00000001", name="Hull"),
)


async def _venues(here: World, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = await asyncio.to_thread(main, ["venues", "--config", str(here.path), *more])
    return code, capsys.readouterr().out


async def test_both_sides_stand_side_by_side(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the line to copy."""
    code, shown = await _venues(here, capsys)
    assert code == 0
    [row] = [line for line in shown.splitlines() if line.split()[:1] == ["leeds"]]
    assert row.split() == ["leeds", "Sandbox", "Leeds", "A1B2C3D4E5F6", "Sandbox", "Leeds"]
    assert 'venues = { leeds = "A1B2C3D4E5F6" }' in shown
    assert "[destinations.stampede]" in shown


async def test_a_serial_that_is_not_known_is_replaced_by_the_venue_of_the_same_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On all pages; this is how one gets from the shipped example to one's own serials."""
    async with world(tmp_path, stampede={"venues": _VENUES, "venues_page": 1}) as here:
        here.replace('leeds = "YORK00000001"', 'leeds = "A1B2C3D4E5F6"')
        _, shown = await _venues(here, capsys)
        code, document = await _venues(here, capsys, "--json")
    assert "not mapped to any of these" in shown
    found: Any = msgspec.json.decode(document)
    assert code == 0
    assert found["lines"] == {"stampede": 'venues = { leeds = "LEEDS0000001" }'}
    assert [venue["id"] for venue in found["destinations"]["stampede"]] == [v.id for v in _VENUES]
    assert found["requests"] == {"sources.leeds": 1, "destinations.stampede": 3}


def test_a_venue_is_matched_by_what_is_certain_only() -> None:
    """A wrong serial sends guests to another venue: better none than a guess."""
    york, hull = (ListedVenue(id=v.id, name=v.name) for v in (_VENUES[0], _VENUES[2]))
    named = {"a": ListedVenue(id="1", name="HULL"), "b": ListedVenue(id="2", name="Bath")}
    assert match(named, [york, hull]) == {"a": "HULL00000001"}
    assert match(named, [hull, hull]) == {}
    mapped = ListedVenue(id="HULL00000001", name="Hull", sources=("b",))
    assert match(named, [york, mapped]) == {"b": "HULL00000001"}
    assert match({"a": named["b"]}, [york]) == {"a": "YORK00000001"}
    assert match({"a": None}, [york, hull]) == {}


@pytest.mark.parametrize(("gone", "code"), [(True, 69), (False, 1)])
async def test_a_side_that_cannot_be_asked_leaves_the_other(
    here: World, capsys: pytest.CaptureFixture[str], gone: bool, code: int
) -> None:
    """Half a table is better than none, and the exit code says that it is half."""
    if gone:
        here.replace(here.sandbox.roller, f"http://{free_address()}")
    else:
        here.replace("sandbox-leeds-secret", "hunter2")
    arguments = ["venues", "--config", str(here.path)]
    assert await asyncio.to_thread(main, arguments) == code
    out, err = capsys.readouterr()
    assert "A1B2C3D4E5F6" in out
    assert err.startswith("sources.leeds: ")
    assert "hunter2" not in out + err


async def test_a_destination_that_cannot_be_asked_is_not_said_to_lack_the_venue(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has looked."""
    here.replace("sandbox-stampede-secret", "hunter2")
    code, shown = await _venues(here, capsys)
    assert code == 1
    assert "could not be asked" in shown
    assert "not mapped" not in shown
