"""A booking is registered once for ever, with the vendor's field table and no other call."""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from pipeline.clock import micros
from pipeline.destinations.stampede.mapping import StampedeMapper
from pipeline.destinations.stampede.settings import ConsentSettings
from pipeline.errors import Reject, Retry, Skip, UnknownOutcome
from pipeline.model import (
    Consent,
    DeliveryKind,
    Facts,
    GuestConsent,
    NeedsGuest,
    Nothing,
    Phase,
    Presence,
    Send,
    Sighting,
    ToldBooking,
    ToldConsent,
    ToldGuest,
    Venue,
)
from pipeline.seal import Seal
from pipeline.transform import next_step
from tests.fakes import NOON
from tests.unit.made import (
    NO,
    UNKNOWN,
    YES,
    booking,
    facts,
    guest,
    stampede_mapper,
    told_booking,
    told_guest,
)

BOOKING, GUEST, TAG = DeliveryKind.BOOKING, DeliveryKind.GUEST, DeliveryKind.TAG

_SEAL = Seal(b"k" * 32)
_WHOLE = {
    "source": "booking",
    "first": "Anna",
    "last": "Example",
    "email": "anna@example.com",
    "phone": "+447400123456",
    "dataOptIn": True,
    "smsOptIn": True,
    "emailOptIn": True,
    "penny_value": 35_064,
    "createdAt": "2026-05-30T23:05:55.173Z",
    "serials": ["A1B2C3D4E5F6"],
    "tags": ["Online", "Consumer", "Paid"],
    "currency": "GBP",
}


def _mapper(**changes: Any) -> StampedeMapper:
    return stampede_mapper(mode="registration", registration_path="/registration", **changes)


_MAPPER, _API = _mapper(), stampede_mapper()


def _step(kind: DeliveryKind, known: Facts, *, mapper: StampedeMapper = _MAPPER) -> Any:
    return next_step(kind, "source" if kind is TAG else "", known, mapper, _SEAL)


def _sent(kind: DeliveryKind, known: Facts, *, mapper: StampedeMapper = _MAPPER) -> Send:
    step = _step(kind, known, mapper=mapper)
    assert isinstance(step, Send)
    return step


def _body(known: Facts, mapper: StampedeMapper = _MAPPER) -> Any:
    return msgspec.json.decode(_sent(BOOKING, known, mapper=mapper).request.body)


def _after(known: Facts, step: Send) -> Facts:
    """Give the facts once the registration has succeeded."""
    assert isinstance(step.told, ToldBooking)
    return msgspec.structs.replace(known, told_booking=step.told, told_guest=step.guest)


def _consents(*, data: bool, email: bool, sms: bool) -> ToldConsent:
    said = GuestConsent(email=YES if email else NO, sms=YES if sms else NO)
    behind = {f"leeds/{guest().customer}": said}
    return ToldConsent(data=data, email=email, sms=sms, behind=behind)


def test_a_registration_has_exactly_the_fields_of_the_table() -> None:
    """Stampede's own integration sends these and no others."""
    request = _sent(BOOKING, facts()).request
    assert (request.method, request.path, request.once) == ("POST", "/registration", True)
    assert msgspec.json.decode(request.body) == _WHOLE


