"""Webhook messages in the shapes that ROLLER documents and that were seen on the wire."""

import enum
from datetime import UTC, datetime
from typing import Literal

import msgspec

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.inclusion import EVERYTHING, included

#: `data` holds the matter under a name as seen on the wire (nested); is the matter, as documented
#: (flat); or holds a guest under the other name that one may expect (guest).
Shape = Literal["nested", "flat", "guest"]


class Event(enum.IntEnum):
    """What happened; the wire has the number, the documentation the word."""

    Created = 1
    Updated = 2
    Cancelled = 3
    #: in the vendor's table of events, though no type can be subscribed for it
    Deleted = 4


class _Type(msgspec.Struct, frozen=True, kw_only=True):
    """A type of message."""

    number: int
    word: str
    #: the name in `data`; seen on the wire of bookings only, for the others a guess
    wrapper: str


#: By the key under which a subscription names them.
_TYPES = {
    "booking": _Type(number=1, word="Booking", wrapper="booking"),
    "redemption": _Type(number=3, word="Redemption", wrapper="redemptions"),
    "customer": _Type(number=4, word="Customer", wrapper="customer"),
    "bulkExport": _Type(number=5, word="BulkExport", wrapper="bulkExport"),
    "signedWaiver": _Type(number=7, word="SignedWaiver", wrapper="signedWaivers"),
    "paymentLink": _Type(number=8, word="PaymentLink", wrapper="paymentLink"),
}


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How a message is written."""

    shape: Shape = "nested"
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
    #: what it is about, with everything that a subscription may want included
    matter: Document | list[Document] = msgspec.field(default_factory=dict)
    #: `uniqueId` or `customerId` of what it is about, where there is one
    booking: str | None = None
    customer: int | None = None
    style: Style = Style()
    raw: bytes | None = None

    @property
    def event_name(self) -> str:
        """As a subscription names it."""
        return self.event.name if self.event else ""

    def body(self, sent: datetime, include: frozenset[str] = EVERYTHING) -> bytes:
        """The bytes on the wire; every sending has its own `sendDate` and the same `id`."""
        if self.raw is not None:
            return self.raw
        return msgspec.json.encode(self.envelope(sent, include))

    def envelope(self, sent: datetime, include: frozenset[str] = EVERYTHING) -> Document:
        """The message as a document."""
        event = self.event or Event.Updated
        kind = _TYPES[self.kind]
        return {
            "id": self.id,
            "sendDate": wire_time(sent, 6),
            "type": kind.word if self.style.words else kind.number,
            "eventDate": self.happened,
            "eventType": event.name if self.style.words else event.value,
            "data": self._data(included(self.kind, self.matter, include), kind.wrapper),
        }

    def _data(self, matter: Document | list[Document], wrapper: str) -> object:
        if self.style.shape == "flat":
            return matter
        if self.style.shape == "guest" and self.kind == "customer":
            return {"guest": matter}
        return {wrapper: matter}


def wire_time(at: datetime, digits: int, *, offset: bool = False) -> str:
    """A UTC time with that many digits of a second's fraction; the seventh is always a 1."""
    fraction = f"{at.microsecond:06}1"[:digits]
    seconds = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return seconds + (f".{fraction}" if fraction else "") + ("+00:00" if offset else "Z")
