"""Targets and windows as people write them."""

from __future__ import annotations

import pytest

from sla.contract import BusinessDays, DueRule, Period, TicketDate, TimeBase, Window, Within
from sla.duration import format_duration, format_within, parse_lead, parse_window, parse_within
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
        ("1.5bd", "business days are whole and stand alone: write 2bd"),
        ("1bd 4bh", "business days are whole and stand alone"),
        ("4h eod", "business days are whole and stand alone"),
        ("2businessdays", "write 2bd (the same time two business days later), 2bd eod (close of that day)"),
        ("-2bd", "is negative"),
        ("2601bd", "longer than 10 years"),
        ("by", "is no duration"),
        ("by last day", "is no duration"),
        ("by last_day at 25:00", "'25:00' is no time of day: write close_of_business or a local time such as 17:00"),
        ("by last_day at 24:01", "is no time of day"),
        ("by last_day at noon", "is no time of day"),
    ],
)
def test_a_target_that_cannot_be_read_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_within(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("text", "rule", "shown"),
    [
        ("2bd", BusinessDays(2), "2bd"),
        (" 10 bd ", BusinessDays(10), "10bd"),
        ("0bd", BusinessDays(0), "0bd"),
        ("2bd eod", BusinessDays(2, end_of_day=True), "2bd eod"),
        ("eod", BusinessDays(0, end_of_day=True), "eod"),
        ("by last_day", TicketDate("last_day"), "by last_day at close_of_business"),
        ("by last_day at close_of_business", TicketDate("last_day"), "by last_day at close_of_business"),
        ("by last_day at 9:30", TicketDate("last_day", 570), "by last_day at 09:30"),
        ("by last_day at 24:00", TicketDate("last_day", 1440), "by last_day at 24:00"),
    ],
)
def test_a_deadline_that_is_no_duration_is_a_rule(text: str, rule: DueRule, shown: str) -> None:
    within = parse_within(text)
    assert within == Within(0, TimeBase.BUSINESS, rule)
    assert format_within(within) == shown
    assert parse_within(shown) == within


@pytest.mark.parametrize(("text", "shown"), [("90bm", "1bh30bm"), ("36h", "1d12h"), ("0h", "0s")])
def test_a_duration_is_shown_as_it_can_be_read_again(text: str, shown: str) -> None:
    assert format_within(parse_within(text)) == shown
    assert parse_within(shown) == parse_within(text)


def test_a_lead_time_counts_what_the_target_counts() -> None:
    assert parse_lead("30bm", TimeBase.BUSINESS) == 30 * MINUTE_MS
    assert parse_lead("1h30m", TimeBase.ELAPSED) == 90 * MINUTE_MS


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("30m", TimeBase.BUSINESS, "counts elapsed time and the target business time: write it in business time"),
        ("30bm", TimeBase.ELAPSED, "counts business time and the target elapsed time: write it like 30m"),
        ("0bm", TimeBase.BUSINESS, "is no lead time"),
        ("1bd", TimeBase.BUSINESS, "unknown unit 'bd'"),
        ("soon", TimeBase.ELAPSED, "is no duration"),
    ],
)
def test_a_lead_time_that_cannot_be_read_is_refused(text: str, base: TimeBase, reason: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_lead(text, base)
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
