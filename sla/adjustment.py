"""Adjustments: what people agree on afterwards or beforehand about the time of a service, with who, why and when.

An adjustment never changes what was measured. It says how an interval counts, and stays: it can be revoked, not erased,
so that a statement can name everything that moved its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec
from dateutil.rrule import HOURLY, rrule, rrulestr

from sla.errors import UnitError
from sla.units import DAY_MS, SECOND_MS, datetime_of
from sla.zones import CivilZone

_HORIZON: Final = timedelta(days=36_525)

LARGEST_OCCURRENCES: Final = 10_000
"""Most occurrences of a recurring adjustment that are looked at in one interval."""


class AdjustmentKind(StrEnum):
    """What an adjustment is about."""

    MAINTENANCE = "maintenance"
    """Agreed work on a service: the interval is left out of its availability."""
    OUTAGE_CORRECTION = "outage-correction"
    """What was measured is not what happened: the interval counts as ``counts_as`` says."""


class CountsAs(StrEnum):
    """How an interval counts towards availability."""

    UP = "up"
    DOWN = "down"
    EXCLUDED = "excluded"
    """Neither: it is left out, from the good time and from all time."""


class Recurrence(msgspec.Struct, frozen=True, gc=False):
    """When an adjustment happens again: by local time, so that 22:00 stays 22:00 when clocks change.

    Attributes
    ----------
    rule : str
        RRULE of RFC 5545 without DTSTART, such as ``FREQ=WEEKLY;BYDAY=SU`` or ``FREQ=MONTHLY;BYDAY=1SU;COUNT=12``.
        ``UNTIL`` is local time.
    timezone : str
        IANA name of the zone whose local time recurs.
    """

    rule: str
    timezone: str


class Adjustment(msgspec.Struct, frozen=True, gc=False):
    """One adjustment; the newest document of an id is in force.

    Attributes
    ----------
    id : str
        The key of the record on ``sla.adjustments``, for example the id of the change request.
    start_ms, end_ms : int
        The interval, half-open: start <= t < end (UTC epoch ms); with a recurrence, the first one.
    counts_as : CountsAs
        ``excluded`` for maintenance.
    recorded_at_ms : int
        When it was decided, UTC epoch ms.
    recorded_by, reason : str
        Who decided it, and why.
    reference : str or None
        Where it was decided: change request, minutes of a meeting.
    retroactive : bool
        Whether it may concern time before it was recorded. Without it maintenance has to be announced.
    revoked : bool
        Taken back: it counts no more, and is still shown.
    recurrence : Recurrence or None
        When it happens again.
    revoked_at_ms, revoked_by, revoked_reason
        When, by whom and why it was taken back; None where that was not said.
    """

    id: str
    kind: AdjustmentKind
    service: str
    start_ms: int
    end_ms: int
    counts_as: CountsAs
    recorded_at_ms: int
    recorded_by: str
    reason: str
    reference: str | None = None
    retroactive: bool = False
    revoked: bool = False
    recurrence: Recurrence | None = None
    revoked_at_ms: int | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None

    @property
    def precedence(self) -> tuple[int, str]:
        """Of adjustments that overlap, the one recorded last counts; ties go by id."""
        return (self.recorded_at_ms, self.id)

    def intervals(self, from_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
        """Yield the intervals (start, end) that touch ``[from, until)``, ascending, not clipped.

        A revoked adjustment has none.
        """
        if self.revoked:
            return
        if self.recurrence is None:
            if self.start_ms < until_ms and self.end_ms > from_ms:
                yield self.start_ms, self.end_ms
            return
        length_ms = self.end_ms - self.start_ms
        zone = CivilZone(self.recurrence.timezone)
        # A day more on either side: local time and instants differ by less.
        after = _local(zone, max(from_ms - length_ms, self.start_ms) - DAY_MS)
        before = _local(zone, until_ms + DAY_MS)
        if self.start_ms < until_ms and self.end_ms > from_ms:
            yield self.start_ms, self.end_ms
        for count, local in enumerate(_compiled(self.recurrence, _local(zone, self.start_ms)).xafter(after, inc=True)):
            if local > before or count >= LARGEST_OCCURRENCES:
                return
            start_ms = _instant(zone, local)
            if self.start_ms < start_ms < until_ms and start_ms + length_ms > from_ms:
                yield start_ms, start_ms + length_ms


def check_rule(rule: str) -> None:
    """Tell whether a rule can be read.

    Raises
    ------
    UnitError
        If it is no RRULE, has a start of its own, or recurs more often than every hour.
    """
    _rule_of(rule, datetime(2000, 1, 1))  # noqa: DTZ001 - local time


@lru_cache(maxsize=1_000)
def _compiled(recurrence: Recurrence, start: datetime) -> rrule:
    return _rule_of(recurrence.rule, start)


def _rule_of(text: str, start: datetime) -> rrule:
    how_to = "write an RRULE such as FREQ=WEEKLY;BYDAY=SU"
    body = text.strip().removeprefix("RRULE:")
    if "\n" in body or "DTSTART" in body.upper():
        raise UnitError(f"{text!r}: the first interval is the start; {how_to}")
    try:
        rule = rrulestr(body, dtstart=start, cache=True)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UnitError(f"{text!r} is no rule ({error}): {how_to}") from error
    if not isinstance(rule, rrule):
        raise UnitError(f"{text!r} is more than one rule: {how_to}")
    if rule._freq > HOURLY:  # type: ignore[attr-defined]  # noqa: SLF001 - the parsed frequency has no public name
        raise UnitError(f"{text!r} recurs more often than every hour: {how_to}")
    # A rule that nothing fits (30 February) would be searched until the year 9999.
    is_finite = "UNTIL=" in body.upper() or "COUNT=" in body.upper()
    return rule if is_finite else rule.replace(until=start + _HORIZON)


def _local(zone: CivilZone, instant_ms: int) -> datetime:
    return datetime_of(instant_ms + zone.offset_ms_at(instant_ms)).replace(tzinfo=None)


def _instant(zone: CivilZone, local: datetime) -> int:
    seconds_ms = local.second * SECOND_MS
    return zone.occurrences(local.date(), local.hour * 60 + local.minute)[0] + seconds_ms


def covers(start_ms: int, end_ms: int, minute_ms: int) -> bool:
    """Tell whether an interval covers a minute: a minute is what its first instant is, so that no two share one."""
    return start_ms <= minute_ms < end_ms
