"""What guests have agreed to, from ROLLER to Stampede, through everything that happens there."""

import sqlite3

import pytest

from tests.e2e.world import World, equations, told
from tests.waiting import until

_THEN = "2026-06-01T10:00:00Z"
_DELIVERED = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
_LAST_BOOKING = """
    SELECT state, reason FROM deliveries WHERE kind = 'booking' AND superseded_by IS NULL
    ORDER BY CAST(substr(id, 2) AS INT) DESC LIMIT 1
"""
#: As soon as the second message is.
_SECOND_IS_TOLD = """
    SELECT (SELECT count(*) FROM events WHERE state = 'done') = 2
       AND NOT EXISTS (SELECT 1 FROM deliveries
                       WHERE destination = 'second' AND state IN ('waiting', 'sending'))
"""
_TRUSTING = 'first_contact = "trust"\n'
_REGISTRATION = 'mode = "registration"\nregistration_path = "/registration"\n'
_CHANNELS = ("data", "email", "sms")
_YES = {"acceptMarketing": True, "acceptMarketingSMS": True}
_NO = {"acceptMarketing": False, "acceptMarketingSMS": False}


async def _booked(here: World, customer: int, booking: str = "one", **change: object) -> None:
    """Have ROLLER send a booking of this guest, and wait until nothing is owed."""
    await here.book(booking={"uniqueId": booking, "customerId": customer, **change})
    await here.settled()


async def _change_at_roller(here: World, customer: int, **fields: object) -> None:
    await here.control("roller", "guests", {"customerId": customer, "guest": fields})


async def _change_at_stampede(here: World, **change: object) -> None:
    await here.control("stampede", "guests", {"email": "ada@example.com", **change})


async def _consents(here: World, stampede: str = "stampede") -> list[bool]:
    [guest] = (await here.state(stampede))["guests"]
    return [guest[f"{channel}_opt_in"] for channel in _CHANNELS]


async def _calls(here: World, since: int = 0) -> list[tuple[str, str]]:
    """Give the requests to Stampede, without guests' ids and the token's."""
    found = [(one["method"], one["path"]) for one in await here.requests("stampede")]
    [guest] = (await here.state("stampede"))["guests"]
    return [
        (method, path.replace(guest["id"], "ID"))
        for method, path in found[since:]
        if path != "/oauth/token"
    ]


async def _until(here: World, sql: str, count: int) -> None:
    """Wait until a count in the outbox has come so far."""
    await until(lambda: here.rows(sql)[0][0] >= count)


def _age_guests(here: World, customer: int) -> None:
    """Have a guest's details fetched a little more than a quarter of an hour ago."""
    with sqlite3.connect(here.outbox) as connection:
        connection.execute(
            "UPDATE subject SET as_of = as_of - 901000000 WHERE kind = 'guest' AND key = ?",
            (str(customer),),
        )
    connection.close()


def _age_what_was_seen(here: World) -> None:
    """Have Stampede told of a guest so long ago that it must be asked again."""
    with sqlite3.connect(here.outbox, timeout=5) as connection:
        connection.execute(
            """UPDATE told SET doc = json_set(doc, '$.seen.at', json_extract(doc, '$.seen.at')
                                                                - 901000000)
               WHERE kind = 'guest'"""
        )
    connection.close()


async def test_a_new_guest_is_looked_up_and_costs_six_requests(here: World) -> None:
    """One more than with trust, so that nobody is subscribed again by an old yes."""
    here.checking()
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_YES)
        await _booked(here, customer, status="Paid", source="VenueManager", channel="Online")
        paths = here.rows("SELECT path FROM attempts")
    assert await _calls(here) == [
        ("GET", "/v1/guests"),
        ("POST", "/v1/guests"),
        ("POST", "/v1/guests/ID/booking"),
        *[("PUT", "/v1/guests/ID/tags")] * 3,
    ]
    assert await _consents(here) == [True, True, True]
    assert not [path for [path] in paths if "@" in path or "%40" in path]


