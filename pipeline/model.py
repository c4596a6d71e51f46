"""The words of the pipeline: what the stages hand to each other.

Everything here is frozen data in our own terms; what ROLLER or Stampede call it stays in their
plug-ins. Times that are stored or compared are integer microseconds UTC (`clock.py`).
"""

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

# --- What comes in ---------------------------------------------------------------------------


class Kind(StrEnum):
    """What an event is about."""

    BOOKING = "booking"
    CUSTOMER = "customer"
    REDEMPTION = "redemption"
    SIGNED_WAIVER = "signed_waiver"
    OTHER = "other"


class Action(StrEnum):
    """What happened to it."""

    CREATED = "created"
    UPDATED = "updated"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    OTHER = "other"


class Origin(StrEnum):
    """How we came to know of an event."""

    WEBHOOK = "webhook"
    RECONCILE = "reconcile"
    BACKFILL = "backfill"


class EventState(StrEnum):
    """Where an event is on its way; the last three are ends."""

    WAITING = "waiting"
    PROCESSING = "processing"
    DONE = "done"
    PARKED = "parked"
    IGNORED = "ignored"


class Envelope(Struct, frozen=True, kw_only=True):
    """The outside of a message: enough to file it, not what it says."""

    #: The sender's id of the message; None when it carries none.
    key: str | None
    kind: Kind
    action: Action
    #: When it happened at the sender, in microseconds; None when the message does not say.
    occurred_at: int | None
    booking: str | None
    reference: str | None


class Arrival(Struct, frozen=True, kw_only=True):
    """A message as it is to be stored; the outbox recognises a repeated `key` of a source."""

    source: str
    origin: Origin
    key: str
    kind: Kind
    action: Action
    occurred_at: int | None
    booking: str | None
    reference: str | None
    received_at: int
    #: WAITING, or PARKED with a reason when the message cannot be read.
    state: EventState
    reason: str | None
    body: bytes


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of an arrival: its row, and whether the row was there before."""

    event: int
    duplicate: bool


class Event(Struct, frozen=True, kw_only=True):
    """A stored message on its way through the stages."""

    id: int
    source: str
    origin: Origin = Origin.WEBHOOK
    #: See `Delivery.wary`.
    wary: bool = False
    kind: Kind
    action: Action
    occurred_at: int | None
    received_at: int
    booking: str | None
    reference: str | None
    attempts: int
    first_failure_at: int | None
    body: bytes
    #: Why it waited, if it did.
    reason: str | None = None
    #: Whom it is about, once it was read: of kind customer. Its booking may be none of this.
    customer: str | None = None
    #: The bookings that somebody came to, once it was read: of kind redemption.
    visited: tuple[str, ...] = ()

    @property
    def as_of(self) -> int:
        """When it came about, by the sender if that says so."""
        return self.received_at if self.occurred_at is None else self.occurred_at


# --- What is true ----------------------------------------------------------------------------


class Consent(StrEnum):
    """A consent as a source knows it: absent is UNKNOWN, and never becomes YES."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class GuestConsent(Struct, frozen=True, kw_only=True):
    """What a guest has agreed to, in the source's words."""

    email: Consent = Consent.UNKNOWN
    sms: Consent = Consent.UNKNOWN


class Gender(StrEnum):
    """A guest's gender, where the guest has told it."""

    MALE = "male"
    FEMALE = "female"
    OTHER = "other"


class Guest(Struct, frozen=True, kw_only=True):
    """A person as a source knows them: only the fields that a destination can use."""

    customer: str
    first: str | None = None
    last: str | None = None
    email: str | None = None
    phone: str | None = None
    gender: Gender | None = None
    born: date | None = None
    consent: GuestConsent = GuestConsent()


class Minor(Struct, frozen=True, kw_only=True):
    """What a waiver says of somebody for whom an adult has signed."""

    #: Until they are 18 nothing is sent of them; for ever, where nobody knows when that is.
    born: date | None = None


class Phase(StrEnum):
    """A booking's state as far as destinations care."""

    DRAFT = "draft"
    ACTIVE = "active"
    CANCELLED = "cancelled"


class Item(Struct, frozen=True, kw_only=True):
    """One line of a booking; days and times are the venue's local ones."""

    product: str | None = None
    quantity: int | None = None
    group_size: int | None = None
    first_day: date | None = None
    last_day: date | None = None
    start: time | None = None
    #: 00:00 means the end of the last day.
    end: time | None = None


