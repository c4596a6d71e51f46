"""Amounts of money: exact decimals in, whole minor units of ISO 4217 out."""

from decimal import Context, Decimal, Inexact

from pipeline.errors import Reject

#: The currencies whose minor unit is not a hundredth, from the list of ISO 4217 that SIX keeps
#: (2026-01-01). A test compares the whole table with the package iso4217.
_DIGITS = {
    code: places
    for places, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for code in codes.split()
}
_HUNDREDTHS = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
    GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
    PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
    TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    """.split()
)

#: An amount of this size or more is a mistake, whatever the currency: 10^12.
_MOST_DIGITS = 12

#: Refuses to round; its 28 digits hold every amount below 10^12 in any minor unit.
_EXACT = Context(prec=28, traps=[Inexact])


def is_sane(amount: Decimal) -> bool:
    """Tell whether an amount can be reckoned with: finite, and below 10^12 in size.

    To be asked before any arithmetic: Decimal reads "NaN" and "1e999999999", and overflows later.
    """
    return amount.is_finite() and amount.adjusted() < _MOST_DIGITS


def digits(currency: str) -> int | None:
    """Give the number of digits of a currency's minor unit; None for a code that ISO lacks."""
    return 2 if currency in _HUNDREDTHS else _DIGITS.get(currency)


def minor_units(amount: Decimal, currency: str) -> int:
    """Convert major units to whole minor units, exactly.

    Raises Reject when the amount is absurd, finer than the currency allows, or the currency is
    unknown: a person must look, for any rounding would be a guess about somebody's money.
    """
    places = digits(currency)
    if places is None:
        msg = f"the currency {currency} is not in ISO 4217"
        raise Reject(msg)
    if not is_sane(amount):
        msg = "the amount is not a finite number below 10^12"
        raise Reject(msg)
    try:
        exact = _EXACT.quantize(amount, Decimal(1).scaleb(-places))
    except Inexact:
        msg = f"the amount {str(amount)[:40]} is finer than {currency} has digits ({places})"
        raise Reject(msg) from None
    return int(exact.scaleb(places))
