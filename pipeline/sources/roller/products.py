"""Reads ROLLER's products: parents, and the variations that bookings name.

Ids are texts here and numbers in bookings; `type` stands at the parent. `GET /products`:
https://docs.roller.app/docs/api/rest.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.errors import Reject
from pipeline.model import Product
from pipeline.redact import printable
from pipeline.sources.roller.fields import LONGEST_ID

#: Types that let nobody in, and those that do whatever else is said of them; letters alone, for the
#: spelling differs from page to page: "AddOn", "addon", "Gift Card".
_NOBODY = frozenset(
    {
        "addon", "stock", "giftcard", "externalgiftcard", "wallet", "cashlesscard", "donation",
        "openproduct",
    }
)  # fmt: skip
_SOMEBODY = frozenset(
    {
        "pass", "standardpass", "sessionpass", "recurringpass", "recurringsession",
        "recurringsessions", "membership", "package", "partypackage",
    }
)  # fmt: skip


class _Variation(Struct, frozen=True, rename="camel"):
    id: Any = None
    name: Any = None


class _Parent(Struct, frozen=True, rename="camel"):
    parent_product_id: Any = None
    parent_product_name: Any = None
    type: Any = None
    stock_product_type: Any = None
    products: Any = None


_parents = msgspec.json.Decoder(list[_Parent])


def read_products(body: bytes) -> list[Product]:
    """Give every variation, and every parent too, should a booking name one.

    Reject when the body is no such list; single entries that cannot be read are left out.
    """
    try:
        parents = _parents.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        msg = "ROLLER answered 200 to /products without a list of products"
        raise Reject(msg) from exc
    found = {one.id: one for parent in parents for one in _with_variations(parent)}
    return list(found.values())


def _with_variations(parent: _Parent) -> Iterator[Product]:
    """The parent first: a variation of the same id says more."""
    name, kind = _text(parent.parent_product_name), _text(parent.type)
    admits = _admits(kind, _text(parent.stock_product_type))
    if number := _id(parent.parent_product_id):
        yield Product(id=number, name=name, type=kind, admits=admits)
    for variation in _variations(parent.products):
        if number := _id(variation.id):
            yield Product(
                id=number, name=_text(variation.name), parent=name, type=kind, admits=admits
            )


def _variations(raw: object) -> Iterator[_Variation]:
    for one in raw if isinstance(raw, list) else ():
        if isinstance(one, dict):
            yield _Variation(id=one.get("id"), name=one.get("name"))


def _admits(kind: str | None, stock: str | None) -> bool:
    """Tell whether it lets people in, as what is not known to be something else does."""
    plain = "".join(filter(str.isalpha, kind or "")).lower()
    if plain in _NOBODY:
        return False
    return plain in _SOMEBODY or (stock or "none").lower() == "none"


def _text(raw: object) -> str | None:
    """Take a text or a number; no control characters, for it is sent on and shown."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return None
    return printable(str(raw)) or None


def _id(raw: object) -> str | None:
    """Take an id in the words that `messages.py` reads it from a booking with."""
    text = str(raw).strip() if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
    return text if text.isprintable() and len(text) <= LONGEST_ID else None
