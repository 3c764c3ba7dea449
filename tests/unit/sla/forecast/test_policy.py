"""What alert policies would have paged."""

from __future__ import annotations

import pytest

from sla.forecast.policy import AlertPolicy, Look, WatchedClock, judged, with_pages_of

HALF = AlertPolicy("half", consumed=0.5)
EARLY = AlertPolicy("early", consumed=0.9, page=0.7, clear=0.6, untrusted=0.75)


def clock(*probabilities: float, breached: bool, trusted: bool = True, until: float = 1.0) -> WatchedClock:
    """Return a clock looked at each 10 % of its target, from its start on."""
    looks = [
        Look(number / 10, probability, trusted, number == 0)
        for number, probability in enumerate(probabilities)
        if number / 10 < until
    ]
    return WatchedClock(breached, looks)


def test_a_share_pages_every_clock_that_comes_so_far() -> None:
    result = judged(HALF, [clock(*[0.1] * 10, breached=True), clock(*[0.9] * 4, breached=False)])
    assert (result.pages, result.clocks, result.precision, result.recall) == (1, 1, 1, 1)
    assert result.mean_lead == result.median_lead == pytest.approx(0.5)


def test_a_probability_pages_early_and_the_backstop_late() -> None:
    early = clock(0.2, 0.75, *[0.8] * 8, breached=True)
    late = clock(*[0.3] * 10, breached=True)
    result = judged(EARLY, [early, late])
    assert (result.pages, result.recall) == (2, 1)
    assert result.mean_lead == pytest.approx((0.9 + 0.1) / 2)


def test_a_high_probability_at_the_very_start_is_no_page() -> None:
    assert judged(EARLY, [clock(0.9, 0.1, 0.1, breached=False)]).pages == 0


def test_between_the_two_thresholds_nothing_changes() -> None:
    steady = clock(0.5, 0.75, 0.65, 0.72, 0.61, 0.7, breached=False)
    assert judged(EARLY, [steady]).pages == 1
    falls_silent = clock(0.5, 0.75, 0.55, 0.72, 0.5, 0.7, breached=False)
    result = judged(EARLY, [falls_silent])
    assert (result.pages, result.clocks, result.precision) == (3, 1, 0)
    once = AlertPolicy("once", consumed=0.9, page=0.7, clear=0.0)
    assert judged(once, [falls_silent]).pages == 1


def test_while_the_forecast_is_not_trusted_the_share_pages() -> None:
    untrusted = clock(0.5, *[0.99] * 9, breached=True, trusted=False)
    assert judged(EARLY, [untrusted]).mean_lead == pytest.approx(
        0.2
    )  # looks at 10 %: the first at 75 % or later is 80 %
    assert judged(AlertPolicy("bold", page=0.7), [untrusted]).mean_lead == pytest.approx(0.9)


def test_no_clock_makes_no_numbers() -> None:
    result = judged(EARLY, [])
    assert (result.pages, result.precision, result.recall, result.mean_lead, result.median_lead) == (
        0,
        None,
        None,
        None,
        None,
    )


def test_a_missed_breach_costs_recall() -> None:
    assert judged(AlertPolicy("bold", page=0.7), [clock(*[0.2] * 10, breached=True)]).recall == 0


def test_the_threshold_that_is_searched_for_pages_no_more_than_the_rule() -> None:
    watched = [clock(0.0, number / 40, *[number / 40] * 8, breached=number > 25) for number in range(40)]
    watched += [clock(0.0, 0.3, until=0.2, breached=False)] * 5
    rule = judged(HALF, watched)
    found = with_pages_of(rule, watched)
    assert found.pages <= rule.pages
    assert found.mean_lead is not None
    assert rule.mean_lead is not None
    assert found.mean_lead > rule.mean_lead
