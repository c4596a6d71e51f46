"""ROLLER's webhooks are read in both shapes, or refused with what is wrong and where."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import micros
from pipeline.errors import Reject, Unreadable
from pipeline.model import Action, Booking, Envelope, Item, Kind, Phase
from pipeline.sources.roller.messages import read_booking, read_booking_detail, read_envelope
from pipeline.visit import visit
from tests.unit.made import LONDON

_DETAIL: dict[str, Any] = {
    "bookingReference": "9774710",
    "uniqueId": "b4fd0fef",
    "createdDate": "2026-05-31T23:05:55.173Z",
    "source": "VenueManager",
    "channel": "Consumer",
    "status": "PendingPayment",
    "name": "Somebody",
    "customerId": 15617281,
    "comments": "",
    "total": 350.64,
    "items": [
        {
            "bookingItemId": 13849074,
            "productId": 7158455,
            "quantity": 3,
            "bookingDate": "2026-05-31",
            "bookingEndDate": "2026-06-01",
            "groupSize": 2,
            "sessionStartTime": "18:30",
            "sessionEndTime": "19:30",
            "cost": 84.99,
            "modifiers": [],
        }
    ],
}
_ENVELOPE: dict[str, Any] = {
    "id": "e7e1a962",
    "sendDate": "2026-05-31T23:05:55.540921Z",
    "type": 1,
    "eventDate": "2026-05-31T23:05:55.4887391Z",
    "eventType": 1,
}


def _message(*, flat: bool = False, outside: Any = (), **detail: Any) -> bytes:
    booking = {name: value for name, value in (_DETAIL | detail).items() if value is not ...}
    data = booking if flat else {"booking": booking}
    whole = _ENVELOPE | {"data": data} | dict(outside)
    return msgspec.json.encode({name: value for name, value in whole.items() if value is not ...})


def _booking(action: Action = Action.UPDATED, *, flat: bool = False, **detail: Any) -> Booking:
    return read_booking(_message(flat=flat, **detail), action)


def _item(**fields: Any) -> Item:
    [found] = _booking(items=[_DETAIL["items"][0] | fields]).items
    return found


@pytest.mark.parametrize("flat", [False, True], ids=["data.booking", "flat data"])
def test_the_envelope_of_either_shape_is_read(flat: bool) -> None:
    """The documentation draws one, the wire has the other."""
    assert read_envelope(_message(flat=flat)) == Envelope(
        key="e7e1a962",
        kind=Kind.BOOKING,
        action=Action.CREATED,
        occurred_at=micros(datetime(2026, 5, 31, 23, 5, 55, 488_739, tzinfo=UTC)),
        booking="b4fd0fef",
        reference="9774710",
    )


@pytest.mark.parametrize("flat", [False, True], ids=["data.booking", "flat data"])
def test_the_booking_of_either_shape_is_read(flat: bool) -> None:
    """Every field that a destination can use."""
    assert _booking(flat=flat) == Booking(
        id="b4fd0fef",
        reference="9774710",
        customer="15617281",
        phase=Phase.ACTIVE,
        status="PendingPayment",
        origin="VenueManager",
        channel="Consumer",
        created_at=datetime(2026, 5, 31, 23, 5, 55, 173_000, tzinfo=UTC),
        total=Decimal("350.64"),
        items=(
            Item(
                product="7158455",
                quantity=3,
                group_size=2,
                first_day=date(2026, 5, 31),
                last_day=date(2026, 6, 1),
                start=time(18, 30),
                end=time(19, 30),
            ),
        ),
    )


def test_the_answer_of_the_api_is_read_as_the_message() -> None:
    """One fetches what the other leaves open."""
    assert read_booking_detail(msgspec.json.encode(_DETAIL)) == _booking()
    text = _DETAIL | {"items": [_DETAIL["items"][0] | {"quantity": "3"}]}
    assert read_booking_detail(msgspec.json.encode(text)) == _booking()


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (1, Kind.BOOKING),
        ("1", Kind.BOOKING),
        ("Booking", Kind.BOOKING),
        ("BOOKING", Kind.BOOKING),
        (3, Kind.REDEMPTION),
        ("Redemption", Kind.REDEMPTION),
        (4, Kind.CUSTOMER),
        ("customer", Kind.CUSTOMER),
        (7, Kind.SIGNED_WAIVER),
        ("SignedWaiver", Kind.SIGNED_WAIVER),
        (5, Kind.OTHER),
        ("PaymentLink", Kind.OTHER),
        ("", Kind.OTHER),
        (10**30, Kind.OTHER),
    ],
)
def test_kinds_come_as_numbers_and_words(raw: object, kind: Kind) -> None:
    """What we do not know is filed as such and not refused: ROLLER adds kinds."""
    assert read_envelope(_message(outside={"type": raw})).kind is kind


@pytest.mark.parametrize(
    ("raw", "action"),
    [
        (1, Action.CREATED),
        ("Created", Action.CREATED),
        (2, Action.UPDATED),
        ("updated", Action.UPDATED),
        (3, Action.CANCELLED),
        ("Cancelled", Action.CANCELLED),
        (4, Action.DELETED),
        ("Deleted", Action.DELETED),
        (9, Action.OTHER),
        ("Rescheduled", Action.OTHER),
        (None, Action.OTHER),
        (..., Action.OTHER),
    ],
)
def test_actions_come_as_numbers_and_words(raw: object, action: Action) -> None:
    """An unknown one still tells the booking's state."""
    assert read_envelope(_message(outside={"eventType": raw})).action is action