@pytest.mark.parametrize("said", [_YES, _NO], ids=["yes", "no"])
async def test_a_guest_whom_stampede_knows_keeps_what_was_said_there(
    here: World, said: dict[str, bool]
) -> None:
    """They signed up at the venue's Wi-Fi, and took one thing back since."""
    here.checking()
    async with here.running():
        await _change_at_stampede(here, data_opt_in=True, email_opt_in=False, sms_opt_in=True)
        customer = await here.guest(email="Ada@example.com", firstName="Ada", **said)
        await _booked(here, customer)
    assert await _consents(here) == [True, False, True]
    [guest] = (await here.state("stampede"))["guests"]
    assert guest["first"] == "Ada"


async def test_an_opt_out_at_stampede_outlives_every_change_at_roller_but_a_new_yes(
    here: World,
) -> None:
    """A repeated yes is how a sync subscribes thousands again."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_YES)
        await _booked(here, customer)
        await _change_at_stampede(here, email_opt_in=False)
        _age_what_was_seen(here)
        await _change_at_roller(here, customer, phone="0121 234 5678")
        await _booked(here, customer, "two")
        assert await _consents(here) == [True, False, True]
        [guest] = (await here.state("stampede"))["guests"]
        assert guest["phone"] == "+441212345678"

        await _change_at_roller(here, customer, **_NO)
        await _booked(here, customer, "three")
        assert await _consents(here) == [False, False, False]
        await _change_at_roller(here, customer, **_YES)
        await _booked(here, customer, "four")
        assert await _consents(here) == [True, True, True]


async def test_an_opt_out_is_a_delivery_of_its_own_and_needs_no_change_of_the_booking(
    here: World,
) -> None:
    """ROLLER sends nothing when consent alone changes, so any message must do."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_YES)
        await _booked(here, customer, reference="9774710")
        before = len(await here.requests("stampede"))
        await _change_at_roller(here, customer, **_NO)
        await _booked(here, customer, status="Paid")
        assert await _consents(here) == [False, False, False]
        assert ("POST", "/v1/guests") in await _calls(here, before)
    found = here.rows("SELECT priority, state FROM deliveries WHERE kind = 'consent'")
    assert found == [(1, "delivered")]


async def test_a_guest_who_was_deleted_at_stampede_is_made_again_with_the_booking(
    here: World,
) -> None:
    """The id that was remembered is of nobody now."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_YES)
        await _booked(here, customer)
        await _change_at_stampede(here, delete=True)
        await _booked(here, customer, status="PartiallyPaid")
        state = await here.state("stampede")
        assert [guest["email"] for guest in state["guests"]] == ["ada@example.com"]
        assert told(state)["one"] == ("active", "ada@example.com")
        assert "PartiallyPaid" in state["guests"][0]["tags"]
    assert here.rows("SELECT count(*) FROM parked") == [(0,)]


async def test_details_that_became_old_while_they_waited_are_fetched_again(here: World) -> None:
    """Stampede was down for an hour, and the guest has taken the consent back meanwhile."""
    customer = await here.guest(email="ada@example.com", firstName="Ada", **_YES)
    async with here.running():
        await here.control("stampede", "faults", {"kind": "500", "rate": 1})
        await here.book(booking={"uniqueId": "one", "customerId": customer})
        await _until(here, "SELECT count(*) FROM events WHERE state = 'done'", 1)
    _age_guests(here, customer)
    await _change_at_roller(here, customer, firstName="Adele", **_NO)
    await here.clear_faults("stampede")
    async with here.running():
        await here.settled()
    [guest] = (await here.state("stampede"))["guests"]
    assert guest["first"] == "Adele"
    assert await _consents(here) == [False, False, False]


@pytest.mark.parametrize("mode", ["", _REGISTRATION], ids=["api", "registration"])
async def test_an_opt_out_that_one_destination_finds_reaches_the_other(
    here: World, mode: str
) -> None:
    """No message tells of it, and the guest's next booking may be next year's."""
    here.replace(_TRUSTING, _TRUSTING + mode)
    async with here.another_stampede("second"):
        customer = await here.guest(email="ada@example.com", firstName="Ada", **_YES)
        async with here.running():
            await _booked(here, customer)
            assert await _consents(here, "second") == [True, True, True]
            await here.control("stampede", "faults", {"kind": "503", "rate": 1})
            await _change_at_roller(here, customer, firstName="Adele")
            await here.book(booking={"uniqueId": "two", "customerId": customer})
            await _until(here, _SECOND_IS_TOLD, 1)
        _age_guests(here, customer)
        await _change_at_roller(here, customer, **_NO)
        await here.clear_faults("stampede")
        async with here.running():
            status = await here.settled()
        assert await _consents(here) == [False, False, False]
        assert await _consents(here, "second") == [False, False, False]
    found = here.rows("SELECT destination, priority, state FROM deliveries WHERE kind = 'consent'")
    assert ("second", 1, "delivered") in found
    equations(status)


async def test_old_details_wait_for_roller_and_the_rest_goes_on(here: World) -> None:
    """That ROLLER is down is no trouble of Stampede's."""
    async with here.running():
        old = await here.guest(email="ada@example.com", firstName="Ada")
        new = await here.guest(email="bea@example.com", firstName="Bea")
        await here.control("stampede", "faults", {"kind": "500", "rate": 1})
        await here.book(booking={"uniqueId": "one", "customerId": old})
        await here.book(booking={"uniqueId": "two", "customerId": new})
        await _until(here, "SELECT count(*) FROM events WHERE state = 'done'", 2)
    _age_guests(here, old)
    await here.control("roller", "faults", {"kind": "500", "rate": 1})
    await here.clear_faults("stampede")
    async with here.running():
        await _until(here, _DELIVERED, 4)
        status = await here.status()
        assert status.destinations["stampede"].state == "up"
        state = await here.state("stampede")
    assert [guest["email"] for guest in state["guests"]] == ["bea@example.com"]
    [[reason]] = here.rows(
        "SELECT reason FROM deliveries WHERE kind = 'guest' AND state = 'waiting'"
    )
    assert "fetched anew" in reason


