"""Business calendars: worked time between two instants, and its inverse, the deadline.

``W(t)`` is the time worked before ``t``. It is piecewise linear, so prefix sums over the compiled windows and a bisect
answer every question at any distance: ``worked_between(a, b) = W(b) - W(a)``, ``deadline(s, x) = W^-1(W(s) + x)``.

Rules
-----
- Hours count *elapsed* time: a night shift over the change to summer time is an hour shorter.
- Windows are half-open ``[open, close)``; one that runs over midnight is a window of each civil date it touches.
- A holiday closes its civil date from 00:00 to 24:00 local time, so it cuts the part of a night window in that date.
- 24:00 is the end of the civil date, the start of the next one.
- A bound at a local time that does not exist moves to the first instant that does; a window without any existing
  instant is dropped. At a local time that happens twice, a window opens at the first and closes at the second.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

from typing_extensions import override

from sla.calendar_spec import (
    DAY_MINUTES,
    WEEKDAYS,
    CalendarSpec,
    Combination,
    Minutes,
    faults_of,
    format_hours,
    parse_hours,
    windows_by_civil_date,
)
from sla.contract import DeadlineAt
from sla.errors import CalendarError, EmptyCalendarError
from sla.units import DAY_MS, MINUTE_MS, EpochMs, datetime_of, format_instant, ms_of
from sla.window_sets import intersection_of, union_of
from sla.zones import CivilZone

__all__ = [
    "EARLIEST_MS",
    "LATEST_MS",
    "WEEKDAYS",
    "Calendar",
    "CalendarSpec",
    "ElapsedCalendar",
    "WorkCalendar",
    "faults_of",
    "format_hours",
    "parse_hours",
]

_FIRST_YEAR: Final = 1900
_END_YEAR: Final = 2400

EARLIEST_MS: Final = ms_of(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC))
"""The first instant calendars cover. One unset date of a publisher (year 1) must not cost 2,000 compiled years."""

LATEST_MS: Final = ms_of(datetime(_END_YEAR, 1, 1, tzinfo=UTC))
"""The end (exclusive) of what calendars cover."""

# Around New Year an offset change can make windows of the two years overlap: answers are given only where both are
# compiled. No zone ever changed by more than a day.
_MARGIN_MS: Final = 2 * DAY_MS
# The Gregorian calendar repeats after 400 years, weekdays included: what did not open in them never will.
_PROBED_YEARS: Final = range(2000, 2400)


class WorkCalendar(Protocol):
    """What counts as worked time. All instants are UTC epoch ms, all durations ms of this calendar."""

    @property
    def id(self) -> str:
        """Id of the calendar."""
        ...

    def worked_before(self, instant_ms: int) -> int:
        """Return W(t): the time worked from an arbitrary origin, fixed for the life of the object, to the instant."""
        ...

    def worked_between(self, from_ms: int, until_ms: int) -> int:
        """Return the time worked between two instants; negative if they are in reverse order."""
        ...

    def deadline(self, start_ms: int, business_ms: int, deadline_at: DeadlineAt = DeadlineAt.CLOSE) -> EpochMs:
        """Return the instant at which ``business_ms`` (0 or more) have been worked since the start."""
        ...

    def is_open(self, instant_ms: int) -> bool:
        """Tell whether time counts at the instant; a window is open at its opening and closed at its closing."""
        ...

    def next_open(self, instant_ms: int) -> EpochMs:
        """Return the first open instant at or after an instant."""
        ...

    def windows_between(self, from_ms: int, until_ms: int) -> Iterator[tuple[EpochMs, EpochMs]]:
        """Return the windows (open_ms, close_ms) in ``[from, until)``, clipped, ascending, none touching another."""
        ...

    def zone_at(self, instant_ms: int) -> CivilZone:
        """Return the civil time in which the calendar counts its days at an instant."""
        ...

    @override
    def __hash__(self) -> int:
        """Return the identity of the calendar: answers about it may be remembered."""
        ...


@dataclass(frozen=True, slots=True)
class ElapsedCalendar:
    """All time counts: the calendar of elapsed targets (``24h``)."""

    id: str = "elapsed"

    def worked_before(self, instant_ms: int) -> int:
        """Return the instant itself: W(t) = t."""
        return instant_ms

    def worked_between(self, from_ms: int, until_ms: int) -> int:
        """Return the elapsed time between two instants; negative if they are in reverse order."""
        return until_ms - from_ms

    def deadline(self, start_ms: int, business_ms: int, deadline_at: DeadlineAt = DeadlineAt.CLOSE) -> EpochMs:  # noqa: ARG002
        """Return the instant ``business_ms`` after the start; there is no close of business.

        Raises
        ------
        CalendarError
            If the duration is negative or the deadline leaves the range that datetimes can show.
        """
        _require_not_negative(self.id, business_ms)
        return _covered(self.id, start_ms + business_ms)

    def is_open(self, instant_ms: int) -> bool:  # noqa: ARG002
        """Return True: time always counts."""
        return True

    def next_open(self, instant_ms: int) -> EpochMs:
        """Return the instant itself."""
        return EpochMs(instant_ms)

    def windows_between(self, from_ms: int, until_ms: int) -> Iterator[tuple[EpochMs, EpochMs]]:
        """Return the one window that the interval is, or none if it is empty."""
        if from_ms < until_ms:
            yield EpochMs(from_ms), EpochMs(until_ms)

    def zone_at(self, instant_ms: int) -> CivilZone:  # noqa: ARG002
        """Return UTC: elapsed time has no days of its own."""
        return CivilZone("UTC")


class Calendar:
    """A compiled business calendar.

    Parameters
    ----------
    spec : CalendarSpec

    Raises
    ------
    CalendarError
        If the specification has faults; the message names them all.
    EmptyCalendarError
        If the calendar never opens.

    Notes
    -----
    Windows are compiled by whole years when they are first needed (2 to 5 ms a year) and kept, so an answer never
    depends on what was asked before. All methods raise CalendarError for instants outside ``[EARLIEST_MS, LATEST_MS)``.
    Not thread-safe.
    """

    __slots__ = (
        "_before",
        "_closes",
        "_first_year",
        "_from_ms",
        "_last_year",
        "_opens",
        "_parts",
        "_until_ms",
        "_week",
        "_zone",
        "spec",
    )

    def __init__(self, spec: CalendarSpec) -> None:
        self.spec = spec
        if faults := faults_of(spec):
            raise CalendarError(f"calendar {spec.id!r}: " + "; ".join(faults))
        self._zone = CivilZone(spec.timezone)
        self._week = windows_by_civil_date(spec.weekly)
        self._parts = tuple(map(Calendar, spec.parts))
        self._require_an_opening()
        # Looking for an opening has compiled years of the parts that nobody may ask for.
        self._parts = tuple(map(Calendar, spec.parts))
        # Segment 0 is empty and marks where the compiled range begins: every instant in range has a segment at or
        # before it. `_before[i]` is W(opens[i]).
        self._opens: list[int] = []
        self._closes: list[int] = []
        self._before: list[int] = []
        self._first_year = self._last_year = 0
        self._from_ms = self._until_ms = 0  # nothing is compiled yet

    @property
    def id(self) -> str:
        """Id of the calendar."""
        return self.spec.id

    def worked_before(self, instant_ms: int) -> int:
        """Return the time worked before an instant, W(t).

        Returns
        -------
        int
            Milliseconds since an origin that is arbitrary but fixed for the life of this object: compare values of
            one object only, and don't store them.
        """
        if not self._from_ms <= instant_ms < self._until_ms:
            self._cover(instant_ms)
        i = bisect_right(self._opens, instant_ms) - 1
        close_ms = self._closes[i]
        # The hottest line of the engine: min() costs another 60 ns.
        worked_until_ms = instant_ms if instant_ms < close_ms else close_ms  # noqa: FURB136
        return self._before[i] + worked_until_ms - self._opens[i]

    def worked_between(self, from_ms: int, until_ms: int) -> int:
        """Return the milliseconds worked between two instants; negative if they are in reverse order."""
        return self.worked_before(until_ms) - self.worked_before(from_ms)

    def deadline(self, start_ms: int, business_ms: int, deadline_at: DeadlineAt = DeadlineAt.CLOSE) -> EpochMs:
        """Return the instant at which a target is used up: the inverse of :meth:`worked_between`.

        Parameters
        ----------
        start_ms : int
        business_ms : int
            Working milliseconds, 0 or more. Zero is due at once: at the start, or at the next opening.
        deadline_at : DeadlineAt
            What a target that ends exactly at close of business is due at: that closing instant, the earliest one
            at which the target is used up (CLOSE), or the next opening (NEXT_OPEN).

        Raises
        ------
        CalendarError
            If the duration is negative or the deadline lies outside the range calendars cover.
        EmptyCalendarError
            If the calendar does not open again.
        """
        if business_ms <= 0:
            _require_not_negative(self.id, business_ms)
            return self.next_open(start_ms)
        worked_ms = self.worked_before(start_ms) + business_ms
        while True:
            i = bisect_left(self._before, worked_ms) - 1
            deadline_ms = self._opens[i] + worked_ms - self._before[i]
            if deadline_ms <= self._closes[i] and deadline_ms < self._until_ms:
                break
            _covered(self.id, start_ms + business_ms)  # or later: don't compile centuries to find that out
            self._search_later(start_ms)
        if deadline_at is DeadlineAt.NEXT_OPEN and deadline_ms == self._closes[i]:
            return self.next_open(deadline_ms)
        return EpochMs(deadline_ms)

    def is_open(self, instant_ms: int) -> bool:
        """Tell whether the calendar is open at an instant: from an opening to before its closing."""
        if not self._from_ms <= instant_ms < self._until_ms:
            self._cover(instant_ms)
        return instant_ms < self._closes[bisect_right(self._opens, instant_ms) - 1]

    def next_open(self, instant_ms: int) -> EpochMs:
        """Return the first open instant at or after an instant: itself, or the next opening.

        Raises
        ------
        EmptyCalendarError
            If the calendar does not open again.
        """
        if self.is_open(instant_ms):
            return EpochMs(instant_ms)
        i = bisect_right(self._opens, instant_ms)
        while i >= len(self._opens) or self._opens[i] >= self._until_ms:
            self._search_later(instant_ms)
        return EpochMs(self._opens[i])

    def windows_between(self, from_ms: int, until_ms: int) -> Iterator[tuple[EpochMs, EpochMs]]:
        """Return the windows in ``[from, until)``, clipped to it.

        Returns
        -------
        iterator of (open_ms, close_ms)
            Ascending, none empty; windows that touch are one (a calendar open around the clock has one window).
        """
        if from_ms >= until_ms:
            return iter(())
        self._cover(from_ms)
        self._cover(until_ms)
        i = bisect_right(self._opens, from_ms) - 1
        j = bisect_left(self._opens, until_ms)
        # Slices: the lists may be rebuilt while the caller iterates.
        return (
            (EpochMs(max(open_ms, from_ms)), EpochMs(min(close_ms, until_ms)))
            for open_ms, close_ms in zip(self._opens[i:j], self._closes[i:j], strict=True)
            if close_ms > from_ms
        )

    def zone_at(self, instant_ms: int) -> CivilZone:
        """Return the civil time in which the calendar counts its days at an instant."""
        if self.spec.since:
            return self._parts[bisect_right(self.spec.since, instant_ms)].zone_at(instant_ms)
        return self._zone

    def _require_an_opening(self) -> None:
        if self._parts:
            if not any(True for year in _PROBED_YEARS for _ in self._windows_of(year)):
                parts = " and ".join(repr(part.id) for part in self._parts)
                raise EmptyCalendarError(f"calendar {self.id!r} never opens: {parts} are never open together")
            return
        if not any(self._week):
            raise EmptyCalendarError(f"calendar {self.id!r} never opens: no day of the week has hours")
        leap_year = (date(2000, 1, 1) + timedelta(days=n) for n in range(366))
        if all((day.month, day.day) in self.spec.closed_yearly for day in leap_year):
            raise EmptyCalendarError(f"calendar {self.id!r} never opens: every day of the year is a holiday")
        # Hours that exist only in the missing hour of a DST change pass the checks above.
        if not any(True for year in _PROBED_YEARS for _ in self._windows_of(year)):
            raise EmptyCalendarError(f"calendar {self.id!r} never opens: its hours meet holidays or missing hours only")

    def _cover(self, instant_ms: int) -> None:
        """Compile until an instant is in range."""
        year = datetime_of(_covered(self.id, instant_ms)).year
        if not self._opens:
            self._first_year, self._last_year = year, year - 1
            self._rebuild(())
            self._compile_next_year()
        if instant_ms < self._from_ms:
            # The year before, too: the margin, and local years that begin before or after the UTC year.
            self._compile_from(min(year, self._first_year) - 1)
        while instant_ms >= self._until_ms:
            self._compile_next_year()

    def _search_later(self, start_ms: int) -> None:
        """Compile one more year in search of time to work after ``start_ms``."""
        if self._until_ms == LATEST_MS:
            after = f"calendar {self.id!r}: after {format_instant(start_ms)} and before the year {_END_YEAR}"
            if self._closes[-1] <= start_ms:
                raise EmptyCalendarError(f"{after} it never opens")
            raise CalendarError(f"{after} it does not open for as long as was asked")
        self._compile_next_year()

    def _compile_next_year(self) -> None:
        self._last_year += 1
        for open_ms, close_ms in self._windows_of(self._last_year):
            self._append(open_ms, close_ms)
        self._set_range()

    def _compile_from(self, year: int) -> None:
        """Extend the compiled range back to a year; values of W stay what they were."""
        anchor_ms = self._until_ms - 1
        worked_ms = self.worked_before(anchor_ms)
        windows = [window for earlier in range(year, self._first_year) for window in self._windows_of(earlier)]
        windows.extend(zip(self._opens[1:], self._closes[1:], strict=True))
        self._first_year = year
        self._rebuild(windows)
        self._set_range()
        shift_ms = worked_ms - self.worked_before(anchor_ms)
        self._before = [before_ms + shift_ms for before_ms in self._before]

    def _rebuild(self, windows: Iterable[tuple[int, int]]) -> None:
        start_ms = self._start_of(self._first_year)
        self._opens, self._closes, self._before = [start_ms], [start_ms], [0]
        for open_ms, close_ms in sorted(windows):
            self._append(open_ms, close_ms)

    def _append(self, open_ms: int, close_ms: int) -> None:
        if open_ms <= self._closes[-1] and len(self._opens) > 1:
            self._closes[-1] = max(self._closes[-1], close_ms)
            return
        self._before.append(self._before[-1] + self._closes[-1] - self._opens[-1])
        self._opens.append(open_ms)
        self._closes.append(close_ms)

    def _set_range(self) -> None:
        self._from_ms = max(self._start_of(self._first_year) + _MARGIN_MS, EARLIEST_MS)
        self._until_ms = min(self._start_of(self._last_year + 1) - _MARGIN_MS, LATEST_MS)

    def _start_of(self, year: int) -> int:
        return self._zone.occurrences(date(year, 1, 1), 0)[0]

    def _windows_of(self, year: int) -> Iterator[tuple[int, int]]:
        """Yield the windows of a local year's dates, ascending by opening; they may touch or overlap."""
        if self._parts:
            yield from self._combined_windows(self._start_of(year), self._start_of(year + 1))
            return
        spec, week = self.spec, self._week
        first = date(year, 1, 1).toordinal()
        for ordinal in range(first, date(year, 12, 31).toordinal() + 1):
            windows = week[(ordinal - 1) % 7]  # day 1 of the proleptic calendar is a Monday
            if windows:
                day = date.fromordinal(ordinal)
                if not spec.is_closed(day):
                    yield from self._windows_on(day, windows)

    def _combined_windows(self, from_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
        # No instant from LATEST_MS on can be asked for, so nothing is lost by leaving out the last millisecond.
        from_ms, until_ms = max(from_ms, EARLIEST_MS), min(until_ms, LATEST_MS - 1)
        if self.spec.combination is Combination.SUCCESSION:
            return self._windows_in_succession(from_ms, until_ms)
        windows = [part.windows_between(from_ms, until_ms) for part in self._parts]
        return intersection_of(windows) if self.spec.combination is Combination.INTERSECTION else union_of(windows)

    def _windows_in_succession(self, from_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
        """Yield the windows of each part while it is in force; one that is cut ends or begins at that instant."""
        ends = (*self.spec.since, LATEST_MS)
        for part, since_ms, end_ms in zip(self._parts, (EARLIEST_MS, *self.spec.since), ends, strict=True):
            yield from part.windows_between(max(from_ms, since_ms), min(until_ms, end_ms))

    def _windows_on(self, day: date, windows: tuple[Minutes, ...]) -> Iterator[tuple[int, int]]:
        zone = self._zone
        for open_minute, close_minute in windows:
            open_ms = zone.occurrences(day, open_minute)[0]
            close_ms = zone.end_of(day) if close_minute == DAY_MINUTES else zone.occurrences(day, close_minute)[1]
            if open_ms >= close_ms:
                continue  # swallowed by a gap
            if close_ms - open_ms > (close_minute - open_minute) * MINUTE_MS:
                # Clocks go back inside. If they do so over midnight, the window holds instants of a neighbour date.
                yield from self._without_closed_neighbours(day, open_ms, close_ms)
            else:
                yield open_ms, close_ms

    def _without_closed_neighbours(self, day: date, open_ms: int, close_ms: int) -> Iterator[tuple[int, int]]:
        parts = []
        for neighbour in (day - timedelta(days=1), day + timedelta(days=1)):
            if self.spec.is_closed(neighbour):
                for from_ms, until_ms in self._zone.spans_of(neighbour):
                    if open_ms < until_ms and from_ms < close_ms:
                        parts.append((open_ms, from_ms))
                        open_ms = until_ms
        parts.append((open_ms, close_ms))
        return ((from_ms, until_ms) for from_ms, until_ms in parts if from_ms < until_ms)


def _covered(calendar_id: str, instant_ms: int) -> EpochMs:
    if not EARLIEST_MS <= instant_ms < LATEST_MS:
        raise CalendarError(
            f"calendar {calendar_id!r}: the instant {instant_ms} ms is outside what calendars cover, the years "
            f"{_FIRST_YEAR} to {_END_YEAR - 1}"
        )
    return EpochMs(instant_ms)


def _require_not_negative(calendar_id: str, business_ms: int) -> None:
    if business_ms < 0:
        raise CalendarError(f"calendar {calendar_id!r}: a target can't be negative, but is {business_ms} ms")
