"""The products of a simulated ROLLER venue."""

import msgspec

from pipeline.sandbox.answers import Document, documents

#: Invented bookings hold variations from here on, `VARIATIONS` in all.
FIRST_VARIATION = 7_000_000
_FIRST_PARENT = 6_990_000


class _Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A product and how many variations (ticket types) it has."""

    name: str
    #: as `GET /products` spells it
    type: str
    #: as the Reporting API and the filters spell it: type, sub type
    mapping: tuple[str, str]
    variations: int
    stock: str | None = None


_PARENTS = (
    _Parent(name="Open Jump", type="sessionpass", mapping=("Pass", "Session"), variations=15),
    _Parent(name="Day Pass", type="pass", mapping=("Pass", ""), variations=10),
    _Parent(
        name="Annual Membership", type="membership", mapping=("Pass", "Membership"), variations=3
    ),
    _Parent(name="Toddler Term", type="recurringpass", mapping=("Pass", "Recurring"), variations=2),
    _Parent(name="Birthday Party", type="partypackage", mapping=("PartyPackage", ""), variations=4),
    _Parent(name="Family Bundle", type="package", mapping=("Package", ""), variations=4),
    _Parent(name="Locker", type="addon", mapping=("AddOn", ""), variations=2),
    _Parent(
        name="Grip Socks", type="addon", mapping=("AddOn", "Stock"), variations=4, stock="retail"
    ),
    _Parent(
        name="Slush",
        type="addon",
        mapping=("AddOn", "Stock"),
        variations=3,
        stock="foodAndBeverage",
    ),
    _Parent(name="Gift Card", type="giftcard", mapping=("GiftCard", ""), variations=2),
    _Parent(name="Wallet Credit", type="wallet", mapping=("Wallet", ""), variations=1),
)
VARIATIONS = sum(parent.variations for parent in _PARENTS)
_MAPPINGS = {parent.name: parent.mapping for parent in _PARENTS}


class Catalogue:
    """All products of a venue, and which of them an item of a booking is."""

    def __init__(self, products: list[Document]) -> None:
        #: parents with their variations, as `GET /products` shows them
        self.products = products
        self._parents = {
            str(variation.get("id")): product
            for product in products
            for variation in documents(product.get("products"))
        }

    def product(self, item: Document) -> Document | None:
        """The product of an item, which names the variation as a number; None if there is none."""
        return self._parents.get(str(item.get("productId")))

    def mapping(self, item: Document) -> tuple[str, str]:
        """Type and sub type of an item; what is not known counts as a pass."""
        product = self.product(item)
        return ("Pass", "") if product is None else mapping(product)

    def admits(self, item: Document) -> bool:
        """Whether an item lets somebody in; add-ons and stock do not."""
        return self.mapping(item)[0] not in ("AddOn", "GiftCard", "Wallet")


def invent_products() -> list[Document]:
    """Products of every type: nested, ids as text although bookings have them as numbers."""
    first, products = FIRST_VARIATION, []
    for number, parent in enumerate(_PARENTS):
        products.append(_product(parent, _FIRST_PARENT + number, first))
        first += parent.variations
    return products


def mapping(product: Document) -> tuple[str, str]:
    """Type and sub type by which a product is filtered and reported."""
    given = str(product.get("type") or "")
    return _MAPPINGS.get(str(product.get("parentProductName")), (given, ""))


def _product(parent: _Parent, number: int, first: int) -> Document:
    found: Document = {
        "parentProductId": str(number),
        "parentProductName": parent.name,
        "type": parent.type,
        "products": [
            _variation(parent, first + offset, offset) for offset in range(parent.variations)
        ],
        "shortDescription": "",
        "description": f"{parent.name} at the sandbox",
        "imageUrl": "",
        "addOns": [],
        "tags": [],
        "isWaiverRequired": parent.mapping[0] == "Pass",
        "id": str(number),
        "name": parent.name,
    }
    return found | ({"stockProductType": parent.stock} if parent.stock else {})


def _variation(parent: _Parent, number: int, offset: int) -> Document:
    price = 4.99 + 5 * offset
    return {
        "id": str(number),
        "name": f"{parent.name} {offset + 1}",
        "description": "",
        "productCategoryIds": [],
        "price": round(price, 2),
        "tax": 20.0,
        "groupSize": 1,
        "isTaxInclusive": True,
        "minPurchase": 1,
        "maxPurchase": None,
        "isSuspended": False,
        "cost": round(price, 2),
    }
