"""The simulated ROLLER as an aiohttp application."""

import time
from collections.abc import AsyncIterator

from aiohttp import web

from pipeline.sandbox.control import Control, install, record, strike, translate
from pipeline.sandbox.roller import (
    access,
    parcel,
    play,
    records,
    reports,
    search,
    seed,
    switches,
    webhooks,
)
from pipeline.sandbox.roller.bookings import BookingChange, change_booking
from pipeline.sandbox.roller.guests import GuestChange, change_guest
from pipeline.sandbox.roller.notices import Notice, notify
from pipeline.sandbox.roller.orders import taking
from pipeline.sandbox.roller.peer import ROLLER, Roller
from pipeline.sandbox.roller.redemptions import Redemption, redeem
from pipeline.sandbox.roller.waivers import Signing, sign
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
    install(app, Control(app[ROLLER], app[ROLLER].clock))
    app.cleanup_ctx.append(_sender)
    _add_control(app)
    _add_reports(app)
    app.router.add_post("/token", access.issue_token)
    app.router.add_get("/venues/me", records.show_venue)
    app.router.add_get("/guests/{id}", records.show_guest)
    app.router.add_get("/customers/{id}", records.show_customer)
    app.router.add_get("/bookings", search.search_bookings)
    app.router.add_get("/bookings/{id}", records.show_booking)
    app.router.add_get("/signed-waivers/{id}", records.show_waiver)
    app.router.add_get("/products", records.list_products)
    app.router.add_get("/webhooks", webhooks.list_webhooks)
    app.router.add_post("/webhooks", webhooks.create_webhook)
    app.router.add_put("/webhooks/{id}", webhooks.update_webhook)
    app.router.add_delete("/webhooks/{id}", webhooks.delete_webhook)
    return app


def _add_reports(app: web.Application) -> None:
    app.router.add_get("/data/bookingitems", reports.show_booking_items)
    app.router.add_get("/data/customers", reports.show_customers)
    app.router.add_get("/data/tickets", reports.show_tickets)
    app.router.add_get("/data/signedwaivers", reports.show_signed_waivers)


def _add_control(app: web.Application) -> None:
    app.router.add_post("/_sandbox/play", play.play)
    app.router.add_post("/_sandbox/seed", seed.seed)
    app.router.add_post("/_sandbox/guests", taking(GuestChange, change_guest))
    app.router.add_post("/_sandbox/bookings", taking(BookingChange, change_booking))
    app.router.add_post("/_sandbox/waivers", taking(Signing, sign))
    app.router.add_post("/_sandbox/redemptions", taking(Redemption, redeem))
    app.router.add_post("/_sandbox/notices", taking(Notice, notify))
    app.router.add_post("/_sandbox/send", parcel.send)
    app.router.add_post("/_sandbox/clock", switches.move_clock)
    app.router.add_post("/_sandbox/settings", switches.change_settings)
    app.router.add_post("/_sandbox/venues", switches.change_venue)
    app.router.add_post("/_sandbox/products", switches.set_products)
    app.router.add_post("/_sandbox/subscriptions", switches.switch_subscriptions)
    app.router.add_post("/_sandbox/permissions", access.set_permissions)
    app.router.add_delete("/_sandbox/tokens", access.revoke_tokens)


async def _sender(app: web.Application) -> AsyncIterator[None]:
    """The webhook sender lives as long as the server."""
    sender = app[ROLLER].sender
    await sender.open()
    yield
    await sender.close()
