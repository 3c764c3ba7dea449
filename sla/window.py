"""Windows of event time: where the current window of an objective begins."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sla.contract import Period, Window
from sla.units import EpochMs, datetime_of, ms_of


def window_start(window: Window, now_ms: int) -> EpochMs:
    """Return the first instant of the window that is current at ``now_ms``.

    Rolling windows are half-open, ``[now - w, now)``. Calendar periods begin at local midnight of their first day in
    the window's time zone (weeks on Monday); where a clock change swallows that midnight, at the first instant after.
    """
    if window.rolling_ms is not None:
        return EpochMs(now_ms - window.rolling_ms)
    zone = ZoneInfo(window.timezone)
    local = datetime_of(now_ms).astimezone(zone)
    match window.period:
        case Period.WEEK:
            first = (local - timedelta(days=local.weekday())).date()
        case Period.MONTH:
            first = local.date().replace(day=1)
        case Period.QUARTER:
            first = local.date().replace(month=3 * ((local.month - 1) // 3) + 1, day=1)
        case Period.YEAR:
            first = local.date().replace(month=1, day=1)
        case None:
            raise ValueError("a window is rolling or has a period")
    # fold=0: of an ambiguous midnight the first; of a missing one zoneinfo gives the instant of the jump.
    return ms_of(datetime(first.year, first.month, first.day, tzinfo=zone))


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
