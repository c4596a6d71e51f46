"""A guest's contact details as destinations can use them: checked e-mail, E.164 phone."""

import functools
from datetime import date

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from msgspec import Struct

from pipeline.errors import Skip
from pipeline.model import Gender, Guest, Minor, Venue

#: The age from which a person may be marketed to.
_ADULT = 18


class Contact(Struct, frozen=True, kw_only=True):
    """A guest who can be told to a destination."""

    #: Valid, trimmed, lower-cased.
    email: str
    first: str | None
    last: str | None
    #: E.164, or None when there is none that is valid in the venue's country.
    phone: str | None
    gender: Gender | None


def contact(guest: Guest, venue: Venue) -> Contact:
    """Check and normalise a guest's details; Skip when there is no usable e-mail."""
    return Contact(
        email=email_of(guest),
        first=_name(guest.first),
        last=_name(guest.last),
        phone=e164(guest.phone, venue.country),
        gender=guest.gender,
    )


def email_of(guest: Guest) -> str:
    """Give the guest's e-mail, normalised; Skip when there is none or it is unusable.

    Its form is checked, not its domain: a name server's bad day must not lose a guest.
    """
    raw = (guest.email or "").strip()
    if not raw:
        msg = "no e-mail"
        raise Skip(msg)
    email = _normalised(raw)
    if email is None:
        msg = "unusable e-mail"
        raise Skip(msg)
    return email


# One event asks for its guest's e-mail and phone a dozen times; the few under way are kept.
@functools.lru_cache(maxsize=64)
def _normalised(email: str) -> str | None:
    """Give an e-mail in its one form; None when it has not the form of one."""
    try:
        return validate_email(email, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return None


@functools.lru_cache(maxsize=64)
def e164(raw: str | None, country: str) -> str | None:
    """Write a phone number in E.164; None when it is not valid, dialled from `country`."""
    try:
        number = phonenumbers.parse(raw or "", country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_minor(guest: Guest, today: date) -> bool:
    """Tell whether the guest is known to be under 18 on this day at the venue."""
    return guest.born is not None and not _is_adult(guest.born, today)


def has_grown_up(minor: Minor, guest: Guest, today: date) -> bool:
    """Tell whether somebody is 18 whom a waiver calls a minor, by every date of birth known.

    The record's alone does not do: a parent's is often on it.
    """
    known = [born for born in (minor.born, guest.born) if born is not None]
    return minor.born is not None and all(_is_adult(born, today) for born in known)


def _is_adult(born: date, today: date) -> bool:
    had_birthday = (today.month, today.day) >= (born.month, born.day)
    return today.year - born.year - (not had_birthday) >= _ADULT


def _name(raw: str | None) -> str | None:
    return (raw or "").strip() or None
