"""What the log of a daemon tells of a message's way, beside what failed."""

import asyncio
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from tests.e2e.world import World
from tests.waiting import until


def _lines(said: str, message: str) -> list[dict[str, Any]]:
    lines = [msgspec.json.decode(line) for line in said.splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == message]


async def _change(here: World, *arguments: str) -> None:
    assert await asyncio.to_thread(main, [*arguments, "--yes", "--config", str(here.path)]) == 0


async def test_each_turn_that_a_message_takes_is_a_line_with_its_ids(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks later what became of it has the log, and nobody who remembers."""
    await here.control("stampede", "faults", {"kind": "500"})
    async with here.running():
        body = b'{"id": "twice", "type": 99, "data": {}}'
        assert [await here.post(body) for _ in range(2)] == [200, 200]
        assert await here.post(b"no JSON") == 200
        for day in (1, 2):
            await here.book(booking={"uniqueId": "one"}, event_date=f"2026-06-0{day}T10:00:00Z")
        superseded = "SELECT id, superseded_by FROM deliveries WHERE state = 'superseded'"
        await until(lambda: here.rows(superseded))
        [parked] = [row[0] for row in here.rows("SELECT id FROM events WHERE state = 'parked'")]
        await _change(here, "events", "retry", parked)
        again = "SELECT id FROM events WHERE state = 'parked'"
        await until(lambda: here.rows(again) == [(parked,)])
        await _change(here, "events", "drop", parked)
        [(old, new)] = here.rows(superseded)
        await _change(here, "deliveries", "drop", new)
    said = capsys.readouterr().err
    [repeated] = _lines(said, "received again")
    assert (repeated["source"], repeated["key"]) == ("leeds", "twice")
    [line] = _lines(said, "superseded")
    assert (f"d{line['delivery']}", f"d{line['by']}") == (old, new)
    assert [line["events"] for line in _lines(said, "retried")] == [[int(parked[1:])]]
    events, deliveries = _lines(said, "dropped")
    assert (events["events"], deliveries["deliveries"]) == ([int(parked[1:])], [int(new[1:])])
