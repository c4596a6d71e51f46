"""Amounts are exact, or a person looks at them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from pipeline.errors import Reject
from pipeline.money import digits, is_sane, minor_units

_WITH_UNIT = [currency for currency in Currency if currency.exponent is not None]


def test_the_table_is_that_of_iso_4217() -> None:
    """A currency with a wrong number of digits makes every amount wrong by powers of ten."""
    ours = {currency.code: digits(currency.code) for currency in Currency}
    assert ours == {currency.code: currency.exponent for currency in Currency}


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("350.64", "GBP", 35_064),
        ("350", "JPY", 350),
        ("350.00", "JPY", 350),
        ("1.005", "KWD", 1_005),
        ("1.0005", "CLF", 10_005),
        ("0", "GBP", 0),
        ("-0.00", "GBP", 0),
        ("-12.30", "EUR", -1_230),
        ("999999999999.99", "GBP", 99_999_999_999_999),
        ("1." + "0" * 60, "GBP", 100),
        ("3.5e2", "GBP", 35_000),
    ],
)
def test_major_units_become_whole_minor_units(amount: str, currency: str, units: int) -> None:
    """Stampede takes the lowest denomination."""
    assert minor_units(Decimal(amount), currency) == units


@pytest.mark.parametrize(
    ("amount", "currency", "complaint"),
    [
        ("NaN", "GBP", "finite"),
        ("sNaN", "GBP", "finite"),
        ("Infinity", "GBP", "finite"),
        ("-Infinity", "GBP", "finite"),
        ("1e999999", "GBP", "finite"),
        ("1000000000000", "GBP", "finite"),
        ("0.001", "GBP", "finer"),
        ("0.5", "JPY", "finer"),
        ("1e-999999", "GBP", "finer"),
        # More digits than Python reckons with: it would round to 1 without a word.
        ("1." + "0" * 40 + "1", "GBP", "finer"),
        ("1", "XXX", "ISO 4217"),
        ("1", "gbp", "ISO 4217"),
        ("1", "", "ISO 4217"),
    ],
)
def test_what_is_absurd_or_not_exact_is_rejected(
    amount: str, currency: str, complaint: str
) -> None:
    """A guess about somebody's money is worse than a question."""
    with pytest.raises(Reject, match=complaint):
        minor_units(Decimal(amount), currency)


def test_the_complaint_about_a_long_number_is_short() -> None:
    """The reason is shown in tables."""
    with pytest.raises(Reject) as caught:
        minor_units(Decimal("1." + "1" * 1_000), "GBP")
    assert len(caught.value.reason) < 100


@given(st.integers(-(10**11), 10**11), st.sampled_from(_WITH_UNIT))
def test_minor_units_are_what_was_divided(units: int, currency: Currency) -> None:
    """No amount of any currency is off by one unit."""
    places = currency.exponent
    assert places is not None
    assert minor_units(Decimal(units).scaleb(-places), currency.code) == units


@given(st.decimals())
def test_every_decimal_is_converted_exactly_or_rejected(amount: Decimal) -> None:
    """Whatever number a body holds, it neither crashes nor is rounded."""
    try:
        units = minor_units(amount, "GBP")
    except Reject:
        return
    assert is_sane(amount)
    assert Decimal(units) == amount * 100
