"""What a message holds only if its subscription asks to have it included."""

from collections.abc import Iterable

from pipeline.sandbox.answers import Document

_BOOKING = ("externalId", "customerFlags", "payments", "metadata")
_MEMBERSHIP = (
    "membershipStatus",
    "membershipPauseDate",
    "membershipResumeDate",
    "membershipCancellationDate",
)
#: What one asks for to have everything.
EVERYTHING = frozenset(
    ("tickets", "membershipDetail", "locations", "flags", "multiPassDetail", *_BOOKING)
)


def included(
    kind: str, matter: Document | list[Document], include: frozenset[str]
) -> Document | list[Document]:
    """The matter of a message of that type, without what was not asked for."""
    if include is EVERYTHING:
        return matter
    if isinstance(matter, list):
        return [_redemption(one, include) for one in matter] if kind == "redemption" else matter
    if kind == "booking":
        return _booking(matter, include)
    return _without(matter, () if "flags" in include else ("flags",))


def _booking(booking: Document, include: frozenset[str]) -> Document:
    found = _without(booking, (name for name in _BOOKING if name not in include))
    items = found.get("items")
    if isinstance(items, list):
        found["items"] = [_item(item, include) for item in items]
    return found


def _item(item: object, include: frozenset[str]) -> object:
    if not isinstance(item, dict) or "tickets" not in item:
        return item
    tickets = item["tickets"]
    if "tickets" not in include or not isinstance(tickets, list):
        return _without(item, ("tickets",))
    return {**item, "tickets": [_ticket(ticket, include) for ticket in tickets]}


def _ticket(ticket: Document, include: frozenset[str]) -> Document:
    locations = () if "locations" in include else ("locations",)
    membership = () if "membershipDetail" in include else _MEMBERSHIP
    return _without(ticket, (*locations, *membership))


def _redemption(redemption: Document, include: frozenset[str]) -> Document:
    multi_pass = () if "multiPassDetail" in include else ("multiPass",)
    status = () if "membershipDetail" in include else ("membershipStatus",)
    return _without(redemption, (*multi_pass, *status))


def _without(document: Document, names: Iterable[str]) -> Document:
    left_out = set(names)
    return {name: value for name, value in document.items() if name not in left_out}