async def test_the_status_tag_follows_the_booking(here: World) -> None:
    """Who has paid must not be reminded to."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _booked(here, customer, status="Unpaid", source="VenueManager", channel="Online")
        await _change_at_stampede(here)
        await _booked(here, customer, status="Paid", source="VenueManager", channel="Online")
    [guest] = (await here.state("stampede"))["guests"]
    assert sorted(guest["tags"]) == ["Online", "Paid", "VenueManager"]


async def test_a_change_of_the_guest_alone_goes_with_an_unchanged_booking(here: World) -> None:
    """ROLLER names the guest, and says not what has changed."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", phone="07400 123456")
        await here.book(booking={"uniqueId": "one", "customerId": customer}, event_date=_THEN)
        await here.settled()
        await _change_at_roller(here, customer, phone="0121 234 5678")
        await here.book(booking={"uniqueId": "one"}, event_date=_THEN)
        await here.settled()
    [guest] = (await here.state("stampede"))["guests"]
    assert guest["phone"] == "+441212345678"
    assert here.rows("SELECT reason FROM deliveries WHERE state = 'skipped'") == [("already told",)]


async def test_a_booking_does_not_wait_for_a_change_of_a_guest_whom_stampede_has(
    here: World,
) -> None:
    """A phone number is less urgent than a booking."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", phone="07400 123456")
        await _booked(here, customer)
        _age_what_was_seen(here)
        await here.control("stampede", "faults", {"kind": "500", "rate": 1, "method": "GET"})
        await _change_at_roller(here, customer, phone="0121 234 5678")
        await here.book(booking={"uniqueId": "two", "customerId": customer})
        await _until(here, _DELIVERED + " AND kind = 'booking'", 2)
        assert here.rows(_DELIVERED + " AND kind = 'guest'") == [(1,)]


async def test_a_guest_who_is_gone_is_asked_for_by_the_e_mail_and_made_again(here: World) -> None:
    """The id leads nowhere, and asking for it again and again would spend the allowance."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_YES)
        await here.book(booking={"uniqueId": "one", "customerId": customer}, event_date=_THEN)
        await here.settled()
        await _change_at_stampede(here, delete=True)
        _age_what_was_seen(here)
        before = len(await here.requests("stampede"))
        await _change_at_roller(here, customer, firstName="Adele")
        await here.book(booking={"uniqueId": "one"}, event_date=_THEN)
        await here.settled()
    methods = [one["method"] for one in (await here.requests("stampede"))[before:]]
    assert methods == ["GET", "GET", "POST"]
    [guest] = (await here.state("stampede"))["guests"]
    assert guest["first"] == "Adele"
    assert await _consents(here) == [True, True, True]


