"""What is counted of the sources adds up, and takes little room."""

from pathlib import Path

from pipeline.outbox import Note
from pipeline.outbox.sqlite import SqliteOutbox, open_noted, open_outbox, read_outbox
from tests.outbox.support import T0


def _note(name: str = "2026-11", n: int = 1, at: int = T0, **changes: str) -> Note:
    what, source = changes.get("what", "calls"), changes.get("source", "leeds")
    return Note(source=source, what=what, name=name, n=n, first_at=at, last_at=at)


async def test_counts_add_up_over_restarts(path: Path) -> None:
    """A month is longer than most runs."""
    async with open_outbox(path) as outbox:
        first = [_note(n=3), _note("new a.b string", what="drift")]
        assert await outbox.noted.add(first, most=5, rest="new (others)") == first
    async with open_noted(path) as noted:
        assert await noted.add([_note(n=4, at=T0 + 9)], most=5, rest="x") == []
        other = _note(n=1, source="york")
        assert await noted.add([other], most=5, rest="x") == [other]
    async with read_outbox(path) as glance:
        found = {(one.source, one.name): one for one in await glance.noted()}
    calls = found["leeds", "2026-11"]
    assert (calls.n, calls.first_at, calls.last_at) == (7, T0, T0 + 9)
    assert found["york", "2026-11"].n == 1
    assert found["leeds", "new a.b string"].what == "drift"


async def test_names_beyond_the_most_are_counted_together(outbox: SqliteOutbox) -> None:
    """A peer that invents names must not fill the disk."""
    notes = [_note(f"new a.{letter} string", what="drift") for letter in "abcdef"]
    fresh = await outbox.noted.add(notes, most=3, rest="new (others)")
    assert fresh == notes[:3]
    assert await outbox.noted.add(notes, most=3, rest="new (others)") == []
    found = {one.name: one.n for one in await outbox.noted.all()}
    assert found == {
        "new a.a string": 2, "new a.b string": 2, "new a.c string": 2, "new (others)": 6,
    }  # fmt: skip
    york = [_note("new a.a string", what="drift", source="york"), _note()]
    assert await outbox.noted.add(york, most=3, rest="x") == york, "each has its own"
