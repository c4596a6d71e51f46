"""What is true and what was told decide the next request, and nothing else does."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from pipeline.clock import SECOND, micros
from pipeline.destinations.stampede.mapping import StampedeMapper
from pipeline.errors import Reject, Retry, Skip
from pipeline.guest import FRESH, person
from pipeline.model import (
    COMPLETE,
    DeliveryKind,
    Facts,
    GuestConsent,
    Later,
    Minor,
    NeedsFresh,
    NeedsGuest,
    Nothing,
    Phase,
    Presence,
    Priority,
    Product,
    Send,
    Sighting,
    StatusTag,
    ToldBooking,
    ToldConsent,
    ToldGuest,
    Venue,
)
from pipeline.seal import Seal
from pipeline.transform import next_step, priority
from tests.fakes import NOON
from tests.unit.made import (
    NO,
    YES,
    booking,
    facts,
    guest,
    stampede_mapper,
    told_booking,
    told_guest,
)

BOOKING, GUEST, TAG = DeliveryKind.BOOKING, DeliveryKind.GUEST, DeliveryKind.TAG
CONSENT = DeliveryKind.CONSENT

_SEAL = Seal(b"k" * 32)
_MAPPER = stampede_mapper()


def _step(kind: DeliveryKind, known: Facts, detail: str = "") -> Any:
    return next_step(kind, detail, known, _MAPPER, _SEAL)


def _sent(kind: DeliveryKind, known: Facts, detail: str = "") -> Send:
    step = _step(kind, known, detail)
    assert isinstance(step, Send)
    return step


def _body(step: Send) -> Any:
    return msgspec.json.decode(step.request.body)


def _known_guest(**changes: Any) -> ToldGuest:
    """A guest who was told as `facts()` has them."""
    told = _sent(GUEST, facts()).told
    assert isinstance(told, ToldGuest)
    return msgspec.structs.replace(told, **({"remote_id": "g-1", "seen": None} | changes))


def _known_booking(known: Facts) -> ToldBooking:
    told = _sent(BOOKING, known).told
    assert isinstance(told, ToldBooking)
    return told


def test_a_booking_waits_for_its_guest() -> None:
    """Stampede's address of a booking holds the guest's id."""
    assert _step(BOOKING, facts()) == NeedsGuest()
    assert _step(TAG, facts(), "source") == NeedsGuest()


def test_a_guest_is_sent_once() -> None:
    """A returning guest costs no request of the hundred."""
    assert _sent(GUEST, facts()).request.path == "/v1/guests"
    assert _step(GUEST, facts(told_guest=_known_guest())) == Nothing()


def test_a_guest_whose_id_is_not_known_is_sent_again() -> None:
    """Without the id no booking can follow."""
    known = facts(told_guest=_known_guest())
    nameless = msgspec.structs.replace(known.told_guest or ToldGuest(), remote_id=None)
    assert isinstance(_step(GUEST, facts(told_guest=nameless)), Send)


def _seen(told: ToldGuest | None, presence: Presence | None = None, at: int = NOON) -> ToldGuest:
    """A guest whom the destination was asked about, and has as told or as `presence` says."""
    told = told or ToldGuest()
    if presence is None:
        consent = told.consent or ToldConsent(data=False, email=False, sms=False, behind={})
        presence = Presence(
            remote_id=told.remote_id, data=consent.data, email=consent.email, sms=consent.sms
        )
    return msgspec.structs.replace(told, seen=Sighting(presence=presence, at=at))


@pytest.mark.parametrize("change", [{"first": "Anne"}, {"phone": "0121 234 5678"}], ids=str)
def test_a_changed_guest_is_asked_for_and_sent_again(change: dict[str, Any]) -> None:
    """The call overwrites consent, so what the guest has there must be known first."""
    told = _known_guest(tags=("Online",))
    known = facts(told_guest=told, guest=guest(**change))
    asked = _sent(GUEST, known)
    assert (asked.request.method, asked.request.path) == ("GET", "/v1/guests/g-1")
    assert (asked.told, asked.more) == (told, True)
    there = Presence(remote_id="g-1", data=True, email=False, sms=True)
    sent = _sent(GUEST, facts(told_guest=_seen(told, there), guest=guest(**change)))
    assert _body(sent)["privacy"] == {"data": True, "marketing": {"email": False, "sms": True}}
    assert isinstance(sent.told, ToldGuest)
    assert (sent.told.remote_id, sent.told.tags) == ("g-1", ("Online",)), "the rest stays known"
    assert sent.told.seen is None, "the guest may unsubscribe the minute after"


def test_an_opt_out_is_sent_without_asking() -> None:
    """All that the call overwrites is what the guest has just said."""
    known = facts(
        told_guest=_known_guest(),
        guest=guest(consent=GuestConsent(email=NO)),
        guest_at=NOON - 10 * FRESH,
    )
    step = _sent(CONSENT, known)
    assert (step.request.method, step.more) == ("POST", False)
    assert set(_body(step)) == {"email", "privacy"}, "the rest may be old, or be refused"
    assert isinstance(_step(CONSENT, facts(told_guest=step.told, guest=known.guest)), Nothing)


def test_an_opt_out_is_sent_for_who_was_told_even_if_they_would_not_be_now() -> None:
    """Whoever turns out to be a child must not stay subscribed for that reason."""
    no = guest(consent=GuestConsent(email=NO), born=date(2015, 1, 1))
    assert _sent(CONSENT, facts(told_guest=_known_guest(), guest=no)).request.method == "POST"
    with pytest.raises(Skip, match="minor"):
        _step(GUEST, facts(told_guest=_known_guest(), guest=guest(born=no.born)))


def test_an_opt_out_waits_for_no_search_that_goes_on() -> None:
    """All of it is said, so nothing that is there has to be found."""
    told = _seen(_known_guest(), Presence(remote_id=None, cursor="c-2", pages=4))
    no = guest(consent=GuestConsent(email=NO))
    assert _sent(CONSENT, facts(told_guest=told, guest=no)).request.method == "POST"


def test_a_guest_who_changes_and_opts_out_is_told_of_both() -> None:
    """First what must not wait, and then the rest."""
    known = facts(
        told_guest=_known_guest(), guest=guest(first="Anne", consent=GuestConsent(email=NO))
    )
    first = _sent(GUEST, known)
    assert (set(_body(first)), first.more) == ({"email", "privacy"}, True)
    second = _sent(GUEST, msgspec.structs.replace(known, told_guest=_seen_again(first.told)))
    assert (_body(second)["first"], second.more) == ("Anne", False)


def _seen_again(told: Any) -> ToldGuest:
    return _seen(told)


def test_a_guest_who_may_have_been_told_is_told_again() -> None:
    """Whoever changes back while nobody knows what was heard must not stay as they were."""
    told = _known_guest()
    assert told.consent is not None
    lost = msgspec.structs.replace(told, payload_hash=None, maybe={"": told.consent})
    step = _sent(GUEST, facts(told_guest=_seen(lost)))
    assert (step.request.method, step.told) == ("POST", told)


def test_consent_that_was_told_is_told_on() -> None:
    """The memory of what the guest said goes with every request."""
    told = _seen(_known_guest())
    silent = guest(first="Anne", consent=GuestConsent())
    again = _sent(GUEST, facts(guest=silent, told_guest=told))
    assert _body(again)["privacy"]["marketing"]["email"] is True
    assert isinstance(again.told, ToldGuest)
    assert again.told.consent is not None
    assert [said.email for said in again.told.consent.behind.values()] == [YES]


@pytest.mark.parametrize(
    ("spacing", "age", "asks"),
    [(9, 900, False), (9, 901, True), (901, 950, False), (901, 962, True), (7200, 7260, False)],
)
def test_what_a_destination_said_lasts_until_the_next_request_may_go(
    spacing: int, age: int, *, asks: bool
) -> None:
    """And else for a quarter of an hour, in which a guest may change their mind there."""
    told = _seen(_known_guest(payload_hash="of before"), at=NOON - age * SECOND)
    step = _sent(GUEST, facts(told_guest=told, spacing=spacing * SECOND))
    assert step.request.method == ("GET" if asks else "POST")


@pytest.mark.parametrize("wary", [False, True])
@pytest.mark.parametrize("mode", ["check", "trust"])
def test_a_new_guest_is_looked_up_unless_all_that_is_known_is_to_be_trusted(
    mode: str, wary: bool
) -> None:
    """A backfill's yes may be years old."""
    mapper = stampede_mapper(first_contact=mode)
    step = next_step(GUEST, "", facts(wary=wary), mapper, _SEAL)
    assert isinstance(step, Send)
    if mode == "trust" and not wary:
        assert step.request.method == "POST"
    else:
        assert (step.request.method, step.request.path) == ("GET", "/v1/guests")
        assert step.request.query == "search=anna%40example.com"


