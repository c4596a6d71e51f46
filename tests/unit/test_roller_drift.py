"""What ROLLER sends differently is noticed by its name, and nobody's data with it."""

from typing import Any

import msgspec
import pytest

from pipeline.drift import MOST_NAMES, OTHERS
from pipeline.model import Action, Event, Kind
from pipeline.sources.roller.drift import RollerDrift
from tests.benchmarks.message import parts


def _message(**changes: object) -> dict[str, Any]:
    """A captured booking webhook, with these changes to its booking."""
    made: dict[str, Any] = msgspec.json.decode(b"b".join(parts()))
    made["data"]["booking"] |= changes
    return made


def _event(message: object, number: int = 1) -> Event:
    return Event(
        id=number,
        source="leeds",
        kind=Kind.BOOKING,
        action=Action.UPDATED,
        occurred_at=1,
        received_at=1,
        booking="b",
        reference=None,
        attempts=0,
        first_failure_at=None,
        body=message if isinstance(message, bytes) else msgspec.json.encode(message),
    )


def _seen(message: object) -> dict[str, int]:
    drift = RollerDrift()
    drift.look(_event(message))
    return dict(drift.take())


def _without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def test_what_is_known_is_no_drift() -> None:
    """A captured message, and its booking as the documentation draws it."""
    assert _seen(_message()) == {}
    flat = _message()
    assert (
        _seen({**flat, "type": "Booking", "eventType": "Created", "data": flat["data"]["booking"]})
        == {}
    )


@pytest.mark.parametrize(
    "optional", ["name", "customerId", "comments", "remainder", "amountOwing", "fees", "posNotes"]
)
def test_an_optional_field_may_be_missing_or_null(optional: str) -> None:
    """ROLLER leaves out what there is nothing to say of."""
    message = _message(**{optional: None})
    assert _seen(message) == {}
    message["data"]["booking"] = _without(message["data"]["booking"], optional)
    assert _seen(message) == {}


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"colour": "red"}, "new booking.colour string"),
        ({"isRed": True}, "new booking.isRed boolean"),
        ({"venueId": 7}, "new booking.venueId integer"),
        ({"rate": 0.5}, "new booking.rate number"),
        ({"holder": {"email": "ada@example.com"}}, "new booking.holder object"),
        ({"holders": ["ada@example.com"]}, "new booking.holders array"),
        ({"notes": None}, "new booking.notes null"),
        ({"total": "350.64"}, "retyped booking.total string"),
        ({"total": True}, "retyped booking.total boolean"),
        ({"customerId": "15617281"}, "retyped booking.customerId string"),
        ({"items": "none"}, "retyped booking.items string"),
        ({"total": None}, "missing booking.total"),
        ({"uniqueId": None}, "missing booking.uniqueId"),
        ({"payments": [{"total": "1"}, {"total": 1}]}, "retyped booking.payments.total string"),
        ({"items": {"productId": 1, "quantity": 1}}, "missing booking.items.bookingDate"),
    ],
)
def test_a_difference_is_told_by_name_and_type(changes: dict[str, object], seen: str) -> None:
    """That is what somebody needs to know who mends the mapping."""
    assert _seen(_message(**changes)) == {seen: 1}


def test_each_item_is_looked_at_and_a_field_that_is_gone_is_counted() -> None:
    """A mapping may break in the second of them."""
    message = _message()
    items = message["data"]["booking"]["items"]
    del items[1]["quantity"], items[2]["quantity"]
    items[3]["productId"] = "7158455"
    assert _seen(message) == {
        "missing booking.items.quantity": 2,
        "retyped booking.items.productId string": 1,
    }


def test_a_field_that_is_gone_altogether_is_missing() -> None:
    """Not only one that is null."""
    message = _message()
    message["data"]["booking"] = _without(message["data"]["booking"], "source")
    assert _seen(message) == {"missing booking.source": 1}


def test_the_envelope_is_looked_at_too() -> None:
    """Whatever it is about."""
    assert _seen({**_without(_message(), "eventDate"), "venue": 3, "type": 2.5}) == {
        "missing envelope.eventDate": 1,
        "new envelope.venue integer": 1,
        "retyped envelope.type number": 1,
    }
    message = _message()
    message["data"]["venueId"] = 7
    assert _seen(message) == {"new data.venueId integer": 1}


