"""Service credits: what falls due when an objective is missed, or a clock breached, per calendar period.

Everything is exact. The share attained is a fraction and compared as one; money is rounded once, at the end, to the
smallest unit of its currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sla.contract import Period
from sla.money import Money, money_of


@dataclass(frozen=True, slots=True)
class CreditTier:
    """What falls due below a share attained.

    Attributes
    ----------
    below : Fraction
        Less than this was attained (exactly this much is not less).
    credit : Fraction
        Share of the amount that credits are of.
    """

    below: Fraction
    credit: Fraction


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """Credits of one objective (or target) under one revision of its contract.

    Attributes
    ----------
    objective : str
        Id of the objective; of credits per breach alone it may be that of a target without one.
    tiers : tuple of CreditTier
        The lowest first; empty: none depend on the share attained.
    of : Money or None
        What tiers and a cap in percent are shares of: the charge of one period. Given if there are any.
    per_breach : Money or None
        Falls due for every breached clock.
    cap, minimum : Money or None
        Most that falls due for one period; less than the minimum does not fall due at all.
    min_events : int
        With fewer events than this in the period, nothing depends on the share attained.
    period : Period
    timezone : str
        Over what the share is taken, and in which zone it begins.
    effective_from_ms, effective_until_ms : int
        When the revision is in force, half-open.
    """

    objective: str
    contract: str
    revision: int
    effective_from_ms: int
    effective_until_ms: int
    period: Period
    timezone: str
    tiers: tuple[CreditTier, ...] = ()
    of: Money | None = None
    per_breach: Money | None = None
    cap: Money | None = None
    minimum: Money | None = None
    min_events: int = 1

    @property
    def currency(self) -> str:
        """ISO 4217 code: all amounts of one entry have the same."""
        amount = self.of or self.per_breach
        assert amount is not None, "credits are of something"
        return amount.currency

    @property
    def largest(self) -> Money | None:
        """Most that one period can cost; None if breaches cost something and nothing caps them."""
        if self.per_breach is not None:
            return self.cap
        assert self.of is not None, "tiers are of something"
        of = Fraction(self.of.amount) * max((tier.credit for tier in self.tiers), default=Fraction(0))
        uncapped = money_of(of, self.of.currency)
        return uncapped if self.cap is None or uncapped.amount <= self.cap.amount else self.cap


@dataclass(frozen=True, slots=True)
class Credit:
    """What falls due for one period, or would if it ended now.

    Attributes
    ----------
    amount : Money
        What is to be paid.
    tier : CreditTier or None
        The one that applies.
    of_tier, of_breaches : Money
        Its parts, before cap and minimum.
    is_capped : bool
        Whether the cap took something away.
    is_below_minimum : bool
        Whether something was due and less than what is paid at all.
    bad_until_next_tier : int or None
        How many more bad events lead into the next tier, if no good one comes; None if there is no further tier.
    """

    terms: CreditTerms
    amount: Money
    tier: CreditTier | None
    of_tier: Money
    of_breaches: Money
    is_capped: bool
    is_below_minimum: bool
    bad_until_next_tier: int | None

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        tier = self.tier
        return {
            "amount": self.amount.document(),
            "tier": None if tier is None else {"below": float(tier.below), "credit": float(tier.credit)},
            "of_tier": self.of_tier.document(),
            "of_breaches": self.of_breaches.document(),
            "capped": self.is_capped,
            "below_minimum": self.is_below_minimum,
            "bad_until_next_tier": self.bad_until_next_tier,
            "largest": None if self.terms.largest is None else self.terms.largest.document(),
        }


def tier_of(tiers: Sequence[CreditTier], attained: Fraction | None) -> CreditTier | None:
    """Return the lowest tier that the share attained lies below; None if there is none, or no data."""
    if attained is None:
        return None
    return min((tier for tier in tiers if attained < tier.below), key=lambda tier: tier.below, default=None)


def credit_of(terms: CreditTerms, good: int, bad: int, breached_clocks: int = 0) -> Credit:
    """Return what falls due for a period.

    Parameters
    ----------
    good, bad : int
        Events of the objective in the period.
    breached_clocks : int
        What a credit per breach is paid for: the breached clocks decided in the period.
    """
    events = good + bad
    has_enough = events >= terms.min_events
    attained = Fraction(good, events) if events and has_enough else None
    tier = tier_of(terms.tiers, attained)
    of_tier = Fraction(0) if tier is None or terms.of is None else Fraction(terms.of.amount) * tier.credit
    of_breaches = Fraction(0) if terms.per_breach is None else Fraction(terms.per_breach.amount) * breached_clocks
    due = of_tier + of_breaches
    cap = None if terms.cap is None else Fraction(terms.cap.amount)
    capped = due if cap is None else min(due, cap)
    is_below_minimum = terms.minimum is not None and 0 < capped < Fraction(terms.minimum.amount)
    currency = terms.currency
    return Credit(
        terms=terms,
        amount=money_of(Fraction(0) if is_below_minimum else capped, currency),
        tier=tier,
        of_tier=money_of(of_tier, currency),
        of_breaches=money_of(of_breaches, currency),
        is_capped=capped < due,
        is_below_minimum=is_below_minimum,
        bad_until_next_tier=_bad_until_next(terms, good, bad, tier),
    )


def _bad_until_next(terms: CreditTerms, good: int, bad: int, tier: CreditTier | None) -> int | None:
    lower = [other.below for other in terms.tiers if tier is None or other.below < tier.below]
    if not lower or not good:
        return None  # without a good event the share stays at 0, below every tier
    # good / (good + bad + k) < below  <=>  k > good / below - good - bad
    further = good / max(lower) - good - bad
    least = further.numerator // further.denominator + 1
    return max(least, terms.min_events - good - bad, 1)


def in_force(all_terms: Iterable[CreditTerms], objective: str, start_ms: int, end_ms: int) -> CreditTerms | None:
    """Return the terms of an objective's credits for a period: the last that were in force in it; None without any."""
    found = [
        terms
        for terms in all_terms
        if terms.objective == objective and terms.effective_from_ms < end_ms and terms.effective_until_ms > start_ms
    ]
    return max(found, key=lambda terms: (terms.effective_from_ms, terms.revision), default=None)


def totals(credits_due: Iterable[Credit]) -> list[Money]:
    """Return the sums of credits, one per currency, by code: amounts of different currencies are never added."""
    sums: dict[str, Money] = {}
    for credit in credits_due:
        found = sums.get(credit.amount.currency)
        sums[credit.amount.currency] = (
            credit.amount if found is None else Money(found.amount + credit.amount.amount, found.currency)
        )
    return [sums[currency] for currency in sorted(sums)]
