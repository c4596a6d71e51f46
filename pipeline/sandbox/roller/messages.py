"""Webhook messages in the shapes that ROLLER documents and that were seen on the wire."""

import enum
from datetime import UTC, datetime

import msgspec

from pipeline.sandbox.answers import Document


class Event(enum.IntEnum):
    """What happened; the wire has the number, the documentation the word."""

    Created = 1
    Updated = 2
    Cancelled = 3


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How a message is written."""

    #: True: `data.booking` as seen on the wire; False: `data` is the booking, as documented
    nested: bool = True
    #: True: `type` and `eventType` as words, as documented; False: as numbers, as seen on the wire
    words: bool = False


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to deliver; `raw` is sent as it stands, everything else as an envelope."""

    id: str
    #: the key of the subscription that it concerns
    kind: str = "booking"
    event: Event | None = None
    #: `eventDate` as it is written on the wire
    happened: str = ""
    document: Document = msgspec.field(default_factory=dict)
    style: Style = Style()
    raw: bytes | None = None

    def body(self, sent: datetime) -> bytes:
        """The bytes on the wire; every sending has its own `sendDate` and the same `id`."""
        return msgspec.json.encode(self.envelope(sent)) if self.raw is None else self.raw

    def envelope(self, sent: datetime) -> Document:
        """The message as a document."""
        event = self.event or Event.Updated
        style = self.style
        return {
            "id": self.id,
            "sendDate": wire_time(sent, 6),
            "type": "Booking" if style.words else 1,
            "eventDate": self.happened,
            "eventType": event.name if style.words else event.value,
            "data": {"booking": self.document} if style.nested else self.document,
        }


def wire_time(at: datetime, digits: int, *, offset: bool = False) -> str:
    """A UTC time with that many digits of a second's fraction; the seventh is always a 1."""
    fraction = f"{at.microsecond:06}1"[:digits]
    seconds = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return seconds + (f".{fraction}" if fraction else "") + ("+00:00" if offset else "Z")
