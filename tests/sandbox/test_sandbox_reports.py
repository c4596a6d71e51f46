"""The simulated ROLLER's Reporting API."""

import pytest

from pipeline.sandbox.roller import roller_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import Api, Clock, Receiver, roller_settings, roller_token

DAY = "2026-10-05"
NOON = f"{DAY}T12:00:00Z"


async def test_a_booking_has_a_row_per_item_with_its_total_in_each(roller: Api) -> None:
    """Who adds the totals up has too much; every id is a text here."""
    items = [
        {"bookingItemId": 1, "productId": 7, "sessionStartTime": "10:00", "cost": 5.0},
        {"bookingItemId": 2, "productId": 8, "quantity": 2, "cost": 10.0},
    ]
    fields = {"items": items, "total": 25.0, "channel": "POS", "status": "Paid", "customerId": 9}
    made = (await roller.control("bookings", booking=fields, event_date=NOON))["booking"]
    report = await roller.report("bookingitems", DAY)
    paging = [report[name] for name in ("currentPage", "totalPages", "totalItems", "itemsPerPage")]
    assert paging == [1, 1, 2, 100]
    first, second = report["items"]
    assert (first["bookingItemId"], second["bookingItemId"]) == ("1", "2")
    assert (first["productId"], second["productId"]) == ("7", "8")
    for row in (first, second):
        assert row["bookingUniqueId"] == made["uniqueId"]
        assert row["bookingReference"] == made["bookingReference"]
        assert (row["bookingTotal"], row["bookingStatus"]) == (25.0, "Paid")
        assert (row["bookingLocation"], row["bookingCustomerId"]) == ("Doorlist", "9")
        assert row["bookingModifiedDate"] == NOON
    assert (first["sessionStart"], second["sessionStart"]) == ("10:00", None)


@pytest.mark.parametrize(
    ("channel", "location"),
    [
        ("Online", "Consumer"),
        ("SSK", "SelfServe"),
        ("Marketplaces", "ChannelPartners"),
        ("VenueManager", "VenueManager"),
    ],
)
async def test_a_channel_has_another_name(roller: Api, channel: str, location: str) -> None:
    """What comes from a report must not look like a change of a booking."""
    await roller.control("bookings", booking={"channel": channel}, event_date=NOON)
    rows = (await roller.report("bookingitems", DAY))["items"]
    assert {row["bookingLocation"] for row in rows} == {location}


async def test_a_guest_has_everything_under_other_names(roller: Api) -> None:
    """Consents are there or are absent; deleted guests are not."""
    asked = {
        "firstName": "Ada",
        "email": "ada@example.com",
        "phone": "07400 123456",
        "acceptMarketing": True,
        "acceptMarketingSMS": False,
        "address": {"postcode": "LS1 1AA", "country": "United Kingdom"},
        "flags": [{"type": "Medical", "comment": "", "expiryDate": None}],
    }
    number = (await roller.control("guests", guest=asked, event_date=NOON))["customerId"]
    unasked = {"acceptMarketing": None, "acceptMarketingSMS": None, "address": None}
    await roller.control("guests", guest=unasked, event_date=NOON)
    gone = (await roller.control("guests", event_date=NOON))["customerId"]
    await roller.control("guests", customerId=gone, delete=True)
    first, second = (await roller.report("customers", DAY))["items"]
    assert (first["customerId"], first["contactNumber"]) == (str(number), "07400 123456")
    assert (first["acceptMarketing"], first["acceptMarketingSms"]) == (True, False)
    assert (first["postcode"], first["flags"][0]["type"]) == ("LS1 1AA", "medical")
    assert (first["createdDate"], first["modifiedDate"]) == (NOON, NOON)
    assert {"phone", "acceptMarketingSMS"}.isdisjoint(first)
    assert {"acceptMarketing", "acceptMarketingSms"}.isdisjoint(second)
    assert second["postcode"] is None


