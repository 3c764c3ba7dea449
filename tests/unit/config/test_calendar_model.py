"""Calendars as written, with their holidays resolved."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.calendar_model import FOLDER, HOLIDAY_YEARS, CalendarModel
from config.faults import path_of, problems_of
from config.loader import load_agreements
from sla.calendar_spec import CalendarSpec

REPOSITORY = Path(__file__).parents[3]
GOOD = REPOSITORY / "tests" / "golden" / "contracts" / "good"


def calendar(**fields: Any) -> CalendarSpec:
    data = {"kind": "Calendar", "id": "c", "timezone": "Europe/Berlin", "hours": {"mon": ["08:00-17:00"]}, **fields}
    return CalendarModel.model_validate(data, context={FOLDER: GOOD / "calendars"}).to_domain()


def refused(**fields: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        calendar(**fields)
    return {path_of(loc): message for loc, message in problems_of(caught.value, CalendarModel)}


def test_hours_become_minutes_of_each_weekday() -> None:
    spec = load_agreements([GOOD]).calendars["jakarta-office"].to_domain()
    assert spec.weekly == (((480, 720), (780, 1020)), ((480, 1020),), (), (), ((1320, 1800),), (), ((0, 1440),))


def test_holidays_of_dates_a_country_with_subdivision_and_a_file_come_together() -> None:
    spec = load_agreements([GOOD]).calendars["jakarta-office"].to_domain()
    assert date(2026, 3, 20) in spec.closed_dates  # a date of its own
    assert date(2026, 10, 3) in spec.closed_dates  # German Unity Day
    assert date(2026, 3, 8) in spec.closed_dates  # Women's Day is a holiday of Berlin, not of Germany
    assert {date(2026, 9, 7), date(2026, 9, 8)} <= spec.closed_dates  # the retreat; its end is exclusive
    assert date(2026, 9, 9) not in spec.closed_dates
    assert spec.closed_yearly == {(12, 25), (2, 29)}


def test_holidays_of_a_country_are_resolved_for_a_fixed_span_of_years() -> None:
    closed = calendar(holidays={"country": "DE"}).closed_dates
    assert {day.year for day in closed} == set(HOLIDAY_YEARS)
    assert date(2000, 1, 1) in closed
    assert date(2050, 12, 25) in closed


def test_a_calendar_without_holidays_has_none() -> None:
    spec = calendar()
    assert (spec.closed_dates, spec.closed_yearly) == (frozenset(), frozenset())


def test_null_is_a_field_left_out() -> None:
    parts = ("dates", "yearly", "country", "subdivision", "ics")
    assert calendar(holidays=None) == calendar(holidays=dict.fromkeys(parts)) == calendar()


def test_around_the_clock_is_written_out() -> None:
    spec = load_agreements([REPOSITORY / "config"]).calendars["always"].to_domain()
    assert spec.weekly == (((0, 1440),),) * 7


def test_a_calendar_that_never_opens_is_refused_also_because_of_its_holidays() -> None:
    assert "never opens" in refused(hours={})["hours"]
    every_day = [
        f"{month:02d}-{day:02d}"
        for month in range(1, 13)
        for day in range(1, 32)
        if (month, day) < (2, 30) or month > 2
    ]
    every_day = [day for day in every_day if day not in ("04-31", "06-31", "09-31", "11-31")]
    assert "never opens" in refused(holidays={"yearly": every_day})["hours"]


def test_a_window_that_overlaps_over_midnight_and_the_week_is_refused() -> None:
    assert "overlaps" in refused(hours={"sun": ["22:00-09:00"], "mon": ["08:00-17:00"]})["hours"]


def test_every_fault_of_hours_and_holidays_is_told_together() -> None:
    found = refused(
        timezone="Europe/Berln",
        hours={"mon": ["08:00-12:00", "11:00-13:00"], "tue": ["8-17"]},
        holidays={"country": "DE", "subdivision": "Berlinn", "ics": "none.ics", "dates": ["2026-13-01"]},
    )
    assert set(found) == {
        "timezone",
        "hours",
        "hours.tue[0]",
        "holidays.subdivision",
        "holidays.ics",
        "holidays.dates[0]",
    }


def test_an_icalendar_file_needs_a_folder_to_be_relative_to() -> None:
    data = {
        "kind": "Calendar",
        "id": "c",
        "timezone": "UTC",
        "hours": {"mon": ["08:00-17:00"]},
        "holidays": {"ics": "a.ics"},
    }
    with pytest.raises(ValidationError, match="does not come from a folder"):
        CalendarModel.model_validate(data)


@pytest.mark.parametrize(
    "data", [None, [], {"hours": 3}, {"hours": {"mon": {}}}, {"holidays": []}, {"holidays": {"country": 3}}]
)
def test_any_nonsense_is_refused_and_nothing_else_happens(data: Any) -> None:
    with pytest.raises(ValidationError):
        CalendarModel.model_validate(data)