def test_a_list_is_read_on_where_the_guest_is_not_on_the_first_page_and_not_for_ever() -> None:
    """What a search matches is not documented, so all of a common name may be in it."""
    mapper = stampede_mapper(first_contact="check")
    page = Presence(remote_id=None, cursor="c/2", pages=3)
    step = next_step(GUEST, "", facts(told_guest=_seen(None, page)), mapper, _SEAL)
    assert isinstance(step, Send)
    assert step.request.query == "search=anna%40example.com&cursor=c%2F2"
    page = msgspec.structs.replace(page, pages=4)
    with pytest.raises(Reject, match="first 4 pages"):
        next_step(GUEST, "", facts(told_guest=_seen(None, page)), mapper, _SEAL)


@pytest.mark.parametrize(("age", "method"), [(0, "POST"), (FRESH, "POST"), (FRESH + 1, "GET")])
def test_what_the_destination_said_is_asked_again_when_it_is_old(age: int, method: str) -> None:
    """The guest may have unsubscribed there while the request waited for its slot."""
    told = _seen(_known_guest(), at=NOON - age)
    step = _sent(GUEST, facts(told_guest=told, guest=guest(first="Anne")))
    assert step.request.method == method


@pytest.mark.parametrize(
    ("age", "fresh"), [(0, True), (FRESH, True), (FRESH + 1, False), (-1, False), (None, False)]
)
def test_a_guest_is_sent_only_as_fetched_within_a_quarter_of_an_hour(
    age: int | None, fresh: bool
) -> None:
    """Whoever changed their mind since must not get what they said before.

    Nor is a guest fresh who was fetched in what is now the future, for then the clock was set.
    """
    known = facts(guest_at=None if age is None else NOON - age)
    assert isinstance(_step(GUEST, known), Send if fresh else NeedsFresh)


