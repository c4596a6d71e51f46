"""Keeps what was heard of a guest: one transaction, with the opt-outs that are in it."""

import sqlite3
from collections.abc import Sequence

import msgspec

from pipeline.model import Consent, DeliveryState, Guest
from pipeline.outbox import Heard, Hearer, OptOut, Settled, TakenBack
from pipeline.outbox.query import rows
from pipeline.outbox.settle import is_being_told, owe_opt_out
from pipeline.outbox.subject import known_guest, learn_subject
from pipeline.outbox.told import told_guest


def hear(
    connection: sqlite3.Connection, heard: Heard, hearers: Sequence[Hearer], now: int
) -> list[OptOut]:
    """Keep a guest's details, and owe what they take back; see `Deliveries.hear`."""
    source, customer = heard.source, heard.guest.customer
    doc = msgspec.json.encode(heard.guest)
    before = known_guest(connection, source, customer)
    if not learn_subject(connection, source, "guest", customer, as_of=heard.fetched_at, doc=doc):
        return []
    rows(
        connection,
        "DELETE FROM subject WHERE source = ? AND kind = 'erased' AND key = ?",
        (source, customer),
    )
    is_news = _says_no_now(heard.guest, before)
    owed = [
        owe_opt_out(connection, heard, one.destination, now)
        for one in hearers
        if _takes_back(connection, one, heard.person)
        or (is_news and is_being_told(connection, heard, one))
    ]
    return [one for one in owed if one is not None]


def take_back(connection: sqlite3.Connection, taken: TakenBack, now: int) -> list[Settled]:
    """Owe an opt-out of which the destination was told otherwise since it was heard.

    Gives what had parked with the same, and is superseded by it.
    """
    if not _takes_back(connection, taken.hearer, taken.heard.person):
        return []
    made = owe_opt_out(connection, taken.heard, taken.hearer.destination, now)
    if made is None:
        return []
    state = DeliveryState.SUPERSEDED
    return [
        Settled(delivery=old, state=state, reason=None, superseded_by=made.delivery)
        for old in made.replaced
    ]


def _takes_back(connection: sqlite3.Connection, hearer: Hearer, person: str | None) -> bool:
    told = told_guest(connection, hearer.destination, person)
    return told is not None and hearer.takes_back(told)


def _says_no_now(guest: Guest, before: Guest | None) -> bool:
    """Tell whether a guest says no, and said something else when last fetched."""
    says_no = Consent.NO in {guest.consent.email, guest.consent.sms}
    return says_no and (before is None or before.consent != guest.consent)
