"""The simulated ROLLER's clock, which can be moved."""

import asyncio

from pipeline.sandbox.clock import MovableClock
from pipeline.sandbox.roller import roller_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import Clock, Receiver, roller_settings, roller_token, until


async def test_a_week_of_traffic_lies_on_seven_days(start: Start, receiver: Receiver) -> None:
    """Each day's plays are found in that day's report."""
    api = await start(roller_app(roller_settings(receiver)))
    await api.control("clock", at="2026-11-02T18:00:00Z")
    for _ in range(7):
        await api.control("play", bookings=2)
        await api.control("clock", advance=86_400)
    await roller_token(api)
    found = [
        {
            row["bookingUniqueId"]
            for row in (await api.report("bookingitems", f"2026-11-0{n}"))["items"]
        }
        for n in range(1, 10)
    ]
    assert [len(day) for day in found] == [0, 2, 2, 2, 2, 2, 2, 2, 0]
    sent = [one.json["sendDate"][:10] for one in receiver.received]
    assert sent == [f"2026-11-0{day}" for day in range(2, 9) for _ in range(2)]


async def test_moving_the_clock_brings_on_what_waits_for_it(
    start: Start, receiver: Receiver
) -> None:
    """Retries, by the vendor's own days; the end of tokens; a limit's new minute."""
    api = await start(roller_app(roller_settings(receiver, retry_factor=1.0, requests=2)))
    await roller_token(api)
    receiver.answers = [503] * 7
    await api.control("bookings")
    for attempt, wait in enumerate((60, 60, 900, 3600, 86_400, 259_200), start=2):
        await api.control("clock", advance=wait)

        async def tried(wanted: int = attempt) -> bool:
            return len((await api.state())["messages"][0]["attempts"]) == wanted

        await until(tried)
    assert (await api.state())["messages"][0]["outcome"] == "failed"
    assert (await api.get("/venues/me")).status == 401, "the token has ended"
    statuses = [(await roller_token(api)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    await api.control("clock", advance=60)
    assert (await roller_token(api)).status == 200


async def test_going_back_begins_the_limits_anew(start: Start, receiver: Receiver) -> None:
    """Requests of the future would block the past for good."""
    api = await start(roller_app(roller_settings(receiver, requests=2, report_requests=1)))
    await roller_token(api)
    await api.get("/venues/me")
    assert (await api.get("/venues/me")).status == 429
    await api.control("clock", at="2026-01-01T00:00:00Z")
    assert (await api.get("/venues/me")).status == 200


async def test_a_reset_shows_the_true_time_again(start: Start, receiver: Receiver) -> None:
    """The next test begins now."""
    api = await start(roller_app(roller_settings(receiver), Clock()))
    await api.control("clock", advance=5)
    assert (await api.control("clock"))["now"] == "2027-01-15T08:00:05.000000Z"
    await api.control("reset")
    assert (await api.control("clock"))["now"] == "2027-01-15T08:00:00.000000Z"


async def test_who_sleeps_wakes_when_the_time_has_come_and_not_before() -> None:
    """However it comes: at once, by parts, or by the event loop."""
    clock = MovableClock(Clock())
    sleeper = asyncio.create_task(clock.sleep(100))
    for seconds in (0, 33, 33, 33):
        clock.move(seconds)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not sleeper.done()
    clock.move(1)
    await asyncio.wait_for(sleeper, 1)
    await asyncio.wait_for(clock.sleep(0.001), 1)