def test_bookings_and_tags_need_no_fresh_guest() -> None:
    """They say nothing of the guest but the id."""
    known = facts(told_guest=_known_guest(), guest_at=None)
    assert isinstance(_step(BOOKING, known), Send)
    assert isinstance(_step(TAG, known, "source"), Send)
    assert isinstance(_step(GUEST, known), Nothing), "nor does a guest of whom nothing is sent"


def test_a_booking_is_sent_to_its_guest_and_once() -> None:
    """A webhook that says nothing new costs nothing."""
    known = facts(told_guest=told_guest())
    step = _sent(BOOKING, known)
    assert step.request.path == "/v1/guests/g-1/booking"
    assert not step.more
    assert _step(BOOKING, facts(told_guest=told_guest(), told_booking=step.told)) == Nothing()


@pytest.mark.parametrize(
    "change",
    [
        {"booking": booking(status="PartiallyPaid")},
        {"booking": booking(phase=Phase.CANCELLED)},
        {"occurred_at": facts().now + 1_000_000},
        {"venue": Venue(timezone="Europe/London", currency="EUR", country="GB")},
    ],
    ids=["status", "cancelled", "later event", "currency of the venue"],
)
def test_a_changed_booking_is_sent_again(change: dict[str, Any]) -> None:
    """The newest truth wins, a changed configuration included."""
    known = facts(told_guest=told_guest())
    told = _known_booking(known)
    assert isinstance(
        _step(BOOKING, msgspec.structs.replace(known, told_booking=told, **change)), Send
    )


def test_a_cancelled_booking_is_told_as_cancelled() -> None:
    """The desk must not wait for anyone."""
    known = facts(booking=booking(phase=Phase.CANCELLED), told_guest=told_guest())
    step = _sent(BOOKING, known)
    assert _body(step)["status"] == "cancelled"
    assert isinstance(step.told, ToldBooking)
    assert step.told.cancelled


