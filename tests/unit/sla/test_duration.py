"""Targets and windows as people write them."""

from __future__ import annotations

import pytest

from sla.contract import Period, TimeBase, Window, Within
from sla.duration import format_duration, parse_window, parse_within
from sla.errors import CalendarError, UnitError
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


@pytest.mark.parametrize(
    ("text", "duration_ms", "base"),
    [
        ("4bh", 4 * HOUR_MS, TimeBase.BUSINESS),
        ("30bm", 30 * MINUTE_MS, TimeBase.BUSINESS),
        ("90bs", 90 * SECOND_MS, TimeBase.BUSINESS),
        ("4bh30bm", 270 * MINUTE_MS, TimeBase.BUSINESS),
        ("0bh", 0, TimeBase.BUSINESS),
        ("24h", DAY_MS, TimeBase.ELAPSED),
        ("30m", 30 * MINUTE_MS, TimeBase.ELAPSED),
        ("45s", 45 * SECOND_MS, TimeBase.ELAPSED),
        ("2d", 2 * DAY_MS, TimeBase.ELAPSED),
        ("1w", 7 * DAY_MS, TimeBase.ELAPSED),
        ("1h30m", 90 * MINUTE_MS, TimeBase.ELAPSED),
        ("30m1h", 90 * MINUTE_MS, TimeBase.ELAPSED),
        (" 1h 30 m ", 90 * MINUTE_MS, TimeBase.ELAPSED),
        ("1.5h", 90 * MINUTE_MS, TimeBase.ELAPSED),
        ("0.1h", 6 * MINUTE_MS, TimeBase.ELAPSED),
        ("0.001s", 1, TimeBase.ELAPSED),
        ("3653d", 3653 * DAY_MS, TimeBase.ELAPSED),
    ],
)
def test_a_target_says_what_it_counts(text: str, duration_ms: int, base: TimeBase) -> None:
    assert parse_within(text) == Within(duration_ms, base)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is no duration: write 4bh"),
        ("soon", "is no duration"),
        ("4", "'4' has no unit: write 4bh"),
        ("1.2.3h", "is no duration"),
        ("1h,30m", "is no duration"),
        ("h4", "is no duration"),
        ("4h!", "is no duration"),
        ("-4h", "is negative"),
        ("- 4bh", "is negative"),
        ("−4h", "is negative"),
        ("4hours", "unknown unit 'hours': did you mean 'h'"),
        ("4BH", "unknown unit 'BH': did you mean 'bh'"),
        ("4bhours", "unknown unit 'bhours': did you mean 'bh'"),
        ("30min", "unknown unit 'min': did you mean 'm'"),
        ("500ms", "unknown unit 'ms': write seconds with decimals"),
        ("3months", "unknown unit 'months': months, quarters and years have no fixed length"),
        ("1M", "unknown unit 'M': months, quarters and years have no fixed length"),
        ("4xyz", "unknown unit 'xyz': write 4bh"),
        ("4bh30m", "mixes business and elapsed time"),
        ("4bh2x", "unknown unit 'x'"),
        ("1h2h", "the unit 'h' stands there twice"),
        ("0.0001s", "finer than a millisecond"),
        ("3654d", "longer than 10 years"),
        ("2bd", "business days are not supported by this release yet: write business hours, such as 16bh"),
        ("2bd eod", "business days are not supported by this release yet"),
        ("eod", "business days are not supported by this release yet"),
        ("2businessdays", "business days are not supported by this release yet"),
        (
            "by: last_day",
            "dates carried by the ticket are not supported by this release yet, nor are business days: write 4bh",
        ),
    ],
)
def test_a_target_that_cannot_be_read_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_within(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("4w", 28), ("12h", 0.5), ("1d12h", 1.5), ("1.5d", 1.5)])
def test_a_window_of_a_duration_is_rolling(text: str, days: float) -> None:
    assert parse_window(text, "Asia/Jakarta") == Window(
        rolling_ms=int(days * DAY_MS), period=None, timezone="Asia/Jakarta"
    )


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("1 week", Period.WEEK),
        ("1 month", Period.MONTH),
        ("1 quarter", Period.QUARTER),
        ("1 year", Period.YEAR),
        ("1month", Period.MONTH),
        (" 1 Month ", Period.MONTH),
    ],
)
def test_a_window_of_a_period_is_aligned_to_the_calendar(text: str, period: Period) -> None:
    assert parse_window(text, "Europe/Berlin") == Window(rolling_ms=None, period=period, timezone="Europe/Berlin")


def test_a_window_is_in_utc_if_nothing_else_is_said() -> None:
    assert parse_window("1 month").timezone == "UTC"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("month", "a calendar window is one period: write '1 month'"),
        ("2 months", "a calendar window is one period: write '1 month'"),
        ("0 weeks", "a calendar window is one period: write '1 week'"),
        ("monthly", "did you mean '1 month'"),
        ("1 yer", "did you mean '1 year'"),
        ("1 day", "unknown unit 'day': did you mean 'd'"),
        ("0d", "is no time at all"),
        ("-30d", "is negative"),
        ("30", "has no unit: write 30d"),
        ("", "is no duration: write 30d"),
        ("90s", "measured by the minute"),
        ("8bh", "measured over elapsed time"),
        ("20bd", "measured over elapsed time"),
    ],
)
def test_a_window_that_cannot_be_read_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_window(text, "UTC")
    assert reason in str(refused.value)


def test_a_window_in_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(CalendarError, match="did you mean 'Asia/Jakarta'"):
        parse_window("1 month", "Asia/Jakata")


@pytest.mark.parametrize(
    ("duration_ms", "elapsed", "business"),
    [
        (0, "0s", "0bs"),
        (1, "0.001s", "0.001bs"),
        (1_500, "1.5s", "1.5bs"),
        (90 * SECOND_MS, "1m30s", "1bm30bs"),
        (4 * HOUR_MS, "4h", "4bh"),
        (90 * MINUTE_MS, "1h30m", "1bh30bm"),
        (DAY_MS, "1d", "24bh"),
        (30 * DAY_MS + 1, "30d0.001s", "720bh0.001bs"),
        (-90 * MINUTE_MS, "-1h30m", "-1bh30bm"),
    ],
)
def test_durations_are_shown_to_people(duration_ms: int, elapsed: str, business: str) -> None:
    assert format_duration(duration_ms, business=False) == elapsed
    assert format_duration(duration_ms, business=True) == business
