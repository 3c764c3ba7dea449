"""Business time, by examples people can check on a wall calendar."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from sla.calendar import (
    EARLIEST_MS,
    LATEST_MS,
    Calendar,
    CalendarSpec,
    ElapsedCalendar,
    WorkCalendar,
    faults_of,
    format_hours,
    parse_hours,
)
from sla.calendar_spec import NO_HOURS, Combination
from sla.contract import DeadlineAt
from sla.errors import CalendarError, EmptyCalendarError
from sla.units import HOUR_MS, MINUTE_MS, parse_instant
from sla.zones import CivilZone

CLOSED: tuple[tuple[int, int], ...] = ()


def hours(*texts: str) -> tuple[tuple[int, int], ...]:
    return tuple(parse_hours(text) for text in texts)


def every_day(*texts: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    return (hours(*texts),) * 7


def working_days(*texts: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    return (hours(*texts),) * 5 + (CLOSED, CLOSED)


def only(day: int, *texts: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(hours(*texts) if number == day else CLOSED for number in range(7))


def calendar(
    timezone: str,
    weekly: tuple[tuple[tuple[int, int], ...], ...],
    *,
    dates: tuple[str, ...] = (),
    yearly: tuple[tuple[int, int], ...] = (),
) -> Calendar:
    return Calendar(
        CalendarSpec("test", timezone, weekly, frozenset(map(date.fromisoformat, dates)), frozenset(yearly))
    )


def windows(work: WorkCalendar, since: str, until: str) -> list[tuple[int, int]]:
    return list(work.windows_between(parse_instant(since), parse_instant(until)))


def spans(*texts: tuple[str, str]) -> list[tuple[int, int]]:
    return [(parse_instant(opens), parse_instant(closes)) for opens, closes in texts]


def worked_hours(work: WorkCalendar, since: str, until: str) -> float:
    return work.worked_between(parse_instant(since), parse_instant(until)) / HOUR_MS


OFFICE = calendar("Asia/Jakarta", working_days("08:00-12:00", "13:00-17:00"), dates=("2026-03-19",))


@pytest.mark.parametrize(
    ("start", "business_hours", "deadline"),
    [
        pytest.param("2026-03-16T08:00:00+07:00", 4, "2026-03-16T12:00:00+07:00", id="ends at the lunch break"),
        pytest.param("2026-03-16T08:00:00+07:00", 5, "2026-03-16T14:00:00+07:00", id="over the lunch break"),
        pytest.param("2026-03-16T16:00:00+07:00", 4, "2026-03-17T11:00:00+07:00", id="over the night"),
        pytest.param("2026-03-20T16:00:00+07:00", 4, "2026-03-23T11:00:00+07:00", id="over the weekend"),
        pytest.param("2026-03-18T16:00:00+07:00", 4, "2026-03-20T11:00:00+07:00", id="over a holiday"),
        pytest.param("2026-03-16T05:00:00+07:00", 4, "2026-03-16T12:00:00+07:00", id="starts before hours"),
        pytest.param("2026-03-16T12:30:00+07:00", 4, "2026-03-16T17:00:00+07:00", id="starts in the lunch break"),
        pytest.param("2026-03-21T10:00:00+07:00", 4, "2026-03-23T12:00:00+07:00", id="starts on Saturday"),
        pytest.param("2026-03-16T17:00:00+07:00", 1, "2026-03-17T09:00:00+07:00", id="starts at close of business"),
        pytest.param("2026-03-16T08:00:00.500+07:00", 1, "2026-03-16T09:00:00.500+07:00", id="keeps milliseconds"),
    ],
)
def test_a_target_of_business_hours_ends(start: str, business_hours: int, deadline: str) -> None:
    start_ms = parse_instant(start)
    deadline_ms = OFFICE.deadline(start_ms, business_hours * HOUR_MS)
    assert deadline_ms == parse_instant(deadline)
    assert OFFICE.worked_between(start_ms, deadline_ms) == business_hours * HOUR_MS


def test_a_target_used_up_at_close_of_business_is_due_then_or_at_the_next_opening() -> None:
    friday_ms = parse_instant("2026-03-20T08:00:00+07:00")
    assert OFFICE.deadline(friday_ms, 8 * HOUR_MS) == parse_instant("2026-03-20T17:00:00+07:00")
    assert OFFICE.deadline(friday_ms, 8 * HOUR_MS, DeadlineAt.NEXT_OPEN) == parse_instant("2026-03-23T08:00:00+07:00")


def test_next_open_changes_no_deadline_inside_a_window() -> None:
    start_ms = parse_instant("2026-03-20T08:00:00+07:00")
    assert OFFICE.deadline(start_ms, HOUR_MS, DeadlineAt.NEXT_OPEN) == OFFICE.deadline(start_ms, HOUR_MS)


@pytest.mark.parametrize("deadline_at", DeadlineAt)
def test_a_target_of_zero_is_due_at_the_next_open_moment(deadline_at: DeadlineAt) -> None:
    open_ms, closed_ms = parse_instant("2026-03-16T09:00:00+07:00"), parse_instant("2026-03-16T17:00:00+07:00")
    assert OFFICE.deadline(open_ms, 0, deadline_at) == open_ms
    assert OFFICE.deadline(closed_ms, 0, deadline_at) == parse_instant("2026-03-17T08:00:00+07:00")


def test_a_negative_target_is_refused() -> None:
    with pytest.raises(CalendarError, match="can't be negative"):
        OFFICE.deadline(0, -1)
    with pytest.raises(CalendarError, match="can't be negative"):
        ElapsedCalendar().deadline(0, -1)


def test_a_window_is_open_at_its_opening_and_closed_at_its_closing() -> None:
    opening_ms, closing_ms = parse_instant("2026-03-16T08:00:00+07:00"), parse_instant("2026-03-16T12:00:00+07:00")
    assert [OFFICE.is_open(t) for t in (opening_ms - 1, opening_ms, closing_ms - 1, closing_ms)] == [
        False,
        True,
        True,
        False,
    ]
    assert OFFICE.next_open(opening_ms) == opening_ms
    assert OFFICE.next_open(closing_ms - 1) == closing_ms - 1
    assert OFFICE.next_open(closing_ms) == closing_ms + HOUR_MS


def test_worked_time_in_reverse_is_negative() -> None:
    assert worked_hours(OFFICE, "2026-03-16T00:00:00+07:00", "2026-03-17T00:00:00+07:00") == 8
    assert worked_hours(OFFICE, "2026-03-17T00:00:00+07:00", "2026-03-16T00:00:00+07:00") == -8


def test_windows_are_clipped_to_the_interval() -> None:
    assert windows(OFFICE, "2026-03-16T09:00:00+07:00", "2026-03-16T15:00:00+07:00") == spans(
        ("2026-03-16T09:00:00+07:00", "2026-03-16T12:00:00+07:00"),
        ("2026-03-16T13:00:00+07:00", "2026-03-16T15:00:00+07:00"),
    )
    assert windows(OFFICE, "2026-03-16T17:00:00+07:00", "2026-03-17T08:00:00+07:00") == []
    assert windows(OFFICE, "2026-03-16T12:00:00+07:00", "2026-03-16T09:00:00+07:00") == []


def test_windows_go_on_while_the_calendar_is_extended() -> None:
    office = calendar("Asia/Jakarta", working_days("08:00-17:00"))
    since_ms = parse_instant("2026-03-16T00:00:00Z")
    going_on = office.windows_between(since_ms, since_ms + 48 * HOUR_MS)
    first = next(going_on)
    office.next_open(parse_instant("2001-01-01T00:00:00Z"))
    assert [first, *going_on] == list(office.windows_between(since_ms, since_ms + 48 * HOUR_MS))


def test_a_night_window_is_one_window_with_the_next_day() -> None:
    night = calendar("Asia/Jakarta", every_day("22:00-06:00"))
    assert windows(night, "2026-03-16T12:00:00+07:00", "2026-03-17T12:00:00+07:00") == spans(
        ("2026-03-16T22:00:00+07:00", "2026-03-17T06:00:00+07:00")
    )


def test_the_night_from_sunday_runs_into_monday() -> None:
    night = calendar("Asia/Jakarta", only(6, "22:00-06:00"))
    assert windows(night, "2026-03-16T00:00:00+07:00", "2026-03-23T23:00:00+07:00") == spans(
        ("2026-03-16T00:00:00+07:00", "2026-03-16T06:00:00+07:00"),
        ("2026-03-22T22:00:00+07:00", "2026-03-23T06:00:00+07:00"),
    )


def test_a_holiday_cuts_only_its_own_date_out_of_a_night_window() -> None:
    night = calendar("Asia/Jakarta", every_day("22:00-06:00"), dates=("2026-03-17",))
    assert windows(night, "2026-03-16T12:00:00+07:00", "2026-03-18T12:00:00+07:00") == spans(
        ("2026-03-16T22:00:00+07:00", "2026-03-17T00:00:00+07:00"),
        ("2026-03-18T00:00:00+07:00", "2026-03-18T06:00:00+07:00"),
    )


def test_a_holiday_of_every_year_closes_each_year_and_a_leap_day_only_leap_years() -> None:
    office = calendar("UTC", every_day("08:00-17:00"), yearly=((12, 25), (2, 29)))
    assert worked_hours(office, "2025-12-25T00:00:00Z", "2025-12-26T00:00:00Z") == 0
    assert worked_hours(office, "2031-12-25T00:00:00Z", "2031-12-26T00:00:00Z") == 0
    assert worked_hours(office, "2024-02-28T00:00:00Z", "2024-03-02T00:00:00Z") == 2 * 9
    assert worked_hours(office, "2025-02-28T00:00:00Z", "2025-03-02T00:00:00Z") == 2 * 9


def test_touching_windows_are_one_and_a_target_does_not_end_between_them() -> None:
    shifts = calendar("UTC", only(0, "08:00-12:00", "12:00-17:00"))
    monday_ms = parse_instant("2026-03-16T08:00:00Z")
    assert windows(shifts, "2026-03-16T00:00:00Z", "2026-03-17T00:00:00Z") == spans(
        ("2026-03-16T08:00:00Z", "2026-03-16T17:00:00Z")
    )
    assert shifts.deadline(monday_ms, 4 * HOUR_MS, DeadlineAt.NEXT_OPEN) == monday_ms + 4 * HOUR_MS


def test_a_whole_year_around_the_clock_is_one_window_over_new_year() -> None:
    always = calendar("Europe/Berlin", every_day("00:00-24:00"))
    assert windows(always, "2025-06-01T00:00:00Z", "2027-06-01T00:00:00Z") == spans(
        ("2025-06-01T00:00:00Z", "2027-06-01T00:00:00Z")
    )


# Local time: expected instants are written with the offsets that were in force.


@pytest.mark.parametrize(
    ("zone", "texts", "since", "until", "expected"),
    [
        pytest.param(
            "Europe/Berlin",
            ("22:00-06:00",),
            "2026-03-28T18:00:00+01:00",
            "2026-03-29T18:00:00+02:00",
            [("2026-03-28T22:00:00+01:00", "2026-03-29T06:00:00+02:00")],
            id="a night shift into summer time: seven hours",
        ),
        pytest.param(
            "Europe/Berlin",
            ("22:00-06:00",),
            "2026-10-24T18:00:00+02:00",
            "2026-10-25T18:00:00+01:00",
            [("2026-10-24T22:00:00+02:00", "2026-10-25T06:00:00+01:00")],
            id="a night shift out of summer time: nine hours",
        ),
        pytest.param(
            "Europe/Berlin",
            ("02:30-04:00",),
            "2026-03-29T00:00:00+01:00",
            "2026-03-29T12:00:00+02:00",
            [("2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00")],
            id="a missing opening moves to the first existing instant",
        ),
        pytest.param(
            "Europe/Berlin",
            ("01:00-02:30",),
            "2026-03-29T00:00:00+01:00",
            "2026-03-29T12:00:00+02:00",
            [("2026-03-29T01:00:00+01:00", "2026-03-29T02:00:00+01:00")],
            id="a missing closing moves to the first existing instant",
        ),
        pytest.param(
            "Europe/Berlin",
            ("02:10-02:50", "08:00-09:00"),
            "2026-03-29T00:00:00+01:00",
            "2026-03-29T12:00:00+02:00",
            [("2026-03-29T08:00:00+02:00", "2026-03-29T09:00:00+02:00")],
            id="a window inside the missing hour is dropped",
        ),
        pytest.param(
            "Europe/Berlin",
            ("02:00-03:00",),
            "2026-03-29T00:00:00+01:00",
            "2026-03-29T12:00:00+02:00",
            [],
            id="the missing hour itself is dropped",
        ),
        pytest.param(
            "Europe/Berlin",
            ("02:15-02:45",),
            "2026-10-25T00:00:00+02:00",
            "2026-10-25T12:00:00+01:00",
            [("2026-10-25T02:15:00+02:00", "2026-10-25T02:45:00+01:00")],
            id="opens at the first 02:15 and closes at the second 02:45",
        ),
        pytest.param(
            "Europe/Berlin",
            ("00:30-02:00", "04:00-05:00"),
            "2026-10-25T00:00:00+02:00",
            "2026-10-25T12:00:00+01:00",
            [
                ("2026-10-25T00:30:00+02:00", "2026-10-25T02:00:00+01:00"),
                ("2026-10-25T04:00:00+01:00", "2026-10-25T05:00:00+01:00"),
            ],
            id="a closing at 02:00 is the second 02:00",
        ),
        pytest.param(
            "Europe/Berlin",
            ("00:30-02:00", "02:00-05:00"),
            "2026-10-25T00:00:00+02:00",
            "2026-10-25T12:00:00+01:00",
            [("2026-10-25T00:30:00+02:00", "2026-10-25T05:00:00+01:00")],
            id="the repeated hour counts once for two windows that claim it",
        ),
        pytest.param(
            "America/Sao_Paulo",
            ("00:00-06:00",),
            "2017-10-15T00:00:00-03:00",
            "2017-10-15T12:00:00-02:00",
            [("2017-10-15T01:00:00-02:00", "2017-10-15T06:00:00-02:00")],
            id="Sao Paulo: midnight does not exist",
        ),
        pytest.param(
            "America/Sao_Paulo",
            ("18:00-24:00",),
            "2018-02-17T12:00:00-02:00",
            "2018-02-18T12:00:00-03:00",
            [("2018-02-17T18:00:00-02:00", "2018-02-18T00:00:00-03:00")],
            id="Sao Paulo: the last hour of the day happens twice",
        ),
        pytest.param(
            "America/Havana",
            ("18:00-24:00",),
            "2025-11-01T12:00:00-04:00",
            "2025-11-02T12:00:00-05:00",
            [("2025-11-01T18:00:00-04:00", "2025-11-02T00:00:00-04:00")],
            id="Havana: 24:00 is the first of two midnights, both are the next date",
        ),
        pytest.param(
            "America/Havana",
            ("00:00-00:30",),
            "2025-11-01T12:00:00-04:00",
            "2025-11-02T12:00:00-05:00",
            [("2025-11-02T00:00:00-04:00", "2025-11-02T00:30:00-05:00")],
            id="Havana: from the first midnight to the second half past",
        ),
        pytest.param(
            "America/St_Johns",
            ("18:00-24:00",),
            "2006-10-28T12:00:00-02:30",
            "2006-10-29T12:00:00-03:30",
            [("2006-10-28T18:00:00-02:30", "2006-10-29T00:00:00-03:30")],
            id="St. John's: 00:01 back to 23:01, the day ends at the second midnight",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            ("01:45-01:50",),
            "2026-04-05T00:00:00+11:00",
            "2026-04-05T12:00:00+10:30",
            [("2026-04-05T01:45:00+11:00", "2026-04-05T01:50:00+10:30")],
            id="Lord Howe: half an hour happens twice",
        ),
        pytest.param(
            "Asia/Tehran",
            ("00:00-24:00",),
            "2022-03-21T23:00:00+03:30",
            "2022-03-22T02:00:00+04:30",
            [("2022-03-21T23:00:00+03:30", "2022-03-22T02:00:00+04:30")],
            id="Tehran: whole days over a missing midnight",
        ),
        pytest.param(
            "Pacific/Apia",
            ("09:00-17:00",),
            "2011-12-29T00:00:00-10:00",
            "2011-12-31T20:00:00+14:00",
            [
                ("2011-12-29T09:00:00-10:00", "2011-12-29T17:00:00-10:00"),
                ("2011-12-31T09:00:00+14:00", "2011-12-31T17:00:00+14:00"),
            ],
            id="Samoa: 30 December never was",
        ),
    ],
)
def test_hours_where_clocks_change(
    zone: str, texts: tuple[str, ...], since: str, until: str, expected: list[tuple[str, str]]
) -> None:
    assert windows(calendar(zone, every_day(*texts)), since, until) == spans(*expected)


def test_hours_count_elapsed_time_not_what_clocks_show() -> None:
    always = calendar("Europe/Berlin", every_day("00:00-24:00"))
    assert worked_hours(always, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00") == 23
    assert worked_hours(always, "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00") == 25
    eight_hours_ms = always.deadline(parse_instant("2026-03-28T22:00:00+01:00"), 8 * HOUR_MS)
    assert eight_hours_ms == parse_instant("2026-03-29T07:00:00+02:00")


@pytest.mark.parametrize(
    ("holiday", "expected"),
    [
        pytest.param(
            "2006-10-29",
            [
                ("2006-10-28T18:00:00-02:30", "2006-10-29T00:00:00-02:30"),
                ("2006-10-28T23:01:00-03:30", "2006-10-29T00:00:00-03:30"),
            ],
            id="of the minute that already was Sunday",
        ),
        pytest.param(
            "2006-10-28",
            [
                ("2006-10-29T00:00:00-02:30", "2006-10-29T00:01:00-02:30"),
                ("2006-10-29T00:00:00-03:30", "2006-10-29T06:00:00-03:30"),
            ],
            id="of the hour that was Saturday again",
        ),
    ],
)
def test_a_holiday_stays_closed_where_clocks_go_back_over_midnight(
    holiday: str, expected: list[tuple[str, str]]
) -> None:
    night = calendar("America/St_Johns", every_day("00:00-06:00", "18:00-24:00"), dates=(holiday,))
    assert windows(night, "2006-10-28T12:00:00-02:30", "2006-10-29T12:00:00-03:30") == spans(*expected)


def test_a_holiday_where_midnight_happens_twice_begins_at_the_first() -> None:
    always = calendar("America/Havana", every_day("00:00-24:00"), dates=("2025-11-02",))
    assert windows(always, "2025-11-01T12:00:00-04:00", "2025-11-03T12:00:00-05:00") == spans(
        ("2025-11-01T12:00:00-04:00", "2025-11-02T00:00:00-04:00"),
        ("2025-11-03T00:00:00-05:00", "2025-11-03T12:00:00-05:00"),
    )


# Distance, range, order of questions.


def test_a_deadline_ten_years_away_is_exact() -> None:
    office = calendar("UTC", only(0, "08:00-09:00"))
    monday_ms = parse_instant("2026-03-16T08:00:00Z")
    assert office.deadline(monday_ms, 522 * HOUR_MS) == monday_ms + 521 * 7 * 24 * HOUR_MS + HOUR_MS


def test_the_origin_of_worked_time_does_not_move_when_earlier_years_are_compiled() -> None:
    office = calendar("Europe/Berlin", working_days("08:00-17:00"))
    instant_ms = parse_instant("2026-03-16T12:00:00Z")
    worked_ms = office.worked_before(instant_ms)
    office.worked_before(parse_instant("2010-01-01T00:00:00Z"))
    assert office.worked_before(instant_ms) == worked_ms


def test_a_calendar_that_opens_every_28_years_is_searched_long_enough() -> None:
    all_days = {(date.fromordinal(n).month, date.fromordinal(n).day) for n in range(730_120, 730_486)}
    leap_monday = calendar("UTC", only(0, "08:00-09:00"), yearly=tuple(all_days - {(2, 29)}))
    assert leap_monday.next_open(parse_instant("2030-01-01T00:00:00Z")) == parse_instant("2044-02-29T08:00:00Z")
    assert leap_monday.deadline(parse_instant("2044-02-29T09:00:00Z"), 1) == parse_instant("2072-02-29T08:00:00.001Z")


@pytest.mark.parametrize("instant_ms", [EARLIEST_MS - 1, LATEST_MS, 2**62, -(2**62)])
def test_an_instant_outside_the_covered_years_is_refused(instant_ms: int) -> None:
    with pytest.raises(CalendarError, match="the years 1900 to 2399"):
        OFFICE.worked_before(instant_ms)
    with pytest.raises(CalendarError, match="the years 1900 to 2399"):
        ElapsedCalendar().deadline(instant_ms, 0)


def test_the_first_and_last_covered_days_have_hours() -> None:
    first = calendar("Pacific/Kiritimati", every_day("08:00-09:00"))
    assert EARLIEST_MS <= first.next_open(EARLIEST_MS) < EARLIEST_MS + 48 * HOUR_MS
    last = calendar("Pacific/Kiritimati", every_day("08:00-09:00"))
    day_before_ms = LATEST_MS - 24 * HOUR_MS
    assert last.worked_between(day_before_ms, LATEST_MS - 1) == HOUR_MS


def test_a_deadline_behind_the_covered_years_is_refused() -> None:
    near_the_end_ms = LATEST_MS - 30 * 24 * HOUR_MS
    weekly = calendar("UTC", only(0, "08:00-09:00"))
    assert weekly.deadline(near_the_end_ms, 4 * HOUR_MS) < LATEST_MS
    with pytest.raises(CalendarError, match="does not open for as long as was asked"):
        weekly.deadline(near_the_end_ms, 10 * HOUR_MS)
    with pytest.raises(CalendarError, match="the years 1900 to 2399"):
        weekly.deadline(near_the_end_ms, 10_000 * HOUR_MS)


def test_a_calendar_that_closes_for_good_is_refused_when_it_is_asked_after_its_last_hour() -> None:
    days_after = [date(2399, 12, 2) + timedelta(days=n) for n in range(2 * 366)]
    closing = calendar("UTC", every_day("08:00-09:00"), dates=tuple(map(date.isoformat, days_after)))
    last_day_ms = parse_instant("2399-12-01T00:00:00Z")
    assert closing.next_open(last_day_ms) == parse_instant("2399-12-01T08:00:00Z")
    with pytest.raises(EmptyCalendarError, match=r"after 2399-12-01T09:00:00\.000Z and before the year 2400"):
        closing.next_open(last_day_ms + 9 * HOUR_MS)
    with pytest.raises(EmptyCalendarError, match="it never opens"):
        closing.deadline(last_day_ms, HOUR_MS, DeadlineAt.NEXT_OPEN)


# Specifications that are refused.


@pytest.mark.parametrize(
    ("weekly", "fault"),
    [
        pytest.param(only(0, "08:00-12:00", "11:00-13:00"), "mon 08:00-12:00 overlaps mon 11:00-13:00", id="one day"),
        pytest.param(only(0, "11:00-13:00", "08:00-12:00"), "mon 08:00-12:00 overlaps mon 11:00-13:00", id="unordered"),
        pytest.param(only(3, "08:00-12:00", "08:00-12:00"), "thu 08:00-12:00 overlaps thu 08:00-12:00", id="twice"),
        pytest.param(
            (hours("22:00-06:00"), hours("05:00-08:00"), *(CLOSED,) * 5),
            "mon 22:00-06:00 overlaps tue 05:00-08:00",
            id="the next day",
        ),
        pytest.param(
            (hours("05:00-08:00"), *(CLOSED,) * 5, hours("22:00-06:00")),
            "sun 22:00-06:00 overlaps mon 05:00-08:00",
            id="the next week",
        ),
        pytest.param(
            (((480, 2880),), CLOSED, hours("00:00-01:00"), *(CLOSED,) * 4), None, id="two days that touch a third"
        ),
        pytest.param(working_days("08:00-17:00")[:6], "a week has 7 days", id="six days"),
        pytest.param((((600, 600),), *(CLOSED,) * 6), r"mon: minutes \(600, 600\) are no window", id="empty window"),
        pytest.param(
            (((1440, 1500),), *(CLOSED,) * 6), r"mon: minutes \(1440, 1500\) are no window", id="opens at 24:00"
        ),
        pytest.param((((-1, 60),), *(CLOSED,) * 6), r"mon: minutes \(-1, 60\) are no window", id="negative"),
        pytest.param((((60, 2881),), *(CLOSED,) * 6), r"mon: minutes \(60, 2881\) are no window", id="over two days"),
    ],
)
def test_windows_must_be_in_order(weekly: tuple[tuple[tuple[int, int], ...], ...], fault: str | None) -> None:
    if fault is None:
        assert faults_of(CalendarSpec("x", "UTC", weekly)) == []
    else:
        with pytest.raises(CalendarError, match=fault):
            calendar("UTC", weekly)


def test_all_faults_are_named_at_once() -> None:
    spec = CalendarSpec("x", "Europe/Berln", only(0, "08:00-12:00", "11:00-13:00"), frozenset(), frozenset({(2, 30)}))
    with pytest.raises(CalendarError) as refused:
        Calendar(spec)
    message = str(refused.value)
    assert message.startswith("calendar 'x': ")
    assert "did you mean 'Europe/Berlin'?" in message
    assert "mon 08:00-12:00 overlaps mon 11:00-13:00" in message
    assert "holiday 02-30 is no day of the year" in message


LEAP_YEAR = tuple((date.fromordinal(n).month, date.fromordinal(n).day) for n in range(730_120, 730_486))


@pytest.mark.parametrize(
    ("weekly", "yearly", "reason"),
    [
        pytest.param((CLOSED,) * 7, (), "no day of the week has hours", id="no hours"),
        pytest.param(every_day("00:00-24:00"), LEAP_YEAR, "every day of the year is a holiday", id="always holiday"),
        pytest.param(
            only(6, "02:10-02:50"),
            tuple(day for day in LEAP_YEAR if day != (3, 31)),
            "meet holidays or missing hours only",
            id="open only in a missing hour",
        ),
    ],
)
def test_a_calendar_that_never_opens_is_refused(
    weekly: tuple[tuple[tuple[int, int], ...], ...], yearly: tuple[tuple[int, int], ...], reason: str
) -> None:
    assert len(LEAP_YEAR) == len(set(LEAP_YEAR)) == 366
    with pytest.raises(EmptyCalendarError, match=reason):
        calendar("Europe/Berlin", weekly, yearly=yearly)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("europe/berlin", "did you mean 'Europe/Berlin'"),
        ("Jakarta", "did you mean 'Asia/Jakarta'"),
        ("America/New York", "did you mean 'America/New_York'"),
        ("Europe/Jakarta", "did you mean 'Asia/Jakarta'"),
        ("Europe", "write an IANA name"),
        ("/etc/hostname", "write an IANA name"),
        ("localtime", "unknown time zone 'localtime'"),
        ("right/Europe/Berlin", "did you mean 'Europe/Berlin'"),
        ("Jakrta", "did you mean 'Asia/Jakarta'"),
        ("", "write an IANA name"),
    ],
)
def test_an_unknown_time_zone_is_refused_with_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(CalendarError, match=suggestion):
        CivilZone(name)


# Hours as people write them.


@pytest.mark.parametrize(
    ("text", "minutes", "rendered"),
    [
        ("08:00-17:00", (480, 1020), "08:00-17:00"),
        ("22:00-06:00", (1320, 1800), "22:00-06:00"),
        ("00:00-24:00", (0, 1440), "00:00-24:00"),
        ("18:00-00:00", (1080, 1440), "18:00-24:00"),
        (" 8:30 - 9:15 ", (510, 555), "08:30-09:15"),
        ("08:00–17:00", (480, 1020), "08:00-17:00"),
    ],
)
def test_hours_are_parsed(text: str, minutes: tuple[int, int], rendered: str) -> None:
    assert parse_hours(text) == minutes
    assert format_hours(*minutes) == rendered


def test_a_window_longer_than_a_day_is_shown_with_its_hours_counted_on() -> None:
    assert format_hours(480, 2160) == "08:00-36:00"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8-17", "write 08:00-17:00"),
        ("", "write 08:00-17:00"),
        ("08:00-17:00-18:00", "write 08:00-17:00"),
        ("25:00-26:00", "from 00:00 to 24:00"),
        ("08:60-09:00", "from 00:00 to 24:00"),
        ("08:00-24:01", "from 00:00 to 24:00"),
        ("24:00-06:00", "can't open at 24:00"),
        ("08:00-08:00", "write 00:00-24:00 for a whole day"),
        ("00:00-00:00", "write 00:00-24:00 for a whole day"),
    ],
)
def test_hours_that_are_none_are_refused(text: str, reason: str) -> None:
    with pytest.raises(CalendarError, match=reason):
        parse_hours(text)


# Local dates as sets of instants.


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2026-03-29", [("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00")]),
        ("Europe/Berlin", "2026-05-05", [("2026-05-05T00:00:00+02:00", "2026-05-06T00:00:00+02:00")]),
        ("America/Sao_Paulo", "2017-10-15", [("2017-10-15T01:00:00-02:00", "2017-10-16T00:00:00-02:00")]),
        ("Pacific/Apia", "2011-12-30", []),
        (
            "America/St_Johns",
            "2006-10-29",
            [
                ("2006-10-29T00:00:00-02:30", "2006-10-29T00:01:00-02:30"),
                ("2006-10-29T00:00:00-03:30", "2006-10-30T00:00:00-03:30"),
            ],
        ),
    ],
)
def test_a_civil_date_is_the_instants_that_show_it(zone: str, day: str, expected: list[tuple[str, str]]) -> None:
    shown = CivilZone(zone).spans_of(date.fromisoformat(day))
    merged: list[tuple[int, int]] = []
    for from_ms, until_ms in shown:
        if merged and merged[-1][1] == from_ms:
            merged[-1] = (merged[-1][0], until_ms)
        else:
            merged.append((from_ms, until_ms))
    assert merged == spans(*expected)


# Elapsed time.


def test_elapsed_time_always_counts() -> None:
    elapsed: WorkCalendar = ElapsedCalendar()
    assert elapsed.id == "elapsed"
    assert elapsed.worked_before(5) == 5
    assert elapsed.worked_between(5, 3) == -2
    assert elapsed.is_open(5)
    assert elapsed.next_open(5) == 5
    assert elapsed.deadline(5, 10) == elapsed.deadline(5, 10, DeadlineAt.NEXT_OPEN) == 15
    assert list(elapsed.windows_between(0, MINUTE_MS)) == [(0, MINUTE_MS)]
    assert list(elapsed.windows_between(MINUTE_MS, 0)) == []


def test_a_calendar_knows_its_id() -> None:
    office: WorkCalendar = OFFICE
    assert office.id == "test"


# --- calendars made of others ---


def combined(combination: Combination, *parts: Calendar, timezone: str = "UTC") -> Calendar:
    specs = tuple(part.spec for part in parts)
    return Calendar(CalendarSpec("combined", timezone, NO_HOURS, combination=combination, parts=specs))


BERLIN = calendar("Europe/Berlin", working_days("09:00-17:00"))
NEW_YORK = calendar("America/New_York", working_days("09:00-17:00"), yearly=((7, 4),))


def test_an_intersection_is_open_when_both_parts_are() -> None:
    both = combined(Combination.INTERSECTION, BERLIN, NEW_YORK)
    # 15:00 to 17:00 in Berlin; 14:00 to 17:00 in the weeks in which only New York keeps summer time.
    assert worked_hours(both, "2026-03-02T00:00Z", "2026-03-03T00:00Z") == 2
    assert worked_hours(both, "2026-03-09T00:00Z", "2026-03-10T00:00Z") == 3
    assert both.deadline(parse_instant("2026-03-02T00:00Z"), 3 * HOUR_MS) == parse_instant("2026-03-03T15:00Z")
    assert both.next_open(parse_instant("2026-03-02T16:00Z")) == parse_instant("2026-03-03T14:00Z")


def test_a_union_is_open_when_any_part_is_and_a_holiday_of_one_does_not_close_it() -> None:
    either = combined(Combination.UNION, BERLIN, NEW_YORK)
    assert windows(either, "2025-07-03T00:00Z", "2025-07-06T00:00Z") == spans(
        ("2025-07-03T07:00Z", "2025-07-03T21:00Z"), ("2025-07-04T07:00Z", "2025-07-04T15:00Z")
    )


def test_shifts_that_follow_each_other_are_one_window() -> None:
    around = combined(
        Combination.UNION,
        *(calendar("UTC", every_day(hours)) for hours in ("00:00-08:00", "08:00-16:00", "16:00-24:00")),
    )
    assert windows(around, "2025-12-30T12:00Z", "2026-01-02T12:00Z") == spans(
        ("2025-12-30T12:00Z", "2026-01-02T12:00Z")
    )


def test_a_combination_covers_the_same_years_as_its_parts() -> None:
    def both() -> Calendar:
        return combined(Combination.INTERSECTION, BERLIN, NEW_YORK)

    assert both().worked_between(EARLIEST_MS, parse_instant("1900-01-08T00:00Z")) > 0
    # Friday, 31 December 2399, is the last day.
    assert worked_hours(both(), "2399-12-31T00:00Z", "2399-12-31T23:59:59.999Z") == 2
    with pytest.raises(CalendarError, match="outside what calendars cover"):
        both().deadline(LATEST_MS - HOUR_MS, 400 * HOUR_MS)


def test_parts_that_are_never_open_together_are_refused() -> None:
    night = calendar("Europe/Berlin", working_days("20:00-24:00"))
    with pytest.raises(EmptyCalendarError, match="never open together"):
        combined(Combination.INTERSECTION, BERLIN, night)


def test_faults_of_a_combination_are_named_with_the_part() -> None:
    bad = CalendarSpec("bad", "Europe/Berln", NO_HOURS)
    spec = CalendarSpec("c", "UTC", only(0, "08:00-09:00"), combination=Combination.UNION, parts=(bad,))
    found = faults_of(spec)
    assert found[:2] == ["a union needs two calendars or more", "a union has no hours and holidays of its own"]
    assert found[2].startswith("bad: unknown time zone 'Europe/Berln'")
    assert faults_of(CalendarSpec("c", "UTC", NO_HOURS, parts=(bad, bad))) == [
        "it has parts, and nothing says how they are combined"
    ]
