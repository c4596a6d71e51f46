"""What can be changed at a running ROLLER by hand: its time, its habits, venues, subscriptions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import Document, Refused, reply
from pipeline.sandbox.roller.catalogue import Catalogue
from pipeline.sandbox.roller.messages import wire_time
from pipeline.sandbox.roller.peer import ROLLER


class ClockChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/clock` takes; nothing only asks for the time."""

    #: seconds to put the clock forward, or back
    advance: float = 0.0
    #: or the time that it shall show
    at: datetime | None = None


class Habits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/settings` takes: see `RollerSettings`; what is absent stays."""

    webhooks_as_object: bool | msgspec.UnsetType = msgspec.UNSET
    retry_after: bool | msgspec.UnsetType = msgspec.UNSET
    monthly_calls: int | msgspec.UnsetType | None = msgspec.UNSET
    monthly_refusal: int | msgspec.UnsetType = msgspec.UNSET
    largest_page: int | msgspec.UnsetType = msgspec.UNSET
    refuse_larger_page: bool | msgspec.UnsetType = msgspec.UNSET
    report_times: bool | msgspec.UnsetType = msgspec.UNSET
    report_digits: int | msgspec.UnsetType = msgspec.UNSET
    report_delay: float | msgspec.UnsetType = msgspec.UNSET


class VenueChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/venues` takes: see `RollerVenue`; what is absent stays."""

    venue: str | None = None
    name: str | msgspec.UnsetType = msgspec.UNSET
    iana_time_zone: str | msgspec.UnsetType = msgspec.UNSET
    time_zone: str | msgspec.UnsetType = msgspec.UNSET
    country_code: str | msgspec.UnsetType = msgspec.UNSET
    country: str | msgspec.UnsetType = msgspec.UNSET
    currency: str | msgspec.UnsetType = msgspec.UNSET
    locale: str | msgspec.UnsetType = msgspec.UNSET


class ProductList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/products` takes."""

    products: list[Document]
    venue: str | None = None


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/subscriptions` takes: what the vendor does by itself after failures."""

    enabled: bool
    venue: str | None = None
    #: None for all of the venue
    webhook: int | None = msgspec.field(default=None, name="webhookId")


_clock_decoder = msgspec.json.Decoder(ClockChange)
_habits_decoder = msgspec.json.Decoder(Habits)
_venue_decoder = msgspec.json.Decoder(VenueChange)
_products_decoder = msgspec.json.Decoder(ProductList)
_switch_decoder = msgspec.json.Decoder(Switch)


async def move_clock(request: web.Request) -> web.Response:
    """Moves the time of records, reports, limits, tokens and retries."""
    roller = request.app[ROLLER]
    change = _clock_decoder.decode(await request.read() or b"{}")
    if change.at is not None:
        at = change.at.replace(tzinfo=change.at.tzinfo or UTC)
        roller.move(at.timestamp() - roller.clock())
    roller.move(change.advance)
    return reply({"now": wire_time(roller.now(), 6)})


async def change_settings(request: web.Request) -> web.Response:
    """Changes habits until the next reset."""
    roller = request.app[ROLLER]
    given = _given(_habits_decoder.decode(await request.read()))
    roller.settings = msgspec.structs.replace(roller.settings, **given)
    return reply(given)


async def change_venue(request: web.Request) -> web.Response:
    """Changes what a venue says of itself; its past is reported by the new time zone, too."""
    change = _venue_decoder.decode(await request.read())
    venue = request.app[ROLLER].venue(change.venue)
    given = {name: value for name, value in _given(change).items() if name != "venue"}
    _check_zone(change.iana_time_zone)
    venue.settings = msgspec.structs.replace(venue.settings, **given)
    return reply(given)


async def set_products(request: web.Request) -> web.Response:
    """Replaces a venue's products by documents as `GET /products` shows them."""
    given = _products_decoder.decode(await request.read())
    request.app[ROLLER].venue(given.venue).catalogue = Catalogue(given.products)
    return reply({"products": len(given.products)})


async def switch_subscriptions(request: web.Request) -> web.Response:
    """Switches subscriptions off or on; what waits is dropped and never comes."""
    switch = _switch_decoder.decode(await request.read())
    subscriptions = request.app[ROLLER].venue(switch.venue).subscriptions
    if switch.webhook is not None and switch.webhook not in subscriptions:
        raise Refused(400, f"webhook {switch.webhook} does not exist")
    chosen = [switch.webhook] if switch.webhook is not None else list(subscriptions)
    for number in chosen:
        subscriptions[number].switch(on=switch.enabled)
    return reply({"webhooks": chosen, "enabled": switch.enabled})


def _check_zone(name: str | msgspec.UnsetType) -> None:
    """Reports are cut by it, so it must be one, although the vendor's own example is none."""
    try:
        if isinstance(name, str):
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise Refused(400, f"iana_time_zone {name} is not a time zone") from exc


def _given(change: Habits | VenueChange) -> Mapping[str, object]:
    """Its fields that are not absent."""
    return {
        name: value
        for name, value in msgspec.structs.asdict(change).items()
        if value is not msgspec.UNSET
    }
