"""ROLLER's reports are read page by page, whatever their rows look like."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from aioresponses import aioresponses

from pipeline.clock import SECOND
from pipeline.errors import Failure, Forbidden, Reject, Retry, Throttled
from pipeline.model import Consent, GuestConsent, Phase
from pipeline.reports import Report, ReportedBooking, ReportedGuest, ReportedMinor, Reports
from pipeline.settings import Keys, Secret, Url
from pipeline.sources.roller import Roller, RollerSettings
from pipeline.wire import PeerSession

_BASE = "https://roller.example"
_DAY = date(2026, 10, 5)

#: 2026-10-05T12:00:00Z.
_NOON = 1_791_201_600 * SECOND

_ITEM: dict[str, Any] = {
    "bookingUniqueId": "b-1", "bookingReference": "9774710", "bookingCustomerId": "15617281",
    "bookingStatus": "Paid", "bookingLocation": "Doorlist", "bookingTotal": 25.5,
    "bookingModifiedDate": "2026-10-05T12:00:00Z", "productId": "7", "quantity": 2,
    "groupSize": 1, "bookingDate": "2026-10-06", "sessionStart": "18:30", "sessionEnd": "19:30",
    "bookingName": "not used", "bookingItemId": "1",
}  # fmt: skip
_CUSTOMER: dict[str, Any] = {
    "customerId": "7", "firstName": "Anna", "email": "anna@example.com",
    "contactNumber": "07400 123456", "acceptMarketing": True, "modifiedDate": "2026-10-05T12:00:00",
}  # fmt: skip
_WAIVER: dict[str, Any] = {
    "signedWaiverId": "18", "customerId": "8", "isForMinor": True, "dateOfBirth": "2015-03-01",
    "firstName": "Bea", "modifiedDate": "2026-10-05T12:00:00.5Z",
}  # fmt: skip


@pytest.fixture
def reports(session: PeerSession) -> Reports:
    settings = RollerSettings(
        type="roller",
        base_url=Url(_BASE),
        client_id="venue",
        client_secret=Secret("hunter22"),
        webhook_key=Keys((Secret("key"),)),
    )
    session.keep_token("token-1", lifetime=86_400)
    found = Roller("leeds", settings, session).reports
    assert found is not None
    return found


def _url(name: str, *, number: int = 1, size: int = 500) -> str:
    window = "startDate=2026-10-05&endDate=2026-10-06"
    return f"{_BASE}/data/{name}?{window}&pageNumber={number}&pageSize={size}"


def _page(*rows: object, **paging: object) -> dict[str, object]:
    return {
        "currentPage": 1,
        "totalPages": 1,
        "totalItems": len(rows),
        "itemsPerPage": 500,
        "items": rows,
    } | paging


def _bookings(found: object) -> list[ReportedBooking]:
    assert isinstance(found, list | tuple)
    return [one for one in found if isinstance(one, ReportedBooking)]


async def test_rows_of_a_booking_become_one_booking_in_our_words(
    reports: Reports, answers: aioresponses
) -> None:
    """Its total stands in each row; whoever adds them up has too much."""
    other = _ITEM | {"productId": "9", "sessionStart": None, "sessionEnd": None, "quantity": None}
    payload = _page(_ITEM, other, _ITEM | {"bookingUniqueId": "b-2"})
    answers.get(_url("bookingitems"), payload=payload)
    page = await reports.page(Report.BOOKINGS, _DAY, 1)
    first, second = _bookings(page.found)
    assert (page.more, page.rows, page.unreadable) == (False, 3, 0)
    booking = first.booking
    assert (booking.id, booking.reference, booking.customer) == ("b-1", "9774710", "15617281")
    assert (booking.total, booking.channel, booking.phase) == (Decimal("25.5"), "POS", Phase.ACTIVE)
    assert [item.product for item in booking.items] == ["7", "9"]
    assert (booking.items[0].start, booking.items[0].end) == (time(18, 30), time(19, 30))
    assert first.modified_at == _NOON
    assert second.booking.id == "b-2"


async def test_a_customer_is_read_under_the_names_of_a_report(
    reports: Reports, answers: aioresponses
) -> None:
    """A consent that is not there is unknown, here too."""
    answers.get(_url("customers"), payload=_page(_CUSTOMER))
    [found] = (await reports.page(Report.CUSTOMERS, _DAY, 1)).found
    assert isinstance(found, ReportedGuest)
    assert (found.guest.customer, found.guest.phone) == ("7", "07400 123456")
    assert found.guest.consent == GuestConsent(email=Consent.YES, sms=Consent.UNKNOWN)
    assert found.modified_at == _NOON, "a time without an offset is UTC"


async def test_only_minors_are_read_from_waivers_and_without_their_names(
    reports: Reports, answers: aioresponses
) -> None:
    """An adult's waiver tells nothing, and one without a record cannot be sent anywhere."""
    rows = [_WAIVER, _WAIVER | {"isForMinor": False}, _WAIVER | {"customerId": None}]
    answers.get(_url("signedwaivers"), payload=_page(*rows))
    [found] = (await reports.page(Report.WAIVERS, _DAY, 1)).found
    assert isinstance(found, ReportedMinor)
    assert found == ReportedMinor(customer="8", born=date(2015, 3, 1))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"isForMinor": "true"}, True),
        ({"isForMinor": "True"}, True),
        ({"isForMinor": 1}, True),
        ({"isForMinor": "yes, of course"}, True),
        ({"isForMinor": {"value": False}}, True),
        ({"isForMinor": None, "parentSignedWaiverId": "17"}, True),
        ({"isForMinor": False, "parentSignedWaiverId": 17}, True),
        ({"isForMinor": "False"}, False),
        ({"isForMinor": 0}, False),
        ({"isForMinor": None}, False),
        ({"isForMinor": False, "parentSignedWaiverId": "0"}, False),
        ({"isForMinor": False, "parentSignedWaiverId": "18"}, False),
    ],
)
async def test_what_may_be_a_minor_is_one(
    reports: Reports, answers: aioresponses, fields: dict[str, object], *, expected: bool
) -> None:
    """An adult who is left out can be told later; a minor who was told stays told."""
    answers.get(_url("signedwaivers"), payload=_page(_WAIVER | fields))
    page = await reports.page(Report.WAIVERS, _DAY)
    assert (len(page.found), page.unreadable) == (int(expected), 0)


