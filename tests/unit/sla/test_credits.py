"""Service credits: what falls due for a period."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from sla.contract import Period
from sla.credits import CreditTerms, CreditTier, credit_of, in_force, tier_of, totals
from sla.money import Money, parse_money
from sla.units import NEVER


def eur(amount: str) -> Money:
    return parse_money(f"{amount} EUR")


TIERS = (CreditTier(Fraction("0.99"), Fraction("0.25")), CreditTier(Fraction("0.999"), Fraction("0.10")))
TIERED = CreditTerms("portal", "acme", 1, 0, NEVER, Period.MONTH, "UTC", TIERS, of=eur("12000"), cap=eur("6000"))
PER_BREACH = CreditTerms("response", "acme", 1, 0, NEVER, Period.MONTH, "UTC", per_breach=eur("50"), cap=eur("200"))


@pytest.mark.parametrize(
    ("good", "bad", "due"),
    [
        (1000, 0, "0"),
        (999, 1, "0"),  # exactly 99.9 % is not below it
        (9989, 11, "1200"),
        (990, 10, "1200"),  # exactly 99 %: still the upper tier
        (9899, 101, "3000"),
        (0, 5, "3000"),
    ],
)
def test_the_lowest_tier_that_the_share_lies_below_counts(good: int, bad: int, due: str) -> None:
    assert credit_of(TIERED, good, bad).amount == eur(due)


def test_one_event_decides_where_floats_would_not() -> None:
    # 999000000000001 / 10^15 is 99.9 % to any float that is rounded for display.
    assert credit_of(TIERED, 999_000_000_000_000, 1_000_000_000_000).tier is None
    tier = credit_of(TIERED, 998_999_999_999_999, 1_000_000_000_001).tier
    assert tier is not None
    assert tier.below == Fraction("0.999")


def test_without_an_event_nothing_falls_due() -> None:
    credit = credit_of(TIERED, 0, 0)
    assert (credit.amount, credit.tier) == (eur("0"), None)
    assert tier_of(TIERS, None) is None


def test_with_too_few_events_no_tier_applies() -> None:
    terms = replace(TIERED, min_events=20)
    assert credit_of(terms, 0, 19).amount == eur("0")
    assert credit_of(terms, 0, 20).amount == eur("3000")


@pytest.mark.parametrize(("breached", "due", "is_capped"), [(0, "0", False), (4, "200", False), (5, "200", True)])
def test_breached_clocks_add_up_to_the_cap(breached: int, due: str, is_capped: bool) -> None:
    credit = credit_of(PER_BREACH, 10, breached, breached)
    assert (credit.amount, credit.is_capped) == (eur(due), is_capped)


def test_tier_and_breaches_are_capped_together() -> None:
    terms = replace(TIERED, per_breach=eur("500"))
    credit = credit_of(terms, 98, 10, 10)
    assert (credit.of_tier, credit.of_breaches, credit.amount, credit.is_capped) == (
        *(eur("3000"), eur("5000"), eur("6000")),
        True,
    )


def test_less_than_the_minimum_is_not_paid() -> None:
    terms = replace(PER_BREACH, minimum=eur("100"))
    assert credit_of(terms, 5, 1, 1).is_below_minimum
    assert credit_of(terms, 5, 1, 1).amount == eur("0")
    assert credit_of(terms, 5, 2, 2).amount == eur("100")
    assert not credit_of(terms, 5, 0, 0).is_below_minimum


@pytest.mark.parametrize(("good", "bad"), [(1000, 0), (999, 1), (998, 2), (50, 0), (9990, 10), (5, 1), (990, 10)])
def test_the_next_tier_is_exactly_so_many_bad_events_away(good: int, bad: int) -> None:
    credit = credit_of(TIERED, good, bad)
    away = credit.bad_until_next_tier
    if away is None:
        assert credit.tier == TIERS[0]
        return
    assert credit_of(TIERED, good, bad + away - 1).tier == credit.tier
    assert credit_of(TIERED, good, bad + away).tier != credit.tier


def test_a_third_of_an_amount_is_rounded_to_cents() -> None:
    terms = replace(TIERED, tiers=(CreditTier(Fraction(1), Fraction("0.0333")),), of=eur("99.99"), cap=None)
    assert credit_of(terms, 0, 1).amount == eur("3.33")


def test_the_most_that_a_period_can_cost() -> None:
    assert TIERED.largest == eur("3000")
    assert replace(TIERED, cap=eur("1000")).largest == eur("1000")
    assert PER_BREACH.largest == eur("200")
    assert replace(PER_BREACH, cap=None).largest is None


def test_the_last_terms_in_force_in_a_period_count() -> None:
    former = replace(TIERED, effective_until_ms=100)
    later = replace(TIERED, revision=2, effective_from_ms=100)
    assert in_force([former, later], "portal", 0, 100) == former
    assert in_force([former, later], "portal", 50, 150) == later
    assert in_force([former, later], "other", 0, 100) is None
    assert in_force([replace(former, effective_from_ms=10)], "portal", 0, 10) is None


def test_currencies_are_never_added_together() -> None:
    in_yen = replace(PER_BREACH, per_breach=parse_money("100 JPY"), cap=None)
    found = totals([credit_of(in_yen, 0, 2, 2), credit_of(PER_BREACH, 0, 1, 1), credit_of(TIERED, 0, 1)])
    assert found == [eur("3050"), parse_money("200 JPY")]