def test_a_booking_that_changes_hands_is_cancelled_where_it_was_and_made_where_it_is() -> None:
    """Otherwise two guests would be reminded of one visit."""
    known = facts(
        told_guest=told_guest("g-2"), told_booking=told_booking("g-1", customer="another")
    )
    first = _sent(BOOKING, known)
    assert (first.request.path, first.more) == ("/v1/guests/g-1/booking", True)
    assert _body(first)["status"] == "cancelled"
    second = _sent(BOOKING, msgspec.structs.replace(known, told_booking=first.told))
    assert (second.request.path, second.more) == ("/v1/guests/g-2/booking", False)
    assert _body(second)["status"] == "active"
    done = msgspec.structs.replace(known, told_booking=second.told)
    assert _step(BOOKING, done) == Nothing()


@pytest.mark.parametrize("change", [{"email": None}, {"born": date(2015, 1, 1)}], ids=str)
def test_a_booking_that_goes_to_someone_who_is_not_told_is_cancelled_where_it_was(
    change: dict[str, Any],
) -> None:
    """Whoever gave it away must not be reminded of it, whoever has it now."""
    known = facts(guest=guest(**change), told_booking=told_booking("g-1", customer="another"))
    step = _sent(BOOKING, known)
    assert (step.request.path, _body(step)["status"]) == ("/v1/guests/g-1/booking", "cancelled")
    with pytest.raises(Skip):
        _step(BOOKING, msgspec.structs.replace(known, told_booking=step.told))


def test_a_booking_stays_with_its_guest_when_only_the_email_changes() -> None:
    """A new e-mail is a new guest at the destination; the old one keeps what it has."""
    known = facts(told_guest=told_guest("g-2"), told_booking=told_booking("g-1"))
    step = _sent(BOOKING, known)
    assert (step.request.path, step.more) == ("/v1/guests/g-2/booking", False)


@pytest.mark.parametrize("change", [{"email": None}, {"born": date(2015, 1, 1)}], ids=str)
def test_a_cancellation_reaches_whoever_was_told_of_the_booking(change: dict[str, Any]) -> None:
    """A guest who lost the e-mail address still has the reminder waiting."""
    gone = booking(phase=Phase.CANCELLED)
    known = facts(booking=gone, guest=guest(**change), told_booking=told_booking("g-1"))
    step = _sent(BOOKING, known)
    assert (step.request.path, _body(step)["status"]) == ("/v1/guests/g-1/booking", "cancelled")


def test_a_booking_that_loses_its_customer_is_cancelled_there() -> None:
    """The guest who held it holds it no more, and nobody else does."""
    nobodys = booking(customer=None)
    known = facts(booking=nobodys, guest=None, told_booking=told_booking("g-1"))
    step = _sent(BOOKING, known)
    assert (step.request.path, step.more) == ("/v1/guests/g-1/booking", False)
    assert _body(step)["status"] == "cancelled"
    with pytest.raises(Skip, match="no customer"):
        _step(BOOKING, msgspec.structs.replace(known, told_booking=step.told))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"booking": None}, "erased"),
        ({"booking": booking(phase=Phase.DRAFT)}, "draft"),
        ({"booking": booking(customer=None)}, "no customer"),
        ({"guest": None}, "customer not known"),
        ({"guest": guest(email=None)}, "no e-mail"),
        ({"guest": guest(email="anna@")}, "unusable e-mail"),
        ({"guest": guest(born=date(2015, 1, 1))}, "minor"),
    ],
    ids=["no booking", "draft", "no customer", "no guest", "no e-mail", "bad e-mail", "minor"],
)
@pytest.mark.parametrize("kind", [BOOKING, TAG], ids=str)
def test_what_is_not_for_a_destination_is_skipped_with_the_reason(
    kind: DeliveryKind, change: dict[str, Any], reason: str
) -> None:
    """`explain` shows it to whoever misses the booking."""
    with pytest.raises(Skip) as caught:
        _step(kind, facts(told_guest=told_guest(), **change), "source")
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("zone", "hour", "minor"),
    [("Pacific/Auckland", 12, False), ("Europe/London", 12, True), ("Europe/London", 0, True)],
)
def test_the_birthday_is_the_venues(zone: str, hour: int, minor: bool) -> None:
    """A guest comes of age by the calendar on the venue's wall, not by ours."""
    now = micros(datetime(2026, 11, 20, hour, tzinfo=UTC))
    venue = Venue(timezone=zone, currency="GBP", country="GB")
    known = facts(now=now, guest_at=now, venue=venue, guest=guest(born=date(2008, 11, 21)))
    if minor:
        with pytest.raises(Skip, match="minor"):
            _step(GUEST, known)
    else:
        assert isinstance(_step(GUEST, known), Send)


