"""The booking webhook that the benchmarks send: 1.8 KB, four items, as seen on ROLLER's wire.

The envelope's id is the booking's too, so every message is about a booking of its own.
"""

import uuid

import msgspec

#: Stands in the message where ids go; as long as an id.
_PLACE = "00000000-0000-4000-8000-000000000000"


def parts() -> list[bytes]:
    """Give the body's parts, to be joined by an id."""
    return msgspec.json.encode(_message()).split(_PLACE.encode())


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
        "uniqueId": _PLACE,
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
