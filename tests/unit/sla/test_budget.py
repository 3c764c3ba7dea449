"""Error budgets by hand: share, events and minutes; what is estimated and what is not."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sla.budget import budget_at, closed_budget
from sla.composite import CompositeSums, Part
from sla.contract import Period, Window
from sla.minute_counts import MinuteColumn
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from sla.window import nominal_length_ms, window_span

ROLLING = Window(rolling_ms=30 * DAY_MS, period=None)
MARCH = parse_instant("2026-03-01T00:00:00+01:00")
NINES = Fraction(999, 1000)


def month(zone: str = "Europe/Berlin", period: Period = Period.MONTH) -> Window:
    return Window(rolling_ms=None, period=period, timezone=zone)


def column(*minutes: tuple[int, int, int]) -> MinuteColumn:
    return MinuteColumn(sorted(minutes))


def steady(start_ms: int, end_ms: int, good: int, bad: int = 0) -> list[tuple[int, int, int]]:
    return [(at_ms, good, bad) for at_ms in range(start_ms, end_ms, HOUR_MS)]


# --- windows ---


def test_the_month_in_which_clocks_go_forward_is_an_hour_short() -> None:
    span = window_span(month(), MARCH + 20 * DAY_MS)
    assert span == (MARCH, parse_instant("2026-04-01T00:00:00+02:00"))
    assert span.length_ms == 743 * HOUR_MS
    assert window_span(month("UTC"), MARCH + 20 * DAY_MS).length_ms == 744 * HOUR_MS


@pytest.mark.parametrize(
    ("period", "first", "following"),
    [
        (Period.WEEK, "2026-12-28T00:00:00+01:00", "2027-01-04T00:00:00+01:00"),
        (Period.MONTH, "2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
        (Period.QUARTER, "2026-10-01T00:00:00+02:00", "2027-01-01T00:00:00+01:00"),
        (Period.YEAR, "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
    ],
)
def test_a_period_ends_where_the_next_one_begins(period: Period, first: str, following: str) -> None:
    window = month(period=period)
    begins, ends = parse_instant(first), parse_instant(following)
    for now_ms in (begins, ends - 1):
        assert window_span(window, now_ms) == (begins, ends)
    assert window_span(window, ends).start_ms == ends
    assert nominal_length_ms(window) in {7 * DAY_MS, 30 * DAY_MS, 91 * DAY_MS, 365 * DAY_MS}


# --- budgets ---


def test_three_nines_of_thirty_days_are_forty_three_minutes() -> None:
    now_ms = MARCH + 60 * DAY_MS
    counts = column(*steady(MARCH, now_ms, 1000), (now_ms - MINUTE_MS, 820, 180))
    budget = budget_at(NINES, ROLLING, counts, now_ms, MARCH)
    assert not budget.is_estimated
    assert budget.allowed_minutes == Fraction("43.2")
    assert budget.events == 721_000
    assert budget.allowed_events == 721
    assert budget.spent_ratio == Fraction(180, 721)
    assert budget.remaining_events == 541
    assert budget.spent_minutes == Fraction(180, 721) * Fraction("43.2")
    assert budget.remaining_minutes == Fraction(541, 721) * Fraction("43.2")
    assert budget.attained_ratio == Fraction(720_820, 721_000)


def test_an_overspent_budget_is_negative() -> None:
    counts = column(*steady(MARCH, MARCH + 30 * DAY_MS, 999, 2))
    budget = budget_at(NINES, ROLLING, counts, MARCH + 30 * DAY_MS, MARCH)
    assert budget.remaining_ratio == 1 - Fraction(2000, 1001)
    assert budget.remaining_minutes is not None
    assert budget.remaining_minutes < 0
    assert budget.is_overspent


def test_a_running_month_is_filled_up_with_the_mean_rate_of_the_last_months_length() -> None:
    """In February ten an hour, in ten days of March twenty: the rest of March is expected at their mean."""
    february = parse_instant("2026-02-01T00:00:00+01:00")
    now_ms = MARCH + 10 * DAY_MS
    counts = column(*steady(february, MARCH, 10), *steady(MARCH, now_ms, 19, 1))
    budget = budget_at(NINES, month(), counts, now_ms, february)
    trailing = Fraction(20 * 240 + 10 * (743 - 240), 743)
    assert budget.expected_events == 20 * 240 + (743 - 240) * trailing
    assert budget.is_estimated
    assert (budget.good, budget.bad) == (19 * 240, 240)


def test_what_was_not_watched_is_filled_up_too() -> None:
    now_ms = MARCH + 20 * DAY_MS
    counts = column(*steady(MARCH + 10 * DAY_MS, now_ms, 50))
    budget = budget_at(NINES, month(), counts, now_ms, MARCH + 10 * DAY_MS)
    assert budget.expected_events == 50 * 743
    rolling = budget_at(NINES, ROLLING, counts, now_ms, MARCH + 10 * DAY_MS)
    assert rolling.expected_events == 50 * 720
    assert rolling.is_estimated


def test_a_promise_of_everything_is_counted() -> None:
    counts = column(*steady(MARCH, MARCH + DAY_MS, 9, 1))
    budget = budget_at(Fraction(1), ROLLING, counts, MARCH + DAY_MS, MARCH)
    assert (budget.spent_ratio, budget.remaining_ratio, budget.remaining_minutes) == (None, None, None)
    assert budget.allowed_events == budget.allowed_minutes == 0
    assert budget.remaining_events == -24
    assert budget.is_overspent


def test_without_events_nothing_is_said() -> None:
    budget = budget_at(NINES, ROLLING, column(), MARCH, MARCH)
    assert (budget.attained_ratio, budget.spent_ratio, budget.is_overspent) == (None, None, False)


@pytest.mark.parametrize(("bad", "is_overspent"), [(9, False), (10, False), (11, True)])
def test_a_period_that_is_over_is_overspent_when_less_was_attained(bad: int, is_overspent: bool) -> None:
    counts = column((MARCH, 1000 - bad, bad))
    budget = closed_budget(Fraction(99, 100), window_span(month(), MARCH), counts)
    assert not budget.is_estimated
    assert budget.is_overspent == is_overspent
    assert budget.remaining_ratio == 1 - Fraction(bad, 10)


# --- composites ---


def test_a_composite_adds_up_events_and_no_ratios() -> None:
    """Ten of a hundred fail in one part, one of a hundred thousand in the other: their mean would be 5 %."""
    small, large = column((MARCH, 90, 10)), column((MARCH, 99_999, 1), (MARCH + MINUTE_MS, 0, 0))
    equal = CompositeSums([Part(1, small), Part(1, large)])
    assert equal.sums(MARCH, MARCH + HOUR_MS) == (100_089, 11, 1)
    weighted = CompositeSums([Part(100, small), Part(1, large)])
    budget = closed_budget(Fraction(99, 100), window_span(month(), MARCH), weighted)
    assert (budget.good, budget.bad) == (9_000 + 99_999, 1_001)
    assert budget.attained_ratio == Fraction(108_999, 110_000)


def test_a_composite_has_parts_and_each_of_them_counts() -> None:
    with pytest.raises(ValueError, match="without parts"):
        CompositeSums([])
    with pytest.raises(ValueError, match="weight of 0"):
        Part(0, column())
