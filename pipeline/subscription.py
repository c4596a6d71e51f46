"""What a source can do about the webhooks that its peer sends us: an ability that it may have."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, TypeAlias

from msgspec import Struct

from pipeline.findings import Finding

#: As the peer gives it.
WebhookId: TypeAlias = int | str


class WebhookState(StrEnum):
    """Whether the peer sends us what we need; the words of the status document."""

    REGISTERED = "registered"
    MISSING = "missing"
    #: The peer has switched it off.
    DISABLED = "disabled"
    #: It is on, and something that is needed does not arrive, or is refused here.
    DIFFERS = "differs"
    #: Nobody has looked yet, or may look.
    UNKNOWN = "unknown"


class Whose(StrEnum):
    """Whom a subscription belongs to."""

    OURS = "ours"
    #: Made by a pipeline, and not for this source of this one.
    STRAY = "stray"
    OTHER = "other"


class Subscription(Struct, frozen=True, kw_only=True):
    """A subscription that the peer lists; it names no secret."""

    id: WebhookId | None
    #: Where it sends to. Of what is not a pipeline's the host alone: the rest may be a secret.
    url: str
    enabled: bool
    whose: Whose
    #: By type.
    events: Mapping[str, tuple[str, ...]]


class Mend(Struct, frozen=True, kw_only=True):
    """The one request that makes it right."""

    #: The subscription to be replaced; None for a new one.
    webhook: WebhookId | None
    url: str


class Mended(Struct, frozen=True, kw_only=True):
    """What came of it."""

    webhook: WebhookId | None
    #: What the peer kept otherwise than it was told; empty as a rule.
    note: str = ""


class Look(Struct, frozen=True, kw_only=True):
    """What one look at the subscriptions has shown."""

    state: WebhookState
    finding: Finding
    #: Of what else is there and does harm.
    warnings: tuple[Finding, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    #: None where nothing is to be done, or can be.
    mend: Mend | None = None

    @property
    def note(self) -> str | None:
        """What was found, and what a person can do about it; None where all is well."""
        if self.state is WebhookState.REGISTERED:
            return None
        return ": ".join(filter(None, (self.finding.note, self.finding.advice)))


class Subscriptions(Protocol):
    """The webhooks of one source; each call but `address` is one request to the peer."""

    def address(self, url: str | None = None) -> str:
        """Give where webhooks are to be sent, at `url` in place of the configured address.

        Raises Failure with a sentence when there is none, or the peer cannot send there.
        """

    async def look(self, url: str | None = None) -> Look:
        """Ask for the subscriptions, and judge them by that address, be there one or not."""

    async def mend(self, mend: Mend) -> Mended:
        """Make or replace a subscription of ours; a new one sends before an old one is dropped."""

    async def delete(self, webhook: WebhookId) -> bool:
        """Delete a subscription; False when the peer has none by this id."""
