"""Laws of service credits: they grow with what went wrong, and stay within what was agreed."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sla.contract import Period
from sla.credits import CreditTerms, CreditTier, credit_of, tier_of
from sla.money import Money, money_of
from sla.units import NEVER

pytestmark = pytest.mark.property

shares = st.integers(1, 10_000).map(lambda number: Fraction(number, 10_000))
amounts = st.integers(0, 10**9).map(lambda cents: money_of(Fraction(cents, 100), "EUR"))


@st.composite
def terms(draw: st.DrawFn) -> CreditTerms:
    belows = sorted(draw(st.sets(shares, min_size=1, max_size=5)))
    credits_of = sorted(draw(st.lists(shares, min_size=len(belows), max_size=len(belows))), reverse=True)
    return CreditTerms(
        objective="o",
        contract="c",
        revision=1,
        effective_from_ms=0,
        effective_until_ms=NEVER,
        period=Period.MONTH,
        timezone="UTC",
        tiers=tuple(CreditTier(below, credit) for below, credit in zip(belows, credits_of, strict=True)),
        of=draw(amounts),
        per_breach=draw(st.none() | amounts),
        cap=draw(st.none() | amounts),
        minimum=draw(st.none() | amounts),
        min_events=draw(st.integers(1, 20)),
    )


counts = st.integers(0, 2_000)


@given(terms(), counts, counts)
def test_one_more_bad_event_never_lowers_the_credit(of: CreditTerms, good: int, bad: int) -> None:
    assert credit_of(of, good, bad + 1, bad + 1).amount >= credit_of(of, good, bad, bad).amount


@given(terms(), counts, counts)
def test_a_credit_is_its_parts_capped_or_nothing(of: CreditTerms, good: int, bad: int) -> None:
    found = credit_of(of, good, bad, bad)
    cap = of.cap.amount if of.cap is not None else Decimal("Infinity")
    # Each part is rounded for display, so their sum may be off by a cent.
    whole = min(found.of_tier.amount + found.of_breaches.amount, cap)
    assert found.amount.amount in (Decimal("0.00"), whole) or abs(found.amount.amount - whole) <= Decimal("0.01")
    assert 0 <= found.amount.amount <= cap
    if of.minimum is not None and found.amount.amount:
        assert found.amount.amount >= of.minimum.amount
    largest = of.largest
    assert largest is None or found.amount.amount <= largest.amount


@given(terms(), counts, counts)
def test_the_tier_is_the_one_a_plain_search_finds(of: CreditTerms, good: int, bad: int) -> None:
    if not good + bad:
        assert tier_of(of.tiers, None) is None
        return
    expected = None
    for tier in sorted(of.tiers, key=lambda each: each.below, reverse=True):
        if good * tier.below.denominator < tier.below.numerator * (good + bad):
            expected = tier
    assert tier_of(of.tiers, Fraction(good, good + bad)) == expected


@given(terms(), st.integers(1, 2_000), counts)
def test_the_next_tier_is_reached_at_the_event_that_is_told_and_not_before(
    of: CreditTerms, good: int, bad: int
) -> None:
    found = credit_of(of, good, bad, bad)
    if found.bad_until_next_tier is not None:
        assert found.bad_until_next_tier >= 1
        reached = credit_of(of, good, bad + found.bad_until_next_tier).tier
        assert reached is not None
        assert reached != found.tier
        assert credit_of(of, good, bad + found.bad_until_next_tier - 1).tier == found.tier


@given(st.fractions(-(10**9), 10**9), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_rounding_is_off_by_half_a_unit_at_most(exact: Fraction, currency: str) -> None:
    rounded = money_of(exact, currency)
    assert isinstance(rounded, Money)
    digits = -int(rounded.amount.as_tuple().exponent)
    assert abs(Fraction(rounded.amount) - exact) <= Fraction(1, 2 * 10**digits)
    assert money_of(-exact, currency).amount == -rounded.amount