def test_a_venue_may_take_minors_where_it_says_so() -> None:
    """`adults_only = false` is the operator's decision."""
    known = facts(adults_only=False, guest=guest(born=date(2015, 1, 1)))
    assert isinstance(_step(GUEST, known), Send)


@pytest.mark.parametrize("adults_only", [True, False])
@pytest.mark.parametrize("kind", [BOOKING, GUEST, TAG], ids=str)
def test_whom_a_waiver_calls_a_minor_is_told_nowhere(kind: DeliveryKind, adults_only: bool) -> None:
    """Whatever the venue decides about ages, and whatever the guest's own record lacks."""
    child = guest(born=None)
    known = facts(adults_only=adults_only, guest=child, minor=Minor(), told_guest=told_guest())
    with pytest.raises(Skip, match="minor"):
        _step(kind, known, "source")
    grown = Minor(born=date(1990, 1, 1))
    assert isinstance(_step(kind, msgspec.structs.replace(known, minor=grown), "source"), Send)


def test_a_minor_who_was_told_is_still_opted_out() -> None:
    """That is all that is ever sent of one."""
    no = guest(consent=GuestConsent(email=NO))
    known = facts(told_guest=_known_guest(), guest=no, minor=Minor())
    assert set(_body(_sent(CONSENT, known))) == {"email", "privacy"}


_END = micros(datetime(2026, 5, 31, 18, 30, tzinfo=UTC))
_CAME = _END - 3_600_000_000
_BOTH = stampede_mapper(visit_updates=("complete", "arrived"))
_NEITHER = stampede_mapper(visit_updates=())


def _shown(now: int, mapper: StampedeMapper = _MAPPER, detail: str = "", **known: Any) -> Any:
    """Give the status that a booking is told with."""
    told = facts(told_guest=told_guest(), now=now, guest_at=now, **known)
    step = next_step(BOOKING, detail, told, mapper, _SEAL)
    return _body(step)["status"] if isinstance(step, Send) else step


@pytest.mark.parametrize(
    ("mapper", "before", "there", "over"),
    [
        (_MAPPER, "active", "active", "complete"),
        (_BOTH, "active", "arrived", "complete"),
        (stampede_mapper(visit_updates=("arrived",)), "active", "arrived", "arrived"),
        (_NEITHER, "active", "active", "active"),
    ],
)
def test_a_booking_says_how_far_the_visit_has_come_whatever_it_is_told_for(
    mapper: StampedeMapper, before: str, there: str, over: str
) -> None:
    """A refund after the visit must not make it one that is still to come."""
    assert _shown(_END, mapper) == before, "nobody came, so it stays as it was"
    assert _shown(_END - 1, mapper, visited_at=_CAME) == there
    assert _shown(_END, mapper, visited_at=_CAME) == over
    gone = booking(phase=Phase.CANCELLED)
    assert _shown(_END, mapper, visited_at=_CAME, booking=gone) == "cancelled"


def test_the_end_of_a_visit_is_told_when_it_has_come() -> None:
    """The session may have been moved since somebody came."""
    assert _shown(_END - 1, detail=COMPLETE, visited_at=_CAME) == Later(at=_END)
    assert _shown(_END, detail=COMPLETE, visited_at=_CAME) == "complete"
    gone = booking(phase=Phase.CANCELLED)
    assert _shown(_END - 1, detail=COMPLETE, visited_at=_CAME, booking=gone) == "cancelled"
    with pytest.raises(Skip, match="minor"):
        _shown(_END, detail=COMPLETE, visited_at=_CAME, minor=Minor(), guest=guest(born=None))