@pytest.mark.parametrize(
    ("fields", "born"),
    [
        ({"dateOfBirth": "2015-03-01T00:00:00"}, date(2015, 3, 1)),
        ({"dateOfBirth": 20150301}, None),
        ({"dateOfBirth": {"year": 2015}}, None),
        ({"modifiedDate": None}, date(2015, 3, 1)),
        ({"signedWaiverId": 18.5}, date(2015, 3, 1)),
    ],
)
async def test_a_minor_is_known_whatever_else_cannot_be_read_of_the_waiver(
    reports: Reports, answers: aioresponses, fields: dict[str, object], born: date | None
) -> None:
    """A row that is passed over would be a minor who is sent."""
    answers.get(_url("signedwaivers"), payload=_page(_WAIVER | fields))
    [found] = (await reports.page(Report.WAIVERS, _DAY)).found
    assert found == ReportedMinor(customer="8", born=born)


async def test_one_row_that_cannot_be_read_keeps_no_other_from_being_read(
    reports: Reports, answers: aioresponses
) -> None:
    """A day's report must not end at one mistake in it."""
    bad = [{"bookingUniqueId": "b-3"}, _ITEM | {"bookingModifiedDate": "yesterday"}, "no row"]
    answers.get(_url("bookingitems"), payload=_page(*bad, _ITEM | {"bookingUniqueId": "b-4"}))
    page = await reports.page(Report.BOOKINGS, _DAY, 1)
    assert [one.booking.id for one in _bookings(page.found)] == ["b-4"]
    assert page.unreadable == 3


