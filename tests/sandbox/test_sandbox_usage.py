"""The simulated ROLLER's limits beside the one of its REST interface."""

from pipeline.sandbox.roller import roller_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import VENUE, Api, Clock, Receiver, roller_settings, roller_token

REPORT = "/data/customers?startDate=2026-10-05&endDate=2026-10-06"


async def test_reports_have_a_limit_of_their_own(start: Start, receiver: Receiver) -> None:
    """120 in a minute by default; neither uses up the other."""
    clock = Clock()
    settings = roller_settings(receiver, report_requests=2, requests=3)
    api = await start(roller_app(settings, clock))
    await roller_token(api)
    statuses = [(await api.get(REPORT)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert [(await api.get("/venues/me")).status for _ in range(3)] == [200, 200, 429]
    clock.now += 60
    assert (await api.get(REPORT)).status == 200
    assert settings.report_requests != type(settings)(venues=(VENUE,)).report_requests == 120


async def test_calls_are_counted_per_month_and_endpoint(start: Start, receiver: Receiver) -> None:
    """Managing webhooks counts, receiving them does not; what is refused is counted too."""
    clock = Clock()
    api = await start(roller_app(roller_settings(receiver), clock))
    await roller_token(api)
    await api.control("bookings")
    for path in ("/guests/1", "/guests/2", REPORT, "/webhooks", "/venues/me"):
        await api.get(path)
    (venue,) = (await api.state())["venues"]
    assert venue["calls"] == {
        "2027-01": {
            "GET /data/customers": 1,
            "GET /guests": 2,
            "GET /venues/me": 1,
            "GET /webhooks": 1,
            "POST /token": 1,
        }
    }


async def test_a_month_may_be_used_up(start: Start, receiver: Receiver) -> None:
    """The contract's cap: until the next month everything is refused, tokens too."""
    clock = Clock()
    api = await start(roller_app(roller_settings(receiver, monthly_calls=3), clock))
    await roller_token(api)
    statuses = [(await api.get("/venues/me")).status for _ in range(3)]
    assert statuses == [200, 200, 403]
    await api.control("settings", monthly_refusal=429)
    assert (await roller_token(api)).status == 429
    clock.now += 31 * 86_400
    assert (await roller_token(api)).status == 200


async def test_a_cap_is_lifted_by_a_switch(roller: Api) -> None:
    """As when somebody has paid."""
    await roller.control("settings", monthly_calls=0)
    assert (await roller.get("/venues/me")).status == 403
    await roller.control("settings", monthly_calls=None)
    assert (await roller.get("/venues/me")).status == 200
