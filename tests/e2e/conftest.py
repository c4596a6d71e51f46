"""The world of a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.world import World, world


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A sandbox with a wide allowance, and a configuration for it."""
    async with world(tmp_path) as made:
        yield made
