"""Business days, close of business and dates of a ticket, on calendars with holidays, nights and changes of the clocks."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from sla.calendar import Calendar, CalendarSpec, ElapsedCalendar
from sla.contract import BusinessDays, TicketDate
from sla.due_dates import date_deadline, days_deadline, parse_ticket_date
from sla.errors import CalendarError
from sla.units import format_instant, parse_instant
from tests.support.domain import OFFICE, at

ALWAYS = Calendar(CalendarSpec("always", "Europe/Berlin", (((0, 1440),),) * 7))
NIGHTS = Calendar(CalendarSpec("nights", "Europe/Berlin", (((1320, 1800),),) * 5 + ((),) * 2))
LUNCH = Calendar(
    CalendarSpec(
        "lunch",
        "Asia/Jakarta",
        (((480, 720), (780, 1020)),) * 5 + ((),) * 2,
        closed_dates=frozenset({date(2026, 3, 19), date(2026, 3, 20)}),
    )
)


def local(calendar: Calendar, text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(calendar.spec.timezone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "days", "deadline"),
    [
        ("mon 10:00", 2, "wed 10:00"),
        ("mon 10:00:30.250", 1, "tue 10:00:30.250"),
        ("fri 10:00", 1, "mon 10:00 +1w"),
        ("fri 16:59", 2, "tue 16:59 +1w"),
        ("mon 09:00", 1, "tue 09:00"),
        ("mon 10:00", 0, "mon 10:00"),
        ("mon 07:00", 1, "tue 09:00"),
        ("mon 18:00", 1, "wed 09:00"),
        ("sat 12:00", 1, "tue 09:00 +1w"),
        ("sat 12:00", 0, "mon 09:00 +1w"),
    ],
)
def test_business_days_end_at_the_same_local_time_and_a_start_outside_hours_snaps(
    start: str, days: int, deadline: str
) -> None:
    assert days_deadline(BusinessDays(days), OFFICE, at(start)) == at(deadline)


@pytest.mark.parametrize(
    ("start", "days", "deadline"),
    [
        ("mon 10:00", 0, "mon 17:00"),
        ("mon 10:00", 1, "tue 17:00"),
        ("mon 10:00", 2, "wed 17:00"),
        ("fri 10:00", 1, "mon 17:00 +1w"),
        ("fri 17:00", 0, "mon 17:00 +1w"),
        ("sun 10:00", 2, "wed 17:00 +1w"),
    ],
)
def test_close_of_business_is_that_of_the_day_so_many_business_days_later(start: str, days: int, deadline: str) -> None:
    assert days_deadline(BusinessDays(days, end_of_day=True), OFFICE, at(start)) == at(deadline)


def test_same_local_time_in_a_break_is_the_next_opening_and_holidays_are_no_business_days() -> None:
    # Wed 18 March 12:30 is lunch, so counting begins at 13:00; Thursday and Friday are holidays.
    start_ms = local(LUNCH, "2026-03-18T12:30")
    assert days_deadline(BusinessDays(1), LUNCH, start_ms) == local(LUNCH, "2026-03-23T13:00")
    # The calendar below has a longer lunch on Tuesday: the same time as Monday 12:15 is in it.
    week = (((480, 740), (780, 1020)), ((480, 720), (780, 1020)), *(((480, 1020),),) * 3, (), ())
    longer = Calendar(CalendarSpec("longer", "Asia/Jakarta", week))
    start_ms = local(longer, "2026-03-02T12:15")
    assert days_deadline(BusinessDays(1), longer, start_ms) == local(longer, "2026-03-03T13:00")


@pytest.mark.parametrize(
    ("start", "deadline"),
    [
        ("2026-03-28T02:30", "2026-03-29T01:00:00.000Z"),  # 02:30 does not exist: the first instant after the gap
        ("2026-03-27T10:00", "2026-03-28T09:00:00.000Z"),
        ("2026-03-28T10:00", "2026-03-29T08:00:00.000Z"),  # 23 elapsed hours
        ("2026-10-24T02:30", "2026-10-25T01:30:00.000Z"),  # 02:30 happens twice: the second
        ("2026-10-24T10:00", "2026-10-25T09:00:00.000Z"),  # 25 elapsed hours
    ],
)
def test_same_local_time_where_clocks_change(start: str, deadline: str) -> None:
    assert format_instant(days_deadline(BusinessDays(1), ALWAYS, local(ALWAYS, start))) == deadline


def test_day_of_a_window_over_midnight_closes_at_midnight() -> None:
    eod = BusinessDays(0, end_of_day=True)
    assert days_deadline(eod, NIGHTS, at("mon 23:00")) == at("tue 00:00")
    # The hours of Friday night after midnight make Saturday a business day, which closes with them.
    assert days_deadline(eod, NIGHTS, at("sat 03:00")) == at("sat 06:00")
    assert days_deadline(BusinessDays(1), NIGHTS, at("sat 03:00")) == at("mon 22:00 +1w"), "Monday has no 03:00 shift"


def test_calendar_without_so_many_business_days_is_told() -> None:
    closed = frozenset(date(year, month, 1) for year in range(2026, 2400) for month in range(1, 13))
    firsts = CalendarSpec("once", "UTC", (((540, 1020),),) * 7, closed_dates=closed)
    assert days_deadline(BusinessDays(1), Calendar(firsts), parse_instant("2026-02-28T10:00:00Z")) == parse_instant(
        "2026-03-02T10:00:00Z"
    )
    with pytest.raises(CalendarError):
        days_deadline(BusinessDays(2), OFFICE, parse_instant("2399-12-31T10:00:00+01:00"))


@pytest.mark.parametrize(
    ("day", "rule", "deadline"),
    [
        ("2026-03-06", TicketDate("d"), "fri 17:00"),
        ("2026-03-08", TicketDate("d"), "fri 17:00"),  # a Sunday: the last close of business before
        ("2026-03-06", TicketDate("d", 1080), "fri 18:00"),  # a local time need not be open
        ("2026-03-08", TicketDate("d", 600), "sun 10:00"),
        ("2026-03-06", TicketDate("d", 1440), "sat 00:00"),
        ("2026-03-06", TicketDate("d", 0), "fri 00:00"),
    ],
)
def test_date_is_due_at_close_of_business_or_at_a_local_time(day: str, rule: TicketDate, deadline: str) -> None:
    assert date_deadline(rule, OFFICE, date.fromisoformat(day)) == at(deadline)


def test_date_after_a_year_without_business_ends_itself() -> None:
    closed = frozenset(date.fromordinal(n) for n in range(date(2026, 1, 1).toordinal(), date(2027, 3, 1).toordinal()))
    sabbatical = Calendar(CalendarSpec("sabbatical", "UTC", (((540, 1020),),) * 7, closed_dates=closed))
    deadline_ms = date_deadline(TicketDate("d"), sabbatical, date(2027, 2, 1))
    assert format_instant(deadline_ms) == "2027-02-02T00:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-31", date(2026, 3, 31)),
        (" 2026-03-31 ", date(2026, 3, 31)),
        ("2026-03-31T23:30:00Z", date(2026, 4, 1)),  # in Berlin it is past midnight
        ("2026-03-31T23:30:00+02:00", date(2026, 3, 31)),
    ],
)
def test_date_of_a_ticket_is_a_day_or_an_instant_with_its_zone(text: str, day: date) -> None:
    assert parse_ticket_date(text, OFFICE) == day


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        "2026-02-30",
        "31.03.2026",
        "20260331",
        "2026-03-31T10:00:00",
        "2026-W10-1",
        "0001-01-01",
        "9999-12-31",
        "9999-12-31T00:00:00Z",
        "2399-12-31",
        "1900-01-01",
    ],
)
def test_anything_else_is_no_date(text: str | None) -> None:
    assert parse_ticket_date(text, OFFICE) is None


def test_elapsed_time_has_days_of_utc() -> None:
    assert ElapsedCalendar().zone_at(0).name == "UTC"
