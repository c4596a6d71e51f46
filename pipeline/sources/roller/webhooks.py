"""ROLLER's form of a webhook subscription: read leniently, written in full."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from pipeline.errors import Unreadable
from pipeline.redact import printable
from pipeline.settings import Secret
from pipeline.subscription import WebhookId

_NO_CONTENT = 204
_NOT_FOUND = 404

#: What is asked for, by type.
WANTED: Mapping[str, Sequence[str]] = {
    "booking": ("Created", "Updated", "Cancelled"),
    "customer": ("Created", "Updated"),
    "redemption": ("Created",),
    "signedWaiver": ("Created",),
}
#: What messages about bookings are to hold beside the usual. Only ROLLER's model for changing a
#: webhook names `metadata`, and not that for creating one, so its lack proves nothing.
_INCLUDED = ("tickets", "payments", "metadata")
_DEMANDED = ("tickets", "payments")


class _Authentication(Struct, frozen=True, rename="camel"):
    api_key: Any = None


class _Configuration(Struct, frozen=True):
    url: str | None = None
    enabled: Any = None
    authentication: _Authentication | None = None
    webhooks: Any = None


class _Listed(Struct, frozen=True, rename="camel"):
    configuration: _Configuration | None = None
    webhook_id: WebhookId | None = None


class Webhook(Struct, frozen=True, kw_only=True):
    """A subscription as ROLLER lists it."""

    id: WebhookId | None
    url: str
    is_on: bool
    #: None where ROLLER does not tell it.
    key: str | None
    #: By type, each with its events, inclusions and filters, if it is as documented.
    types: Mapping[str, Mapping[str, Any]]

    @property
    def events(self) -> dict[str, tuple[str, ...]]:
        """What it asks for, by type."""
        return {name: _texts(one.get("events")) for name, one in self.types.items()}

    def lacking(self) -> list[str]:
        """Tell what of ours it does not ask for, or asks for in part."""
        found = []
        for name, wanted in WANTED.items():
            given = {event.casefold() for event in self._type(name, "events")}
            events = [event for event in wanted if event.casefold() not in given]
            if events:
                found.append(f"{name} {', '.join(events)}")
        if self._type("booking", "events"):
            included = self._type("booking", "include")
            found += [f"the {name} of bookings" for name in _DEMANDED if name not in included]
        for name in WANTED:
            if self._type(name, "filter"):
                found.append(f"what its filter of {name} leaves out")
        return found

    def _type(self, name: str, what: str) -> tuple[str, ...]:
        """Give the events, what is included, or what is filtered by, of a type."""
        for written, one in self.types.items():
            if written.casefold() == name.casefold():
                value = one.get(what)
                return _named(value) if isinstance(value, dict) else _texts(value)
        return ()

    def __str__(self) -> str:
        """Name it by its host, for a path or a query may hold a secret."""
        return printable(f"webhook {self.id} to {host(self.url)}")


class Listing(Struct, frozen=True, kw_only=True):
    """The subscriptions of a venue."""

    webhooks: tuple[Webhook, ...] = ()
    #: False when ROLLER names one and there may be more: its documentation shows one object, the
    #: wire an array.
    is_whole: bool = True


_listing = msgspec.json.Decoder(list[_Listed] | _Listed | None)
_one = msgspec.json.Decoder(_Listed)


def read_listing(status: int, body: bytes) -> Listing:
    """Read an answer of `GET /webhooks`; Unreadable when it is none.

    What ROLLER answers where there are none is not documented: nothing, in any form, will do.
    """
    if status in {_NO_CONTENT, _NOT_FOUND} or not body.strip():
        return Listing()
    try:
        found = _listing.decode(body)
        is_empty = isinstance(found, _Listed) and msgspec.json.decode(body) == {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Unreadable("ROLLER's list of webhooks cannot be read") from exc
    if found is None or is_empty:
        return Listing()
    listed = found if isinstance(found, list) else [found]
    if any(one.configuration is None for one in listed):
        raise Unreadable("ROLLER's list of webhooks is not of the form that is known")
    return Listing(webhooks=tuple(map(_read, listed)), is_whole=isinstance(found, list))


def read_webhook(body: bytes) -> Webhook | None:
    """Read an answer of `POST` or `PUT`; None when it says nothing of what was kept.

    One with the id alone has nothing against the rest.
    """
    try:
        given = _one.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = _read(given)
    return found if given.configuration else msgspec.structs.replace(found, is_on=True)


def write_webhook(url: str, key: Secret) -> bytes:
    """Write the body of `POST /webhooks` and `PUT /webhooks/{webhookId}`, which take the whole."""
    types: dict[str, dict[str, Any]] = {name: {"events": wanted} for name, wanted in WANTED.items()}
    types["booking"]["include"] = dict.fromkeys(_INCLUDED, True)
    return msgspec.json.encode(
        {
            "url": url,
            "enabled": True,
            "authentication": {"apiKey": key.reveal()},
            "webhooks": types,
        }
    )


def host(url: str) -> str:
    """Give the part of an address that may be shown whoever's it is."""
    try:
        return urlsplit(url).hostname or "an address that cannot be read"
    except ValueError:
        return "an address that cannot be read"


def _read(listed: _Listed) -> Webhook:
    given = listed.configuration or _Configuration()
    types = given.webhooks if isinstance(given.webhooks, dict) else {}
    key = given.authentication.api_key if given.authentication else None
    return Webhook(
        id=listed.webhook_id,
        url=given.url or "",
        # ROLLER's help writes the flag as a text.
        is_on=given.enabled in (True, "true"),
        key=key if isinstance(key, str) else None,
        types={str(name): one for name, one in types.items() if isinstance(one, dict)},
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _named(flags: Mapping[str, object]) -> tuple[str, ...]:
    """Name what is set: ROLLER may write what is not as false, "" or an empty list."""
    return tuple(str(name) for name, value in flags.items() if value)