@pytest.mark.parametrize(
    ("change", "absent"),
    [
        ({"guest": guest(first=None)}, "first"),
        ({"guest": guest(last=" ")}, "last"),
        ({"guest": guest(phone="0123")}, "phone"),
        ({"booking": booking(total=None)}, "penny_value"),
        ({"booking": booking(created_at=None)}, "createdAt"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_not_known_is_left_out(change: dict[str, Any], absent: str) -> None:
    """A null could overwrite what Stampede knows."""
    assert _body(facts(**change)) == {k: v for k, v in _WHOLE.items() if k != absent}


@pytest.mark.parametrize(
    ("currency", "total", "pennies"),
    [("GBP", "0.10", 10), ("JPY", "1200", 1200), ("KWD", "1.005", 1005), ("EUR", "0", 0)],
)
def test_the_value_is_in_minor_units_of_the_venues_currency(
    currency: str, total: str, pennies: int
) -> None:
    """Stampede's own integration takes every venue to be in Britain."""
    venue = Venue(timezone="Europe/London", currency=currency, country="GB")
    body = _body(facts(venue=venue, booking=booking(total=Decimal(total))))
    assert (body["penny_value"], body["currency"]) == (pennies, currency)


@pytest.mark.parametrize(
    ("roles", "change", "tags"),
    [
        (("source", "channel", "status"), {"channel": "Online"}, ["Online", "Paid"]),
        (("source", "channel", "status"), {"origin": None, "channel": None}, ["Paid"]),
        (("status",), {}, ["Paid"]),
        (("status",), {"status": None}, []),
        ((), {}, []),
    ],
)
def test_tags_are_a_list_of_what_is_configured_and_known(
    roles: Any, change: dict[str, Any], tags: list[str]
) -> None:
    """One name is one tag, however many roles say it; none is an empty list."""
    assert _body(facts(booking=booking(**change)), _mapper(tags=roles))["tags"] == tags


@pytest.mark.parametrize(
    ("email", "sms", "expected"),
    [
        (YES, YES, (True, True, True)),
        (YES, NO, (True, False, True)),
        (YES, UNKNOWN, (True, True, True)),
        (NO, YES, (False, True, False)),
        (NO, UNKNOWN, (False, False, False)),
        (UNKNOWN, UNKNOWN, (False, False, False)),
    ],
)
def test_a_first_registration_has_the_consent_by_the_rules_of_mode_api(
    email: Consent, sms: Consent, expected: tuple[bool, ...]
) -> None:
    """The mode changes what is called, not what a guest has agreed to."""
    known = facts(guest=guest(consent=GuestConsent(email=email, sms=sms)))
    body = _body(known)
    assert tuple(body[f"{c}OptIn"] for c in ("data", "sms", "email")) == expected
    in_api = _sent(GUEST, known, mapper=_API).told
    told = _sent(BOOKING, known).guest
    assert isinstance(in_api, ToldGuest)
    assert told is not None
    assert told.consent == in_api.consent


def test_the_configuration_decides_which_consent_feeds_which() -> None:
    """Also here."""
    asked = ConsentSettings(data="never", email="email", sms="sms")
    body = _body(facts(), _mapper(consent=asked))
    assert [body[f"{c}OptIn"] for c in ("data", "sms", "email")] == [False, False, True]


def test_a_later_registration_repeats_consent_and_sends_what_was_given_since() -> None:
    """An absent flag takes nothing back, and a new yes is sent."""
    told = told_guest(consent=_consents(data=True, email=True, sms=False))
    silent = facts(told_guest=told, guest=guest(consent=GuestConsent()))
    asked = _sent(BOOKING, silent)
    assert (asked.request.method, asked.more) == ("GET", True)
    there = Presence(remote_id="g-1", data=True, email=True, sms=False)
    told = msgspec.structs.replace(told, seen=Sighting(presence=there, at=NOON))
    silent = facts(told_guest=told, guest=guest(consent=GuestConsent()))
    assert [_body(silent)[f"{c}OptIn"] for c in ("data", "sms", "email")] == [True, False, True]
    given = facts(told_guest=told, guest=guest(consent=GuestConsent(email=YES, sms=YES)))
    assert [_body(given)[f"{c}OptIn"] for c in ("data", "sms", "email")] == [True, True, True]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"booking": booking(status="PartiallyPaid")},
        {"booking": booking(phase=Phase.CANCELLED)},
        {"booking": booking(customer=None)},
        {"booking": booking(customer="another"), "guest": guest(customer="another")},
        {"guest": guest(email="new@example.com"), "told_guest": None},
        {"guest": guest(email=None)},
        {"occurred_at": facts().now + 1_000_000},
    ],
    ids=["nothing", "status", "cancelled", "nobody's", "another's", "e-mail", "no e-mail", "later"],
)
def test_what_is_registered_is_never_registered_again(change: dict[str, Any]) -> None:
    """Each call counts a visit."""
    known = facts()
    known = msgspec.structs.replace(_after(known, _sent(BOOKING, known)), **change)
    assert _step(BOOKING, known) == Nothing(reason="already registered")