@pytest.mark.parametrize("born", [None, "2020-01-01"], ids=["adult", "child"])
async def test_a_booking_is_called_off_though_its_guest_is_gone_there(
    here: World, born: str | None
) -> None:
    """There is nothing left to call off, and nothing for a person to do."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _booked(here, customer)
        await _change_at_stampede(here, delete=True)
        await _change_at_roller(here, customer, dateOfBirth=born)
        await _booked(here, customer, status="Cancelled")
    assert here.rows("SELECT count(*) FROM parked") == [(0,)]
    state = await here.state("stampede")
    there = {guest["id"] for guest in state["guests"]}
    held = [one["status"] for one in state["bookings"] if one["guest_id"] in there]
    assert held == ([] if born else ["cancelled"])


@pytest.mark.parametrize("known", [True, False], ids=["the same person", "somebody else"])
async def test_a_booking_goes_to_a_child_though_who_had_it_is_gone_there(
    here: World, *, known: bool
) -> None:
    """A child is told of to nobody, so nobody else finds out that the guest is gone."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        email = "ada@example.com" if known else "bea@example.com"
        child = await here.guest(email=email, dateOfBirth="2020-01-01")
        await _booked(here, customer)
        await _change_at_stampede(here, delete=True)
        await _booked(here, child)
    assert here.rows("SELECT count(*) FROM parked") == [(0,)]
    [(state, reason)] = here.rows(_LAST_BOOKING)
    assert (state, reason) == ("skipped", "minor")


@pytest.mark.parametrize(("others", "parked"), [(30, 0), (110, 1)])
async def test_a_guest_is_looked_for_on_some_pages_and_not_for_ever(
    here: World, others: int, parked: int
) -> None:
    """The sandbox finds whatever holds the text, twenty-five to a page."""
    here.checking()
    for number in range(others):
        change = {"email": f"{number}ada@example.com", "email_opt_in": True}
        await here.control("stampede", "guests", change)
    await _change_at_stampede(here, email_opt_in=True)
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_NO)
        await _booked(here, customer)
    found = here.rows("SELECT count(*) FROM parked WHERE reason LIKE '%first 4 pages%'")
    assert found == [(parked,)]
    if not parked:
        guests = (await here.state("stampede"))["guests"]
        assert all(guest["email_opt_in"] for guest in guests), "nor does it match somebody else"


async def test_a_guest_whom_roller_has_forgotten_meanwhile_is_not_told(here: World) -> None:
    """They may have asked to be erased, while Stampede was down."""
    customer = await here.guest(email="ada@example.com")
    async with here.running():
        await here.control("stampede", "faults", {"kind": "500", "rate": 1})
        await here.book(booking={"uniqueId": "one", "customerId": customer})
        await _until(here, "SELECT count(*) FROM events WHERE state = 'done'", 1)
    _age_guests(here, customer)
    await here.control("roller", "guests", {"customerId": customer, "delete": True})
    await here.clear_faults("stampede")
    async with here.running():
        await here.settled()
    assert (await here.state("stampede"))["guests"] == []
    reasons = here.rows("SELECT DISTINCT state, reason FROM deliveries")
    assert reasons == [("skipped", "customer not known")]


async def _until_sent(here: World, outcome: str) -> None:
    """Wait until a guest's own call has come so far."""
    sql = "SELECT count(*) FROM attempts WHERE method = 'POST' AND path = '/v1/guests' AND outcome"
    await _until(here, f"{sql} = '{outcome}'", 1)


