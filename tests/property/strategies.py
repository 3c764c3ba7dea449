"""Strategies that property tests share, and the pool of values that broke such code before."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import strategies as st

from sla.calendar import CalendarSpec
from sla.units import EpochMs, parse_instant

# Weeks in which a rule about local time is hard: (zone, a date a few days before the difficulty).
HARD_WEEKS = (
    ("Europe/Berlin", date(2026, 3, 26)),  # 02:00 -> 03:00
    ("Europe/Berlin", date(2026, 10, 22)),  # 03:00 -> 02:00
    ("America/New_York", date(2026, 3, 5)),
    ("America/New_York", date(2026, 10, 29)),
    ("America/Sao_Paulo", date(2017, 10, 12)),  # 00:00 does not exist
    ("America/Sao_Paulo", date(2018, 2, 14)),  # 24:00 -> 23:00
    ("Australia/Sydney", date(2026, 4, 2)),
    ("Australia/Sydney", date(2026, 10, 1)),
    ("Asia/Tehran", date(2021, 9, 18)),  # +03:30, 24:00 -> 23:00
    ("Asia/Tehran", date(2022, 3, 18)),  # 00:00 does not exist; the last summer time
    ("Asia/Tehran", date(2022, 9, 18)),
    ("America/Havana", date(2026, 3, 5)),  # 00:00 does not exist
    ("America/Havana", date(2025, 10, 30)),  # 01:00 -> 00:00: midnight twice, both on the new date
    ("Australia/Lord_Howe", date(2026, 4, 2)),  # half an hour back
    ("Australia/Lord_Howe", date(2026, 10, 1)),
    ("America/St_Johns", date(2006, 3, 30)),
    ("America/St_Johns", date(2006, 10, 26)),  # 00:01 -> 23:01: back into the day before
    ("Pacific/Apia", date(2011, 12, 27)),  # 30 December was skipped
    ("Pacific/Kwajalein", date(1993, 8, 18)),  # 21 August was skipped
    ("Africa/Casablanca", date(2026, 2, 12)),  # summer time ends for Ramadan
    ("Asia/Pyongyang", date(2015, 8, 12)),  # half an hour back for good, at midnight
    ("America/Caracas", date(2007, 12, 6)),
    ("Asia/Kathmandu", date(2026, 5, 1)),  # +05:45
    ("UTC", date(2025, 12, 29)),  # New Year: two compiled years
    ("Asia/Jakarta", date(2024, 2, 26)),  # leap day
)

NASTY_MINUTES = (
    *(0, 1, 15, 30, 59, 60, 61, 75, 90, 105, 119, 120, 121, 135, 150, 165, 179, 180, 181, 210, 240),
    *(480, 540, 720, 1020, 1320, 1380, 1381, 1410, 1439, 1440),
)
"""Local minutes at and around the changes of :data:`HARD_WEEKS`, and usual hours."""

NASTY_INSTANTS_MS: tuple[EpochMs, ...] = tuple(
    parse_instant(text)
    for text in (
        "2011-12-30T10:00:00Z",
        "2024-02-29T23:59:59.999Z",
        "2025-12-31T23:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-03-29T00:59:59.999Z",
        "2026-03-29T01:00:00Z",
        "2026-10-25T00:00:00Z",
        "2026-10-25T01:00:00Z",
    )
)


def instants_ms(since: str = "2010-01-01T00:00:00Z", until: str = "2035-01-01T00:00:00Z") -> st.SearchStrategy[int]:
    """Instants of some decades, nasty ones among them."""
    return st.sampled_from(NASTY_INSTANTS_MS) | st.integers(parse_instant(since), parse_instant(until))


@st.composite
def weekly_hours(draw: st.DrawFn) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Seven days of windows that are valid together; at least one opens."""
    marks_of_day = st.lists(st.sampled_from(NASTY_MINUTES) | st.integers(0, 1440), unique=True, max_size=8)
    # Half of them keep the same hours every day, so that the hard hours meet the hard date.
    different_days = draw(st.sampled_from((1, 7)))
    marks_of_days = [sorted(draw(marks_of_day)) for _ in range(different_days)] * (7 // different_days)
    days = [list(zip(marks[0::2], marks[1::2], strict=False)) for marks in marks_of_days]
    if not any(days):
        days[draw(st.integers(0, 6))] = [(480, 1020)]
    for number, windows in enumerate(days):
        if windows and draw(st.sampled_from((False, True))):
            # Over midnight, at most up to the next day's first opening.
            following = days[(number + 1) % 7]
            latest = following[0][0] if following else 1440
            windows[-1] = (windows[-1][0], 1440 + draw(st.sampled_from([m for m in NASTY_MINUTES if m <= latest])))
    return tuple(map(tuple, days))


@st.composite
def calendar_specs(draw: st.DrawFn, zone: str, first_day: date, days: int = 9) -> CalendarSpec:
    """Calendars of a zone with hard hours and with holidays among some dates."""
    dates = st.sampled_from([first_day + timedelta(days=n) for n in range(days)])
    yearly = dates.map(lambda day: (day.month, day.day))
    return CalendarSpec(
        id="any",
        timezone=zone,
        weekly=draw(weekly_hours()),
        closed_dates=draw(st.frozensets(dates, max_size=5)),
        closed_yearly=draw(st.frozensets(yearly, max_size=2)),
    )