def test_what_was_told_by_the_other_mode_is_not_registered() -> None:
    """Its visit is known to Stampede."""
    known = facts(told_guest=told_guest(), told_booking=told_booking())
    assert _step(BOOKING, known) == Nothing(reason="already registered")


def test_what_may_be_registered_is_left_to_a_person() -> None:
    """Whatever has changed since: one call too many counts a visit that was none."""
    doubt = told_booking(in_doubt=True)
    for one in (booking(), booking(phase=Phase.CANCELLED), booking(customer=None)):
        with pytest.raises(UnknownOutcome) as caught:
            _step(BOOKING, facts(told_booking=doubt, booking=one))
        assert caught.value.reason == "unknown outcome"


def test_what_is_cancelled_before_it_was_registered_is_not() -> None:
    """A visit that does not happen would be counted, and the guest thanked for booking."""
    with pytest.raises(Skip, match="cancelled before it was registered"):
        _step(BOOKING, facts(booking=booking(phase=Phase.CANCELLED)))


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
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_whoever_is_not_told_is_skipped_for_the_same_reasons(
    change: dict[str, Any], reason: str
) -> None:
    """`explain` shows it to whoever misses the booking."""
    for mapper in (_MAPPER, _API):
        with pytest.raises(Skip) as caught:
            _step(BOOKING, facts(**change), mapper=mapper)
        assert caught.value.reason == reason


def test_what_cannot_be_told_yet_or_at_all_says_so() -> None:
    """As in mode api."""
    with pytest.raises(Retry, match="venue"):
        _step(BOOKING, facts(venue=None))
    with pytest.raises(Reject, match="finer"):
        _step(BOOKING, facts(booking=booking(total=Decimal("1.005"))))


@pytest.mark.parametrize("channel", ["data", "email", "sms"])
def test_a_consent_that_was_withdrawn_goes_by_a_call_of_its_own_and_first(channel: str) -> None:
    """Whether a registration takes an opt-in back is not documented."""
    told = {"data": False, "email": False, "sms": False, channel: True}
    known = facts(
        told_guest=told_guest(consent=_consents(**told)),
        guest=guest(consent=GuestConsent(email=NO, sms=NO)),
    )
    if channel == "data":  # e-mail consent feeds it, which this guest had given then
        said = {f"leeds/{guest().customer}": GuestConsent(email=YES, sms=NO)}
        consent = ToldConsent(data=True, email=False, sms=False, behind=said)
        known = msgspec.structs.replace(known, told_guest=told_guest(consent=consent))
    assert _step(BOOKING, known) == NeedsGuest()
    assert known.told_guest is not None
    there = Presence(remote_id="g-1", data=told["data"], email=told["email"], sms=told["sms"])
    seen = msgspec.structs.replace(known.told_guest, seen=Sighting(presence=there, at=NOON))
    known = msgspec.structs.replace(known, told_guest=seen)
    step = _sent(GUEST, known)
    assert (step.request.path, step.request.once) == ("/v1/guests", False)
    privacy = msgspec.json.decode(step.request.body)["privacy"]
    assert privacy == {"data": False, "marketing": {"email": False, "sms": False}}
    assert isinstance(step.told, ToldGuest)
    done = msgspec.structs.replace(known, told_guest=step.told)
    assert isinstance(_step(BOOKING, done), Send), "the registration goes on, and does not loop"
    assert isinstance(_step(GUEST, done), Nothing)


@pytest.mark.parametrize(
    "told",
    [None, ToldGuest(), told_guest(consent=_consents(data=False, email=False, sms=False))],
    ids=["nothing", "no consent", "no"],
)
def test_nothing_else_of_a_guest_has_a_call_of_its_own(told: ToldGuest | None) -> None:
    """A registration carries the rest, and each call is taken from the allowance."""
    yes = guest(consent=GuestConsent(email=YES, sms=YES))
    for one in (yes, guest(consent=GuestConsent(email=NO))):
        step = _step(GUEST, facts(told_guest=told, guest=one))
        assert step == Nothing(reason="goes with the registration")


