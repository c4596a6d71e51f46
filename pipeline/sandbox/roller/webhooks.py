"""Webhook subscriptions at the simulated ROLLER."""

import ipaddress

from aiohttp import web
from yarl import URL

from pipeline.sandbox.answers import Document, Refused, read_document, reply
from pipeline.sandbox.roller.access import VENUE
from pipeline.sandbox.roller.peer import ROLLER
from pipeline.sandbox.roller.subscription import Subscription
from pipeline.sandbox.settings import EVERY_EVENT


async def list_webhooks(request: web.Request) -> web.Response:
    """`GET /webhooks`: an array on the wire, one object in the documentation."""
    documents = [subscription.document() for subscription in request[VENUE].subscriptions.values()]
    if request.app[ROLLER].settings.webhooks_as_object:
        return reply(documents[0] if documents else {})
    return reply(documents)


async def create_webhook(request: web.Request) -> web.Response:
    """`POST /webhooks`."""
    configuration = _checked(await read_document(request))
    if configuration.get("enabled") is not True:
        raise Refused(400, "enabled must be true")
    subscription = request.app[ROLLER].subscribe(request[VENUE], configuration)
    return reply(subscription.document(), 201)


async def update_webhook(request: web.Request) -> web.Response:
    """`PUT /webhooks/{webhookId}`: replaces the whole configuration."""
    subscription = _subscription(request)
    subscription.configure(_checked(await read_document(request)))
    return reply(subscription.document())


async def delete_webhook(request: web.Request) -> web.Response:
    """`DELETE /webhooks/{webhookId}`: what is still to be retried is dropped."""
    subscription = _subscription(request)
    subscription.switch(on=False)
    del request[VENUE].subscriptions[subscription.id]
    return web.Response()


def _subscription(request: web.Request) -> Subscription:
    number = request.match_info["id"]
    found = request[VENUE].subscriptions.get(int(number)) if number.isdecimal() else None
    if found is None:
        raise Refused(404, "Webhook does not exist")
    return found


def _checked(configuration: Document) -> Document:
    """The configuration, if the vendor takes it."""
    authentication = configuration.get("authentication")
    if not isinstance(authentication, dict) or not authentication.get("apiKey"):
        raise Refused(400, "authentication.apiKey is required")
    _check_url(configuration.get("url"))
    _check_events(configuration.get("webhooks"))
    return {"enabled": False, **configuration}


def _check_url(url: object) -> None:
    """HTTPS only; on this machine, where the sandbox is meant to be used, HTTP too."""
    parsed = URL(url) if isinstance(url, str) else URL()
    if parsed.scheme != "https" and not (parsed.scheme == "http" and _is_local(parsed.host or "")):
        raise Refused(400, "url must be an HTTPS address")


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_events(webhooks: object) -> None:
    if not isinstance(webhooks, dict) or not webhooks:
        raise Refused(400, "webhooks must name at least one type")
    for kind, subscribed in webhooks.items():
        events = subscribed.get("events") if isinstance(subscribed, dict) else None
        if kind not in EVERY_EVENT or not isinstance(events, list) or not events:
            raise Refused(400, f"webhooks.{kind}.events must name at least one event")
        if not set(EVERY_EVENT[kind]).issuperset(events):
            raise Refused(400, f"webhooks.{kind}.events has an unknown event")
