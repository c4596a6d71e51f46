"""An open outbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outboxes import place_outbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox is."""
    return tmp_path / "outbox.db"


@pytest.fixture
async def outbox(path: Path) -> AsyncIterator[SqliteOutbox]:
    """An empty outbox."""
    async with open_outbox(place_outbox(path)) as opened:
        yield opened
