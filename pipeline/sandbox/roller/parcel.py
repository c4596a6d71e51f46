"""`POST /_sandbox/send`: any bytes as a webhook, to see what a receiver makes of them."""

import base64
import uuid

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import Refused, reply
from pipeline.sandbox.roller.data import Venue
from pipeline.sandbox.roller.messages import Message
from pipeline.sandbox.roller.peer import ROLLER, chosen_targets
from pipeline.sandbox.roller.sender import Target, counted


class Parcel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/send` takes: a body as JSON, as text or as base64, sent as it stands."""

    body: msgspec.Raw = msgspec.Raw()
    text: str | None = None
    base64: str | None = None
    venue: str | None = None
    url: str | None = None
    #: null leaves the header out; absent takes that of the subscription
    key: str | msgspec.UnsetType | None = msgspec.UNSET
    #: True: a failed delivery is retried by the vendor's schedule
    retry: bool = False


_decoder = msgspec.json.Decoder(Parcel)


async def send(request: web.Request) -> web.Response:
    """Sends any bytes to the venue's enabled subscriptions, or to a given address."""
    roller = request.app[ROLLER]
    parcel = _decoder.decode(await request.read())
    venue = roller.venue(parcel.venue)
    message = Message(id=str(uuid.uuid4()), kind="raw", raw=_bytes(parcel))
    targets = [_keyed(target, parcel) for target in _addressed(venue, parcel)]
    attempts = await roller.send(venue, message, targets, retry=parcel.retry)
    return reply({"attempts": attempts, "answers": counted(attempts)})


def _bytes(parcel: Parcel) -> bytes:
    if parcel.base64 is not None:
        try:
            return base64.b64decode(parcel.base64, validate=True)
        except ValueError as exc:
            raise Refused(400, f"base64 is not base64: {exc}") from exc
    if parcel.text is not None:
        return parcel.text.encode()
    return bytes(parcel.body)


def _addressed(venue: Venue, parcel: Parcel) -> list[Target]:
    if parcel.url is not None:
        return chosen_targets(venue, "", "", parcel.url)
    return chosen_targets(venue, "booking", "Created")


def _keyed(target: Target, parcel: Parcel) -> Target:
    if parcel.key is msgspec.UNSET:
        return target
    return Target(url=target.url, key=parcel.key, subscription=target.subscription)
