"""Business hours and holidays as they are written down: a week of windows, closed dates, a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from sla.errors import CalendarError
from sla.zones import CivilZone

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Names of the days of :attr:`CalendarSpec.weekly`, in order."""

Minutes = tuple[int, int]
"""Opening and closing minute of the local day."""

DAY_MINUTES: Final = 1440

NO_HOURS: Final[tuple[tuple[Minutes, ...], ...]] = ((),) * 7
"""The week of a calendar that is made of others: it has no hours of its own."""

_WEEK_MINUTES: Final = 7 * DAY_MINUTES
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})")


class Combination(StrEnum):
    """How a calendar is made of others."""

    INTERSECTION = "intersection"
    """Open when all of them are: the hours of an OLA inside those of the SLA it supports."""
    UNION = "union"
    """Open when any of them is: two shifts, or teams that follow the sun."""
    SUCCESSION = "succession"
    """Open when the one in force is: revisions of one calendar, each until the next one takes effect."""


@dataclass(frozen=True, slots=True)
class CalendarSpec:
    """A business calendar as it is written down: with hours of its own, or made of others.

    Attributes
    ----------
    id : str
    timezone : str
        IANA name.
    weekly : tuple of 7 tuples of (open_minute, close_minute)
        Windows of Monday to Sunday in local minutes of the day, see :func:`parse_hours`. ``0 <= open < 1440``,
        ``open < close <= 2880``; a close beyond 1440 runs over midnight: 22:00-06:00 is (1320, 1800).
    closed_dates : frozenset of date
        Holidays by date.
    closed_yearly : frozenset of (month, day)
        Holidays of every year; (2, 29) applies in leap years.
    combination : Combination or None
        How it is made of ``parts``; None: it has hours of its own. A combined calendar has neither hours nor holidays
        beside those of its parts (``weekly`` is :data:`NO_HOURS`); its time zone is the one its days are shown in.
    parts : tuple of CalendarSpec
        Two or more if it is combined; they may be combined themselves.
    since : tuple of int
        Of a succession: the instants (UTC epoch ms, ascending) from which each part but the first one counts.
    """

    id: str
    timezone: str
    weekly: tuple[tuple[Minutes, ...], ...]
    closed_dates: frozenset[date] = field(default=frozenset())
    closed_yearly: frozenset[tuple[int, int]] = field(default=frozenset())
    combination: Combination | None = None
    parts: tuple[CalendarSpec, ...] = ()
    since: tuple[int, ...] = ()

    def is_closed(self, day: date) -> bool:
        """Tell whether a civil date is a holiday of this calendar itself (not of one it is made of)."""
        return day in self.closed_dates or (day.month, day.day) in self.closed_yearly


def parse_hours(text: str) -> Minutes:
    """Parse hours of a day into (open_minute, close_minute).

    Returns
    -------
    tuple of int
        Local minutes of the day; a close beyond 1440 runs over midnight.

    Raises
    ------
    CalendarError
        If the text is no such window; the message says how to write it.

    Examples
    --------
    >>> parse_hours("08:00-17:00"), parse_hours("22:00-06:00"), parse_hours("00:00-24:00")
    ((480, 1020), (1320, 1800), (0, 1440))
    """
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise CalendarError(f"{text!r} are no hours: write 08:00-17:00, or 22:00-06:00 for a window over midnight")
    open_hour, open_minute, close_hour, close_minute = map(int, match.groups())
    opens, closes = open_hour * 60 + open_minute, close_hour * 60 + close_minute
    if open_minute > 59 or close_minute > 59 or opens > DAY_MINUTES or closes > DAY_MINUTES:
        raise CalendarError(f"{text!r} are no hours: times of a day run from 00:00 to 24:00")
    if opens == DAY_MINUTES:
        raise CalendarError(f"{text!r}: a window can't open at 24:00: write 00:00 on the next day")
    if opens == closes:
        raise CalendarError(
            f"{text!r} opens and closes at one time: write 00:00-24:00 for a whole day, or leave it out"
        )
    return opens, closes if closes > opens else closes + DAY_MINUTES


