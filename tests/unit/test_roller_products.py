"""ROLLER's products become names, and the answer to who comes in by them."""

from typing import Any

import msgspec
import pytest

from pipeline.errors import Reject
from pipeline.model import Product
from pipeline.sources.roller.products import read_products


def _parent(**fields: object) -> dict[str, object]:
    made: dict[str, object] = {
        "parentProductId": "6990000",
        "parentProductName": "Open Jump",
        "type": "sessionpass",
        "products": [{"id": "7000001", "name": "Adult", "price": 9.99}],
    }
    return made | fields


def _read(*parents: Any) -> list[Product]:
    return read_products(msgspec.json.encode(parents))


def test_variations_are_found_by_the_id_that_bookings_name() -> None:
    """It is a text here and a number there; and a booking might name a parent."""
    parent, adult = _read(_parent())
    assert adult == Product(id="7000001", name="Adult", parent="Open Jump", type="sessionpass")
    assert parent == Product(id="6990000", name="Open Jump", type="sessionpass")
    assert (adult.title, parent.title) == ("Open Jump", "Open Jump")


def test_a_product_without_a_parents_name_goes_by_its_own() -> None:
    """Better than by none."""
    *_, adult = _read(_parent(parentProductName=None))
    assert adult.title == "Adult"


@pytest.mark.parametrize(
    ("kind", "stock", "admits"),
    [
        ("pass", None, True),
        ("sessionpass", None, True),
        ("SessionPass", None, True),
        ("recurringpass", None, True),
        ("RecurringSession", None, True),
        ("membership", None, True),
        ("package", None, True),
        ("PartyPackage", None, True),
        ("addon", None, False),
        ("AddOn", None, False),
        ("Add-on", None, False),
        ("stock", None, False),
        ("Stock", "retail", False),
        ("GiftCard", None, False),
        ("gift card", None, False),
        ("ExternalGiftCard", None, False),
        ("Wallet", None, False),
        ("CashlessCard", None, False),
        ("Donation", None, False),
        ("OpenProduct", None, False),
        ("somethingelse", None, True),
        ("somethingelse", "None", True),
        ("somethingelse", "retail", False),
        ("pass", "retail", True),
        (None, None, True),
        (7, None, True),
    ],
)
def test_who_comes_in_is_told_by_the_type(kind: object, stock: object, admits: bool) -> None:
    """However it is spelt; what is not known to be something else counts as people."""
    assert {one.admits for one in _read(_parent(type=kind, stockProductType=stock))} == {admits}


@pytest.mark.parametrize(
    "products",
    [
        None,
        {},
        "x",
        [None, 3, "x", []],
        [{"name": "Adult"}],
        [{"id": "a\x00"}],
        [{"id": "9" * 129}],
    ],
    ids=["null", "object", "text", "no objects", "no id", "control character", "too long"],
)
def test_what_cannot_be_used_is_left_out_and_the_rest_taken(products: object) -> None:
    """One odd entry must not cost the venue all names."""
    found = _read(_parent(products=products), _parent(parentProductId="2", type=["x"]))
    assert [one.id for one in found] == ["6990000", "2", "7000001"]


def test_a_name_is_fit_to_be_shown_and_sent() -> None:
    """It goes to Stampede, and into a terminal."""
    *_, adult = _read(_parent(parentProductName="  Open\x1b[31m\n Jump " + "x" * 300))
    assert adult.parent is not None
    assert adult.parent.isprintable()
    assert adult.parent.startswith("Open")
    assert len(adult.parent) <= 120


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"null", b"\xff", b"[1]", b"[" * 100_000])
def test_what_is_no_list_of_products_is_rejected(body: bytes) -> None:
    """What is known already stays."""
    with pytest.raises(Reject, match="without a list of products"):
        read_products(body)
