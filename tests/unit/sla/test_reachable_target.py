"""Estimates of what would have been reached, against figures worked out by hand and in the literature."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from sla.reachable_target import Run, reachable_within, share_within, stopped_within, wilson
from sla.units import HOUR_MS


def stops(*hours: float) -> list[Run]:
    return [Run(int(hour * HOUR_MS), stopped=True) for hour in hours]


def opens(*hours: float) -> list[Run]:
    return [Run(int(hour * HOUR_MS), stopped=False) for hour in hours]


@pytest.mark.parametrize(
    ("met", "number", "low", "high"),
    # Newcombe 1998, table I: the score method without continuity correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(met: int, number: int, low: float, high: float) -> None:
    assert wilson(met / number, number) == pytest.approx((low, high), abs=5e-5)


def test_without_any_clock_nothing_is_known() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)
    assert stopped_within([]) == []
    told = reachable_within([], Fraction(9, 10))
    assert (told.within_ms, told.low_ms, told.high_ms, told.stopped, told.open) == (None, None, None, 0, 0)


def test_without_open_clocks_the_estimate_is_the_share() -> None:
    points = stopped_within(stops(*range(1, 11)))
    assert [point.share for point in points] == pytest.approx([n / 10 for n in range(1, 11)])
    for point in points[:-1]:
        assert (point.low, point.high) == pytest.approx(wilson(point.share, 10), abs=1e-9)
    told = reachable_within(stops(*range(1, 11)), Fraction(9, 10))
    assert told.within_ms == 9 * HOUR_MS


def test_the_exact_share_is_enough() -> None:
    assert reachable_within(stops(*range(1, 101)), Fraction(95, 100)).within_ms == 95 * HOUR_MS


def test_open_clocks_take_part_as_long_as_they_are_known() -> None:
    """Remission of 21 patients under 6-MP (Freireich 1963), the textbook case: S(6) = 0.857, S(23) = 0.448."""
    told = stops(6, 6, 6, 7, 10, 13, 16, 22, 23) + opens(6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)
    points = {point.within_ms // HOUR_MS: 1 - point.share for point in stopped_within(told)}
    assert points == pytest.approx(
        {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}, abs=6e-4
    )


def test_leaving_open_clocks_out_would_promise_too_much() -> None:
    closed, still_open = stops(*range(1, 9)), opens(*[20] * 8)
    assert reachable_within(closed, Fraction(3, 4)).within_ms == 6 * HOUR_MS
    honest = reachable_within(closed + still_open, Fraction(3, 4))
    assert (honest.within_ms, honest.stopped, honest.open) == (None, 8, 8)


def test_more_clocks_make_the_interval_narrower_around_the_estimate() -> None:
    draw = random.Random(1)
    few = stops(*(draw.expovariate(0.2) for _ in range(50)))
    many = few + stops(*(draw.expovariate(0.2) for _ in range(2_000)))
    widths = []
    for runs in (few, many):
        told = reachable_within(runs, Fraction(4, 5))
        assert told.low_ms is not None
        assert told.within_ms is not None
        assert told.high_ms is not None
        assert told.low_ms <= told.within_ms <= told.high_ms
        widths.append(told.high_ms - told.low_ms)
    assert widths[1] < widths[0] / 3


def test_the_interval_covers_the_true_target_about_as_often_as_it_says() -> None:
    draw = random.Random(7)
    true_ms = 8.0472 * HOUR_MS  # 80 % of an exponential distribution with mean 5 h
    covered = 0
    for _ in range(200):
        runs = []
        for _ in range(120):
            ends, cut = draw.expovariate(1 / 5), draw.uniform(0, 30)
            runs.append(Run(int(min(ends, cut) * HOUR_MS), stopped=ends <= cut))
        told = reachable_within(runs, Fraction(4, 5))
        covered += (told.low_ms or 0) <= true_ms <= (told.high_ms or true_ms)
    assert 180 <= covered <= 199


def test_the_estimate_at_a_time_is_that_of_the_last_stop() -> None:
    points = stopped_within(stops(1, 2))
    assert share_within(points, HOUR_MS - 1) is None
    at_90_minutes = share_within(points, 90 * 60_000)
    assert at_90_minutes is not None
    assert at_90_minutes.share == 0.5