def format_hours(open_minute: int, close_minute: int) -> str:
    """Render a window as people write it, the inverse of :func:`parse_hours`."""
    # A window longer than a day can't be written so; its closing is then shown as 30:00.
    if DAY_MINUTES < close_minute < open_minute + DAY_MINUTES:
        close_minute -= DAY_MINUTES
    return f"{open_minute // 60:02d}:{open_minute % 60:02d}-{close_minute // 60:02d}:{close_minute % 60:02d}"


def faults_of(spec: CalendarSpec) -> list[str]:
    """Return every fault of a specification, in words, each naming its place; empty if it can be compiled.

    That a calendar never opens is found by :class:`Calendar` only.
    """
    faults = []
    try:
        CivilZone(spec.timezone)
    except CalendarError as error:
        faults.append(str(error))
    if spec.combination is not None:
        faults.extend(_faults_of_combination(spec))
    elif spec.parts:
        faults.append("it has parts, and nothing says how they are combined")
    if len(spec.weekly) != len(WEEKDAYS):
        faults.append(f"a week has 7 days, from Monday to Sunday, not {len(spec.weekly)}")
        return faults
    placed = []
    for number, (name, windows) in enumerate(zip(WEEKDAYS, spec.weekly, strict=True)):
        for opens, closes in windows:
            if 0 <= opens < DAY_MINUTES and opens < closes <= 2 * DAY_MINUTES:
                start = number * DAY_MINUTES
                placed.append((start + opens, start + closes, f"{name} {format_hours(opens, closes)}"))
            else:
                faults.append(
                    f"{name}: minutes ({opens}, {closes}) are no window: 0 <= open < 1440, open < close <= 2880"
                )
    placed.sort()
    for n, (_, closes, name) in enumerate(placed):
        for other_opens, _, other in placed[n + 1 :]:
            if other_opens < closes:
                faults.append(f"{name} overlaps {other}")
        # Sunday night runs into Monday.
        faults.extend(f"{name} overlaps {other}" for opens, _, other in placed[:n] if opens + _WEEK_MINUTES < closes)
    for month, day in sorted(spec.closed_yearly):
        try:
            date(2000, month, day)  # a leap year: 29 February is a holiday of leap years
        except ValueError:
            faults.append(f"holiday {month:02d}-{day:02d} is no day of the year")
    return faults


def _faults_of_combination(spec: CalendarSpec) -> list[str]:
    faults = []
    if len(spec.parts) < 2:
        faults.append(f"{_a(spec.combination)} needs two calendars or more")
    if any(spec.weekly) or spec.closed_dates or spec.closed_yearly:
        faults.append(f"{_a(spec.combination)} has no hours and holidays of its own")
    wanted = len(spec.parts) - 1 if spec.combination is Combination.SUCCESSION else 0
    if len(spec.since) != wanted or list(spec.since) != sorted(set(spec.since)):
        faults.append(f"{_a(spec.combination)} of {len(spec.parts)} needs {wanted} instants, ascending")
    faults.extend(f"{part.id}: {fault}" for part in spec.parts for fault in faults_of(part))
    return faults


def _a(combination: Combination | None) -> str:
    return "an intersection" if combination is Combination.INTERSECTION else f"a {combination}"


def windows_by_civil_date(weekly: tuple[tuple[Minutes, ...], ...]) -> tuple[tuple[Minutes, ...], ...]:
    """Split windows at midnight and join those that touch: windows of each weekday within 0..1440."""
    split: list[list[Minutes]] = [[] for _ in WEEKDAYS]
    for number, windows in enumerate(weekly):
        for opens, closes in windows:
            split[number].append((opens, min(closes, DAY_MINUTES)))
            if closes > DAY_MINUTES:
                split[(number + 1) % 7].append((0, closes - DAY_MINUTES))
    joined: list[tuple[Minutes, ...]] = []
    for parts in split:
        day: list[Minutes] = []
        for opens, closes in sorted(parts):
            if day and opens == day[-1][1]:
                day[-1] = (day[-1][0], closes)
            else:
                day.append((opens, closes))
        joined.append(tuple(day))
    return tuple(joined)
