"""Deadlines that are no durations: business days later, close of business, a date that the ticket carries.

A *business day* is a civil date, in the calendar's time zone, on which the calendar is open at some instant; its *close
of business* is the last closing on that date (24:00 where a window runs over midnight). Counting begins with the first
open instant at or after the start, so a start outside hours snaps to the next opening, as everywhere.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from sla.calendar import EARLIEST_MS, LATEST_MS, WorkCalendar
from sla.contract import BusinessDays, TicketDate
from sla.errors import UnitError
from sla.units import DAY_MS, MINUTE_MS, EpochMs, parse_instant
from sla.zones import CivilZone

_EPOCH: Final = date(1970, 1, 1)
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAY_MINUTES: Final = 1440

_MARGIN_MS: Final = 800 * DAY_MS
"""Dates so near to the end of what calendars cover are none: a deadline on them could not be worked out."""

_SEARCHED_DAYS: Final = 366
"""How far back the last business day before a date is looked for."""


def days_deadline(rule: BusinessDays, calendar: WorkCalendar, start_ms: int) -> EpochMs:
    """Return the instant some business days after a start.

    Parameters
    ----------
    rule : BusinessDays
        ``end_of_day``: close of business of that day. Else the local time at which counting began, or the next opening
        if the calendar is closed then; of a local time that happens twice the second, and the first instant after one
        that does not exist.
    start_ms : int

    Raises
    ------
    CalendarError
        If the calendar does not open for so many days.
    """
    first_ms = calendar.next_open(start_ms)
    zone = calendar.zone_at(first_ms)
    first_day = zone.date_at(first_ms)
    day = _business_day_after(calendar, first_day, rule.days)
    if rule.end_of_day:
        close_ms = _close_of_business(calendar, day)
        assert close_ms is not None, "a business day"
        return close_ms
    if day == first_day:
        return first_ms
    return calendar.next_open(_same_time_on(zone, day, first_ms))


def date_deadline(rule: TicketDate, calendar: WorkCalendar, day: date) -> EpochMs:
    """Return the instant that is due on a date.

    At close of business: that of the date, or of the last business day before it if there is none on the date (what is
    promised by a Sunday has to be done by Friday). At a local time: that one, open or not.
    """
    zone = calendar.zone_at(_noon_of(day))
    if rule.at_minute is not None:
        if rule.at_minute == _DAY_MINUTES:
            return zone.end_of(day)
        return zone.occurrences(day, rule.at_minute)[1]
    return _last_close(calendar, day)


def parse_ticket_date(text: str | None, calendar: WorkCalendar) -> date | None:
    """Read the date that a ticket field holds.

    Parameters
    ----------
    text : str or None
        ``2026-03-31``, or an RFC 3339 instant with a zone, which is the date it falls on where the calendar is.

    Returns
    -------
    date or None
        None if the field is unset or holds anything else, or a date that calendars don't cover.
    """
    if text is None:
        return None
    try:
        day = _date_of(text.strip(), calendar)
    except (UnitError, ValueError, OverflowError):
        return None
    return day if EARLIEST_MS + _MARGIN_MS <= _noon_of(day) < LATEST_MS - _MARGIN_MS else None


def _date_of(text: str, calendar: WorkCalendar) -> date:
    if _ISO_DATE.fullmatch(text):
        return date.fromisoformat(text)
    instant_ms = parse_instant(text)
    if not EARLIEST_MS <= instant_ms < LATEST_MS:
        raise ValueError(text)
    return calendar.zone_at(instant_ms).date_at(instant_ms)


def _noon_of(day: date) -> int:
    """Return an instant of the date in nearly every zone: good enough to ask which zone a calendar is in then."""
    return (day - _EPOCH).days * DAY_MS + DAY_MS // 2


@lru_cache(maxsize=4096)  # all tickets of a day ask for the same days
def _business_day_after(calendar: WorkCalendar, day: date, days: int) -> date:
    for _ in range(days):
        open_ms = calendar.next_open(calendar.zone_at(_noon_of(day)).end_of(day))
        day = calendar.zone_at(open_ms).date_at(open_ms)
    return day


@lru_cache(maxsize=4096)
def _close_of_business(calendar: WorkCalendar, day: date) -> EpochMs | None:
    """Return the last closing on a date; None if it is no business day."""
    spans = calendar.zone_at(_noon_of(day)).spans_of(day)
    closes = [close_ms for from_ms, until_ms in spans for _, close_ms in calendar.windows_between(from_ms, until_ms)]
    return max(closes, default=None)


@lru_cache(maxsize=4096)
def _last_close(calendar: WorkCalendar, day: date) -> EpochMs:
    for days in range(_SEARCHED_DAYS):
        close_ms = _close_of_business(calendar, day - timedelta(days=days))
        if close_ms is not None:
            return close_ms
    # Nothing was open for a year before it: the day itself ends.
    return calendar.zone_at(_noon_of(day)).end_of(day)


def _same_time_on(zone: CivilZone, day: date, instant_ms: int) -> EpochMs:
    """Return the instant of a date at which clocks show what they show at another instant."""
    wall_ms = (instant_ms + zone.offset_ms_at(instant_ms)) % DAY_MS
    minute, rest_ms = divmod(wall_ms, MINUTE_MS)
    same_ms = zone.occurrences(day, minute)[1]
    exists = (same_ms + zone.offset_ms_at(same_ms)) % DAY_MS == minute * MINUTE_MS
    return EpochMs(same_ms + rest_ms) if exists else same_ms