def test_what_was_told_of_a_visit_already_is_not_told_again() -> None:
    """A change of the booking after the visit has told it along the way."""
    step = _sent(BOOKING, facts(told_guest=told_guest(), now=_END, guest_at=_END, visited_at=_CAME))
    assert isinstance(step.told, ToldBooking)
    assert _shown(_END, detail=COMPLETE, visited_at=_CAME, told_booking=step.told) == Nothing()


def test_no_visit_is_told_in_mode_registration() -> None:
    """It would register the booking once more."""
    mapper = stampede_mapper(mode="registration", registration_path="/r")
    step = _shown(_END, mapper, COMPLETE, visited_at=_CAME)
    assert step == Nothing(reason="visits are not told in mode registration")
    assert mapper.visit_updates == ()


@pytest.mark.parametrize("kind", [BOOKING, GUEST, TAG], ids=str)
def test_while_the_venue_is_not_known_all_waits(kind: DeliveryKind) -> None:
    """Without currency, zone and country every word of a booking would be a guess."""
    with pytest.raises(Retry, match="venue"):
        _step(kind, facts(venue=None, told_guest=told_guest()), "source")


def test_an_amount_that_cannot_be_told_rejects_before_the_guest_is_told() -> None:
    """It must not cost a request to find out."""
    with pytest.raises(Reject, match="finer"):
        _step(BOOKING, facts(booking=booking(total=Decimal("1.005"))))


@pytest.mark.parametrize(("role", "name"), [("source", "Online"), ("channel", "Consumer")])
def test_a_tag_is_told_once(role: str, name: str) -> None:
    """One request each, so never twice."""
    step = _sent(TAG, facts(told_guest=told_guest(tags=("VIP",))), role)
    assert (step.request.method, _body(step)) == ("PUT", {"name": name})
    assert isinstance(step.told, ToldGuest)
    assert step.told.tags == ("VIP", name)
    assert _step(TAG, facts(told_guest=told_guest(tags=(name,))), role) == Nothing()


def test_what_a_booking_does_not_say_makes_no_tag() -> None:
    """ROLLER omits what is not set."""
    known = facts(booking=booking(channel=None), told_guest=told_guest())
    assert _step(TAG, known, "channel") == Nothing()


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (facts(), Priority.NEW),
        (facts(told_booking=told_booking()), Priority.CHANGED),
        (
            facts(booking=booking(phase=Phase.CANCELLED), told_booking=told_booking()),
            Priority.NEW,
        ),
        (facts(booking=None, told_booking=told_booking()), Priority.CHANGED),
    ],
    ids=["new", "changed", "cancelled", "erased"],
)
def test_new_and_cancelled_bookings_go_before_changed_ones(known: Facts, expected: int) -> None:
    """The confirmation is what a guest waits for."""
    assert priority(known) == expected


def test_a_person_is_the_normalised_email() -> None:
    """Two venues' customers with one address are one guest at the destination."""
    assert person(guest(), _SEAL) == person(guest(customer="2", email=" ANNA@example.com "), _SEAL)
    assert person(guest(), _SEAL) != person(guest(email="bea@example.com"), _SEAL)
    assert person(guest(email="anna@"), _SEAL) is None
    assert person(None, _SEAL) is None


def _status(name: str | None, at: int, told: ToldGuest) -> Any:
    """The next step of the status tag, of a booking with this status since then."""
    return _step(
        TAG, facts(booking=booking(status=name), occurred_at=at, told_guest=told), "status"
    )


def test_a_changed_status_takes_the_place_of_the_one_before() -> None:
    """A booking that is paid is not unpaid any more, and a segment must not have it in both."""
    first = _status("Unpaid", 1, told_guest(tags=("VIP",)))
    assert (first.request.method, _body(first)) == ("PUT", {"name": "Unpaid"})
    assert first.told.status == StatusTag(name="Unpaid", as_of=1)
    assert _status("Unpaid", 2, first.told) == Nothing()
    gone = _status("Paid", 2, first.told)
    assert (gone.request.method, gone.request.path, gone.more) == (
        "DELETE",
        "/v1/guests/g-1/tags/by-name",
        True,
    )
    assert _body(gone) == {"tag_name": "Unpaid"}
    assert _status("Old", 1, gone.told) == Nothing(reason="a newer booking's status stands")
    there = _status("Paid", 2, gone.told)
    assert (there.request.method, _body(there), there.more) == ("PUT", {"name": "Paid"}, False)
    assert there.told.tags == ("VIP",), "a tag that stays is no status"


