"""What the simulated Stampede holds: guests with their consent, tags and bookings."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.sandbox.answers import Document
from pipeline.sandbox.window import Clock

#: The three consents of a guest, as the vendor's `…_opt_in_at` names them.
CHANNELS = ("data", "email", "sms")
_IDS = uuid.UUID("7a1f4c1e-0000-4000-8000-000000000000")


def iso(at: float) -> str:
    """A time as the vendor writes it: UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def new_id(what: str, number: int) -> str:
    """An id that looks random and is the same in every run."""
    return str(uuid.uuid5(_IDS, f"{what} {number}"))


@dataclass(kw_only=True, slots=True)
class Guest:
    """One guest of the organisation."""

    id: str
    profile_id: int
    email: str
    created_at: str
    last_interacted_at: str
    profile: dict[str, str] = field(default_factory=dict)
    #: per channel since when, or None
    opt_in_at: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(CHANNELS))
    #: every consent ever told, with who told it ("api", "registration" or "guest") and when
    history: list[Document] = field(default_factory=list)
    #: tag name to tag id, in the order they were set
    tags: dict[str, str] = field(default_factory=dict)
    #: every registration counts one
    visits: int = 0

    def consent(self, told: Mapping[str, bool], by: str, at: str) -> None:
        """Overwrites the told channels, both ways; an opt-in that stands keeps its date."""
        for channel, wanted in told.items():
            self.opt_in_at[channel] = (self.opt_in_at[channel] or at) if wanted else None
        now = {channel: since is not None for channel, since in self.opt_in_at.items()}
        self.history.append({"at": at, "by": by, **now})

    def tag(self, name: str) -> str:
        """Sets a tag, new or there already, and gives its id."""
        return self.tags.setdefault(name, new_id(f"tag {self.id} {name}", 1))

    def state(self) -> Document:
        """The guest in `/_sandbox/state`."""
        return {
            "id": self.id,
            "email": self.email,
            **self.profile,
            **{f"{c}_opt_in": self.opt_in_at[c] is not None for c in CHANNELS},
            "tags": list(self.tags),
            "visits": self.visits,
            "consent_history": self.history,
        }


@dataclass(kw_only=True, slots=True)
class Booking:
    """One booking of a guest, as it was last told."""

    id: str
    guest: Guest
    body: Document
    #: every version told: when, with which status and `updated_at`
    history: list[Document] = field(default_factory=list)

    def tell(self, body: Document, at: str) -> None:
        """Replaces what is known of the booking."""
        self.body = body
        version = {"at": at, "status": body["status"], "updated_at": body.get("updated_at")}
        self.history.append(version)

    def state(self) -> Document:
        """The booking in `/_sandbox/state`."""
        return {
            **self.body,
            "guest_id": self.guest.id,
            "email": self.guest.email,
            "posts": len(self.history),
            "statuses": [version["status"] for version in self.history],
            "history": self.history,
        }


class Guests:
    """The guests of the organisation, found by id and by e-mail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made = 0
        self.by_id: dict[str, Guest] = {}
        self._by_email: dict[str, Guest] = {}

    def upsert(self, email: str) -> tuple[Guest, bool]:
        """The guest with this e-mail in any case, and whether it was made just now."""
        identity = email.lower()
        now = iso(self._clock())
        guest = self._by_email.get(identity)
        if guest is not None:
            guest.last_interacted_at = now
            return guest, False
        self._made += 1
        guest = Guest(
            id=new_id("guest", self._made),
            profile_id=100_000 + self._made,
            email=identity,
            created_at=now,
            last_interacted_at=now,
        )
        self.by_id[guest.id] = self._by_email[identity] = guest
        return guest, True

    def remove(self, guest: Guest) -> None:
        """Forgets a guest."""
        del self.by_id[guest.id], self._by_email[guest.email]

    def matching(self, search: str) -> list[Guest]:
        """Guests with `search` anywhere in e-mail, name or phone: a caller has to compare."""
        wanted = search.lower()
        return [guest for guest in self.by_id.values() if wanted in _searchable(guest)]


def _searchable(guest: Guest) -> str:
    return " ".join((guest.email, *guest.profile.values())).lower()


class Bookings:
    """The bookings of the organisation; an `event_id` is unique per guest."""

    def __init__(self) -> None:
        self._bookings: dict[tuple[str, str], Booking] = {}

    def upsert(self, guest: Guest, event_id: str, body: Document, at: str) -> tuple[Booking, bool]:
        """The booking as told now, and whether it was made just now."""
        key = (guest.id, event_id)
        booking = self._bookings.get(key)
        made = booking is None
        if booking is None:
            number = len(self._bookings) + 1
            booking = Booking(id=new_id("booking", number), guest=guest, body=body)
            self._bookings[key] = booking
        booking.tell(body, at)
        return booking, made

    def all(self) -> list[Booking]:
        """In the order they were made."""
        return list(self._bookings.values())
