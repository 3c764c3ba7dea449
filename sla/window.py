"""Windows of event time: where the current window of an objective begins and ends."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sla.contract import Period, Window
from sla.units import DAY_MS, EpochMs, datetime_of, ms_of

_NOMINAL_DAYS: Final = {Period.WEEK: 7, Period.MONTH: 30, Period.QUARTER: 91, Period.YEAR: 365}


class Span(NamedTuple):
    """A half-open span of event time, ``[start, end)``, UTC epoch ms."""

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is; a period in which clocks change is an hour shorter or longer."""
        return self.end_ms - self.start_ms


def window_start(window: Window, now_ms: int) -> EpochMs:
    """Return the first instant of the window that is current at ``now_ms``.

    Rolling windows are half-open, ``[now - w, now)``. Calendar periods begin at local midnight of their first day in
    the window's time zone (weeks on Monday); where a clock change swallows that midnight, at the first instant after.
    """
    return EpochMs(window_span(window, now_ms).start_ms)


def window_span(window: Window, now_ms: int) -> Span:
    """Return the window that is current at ``now_ms``: rolling ``[now - w, now)``, or the whole running period.

    The end of a calendar period lies ahead of now: it is the first instant of the next one.
    """
    if window.rolling_ms is not None:
        return Span(now_ms - window.rolling_ms, now_ms)
    if window.period is None:
        raise ValueError("a window is rolling or has a period")
    zone = _zone_of(window.timezone)
    day = datetime_of(now_ms).astimezone(zone).date()
    return _period_of(window.period, window.timezone, day)


@lru_cache(maxsize=64)
def _zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=4096)
def _period_of(period: Period, timezone: str, day: date) -> Span:
    zone = _zone_of(timezone)
    match period:
        case Period.WEEK:
            first = day - timedelta(days=day.weekday())
            following = first + timedelta(days=7)
        case Period.MONTH:
            first, following = _months_from(day.year, day.month, 1)
        case Period.QUARTER:
            first, following = _months_from(day.year, 3 * ((day.month - 1) // 3) + 1, 3)
        case Period.YEAR:
            first, following = _months_from(day.year, 1, 12)
    return Span(_midnight(first, zone), _midnight(following, zone))


def _months_from(year: int, month: int, count: int) -> tuple[date, date]:
    years, index = divmod(month - 1 + count, 12)
    return date(year, month, 1), date(year + years, index + 1, 1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    # fold=0: of an ambiguous midnight the first; of a missing one zoneinfo gives the instant of the jump.
    return ms_of(datetime(day.year, day.month, day.day, tzinfo=zone))


def nominal_length_ms(window: Window) -> int:
    """Return how long a window is, of a calendar period about: for what must be said before any of them begins."""
    if window.rolling_ms is not None:
        return window.rolling_ms
    if window.period is None:
        raise ValueError("a window is rolling or has a period")
    return _NOMINAL_DAYS[window.period] * DAY_MS


def window_name(window: Window) -> str:
    """Return a short name of a window for labels: ``30d``, ``month``."""
    if window.rolling_ms is None:
        return window.period.value if window.period else ""
    minutes, rest = divmod(window.rolling_ms, 60_000)
    if rest:
        return f"{window.rolling_ms}ms"
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes % size == 0:
            return f"{minutes // size}{unit}"
    return f"{minutes}m"
