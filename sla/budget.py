"""Error budgets: what an objective allows to go wrong in its window, what of it is spent, in share, events and minutes.

A budget is ``(1 - attain) x E`` bad events, where E is the number of events of the whole window. Of a window that has
been seen from its start to its end that number is known. Of a running calendar period, or of a rolling window that
reaches back before the first observation, it is estimated: what was counted, and for the time not seen the mean rate of
the last window's length. Everything is exact (fractions); rounding is for display.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from sla.contract import Window
from sla.minute_counts import MinuteSums, Sums
from sla.units import MINUTE_MS
from sla.window import Span, window_span


@dataclass(frozen=True, slots=True)
class Budget:
    """The error budget of one window at one instant.

    Attributes
    ----------
    attain : Fraction
        Share of events that must be good, 0..1.
    span : Span
        The whole window; the end of a running calendar period lies ahead.
    good, bad : int
        Events of the window so far.
    expected_events : Fraction
        Events of the whole window, as far as that is known now.
    is_estimated : bool
        Whether that number is an estimate.
    """

    attain: Fraction
    span: Span
    good: int
    bad: int
    expected_events: Fraction
    is_estimated: bool

    @property
    def events(self) -> int:
        """Events so far."""
        return self.good + self.bad

    @property
    def attained_ratio(self) -> Fraction | None:
        """Share of the events so far that were good; None without events: no data is not good data."""
        return Fraction(self.good, self.events) if self.events else None

    @property
    def allowed_events(self) -> Fraction:
        """Bad events that the whole window allows."""
        return (1 - self.attain) * self.expected_events

    @property
    def spent_ratio(self) -> Fraction | None:
        """Share of the budget that is spent, over 1 when overspent; None if there is no budget to divide by.

        Of a promise of 100 % there is none: it is counted, see :attr:`remaining_events`.
        """
        allowed = self.allowed_events
        return self.bad / allowed if allowed else None

    @property
    def remaining_ratio(self) -> Fraction | None:
        """Share of the budget that is left, negative when overspent: 1 - spent."""
        spent = self.spent_ratio
        return None if spent is None else 1 - spent

    @property
    def remaining_events(self) -> Fraction:
        """Bad events that are still allowed; negative when overspent. Of a promise of 100 % minus those that were."""
        return self.allowed_events - self.bad

    @property
    def allowed_minutes(self) -> Fraction:
        """The budget as time: how long everything may fail, 43.2 minutes of 30 days at 99.9 %."""
        return (1 - self.attain) * Fraction(self.span.length_ms, MINUTE_MS)

    @property
    def spent_minutes(self) -> Fraction | None:
        """The part of that time that is spent; None if there is no budget to divide by."""
        spent = self.spent_ratio
        return None if spent is None else spent * self.allowed_minutes

    @property
    def remaining_minutes(self) -> Fraction | None:
        """What is left of that time, negative when overspent."""
        remaining = self.remaining_ratio
        return None if remaining is None else remaining * self.allowed_minutes

    @property
    def is_overspent(self) -> bool:
        """Whether more went wrong than is allowed; also right where nothing is allowed."""
        return self.bad > self.allowed_events


class Expected(NamedTuple):
    """Events of a whole window, as far as that is known at an instant: ``numerator / denominator``, both integers.

    Attributes
    ----------
    so_far : Sums
        Events of the window up to the instant.
    unseen_ms : int
        Time of the window that was not seen, or not yet.
    """

    span: Span
    so_far: Sums
    numerator: int
    denominator: int
    unseen_ms: int

    def allowed(self, attain: Fraction) -> tuple[int, int]:
        """Return numerator and denominator of the bad events that the window allows."""
        p, q = attain.numerator, attain.denominator
        return (q - p) * self.numerator, q * self.denominator


def expected_at(
    window: Window, counts: MinuteSums, now_ms: int, observed_from_ms: int, until_ms: int | None = None
) -> Expected:
    """Return how many events the window that is current at an instant has, see :func:`budget_at`."""
    span = window_span(window, now_ms)
    length_ms = span.length_ms
    so_far = counts.sums(span.start_ms, now_ms if until_ms is None else until_ms)
    unseen_ms = length_ms - max(0, now_ms - max(span.start_ms, observed_from_ms))
    numerator, denominator = so_far.events, 1
    if unseen_ms:
        reference_ms = now_ms - max(now_ms - length_ms, observed_from_ms)
        if reference_ms > 0:
            reference = so_far if window.rolling_ms is not None else counts.sums(now_ms - length_ms, now_ms)
            numerator, denominator = numerator * reference_ms + unseen_ms * reference.events, reference_ms
    return Expected(span, so_far, numerator, denominator, unseen_ms)


def least_expected(
    window: Window, counts: MinuteSums, after_ms: int, until_ms: int, observed_from_ms: int
) -> tuple[int, int]:
    """Return a number, as numerator and denominator, that no :func:`expected_at` in ``(after, until]`` is below.

    It lets healthy hours be passed over without looking at their minutes. Trivial, 0, where windows change within.
    """
    first, last = window_span(window, after_ms), window_span(window, until_ms)
    length_ms = last.length_ms
    if window.rolling_ms is None and first != last:
        return 0, 1
    # The events that all of these windows share, the least time unseen, the slowest of their mean rates.
    shared = counts.sums(last.start_ms, after_ms).events
    unseen_ms = length_ms - max(0, until_ms - max(last.start_ms, observed_from_ms))
    reference_ms = until_ms - max(until_ms - length_ms, observed_from_ms)
    if not unseen_ms or reference_ms <= 0:
        return shared, 1
    reference = counts.sums(until_ms - length_ms, after_ms).events
    return shared * reference_ms + unseen_ms * reference, reference_ms


def budget_at(
    attain: Fraction,
    window: Window,
    counts: MinuteSums,
    now_ms: int,
    observed_from_ms: int,
    until_ms: int | None = None,
) -> Budget:
    """Return the budget of the window that is current at an instant.

    Parameters
    ----------
    counts : MinuteSums
        Good and bad events by minute, of the window and of as much time before now as the window is long.
    now_ms : int
        The instant, a whole minute; minutes from it on are left out.
    observed_from_ms : int
        Since when events are counted at all.
    until_ms : int or None
        Up to where events count; None: up to now. For a look at the minute that is not over yet.

    Notes
    -----
    With L the window's length, N the events counted in the window up to now, and R those of ``[now - L, now)``::

        E = N + (time of the window not seen) x R / (time of [now - L, now) seen)

    Time is seen from ``observed_from_ms`` on, up to now. Of a rolling window that was seen in full, E is N.
    """
    found = expected_at(window, counts, now_ms, observed_from_ms, until_ms)
    good, bad, _ = found.so_far
    expected = Fraction(found.numerator, found.denominator)
    return Budget(attain, found.span, good, bad, expected, is_estimated=found.unseen_ms > 0)


def closed_budget(attain: Fraction, span: Span, counts: MinuteSums) -> Budget:
    """Return the budget of a window that is over: its events are all there are, nothing is estimated.

    It is overspent exactly when less was attained than promised.
    """
    found = counts.sums(span.start_ms, span.end_ms)
    return Budget(attain, span, found.good, found.bad, Fraction(found.events), is_estimated=False)
