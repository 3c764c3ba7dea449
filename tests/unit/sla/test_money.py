"""Amounts of money."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from sla.errors import UnitError
from sla.money import MINOR_DIGITS, money_of, parse_money


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("12000 EUR", "12,000.00 EUR"),
        ("99.5 USD", "99.50 USD"),
        ("10000 JPY", "10,000 JPY"),
        ("1.234 KWD", "1.234 KWD"),
    ],
)
def test_an_amount_has_the_places_of_its_currency(text: str, shown: str) -> None:
    assert str(parse_money(text)) == shown


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("EUR 12000", "write 12000 EUR"),
        ("12000", "write 12000 EUR"),
        ("12,000 EUR", "write 12000 EUR"),
        ("-5 EUR", "write"),
        ("10 eur", "EUR?"),
        ("10 XXQ", "ISO 4217"),
        ("1.5 JPY", "0 decimal places"),
        ("1.005 EUR", "2 decimal places"),
    ],
)
def test_what_is_no_amount_is_told_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(UnitError, match=hint.replace("?", r"\?")):
        parse_money(text)


@pytest.mark.parametrize(
    ("exact", "amount"),
    [("1/3", "0.33"), ("1/200", "0.01"), ("-1/200", "-0.01"), ("2/300", "0.01"), ("-1/1000", "0.00"), ("0", "0.00")],
)
def test_amounts_are_rounded_once_and_halves_go_away_from_zero(exact: str, amount: str) -> None:
    rounded = money_of(Fraction(exact), "EUR").amount
    assert str(rounded) == amount
    assert not rounded.is_signed() or rounded != 0


def test_large_amounts_keep_every_digit() -> None:
    exact = Fraction(10**27 + 1, 100)
    assert money_of(exact, "EUR").amount == Decimal("10000000000000000000000000.01")


def test_json_holds_amounts_as_text() -> None:
    assert parse_money("12000 EUR").document() == {"amount": "12000.00", "currency": "EUR"}


def test_every_currency_has_one_number_of_places() -> None:
    assert len(MINOR_DIGITS) > 150
    assert all(len(code) == 3 and code.isupper() for code in MINOR_DIGITS)
