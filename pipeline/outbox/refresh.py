"""Keeps what was fetched for a delivery: one transaction, with the opt-outs that are in it."""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.model import Consent, Delivery, Guest
from pipeline.outbox import Hearer, OptOut
from pipeline.outbox.settle import is_being_told, owe_opt_out
from pipeline.outbox.subject import known_guest, learn_subject
from pipeline.outbox.told import told_guest


def refresh(
    connection: sqlite3.Connection,
    delivery: Delivery,
    guest: Guest,
    person: str | None,
    hearers: Sequence[Hearer],
    *,
    fetched_at: int,
    now: int,
) -> list[OptOut]:
    """Keep a guest's details, and owe what they take back; see `Deliveries.refresh`."""
    source, customer, doc = delivery.source, guest.customer, msgspec.json.encode(guest)
    before = known_guest(connection, source, customer)
    if not learn_subject(connection, source, "guest", customer, as_of=fetched_at, doc=doc):
        return []
    is_news = _says_no_now(guest, before)
    owed = [
        owe_opt_out(connection, delivery, customer, one.destination, now)
        for one in hearers
        if _takes_back(connection, one, person)
        or (is_news and is_being_told(connection, delivery, customer, one))
    ]
    return [one for one in owed if one is not None]


def _takes_back(connection: sqlite3.Connection, hearer: Hearer, person: str | None) -> bool:
    told = told_guest(connection, hearer.destination, person)
    return told is not None and hearer.takes_back(told)


def _says_no_now(guest: Guest, before: Guest | None) -> bool:
    """Tell whether a guest says no, and said something else when last fetched."""
    says_no = Consent.NO in {guest.consent.email, guest.consent.sms}
    return says_no and (before is None or before.consent != guest.consent)