@pytest.mark.parametrize("digits", range(10))
def test_dates_have_any_number_of_fraction_digits(digits: int) -> None:
    """3, 6 and 7 are seen on the wire; what is finer than a microsecond is dropped."""
    fraction = "." + "123456789"[:digits] if digits else ""
    found = read_envelope(_message(outside={"eventDate": f"2026-05-31T23:05:55{fraction}Z"}))
    micro = int("123456789"[:digits].ljust(6, "0")[:6])
    assert found.occurred_at == micros(datetime(2026, 5, 31, 23, 5, 55, micro, tzinfo=UTC))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2026-06-01T00:05:55+01:00", datetime(2026, 5, 31, 23, 5, 55, tzinfo=UTC)),
        ("2026-05-31T23:05:55", datetime(2026, 5, 31, 23, 5, 55, tzinfo=UTC)),
        ("2026-05-31", datetime(2026, 5, 31, tzinfo=UTC)),
        ("", None),
        (None, None),
        (..., None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59.9999999Z", None),
        ("9999-12-31T23:59:59-05:00", None),
    ],
)
def test_a_date_is_utc_unless_it_says_otherwise(raw: object, expected: datetime | None) -> None:
    """And the ends of .NET's calendar, which stand for no date, are none."""
    found = read_envelope(_message(outside={"eventDate": raw}))
    assert found.occurred_at == (expected and micros(expected))
    assert _booking(createdDate=raw).created_at == expected


@pytest.mark.parametrize(
    ("raw", "text"),
    [(7, "7"), ("7", "7"), (" 7 ", "7"), (None, None), ("", None), (" ", None)],
)
def test_ids_come_as_numbers_and_texts(raw: object, text: str | None) -> None:
    """They are compared as text, whoever sends them."""
    found = _booking(customerId=raw, bookingReference=raw)
    assert (found.customer, found.reference) == (text, text)


@pytest.mark.parametrize("raw", ["a" * 129, "a\nb", "a\x00b", ".", "..", True, 1.5, ["7"], {}])
def test_what_cannot_be_an_id_is_refused(raw: object) -> None:
    """It becomes a part of paths, keys and lists."""
    with pytest.raises(Unreadable, match="customerId"):
        _booking(customerId=raw)


@pytest.mark.parametrize(
    ("status", "action", "phase"),
    [
        ("Draft", Action.CREATED, Phase.DRAFT),
        ("Draft", Action.CANCELLED, Phase.DRAFT),
        ("Cancelled", Action.UPDATED, Phase.CANCELLED),
        ("cancelled", Action.CANCELLED, Phase.CANCELLED),
        ("Deleted", Action.UPDATED, Phase.CANCELLED),
        ("Paid", Action.CANCELLED, Phase.CANCELLED),
        ("Paid", Action.DELETED, Phase.CANCELLED),
        ("Paid", Action.UPDATED, Phase.ACTIVE),
        ("NoPaymentRequired", Action.CREATED, Phase.ACTIVE),
        ("Levitating", Action.UPDATED, Phase.ACTIVE),
        (None, Action.UPDATED, Phase.ACTIVE),
        ("", Action.OTHER, Phase.ACTIVE),
    ],
)
def test_a_booking_is_a_draft_cancelled_or_active(
    status: str | None, action: Action, phase: Phase
) -> None:
    """Either the status or the message itself may say that it is off."""
    assert _booking(action, status=status).phase is phase


