"""Holidays from iCalendar files."""

from __future__ import annotations

from datetime import date

import pytest

from config.icalendar_dates import ICalendarError, all_day_dates

YEARS = range(2025, 2029)


def ics(*events: str) -> bytes:
    body = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{body}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def dates(*events: str) -> list[str]:
    return [day.isoformat() for day in sorted(all_day_dates(ics(*events), YEARS))]


def test_an_event_without_an_end_is_one_day() -> None:
    assert dates("UID:a\nDTSTART;VALUE=DATE:20260319") == ["2026-03-19"]


@pytest.mark.parametrize("length", ["DTEND;VALUE=DATE:20260322", "DURATION:P3D"])
def test_the_end_of_an_event_is_exclusive(length: str) -> None:
    assert dates(f"UID:a\nDTSTART;VALUE=DATE:20260319\n{length}") == ["2026-03-19", "2026-03-20", "2026-03-21"]


def test_an_event_with_a_time_of_day_and_a_cancelled_one_are_no_holidays() -> None:
    assert dates(
        "UID:a\nDTSTART:20260319T080000Z",
        "UID:b\nDTSTART;VALUE=DATE:20260320\nSTATUS:CANCELLED",
        "UID:c\nDTSTART;VALUE=DATE:20260401",
    ) == ["2026-04-01"]


def test_a_yearly_event_without_an_end_fills_the_years_asked_for() -> None:
    repeated = dates("UID:a\nDTSTART;VALUE=DATE:19991224\nDTEND;VALUE=DATE:19991226\nRRULE:FREQ=YEARLY")
    assert repeated == [f"{year}-12-{day}" for year in YEARS for day in (24, 25)]


def test_a_stay_over_new_year_is_cut_at_the_years_asked_for() -> None:
    repeated = dates("UID:a\nDTSTART;VALUE=DATE:20201231\nDTEND;VALUE=DATE:20210102\nRRULE:FREQ=YEARLY")
    assert repeated[:3] == ["2025-01-01", "2025-12-31", "2026-01-01"]
    assert repeated[-1] == "2028-12-31"


def test_repetitions_end_have_exceptions_and_extra_dates() -> None:
    event = (
        "UID:a\nDTSTART;VALUE=DATE:20260101\nRRULE:FREQ=MONTHLY;UNTIL=20260401\n"
        "EXDATE;VALUE=DATE:20260201\nRDATE;VALUE=DATE:20260715"
    )
    assert dates(event) == ["2026-01-01", "2026-03-01", "2026-04-01", "2026-07-15"]


def test_a_moved_occurrence_stands_in_the_place_of_its_original() -> None:
    series = "UID:a\nDTSTART;VALUE=DATE:20260101\nRRULE:FREQ=MONTHLY;COUNT=3"
    moved = "UID:a\nRECURRENCE-ID;VALUE=DATE:20260201\nDTSTART;VALUE=DATE:20260205"
    assert dates(series, moved) == ["2026-01-01", "2026-02-05", "2026-03-01"]


def test_years_without_any_all_day_event_are_a_fault() -> None:
    with pytest.raises(ICalendarError, match="holds no all-day event in 2025 to 2028"):
        all_day_dates(ics("UID:a\nDTSTART;VALUE=DATE:19991224"), YEARS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        ics("UID:a\nDTSTART;VALUE=DATE:20261"),
        ics("UID:a\nDTSTART;VALUE=DATE:20260101\nRRULE:FREQ=NEVER"),
    ],
    ids=["empty", "text", "binary", "date", "rule"],
)
def test_what_is_no_icalendar_is_told(content: bytes) -> None:
    with pytest.raises(ICalendarError):
        all_day_dates(content, YEARS)


def test_dates_are_dates() -> None:
    assert all(type(day) is date for day in all_day_dates(ics("UID:a\nDTSTART;VALUE=DATE:20260319"), YEARS))
