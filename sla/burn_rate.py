"""Burn-rate alerts: whether the error budget is being spent so fast that somebody has to act.

A *pair* of windows looks at what was spent in absolute terms. The long window says that it matters: more than some
share of the whole window's budget went in it. The short one, a twelfth of it, says that it goes on: more than a twelfth
of that share went in it. At constant traffic this is the burn rate of the literature (2 % of a 30 days' budget in an
hour is 14.4 times the rate that would just use it up); with bursts, and with targets of 80 or 90 %, it still means the
same amount of budget, where a ratio of ratios can't get above 1 / (1 - attain).

The pairs are data, see :class:`BurnPolicy`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import sqrt
from statistics import NormalDist
from typing import Final

from sla.budget import Expected
from sla.minute_counts import MinuteSums, Sums

SHORT_OF_LONG: Final = 12
"""How many short windows a long one has."""


class Severity(StrEnum):
    """How urgent a pair is."""

    PAGE = "page"
    """Somebody acts now."""
    TICKET = "ticket"
    """Somebody acts within days."""


@dataclass(frozen=True, slots=True)
class BurnPair:
    """A long and a short window, and the share of the budget that must not go in the long one.

    Attributes
    ----------
    name : str
        The long window as people write it: ``1h``. Unique in its policy; states are kept under it.
    spends : Fraction
        Share of the budget of the objective's whole window, over 0.
    long_ms, short_ms : int
        Whole minutes.
    """

    name: str
    severity: Severity
    spends: Fraction
    long_ms: int
    short_ms: int

    def spend_limit(self, window_ms: int) -> Fraction | None:
        """Return the share of the budget that may go in the long window, for an objective over ``window_ms``.

        Never less than what goes in it at a burn rate of 1: somebody who is on course to use up the budget exactly is
        on course to keep the promise. None if the long window is longer than the objective's: the pair says nothing.
        """
        if self.long_ms > window_ms:
            return None
        return max(self.spends, Fraction(self.long_ms, window_ms))

    def burn_rate(self, window_ms: int) -> Fraction | None:
        """Return the burn rate that spends the limit at constant traffic, 1 or more; None: the pair does not apply."""
        limit = self.spend_limit(window_ms)
        return None if limit is None else limit * window_ms / self.long_ms

    def can_fire(self, attain: Fraction, window_ms: int) -> bool:
        """Tell whether a total outage, at constant traffic, spends more than the limit."""
        limit = self.spend_limit(window_ms)
        return limit is not None and self.long_ms > limit * (1 - attain) * window_ms

    def events_to_fire(self, attain: Fraction, window_ms: int, expected_events: int) -> int | None:
        """Return how many bad events spend more than the limit, before safeguards; None if the pair does not apply."""
        limit = self.spend_limit(window_ms)
        return None if limit is None else int(limit * (1 - attain) * expected_events) + 1


@dataclass(frozen=True, slots=True)
class BurnPolicy:
    """Pairs of windows, and what keeps them from firing on noise.

    Attributes
    ----------
    id : str
        Name of the policy.
    source : str
        Where its numbers come from: title and address.
    min_bad_events : int
        A pair fires on at least so many bad events in its long window. Not asked of a promise of 100 %.
    confidence : float
        One-sided confidence, 0.5..1, that the error ratio of the long window is higher than allowed.
    confident_from : int
        From so many bad events on their number is no accident, and confidence is not asked for.
    min_coverage : Fraction
        A pair neither fires nor resolves while less than this share of its short window has been observed.
    """

    id: str
    source: str
    pairs: tuple[BurnPair, ...]
    min_bad_events: int = 3
    confidence: float = 0.95
    confident_from: int = 100
    min_coverage: Fraction = Fraction(1, 2)

    _limits: dict[int, tuple[tuple[BurnPair, Fraction], ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def longest_ms(self) -> int:
        """The longest window."""
        return max((pair.long_ms for pair in self.pairs), default=0)

    @property
    def quantile(self) -> float:
        """Quantile of the normal distribution at the confidence."""
        return _quantile(self.confidence)

    def least_bad(self, attain: Fraction) -> int:
        """Return on how many bad events a pair fires at least."""
        return 1 if attain == 1 else self.min_bad_events

    def limits(self, window_ms: int) -> tuple[tuple[BurnPair, Fraction], ...]:
        """Return the pairs that apply to an objective over ``window_ms``, each with its limit; remembered."""
        found = self._limits.get(window_ms)
        if found is None:
            limits = ((pair, pair.spend_limit(window_ms)) for pair in self.pairs)
            found = self._limits[window_ms] = tuple((pair, limit) for pair, limit in limits if limit is not None)
        return found


_quantile = lru_cache(maxsize=16)(NormalDist().inv_cdf)

Coverage = Callable[[int, int], tuple[int, int]]
"""From a span ``[start, end)``, UTC epoch ms, to (minutes known, minutes that should be)."""

Firing = frozenset[str]
"""Names of the pairs that fire for one objective."""

NONE_FIRING: Final[Firing] = frozenset()


def severities(policy: BurnPolicy, firing: Firing) -> frozenset[Severity]:
    """Return the severities at which an objective burns."""
    return frozenset(pair.severity for pair in policy.pairs if pair.name in firing)


def judge(
    policy: BurnPolicy,
    attain: Fraction,
    expected: Expected,
    counts: MinuteSums,
    now_ms: int,
    firing: Firing,
    coverage: Coverage | None = None,
) -> Firing:
    """Return which pairs fire at an instant.

    Parameters
    ----------
    expected : Expected
        Events of the objective's window, at the instant.
    counts : MinuteSums
        Good and bad events by minute, of the longest window of the policy.
    now_ms : int
        The instant, a whole minute; windows are half-open, ``[now - w, now)``.
    firing : frozenset of str
        Pairs that fired a minute ago.
    coverage : Coverage or None
        Of which minutes something should be known, and is. None: of all; where nothing was told nothing happened.

    Notes
    -----
    A pair *fires* when more than its limit was spent in the long window and more than a twelfth of that in the short
    one, on at least ``min_bad_events`` bad events whose share is higher than allowed. It *resolves* when the short
    window does not exceed its part any more: the long one forgets slowly, and noise around its limit must not flap.
    """
    found = []
    allowed = expected.allowed(attain)
    for pair, limit in policy.limits(expected.span.length_ms):
        was_firing = pair.name in firing
        if not was_firing:
            long = counts.sums(now_ms - pair.long_ms, now_ms)
            if not (_exceeds(long.bad, limit, 1, allowed) and _is_no_noise(policy, attain, long)):
                continue
        short = counts.sums(now_ms - pair.short_ms, now_ms)
        if coverage is not None and _is_blind(policy, coverage, now_ms - pair.short_ms, now_ms):
            is_firing = was_firing
        else:
            is_firing = _exceeds(short.bad, limit, pair.long_ms // pair.short_ms, allowed)
        if is_firing:
            found.append(pair.name)
    return frozenset(found) if found else NONE_FIRING


def may_fire(
    policy: BurnPolicy,
    attain: Fraction,
    window_ms: int,
    least_expected: tuple[int, int],
    counts: MinuteSums,
    after_ms: int,
    until_ms: int,
) -> bool:
    """Tell whether a pair that does not fire may do so at a minute of ``(after, until]``; False is certain.

    Parameters
    ----------
    least_expected : (int, int)
        Numerator and denominator of a number of events that the window has at each of these minutes at least.
    """
    p, q = attain.numerator, attain.denominator
    allowed = (q - p) * least_expected[0], q * least_expected[1]
    least = policy.least_bad(attain)
    for pair, limit in policy.limits(window_ms):
        bad = counts.sums(after_ms - pair.long_ms, until_ms).bad
        if bad >= least and _exceeds(bad, limit, 1, allowed):
            return True
    return False


def _is_blind(policy: BurnPolicy, coverage: Coverage, start_ms: int, end_ms: int) -> bool:
    known, expected = coverage(start_ms, end_ms)
    return known < policy.min_coverage * expected or not expected


def wilson_lower_bound(bad: int, events: int, z: float) -> float:
    """Return the lower bound of the share of bad events that a sample speaks for (Wilson's score interval).

    Parameters
    ----------
    z : float
        Quantile of the normal distribution: 1.645 for a one-sided confidence of 95 %.
    """
    if not bad or not events:
        return 0.0
    share, square = bad / events, z * z
    centre = share + square / (2 * events)
    spread = z * sqrt(share * (1 - share) / events + square / (4 * events * events))
    return max(0.0, (centre - spread) / (1 + square / events))


def _exceeds(bad: int, limit: Fraction, parts: int, allowed: tuple[int, int]) -> bool:
    """Tell whether bad events are more than one of so many parts of a limit of the budget; of no budget any is."""
    # Cross-multiplied integers: several times as fast as fractions, and asked eight times per objective and minute.
    return bad * parts * limit.denominator * allowed[1] > limit.numerator * allowed[0]


def _is_no_noise(policy: BurnPolicy, attain: Fraction, long: Sums) -> bool:
    if attain == 1:
        return True
    if long.bad < policy.min_bad_events:
        return False
    if long.bad * attain.denominator <= (attain.denominator - attain.numerator) * long.events:
        return False  # a burst of traffic at the ratio that was agreed
    if long.bad >= policy.confident_from:
        return True
    return wilson_lower_bound(long.bad, long.events, policy.quantile) > float(1 - attain)
