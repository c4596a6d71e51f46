"""Reads ROLLER's guests, and only the fields that a destination can use.

The rest of the answer (medical flags, addresses, tax numbers) is not decoded, so that it cannot
be stored by mistake.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.model import Consent, Gender, Guest, GuestConsent
from pipeline.sources.roller.fields import day

_GENDERS = {"male": Gender.MALE, "female": Gender.FEMALE, "other": Gender.OTHER}


class _Guest(Struct, frozen=True, rename="camel"):
    first_name: Any = None
    last_name: Any = None
    email: Any = None
    phone: Any = None
    #: The phone's name in reports.
    contact_number: Any = None
    date_of_birth: Any = None
    gender: Any = None


#: Consent is read by its name in any case: "acceptMarketingSms" is documented and
#: "acceptMarketingSMS" is what live venues answer.
_EMAIL_CONSENT = "acceptmarketing"
_SMS_CONSENT = "acceptmarketingsms"

_guest = msgspec.json.Decoder(_Guest)
_consents = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_guest(customer: str, body: bytes) -> Guest | None:
    """Read an answer of `GET /guests/{id}`; None when it is not a guest."""
    try:
        found = _guest.decode(body)
        fields = _consents.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found == _Guest():
        return None
    return Guest(
        customer=customer,
        first=_text(found.first_name),
        last=_text(found.last_name),
        email=_text(found.email),
        phone=_text(found.phone) or _text(found.contact_number),
        gender=_GENDERS.get((_text(found.gender) or "").lower()),
        born=day(found.date_of_birth),
        consent=GuestConsent(
            email=_consent(fields, _EMAIL_CONSENT), sms=_consent(fields, _SMS_CONSENT)
        ),
    )


def _consent(fields: Mapping[str, msgspec.Raw], wanted: str) -> Consent:
    """Only a JSON true is a yes; null, text and numbers are unknown.

    Should a name come in two spellings, a no beats a yes, and either beats what is unknown.
    """
    values = {bytes(raw) for name, raw in fields.items() if name.lower() == wanted}
    if b"false" in values:
        return Consent.NO
    return Consent.YES if b"true" in values else Consent.UNKNOWN


def _text(raw: object) -> str | None:
    return raw.strip() or None if isinstance(raw, str) else None
