"""What may happen to two venues, their guests, Stampede and us, as hypothesis draws it."""

from typing import Literal

from hypothesis import strategies as st
from msgspec import Struct

from pipeline.model import Consent, Phase
from pipeline.sandbox.faults import Fault
from pipeline.simulation.world import Receiver

VENUES = ("venue-0", "venue-1")
EMAILS = ("ada@example.com", "bea@example.com", "cyd@example.com")
#: Of each venue; the fewer, the more happens to each.
_CUSTOMERS = {"venue-0": ("c0", "c1"), "venue-1": ("c0",)}
RECORDS = tuple((venue, customer) for venue in VENUES for customer in _CUSTOMERS[venue])


class Book(Struct, frozen=True, kw_only=True):
    """A booking is made or changed, and its webhook comes `late` seconds later, `copies` times."""

    venue: str
    booking: str
    customer: str | None
    phase: Phase = Phase.ACTIVE
    amount: int = 10
    late: float = 0.0
    copies: int = 1


class Change(Struct, frozen=True, kw_only=True):
    """A guest's details change at ROLLER, which perhaps tells it; None stays as it is."""

    venue: str
    customer: str
    named_anew: bool = False
    phone: str | None = None
    #: "" for none.
    email: str | None = None
    minor: bool | None = None
    by_email: Consent | None = None
    by_sms: Consent | None = None
    #: Seconds until its webhook comes; None for none.
    tells: float | None = None


class AtStampede(Struct, frozen=True, kw_only=True):
    """A guest says what they want at Stampede itself, or leaves."""

    email: str
    #: Which Stampede; the second is the first where there is but one.
    there: int = 0
    channel: Literal["data", "email", "sms"] = "email"
    wanted: bool = False
    leaves: bool = False


class Spoil(Struct, frozen=True, kw_only=True):
    """Stampede's next answers are spoilt."""

    fault: Fault
    there: int = 0


class Outage(Struct, frozen=True, kw_only=True):
    """A peer cannot be reached for so many seconds."""

    peer: str
    seconds: float


class Crash(Struct, frozen=True, kw_only=True):
    """The power goes, at a later use of the disk."""

    uses: int = 0
    after: bool = False
    reboots: bool = False


class Restart(Struct, frozen=True, kw_only=True):
    """The daemon is stopped and started."""


class SetClock(Struct, frozen=True, kw_only=True):
    """Somebody sets the wall clock."""

    seconds: float


class RevokeTokens(Struct, frozen=True, kw_only=True):
    """Stampede forgets the tokens that it gave: 401."""

    there: int = 0


class RetryByHand(Struct, frozen=True, kw_only=True):
    """A person retries all that is parked."""


Step = (
    Book
    | Change
    | AtStampede
    | Spoil
    | Outage
    | Crash
    | Restart
    | SetClock
    | RevokeTokens
    | RetryByHand
)


class Case(Struct, frozen=True, kw_only=True):
    """A whole history: each step, and the seconds that pass after it."""

    first_contact: Literal["check", "trust"] = "check"
    receivers: tuple[Receiver, ...] = (Receiver(),)
    seed: int = 0
    guests: tuple[Change, ...]
    steps: tuple[tuple[Step, float], ...]


_consent = st.sampled_from(Consent)
_phone = st.sampled_from(("+447400123456", "+441212345678"))
_PHASES = (*(Phase.ACTIVE for _ in range(7)), Phase.CANCELLED, Phase.CANCELLED, Phase.DRAFT)


def _books(venue: str, booking: str) -> st.SearchStrategy[Book]:
    customers = _CUSTOMERS[venue]
    return st.builds(
        Book,
        venue=st.just(venue),
        booking=st.just(booking),
        customer=st.sampled_from((*(customers * 4), None)),
        phase=st.sampled_from(_PHASES),
        amount=st.integers(10, 13),
        late=st.sampled_from((0.0, 0.0, 0.0, 0.0, 3.0, 600.0, 2000.0)),
        copies=st.sampled_from((1, 1, 1, 2)),
    )


def _changes(venue: str, customer: str) -> st.SearchStrategy[Change]:
    return st.builds(
        Change,
        venue=st.just(venue),
        customer=st.just(customer),
        named_anew=st.booleans(),
        phone=st.none() | _phone,
        email=st.sampled_from((*(None for _ in range(9)), *EMAILS, "")),
        minor=st.sampled_from((*(None for _ in range(9)), False, False, True)),
        by_email=st.none() | _consent,
        by_sms=st.none() | _consent,
        tells=st.sampled_from((None, None, None, 0.0, 3.0, 600.0)),
    )