@pytest.mark.parametrize("first", [_YES, _NO], ids=["first word", "change"])
async def test_a_yes_that_nobody_answered_is_taken_back(
    here: World, first: dict[str, bool]
) -> None:
    """Stampede has it, and answered 500; the guest has said no since."""
    here.checking()
    here.replace('first = "20ms"', 'first = "1s"')
    here.replace('max = "200ms"', 'max = "1s"')
    async with here.running():
        customer = await here.guest(email="ada@example.com", **first)
        if first is _NO:
            await here.book(booking={"uniqueId": "one", "customerId": customer}, event_date=_THEN)
            await here.settled()
            await _change_at_roller(here, customer, **_YES)
        lost = {"kind": "500", "after": True, "count": 1, "method": "POST", "path": "/v1/guests"}
        await here.control("stampede", "faults", lost)
        await here.book(booking={"uniqueId": "one", "customerId": customer}, event_date=_THEN)
        await _until_sent(here, "retry")
    assert await _consents(here) == [True, True, True]
    _age_what_was_seen(here)
    await _change_at_roller(here, customer, **_NO)
    async with here.running():
        await _booked(here, customer, "two")
    assert await _consents(here) == [False, False, False]


async def test_who_changes_back_while_the_change_is_under_way_is_told_again(here: World) -> None:
    """What is on its way is the truth no more, and what was told is not yet another."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", firstName="Ada", **_NO)
        await here.book(booking={"uniqueId": "one", "customerId": customer}, event_date=_THEN)
        await here.settled()
        slow = {"kind": "slow", "delay": 1, "count": 1, "method": "POST", "path": "/v1/guests"}
        await here.control("stampede", "faults", slow)
        await _change_at_roller(here, customer, firstName="Adele", **_YES)
        await here.book(booking={"uniqueId": "one"}, event_date=_THEN)
        await _until_sent(here, "open")
        await _change_at_roller(here, customer, firstName="Ada", **_NO)
        await here.book(booking={"uniqueId": "one"}, event_date=_THEN)
        await here.settled()
    [guest] = (await here.state("stampede"))["guests"]
    assert guest["first"] == "Ada"
    assert await _consents(here) == [False, False, False]


async def test_who_unsubscribes_minutes_after_we_told_of_them_stays_so(here: World) -> None:
    """The welcome mail has a link for it."""
    here.checking()
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_YES)
        await _booked(here, customer)
        await _change_at_stampede(here, email_opt_in=False)
        await _change_at_roller(here, customer, phone="0121 234 5678")
        await _booked(here, customer, "two")
    assert await _consents(here) == [True, False, True]


async def test_a_child_who_was_told_for_an_adult_is_opted_out(here: World) -> None:
    """They are told of nothing else, and must not stay subscribed for that."""
    async with here.running():
        customer = await here.guest(email="ada@example.com", **_YES)
        await _booked(here, customer)
        await _change_at_roller(here, customer, dateOfBirth="2015-01-01", **_NO)
        await _booked(here, customer, "two")
    assert await _consents(here) == [False, False, False]


async def test_a_404_for_something_else_forgets_no_guest(here: World) -> None:
    """Somebody's proxy had a bad moment; the guest's tags are known as before."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _booked(here, customer, status="Unpaid")
        stray = {"kind": "404", "count": 1, "method": "POST", "path": "/v1/guests/*"}
        await here.control("stampede", "faults", stray)
        await _booked(here, customer, "two", status="Unpaid")
        await _booked(here, customer, "two", status="Paid")
        assert here.rows("SELECT count(*) FROM parked") == [(0,)]
    [guest] = (await here.state("stampede"))["guests"]
    assert "Unpaid" not in guest["tags"]


