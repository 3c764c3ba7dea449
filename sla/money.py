"""Amounts of money: exact decimals with a currency, rounded once, at the end, to what the currency can pay."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from typing_extensions import override

from sla.errors import UnitError

_AMOUNT: Final = re.compile(r"^\s*(\d{1,15}(?:\.\d{1,4})?)\s+([A-Za-z]{3})\s*$")
_REVERSED: Final = re.compile(r"^\s*([A-Za-z]{3})\s+(\d[\d.]*)\s*$")

_CODES_BY_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
        "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
        "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
        "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS: Final = {code: digits for digits, codes in _CODES_BY_DIGITS.items() for code in codes.split()}
"""Decimal places of each currency, by its ISO 4217 code."""


class Money(NamedTuple):
    """An amount in a currency.

    Attributes
    ----------
    amount : Decimal
        In the currency's main unit, with as many places as it has, such as ``Decimal("12000.00")`` EUR.
    currency : str
        ISO 4217 code.
    """

    amount: Decimal
    currency: str

    def document(self) -> dict[str, str]:
        """Return the JSON form; the amount is text, because JSON numbers are floats to most readers."""
        return {"amount": f"{self.amount:f}", "currency": self.currency}

    @override
    def __str__(self) -> str:
        return f"{self.amount:,f} {self.currency}"


def parse_money(text: str) -> Money:
    """Read ``12000 EUR`` or ``99.50 USD``.

    Raises
    ------
    UnitError
        If the text is no amount with a known currency, or has more places than the currency.
    """
    found = _AMOUNT.match(text)
    if found is None:
        turned = _REVERSED.match(text)
        hint = f"{turned[2]} {turned[1].upper()}" if turned else "12000 EUR"
        raise UnitError(f"{text!r} is no amount of money: write {hint}")
    amount, currency = Decimal(found[1]), found[2]
    digits = MINOR_DIGITS.get(currency)
    if digits is None:
        hint = f" ({currency.upper()}?)" if currency.upper() in MINOR_DIGITS else ": an ISO 4217 code such as EUR"
        raise UnitError(f"unknown currency {currency!r}{hint}")
    rounded = money_of(Fraction(amount), currency)
    if rounded.amount != amount:
        raise UnitError(f"{text!r}: {currency} has {digits} decimal places")
    return rounded


def money_of(amount: Fraction, currency: str) -> Money:
    """Return an exact amount rounded to the currency's smallest unit; halves go away from zero."""
    digits = MINOR_DIGITS[currency]
    scaled = abs(amount) * 10**digits
    minor = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    # From digits and exponent: division would round by the context's precision.
    sign = 1 if amount < 0 and minor else 0
    return Money(Decimal((sign, tuple(int(digit) for digit in str(minor)), -digits)), currency)
