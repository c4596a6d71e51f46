"""The booking webhook that the benchmarks send: 1.8 KB, four items, as seen on ROLLER's wire."""

import uuid

import msgspec

#: Stands in the message where its id goes; as long as an id.
_PLACE = "00000000-0000-4000-8000-000000000000"


def webhook() -> tuple[bytes, bytes]:
    """Give the body's two parts, around the envelope's id."""
    before, after = msgspec.json.encode(_message()).split(_PLACE.encode())
    return before, after


def body(key: str) -> bytes:
    """Give the whole body with this id."""
    return key.encode().join(webhook())


def new_key() -> str:
    """Give an id as ROLLER makes them: random, so that an index meets them in no order."""
    return str(uuid.uuid4())


def _message() -> dict[str, object]:
    return {
        "id": _PLACE,
        "sendDate": "2026-05-31T23:05:55.540921Z",
        "type": 1,
        "eventDate": "2026-05-31T23:05:55.4887391Z",
        "eventType": 1,
        "data": {"booking": _booking()},
    }


def _booking() -> dict[str, object]:
    return {
        "bookingReference": "9774710",
        "uniqueId": "b4fd0fef-0a63-4a6c-9d8e-5d1f3f7a2c11",
        "createdDate": "2026-05-31T23:05:55.163Z",
        "source": "VenueManager",
        "channel": "VenueManager",
        "status": "PendingPayment",
        "name": "Ada Example",
        "customerId": 15617281,
        "comments": "Two of the party arrive later; the table by the window, please.",
        "total": 350.64,
        "remainder": 350.64,
        "amountOwing": 0.0,
        "fees": 0.0,
        "discount": 0.0,
        "items": [_item(number) for number in range(4)],
        "posNotes": "Allergies are noted with the party host.",
    }


def _item(number: int) -> dict[str, object]:
    return {
        "bookingItemId": 13849074 + number,
        "productId": 7158455 + number,
        "quantity": 3,
        "bookingDate": "2026-05-31",
        "bookingEndDate": "2026-05-31",
        "groupSize": 1,
        "startTime": "18:30",
        "sessionStartTime": "18:30",
        "endTime": "19:30",
        "sessionEndTime": "19:30",
        "createdDate": "2026-05-31T23:05:55.173Z",
        "cost": 84.99,
        "discount": 0.0,
        "modifiers": [],
    }