@pytest.mark.parametrize(
    ("kind", "data", "seen"),
    [
        (3, {"redemptions": [{"redemptionDate": "2026-05-31T10:00:00Z", "ticketId": "t"}]}, {}),
        (3, {"redemptions": [{"ticketId": 7}]}, {"missing redemption.redemptionDate": 1}),
        (4, {"customer": {"customerId": 7, "address": {"city": "Leeds"}}}, {}),
        (4, {"guest": {"customerId": 7, "email": 3}}, {"retyped customer.email integer": 1}),
        (4, {"customerId": 7, "address": {"line2": "x"}}, {"new customer.address.line2 string": 1}),
        (7, [{"signedWaiverId": 1, "isForMinor": True}], {}),
        (7, {"signedWaivers": [{"signedWaiverId": 1}]}, {"missing waiver.isForMinor": 1}),
        ("SignedWaiver", [{"signedWaiverId": 1, "isForMinor": "no"}],
         {"retyped waiver.isForMinor string": 1}),
        (8, {"paymentLink": {"anything": 1}}, {}),
        (99, ["x"], {}),
    ],
)  # fmt: skip
def test_every_type_of_message_has_its_fields(
    kind: object, data: object, seen: dict[str, int]
) -> None:
    """What we do not use is not looked into."""
    assert _seen({**_message(), "type": kind, "data": data}) == seen


def test_answers_are_looked_at_as_well() -> None:
    """Consent comes from there alone."""
    drift = RollerDrift()
    drift.guest(b'{"firstName": "Ada", "email": null, "acceptMarketing": true, "flags": []}')
    drift.venue(
        b'{"id": 1, "name": "Leeds", "ianaTimeZone": "Europe/London", "currency": "GBP",'
        b' "countryCode": "GB", "paymentSettings": {"anything": 1}, "taxes": []}'
    )
    drift.products(
        b'[{"parentProductId": "1", "parentProductName": "A", "type": "pass", "sort": 3,'
        b' "products": [{"id": "2", "name": "B", "colour": "red"}]}]'
    )
    drift.booking(msgspec.json.encode(_message()["data"]["booking"]))
    assert drift.take() == {}
    drift.guest(b'{"firstName": "Ada", "acceptMarketing": "yes", "acceptMarketingSMS": 1}')
    drift.venue(b'{"id": 1, "name": "Leeds", "currency": "GBP", "countryCode": "GB"}')
    drift.products(b'[{"parentProductId": 1, "parentProductName": "A", "type": "pass"}]')
    drift.booking(b"{}")
    assert drift.take().keys() >= {
        "retyped guest.acceptMarketing string",
        "retyped guest.acceptMarketingSMS integer",
        "missing venue.ianaTimeZone",
        "retyped product.parentProductId integer",
        "missing product.products",
        "missing booking.items",
    }
    assert drift.take() == {}


def test_what_people_have_typed_is_never_repeated() -> None:
    """The keys of metadata are theirs, and an odd name of a field might be somebody's."""
    assert _seen(_message(metadata={"Ada Example": "ada@example.com", "allergy": "nuts"})) == {}
    odd = {"ada@example.com": 1, "07400123456": 2, "Ada Example": 3, "x" * 41: 4, "é": 5, "": 6}
    assert _seen(_message(**odd)) == {OTHERS: 6}


def test_a_flood_of_names_takes_no_more_room_than_is_foreseen() -> None:
    """Memory and the outbox stay small whatever is sent; nor is a long array read to its end."""
    names = [f"{a}{b}{c}" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefgh"]
    seen = _seen(_message(**dict.fromkeys(names, 1)))
    assert len(seen) == MOST_NAMES + 1
    assert seen[OTHERS] == len(names) - MOST_NAMES
    item = _message()["data"]["booking"]["items"][0]
    assert _seen(_message(items=[item] * 50 + [{}] * 5)) == {}


def test_a_message_that_is_tried_again_is_looked_at_once() -> None:
    """An hour of trouble at the guest's endpoint is no drift."""
    drift = RollerDrift()
    for number in (1, 1, 2, 1):
        drift.look(_event(_message(colour="red"), number))
    assert drift.take() == {"new booking.colour string": 2}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"\xff", b'{"a":' * 100_000])
def test_what_is_no_message_is_somebody_elses_finding(body: bytes) -> None:
    """It parks as unreadable, with its reason."""
    drift = RollerDrift()
    drift.look(_event(body))
    drift.guest(body)
    drift.products(body)
    assert drift.take() == {}
