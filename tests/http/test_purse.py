"""The route by which a command takes a slot of a running daemon's allowance."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from pipeline.budget import Budget
from pipeline.clock import SECOND
from pipeline.outbox.sqlite import SqliteOutbox
from pipeline.purse import Purse, add_routes
from pipeline.sandbox.serve import serve
from pipeline.settings import Duration, RateLimit
from tests.fakes import FakeClock
from tests.outbox.conftest import outbox, path

__all__ = ["outbox", "path"]

_LIMIT = RateLimit(requests=5, per=Duration(900), reserve=3)
_SPENDING = {"method": "GET", "path": "/v1/venues"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def budget(clock: FakeClock) -> Budget:
    return Budget(_LIMIT, clock)


@pytest.fixture
async def url(outbox: SqliteOutbox, budget: Budget, clock: FakeClock) -> AsyncIterator[str]:
    """Where the routes are served; the listener's guard is tested elsewhere."""
    app = web.Application()
    add_routes(app, Purse({"stampede": budget}, outbox.ledger, clock))
    async with serve(app) as base:
        yield f"{base}/api/destinations"


async def _post(url: str, body: object, *, name: str = "stampede") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/{name}/attempts", json=body) as response,
    ):
        return response.status, str((await response.json()).get("error", ""))


async def test_a_slot_is_spent_and_written_down(
    url: str, budget: Budget, outbox: SqliteOutbox, clock: FakeClock
) -> None:
    """What the memory says and what a restart reads must agree."""
    assert await _post(url, _SPENDING) == (200, "")
    again = Budget(_LIMIT, clock)
    again.restore(await outbox.ledger.entries("stampede", newest=10))
    assert again.used == budget.used == 1
    clock.advance(30 + 900 + 0.5 - 1 / SECOND)
    assert again.used == budget.used == 1
    clock.advance(2 / SECOND)
    assert again.used == budget.used == 0


async def test_the_reserve_is_not_lent(url: str, budget: Budget) -> None:
    """It is for bookings, and a check can wait."""
    statuses = [(await _post(url, _SPENDING))[0] for _ in range(3)]
    assert (statuses, budget.left()) == ([200, 200, 409], 3)
    _, reason = await _post(url, _SPENDING)
    assert "reserved for bookings (3 of 3)" in reason


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("nobody", _SPENDING, 404),
        ("stampede", {}, 400),
        ("stampede", _SPENDING | {"n": 2}, 400),
        ("stampede", [], 400),
        ("stampede", _SPENDING | {"method": "DROP"}, 400),
        *(
            ("stampede", _SPENDING | {"path": path}, 400)
            for path in ("", "v1", "/v1?search=a", "/anna@example.com", "/a b", "/a\n", "/" * 201)
        ),
    ],
)
async def test_what_is_not_as_it_should_be_spends_nothing(
    url: str, budget: Budget, name: str, body: object, status: int
) -> None:
    """It says what is wrong."""
    answered, reason = await _post(url, body, name=name)
    assert (answered, budget.used) == (status, 0)
    assert reason