async def test_a_purchase_and_a_waiver_modify_a_guest(roller: Api) -> None:
    """So the report of a day has everybody who bought on it."""
    number = (await roller.control("guests", event_date="2026-10-01T12:00:00Z"))["customerId"]
    await roller.control("bookings", booking={"customerId": number}, event_date=NOON)
    assert (await roller.report("customers", "2026-10-01"))["items"] == []
    (row,) = (await roller.report("customers", DAY))["items"]
    assert (row["customerId"], row["createdDate"]) == (str(number), "2026-10-01T12:00:00Z")
    later = "2026-10-07T12:00:00Z"
    await roller.control("waivers", customerId=number, event_date=later)
    (row,) = (await roller.report("customers", "2026-10-07"))["items"]
    assert (row["customerId"], row["modifiedDate"]) == (str(number), later)


async def test_a_record_is_in_the_window_of_its_newest_change_alone(roller: Api) -> None:
    """A late message changes nothing; a change moves all rows to another day."""
    made = (await roller.control("bookings", event_date=NOON))["booking"]
    items = len(made["items"])
    change = {"uniqueId": made["uniqueId"]}
    await roller.control("bookings", booking=change, event_date="2026-10-03T12:00:00Z")
    assert (await roller.report("bookingitems", DAY))["totalItems"] == items
    await roller.control("bookings", booking=change, event_date="2026-10-06T12:00:00Z")
    assert (await roller.report("bookingitems", DAY))["totalItems"] == 0
    report = await roller.report("bookingitems", "2026-10-06")
    assert report["totalItems"] == items
    assert report["items"][0]["bookingModifiedDate"] == "2026-10-06T12:00:00Z"
    await roller.control("bookings", booking=change, delete=True)
    assert (await roller.report("bookingitems", "2026-10-06"))["totalItems"] == 0


@pytest.mark.parametrize(
    ("zone", "inside", "outside"),
    [
        # British summer time: the day begins at 23:00 UTC.
        ("Europe/London", "2026-10-04T23:00:00Z", "2026-10-05T23:00:00Z"),
        ("Pacific/Auckland", "2026-10-04T11:00:00Z", "2026-10-05T11:00:00Z"),
        ("America/Los_Angeles", "2026-10-06T06:59:59.9Z", "2026-10-05T06:59:59Z"),
    ],
)
async def test_a_day_is_one_of_the_venue_and_its_times_are_utc(
    roller: Api, zone: str, inside: str, outside: str
) -> None:
    """Who takes the day for one of UTC misses what happened in the evening."""
    await roller.control("venues", iana_time_zone=zone)
    for at in (inside, outside):
        await roller.control("guests", event_date=at)
    (row,) = (await roller.report("customers", DAY))["items"]
    assert row["modifiedDate"] == inside[:19] + "Z"


async def test_the_day_on_which_clocks_go_back_is_one_day(roller: Api) -> None:
    """It has 25 hours, all of which are asked for at once."""
    first, last = "2026-10-24T23:00:00Z", "2026-10-25T23:59:59Z"
    for at in (first, last):
        await roller.control("guests", event_date=at)
    rows = (await roller.report("customers", "2026-10-25"))["items"]
    assert [row["modifiedDate"] for row in rows] == [first, last]


async def test_pages_hold_every_row_once(roller: Api) -> None:
    """In the order of modification, and never more than the largest page."""
    for minute in range(7):
        await roller.control("guests", event_date=f"{DAY}T10:0{minute}:00Z")
    found, pages = [], []
    for number in (1, 2, 3, 4):
        page = await roller.report("customers", DAY, pageNumber=number, pageSize=3)
        found += [row["modifiedDate"] for row in page["items"]]
        pages.append((page["currentPage"], page["totalPages"], len(page["items"])))
    assert pages == [(1, 3, 3), (2, 3, 3), (3, 3, 1), (4, 3, 0)]
    assert found == [f"{DAY}T10:0{minute}:00Z" for minute in range(7)]
    empty = await roller.report("customers", "2026-10-01")
    assert (empty["totalPages"], empty["totalItems"], empty["items"]) == (0, 0, [])


async def test_what_changes_between_two_pages_makes_a_row_be_missed(roller: Api) -> None:
    """The hazard that makes people ask for a day once more."""
    numbers = [
        (await roller.control("guests", event_date=f"{DAY}T10:0{minute}:00Z"))["customerId"]
        for minute in range(4)
    ]
    first = await roller.report("customers", DAY, pageSize=2)
    await roller.control("guests", customerId=numbers[0], event_date="2026-10-06T10:00:00Z")
    second = await roller.report("customers", DAY, pageSize=2, pageNumber=2)
    seen = {int(row["customerId"]) for row in first["items"] + second["items"]}
    assert set(numbers) - seen == {numbers[2]}


