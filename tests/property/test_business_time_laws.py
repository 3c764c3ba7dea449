"""Pauses, combined calendars and the commands that answer about them, beside an oracle that looks at every minute."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from sla.business_time import consumed_between, deadline_of
from sla.calendar import Calendar, CalendarSpec, ElapsedCalendar, format_hours
from sla.calendar_spec import NO_HOURS, WEEKDAYS, Combination
from sla.contract import DeadlineAt, TimeBase, Within
from sla.errors import EmptyCalendarError
from sla.units import MINUTE_MS, format_instant, ms_of, parse_instant
from tests.property.minute_oracle import ALWAYS, FIRST, LAST, Counted, Oracle, shown_in, start_of
from tests.property.strategies import HARD_WEEKS, calendar_specs

pytestmark = pytest.mark.property

HARD_WEEK = pytest.mark.parametrize(
    ("zone", "first_day"), HARD_WEEKS, ids=[f"{zone} {first_day}" for zone, first_day in HARD_WEEKS]
)
MINUTE = st.integers(FIRST, LAST)
PAUSES = st.lists(st.tuples(MINUTE, MINUTE).map(lambda pause: (min(pause), max(pause))), max_size=5)


def expected_deadline(base: Counted, running: Counted, start: int, minutes: int, at: DeadlineAt) -> int | None:
    """Return the minute at which so many minutes have run; None if it is not in the days that are known."""
    if not minutes:
        return running.next_open(start)
    if running.worked[LAST] - running.worked[start] < minutes:
        return None
    used_up = running.used_up(start, minutes)
    closed = at is DeadlineAt.NEXT_OPEN and not base.opened[used_up]
    return running.next_open(used_up) if closed else used_up


@HARD_WEEK
@settings(deadline=None, max_examples=12)
@given(st.data())
def test_pauses_stop_the_clock_minute_by_minute(zone: str, first_day: date, data: st.DataObject) -> None:
    spec, pauses = data.draw(calendar_specs(zone, first_day)), data.draw(PAUSES)
    oracle = Oracle(spec, shown_in(zone, first_day))
    calendar, origin_ms = Calendar(spec), ms_of(start_of(first_day))

    def ms(minute: int) -> int:
        return origin_ms + minute * MINUTE_MS

    start, end = sorted((data.draw(MINUTE), data.draw(MINUTE)))
    pauses_ms = [(ms(begin), ms(until)) for begin, until in pauses]
    for base, counting, unit in (
        (oracle, calendar, TimeBase.BUSINESS),
        (ALWAYS, ElapsedCalendar(), TimeBase.ELAPSED),
    ):
        running = base.without(pauses)
        counted = running.worked[end] - running.worked[start]
        assert consumed_between(counting, ms(start), ms(end), pauses_ms) == counted * MINUTE_MS
        for minutes in {counted, counted // 2, 0, 1}:
            for at in DeadlineAt:
                due = expected_deadline(base, running, start, minutes, at)
                if due is not None:
                    due_ms = deadline_of(Within(minutes * MINUTE_MS, unit), calendar, ms(start), pauses_ms, at)
                    assert due_ms == ms(due), f"{format_instant(due_ms)}, not {format_instant(ms(due))}"
                    assert consumed_between(counting, ms(start), due_ms, pauses_ms) == minutes * MINUTE_MS


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(HARD_WEEKS), st.data())
def test_combined_calendars_are_combined_minute_by_minute(week: tuple[str, date], data: st.DataObject) -> None:
    zone, first_day = week
    other_zone = data.draw(st.sampled_from([zone, "UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]))
    one, other = data.draw(calendar_specs(zone, first_day)), data.draw(calendar_specs(other_zone, first_day))
    oracles = Oracle(one, shown_in(zone, first_day)), Oracle(other, shown_in(other_zone, first_day))
    origin_ms = ms_of(start_of(first_day))
    for combination in (Combination.INTERSECTION, Combination.UNION):
        spec = CalendarSpec("both", zone, NO_HOURS, combination=combination, parts=(one, other))
        oracle = oracles[0] & oracles[1] if combination is Combination.INTERSECTION else oracles[0] | oracles[1]
        try:
            calendar = Calendar(spec)
        except EmptyCalendarError:
            assert combination is Combination.INTERSECTION
            assert not any(oracle.opened[FIRST:LAST])
            continue
        a, b = sorted((data.draw(MINUTE), data.draw(MINUTE)))
        a_ms, b_ms = origin_ms + a * MINUTE_MS, origin_ms + b * MINUTE_MS
        worked = oracle.worked[b] - oracle.worked[a]
        assert calendar.worked_between(a_ms, b_ms) == worked * MINUTE_MS
        assert calendar.is_open(a_ms) == bool(oracle.opened[a])
        if worked:
            due_ms = calendar.deadline(a_ms, worked * MINUTE_MS)
            assert due_ms == origin_ms + oracle.used_up(a, worked) * MINUTE_MS


@settings(deadline=None, max_examples=10)
@given(st.data())
def test_combined_calendars_keep_their_laws_over_the_years(data: st.DataObject) -> None:
    """``W(intersection) + W(union) == W(a) + W(b)``, and deadlines are where the target is worked."""
    week = st.sampled_from(HARD_WEEKS).flatmap(lambda week: calendar_specs(*week))
    one, other = data.draw(week), data.draw(week)
    years = st.integers(parse_instant("2010-01-01T00:00:00Z"), parse_instant("2035-01-01T00:00:00Z"))
    a_ms, b_ms = sorted((data.draw(years), data.draw(years)))

    def worked_ms(combination: Combination) -> int:
        try:
            calendar = Calendar(CalendarSpec("c", "UTC", NO_HOURS, combination=combination, parts=(one, other)))
        except EmptyCalendarError:
            return 0
        worked_ms = calendar.worked_between(a_ms, b_ms)
        if worked_ms > 0:
            due_ms = calendar.deadline(a_ms, worked_ms)
            assert due_ms <= b_ms
            assert calendar.worked_between(a_ms, due_ms) == worked_ms
        return worked_ms

    together_ms = sum(Calendar(spec).worked_between(a_ms, b_ms) for spec in (one, other))
    assert worked_ms(Combination.INTERSECTION) + worked_ms(Combination.UNION) == together_ms


# --- the command line ---


def yaml_of(spec: CalendarSpec) -> str:
    """Return the document of a calendar as an author would write it."""
    hours = {
        day: [format_hours(*window) for window in windows]
        for day, windows in zip(WEEKDAYS, spec.weekly, strict=True)
        if windows
    }
    holidays = {
        "dates": [day.isoformat() for day in sorted(spec.closed_dates)],
        "yearly": [f"{month:02d}-{day:02d}" for month, day in sorted(spec.closed_yearly)],
    }
    return (
        f"kind: Calendar\nid: {spec.id}\ntimezone: {spec.timezone}\n"
        f"hours: {json.dumps(hours)}\nholidays: {json.dumps(holidays)}\n"
    )


def written(minute: int, origin: datetime, zone: str) -> str:
    """Return a minute as people write it: local time with its offset, or UTC."""
    instant = origin + timedelta(minutes=minute)
    return instant.astimezone(ZoneInfo(zone)).isoformat() if minute % 2 else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["calendar", *arguments])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


@HARD_WEEK
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_commands_answer_as_a_look_at_every_minute_does(
    zone: str, first_day: date, tmp_path: Path, data: st.DataObject
) -> None:
    spec, pauses = data.draw(calendar_specs(zone, first_day)), data.draw(PAUSES)
    # A window longer than a day can't be written.
    assume(all(closes - opens < 1440 or (opens, closes) == (0, 1440) for day in spec.weekly for opens, closes in day))
    oracle, origin = Oracle(spec, shown_in(zone, first_day)), start_of(first_day)
    running = oracle.without(pauses)
    file = tmp_path / "any.yaml"
    file.write_text(yaml_of(spec), encoding="utf-8")
    start, end = sorted((data.draw(MINUTE), data.draw(MINUTE)))
    options = [f"--pause={written(begin, origin, zone)}/{written(until, origin, zone)}" for begin, until in pauses]
    begin_text = written(start, origin, zone)

    counted = running.worked[end] - running.worked[start]
    between = answer("between", str(file), begin_text, written(end, origin, zone), *options)
    assert between["consumed_seconds"] == counted * 60

    at = data.draw(st.sampled_from(DeadlineAt))
    due = expected_deadline(oracle, running, start, counted, at)
    if due is not None:
        target = data.draw(st.sampled_from([f"{counted}bm", f"{counted * 60}bs"]))
        deadline = answer("deadline", str(file), begin_text, target, *options, "--deadline-at", at.value)
        expected = origin + timedelta(minutes=due)
        assert datetime.fromisoformat(deadline["deadline"]) == expected
        assert datetime.fromisoformat(deadline["deadline_local"]) == expected
        assert deadline["consumed_seconds"] == counted * 60


# --- whole years, as clocks on the wall show them ---

YEARS = (
    *(("Europe/Berlin", 2026), ("America/New_York", 2026), ("Australia/Sydney", 2026), ("Australia/Lord_Howe", 2026)),
    *(("America/Sao_Paulo", 2018), ("Asia/Tehran", 2021), ("Asia/Kathmandu", 2026)),
)
QUARTER = timedelta(minutes=15)
# Hours that begin or end while clocks change are the oracle's of single minutes: here a bound is shown once a day.
BOUNDS = st.sampled_from([0, *range(4 * 60, 22 * 60 + 46, 15), 1440])


@cache
def wall_clock(zone: str, year: int) -> list[tuple[date, int]]:
    """Return the local date and minute at every quarter of an hour of a year."""
    tz, start = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    quarters = (datetime(year + 1, 1, 1, tzinfo=UTC) - start) // QUARTER
    shown = [(start + n * QUARTER).astimezone(tz) for n in range(quarters)]
    return [(local.date(), local.hour * 60 + local.minute) for local in shown]


@pytest.mark.parametrize(("zone", "year"), YEARS, ids=[f"{zone} {year}" for zone, year in YEARS])
@settings(deadline=None, max_examples=8)
@given(st.data())
def test_a_year_of_business_time_is_what_a_clock_on_the_wall_shows(zone: str, year: int, data: st.DataObject) -> None:
    day_of_year = st.integers(0, 364).map(lambda n: date(year, 1, 1) + timedelta(days=n))
    marks = sorted(data.draw(st.lists(BOUNDS, min_size=2, max_size=6, unique=True)))
    weekly = list(zip(marks[0::2], marks[1::2], strict=False))
    if data.draw(st.booleans()) and marks[0] >= 240 and len(marks) % 2:
        weekly.append((min(marks[-1], 1425), 1440 + 240))  # over midnight, until 04:00
    closed_weekdays = data.draw(st.sampled_from([(), (5, 6), (4, 5), (6,)]))
    dates = data.draw(st.frozensets(day_of_year, max_size=20))
    yearly = frozenset((day.month, day.day) for day in data.draw(st.frozensets(day_of_year, max_size=5)))
    week = tuple(() if number in closed_weekdays else tuple(weekly) for number in range(7))
    calendar = Calendar(CalendarSpec("wall", zone, week, dates, yearly))

    def counts(day: date, minute: int) -> bool:
        if day in dates or (day.month, day.day) in yearly:
            return False
        own, night = week[day.weekday()], week[day.weekday() - 1]
        return any(opens <= minute < closes for opens, closes in own) or any(
            minute + 1440 < closes for _, closes in night
        )

    worked = [0, *accumulate(counts(day, minute) for day, minute in wall_clock(zone, year))]
    origin_ms, quarter_ms = ms_of(datetime(year, 1, 1, tzinfo=UTC)), 15 * MINUTE_MS
    last = len(worked) - 1
    for _ in range(40):
        a, b = sorted((data.draw(st.integers(0, last)), data.draw(st.integers(0, last))))
        a_ms, b_ms = origin_ms + a * quarter_ms, origin_ms + b * quarter_ms
        assert calendar.worked_between(a_ms, b_ms) == (worked[b] - worked[a]) * quarter_ms
        target = (worked[b] - worked[a]) // 2
        if target:
            due = bisect_left(worked, worked[a] + target)
            assert calendar.deadline(a_ms, target * quarter_ms) == origin_ms + due * quarter_ms
            reopening = bisect_right(worked, worked[a] + target) - 1
            if reopening < last:
                due_ms = calendar.deadline(a_ms, target * quarter_ms, DeadlineAt.NEXT_OPEN)
                assert due_ms == origin_ms + reopening * quarter_ms
