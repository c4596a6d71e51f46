"""The listeners of a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.support import Here, listening


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    """Both listeners, with an outbox in a folder of the test's own."""
    async with listening(tmp_path) as made:
        yield made
