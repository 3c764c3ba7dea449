"""Periods of the calendar and their names."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sla.contract import Period
from sla.errors import UnitError
from sla.period import CalendarPeriod, parse_period, period_at
from sla.units import DAY_MS, HOUR_MS, datetime_of, ms_of

ZONES = ("UTC", "Asia/Jakarta", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Sao_Paulo", "Europe/Stockholm")


@pytest.mark.parametrize(
    ("name", "kind", "first_day"),
    [
        ("2026-10", Period.MONTH, "2026-10-01"),
        ("2026-Q4", Period.QUARTER, "2026-10-01"),
        ("2026", Period.YEAR, "2026-01-01"),
        ("2026-W01", Period.WEEK, "2025-12-29"),
        ("2020-W53", Period.WEEK, "2020-12-28"),
    ],
)
def test_a_name_is_read_and_written_alike(name: str, kind: Period, first_day: str) -> None:
    period = parse_period(name)
    assert (period.kind, period.first_day.isoformat(), period.name) == (kind, first_day, name)


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "26-10", "2026-W54", "2025-W53", "2026-Q5", "October", "1800", ""]
)
def test_what_is_no_period_is_told(text: str) -> None:
    with pytest.raises(UnitError):
        parse_period(text)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", ["2026-10", "2026-Q1", "2026", "2026-W44", "2018-11"])
def test_a_period_lasts_from_one_local_midnight_to_another(name: str, zone: str) -> None:
    period = parse_period(name)
    start_ms, end_ms = period.span(zone)
    local = datetime_of(start_ms).astimezone(ZoneInfo(zone))
    assert local.date() == period.first_day
    before = datetime_of(start_ms - 1).astimezone(ZoneInfo(zone))
    assert before.date() == period.first_day - timedelta(days=1)
    assert period.shifted(1).span(zone).start_ms == end_ms


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", list(Period))
def test_every_instant_lies_in_the_period_that_is_said_to_hold_it(kind: Period, zone: str) -> None:
    first_ms = ms_of(datetime(2025, 12, 27, 5, 13, tzinfo=ZoneInfo("UTC")))
    for number in range(400):
        at_ms = first_ms + number * 23 * HOUR_MS
        period = period_at(kind, zone, at_ms)
        start_ms, end_ms = period.span(zone)
        assert start_ms <= at_ms < end_ms
        assert parse_period(period.name) == period


def test_a_month_in_which_clocks_go_back_is_an_hour_longer() -> None:
    assert parse_period("2026-10").span("Europe/Berlin").length_ms == 31 * DAY_MS + HOUR_MS


def test_periods_follow_each_other_over_years() -> None:
    assert [parse_period("2026-02").shifted(count).name for count in (-2, -14, 11)] == ["2025-12", "2024-12", "2027-01"]
    assert parse_period("2026-Q1").shifted(-1).name == "2025-Q4"
    assert parse_period("2026-W01").shifted(-1).name == "2025-W52"
    with pytest.raises(UnitError):
        parse_period("1971").shifted(-2)


def test_a_period_is_a_value() -> None:
    assert parse_period("2026-10") == CalendarPeriod(Period.MONTH, parse_period("2026-Q4").first_day)
