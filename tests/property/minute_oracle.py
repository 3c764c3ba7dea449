"""A slow oracle of business time: it looks at what clocks show in every minute of some days, and counts.

It shares no code with the calendars it judges: only :mod:`datetime` and :mod:`zoneinfo`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from zoneinfo import ZoneInfo

from sla.calendar_spec import CalendarSpec

DAYS = 9
MINUTES = DAYS * 1440
# Nothing is asked about the outer days: the oracle can't know windows that begin before its first minute.
FIRST, LAST = 1440 + 1, MINUTES - 1440 - 1


def start_of(first_day: date) -> datetime:
    """Return the instant of minute 0."""
    return datetime.combine(first_day - timedelta(days=1), time(), UTC)


class Shown:
    """What the zone's clocks show at every UTC minute from the day before ``first_day``."""

    def __init__(self, zone: str, first_day: date) -> None:
        tz, start = ZoneInfo(zone), start_of(first_day)
        instants = [start + timedelta(minutes=n) for n in range(MINUTES)]
        self.local = [instant.astimezone(tz).replace(tzinfo=None, fold=0) for instant in instants]
        self.first: dict[datetime, int] = {}
        self.last: dict[datetime, int] = {}
        self.of_date: dict[date, list[int]] = defaultdict(list)
        for n, local in enumerate(self.local):
            self.first.setdefault(local, n)
            self.last[local] = n
            self.of_date[local.date()].append(n)
        first, last = min(self.of_date), max(self.of_date)
        self.dates = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        """Skipped dates included."""

    def first_after(self, local: datetime) -> int:
        return next((n for n, shown in enumerate(self.local) if shown > local), MINUTES)


shown_in = cache(Shown)
"""What a zone's clocks show in the days from a date on: looked up once."""


class Counted:
    """Minutes that count, and what follows from counting them.

    Attributes
    ----------
    opened : bytes
        Of every minute: 1 if it counts.
    worked : list of int
        Minutes that count before each minute.
    """

    def __init__(self, opened: bytes) -> None:
        assert len(opened) == MINUTES
        self.opened = opened
        self.worked = [0, *accumulate(opened)]

    def __and__(self, other: Counted) -> Counted:
        return Counted(bytes(a & b for a, b in zip(self.opened, other.opened, strict=True)))

    def __or__(self, other: Counted) -> Counted:
        return Counted(bytes(a | b for a, b in zip(self.opened, other.opened, strict=True)))

    def without(self, pauses: Iterable[tuple[int, int]]) -> Counted:
        """Return what counts outside of pauses, intervals of minutes."""
        running = bytearray(self.opened)
        for begin, end in pauses:
            for n in range(max(begin, 0), min(end, MINUTES)):
                running[n] = 0
        return Counted(bytes(running))

    def used_up(self, start: int, minutes: int) -> int:
        """Return the first minute by which so many minutes have been worked."""
        return next(n for n in range(start, MINUTES) if self.worked[n] - self.worked[start] == minutes)

    def next_open(self, start: int) -> int | None:
        """Return the first open minute from ``start``, if there is one in the inner days."""
        return next((n for n in range(start, LAST) if self.opened[n]), None)


ALWAYS = Counted(bytes([1]) * MINUTES)
"""All time counts."""


class Oracle(Counted):
    """Business time by looking at every minute of a week, with what clocks show as its only knowledge of zones.

    The rules, said anew in terms of what clocks show:

    - a window of a civil date opens when clocks first show its opening (or, if they never do, when they first show
      something later) and closes when they last show its closing (or, if never, at that same first moment);
    - a window up to 24:00 closes after the last minute that shows its date;
    - hours after midnight belong to the next civil date;
    - no minute that shows a holiday's date is open.
    """

    def __init__(self, spec: CalendarSpec, shown: Shown) -> None:
        self.spec, self.shown = spec, shown
        opened = bytearray(MINUTES)
        for day in self.shown.dates:
            for opens, closes in self._hours_on(day):
                for n in range(self._opening(day, opens), self._closing(day, closes)):
                    opened[n] = 1
        for day in filter(self._is_holiday, self.shown.dates):
            for n in self.shown.of_date.get(day, ()):
                opened[n] = 0
        super().__init__(bytes(opened))

    def _is_holiday(self, day: date) -> bool:
        return day in self.spec.closed_dates or (day.month, day.day) in self.spec.closed_yearly

    def _hours_on(self, day: date) -> list[tuple[int, int]]:
        if self._is_holiday(day):
            return []
        own = [(opens, min(closes, 1440)) for opens, closes in self.spec.weekly[day.weekday()]]
        night = [(0, closes - 1440) for _, closes in self.spec.weekly[day.weekday() - 1] if closes > 1440]
        return own + night

    def _opening(self, day: date, minute: int) -> int:
        local = datetime.combine(day, time()) + timedelta(minutes=minute)
        return self.shown.first[local] if local in self.shown.first else self.shown.first_after(local)

    def _closing(self, day: date, minute: int) -> int:
        if minute == 1440:
            return max(self.shown.of_date.get(day, ()), default=-1) + 1
        local = datetime.combine(day, time()) + timedelta(minutes=minute)
        return self.shown.last[local] if local in self.shown.last else self.shown.first_after(local)
