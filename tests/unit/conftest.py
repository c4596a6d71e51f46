"""A peer of which every answer is made up, for tables of answers."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aioresponses import aioresponses

from pipeline.tokens import Tokens
from pipeline.wire import PeerSession, client
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """The time."""
    return FakeClock()


@pytest.fixture
def answers() -> Iterator[aioresponses]:
    """What is answered to whom; any other request fails."""
    with aioresponses() as made:
        yield made


@pytest.fixture
async def session(
    tmp_path: Path, clock: FakeClock, answers: aioresponses
) -> AsyncIterator[PeerSession]:
    """A plug-in's way to its peer, without a token."""
    async with client() as http:
        yield PeerSession("peer", http, Tokens(tmp_path / "tokens", clock), "credentials")