def test_tags_go_with_the_registration() -> None:
    """Three requests fewer; those of a booking told in mode api are still owed."""
    assert _step(TAG, facts()) == Nothing(reason="goes with the registration")
    assert _step(TAG, facts(told_guest=told_guest())) == Nothing(
        reason="goes with the registration"
    )
    owed = facts(told_guest=told_guest(), told_booking=told_booking())
    assert isinstance(_step(TAG, owed), Send)


def test_mode_api_knows_what_was_registered() -> None:
    """What is unchanged is told; a change goes by `event_id`, to a guest who is told for that."""
    known = facts()
    known = _after(known, _sent(BOOKING, known))
    assert _step(BOOKING, known, mapper=_API) == Nothing()
    changed = msgspec.structs.replace(known, booking=booking(phase=Phase.CANCELLED))
    assert _step(BOOKING, changed, mapper=_API) == NeedsGuest()
    step = _sent(GUEST, changed, mapper=_API)
    assert isinstance(step.told, ToldGuest)
    there = msgspec.structs.replace(step.told, remote_id="g-1")
    changed = msgspec.structs.replace(changed, told_guest=there)
    request = _sent(BOOKING, changed, mapper=_API).request
    assert (request.path, request.once) == ("/v1/guests/g-1/booking", False)
    assert isinstance(_step(TAG, changed, mapper=_API), Nothing), "the registration has set it"


def test_mode_api_tells_what_may_be_registered_for_it_is_an_upsert_there() -> None:
    """The doubt was of counting twice."""
    doubt = ToldBooking(guest=None, customer=guest().customer, payload_hash="x", in_doubt=True)
    known = facts(told_guest=told_guest(), told_booking=doubt)
    told = _sent(BOOKING, known, mapper=_API).told
    assert isinstance(told, ToldBooking)
    assert (told.guest, told.in_doubt) == ("g-1", False)


@pytest.mark.parametrize("same", [True, False], ids=["same", "changed"])
def test_a_returning_guests_next_call_in_mode_api_is_spared_only_if_nothing_changed(
    same: bool,
) -> None:
    """A registration may have changed the name since the last guest call."""
    told = _sent(GUEST, facts(), mapper=_API).told
    assert isinstance(told, ToldGuest)
    told = msgspec.structs.replace(told, remote_id="g-1")
    person = guest() if same else guest(first="Anne")
    there = Presence(remote_id="g-1", data=True, email=True, sms=True)
    told = msgspec.structs.replace(told, seen=Sighting(presence=there, at=NOON))
    after = _sent(BOOKING, facts(told_guest=told, guest=person)).guest
    assert after is not None
    step = _step(GUEST, facts(told_guest=after), mapper=_API)
    assert isinstance(step, Nothing) is same


@pytest.mark.parametrize("known", [True, False], ids=["made", "changed"])
def test_what_was_there_before_a_restore_may_have_been_registered_after_the_backup(
    known: bool,
) -> None:
    """By the booking's own date; where there is none, by its newest event's."""
    made = booking().created_at
    assert made
    at = micros(made) if known else NOON
    one = booking() if known else booking(created_at=None)
    with pytest.raises(UnknownOutcome) as caught:
        _step(BOOKING, facts(booking=one, restored_at=at))
    assert caught.value.reason == "unknown outcome"
    assert isinstance(_step(BOOKING, facts(booking=one, restored_at=at - 1)), Send)
    assert isinstance(_step(BOOKING, facts(booking=one, restored_at=None)), Send)


def test_a_restore_puts_nothing_else_in_doubt() -> None:
    """What is known to be there is, what is not to be sent is not, and upserts are sent again."""
    there = facts(told_guest=told_guest(), told_booking=told_booking(), restored_at=NOON)
    assert _step(BOOKING, there) == Nothing(reason="already registered")
    for changed in (booking(phase=Phase.CANCELLED), booking(phase=Phase.DRAFT)):
        with pytest.raises(Skip):
            _step(BOOKING, facts(booking=changed, restored_at=NOON))
    known = facts(told_guest=told_guest(), restored_at=NOON)
    assert isinstance(_step(BOOKING, known, mapper=_API), Send)
