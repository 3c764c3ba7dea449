"""Burn-rate alerts through time: one objective judged minute by minute, and what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from sla.budget import Budget, budget_at, expected_at, least_expected
from sla.burn_rate import NONE_FIRING, BurnPolicy, Coverage, Firing, Severity, judge, may_fire, severities
from sla.contract import Window
from sla.minute_counts import MinuteSums
from sla.outcome import AlertState
from sla.units import MINUTE_MS
from sla.window import window_span

_LOOK_AHEAD: Final = 60
"""Minutes that are passed over together where nothing can fire."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an objective promised in some span of time.

    Attributes
    ----------
    from_ms, until_ms : int
        While these terms are in force, half-open, UTC epoch ms.
    """

    attain: Fraction
    window: Window
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class BurnChange:
    """The pairs that fire changed.

    Attributes
    ----------
    at_ms : int
        The instant of the decision: the end of the minute that brought it.
    budget : Budget
        Of the objective's window at that instant.
    """

    at_ms: int
    firing: Firing
    budget: Budget


def judge_minutes(
    policy: BurnPolicy,
    terms: Terms,
    counts: MinuteSums,
    after_ms: int,
    until_ms: int,
    observed_from_ms: int,
    firing: Firing = NONE_FIRING,
    coverage: Coverage | None = None,
) -> Iterator[BurnChange]:
    """Judge every whole minute in ``(after, until]``; yield where the pairs that fire change.

    Parameters
    ----------
    observed_from_ms : int
        Since when events are counted at all.
    coverage : Coverage or None
        As :func:`sla.burn_rate.judge` takes it.
    firing : frozenset of str
        Pairs that fired at ``after_ms``.
    """
    if not firing and counts.sums(after_ms - policy.longest_ms, until_ms).bad < policy.least_bad(terms.attain):
        return
    attain, window = terms.attain, terms.window
    minute, last = after_ms // MINUTE_MS, until_ms // MINUTE_MS
    looked_until = minute
    while minute < last:
        if not firing and minute >= looked_until and last - minute > _JUST_LOOK:
            ahead = min(minute + _LOOK_AHEAD, last)
            begin_ms, end_ms = minute * MINUTE_MS, ahead * MINUTE_MS
            least = least_expected(window, counts, begin_ms, end_ms, observed_from_ms)
            length_ms = window_span(window, end_ms).length_ms
            if not may_fire(policy, attain, length_ms, least, counts, begin_ms, end_ms):
                minute = ahead
                continue
            looked_until = ahead
        minute += 1
        now_ms = minute * MINUTE_MS
        expected = expected_at(window, counts, now_ms, observed_from_ms)
        found = judge(policy, attain, expected, counts, now_ms, firing, coverage)
        if found != firing:
            firing = found
            yield BurnChange(now_ms, firing, budget_at(attain, window, counts, now_ms, observed_from_ms))


_JUST_LOOK: Final = 5
"""Up to so many minutes are judged at once: to find out whether they can be passed over costs as much."""


def severity_changes(policy: BurnPolicy, before: Firing, after: Firing) -> Iterator[tuple[Severity, AlertState]]:
    """Yield which severities begin to fire or are over, pages first."""
    was, is_now = severities(policy, before), severities(policy, after)
    for severity in Severity:
        if (severity in was) != (severity in is_now):
            yield severity, AlertState.FIRING if severity in is_now else AlertState.RESOLVED


@dataclass(frozen=True, slots=True)
class BurnEvent:
    """One change of one alert."""

    severity: Severity
    state: AlertState
    at_ms: int
    budget: Budget


def replay(
    policy: BurnPolicy,
    terms: Iterable[Terms],
    counts: MinuteSums,
    observed_from_ms: int,
    until_ms: int,
    coverage: Coverage | None = None,
) -> Iterator[BurnEvent]:
    """Judge an objective under its terms, one after the other, from its first observation to an instant.

    An objective that is not promised any more burns no more: its alerts resolve when its last terms end.

    Parameters
    ----------
    terms : iterable of Terms
        Ascending, not overlapping.
    observed_from_ms : int
        The first minute observed.
    """
    firing = NONE_FIRING
    last: tuple[Terms, Budget] | None = None
    for each in terms:
        begin_ms = max(each.from_ms, observed_from_ms)
        end_ms = min(each.until_ms, until_ms)
        if last is not None and firing and last[0].until_ms < each.from_ms:
            yield from _ended(policy, firing, *last)
            firing = NONE_FIRING
        for change in judge_minutes(policy, each, counts, begin_ms, end_ms, observed_from_ms, firing, coverage):
            for severity, state in severity_changes(policy, firing, change.firing):
                yield BurnEvent(severity, state, change.at_ms, change.budget)
            firing = change.firing
        if end_ms > begin_ms:
            last = (each, budget_at(each.attain, each.window, counts, end_ms - end_ms % MINUTE_MS, observed_from_ms))
    if last is not None and firing and last[0].until_ms <= until_ms:
        yield from _ended(policy, firing, *last)


def _ended(policy: BurnPolicy, firing: Firing, terms: Terms, budget: Budget) -> Iterator[BurnEvent]:
    for severity, state in severity_changes(policy, firing, NONE_FIRING):
        yield BurnEvent(severity, state, terms.until_ms, budget)