@pytest.mark.parametrize(
    ("payload", "more"),
    [
        (_page(_CUSTOMER, totalPages=3), True),
        (_page(_CUSTOMER, totalPages=2), False),
        ({"items": [_CUSTOMER] * 500}, True),
        # A page may be capped without a word: only an empty one is behind the last.
        ({"items": [_CUSTOMER] * 100}, True),
        ([_CUSTOMER] * 100, True),
        ([], False),
        ({"items": [_CUSTOMER] * 100, "totalItems": 250}, True),
        ({"items": [_CUSTOMER] * 100, "totalItems": 200}, False),
        ({"items": [], "totalItems": 250}, False),
        ({"items": [_CUSTOMER] * 99, "itemsPerPage": 100}, False),
        ({"items": [_CUSTOMER] * 100, "itemsPerPage": 100}, True),
    ],
)
async def test_whether_another_page_follows_is_told_by_its_number_or_its_size(
    reports: Reports, answers: aioresponses, payload: object, *, more: bool
) -> None:
    """The envelope is seen on the wire, and the documentation shows bare rows."""
    answers.get(_url("customers", number=2), payload=payload)
    assert (await reports.page(Report.CUSTOMERS, _DAY, 2)).more is more


async def test_a_first_page_shows_where_pages_are_capped(
    reports: Reports, answers: aioresponses
) -> None:
    """How many pages have moved up is reckoned with it."""
    answers.get(_url("customers"), payload={"items": [_CUSTOMER] * 100, "totalItems": 250})
    page = await reports.page(Report.CUSTOMERS, _DAY)
    assert (page.size, page.wanted, page.more) == (100, 500, True)


async def test_smaller_pages_are_asked_for_when_large_ones_are_refused(
    reports: Reports, answers: aioresponses
) -> None:
    """500 stands in older documentation only."""
    answers.get(_url("customers"), status=400)
    answers.get(_url("customers", size=100), payload=_page(_CUSTOMER))
    answers.get(_url("customers", number=2, size=100), payload=_page(_CUSTOMER))
    for number in (1, 2):
        page = await reports.page(Report.CUSTOMERS, _DAY, number)
        assert (len(page.found), page.number, page.wanted) == (1, number, 100)
    assert [len(calls) for calls in answers.requests.values()] == [1, 1, 1]


async def test_the_size_of_the_pages_before_is_kept_to(
    reports: Reports, answers: aioresponses
) -> None:
    """After a crash it would else be forgotten, and rows be skipped."""
    answers.get(_url("customers", number=4, size=100), payload=_page(_CUSTOMER))
    page = await reports.page(Report.CUSTOMERS, _DAY, 4, 100)
    assert (page.number, page.wanted) == (4, 100)


async def test_a_page_that_is_refused_on_the_way_goes_on_at_the_same_row(
    reports: Reports, answers: aioresponses
) -> None:
    """The third page of 500 begins where the eleventh of 100 does."""
    answers.get(_url("customers", number=3), status=400)
    answers.get(_url("customers", number=11, size=100), payload=_page(_CUSTOMER, totalPages=12))
    page = await reports.page(Report.CUSTOMERS, _DAY, 3, 500)
    assert (page.number, page.wanted, page.more) == (11, 100, True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, Forbidden), (404, Forbidden), (429, Throttled), (500, Retry), (418, Reject)],
)
@pytest.mark.parametrize(
    ("report", "name"), [(Report.BOOKINGS, "bookingitems"), (Report.WAIVERS, "signedwaivers")]
)
async def test_a_refusal_says_what_is_to_be_done(
    reports: Reports,
    answers: aioresponses,
    report: Report,
    name: str,
    status: int,
    kind: type[Failure],
) -> None:
    """Each report needs a permission of its own; one that may not be read is not an empty one."""
    answers.get(_url(name), status=status)
    with pytest.raises(kind, match=str(status)):
        await reports.page(report, _DAY)


@pytest.mark.parametrize("body", [b"", b"[", b'{"items": 5}', b'"rows"'])
async def test_an_answer_that_is_no_page_is_asked_for_again(
    reports: Reports, answers: aioresponses, body: bytes
) -> None:
    """What was not read must not count as read."""
    answers.get(_url("bookingitems"), body=body)
    with pytest.raises(Retry, match="without a page"):
        await reports.page(Report.BOOKINGS, _DAY, 1)


async def test_the_worst_minute_stays_below_what_roller_allows(reports: Reports) -> None:
    """A bucket lets in what it holds, and then what leaks out."""
    limit = reports.rate_limit
    assert limit.requests + 60 / limit.per * limit.requests < 120
