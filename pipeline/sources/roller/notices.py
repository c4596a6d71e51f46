"""Reads ROLLER's messages of customers, redemptions and signed waivers.

How these are wrapped is not documented, and was not seen: `data` may be what is documented, or hold
it under a name. So each is looked for under the names that one may expect, then in `data` itself,
be it one or a list of them. Only ids and dates are read: the rest names people, and some of it says
how they are.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from pipeline.clock import micros
from pipeline.errors import Unreadable
from pipeline.model import Kind
from pipeline.notice import Redeemed, Waived
from pipeline.sources.roller.fields import Id, day, decode, id_text, instant
from pipeline.sources.roller.minors import is_for_minor

#: Names that `data` may have for what a message is about, in lower case.
_WRAPPERS: Mapping[Kind, Collection[str]] = {
    Kind.CUSTOMER: ("customer", "guest", "customers", "guests"),
    Kind.REDEMPTION: ("redemptions", "redemption"),
    Kind.SIGNED_WAIVER: ("signedwaivers", "signedwaiver", "waivers", "waiver"),
}

#: A customer's id in what need not be JSON: `"customerId": 7`, `"guest":{"id":"7"`.
_NAMED = re.compile(
    rb'(?:customer|guest)(?:_?id|"\s*:\s*\{[^{}]*"id)"\s*:\s*"?\s*(?P<id>[^\s",}\]]+)',
    re.IGNORECASE,
)

_T = TypeVar("_T")


class _Outside(Struct, frozen=True, rename="camel", omit_defaults=True):
    id: Id = None
    send_date: str | None = None
    type: str | int | None = None
    event_type: str | int | None = None
    event_date: str | None = None
    data: Raw = Raw()


class _Customer(Struct, frozen=True, rename="camel", omit_defaults=True):
    customer_id: Id = None
    guest_id: Id = None
    id: Id = None


class _Redemption(Struct, frozen=True, rename="camel", omit_defaults=True):
    ticket_id: Id = None
    redemption_date: str | None = None
    customer_id: Id = None


class _Waiver(Struct, frozen=True, rename="camel", omit_defaults=True):
    signed_waiver_id: Id = None
    parent_signed_waiver_id: Id = None
    waiver_id: Id = None
    guest_id: Id = None
    customer_id: Id = None
    is_for_minor: Any = None
    date_of_birth: Any = None
    expiry_date: Any = None
    created_date: Any = None


_outside = msgspec.json.Decoder(_Outside)
_fields = msgspec.json.Decoder(dict[str, Raw])
_customers = msgspec.json.Decoder(list[_Customer])
_redemptions = msgspec.json.Decoder(list[_Redemption])
_waivers = msgspec.json.Decoder(list[_Waiver])
_encode = msgspec.json.encode


def read_customer(body: bytes) -> str:
    """Read the customerId of a customer message; Unreadable says what is wrong and where."""
    where, found = _matter(body, Kind.CUSTOMER, _customers)
    names = {_customer(one, where) for one in found} - {None}
    if len(names) != 1:
        msg = f"{where}.customerId: {'more than one' if names else 'missing'}"
        raise Unreadable(msg)
    return str(names.pop())


def read_redeemed(body: bytes) -> Sequence[Redeemed]:
    """Read the tickets of a redemption message; Unreadable says what is wrong and where."""
    where, found = _matter(body, Kind.REDEMPTION, _redemptions)
    tickets: dict[str, Redeemed] = {}
    for one in found:
        ticket = id_text(one.ticket_id, f"{where}.ticketId")
        if ticket is not None:
            at = instant(one.redemption_date, f"{where}.redemptionDate")
            tickets[ticket] = Redeemed(ticket=ticket, at=micros(at) if at else None)
    if not tickets:
        msg = f"{where}.ticketId: missing"
        raise Unreadable(msg)
    return tuple(tickets.values())


def read_waived(body: bytes) -> Sequence[Waived]:
    """Read for whom waivers were signed; Unreadable says what is wrong and where.

    A date of birth that cannot be read is none, for a minor must be known as one all the same.
    """
    where, found = _matter(body, Kind.SIGNED_WAIVER, _waivers)
    if all(one.is_for_minor is None and one.parent_signed_waiver_id is None for one in found):
        msg = f"{where}.isForMinor: missing"
        raise Unreadable(msg)
    return tuple(
        Waived(
            customer=id_text(one.guest_id, f"{where}.guestId")
            or id_text(one.customer_id, f"{where}.customerId"),
            is_for_minor=is_for_minor(one),
            born=day(one.date_of_birth),
        )
        for one in found
    )


def names(body: bytes, customer: str) -> bool:
    """Tell whether any message, be it readable or not, names this customer."""
    found = _NAMED.finditer(body)
    return any(one["id"] == customer.encode() for one in found)


def shrink(kind: Kind, body: bytes) -> bytes:
    """Write a message anew with what the readers here look at, and with no name or word else."""
    outside = decode(_outside, body)
    found: Sequence[_Customer | _Redemption | _Waiver]
    match kind:
        case Kind.CUSTOMER:
            where, customers = _matter(body, kind, _customers)
            found = [_Customer(customer_id=_customer(one, where)) for one in customers]
        case Kind.REDEMPTION:
            _, redemptions = _matter(body, kind, _redemptions)
            found = redemptions
        case _:
            _, waivers = _matter(body, kind, _waivers)
            found = [_dates_only(one) for one in waivers]
    return _encode(msgspec.structs.replace(outside, data=Raw(_encode(found))))


def _matter(
    body: bytes, kind: Kind, decoder: msgspec.json.Decoder[list[_T]]
) -> tuple[str, list[_T]]:
    """Find what a message is about, one or many, and where that stands."""
    where, raw = "data", bytes(decode(_outside, body).data)
    if raw.startswith(b"{"):
        for name, value in decode(_fields, raw, where).items():
            if name.lower() in _WRAPPERS[kind]:
                where, raw = f"data.{name}", bytes(value)
                break
    if not raw.startswith(b"["):
        raw = b"[" + raw + b"]"
    found = decode(decoder, raw, where)
    if not found:
        msg = f"{where}: empty"
        raise Unreadable(msg)
    return where, found


def _customer(one: _Customer, where: str) -> str | None:
    return (
        id_text(one.customer_id, f"{where}.customerId")
        or id_text(one.guest_id, f"{where}.guestId")
        or id_text(one.id, f"{where}.id")
    )


def _dates_only(one: _Waiver) -> _Waiver:
    """Leave of what should be a date nothing but a date, and of `isForMinor` what it means."""
    kept: dict[str, Any] = {
        name: str(found) if (found := day(getattr(one, name))) else None
        for name in ("date_of_birth", "expiry_date", "created_date")
    }
    if not isinstance(one.is_for_minor, bool | int | None):
        kept["is_for_minor"] = is_for_minor(one)
    return msgspec.structs.replace(one, **kept)
