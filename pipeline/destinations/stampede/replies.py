"""Reads Stampede's answers, whose errors come in several shapes.

`{stack, code, message}` with a text or a list of texts, `{message, errors: [{path, …}]}`,
`{message, errors: {field: […]}}`, `{error, error_description}`, and what is not JSON at all.
"""

from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from pipeline.errors import Failure, Reject, Retry, Throttled
from pipeline.model import Presence
from pipeline.plugin import Call, Reply
from pipeline.redact import redact

_OK = range(200, 300)
_THROTTLED = 429
#: Answers that ask for the same request again, by RFC 9110 §15 and RFC 8470 (425).
_AGAIN = {408, 425, *range(500, 600)}


class _Created(Struct, frozen=True, kw_only=True):
    id: str


class _Profile(Struct, frozen=True, kw_only=True):
    email: str | None = None


class _Guest(Struct, frozen=True, kw_only=True):
    """A guest; a channel is on since a time, or off."""

    id: str
    data_opt_in_at: str | int | float | None
    email_opt_in_at: str | int | float | None
    sms_opt_in_at: str | int | float | None
    user_profile: _Profile = _Profile()


class _Links(Struct, frozen=True, kw_only=True):
    next: str | None = None


class _Guests(Struct, frozen=True, kw_only=True):
    data: list[_Guest]
    links: _Links = _Links()


class _Problem(Struct, frozen=True, kw_only=True):
    message: str | list[Any] | None = None
    errors: list[Any] | dict[str, Any] | None = None
    error: str | None = None
    error_description: str | None = None


_guest = msgspec.json.Decoder(_Guest)
_guests = msgspec.json.Decoder(_Guests)
_created = msgspec.json.Decoder(_Created)
_problem = msgspec.json.Decoder(_Problem)


def guest_id(body: bytes) -> str | None:
    """Give the guest's id from an answer; None when the answer is not what was promised."""
    try:
        found = _created.decode(body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if _is_id(found) else None


def _is_id(text: str) -> bool:
    """Tell whether it may become a part of paths: nothing that could lead elsewhere."""
    return bool(text) and all(c.isalnum() or c in "-_" for c in text)


def one_guest(body: bytes, email: str) -> Presence | None:
    """Read a guest who was asked for by the id; None when the answer is not what was promised.

    One who goes by another e-mail now is not the guest who is meant.
    """
    try:
        guest = _guest.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _present(guest) if _is_called(guest, email) else Presence(remote_id=None)


def guest_among(body: bytes, email: str) -> Presence | None:
    """Find a guest in a list by the whole e-mail, for what a search matches is not documented.

    None when the answer is not what was promised.
    """
    try:
        listed = _guests.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for guest in listed.data:
        if _is_called(guest, email):
            return _present(guest)
    return Presence(remote_id=None, cursor=next_cursor(listed.links.next))


def _is_called(guest: _Guest, email: str) -> bool:
    return (guest.user_profile.email or "").strip().lower() == email


def _present(guest: _Guest) -> Presence | None:
    if not _is_id(guest.id):
        return None
    return Presence(
        remote_id=guest.id,
        data=bool(guest.data_opt_in_at),
        email=bool(guest.email_opt_in_at),
        sms=bool(guest.sms_opt_in_at),
    )


def next_cursor(link: str | None) -> str | None:
    """Read a link, which is a cursor's value; the whole address is taken too."""
    if not link or "cursor=" not in link:
        return link or None
    # Not by urlsplit, which refuses some addresses; their hosts are of no interest.
    query = link.partition("?")[2].partition("#")[0]
    return parse_qs(query).get("cursor", [None])[0]


def is_json(body: bytes) -> bool:
    """Tell whether an answer is JSON, or empty; the vendor promises no more for most calls."""
    try:
        msgspec.json.decode(body or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def fail(reply: Reply, call: Call, *, promised: str = "") -> Failure:
    """Make the exception that an answer without success asks for.

    `promised` names what a 2xx answer should have held and did not.
    """
    if reply.status in _OK:
        return Retry(f"Stampede answered {reply.status} without {promised}")
    said = message(reply.body, call)
    reason = f"Stampede answered {reply.status}" + (f": {said}" if said else "")
    if reply.status == _THROTTLED:
        return Throttled(reason, after=reply.retry_after)
    if reply.status in _AGAIN:
        return Retry(reason, after=reply.retry_after)
    return Reject(reason)


def message(body: bytes, call: Call) -> str:
    """Give the vendor's own words, without what is private about the call."""
    try:
        problem = _problem.decode(body)
        parts = [*_texts(problem.message), *_texts(problem.errors)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    parts += [text for text in (problem.error, problem.error_description) if text]
    return redact("; ".join(dict.fromkeys(parts)), call.private)


def _texts(node: object) -> list[str]:
    match node:
        case str():
            return [node]
        case list():
            return [text for one in node for text in _texts(one)]
        case {"path": path, "code": code}:
            where = ".".join(map(str, path)) if isinstance(path, list) else str(path)
            return [f"{where}: {code}"]
        case dict():
            return [f"{key}: {text}" for key, one in node.items() for text in _texts(one)]
        case _:
            return []
