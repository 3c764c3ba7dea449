"""How people write targets, lead times and objective windows: ``4bh``, ``1h30m``, ``2bd eod``, ``30d``, ``1 month``.

Units say what they count: ``bh bm bs`` are business hours, minutes and seconds on the target's calendar, ``bd``
business days, ``w d h m s`` elapsed time. Numbers may have decimals and are read exactly.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from fractions import Fraction
from typing import Final

from sla.contract import BusinessDays, Period, TicketDate, TimeBase, Window, Within
from sla.errors import UnitError
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, DurationMs
from sla.zones import CivilZone

WEEK_MS: Final = 7 * DAY_MS

MAX_DURATION_MS: Final = 3_653 * DAY_MS
"""Ten years: a longer duration is a slip of the pen, and deadlines must stay within what calendars cover."""

MAX_BUSINESS_DAYS: Final = 2_600
"""As much: ten years of working days."""

CLOSE_OF_BUSINESS: Final = "close_of_business"
"""What people write for the end of a business day."""

_ELAPSED_UNITS: Final = {"w": WEEK_MS, "d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS}
_BUSINESS_UNITS: Final = {"bh": HOUR_MS, "bm": MINUTE_MS, "bs": SECOND_MS}

# What people write instead of the units, for suggestions only: an agreement has one spelling.
_OTHER_SPELLINGS: Final = {
    "w": ("week", "weeks", "wk", "wks"),
    "d": ("day", "days"),
    "h": ("hour", "hours", "hr", "hrs", "std"),
    "m": ("minute", "minutes", "min", "mins"),
    "s": ("second", "seconds", "sec", "secs"),
    "bh": ("businesshour", "businesshours", "bhr", "bhrs", "bhour", "bhours", "wh", "hb"),
    "bm": ("businessminute", "businessminutes", "bmin", "bmins", "bminute", "bminutes", "mb"),
    "bs": ("businesssecond", "businessseconds", "bsec", "bsecs", "sb"),
}
_UNIT_OF_SPELLING: Final = {other: unit for unit, others in _OTHER_SPELLINGS.items() for other in (unit, *others)}
_BUSINESS_DAYS: Final = ("bd", "bds", "bday", "bdays", "businessday", "businessdays", "wd", "bw")
_NO_FIXED_LENGTH: Final = ("mo", "month", "months", "q", "quarter", "quarters", "y", "yr", "year", "years")
_MILLISECONDS: Final = ("ms", "msec", "millisecond", "milliseconds")

# A number that is malformed (1.2.3) must not be read as two parts.
_PART = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[^\W\d_]+)\s*")
_CALENDAR_WINDOW = re.compile(r"\s*(?P<count>[0-9]+)?\s*(?P<period>[^\W\d_]+?)(?P<plural>s?)\s*", re.IGNORECASE)
_NEGATIVE = re.compile(r"\s*[-−]")
_HOW_TO: Final = "write 4bh or 30bm for business time, 2bd for business days, 24h, 1h30m or 2d for elapsed time"

_DAYS = re.compile(r"\s*(?:(?P<days>[0-9]+)\s*bd)?\s*(?P<end>eod)?\s*")
_DATE = re.compile(r"\s*by\s+(?P<field>\S+)(?:\s+at\s+(?P<at>\S+))?\s*")
_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})")


def parse_within(text: str) -> Within:
    """Parse how long a clock may run.

    Parameters
    ----------
    text : str
        Parts of a number and a unit, each unit once: ``4bh``, ``4bh30bm``, ``1h30m``, ``1.5h``. Zero is due at once.
        Or business days: ``2bd`` (the same local time two business days later), ``2bd eod`` (close of that day),
        ``eod`` (close of the day it starts on). Or a date of the ticket: ``by last_day``, ``by last_day at 17:00``.

    Returns
    -------
    Within
        Whole milliseconds, and whether they count business or elapsed time; or the rule for the deadline.

    Raises
    ------
    UnitError
        If the text is none of these, is negative, mixes business and elapsed time, is finer than a millisecond, or is
        longer than 10 years.

    Examples
    --------
    >>> parse_within("4bh30bm")
    Within(duration_ms=16200000, base=<TimeBase.BUSINESS: 'business'>, rule=None)
    >>> parse_within("1.5h")
    Within(duration_ms=5400000, base=<TimeBase.ELAPSED: 'elapsed'>, rule=None)
    >>> parse_within("2bd eod").rule
    BusinessDays(days=2, end_of_day=True)
    """
    if match := _DATE.fullmatch(text):
        rule = TicketDate(match["field"], _minute_of(text, match["at"] or CLOSE_OF_BUSINESS))
        return Within(0, TimeBase.BUSINESS, rule)
    words = re.findall(r"[^\W\d_]+", text.lower())
    if "eod" in words or any(word in _BUSINESS_DAYS for word in words):
        return Within(0, TimeBase.BUSINESS, _business_days(text))
    return _duration(text)


def parse_lead(text: str, base: TimeBase) -> DurationMs:
    """Parse a lead time before the deadline of a target: ``30bm`` or ``1bh`` in business time, ``30m`` in elapsed time.

    Parameters
    ----------
    text : str
        Parts as in :func:`parse_within`.
    base : TimeBase
        What the target counts: the lead time counts the same.

    Raises
    ------
    UnitError
        If the text is no duration, is zero or counts something else than the target.
    """
    lead = _duration(text)
    if lead.duration_ms == 0:
        raise UnitError(f"{text!r} is no lead time: at the deadline it is a breach")
    if lead.base is not base:
        hint = "write it in business time, such as 30bm" if base is TimeBase.BUSINESS else "write it like 30m"
        raise UnitError(f"{text!r} counts {lead.base.value} time and the target {base.value} time: {hint}")
    return DurationMs(lead.duration_ms)


def format_within(within: Within) -> str:
    """Render how long a clock may run: ``4bh``, ``1d``, ``2bd eod``, ``by last_day at 17:00``.

    Returns
    -------
    str
        What :func:`parse_within` reads back.
    """
    rule = within.rule
    if rule is None:
        return format_duration(within.duration_ms, within.base is TimeBase.BUSINESS)
    if isinstance(rule, BusinessDays):
        if rule.end_of_day:
            return f"{rule.days}bd eod" if rule.days else "eod"
        return f"{rule.days}bd"
    if rule.at_minute is None:
        return f"by {rule.field} at {CLOSE_OF_BUSINESS}"
    hour, minute = divmod(rule.at_minute, 60)
    return f"by {rule.field} at {hour:02d}:{minute:02d}"


def _duration(text: str) -> Within:
    parts = _parts_of(text)
    business = any(unit in _BUSINESS_UNITS for _, unit in parts)
    if business and any(unit in _ELAPSED_UNITS for _, unit in parts):
        raise UnitError(f"{text!r} mixes business and elapsed time: {_HOW_TO}")
    units = _BUSINESS_UNITS if business else _ELAPSED_UNITS
    return Within(_sum_of(text, parts, units), TimeBase.BUSINESS if business else TimeBase.ELAPSED)


def _business_days(text: str) -> BusinessDays:
    match = _DAYS.fullmatch(text)
    if match is None or not match.group().strip():
        if _NEGATIVE.match(text):
            raise UnitError(f"{text!r} is negative: a duration is zero or more")
        raise UnitError(
            f"{text!r}: business days are whole and stand alone: write 2bd (the same time two business days later), "
            "2bd eod (close of that day), eod (close of this one), or business hours such as 12bh"
        )
    days = int(match["days"] or 0)
    if days > MAX_BUSINESS_DAYS:
        raise UnitError(f"{text!r} is longer than 10 years")
    return BusinessDays(days, end_of_day=match["end"] is not None)


def _minute_of(text: str, at: str) -> int | None:
    """Return the local minute at which a date is due, None at close of business."""
    if at == CLOSE_OF_BUSINESS:
        return None
    match = _TIME_OF_DAY.fullmatch(at)
    if match is not None:
        hour, minute = map(int, match.groups())
        if minute < 60 and hour * 60 + minute <= 24 * 60:
            return hour * 60 + minute
    raise UnitError(f"{text!r}: {at!r} is no time of day: write {CLOSE_OF_BUSINESS} or a local time such as 17:00")


def parse_window(text: str, timezone: str = "UTC") -> Window:
    """Parse over what an objective is measured.

    Parameters
    ----------
    text : str
        ``30d``, ``4w``, ``12h``: rolling, in elapsed time; ``1 week``, ``1 month``, ``1 quarter``, ``1 year``:
        calendar periods.
    timezone : str
        IANA name of the zone whose midnight begins a calendar period.

    Returns
    -------
    Window

    Raises
    ------
    UnitError
        If the text is no window: empty, in business time, several periods, or no whole number of minutes (objectives
        are measured by the minute).
    CalendarError
        If the time zone is unknown; the message suggests a name.
    """
    CivilZone(timezone)  # refuses an unknown one
    match = _CALENDAR_WINDOW.fullmatch(text)
    periods = {period.value: period for period in Period}
    if match and (period := periods.get(match["period"].lower())):
        if match["count"] != "1" or match["plural"]:
            raise UnitError(
                f"{text!r}: a calendar window is one period: write '1 {period.value}', or 90d for a rolling one"
            )
        return Window(rolling_ms=None, period=period, timezone=timezone)
    if match and (close := get_close_matches(match["period"].lower(), periods, n=1, cutoff=0.7)):
        raise UnitError(f"{text!r} is no window: did you mean '1 {close[0]}'?")
    how_to = "write 30d, 4w or 12h (rolling), or 1 week, 1 month, 1 quarter or 1 year (calendar)"
    parts = _parts_of(text, how_to)
    if any(unit in _BUSINESS_UNITS or unit in _BUSINESS_DAYS for _, unit in parts):
        raise UnitError(f"{text!r}: objectives are measured over elapsed time: {how_to}")
    rolling_ms = _sum_of(text, parts, _ELAPSED_UNITS)
    if rolling_ms == 0:
        raise UnitError(f"{text!r} is no time at all: {how_to}")
    if rolling_ms % MINUTE_MS:
        raise UnitError(f"{text!r}: objectives are measured by the minute: write whole minutes")
    return Window(rolling_ms=rolling_ms, period=None, timezone=timezone)


def format_duration(duration_ms: int, business: bool) -> str:
    """Render a duration for people: ``4bh``, ``1h30m``, ``2d``; exact, to the millisecond.

    Parameters
    ----------
    duration_ms : int
        May be negative (overdue): then a minus stands in front.
    business : bool
        Whether it is business time, which is counted in hours: the length of a business day is the calendar's.

    Returns
    -------
    str
        What :func:`parse_within` reads back, if not negative and not above 10 years.
    """
    rest_ms = abs(duration_ms)
    units = _BUSINESS_UNITS if business else _ELAPSED_UNITS
    parts: list[str] = []
    for unit, unit_ms in units.items():
        if unit == "w":
            continue  # 30d is read more easily than 4w2d
        if unit_ms == SECOND_MS:
            seconds, milliseconds = divmod(rest_ms, SECOND_MS)
            fraction = f".{milliseconds:03d}".rstrip("0") if milliseconds else ""
            if rest_ms or not parts:
                parts.append(f"{seconds}{fraction}{unit}")
            continue
        count, rest_ms = divmod(rest_ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if duration_ms < 0 else "") + "".join(parts)


def _parts_of(text: str, how_to: str = _HOW_TO) -> list[tuple[Fraction, str]]:
    """Split a duration into numbers and units, known or not."""
    if _NEGATIVE.match(text):
        raise UnitError(f"{text!r} is negative: a duration is zero or more")
    parts = []
    position = 0
    while position < len(text) and (match := _PART.match(text, position)):
        parts.append((Fraction(match["number"]), match["unit"]))
        position = match.end()
    if not parts or position < len(text):
        bare_number = re.fullmatch(r"\s*[0-9]+(?:\.[0-9]+)?\s*", text)
        raise UnitError(f"{text!r} {'has no unit' if bare_number else 'is no duration'}: {how_to}")
    return parts


def _sum_of(text: str, parts: list[tuple[Fraction, str]], units: dict[str, int]) -> DurationMs:
    total_ms = Fraction(0)
    seen = set()
    for number, unit in parts:
        if unit not in units:
            raise UnitError(f"{text!r}: unknown unit {unit!r}{_suggestion(unit)}")
        if unit in seen:
            raise UnitError(f"{text!r}: the unit {unit!r} stands there twice")
        seen.add(unit)
        total_ms += number * units[unit]
    if total_ms.denominator != 1:
        raise UnitError(f"{text!r} is finer than a millisecond")
    if total_ms > MAX_DURATION_MS:
        raise UnitError(f"{text!r} is longer than 10 years")
    return DurationMs(total_ms.numerator)


def _suggestion(unit: str) -> str:
    if unit == "M" or unit.lower() in _NO_FIXED_LENGTH:
        return ": months, quarters and years have no fixed length: write days, such as 30d"
    if unit.lower() in _MILLISECONDS:
        return ": write seconds with decimals, such as 0.5s"
    close = get_close_matches(unit.lower(), _UNIT_OF_SPELLING, n=1, cutoff=0.6)
    if close:
        return f": did you mean {_UNIT_OF_SPELLING[close[0]]!r}?"
    return f": {_HOW_TO}"