_booked = st.one_of(_books("venue-0", "b0"), _books("venue-0", "b1"), _books("venue-1", "b0"))
_changed = st.one_of(*(_changes(*record) for record in RECORDS))
_where = st.integers(0, 1)
_there = st.builds(
    AtStampede,
    email=st.sampled_from(EMAILS),
    there=_where,
    channel=st.sampled_from(("data", "email", "sms")),
    wanted=st.booleans(),
    leaves=st.sampled_from((*(False for _ in range(7)), True)),
)
_PATHS = (
    *("", "/v1/guests", "/v1/guests/…/booking", "/v1/guests/…/tags", "/oauth"),
    "/registration",
)


def _fault(kinds: str, *, after: bool) -> st.SearchStrategy[Fault]:
    return st.builds(
        Fault,
        kind=st.sampled_from(kinds.split()),
        count=st.integers(1, 6),
        path=st.sampled_from(_PATHS),
        method=st.sampled_from((None, "POST", "GET")),
        after=st.booleans() if after else st.just(False),
        retry_after=st.sampled_from((None, 5, 700)),
    )


#: Who refuses has done nothing; of all else nobody knows whether it was done.
_spoilt = st.builds(
    Spoil,
    fault=_fault("400 401 403 429", after=False)
    | _fault("500 503 timeout reset garbage", after=True),
    there=_where,
)


def _often(*chances: tuple[int, st.SearchStrategy[Step]]) -> st.SearchStrategy[Step]:
    """Draw each so many times as often; `one_of` leaves out what it is given twice."""
    listed = [strategy for times, strategy in chances for _ in range(times)]
    return st.sampled_from(listed).flatmap(lambda strategy: strategy)


_step = _often(
    (10, _booked),
    (6, _changed),
    (3, _there),
    (3, _spoilt),
    (
        2,
        st.builds(
            Outage,
            peer=st.sampled_from((*VENUES, "stampede-0", "stampede-1")),
            seconds=st.sampled_from((2.0, 100.0, 1200.0, 20_000.0)),
        ),
    ),
    (1, st.builds(Crash, uses=st.integers(0, 25), after=st.booleans(), reboots=st.booleans())),
    (1, st.just(Restart())),
    (1, st.builds(SetClock, seconds=st.sampled_from((-7200.0, -600.0, -5.0, 5.0, 600.0, 7200.0)))),
    (1, st.builds(RevokeTokens, there=_where)),
    (1, st.just(RetryByHand())),
)
_pause = st.sampled_from((0.0, 0.0, 0.2, 1.0, 3.0, 30.0, 300.0, 1000.0, 5000.0))


def _first(venue: str, customer: str) -> st.SearchStrategy[Change]:
    return st.builds(
        Change,
        venue=st.just(venue),
        customer=st.just(customer),
        phone=_phone,
        email=st.sampled_from(EMAILS),
        minor=st.just(False),
        by_email=_consent,
        by_sms=_consent,
    )


def _told(venue: str, customer: str) -> st.SearchStrategy[list[tuple[Step, float]]]:
    """Let a guest change their mind, and ROLLER tell of a booking of theirs each time."""
    booked = st.builds(
        Book,
        venue=st.just(venue),
        booking=st.sampled_from(("b0", "b1")),
        customer=st.just(customer),
        amount=st.integers(10, 13),
    )
    changed = st.builds(
        Change,
        venue=st.just(venue),
        customer=st.just(customer),
        named_anew=st.booleans(),
        by_email=_consent,
        by_sms=_consent,
    )
    moment = st.sampled_from((0.0, 0.2, 3.0, 30.0))
    turn = st.tuples(
        st.tuples(_there | changed, moment),
        st.tuples(changed, st.just(0.0)),
        st.tuples(booked, moment),
    )
    return st.lists(turn, min_size=1, max_size=3).map(
        lambda turns: [step for one in turns for step in one]
    )


_any = st.lists(st.tuples(_step, _pause), max_size=8)
#: Lists of lists are longer on the average than lists, and lose several at a time when they shrink.
_steps = st.lists(
    st.one_of(_any, *(_told(*record) for record in RECORDS)), min_size=1, max_size=8
).map(lambda parts: tuple(step for part in parts for step in part))


_REGISTERS = Receiver(mode="registration")
#: Most often what most have: one Stampede for all venues.
_RECEIVERS = (
    *((Receiver(),) for _ in range(4)),
    *((Receiver(), Receiver()) for _ in range(2)),
    *((Receiver(), _REGISTERS) for _ in range(2)),
    (_REGISTERS,),
    (Receiver(venues=("venue-0",)), Receiver(venues=("venue-1",))),
    (Receiver(), Receiver(mode="registration", venues=("venue-0",))),
)


def cases() -> st.SearchStrategy[Case]:
    """Draw histories of some fifty steps at most."""
    return st.builds(
        Case,
        first_contact=st.sampled_from(("check", "trust")),
        receivers=st.sampled_from(_RECEIVERS),
        seed=st.integers(0, 3),
        guests=st.tuples(*(_first(*record) for record in RECORDS)),
        steps=_steps,
    )