@pytest.mark.parametrize("empty", ["", None, ...], ids=["empty", "null", "absent"])
def test_what_is_not_said_is_none(empty: object) -> None:
    """Empty, null and absent are the same."""
    names = ("bookingReference", "customerId", "createdDate", "source", "channel", "status")
    fields: dict[str, Any] = dict.fromkeys(names, empty)
    found = _booking(total=... if empty == "" else empty, **fields)
    assert found == Booking(id="b4fd0fef", phase=Phase.ACTIVE, items=_booking().items)


@pytest.mark.parametrize("items", [[], None, ...], ids=["empty", "null", "absent"])
def test_a_booking_may_have_no_items(items: object) -> None:
    """A gift card by e-mail is a booking too."""
    assert _booking(items=items).items == ()


def test_items_may_be_one_object() -> None:
    """The documentation draws them so."""
    assert _booking(items=_DETAIL["items"][0]).items == _booking().items


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sessionStartTime": ..., "startTime": "17:00"}, {"start": time(17)}),
        ({"sessionStartTime": "", "startTime": "17:00"}, {"start": time(17)}),
        ({"sessionStartTime": "18:30:15"}, {"start": time(18, 30, 15)}),
        ({"sessionEndTime": "00:00"}, {"end": time(0)}),
        ({"sessionEndTime": "24:00"}, {"end": time(0)}),
        ({"sessionEndTime": "24:00:00"}, {"end": time(0)}),
        ({"sessionEndTime": None}, {"end": None}),
        ({"bookingDate": "2026-05-31T00:00:00"}, {"first_day": date(2026, 5, 31)}),
        ({"bookingDate": ""}, {"first_day": None}),
        ({"bookingDate": "0001-01-01"}, {"first_day": None}),
        ({"bookingEndDate": "9999-12-31T00:00:00"}, {"last_day": None}),
        ({"quantity": None, "groupSize": None}, {"quantity": None, "group_size": None}),
        ({"quantity": "3"}, {"quantity": 3}),
        ({"productId": "7158455"}, {"product": "7158455"}),
    ],
)
def test_an_item_is_read_as_it_comes(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Observed and documented ways to say the same."""
    raw = {name: value for name, value in fields.items() if value is not ...}
    gone = {name: None for name, value in fields.items() if value is ...}
    found = _item(**gone, **raw)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("detail", "where"),
    [
        ({"uniqueId": None}, "uniqueId"),
        ({"uniqueId": ""}, "uniqueId"),
        ({"createdDate": "yesterday"}, "createdDate"),
        ({"createdDate": "31/05/2026"}, "createdDate"),
        ({"createdDate": 1_780_000_000}, "createdDate"),
        ({"total": "NaN"}, "total"),
        ({"total": "Infinity"}, "total"),
        ({"total": "1e999999"}, "total"),
        ({"total": 1e15}, "total"),
        ({"total": "free"}, "total"),
        ({"total": True}, "total"),
        ({"total": []}, "total"),
        ({"status": {"a": 1}}, "status"),
        ({"items": "none"}, "items"),
        ({"items": [7]}, "items"),
        ({"items": [{"quantity": 2.5}]}, "quantity"),
        ({"items": [{"quantity": "many"}]}, "quantity"),
        ({"items": [{"quantity": 10**9}]}, "quantity"),
        ({"items": [{"quantity": -(10**9)}]}, "quantity"),
        ({"items": [{"groupSize": 10**30}]}, "groupSize"),
        ({"items": [{"bookingDate": "soon"}]}, "bookingDate"),
        ({"items": [{"bookingDate": "2026-02-30"}]}, "bookingDate"),
        ({"items": [{"bookingEndDate": 20260531}]}, "bookingEndDate"),
        ({"items": [{"sessionStartTime": "25:00"}]}, "sessionStartTime"),
        ({"items": [{"sessionEndTime": "late"}]}, "sessionEndTime"),
        ({"items": [{"productId": "\x07"}]}, "productId"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_cannot_be_understood_is_refused_with_its_place(
    detail: dict[str, Any], where: str
) -> None:
    """It parks, and a person must see why at a glance."""
    with pytest.raises(Unreadable, match=where):
        _booking(**detail)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"type":"\xff"}', "UTF-8"),
        (b'{"type":"\\ud800"}', "not JSON"),
        (b"null", "Expected object"),
        (b"[]", "Expected object"),
        (b"{}", "type"),
        (b'{"type":null}', "type"),
        (b'{"type":1.5}', "type"),
        (b'{"type":1,"id":{}}', "id"),
        (b'{"type":1,"id":"..\\u0000"}', "id"),
        (b'{"type":1,"eventDate":"soon"}', "eventDate"),
        (b'{"type":1,"eventDate":7}', "eventDate"),
        (b'{"type":1,"data":"x"}', "data"),
        (b'{"type":1,"data":{"booking":{"uniqueId":[]}}}', "data.booking.uniqueId"),
        (b'{"type":' + b"9" * 5_000 + b"}", "type"),
        (b'{"x":' + b"[" * 100_000, "nested"),
    ],
    ids=lambda one: one[:40].decode(errors="replace") if isinstance(one, bytes) else None,
)
def test_a_message_that_cannot_be_read_is_refused_with_what_is_wrong(
    body: bytes, complaint: str
) -> None:
    """The listener keeps it, parks it and answers 200."""
    with pytest.raises(Unreadable, match=complaint):
        read_envelope(body)


@pytest.mark.parametrize("data", [..., None, [], [{"signedWaiverId": 1}], {}])
def test_a_message_about_no_booking_has_an_envelope_too(data: object) -> None:
    """A waiver's data is a list."""
    found = read_envelope(_message(outside={"type": 7, "data": data}))
    assert (found.kind, found.booking, found.reference) == (Kind.SIGNED_WAIVER, None, None)


def test_a_booking_message_without_a_booking_is_refused() -> None:
    """There is nothing to tell anybody."""
    empty: tuple[object, ...] = (None, [], {})
    for data in empty:
        with pytest.raises(Unreadable):
            read_booking(_message(outside={"data": data}), Action.CREATED)


def test_the_complaint_quotes_nobody() -> None:
    """It is shown in lists and logs."""
    details: list[dict[str, Any]] = [{f: "Anna"} for f in ("items", "total", "createdDate")]
    for detail in details:
        with pytest.raises(Unreadable) as caught:
            _booking(**detail)
        assert "Anna" not in str(caught.value)


def test_unknown_fields_are_not_looked_at() -> None:
    """ROLLER may add some at any time."""
    assert _booking(loyalty={"points": [1, None, "x"]}, posNotes=None) == _booking()


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["0001-01-01", "9999-12-31T23:59:59Z", "2026-03-29", "24:00", "00:00", "1e999999", "NaN"]
    )
)
_any = st.recursive(_scalars, lambda one: st.lists(one, max_size=2), max_leaves=3)
_dates = st.sampled_from([None, "", "0001-01-01", "9999-12-31", "9998-12-31", "2026-10-25T01:30Z"])
_times = st.sampled_from([None, "", "00:00", "01:30", "24:00", "23:59"])
_people = st.none() | st.integers(-3, 2_000_000)
_items = st.fixed_dictionaries(
    {},
    optional={
        "quantity": _people,
        "groupSize": _people,
        "bookingDate": _dates,
        "bookingEndDate": _dates,
        "sessionStartTime": _times,
        "sessionEndTime": _times,
    },
)


