"""How the simulated APIs are set up."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

#: Every type of webhook with all the events that the vendor knows.
EVERY_EVENT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "booking": ("Created", "Updated", "Cancelled"),
        "redemption": ("Created",),
        "customer": ("Created", "Updated"),
        "bulkExport": ("Created",),
        "signedWaiver": ("Created",),
        "paymentLink": ("Created",),
    }
)
_BOOKINGS = MappingProxyType({"booking": EVERY_EVENT["booking"]})
_INCLUDED = MappingProxyType({"booking": ("tickets", "payments", "metadata")})

#: A venue's own webhook receiver, as the daemon listens by default.
DEFAULT_WEBHOOK = "http://127.0.0.1:8080/webhooks/leeds"


class StampedeVenue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue of the simulated Stampede."""

    #: the serial: 12 letters and digits
    id: str
    name: str


class StampedeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated Stampede: one organisation, one API key."""

    client_id: str = "ai.stampede.marketplace.sandbox"
    client_secret: str = "sandbox-stampede-secret"
    organization_id: str = "5a4d0b7c-0000-4000-8000-000000000001"
    venues: tuple[StampedeVenue, ...] = (StampedeVenue(id="A1B2C3D4E5F6", name="Sandbox Leeds"),)
    #: venues on a page where no `limit` is asked for; None: all, as the vendor documents
    venues_page: int | None = None
    #: permissions that the key lacks, such as "GET /v1/venues"
    missing_permissions: tuple[str, ...] = ()
    #: at most `requests` in any `per` seconds, token requests included
    requests: int = 100
    per: float = 900.0
    #: the token endpoint's own limit
    token_requests: int = 20
    token_per: float = 60.0
    #: seconds
    token_lifetime: int = 86_400
    #: whether a 429 carries `Retry-After`; the vendor does not say
    retry_after: bool = True
    #: the endpoint of its own ROLLER integration, whose address is not published
    registration_path: str = "/registration"


class RollerVenue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue of the simulated ROLLER with its own API key."""

    client_id: str
    client_secret: str
    id: int
    name: str
    #: what the daemon's configuration calls it
    source: str
    iana_time_zone: str = "Europe/London"
    time_zone: str = "(UTC+00:00) Dublin, Edinburgh, Lisbon, London"
    country_code: str = "GB"
    country: str = "United Kingdom"
    currency: str = "GBP"
    locale: str = "en-GB"
    #: permissions that the key lacks, such as "GET /guests"
    missing_permissions: tuple[str, ...] = ()


class WebhookTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that exists from the start."""

    #: client_id of the venue
    venue: str
    url: str
    key: str
    #: type to events
    events: Mapping[str, tuple[str, ...]] = _BOOKINGS
    #: type to what its messages hold beside the usual, such as {"booking": ("tickets",)}
    include: Mapping[str, tuple[str, ...]] = {}


class RollerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated ROLLER: several venues behind one address."""

    venues: tuple[RollerVenue, ...]
    webhooks: tuple[WebhookTarget, ...] = ()
    #: at most `requests` in any `per` seconds and venue, then `cooling` seconds of refusals
    requests: int = 600
    per: float = 60.0
    cooling: float = 60.0
    #: the Reporting API's own limit, apart from the other
    report_requests: int = 120
    report_per: float = 60.0
    #: calls in a calendar month, refused ones and tokens included; None for no end. The vendor
    #: charges for more or suspends the key, and does not say how the refusal looks.
    monthly_calls: int | None = None
    monthly_refusal: int = 403
    #: whether a 429 carries `Retry-After`; the vendor does not say
    retry_after: bool = False
    #: seconds
    token_lifetime: int = 86_400
    #: the vendor's waits between the attempts of a webhook are multiplied by this
    retry_factor: float = 1.0
    #: seconds that a receiver has for its answer
    answer_limit: float = 10.0
    #: True: `GET /webhooks` answers one object as documented, not the array seen on the wire
    webhooks_as_object: bool = False
    #: the largest page of a report; older documentation names it. What happens to a larger wish
    #: is not known: False makes the page smaller and says so only in `itemsPerPage`
    largest_page: int = 500
    refuse_larger_page: bool = False
    #: whether reports take `yyyy-MM-ddTHH:mm:ss`, as older documentation says
    report_times: bool = False
    #: digits of a second's fraction in the times of reports; the vendor's examples have none, so
    #: that a change seems older there than its webhook says
    report_digits: int = 0
    #: seconds until a change shows in reports; the vendor only says "not for real time"
    report_delay: float = 0.0


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All simulated APIs; the n-th ROLLER venue belongs to the n-th Stampede venue."""

    roller: RollerSettings
    stampede: StampedeSettings


def default_settings(
    webhook: str = DEFAULT_WEBHOOK, *, everything: bool = False
) -> SandboxSettings:
    """One venue in Leeds whose webhooks go to `webhook`: of bookings, or of every type."""
    leeds = RollerVenue(
        client_id="sandbox-leeds",
        client_secret="sandbox-leeds-secret",
        id=4711,
        name="Sandbox Leeds",
        source="leeds",
    )
    target = WebhookTarget(venue=leeds.client_id, url=webhook, key="sandbox-webhook-key")
    if everything:
        target = msgspec.structs.replace(target, events=EVERY_EVENT, include=_INCLUDED)
    roller = RollerSettings(venues=(leeds,), webhooks=(target,))
    return SandboxSettings(roller=roller, stampede=StampedeSettings())