class Booking(Struct, frozen=True, kw_only=True):
    """A booking as a source knows it."""

    id: str
    reference: str | None = None
    customer: str | None = None
    phase: Phase
    #: The source's own words, for tags and metadata.
    status: str | None = None
    origin: str | None = None
    channel: str | None = None
    created_at: datetime | None = None
    #: Major units of the venue's currency; finite and below 10^12 in size.
    total: Decimal | None = None
    items: tuple[Item, ...] = ()
    #: Ids of its tickets, where a message names them; they are kept apart.
    tickets: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Tell whether a message left something out that the source can tell."""
        return self.status is None or self.total is None or not self.items


class Venue(Struct, frozen=True, kw_only=True):
    """What of a venue decides how its bookings read."""

    #: IANA name, such as Europe/London.
    timezone: str
    #: ISO 4217 code.
    currency: str
    #: ISO 3166-1 alpha-2 code, for phone numbers.
    country: str


class Product(Struct, frozen=True, kw_only=True):
    """What an item of a booking is, as its source calls it."""

    id: str
    name: str | None = None
    #: The name of what it is a variation of: "Open Jump", of which "Adult" is one.
    parent: str | None = None
    #: The source's own word, such as "sessionpass".
    type: str | None = None
    #: Whether it lets people in; socks, a locker and a gift card do not.
    admits: bool = True

    @property
    def title(self) -> str | None:
        """What people call it: variations of one product go by one name."""
        return self.parent or self.name


# --- What is owed and what was told ----------------------------------------------------------


class DeliveryKind(StrEnum):
    """What a delivery tells a destination about."""

    BOOKING = "booking"
    GUEST = "guest"
    CONSENT = "consent"
    TAG = "tag"
    PRODUCT = "product"
    EVENT = "event"


class DeliveryState(StrEnum):
    """Where a delivery is; all but the first two are ends."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"
    PARKED = "parked"
    DROPPED = "dropped"
    ERASED = "erased"


class Priority:
    """The classes of DESIGN, What goes first; a smaller number goes first."""

    OPT_OUT = 1
    NEW = 2
    CHANGED = 3
    VISIT = 4
    TAG = 5
    BACKFILL = 6
    #: The last class that may use the reserve of an allowance.
    URGENT = CHANGED


class Delivery(Struct, frozen=True, kw_only=True):
    """An intent: tell this destination about this subject. It carries no payload."""

    id: int
    event: int
    source: str
    destination: str
    kind: DeliveryKind
    #: Which of several things of the kind: the role of a tag (source, channel, status); of a
    #: booking ARRIVED or COMPLETE where it is about the visit, and else ''.
    detail: str
    #: Keys of the subjects at the source: customer is None while a booking has none.
    booking: str | None
    customer: str | None
    priority: int
    attempts: int
    first_failure_at: int | None
    #: It comes from no webhook, or was retried by hand: what it knows may be old, so the
    #: destination is asked before a guest is told to it for the first time.
    wary: bool = False


class Change(Struct, frozen=True, kw_only=True):
    """A change of a guest's mind: when, and in which customer record (source/customer)."""

    at: int
    record: str


class ToldConsent(Struct, frozen=True, kw_only=True):
    """The consent last sent to a destination: booleans, for its calls know no third value."""

    data: bool
    email: bool
    sms: bool
    #: By channel the newest change that was sent: another record's older one is not.
    changed: dict[str, Change] = {}
    #: What each customer record of the person last said, by source/customer.
    behind: dict[str, GuestConsent]


class Presence(Struct, frozen=True, kw_only=True):
    """What a destination itself says of a guest, when it was asked."""

    #: None: it has none, or not on the pages seen so far.
    remote_id: str | None
    data: bool = False
    email: bool = False
    sms: bool = False
    #: Where its list goes on, and how many of its pages were seen.
    cursor: str | None = None
    pages: int = 1


class Sighting(Struct, frozen=True, kw_only=True):
    """A presence, and when it was asked for."""

    presence: Presence
    at: int


class StatusTag(Struct, frozen=True, kw_only=True):
    """The tag that shows the status of a guest's newest booking event."""

    #: '' once it was removed, until the next is there.
    name: str
    #: When that event came about at its source.
    as_of: int


#: What a booking's delivery of a visit tells, as `Delivery.detail`: that the guests are there, and
#: that they have been there.
ARRIVED = "arrived"
COMPLETE = "complete"

#: In `ToldGuest.maybe`, for a call of the guest's own.
OWN_CALL = ""