@given(
    st.dictionaries(st.sampled_from(sorted(_DETAIL)), _any, max_size=3),
    st.dictionaries(st.sampled_from([*_ENVELOPE, "data"]), _any, max_size=2),
)
def test_junk_in_any_field_is_refused_or_read(detail: Any, outside: Any) -> None:
    """Anything but Unreadable would be tried for days, or stop the daemon."""
    body = _message(outside=outside, **detail)
    try:
        read_envelope(body)
        read_booking(body, Action.UPDATED)
    except Unreadable:
        return


@given(
    st.lists(_items, max_size=3),
    _dates,
    st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(["Europe/London", "Pacific/Kiritimati", "America/Los_Angeles"]),
)
def test_what_is_read_can_be_reckoned_with(
    items: list[Any], created: str | None, total: str | None, zone: str
) -> None:
    """What is readable must not fail later, where nobody parks it."""
    try:
        found = _booking(items=items, createdDate=created, total=total)
        shown = visit(found, msgspec.structs.replace(LONDON, timezone=zone), datetime.now(UTC))
    except (Unreadable, Reject):
        return
    assert shown.ends_at - shown.starts_at > -timedelta(hours=2)
    assert len(shown.starts_at.isoformat()) == len("2026-05-31T18:30:00+01:00")


@given(st.binary())
def test_no_bytes_break_the_reading(body: bytes) -> None:
    """Whatever comes with the right key is kept and parked."""
    with pytest.raises(Unreadable):
        read_envelope(body)
