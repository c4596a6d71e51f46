"""Judges a ROLLER venue's webhook subscriptions: ours should be there, and the only one."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from pipeline.findings import Finding, failed, ok, warning
from pipeline.redact import printable
from pipeline.sources.roller.settings import RollerSettings

_WANTED = ("Created", "Updated", "Cancelled")
_WHAT = "webhooks"


class _Authentication(Struct, frozen=True, rename="camel"):
    api_key: Any = None


class _Types(Struct, frozen=True):
    booking: Any = None


class _Configuration(Struct, frozen=True):
    url: str = ""
    enabled: Any = None
    authentication: _Authentication = _Authentication()
    webhooks: _Types = _Types()


class _Subscription(Struct, frozen=True, rename="camel"):
    configuration: _Configuration | None = None
    webhook_id: int | str | None = None

    @property
    def events(self) -> tuple[str, ...]:
        """The booking events that it asks for."""
        booking = self.configuration.webhooks.booking if self.configuration else None
        events = booking.get("events") if isinstance(booking, dict) else None
        return tuple(map(str, events)) if isinstance(events, list) else ()

    @property
    def is_on(self) -> bool:
        """ROLLER switches one off after seven failures; its help writes the flag as a text."""
        return self.configuration is not None and self.configuration.enabled in (True, "true")

    @property
    def url(self) -> str:
        """Where it sends to."""
        return self.configuration.url if self.configuration else ""

    def __str__(self) -> str:
        """Name it by its host, for a path or a query may hold a secret."""
        try:
            host = urlsplit(self.url).hostname or "an address that cannot be read"
        except ValueError:
            host = "an address that cannot be read"
        shown = f"webhook {self.webhook_id} to {host}"
        return printable(shown)


#: An array on the wire, one object in the documentation.
_decoder = msgspec.json.Decoder(list[_Subscription] | _Subscription)


def judge_subscriptions(body: bytes, source: str, settings: RollerSettings) -> Sequence[Finding]:
    """Tell what the answer of `GET /webhooks` means for this source."""
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [warning(_WHAT, "ROLLER's list of webhooks cannot be read", "ask ROLLER for it")]
    listed = found if isinstance(found, list) else [found]
    concerned = [one for one in listed if one.events]
    ours = [one for one in concerned if _is_ours(one, source, settings)]
    return [
        *_judge_ours(ours, source, settings),
        *(_judge_other(one) for one in concerned if one not in ours and one.is_on),
    ]


def _judge_ours(
    ours: Sequence[_Subscription], source: str, settings: RollerSettings
) -> Iterator[Finding]:
    if not ours:
        base = settings.public_url or "https://YOUR-HOST"
        yield warning(
            _WHAT,
            "none sends booking events here, so nothing will arrive",
            f"create one (POST {settings.base_url}/webhooks) to {base}/webhooks/{source} "
            "with the text of webhook_key as authentication.apiKey",
        )
    for one in ours:
        yield _judge_one(one, source, settings)
    if sum(one.is_on for one in ours) > 1:
        names = ", ".join(map(str, ours))
        yield warning(_WHAT, f"each booking arrives more than once: {names}", "delete all but one")


def _judge_one(one: _Subscription, source: str, settings: RollerSettings) -> Finding:
    if not one.is_on:
        advice = "see that it can be reached, then enable it (PUT /webhooks/{webhookId})"
        return failed(_WHAT, f"{one} is disabled: nothing arrives", advice)
    if not _has_our_key(one, settings):
        return failed(
            _WHAT,
            f"{one} sends a key that is not sources.{source}.webhook_key: each is answered 503",
            "set webhook_key to its authentication.apiKey, or change that at ROLLER",
        )
    lacking = [event for event in _WANTED if event not in one.events]
    if lacking:
        return warning(_WHAT, f"{one} leaves out {', '.join(lacking)}", "add them to its events")
    return ok(_WHAT, f"{one} sends booking events here")


def _judge_other(one: _Subscription) -> Finding:
    return warning(
        _WHAT,
        f"{one} is not ours and gets booking events too",
        "if it feeds Stampede (as Stampede's own integration does), each visit counts twice: "
        "switch that off there, and delete its webhook",
    )


def _is_ours(one: _Subscription, source: str, settings: RollerSettings) -> bool:
    """Tell by the path that we listen at, and by the public address where that is configured."""
    try:
        path = urlsplit(one.url).path
    except ValueError:
        return False
    if settings.public_url:
        return one.url.rstrip("/") == f"{settings.public_url}/webhooks/{source}"
    return path.rstrip("/").endswith(f"/webhooks/{source}")


def _has_our_key(one: _Subscription, settings: RollerSettings) -> bool:
    theirs = one.configuration.authentication.api_key if one.configuration else None
    return theirs is None or theirs in [key.reveal() for key in settings.webhook_key]