class ToldGuest(Struct, frozen=True, kw_only=True):
    """What a destination knows of a guest through us."""

    remote_id: str | None = None
    #: Of all that a guest's call says beside consent.
    payload_hash: str | None = None
    consent: ToldConsent | None = None
    #: Those that were set and stay.
    tags: tuple[str, ...] = ()
    #: The one that gives way to the next; only what we have set is ever removed.
    status: StatusTag | None = None
    #: What the destination said when it was asked last, until it is told again.
    seen: Sighting | None = None
    #: Consent of which nobody knows whether it was told, by the booking that it went with, or
    #: OWN_CALL.
    maybe: dict[str, ToldConsent] = {}
    #: The destination says that it has nobody by `remote_id`, and is to be asked for it.
    missing: bool = False
    #: The delivery for which that was asked last: it may be something else that it has not.
    asked_for: int | None = None


class ToldBooking(Struct, frozen=True, kw_only=True):
    """What a destination knows of a booking through us."""

    #: The destination's id of the guest that holds the booking; None when it was registered, for
    #: which no id is needed.
    guest: str | None
    #: The source's customer who holds it, to see when it changes hands.
    customer: str | None
    #: Of the booking as an upsert, also when it was registered: what is unchanged is the same.
    #: Empty while nobody knows what the destination has.
    payload_hash: str
    cancelled: bool = False
    #: A registration is under way, or was and nobody knows what came of it.
    in_doubt: bool = False
    #: While in doubt, the digest of the person whose consent went along; see `ToldGuest.maybe`.
    person: str | None = None
    #: The destination does not have it: an answer said so, or somebody who looked. Otherwise like a
    #: booking of which nothing is known, but that nobody need ask after a restore.
    absent: bool = False


class Facts(Struct, frozen=True, kw_only=True):
    """All that decides what one destination is to be told of one booking and its guest now."""

    source: str
    now: int
    adults_only: bool
    #: None while the source has not told it and the configuration does not say.
    venue: Venue | None
    booking: Booking | None
    #: When the newest known state of the booking came about at the source.
    occurred_at: int | None
    guest: Guest | None
    #: When the guest's details were fetched.
    guest_at: int | None
    #: What a waiver says of the guest, if it calls them a minor.
    minor: Minor | None = None
    #: When somebody came to the booking; None while nobody has.
    visited_at: int | None = None
    told_guest: ToldGuest | None
    told_booking: ToldBooking | None
    #: When the outbox was put back from a backup, if the booking may have been told before that:
    #: what was told after the backup is not known.
    restored_at: int | None = None
    #: See `Delivery.wary`.
    wary: bool = False
    #: Microseconds from one request to the next, once the allowance is spent.
    spacing: int = 0
    #: Those of the booking's items that are known, by their ids.
    products: Mapping[str, Product] = {}


class Request(Struct, frozen=True, kw_only=True):
    """One call of a destination, ready to be sent."""

    method: str
    #: It carries no personal data, for it is written down; the query may.
    path: str
    query: str = ""
    #: Whom an answer must be about, by the e-mail; it does not go out by itself.
    about: str | None = None
    #: JSON; empty where nothing is sent but the address.
    body: bytes = b""
    #: It has its effect anew each time, so without an answer it must not be sent again.
    once: bool = False
    #: What its guest is known by, to be taken out of what the peer says of it; it is not sent.
    private: tuple[str, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """What a destination's success says."""

    #: The id it gave, where the call promises one.
    remote_id: str | None = None
    #: What it has of a guest, where it was asked.
    presence: Presence | None = None


class Send(Struct, frozen=True, kw_only=True):
    """Send `request`; once it succeeded, `told` is true (with what the answer says)."""

    request: Request
    told: ToldGuest | ToldBooking
    #: What a booking's request says of its guest besides.
    guest: ToldGuest | None = None
    #: Another request follows for the same delivery.
    more: bool = False


class Nothing(Struct, frozen=True, kw_only=True):
    """The destination needs to be told nothing, and why."""

    reason: str = "already told"


class NeedsGuest(Struct, frozen=True, kw_only=True):
    """The guest must be told first."""


class NeedsFresh(Struct, frozen=True, kw_only=True):
    """The guest's details are too old to be sent: they must be fetched again first."""


class Later(Struct, frozen=True, kw_only=True):
    """There will be something to tell at that time, and not before."""

    at: int


Step = Send | Nothing | NeedsGuest | NeedsFresh | Later


class Outcome(StrEnum):
    """How one request on the wire ended."""

    OPEN = "open"
    OK = "ok"
    RETRY = "retry"
    REJECTED = "rejected"
    RATE_LIMITED = "rate_limited"
    #: No answer: it may have taken effect or not.
    UNKNOWN = "unknown"
