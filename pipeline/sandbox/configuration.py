"""Writes a configuration of the daemon that fits a running sandbox."""

import msgspec

from pipeline.sandbox.serve import Sandbox
from pipeline.sandbox.settings import (
    RollerSettings,
    RollerVenue,
    SandboxSettings,
    StampedeSettings,
)

_SERVER = """\
[server]
listen = {listen}
admin = {admin}

[outbox]
path = {outbox}
"""

_SOURCE = """
[sources.{name}]
type = "roller"
base_url = {base_url}
client_id = {client_id}
client_secret = {client_secret}
webhook_key = {webhook_key}
{public_url}rate_limit = {rate_limit}
"""

_STAMPEDE = """
[destinations.stampede]
type = "stampede"
base_url = {base_url}
client_id = {client_id}
client_secret = {client_secret}
venues = {venues}
rate_limit = {rate_limit}
# mode = "registration"
# registration_path = {registration_path}
"""


def render_config(
    settings: SandboxSettings,
    sandbox: Sandbox,
    *,
    listen: str = "127.0.0.1:8080",
    admin: str = "127.0.0.1:8081",
    outbox: str = "outbox.db",
    public_url: str | None = None,
) -> str:
    """The text of a `config.toml`: every venue, with the sandbox's credentials and limits.

    With `public_url` it tells where the webhooks are to be sent, so that they can be registered.
    """
    server = _SERVER.format(listen=_text(listen), admin=_text(admin), outbox=_text(outbox))
    sources = [
        _source(venue, settings.roller, sandbox.roller, public_url)
        for venue in settings.roller.venues
    ]
    pairs = zip(settings.roller.venues, settings.stampede.venues, strict=False)
    serials = ", ".join(f"{roller.source} = {_text(stampede.id)}" for roller, stampede in pairs)
    stampede = _stampede(settings.stampede, sandbox.stampede, f"{{ {serials} }}")
    return server + "".join(sources) + stampede


def _source(
    venue: RollerVenue, settings: RollerSettings, base_url: str, public_url: str | None
) -> str:
    keys = [target.key for target in settings.webhooks if target.venue == venue.client_id]
    return _SOURCE.format(
        name=venue.source,
        base_url=_text(base_url),
        client_id=_text(venue.client_id),
        client_secret=_text(venue.client_secret),
        webhook_key=_text(keys[0] if keys else "sandbox-webhook-key"),
        public_url=f"public_url = {_text(public_url)}\n" if public_url else "",
        # Half of what the sandbox allows, so that no way of counting exceeds it.
        rate_limit=f'{{ requests = {settings.requests // 2}, per = "{settings.per:g}s" }}',
    )


def _stampede(settings: StampedeSettings, base_url: str, venues: str) -> str:
    reserve = settings.requests // 5
    limit = f'requests = {settings.requests}, per = "{settings.per:g}s", reserve = {reserve}'
    return _STAMPEDE.format(
        base_url=_text(base_url),
        client_id=_text(settings.client_id),
        client_secret=_text(settings.client_secret),
        venues=venues,
        registration_path=_text(settings.registration_path),
        rate_limit=f"{{ {limit} }}",
    )


def _text(value: str) -> str:
    """A TOML string; JSON's escapes are TOML's, too."""
    return msgspec.json.encode(value).decode()
