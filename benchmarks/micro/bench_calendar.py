"""What a clock costs: worked time and deadlines near and far, and compiling a year.

Run with ``.venv/bin/python -m pytest benchmarks/micro -q``. Times are of ``CALLS`` calls: milliseconds here are
microseconds a call.
"""

from __future__ import annotations

from datetime import date

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sla.calendar import Calendar, CalendarSpec, parse_hours
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant

CALLS = 1_000

OFFICE = (parse_hours("08:00-12:00"), parse_hours("13:00-17:00"))
SPEC = CalendarSpec(
    id="berlin-office",
    timezone="Europe/Berlin",
    weekly=(OFFICE,) * 5 + ((),) * 2,
    closed_dates=frozenset(date(year, 4, day) for year in range(2016, 2046) for day in (14, 17)),
    closed_yearly=frozenset({(1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)}),
)
START_MS = parse_instant("2026-03-02T09:00:00+01:00")
# Tickets open at all minutes of the day and week: neither the branch predictor nor a cache may live on one instant.
STARTS_MS = [START_MS + n * 37 * MINUTE_MS for n in range(CALLS)]
TEN_YEARS_MS = 3_653 * DAY_MS
TEN_YEARS_OF_WORK_MS = 10 * 250 * 8 * HOUR_MS


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    compiled = Calendar(SPEC)
    compiled.worked_between(START_MS - TEN_YEARS_MS, START_MS + 2 * TEN_YEARS_MS)
    return compiled


@pytest.mark.parametrize("distance_ms", [5 * HOUR_MS, TEN_YEARS_MS], ids=["five hours", "ten years"])
def test_worked_between(benchmark: BenchmarkFixture, calendar: Calendar, distance_ms: int) -> None:
    def thousand_calls() -> int:
        worked_between = calendar.worked_between
        total_ms = 0
        for start_ms in STARTS_MS:
            total_ms += worked_between(start_ms, start_ms + distance_ms)
        return total_ms

    assert benchmark(thousand_calls) > 0


@pytest.mark.parametrize("business_ms", [4 * HOUR_MS, TEN_YEARS_OF_WORK_MS], ids=["4bh", "20000bh"])
def test_deadline(benchmark: BenchmarkFixture, calendar: Calendar, business_ms: int) -> None:
    def thousand_calls() -> int:
        deadline = calendar.deadline
        last_ms = 0
        for start_ms in STARTS_MS:
            last_ms = deadline(start_ms, business_ms)
        return last_ms

    assert benchmark(thousand_calls) > START_MS


def test_compiling_a_calendar_and_ten_years_of_it(benchmark: BenchmarkFixture) -> None:
    def compile_ten_years() -> int:
        return Calendar(SPEC).worked_between(START_MS, START_MS + TEN_YEARS_MS)

    assert benchmark(compile_ten_years) > 0
