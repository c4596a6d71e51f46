"""Guests who change something at the simulated Stampede themselves, behind everybody's back."""

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import reply
from pipeline.sandbox.stampede.data import CHANNELS, iso
from pipeline.sandbox.stampede.peer import STAMPEDE


class GuestChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/guests` takes; what is left out stays as it is."""

    email: str
    data_opt_in: bool | None = None
    email_opt_in: bool | None = None
    sms_opt_in: bool | None = None
    first: str | None = None
    last: str | None = None
    phone: str | None = None
    #: True: the guest is gone, and 404 from now on
    delete: bool = False


_decoder = msgspec.json.Decoder(GuestChange)


async def change_guest(request: web.Request) -> web.Response:
    """`POST /_sandbox/guests`: a guest signs up, changes consent or leaves at Stampede itself."""
    stampede = request.app[STAMPEDE]
    change = _decoder.decode(await request.read())
    guest, _ = stampede.guests.upsert(change.email)
    profile = {"first": change.first, "last": change.last, "phone": change.phone}
    guest.profile.update({name: value for name, value in profile.items() if value is not None})
    wanted = dict(
        zip(CHANNELS, (change.data_opt_in, change.email_opt_in, change.sms_opt_in), strict=True)
    )
    told = {channel: value for channel, value in wanted.items() if value is not None}
    guest.consent(told, "guest", iso(stampede.clock()))
    if change.delete:
        stampede.guests.remove(guest)
    return reply(guest.state())
