"""The simulated ROLLER as an aiohttp application."""

import time
from collections.abc import AsyncIterator

from aiohttp import web

from pipeline.sandbox.control import Control, install, record, strike, translate
from pipeline.sandbox.roller import access, direct, parcel, play, records, webhooks
from pipeline.sandbox.roller.peer import ROLLER, Roller
from pipeline.sandbox.settings import RollerSettings, default_settings
from pipeline.sandbox.window import Clock

#: `/_sandbox/send` is there to try bodies that are too large for others.
_LARGEST_BODY = 64 * 1024 * 1024


def roller_app(settings: RollerSettings | None = None, clock: Clock = time.time) -> web.Application:
    """A fresh ROLLER; `clock` gives seconds since 1970."""
    app = web.Application(
        middlewares=[record, translate, access.bearer, strike], client_max_size=_LARGEST_BODY
    )
    app[ROLLER] = Roller(settings or default_settings().roller, clock)
    install(app, Control(app[ROLLER], clock))
    app.cleanup_ctx.append(_sender)
    _add_control(app)
    app.router.add_post("/token", access.issue_token)
    app.router.add_get("/venues/me", records.show_venue)
    app.router.add_get("/guests/{id}", records.show_guest)
    app.router.add_get("/customers/{id}", records.show_customer)
    app.router.add_get("/bookings/{id}", records.show_booking)
    app.router.add_get("/webhooks", webhooks.list_webhooks)
    app.router.add_post("/webhooks", webhooks.create_webhook)
    app.router.add_put("/webhooks/{id}", webhooks.update_webhook)
    app.router.add_delete("/webhooks/{id}", webhooks.delete_webhook)
    return app


def _add_control(app: web.Application) -> None:
    app.router.add_post("/_sandbox/play", play.play)
    app.router.add_post("/_sandbox/guests", direct.change_guest)
    app.router.add_post("/_sandbox/bookings", direct.change_booking)
    app.router.add_post("/_sandbox/send", parcel.send)
    app.router.add_post("/_sandbox/permissions", access.set_permissions)
    app.router.add_delete("/_sandbox/tokens", access.revoke_tokens)


async def _sender(app: web.Application) -> AsyncIterator[None]:
    """The webhook sender lives as long as the server."""
    sender = app[ROLLER].sender
    await sender.open()
    yield
    await sender.close()
