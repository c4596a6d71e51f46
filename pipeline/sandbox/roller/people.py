"""Invents guests as the simulated ROLLER holds them."""

import random
import unicodedata
from datetime import datetime

from pipeline.sandbox.answers import Document

_FIRST = (
    "Ada", "Bram", "Cerys", "Dilip", "Elowen", "Femi", "Greta", "Hamish", "Isla", "Jomo",
    "Keira", "Ludo", "Maeve", "Niamh", "Oona", "Priya", "Siân", "Tariq", "Una", "Zoë",
)  # fmt: skip
_LAST = (
    "Ashdown", "Birtwhistle", "Çelik", "Dunmore", "Eastlake", "Farrow", "Gillespie", "Hartigan",
    "Inglenook", "Jessop", "Kettlewell", "Lovelock", "Mbeki-Stone", "Northwood", "O'Marra",
    "Pemberton", "Quillfeather", "Rooksby", "Strand", "Thistlewood",
)  # fmt: skip
# Domains that RFC 2606 keeps for examples: no mail ever reaches anyone.
_DOMAINS = ("example.com", "example.org", "example.net")
# libphonenumber's example for the United Kingdom in the ways people type it, and what people type
# when they would rather not.
_PHONES = (
    "07400 123456", "+44 7400 123456", "07400123456", "+447400123456", "0044 7400 123456",
    "07400-123-456", "n/a", "0700000000", "", None,
)  # fmt: skip
_GENDERS = ("Male", "Female", "Other", "PreferNotToSay", None)


def invent_guest(chance: random.Random, customer_id: int) -> Document:
    """An adult with an e-mail of its own; consent, phone and the rest vary as in real data."""
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    guest: Document = {
        "firstName": first,
        "lastName": last,
        "email": _email(chance, first, last, customer_id),
        "phone": chance.choice(_PHONES),
        "dateOfBirth": _birthday(chance),
        "gender": chance.choice(_GENDERS),
        "acceptMarketing": chance.choice((True, False)),
        "taxIdentificationNumber": None,
        "address": _address(chance),
        "flags": _flags(chance),
    }
    # The live spelling; absent for a guest who was never asked.
    asked = chance.choice((True, False, None))
    if asked is not None:
        guest["acceptMarketingSMS"] = asked
    return guest


def invent_child(chance: random.Random, parent: Document, now: datetime) -> Document:
    """A minor's record, made when somebody signs a waiver for them: nothing to reach them by."""
    year = now.year - chance.randint(2, 15)
    return {
        "firstName": chance.choice(_FIRST),
        "lastName": parent.get("lastName"),
        "email": None,
        "phone": None,
        "dateOfBirth": f"{year}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
        "gender": None,
        "acceptMarketing": False,
        "taxIdentificationNumber": None,
        "address": None,
        "flags": [],
    }


def _email(chance: random.Random, first: str, last: str, customer_id: int) -> str:
    local = f"{_plain(first)}.{_plain(last)}.{customer_id}"
    if chance.randrange(10) == 0:
        local = local.title()  # people do; it is the same mailbox
    return f"{local}@{chance.choice(_DOMAINS)}"


def _plain(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(letter for letter in ascii_name.lower() if letter.isalpha())


def _birthday(chance: random.Random) -> str | None:
    year, month, day = chance.randint(1945, 2000), chance.randint(1, 12), chance.randint(1, 28)
    return f"{year}-{month:02}-{day:02}" if chance.choice((True, False)) else None


def _address(chance: random.Random) -> Document | None:
    if chance.choice((True, False)):
        return None
    return {
        "street": f"{chance.randint(1, 200)} Sandbox Lane",
        "suburb": "",
        "city": "Leeds",
        "state": "",
        "postcode": "LS1 1AA",
        "country": "United Kingdom",
    }


def _flags(chance: random.Random) -> list[Document]:
    """Sensitive and nobody else's business: a daemon must never pass them on."""
    if chance.randrange(5):
        return []
    return [{"type": "Medical", "comment": "allergic to sand", "expiryDate": None}]
