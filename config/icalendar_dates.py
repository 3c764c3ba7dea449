"""Holidays from an iCalendar file: the civil dates of its all-day events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import icalendar
from dateutil.rrule import rrulestr


class ICalendarError(ValueError):
    """The text is no iCalendar, or holds no all-day event."""


def all_day_dates(content: bytes, years: range) -> frozenset[date]:
    """Return the civil dates of all all-day events of an iCalendar file.

    Parameters
    ----------
    content : bytes
        The file (RFC 5545). Events with a time of day are no holidays and are passed over, cancelled ones too.
    years : range
        Repeating events are expanded within these years; dates outside of them are left out.

    Raises
    ------
    ICalendarError
        If the file can't be read, or not one all-day event falls into these years.
    """
    try:
        events = [event for event in icalendar.Calendar.from_ical(content).walk("VEVENT") if _is_all_day(event)]
        dates = frozenset(_dates_of(events, years))
    except ICalendarError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:  # what the parsers raise on nonsense
        raise ICalendarError(f"no iCalendar: {error}") from error
    if not dates:
        raise ICalendarError(f"holds no all-day event in {years.start} to {years.stop - 1}")
    return dates


def _is_all_day(event: Any) -> bool:
    start = event.decoded("dtstart", None)
    return type(start) is date and str(event.get("status", "")).upper() != "CANCELLED"


def _dates_of(events: list[Any], years: range) -> Iterator[date]:
    first, last = date(years.start, 1, 1), date(years.stop - 1, 12, 31)
    # An event with RECURRENCE-ID stands in the place of one occurrence of the series with its UID.
    replaced = {
        (str(event.get("uid")), _as_date(event.decoded("recurrence-id")))
        for event in events
        if "recurrence-id" in event
    }
    for event in events:
        start: date = event.decoded("dtstart")
        days = _length_days(event, start)
        uid = str(event.get("uid"))
        for begin in _occurrences(event, start, first - timedelta(days=days), last):
            if "recurrence-id" not in event and (uid, begin) in replaced:
                continue
            for offset in range(days):
                day = begin + timedelta(days=offset)
                if first <= day <= last:
                    yield day


def _length_days(event: Any, start: date) -> int:
    if "dtend" in event:
        return max(1, (_as_date(event.decoded("dtend")) - start).days)
    if "duration" in event:
        duration: timedelta = event.decoded("duration")
        return max(1, duration.days)
    return 1


def _occurrences(event: Any, start: date, first: date, last: date) -> Iterable[date]:
    """Return the dates on which an event begins: its own, its repetitions up to ``last``, its extra dates."""
    dates = {start}
    if "rrule" in event:
        rules = event["rrule"]
        for rule in rules if isinstance(rules, list) else [rules]:
            text = rule.to_ical().decode()
            repeated = rrulestr(text, dtstart=_midnight(start), ignoretz=True)
            dates.update(moment.date() for moment in repeated.between(_midnight(first), _midnight(last), inc=True))
    dates.update(_listed(event, "rdate"))
    return sorted(dates.difference(_listed(event, "exdate")))


def _listed(event: Any, name: str) -> Iterator[date]:
    if name in event:
        lists = event[name]
        for listed in lists if isinstance(lists, list) else [lists]:
            for moment in listed.dts:
                yield _as_date(moment.dt)


def _as_date(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _midnight(day: date) -> datetime:
    # Dates repeat in no time zone: dateutil wants naive datetimes for them.
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001
