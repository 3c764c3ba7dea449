"""Calendar periods by name: what a statement is about, such as ``2026-10``, ``2026-Q4``, ``2026-W45`` or ``2026``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sla.contract import Period, Window
from sla.errors import UnitError
from sla.units import datetime_of, ms_of
from sla.window import Span, window_span

_NAME: Final = re.compile(r"^(?P<year>\d{4})(?:-(?:(?P<month>\d{2})|Q(?P<quarter>[1-4])|W(?P<week>\d{2})))?$")
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2299
_EXAMPLES: Final = "2026-10 (month), 2026-Q4 (quarter), 2026-W45 (week) or 2026 (year)"


class CalendarPeriod(NamedTuple):
    """One week, month, quarter or year of the calendar; when it begins depends on the time zone.

    Attributes
    ----------
    kind : Period
    first_day : date
        Its first day; of a week the Monday.
    """

    kind: Period
    first_day: date

    @property
    def name(self) -> str:
        """Its name: ``2026-10``, ``2026-Q4``, ``2026-W45`` (ISO 8601) or ``2026``."""
        day = self.first_day
        match self.kind:
            case Period.WEEK:
                year, week, _ = day.isocalendar()
                return f"{year:04d}-W{week:02d}"
            case Period.MONTH:
                return f"{day.year:04d}-{day.month:02d}"
            case Period.QUARTER:
                return f"{day.year:04d}-Q{(day.month + 2) // 3}"
            case Period.YEAR:
                return f"{day.year:04d}"

    def span(self, timezone: str) -> Span:
        """Return the instants it begins and ends at in a time zone, half-open, UTC epoch ms."""
        # Noon in UTC lies within the first day, or at most one day off, in every zone there is.
        noon = datetime(self.first_day.year, self.first_day.month, self.first_day.day, 12, tzinfo=UTC)
        return window_span(Window(None, self.kind, timezone), ms_of(noon))

    def shifted(self, count: int) -> CalendarPeriod:
        """Return the period of the same kind that lies ``count`` periods later, or earlier if negative.

        Raises
        ------
        UnitError
            If it lies outside the years that instants cover.
        """
        day = self.first_day
        match self.kind:
            case Period.WEEK:
                return CalendarPeriod(self.kind, day + timedelta(weeks=count))
            case Period.MONTH:
                months = count
            case Period.QUARTER:
                months = 3 * count
            case Period.YEAR:
                months = 12 * count
        years, index = divmod(day.month - 1 + months, 12)
        if not _FIRST_YEAR <= day.year + years <= _LAST_YEAR:
            raise UnitError(f"{count} periods from {self.name} lies outside {_FIRST_YEAR}..{_LAST_YEAR}")
        return CalendarPeriod(self.kind, date(day.year + years, index + 1, 1))


def parse_period(text: str) -> CalendarPeriod:
    """Read the name of a period.

    Raises
    ------
    UnitError
        If the text names none; the message says how to write one.
    """
    found = _NAME.match(text.strip())
    if found is None or not _FIRST_YEAR < int(found["year"]) < _LAST_YEAR:
        raise UnitError(f"{text!r} is no period: write {_EXAMPLES}")
    year = int(found["year"])
    if found["week"] is not None:
        try:
            return CalendarPeriod(Period.WEEK, date.fromisocalendar(year, int(found["week"]), 1))
        except ValueError as error:
            raise UnitError(f"{text!r}: {year} has no week {int(found['week'])}") from error
    if found["quarter"] is not None:
        return CalendarPeriod(Period.QUARTER, date(year, 3 * int(found["quarter"]) - 2, 1))
    if found["month"] is not None:
        if not 1 <= int(found["month"]) <= 12:
            raise UnitError(f"{text!r}: there is no month {int(found['month'])}; write {_EXAMPLES}")
        return CalendarPeriod(Period.MONTH, date(year, int(found["month"]), 1))
    return CalendarPeriod(Period.YEAR, date(year, 1, 1))


def period_at(kind: Period, timezone: str, at_ms: int) -> CalendarPeriod:
    """Return the period of a kind that an instant lies in, in a time zone."""
    day = datetime_of(at_ms).astimezone(ZoneInfo(timezone)).date()
    match kind:
        case Period.WEEK:
            first_day = day - timedelta(days=day.weekday())
        case Period.MONTH:
            first_day = day.replace(day=1)
        case Period.QUARTER:
            first_day = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
        case Period.YEAR:
            first_day = date(day.year, 1, 1)
    return CalendarPeriod(kind, first_day)
