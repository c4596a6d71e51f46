"""A webhook subscription at the simulated ROLLER."""

import msgspec

from pipeline.sandbox.answers import Document


class Subscription(msgspec.Struct, kw_only=True):
    """A webhook subscription; the vendor switches off `enabled` in its configuration."""

    id: int
    created: str
    configuration: Document
    #: how often it was switched off: what waited then is never sent, be it on again
    switched_off: int = 0

    @property
    def enabled(self) -> bool:
        return self.configuration["enabled"] is True

    def configure(self, configuration: Document) -> None:
        """Replaces the whole configuration."""
        self.configuration = configuration
        if not self.enabled:
            self.switched_off += 1

    def switch(self, *, on: bool) -> None:
        """Switches it on or off."""
        self.configure({**self.configuration, "enabled": on})

    def wants(self, kind: str, event: str) -> bool:
        """Whether it is enabled and subscribes this event; filters are kept but not applied."""
        events = self._subscribed(kind).get("events")
        # Nobody can subscribe to deletions, though the vendor's table of events has them.
        wanted = "Updated" if event == "Deleted" else event
        return self.enabled and isinstance(events, list) and wanted in events

    def included(self, kind: str) -> frozenset[str]:
        """What its messages of this type hold beside the usual."""
        include = self._subscribed(kind).get("include")
        named = include.items() if isinstance(include, dict) else ()
        return frozenset(name for name, wanted in named if wanted is True)

    def document(self) -> Document:
        """The subscription as `GET /webhooks` shows it."""
        return {
            "webhookId": self.id,
            "createdDate": self.created,
            "configuration": self.configuration,
        }

    def _subscribed(self, kind: str) -> Document:
        webhooks = self.configuration["webhooks"]
        subscribed = webhooks.get(kind) if isinstance(webhooks, dict) else None
        return subscribed if isinstance(subscribed, dict) else {}
