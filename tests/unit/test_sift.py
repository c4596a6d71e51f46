"""What is known is left alone, and what is not is taken in, whatever the milliseconds say."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from pipeline.clock import SECOND
from pipeline.model import Booking, Consent, Guest, GuestConsent, Item, Phase
from pipeline.sift import (
    Known,
    Missing,
    Unsendable,
    says_the_same,
    sift_booking,
    sift_guest,
    sift_newcomer,
)

_AT = 1_791_201_600 * SECOND
_MS = SECOND // 1000

_ITEM = Item(product="7", quantity=2, group_size=1, first_day=date(2026, 10, 6), start=time(18, 30))
_OTHER = Item(product="9", quantity=1)
_BOOKING = Booking(
    id="b", customer="c", phase=Phase.ACTIVE, status="Paid", total=Decimal("25.50"),
    items=(_ITEM, _OTHER), origin="Online", channel="Online", reference="1",
    created_at=datetime(2026, 10, 5, tzinfo=UTC),
)  # fmt: skip
_GUEST = Guest(customer="c", email="anna@example.com", consent=GuestConsent(email=Consent.YES))


def _but(**fields: Any) -> Booking:
    return msgspec.structs.replace(_BOOKING, **fields)


@pytest.mark.parametrize(
    "as_of",
    [
        # The report leaves a second's fraction out, so that the message seems the newer one.
        _AT + 488_739,
        # The message's time is that of the event, the report's that of writing it down.
        _AT - 5 * _MS,
        _AT - 3600 * SECOND,
        _AT,
    ],
)
def test_what_says_the_same_is_known_whatever_the_times_are(as_of: int) -> None:
    """Some milliseconds would have every booking fetched every day."""
    assert sift_booking(_BOOKING, _AT, as_of, _BOOKING) == Known()


@pytest.mark.parametrize("as_of", [_AT + 488_739, _AT, _AT - 5 * _MS, _AT - 3600 * SECOND])
def test_what_says_something_else_is_taken_in_after_what_is_known(as_of: int) -> None:
    """Two changes may fall into one second, and the older one never overwrites the newer."""
    verdict = sift_booking(_but(status="PendingPayment"), _AT, as_of, _BOOKING)
    assert isinstance(verdict, Missing)
    assert verdict.at >= _AT
    assert verdict.at > as_of


def test_what_is_known_a_second_later_is_not_even_compared() -> None:
    """A report that is read after a newer message came tells nothing new."""
    assert sift_booking(_but(status="Refunded"), _AT, _AT + SECOND, _BOOKING) == Known()


def test_what_is_known_without_its_details_is_taken_in_once_it_changed() -> None:
    """Details go after a while, and nobody can compare them then."""
    assert sift_booking(_BOOKING, _AT, _AT - 1, None) == Missing(at=_AT)
    assert sift_booking(_BOOKING, _AT, _AT + SECOND, None) == Known()


@pytest.mark.parametrize(
    ("reported", "verdict"),
    [
        (_BOOKING, Missing(at=_AT)),
        (_but(phase=Phase.CANCELLED, status="Cancelled"), Missing(at=_AT)),
        (_but(phase=Phase.DRAFT, status="Draft"), Unsendable(reason="draft")),
        (_but(customer=None), Unsendable(reason="no customer")),
    ],
)
def test_what_was_never_known_is_taken_in_if_it_can_be_sent(
    reported: Booking, verdict: object
) -> None:
    """Drafts and bookings at the till are most of a report."""
    assert sift_booking(reported, _AT, None, None) == verdict


@pytest.mark.parametrize(
    "change",
    [
        {"customer": "d"},
        {"customer": None},
        {"phase": Phase.CANCELLED},
        {"status": "PaidPart"},
        {"total": Decimal("25.51")},
        {"items": (_ITEM,)},
        {"items": (_ITEM, _OTHER, _OTHER)},
        {"items": (_ITEM, _ITEM)},
        {"items": (msgspec.structs.replace(_ITEM, quantity=3), _OTHER)},
        {"items": (msgspec.structs.replace(_ITEM, start=time(19)), _OTHER)},
        {"items": (msgspec.structs.replace(_ITEM, first_day=date(2026, 10, 7)), _OTHER)},
    ],
)
def test_each_field_that_is_sent_counts(change: dict[str, Any]) -> None:
    """A change that is not seen is never told."""
    assert not says_the_same(_but(**change), _BOOKING)


@pytest.mark.parametrize(
    "change",
    [
        {"items": (_OTHER, _ITEM)},
        {"status": "paid"},
        {"total": Decimal("25.5")},
        {"total": None},
        {"origin": None, "channel": "Consumer"},
        {"items": (Item(product="7"), Item(product="9"))},
    ],
)
def test_other_words_for_the_same_and_what_is_left_out_are_no_change(
    change: dict[str, Any],
) -> None:
    """Reports have names of their own, and not all fields."""
    assert says_the_same(_but(**change), _BOOKING)


def test_a_customer_is_followed_who_has_booked_and_changed_since() -> None:
    """Everybody who signs a waiver is in the report."""
    changed = msgspec.structs.replace(_GUEST, consent=GuestConsent(email=Consent.NO))
    assert sift_guest(changed, _AT, None, None) == Unsendable(reason="no booking")
    assert sift_guest(changed, _AT, _AT - 1, _GUEST) == Missing(at=_AT)
    assert sift_guest(changed, _AT, _AT + 1, _GUEST) == Missing(at=_AT), "in the same second"
    assert sift_guest(changed, _AT, _AT + SECOND, _GUEST) == Known(), "fetched since"
    assert sift_guest(_GUEST, _AT, _AT - 1, _GUEST) == Known(), "nothing that we use"
    assert sift_guest(_GUEST, _AT, _AT - 1, None) == Missing(at=_AT), "forgotten details"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, Missing(at=_AT)),
        ({"consent": GuestConsent(sms=Consent.NO)}, Missing(at=_AT)),
        ({"consent": GuestConsent()}, Unsendable(reason="consent not known")),
        ({"email": None}, Unsendable(reason="no e-mail")),
        ({"email": "anna"}, Unsendable(reason="unusable e-mail")),
        ({"born": date(2010, 1, 1)}, Unsendable(reason="minor")),
        ({"born": date(1990, 1, 1)}, Missing(at=_AT)),
    ],
)
def test_a_customer_without_a_booking_needs_an_address_a_consent_and_their_age(
    change: dict[str, Any], verdict: object
) -> None:
    """A first import of marketing contacts takes in nobody who has not been asked."""
    guest = msgspec.structs.replace(_GUEST, **change)
    assert sift_newcomer(guest, _AT, date(2026, 10, 5)) == verdict


def test_the_age_plays_no_part_where_the_configuration_says_so() -> None:
    """`adults_only = false`."""
    child = msgspec.structs.replace(_GUEST, born=date(2015, 1, 1))
    assert sift_newcomer(child, _AT, None) == Missing(at=_AT)
