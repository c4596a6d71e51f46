"""The world of a test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.watching import Watch, at_home, watching
from tests.e2e.world import World, world


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A sandbox with a wide allowance, and a configuration for it."""
    async with world(tmp_path) as made:
        yield made


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    """A lookout that knows the address that ROLLER is to send to."""
    async with AsyncExitStack() as stack:
        yield await watching(tmp_path, stack, at_home)


@pytest.fixture
async def newcomer(tmp_path: Path) -> AsyncIterator[Watch]:
    """The same where no webhook has ever come."""
    async with AsyncExitStack() as stack:
        yield await watching(tmp_path, stack, at_home, heard=None)


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[Watch]:
    """A lookout that does not."""
    async with AsyncExitStack() as stack:
        yield await watching(tmp_path, stack, lambda _: None)