async def test_a_booking_that_is_always_answered_404_parks_and_costs_little(here: World) -> None:
    """The guest was asked for and is there, so it is something else that is not."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await _booked(here, customer)
        before = len(await here.requests("stampede"))
        wrong = {"kind": "404", "rate": 1, "method": "POST", "path": "/v1/guests/*/booking"}
        await here.control("stampede", "faults", wrong)
        await _booked(here, customer, "two")
    assert await _calls(here, before) == [
        ("POST", "/v1/guests/ID/booking"),
        ("GET", "/v1/guests/ID"),
        ("POST", "/v1/guests/ID/booking"),
    ]
    [[reason]] = here.rows("SELECT reason FROM parked")
    assert reason.startswith("Stampede answered 404")


@pytest.mark.parametrize("kind", ["500", "403"])
async def test_one_guest_whom_roller_cannot_tell_shuts_nobody_out(here: World, kind: str) -> None:
    """It is that guest's trouble, and ends like any other's."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.control("stampede", "faults", {"kind": "500", "rate": 1})
        await here.book(booking={"uniqueId": "one", "customerId": customer})
        await _until(here, "SELECT count(*) FROM events WHERE state = 'done'", 1)
    _age_guests(here, customer)
    await here.control("roller", "faults", {"kind": kind, "rate": 1, "path": f"/guests/{customer}"})
    await here.clear_faults("stampede")
    async with here.running():
        await _until(here, "SELECT count(*) FROM deliveries WHERE reason LIKE '%fetched anew%'", 1)
        assert (await here.status()).sources["leeds"].state == "up"
        other = await here.guest(email="bea@example.com")
        await here.book(booking={"uniqueId": "two", "customerId": other})
        await _until(here, _DELIVERED, 4)


async def test_one_404_of_roller_is_no_proof_that_a_guest_is_gone(here: World) -> None:
    """As when the booking came in, it is asked some times more."""
    customer = await here.guest(email="ada@example.com")
    async with here.running():
        await here.control("stampede", "faults", {"kind": "500", "rate": 1})
        await here.book(booking={"uniqueId": "one", "customerId": customer})
        await _until(here, "SELECT count(*) FROM events WHERE state = 'done'", 1)
    _age_guests(here, customer)
    await here.control("roller", "faults", {"kind": "404", "count": 1, "path": "/guests"})
    await here.clear_faults("stampede")
    async with here.running():
        await here.settled()
    assert len((await here.state("stampede"))["guests"]) == 1


async def test_an_event_that_is_retried_by_hand_trusts_nothing_old(here: World) -> None:
    """It may have parked for months, and the guest has unsubscribed at Stampede."""
    async with here.running():
        await _change_at_stampede(here, email_opt_in=False)
        customer = await here.guest(email="ada@example.com", **_YES)
        await here.control("roller", "faults", {"kind": "404", "rate": 1, "path": "/guests/"})
        await here.book(booking={"uniqueId": "one", "customerId": customer})
        await _until(here, "SELECT count(*) FROM events WHERE state = 'parked'", 1)
        await here.clear_faults("roller")
        url = f"http://{here.admin}/api/events/e1/retry"
        async with here.http.post(url, json={}) as response:
            assert response.status == 200
        await here.settled()
    assert await _consents(here) == [False, False, False]


async def test_roller_is_asked_again_though_no_event_comes(here: World) -> None:
    """It was down at night, and the next booking may come in the morning."""
    async with here.running():
        customer = await here.guest(email="ada@example.com")
        await here.control("stampede", "faults", {"kind": "500", "rate": 1})
        await here.book(booking={"uniqueId": "one", "customerId": customer})
        await _until(here, "SELECT count(*) FROM events WHERE state = 'done'", 1)
    _age_guests(here, customer)
    await here.control("roller", "faults", {"kind": "401", "rate": 1})
    await here.clear_faults("stampede")
    async with here.running():
        [[guest]] = here.rows("SELECT id FROM deliveries WHERE kind = 'guest'")
        url = f"http://{here.admin}/api/deliveries/{guest}/retry"

        async def source() -> str:
            """Have it tried at once, for nobody waits out the pause here."""
            async with here.http.post(url, json={}) as response:
                await response.read()
            return (await here.status()).sources["leeds"].state

        async def is_shut() -> bool:
            return await source() == "unauthorized"

        async def is_open() -> bool:
            return await source() == "up"

        await until(is_shut)
        await here.clear_faults("roller")
        await until(is_open)
        await here.settled()
    assert len((await here.state("stampede"))["guests"]) == 1