def test_the_status_of_the_guests_newest_event_stands() -> None:
    """A guest has several bookings, and their tags come late and out of order."""
    told = told_guest(status=StatusTag(name="Paid", as_of=5))
    assert _status("Unpaid", 4, told) == Nothing(reason="a newer booking's status stands")
    same = facts(booking=booking(status="Paid"), occurred_at=9, told_guest=told)
    learnt = _sent(BOOKING, same).guest
    assert learnt is not None
    assert learnt.status == StatusTag(name="Paid", as_of=9), "no request is needed to note it"
    assert _status("Unpaid", 8, learnt) == Nothing(reason="a newer booking's status stands")


def test_a_tag_that_another_role_has_set_stays() -> None:
    """Only what was set as a status gives way, and a booking without one takes nothing away."""
    told = told_guest(tags=("Paid",), status=StatusTag(name="Paid", as_of=1))
    step = _status("Unpaid", 2, told)
    assert (step.request.method, _body(step)) == ("PUT", {"name": "Unpaid"})
    assert _status(None, 2, told) == Nothing()


def test_nobody_is_opted_out_who_is_not_there() -> None:
    """They left, and an opt-out would make them anew, without a name."""
    gone = _seen(_known_guest(), Presence(remote_id=None))
    gone = msgspec.structs.replace(gone, remote_id=None, payload_hash=None)
    no = facts(told_guest=gone, guest=guest(consent=GuestConsent(email=NO)))
    assert _step(CONSENT, no) == Nothing(reason="the destination has nobody to opt out")
    made = _sent(GUEST, no)
    assert (_body(made)["first"], _body(made)["privacy"]["data"]) == ("Anna", False)
    assert isinstance(_step(GUEST, msgspec.structs.replace(no, guest_at=None)), NeedsFresh)
    registering = stampede_mapper(mode="registration", registration_path="/r")
    step = next_step(BOOKING, "", no, registering, _SEAL)
    assert isinstance(step, Send), "nor does a registration wait for that"
    assert step.request.once


def test_a_guest_whom_an_opt_out_made_anew_gets_their_name_with_it() -> None:
    """The destination had them no more, and gave them another id."""
    known = _known_guest(payload_hash=None)
    assert isinstance(_step(CONSENT, facts(told_guest=known)), Send)
    assert isinstance(_step(CONSENT, facts(told_guest=_known_guest())), Nothing)


_JUMP = Product(id="7158455", name="Adult", parent="Open Jump")
_SOCKS = Product(id="7158455", name="Large", parent="Grip Socks", admits=False)


def test_a_booking_goes_as_the_catalogue_has_it() -> None:
    """The name of what is visited, and nobody for an add-on."""
    told = {"told_guest": told_guest()}
    assert "type" not in _body(_sent(BOOKING, facts(**told)))
    named = _body(_sent(BOOKING, facts(**told, products={_JUMP.id: _JUMP})))
    assert (named["type"], named["party_size"]) == ("Open Jump", 3)
    only = _body(_sent(BOOKING, facts(**told, products={_SOCKS.id: _SOCKS})))
    assert (only["type"], only["party_size"]) == ("Grip Socks", 1)


def test_a_name_that_becomes_known_or_changes_is_no_news_by_itself() -> None:
    """The first reading of the catalogue would else have every booking told again."""
    without = facts(told_guest=told_guest())
    told = _known_booking(without)
    for product in (_JUMP, _SOCKS):
        named = msgspec.structs.replace(without, products={product.id: product})
        assert _known_booking(named) == told
        assert _step(BOOKING, msgspec.structs.replace(named, told_booking=told)) == Nothing()


def test_the_name_goes_with_the_bookings_next_change() -> None:
    """So in the end it is right everywhere that something still happens."""
    told = _known_booking(facts(told_guest=told_guest()))
    later = facts(
        told_guest=told_guest(),
        told_booking=told,
        occurred_at=NOON + 1_000_000,
        products={_JUMP.id: _JUMP},
    )
    assert _body(_sent(BOOKING, later))["type"] == "Open Jump"
