"""Decides what of a report is missing: pure functions of what is reported and what is known.

A report's times are often whole seconds, and a message's time is a little before that of the
modification that it tells of, or after. So times settle it only where they are a second apart;
within that, and where a message seems the older one, what is reported is compared with what is
known. Otherwise some milliseconds would have every booking fetched every day.
"""

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from msgspec import Struct

from pipeline.clock import SECOND
from pipeline.contact import email_of, is_minor
from pipeline.errors import Skip
from pipeline.model import Booking, Consent, Guest, GuestConsent, Item, Phase

_T = TypeVar("_T")


class Known(Struct, frozen=True, kw_only=True):
    """It is known as it is."""


class Missing(Struct, frozen=True, kw_only=True):
    """It is to be taken in, as of that time."""

    at: int


class Unsendable(Struct, frozen=True, kw_only=True):
    """It is not known, and could not be sent if it were."""

    reason: str


Verdict = Known | Missing | Unsendable


def is_settled(modified_at: int, as_of: int | None) -> bool:
    """Tell whether the times alone say that it is known at this modification."""
    return as_of is not None and as_of >= modified_at + SECOND


def sift_booking(
    reported: Booking, modified_at: int, as_of: int | None, known: Booking | None
) -> Verdict:
    """Judge a booking that is known as of then, if it is; its details may be gone."""
    if as_of is None:
        return _unsendable_booking(reported) or Missing(at=modified_at)
    if is_settled(modified_at, as_of) or (known and says_the_same(reported, known)):
        return Known()
    # After what is known, which it would else not take the place of.
    return Missing(at=max(modified_at, as_of + 1))


def sift_guest(
    reported: Guest, modified_at: int, as_of: int | None, known: Guest | None
) -> Verdict:
    """Judge a customer; only those are followed who have had a booking."""
    if as_of is None:
        return Unsendable(reason="no booking")
    if is_settled(modified_at, as_of) or reported == known:
        return Known()
    return Missing(at=modified_at)


def sift_newcomer(reported: Guest, modified_at: int, today: date | None) -> Verdict:
    """Judge a customer of whom nothing is known, and who is to be told without a booking.

    Without `today`, their age plays no part.
    """
    try:
        email_of(reported)
    except Skip as exc:
        return Unsendable(reason=exc.reason)
    if today is not None and is_minor(reported, today):
        return Unsendable(reason="minor")
    if reported.consent == GuestConsent(email=Consent.UNKNOWN, sms=Consent.UNKNOWN):
        return Unsendable(reason="consent not known")
    return Missing(at=modified_at)


def says_the_same(reported: Booking, known: Booking) -> bool:
    """Tell whether a report has nothing to add to what is known.

    Where a booking was made and by whom is left out: reports have other words for it, and it never
    changes.
    """
    return (
        reported.customer == known.customer
        and reported.phase is known.phase
        and (reported.status or "").lower() == (known.status or "").lower()
        and _agree(reported.total, known.total)
        and _same_items(reported.items, known.items)
    )


def _unsendable_booking(reported: Booking) -> Unsendable | None:
    if reported.phase is Phase.DRAFT:
        return Unsendable(reason="draft")
    if reported.customer is None:
        return Unsendable(reason="no customer")
    return None


def _same_items(reported: Sequence[Item], known: Sequence[Item]) -> bool:
    """Compare items in any order."""
    left = list(known)
    for item in reported:
        same = next((one for one in left if _same_item(item, one)), None)
        if same is None:
            return False
        left.remove(same)
    return not left


def _same_item(reported: Item, known: Item) -> bool:
    names = Item.__struct_fields__
    return all(_agree(getattr(reported, name), getattr(known, name)) for name in names)


def _agree(reported: _T | None, known: _T | None) -> bool:
    """Compare two values; what a report leaves out may be anything."""
    return reported is None or reported == known