async def test_a_larger_page_is_made_smaller_or_refused(roller: Api) -> None:
    """The limit stands in older documentation only, so both must be lived with."""
    await roller.control("settings", largest_page=5)
    assert (await roller.report("customers", DAY, pageSize=1000))["itemsPerPage"] == 5
    await roller.control("settings", refuse_larger_page=True)
    query = f"/data/customers?startDate={DAY}&endDate=2026-10-06&pageSize="
    assert (await roller.get(query + "6")).status == 400
    assert (await roller.get(query + "5")).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"startDate={DAY}",
        "endDate=2026-10-06",
        f"startDate={DAY}&endDate=2026-10-07",
        f"startDate={DAY}&endDate=2026-10-04",
        f"startDate={DAY}&endDate=tomorrow",
        f"startDate={DAY}T00:00:00&endDate=2026-10-06T00:00:00",
        "startDate=20261005&endDate=20261006",
        f"startDate={DAY}&endDate=2026-10-06&pageNumber=0",
        f"startDate={DAY}&endDate=2026-10-06&pageSize=all",
    ],
)
async def test_a_wrong_window_is_refused(roller: Api, query: str) -> None:
    """More than a day, above all."""
    answer = await roller.get(f"/data/bookingitems?{query}")
    assert (answer.status, answer.json["errors"][0]["name"]) == (400, "Validation")


async def test_windows_may_have_times_of_day(roller: Api) -> None:
    """Older documentation says so; it must be switched on, for it may be no longer so."""
    await roller.control("settings", report_times=True)
    for at in (NOON, f"{DAY}T13:00:00Z"):
        await roller.control("guests", event_date=at)
    window = f"startDate={DAY}T13:00:00&endDate={DAY}T14:00:00"
    (row,) = (await roller.get(f"/data/customers?{window}")).json["items"]
    assert row["modifiedDate"] == NOON, "13:00 in British summer time"


async def test_reports_may_lag_behind(start: Start, receiver: Receiver) -> None:
    """They are not for real time: how far behind is not said."""
    clock = Clock()
    api = await start(roller_app(roller_settings(receiver, report_delay=3600.0), clock))
    await roller_token(api)
    await api.control("guests")
    day = "2027-01-15"
    assert (await api.report("customers", day))["items"] == []
    clock.now += 3601
    assert len((await api.report("customers", day))["items"]) == 1


async def test_tickets_and_waivers_are_reported_too(roller: Api) -> None:
    """A ticket's guest, and a waiver's, are called customers here."""
    items = [{"bookingItemId": 5, "productId": 7_000_000, "quantity": 2}]
    booked = await roller.control("bookings", booking={"items": items}, event_date=NOON)
    reference = booked["booking"]["bookingReference"]
    at = f"{DAY}T13:00:00Z"
    signed = await roller.control("waivers", minors=1, booking=reference, event_date=at)
    people = [str(signed["customerId"]), str(signed["minors"][0])]
    tickets = (await roller.report("tickets", DAY))["items"]
    assert [ticket["customerId"] for ticket in tickets] == people
    assert [ticket["ticketId"] for ticket in tickets] == ["5-1", "5-2"]
    assert {(t["productType"], t["productSubType"]) for t in tickets} == {("Pass", "Session")}
    adult, child = (await roller.report("signedwaivers", DAY))["items"]
    assert [adult["customerId"], child["customerId"]] == people
    assert child["parentSignedWaiverId"] == adult["signedWaiverId"]
    assert (adult["isForMinor"], child["isForMinor"]) == (False, True)
    assert (adult["modifiedDate"], "guestId" in adult) == (at, False)


async def test_reports_need_their_own_permission(roller: Api) -> None:
    """Keys have one per endpoint."""
    await roller.control("permissions", missing=["GET /data/customers"])
    query = f"startDate={DAY}&endDate=2026-10-06"
    assert (await roller.get(f"/data/customers?{query}")).status == 403
    assert (await roller.get(f"/data/bookingitems?{query}")).status == 200
