"""Peers in trouble: what is accepted still arrives, once, and nothing else is told."""

import pytest

from tests.e2e.world import World, equations, newest_truth, told
from tests.waiting import until


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "500", "rate": 0.3, "count": 60},
        {"kind": "503", "rate": 0.3, "count": 60, "retry_after": "0"},
        {"kind": "reset", "rate": 0.3, "count": 60},
        {"kind": "reset", "rate": 0.3, "count": 60, "after": True},
        {"kind": "garbage", "rate": 0.3, "count": 60},
        {"kind": "garbage", "rate": 0.3, "count": 60, "after": True},
        {"kind": "408", "rate": 0.3, "count": 60},
    ],
    ids=lambda fault: f"{fault['kind']}{' after' if fault.get('after') else ''}",
)
@pytest.mark.parametrize("peer", ["stampede", "roller"])
async def test_everything_arrives_in_spite_of(
    here: World, peer: str, fault: dict[str, object]
) -> None:
    """A failing peer costs time and never a booking."""
    await here.control(peer, "faults", fault)
    async with here.running():
        await here.play(bookings=5, updates=3, cancellations=1, guests=4, seed=3)
        status = await here.settled()
    equations(status)
    assert status.events["parked"] == status.deliveries["parked"] == 0
    assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))


async def test_a_rejected_guest_parks_with_its_bookings_and_the_reason(here: World) -> None:
    """What cannot succeed as it is waits for a person, with the vendor's words."""
    await here.control("stampede", "faults", {"kind": "400", "path": "/v1/guests"})
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.book(booking={"customerId": customer})
        status = await here.settled()
    equations(status)
    rows = here.rows("SELECT kind, state, reason FROM deliveries ORDER BY kind")
    assert {(kind, state) for kind, state, _ in rows} == {
        ("guest", "parked"),
        ("booking", "parked"),
        ("tag", "parked"),
    }
    reasons = {kind: reason for kind, _, reason in rows}
    assert reasons["guest"].startswith("Stampede answered 400")
    assert reasons["booking"] == reasons["tag"] == "guest d1 parked"


async def test_a_clear_refusal_by_roller_shows_that_it_works_again(here: World) -> None:
    """Five failures are the peer's trouble; an answer about one guest says that it is over."""
    await here.control("roller", "faults", {"kind": "500", "path": "/guests", "count": 5})
    await here.control("roller", "faults", {"kind": "409", "path": "/guests"})
    async with here.running():
        await here.play(bookings=5, guests=5, seed=1)
        status = await here.settled()
    assert status.events["parked"] == 5
    assert (status.sources["leeds"].state, status.sources["leeds"].last_error) == ("up", None)


async def test_better_details_bring_a_parked_guest_and_its_bookings_back(here: World) -> None:
    """Nobody has to retry by hand what the next event cures."""
    await here.control("stampede", "faults", {"kind": "400", "path": "/v1/guests", "count": 1})
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.book(booking={"customerId": customer, "uniqueId": "one"})
        await here.settled()
        await here.book(booking={"customerId": customer, "uniqueId": "two"})
        status = await here.settled()
    equations(status)
    assert status.deliveries["parked"] == 0
    assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))


async def test_a_token_that_ended_early_is_renewed_and_nothing_parks(here: World) -> None:
    """Tokens end when the vendor likes; a 401 is cured by a fresh one."""
    async with here.running():
        await here.book(booking={})
        await here.settled()
        for peer in ("stampede", "roller"):
            await here.control(peer, "faults", {"kind": "401", "count": 1, "path": "/v1"})
        await here.control("roller", "faults", {"kind": "401", "count": 1, "path": "/guests"})
        await here.book(booking={})
        status = await here.settled()
    assert status.deliveries["parked"] == 0
    assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))


async def test_many_requests_that_meet_a_dead_token_cost_one_new_one(here: World) -> None:
    """Eight requests under way meet the same 401; that is one event, and no wrong secret."""
    async with here.running():
        await here.play(bookings=8, seed=1)
        await here.settled()
        url = f"{here.sandbox.stampede}/_sandbox/tokens"
        async with here.http.delete(url) as response:
            assert response.status == 200
        await here.control("stampede", "faults", {"kind": "slow", "delay": 0.05})
        await here.play(bookings=8, seed=2)
        await here.settled()
    log = await here.requests("stampede")
    assert len([r for r in log if r["path"] == "/oauth/token"]) == 2
    assert here.rows("SELECT max(attempts) FROM deliveries") == [(1,)]


async def test_tokens_are_kept_across_restarts_in_a_file_only_we_may_read(here: World) -> None:
    """A restart loop must not use up the token endpoint's own limit of 20 a minute."""
    for _ in range(3):
        async with here.running():
            await here.book(booking={})
            await here.settled()
    for peer in ("stampede", "roller"):
        tokens = [r for r in await here.requests(peer) if r["path"].endswith("/token")]
        assert len(tokens) == 1
    [tokens_file] = here.folder.glob("*.tokens")
    assert tokens_file.stat().st_mode & 0o777 == 0o600
    assert b"sandbox-stampede-token" not in here.outbox.read_bytes()


