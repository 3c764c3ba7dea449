"""Where the current window of an objective begins."""

from __future__ import annotations

import pytest

from sla.contract import Period, Window
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from sla.window import window_name, window_start


def start(period: Period, now: str, timezone: str = "UTC") -> str:
    window = Window(rolling_ms=None, period=period, timezone=timezone)
    return format_instant(window_start(window, parse_instant(now)))


def test_rolling_window_ends_now() -> None:
    window = Window(rolling_ms=30 * DAY_MS, period=None)
    assert window_start(window, parse_instant("2026-03-31T12:34:56.789Z")) == parse_instant("2026-03-01T12:34:56.789Z")


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (Period.WEEK, "2026-08-10"),
        (Period.MONTH, "2026-08-01"),
        (Period.QUARTER, "2026-07-01"),
        (Period.YEAR, "2026-01-01"),
    ],
)
def test_calendar_period_begins_at_midnight_of_its_first_day(period: Period, expected: str) -> None:
    assert start(period, "2026-08-13T15:00:00Z") == f"{expected}T00:00:00.000Z"
    assert start(period, f"{expected}T00:00:00Z") == f"{expected}T00:00:00.000Z", "its first instant belongs to it"


def test_week_begins_on_monday() -> None:
    assert start(Period.WEEK, "2026-03-08T23:59:59.999Z") == "2026-03-02T00:00:00.000Z"
    assert start(Period.WEEK, "2026-03-09T00:00:00Z") == "2026-03-09T00:00:00.000Z"


@pytest.mark.parametrize(("month", "quarter"), [(1, 1), (3, 1), (4, 4), (6, 4), (7, 7), (9, 7), (10, 10), (12, 10)])
def test_quarter_begins_in_january_april_july_or_october(month: int, quarter: int) -> None:
    assert start(Period.QUARTER, f"2026-{month:02d}-15T00:00:00Z") == f"2026-{quarter:02d}-01T00:00:00.000Z"


def test_period_is_that_of_its_time_zone() -> None:
    assert start(Period.MONTH, "2026-02-28T23:30:00Z", "Europe/Berlin") == "2026-02-28T23:00:00.000Z"
    assert start(Period.MONTH, "2026-02-28T22:30:00Z", "Europe/Berlin") == "2026-01-31T23:00:00.000Z"


def test_summer_time_moves_the_beginning_of_later_periods_only() -> None:
    assert start(Period.QUARTER, "2026-03-31T12:00:00Z", "Europe/Berlin") == "2025-12-31T23:00:00.000Z"
    assert start(Period.QUARTER, "2026-04-01T12:00:00Z", "Europe/Berlin") == "2026-03-31T22:00:00.000Z"


def test_midnight_that_does_not_exist_is_the_first_instant_after_it() -> None:
    # Cuba went forward from 00:00 to 01:00 on 1 April 2012.
    assert start(Period.MONTH, "2012-04-15T12:00:00Z", "America/Havana") == "2012-04-01T05:00:00.000Z"


def test_midnight_that_happens_twice_is_the_first_one() -> None:
    # Cuba went back from 01:00 to 00:00 on 1 November 2015.
    assert start(Period.MONTH, "2015-11-15T12:00:00Z", "America/Havana") == "2015-11-01T04:00:00.000Z"


@pytest.mark.parametrize(
    ("rolling_ms", "name"),
    [(30 * DAY_MS, "30d"), (36 * HOUR_MS, "36h"), (90 * MINUTE_MS, "90m"), (DAY_MS, "1d"), (MINUTE_MS + 1, "60001ms")],
)
def test_rolling_window_is_named_by_its_length(rolling_ms: int, name: str) -> None:
    assert window_name(Window(rolling_ms=rolling_ms, period=None)) == name


@pytest.mark.parametrize("period", list(Period))
def test_calendar_period_is_named_by_its_word(period: Period) -> None:
    assert window_name(Window(rolling_ms=None, period=period)) == period.value


def test_window_is_rolling_or_has_a_period() -> None:
    neither = Window(rolling_ms=None, period=None)
    with pytest.raises(ValueError, match="a window is rolling or has a period"):
        window_start(neither, 0)
    assert window_name(neither) == ""
