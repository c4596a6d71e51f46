"""Compares what ROLLER sends with what is known of it, before a difference breaks anything."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.drift import MOST_NAMES, OTHERS
from pipeline.model import Event
from pipeline.sources.roller.shapes import (
    BOOKING,
    ENVELOPE,
    GUEST,
    JSON_TYPES,
    MATTERS,
    PRODUCT,
    VENUE,
    Shape,
)

#: A name as ROLLER gives names; another one may be somebody's words, and is not repeated.
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z]|[0-9](?![0-9])){1,39}\Z")

#: Events that are remembered.
_MOST_EVENTS = 10_000

#: Elements of an array that are looked at: the others are alike.
_MOST = 50

_decode = msgspec.json.Decoder().decode


class RollerDrift:
    """Counts the differences of one venue's messages."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        #: Events that were looked at, for one that waits for something comes by again and again.
        self._looked_at: set[int] = set()

    def look(self, event: Event) -> None:
        """Look at a webhook, once."""
        if event.id in self._looked_at or not event.body:
            return
        if len(self._looked_at) >= _MOST_EVENTS:
            self._looked_at.clear()
        self._looked_at.add(event.id)
        found = _read(event.body)
        if not isinstance(found, dict):
            return
        self._compare(ENVELOPE, found, "envelope")
        matter, data = MATTERS.get(str(found.get("type")).lower()), found.get("data")
        if matter is None:
            return
        if isinstance(data, dict):
            wrapper = next((name for name in matter.wrappers if name in data), None)
            if wrapper is not None:
                for name in data.keys() - {wrapper}:
                    self._note("new", "data", name, data[name])
                data = data[wrapper]
        self._each(matter.shape, data, matter.name)

    def booking(self, body: bytes) -> None:
        """Look at an answer of `GET /bookings/{uniqueId}`."""
        self._each(BOOKING, _read(body), "booking")

    def guest(self, body: bytes) -> None:
        """Look at an answer of `GET /guests/{guestId}`."""
        self._each(GUEST, _read(body), "guest")

    def venue(self, body: bytes) -> None:
        """Look at an answer of `GET /venues/me`."""
        self._each(VENUE, _read(body), "venue")

    def products(self, body: bytes) -> None:
        """Look at an answer of `GET /products`."""
        self._each(PRODUCT, _read(body), "product")

    def take(self) -> Mapping[str, int]:
        """Give the differences since the last time, and how often each was seen."""
        seen, self._seen = self._seen, Counter()
        return seen

    def _each(self, shape: Shape, found: Any, path: str) -> None:
        for one in found[:_MOST] if isinstance(found, list) else (found,):
            if isinstance(one, dict):
                self._compare(shape, one, path)

    def _compare(self, shape: Shape, found: Mapping[str, Any], path: str) -> None:
        fields = shape.fields
        for name, value in found.items():
            field = fields.get(name)
            if field is None:
                if not shape.is_open:
                    self._note("new", path, name, value)
            elif type(value) in field.types:
                if field.holds is not None:
                    self._each(field.holds, value, f"{path}.{name}")
            elif value is not None:
                self._note("retyped", path, name, value)
        for name in shape.required:
            if found.get(name) is None:
                self._count(f"missing {path}.{name}")

    def _note(self, what: str, path: str, name: str, value: object) -> None:
        kind = JSON_TYPES.get(type(value), "null")
        self._count(f"{what} {path}.{name} {kind}" if _NAME.match(name) else OTHERS)

    def _count(self, name: str) -> None:
        full = len(self._seen) >= MOST_NAMES and name not in self._seen
        self._seen[OTHERS if full else name] += 1


def _read(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # whoever reads it for its sense says so
