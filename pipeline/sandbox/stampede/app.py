"""The simulated Stampede as an aiohttp application."""

import time

from aiohttp import web

from pipeline.sandbox.control import Control, install, record, strike, translate
from pipeline.sandbox.settings import StampedeSettings
from pipeline.sandbox.stampede import access, bookings, direct, guests, registrations
from pipeline.sandbox.stampede.peer import STAMPEDE, Stampede
from pipeline.sandbox.window import Clock


def stampede_app(
    settings: StampedeSettings | None = None, clock: Clock = time.time
) -> web.Application:
    """A fresh Stampede; `clock` gives seconds since 1970."""
    app = web.Application(middlewares=[record, translate, access.allowance, strike, access.bearer])
    app[STAMPEDE] = Stampede(settings or StampedeSettings(), clock)
    install(app, Control(app[STAMPEDE], clock))
    app.router.add_post("/_sandbox/guests", direct.change_guest)
    app.router.add_post("/_sandbox/permissions", access.set_permissions)
    app.router.add_delete("/_sandbox/tokens", access.revoke_tokens)
    app.router.add_post("/oauth/token", access.issue_token)
    app.router.add_post(app[STAMPEDE].settings.registration_path, registrations.register_guest)
    app.router.add_get("/v1/venues", bookings.list_venues)
    app.router.add_get("/v1/guests", guests.search_guests)
    # The vendor's help pages write the address with a slash at the end, its reference without.
    app.router.add_post("/v1/guests", guests.upsert_guest)
    app.router.add_post("/v1/guests/", guests.upsert_guest)
    guest = "/v1/guests/{guest_id}"
    app.router.add_get(guest, guests.show_guest)
    app.router.add_get(guest + "/tags", guests.list_tags)
    app.router.add_put(guest + "/tags", guests.add_tag)
    app.router.add_delete(guest + "/tags/by-name", guests.remove_tag)
    app.router.add_post(guest + "/booking", bookings.upsert_booking)
    return app
