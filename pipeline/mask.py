"""Hides a guest in what people are shown: words stand for e-mail, names and phone.

It looks for the guest's own values wherever they stand and not for fields by name, so that it
holds for every destination's words. Where it is in doubt, it hides too much.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from pipeline.contact import e164, email_of
from pipeline.errors import Skip
from pipeline.model import Guest, Request

_EMAIL = "<e-mail>"

#: Looked at one by one for an @, for a pattern with one in the middle takes quadratic time.
_TOKENS = re.compile(r"[^\s\"'<>(),;:/]+")

#: Shorter values stand in many a word: they are hidden only as words of their own.
_SHORTEST = 3

_encode = msgspec.json.Encoder().encode


class Mask:
    """Hides one guest, whose phone number is dialled from `country`; None for nobody."""

    def __init__(self, guest: Guest | None, country: str) -> None:
        values = list(_values(guest, country)) if guest else []
        values.sort(key=lambda one: len(one.value), reverse=True)
        self._addresses = _any_of(one.value for one in values if one.word == _EMAIL)
        others = [one for one in values if one.word != _EMAIL]
        self._others = _any_of(one.value for one in others)
        self._words = [one.word for one in others]

    def request(self, request: Request) -> Request:
        """Give the request with the guest hidden in its address and in the texts of its body."""
        body = _encode(self._hidden(msgspec.json.decode(request.body))) if request.body else b""
        return Request(
            method=request.method,
            path=self.text(request.path),
            query=self.text(unquote(request.query)),
            body=body,
        )

    def text(self, text: str) -> str:
        """Give a text with the guest, and whatever looks like an e-mail address, hidden."""
        # Addresses first, for they may hold a name.
        if self._addresses:
            text = self._addresses.sub(_EMAIL, text)
        text = _TOKENS.sub(lambda found: _EMAIL if "@" in found[0] else found[0], text)
        # And then all at once around them, for somebody may be called as one of the words is.
        return _EMAIL.join(map(self._named, text.split(_EMAIL)))

    def _named(self, text: str) -> str:
        if self._others is None:
            return text
        return self._others.sub(lambda found: self._words[(found.lastindex or 1) - 1], text)

    def _hidden(self, node: object) -> object:
        match node:
            case str():
                return self.text(node)
            case list():
                return [self._hidden(one) for one in node]
            case Mapping():
                return {key: self._hidden(one) for key, one in node.items()}
            case _:
                return node


class _Value(Struct, frozen=True, kw_only=True):
    """What a guest may be known by, and the word that stands for it."""

    value: str
    word: str


def _values(guest: Guest, country: str) -> Iterator[_Value]:
    email = None
    with suppress(Skip):
        email = email_of(guest)
    for value, word in (
        (guest.email, _EMAIL),
        (email, _EMAIL),
        (guest.first, "<first name>"),
        (guest.last, "<last name>"),
        (guest.phone, "<phone>"),
        (e164(guest.phone, country), "<phone>"),
        (guest.born.isoformat() if guest.born else None, "<date of birth>"),
    ):
        if value and value.strip():
            yield _Value(value=value.strip(), word=word)


def _any_of(values: Iterable[str]) -> re.Pattern[str] | None:
    """Make what finds any of these, each in a group of its own; None where there are none."""
    patterns = [f"({_pattern(value)})" for value in values]
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def _pattern(value: str) -> str:
    exact = re.escape(value)
    return exact if len(value) >= _SHORTEST else rf"(?<!\w){exact}(?!\w)"
