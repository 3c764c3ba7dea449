"""Units of the domain: instants, durations and ratios, and how people write them.

Everything inside is an integer number of milliseconds since the Unix epoch in UTC (instants) or an integer
number of milliseconds (durations). Ratios are floats in 0..1, never percent. Rounding is for display only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final, NewType

from sla.errors import UnitError

EpochMs = NewType("EpochMs", int)
"""An instant: integer milliseconds since 1970-01-01T00:00:00Z."""

DurationMs = NewType("DurationMs", int)
"""A length of time in integer milliseconds; elapsed or business time, as the name that holds it says."""

Ratio = NewType("Ratio", float)
"""A share in 0..1 (error budgets may leave that range: they are signed)."""

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

NEVER = EpochMs(2**62)
"""The instant after every other: a column entry that nothing will ever reach."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - for rendering only
_PERCENT = re.compile(r"^\s*(\d{1,3}(?:\.\d{1,12})?)\s*%\s*$")
_SHARE = re.compile(r"^\s*([01](?:\.\d{1,14})?)\s*$")


def ms_of(instant: datetime) -> EpochMs:
    """Return the instant of an aware datetime, rounded down to the millisecond.

    Raises
    ------
    UnitError
        If the datetime has no time zone: a local time is not an instant.
    """
    if instant.tzinfo is None:
        raise UnitError(f"{instant.isoformat()} has no time zone: write Z or an offset such as +02:00")
    delta = instant - _EPOCH
    return EpochMs(delta.days * DAY_MS + delta.seconds * 1000 + delta.microseconds // 1000)


def datetime_of(instant_ms: int) -> datetime:
    """Return the aware UTC datetime of an instant; exact (no float in between)."""
    return _EPOCH + timedelta(milliseconds=instant_ms)


def parse_instant(text: str) -> EpochMs:
    """Parse RFC 3339 with a zone into an instant.

    Raises
    ------
    UnitError
        If the text is no RFC 3339 instant or lacks its zone.
    """
    try:
        return ms_of(datetime.fromisoformat(text))
    except UnitError:
        raise  # it is a ValueError too, and says already what is missing
    except ValueError as error:
        raise UnitError(f"{text!r} is no RFC 3339 instant such as 2026-01-31T08:00:00+07:00") from error


@lru_cache(maxsize=10_000)  # a week of minutes: what goes out at one time lies close together
def _minute_text(minute: int) -> str:
    return (_NAIVE_EPOCH + timedelta(minutes=minute)).isoformat(timespec="minutes")


_SECOND_TEXTS: Final = tuple(f":{second:02d}." for second in range(60))
_MILLISECOND_TEXTS: Final = tuple(f"{ms:03d}Z" for ms in range(1000))


def format_instant(instant_ms: int) -> str:
    """Render an instant as RFC 3339 in UTC with milliseconds and ``Z``."""
    # A sixth of the time of isoformat, and a verdict has four instants.
    return (
        _minute_text(instant_ms // 60_000)
        + _SECOND_TEXTS[instant_ms // 1000 % 60]
        + _MILLISECOND_TEXTS[instant_ms % 1000]
    )


def parse_ratio(text: str | float) -> Fraction:
    """Parse ``99.9%`` or ``0.999`` into an exact fraction.

    Fractions keep 99.9 % exact: budgets are compared, so 0.1 % of 1000 must be 1 and not 1.0000000000000009.

    Raises
    ------
    UnitError
        If the text is neither a percentage nor a number in 0..1.
    """
    if isinstance(text, str) and (match := _PERCENT.match(text)):
        ratio = Fraction(match.group(1)) / 100
    elif match := _SHARE.match(str(text)):
        ratio = Fraction(match.group(1))
    else:
        # Fraction() itself would also take 1/3 and 1e999999999, and compute the latter.
        raise UnitError(f"{text!r} is no share: write 95% or 0.95")
    if not 0 <= ratio <= 1:
        raise UnitError(f"{text!r} is outside 0..100 %: write 95% or 0.95")
    return ratio