@pytest.mark.parametrize(
    ("secret", "where"),
    [
        ("sandbox-leeds-secret", "sources"),
        ("sandbox-stampede-secret", "destinations"),
    ],
    ids=["at ROLLER", "at Stampede"],
)
async def test_wrong_credentials_wait_with_the_reason_until_they_are_right(
    here: World, secret: str, where: str
) -> None:
    """A wrong secret is found while webhooks come in; none of them may be lost by it."""
    here.replace(secret, "wrong")
    async with here.running():
        answer = await here.book(booking={})
        assert answer["answers"] == {"200": 1}

        async def unauthorized() -> bool:
            status = await here.status()
            return "unauthorized" in [p.state for p in getattr(status, where).values()]

        await until(unauthorized)
        status = await here.status()
        assert any("refuses the client id or secret" in reason for reason in status.reasons)
        assert status.ready
        equations(status)
    here.replace("wrong", secret)
    async with here.running():
        status = await here.settled()
    assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))
    assert status.events["parked"] == status.deliveries["parked"] == 0


async def test_a_wrong_secret_is_tried_once_at_a_time(here: World) -> None:
    """Eight workers that each ask with it look like an attack to ROLLER."""
    await here.control("roller", "faults", {"kind": "slow", "delay": 0.1, "path": "/token"})
    here.replace("sandbox-leeds-secret", "wrong")
    here.replace('first = "20ms"', 'first = "30s"')
    here.replace('max = "200ms"', 'max = "1m"')
    async with here.running():
        await here.play(bookings=12, seed=1)

        async def unauthorized() -> bool:
            return (await here.status()).sources["leeds"].state == "unauthorized"

        await until(unauthorized)
        await until(lambda: here.rows("SELECT * FROM events WHERE state = 'processing'") == [])
    log = await here.requests("roller")
    assert [r["path"] for r in log] == ["/token"]


async def test_an_outage_ages_nobody_and_ends_by_itself(here: World) -> None:
    """When a destination is down, that is the lane's trouble and no item's."""
    stampede = here.sandbox.stampede
    here.replace(stampede, "http://127.0.0.1:9")
    async with here.running():
        await here.play(bookings=10, seed=5)

        async def down() -> bool:
            return (await here.status()).destinations["stampede"].state == "down"

        await until(down)
        assert here.rows("SELECT max(attempts) FROM deliveries") == [(0,)]
    here.replace("http://127.0.0.1:9", stampede)
    async with here.running():
        await here.settled()
    assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))


async def test_a_put_whose_connection_broke_is_not_sent_twice_on_one_slot(here: World) -> None:
    """Aiohttp repeats a PUT by itself; each request on the wire must have a slot of its own."""
    await here.control("stampede", "faults", {"kind": "reset", "method": "PUT", "count": 3})
    async with here.running():
        await here.book(booking={})
        await here.settled()
    wire = len(await here.requests("stampede"))
    assert here.rows("SELECT count(*) FROM attempts") == [(wire,)]
    outcomes = dict(here.rows("SELECT outcome, count(*) FROM attempts GROUP BY outcome"))
    assert outcomes["unknown"] == 3


async def test_messages_of_other_kinds_are_stored_and_parked_or_ignored(here: World) -> None:
    """Answering anything but 200 would end the subscription."""
    async with here.running():
        for number, kind in enumerate((3, 4, 7, "Customer", "SignedWaiver", 8, 99), start=1):
            body = f'{{"id": "m{number}", "type": {kind!r}, "eventType": 1, "data": {{}}}}'
            assert await here.post(body.replace("'", '"').encode()) == 200
        status = await here.settled()
    equations(status)
    sql = "SELECT state, reason, count(*) FROM events GROUP BY state, reason"
    assert set(here.rows(sql)) == {
        ("parked", "unreadable: data.ticketId: missing", 1),
        ("parked", "unreadable: data.customerId: missing", 2),
        ("parked", "unreadable: data.isForMinor: missing", 2),
        ("ignored", "not used", 2),
    }


async def test_an_amount_finer_than_the_currency_parks_with_the_reason(here: World) -> None:
    """A rounded amount would be a guess about somebody's money."""
    async with here.running():
        await here.book(booking={"total": 12.345})
        await here.settled()
    [(state, reason)] = here.rows("SELECT state, reason FROM deliveries WHERE kind = 'booking'")
    assert (state, reason) == ("parked", "the amount 12.345 is finer than GBP has digits (2)")


async def test_no_error_text_holds_what_a_guest_has_told(here: World) -> None:
    """Vendors quote what they refuse; people read the views."""
    async with here.running():
        customer = await here.guest(email="marker@example.com", firstName="Markername", phone="x")
        await here.control("stampede", "faults", {"kind": "400", "path": "/v1/guests"})
        await here.book(booking={"customerId": customer})
        await here.settled()
    for view in ("events", "deliveries", "attempts", "parked", "backlog", "budget"):
        text = repr(here.rows(f"SELECT * FROM {view}")).lower()
        assert "marker" not in text
