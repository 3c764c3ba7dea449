"""A target with pauses that are known beforehand: what it consumes, and when it is due.

The questions people ask before there is a ticket ("when is it due if the customer answers on Monday?"). The answers are
those of a ticket's clock with the same events: a deadline is found by letting a clock run.

One answer differs, because here the pauses are known beforehand: a target used up in the very instant in which a pause
begins is due then. A ticket's clock has no deadline while it stands, and would be due when it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sla import clock as clocks
from sla.calendar import WorkCalendar
from sla.contract import NEVER_HOLDS, Contract, ContractType, DeadlineAt, Level, Target, Within
from sla.register import Register
from sla.units import NEVER, EpochMs

Pause = tuple[int, int]
"""A half-open interval (from_ms, until_ms) in which a clock stands."""

_NAME: Final = "target"


def merged_pauses(pauses: Iterable[Pause], from_ms: int, until_ms: int = NEVER) -> list[Pause]:
    """Return the parts of pauses in ``[from, until)``, ascending; none is empty and none touches another."""
    merged: list[Pause] = []
    for begin_ms, end_ms in sorted((max(begin, from_ms), min(end, until_ms)) for begin, end in pauses):
        if begin_ms >= end_ms:
            continue
        if merged and begin_ms <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_ms))
        else:
            merged.append((begin_ms, end_ms))
    return merged


def consumed_between(calendar: WorkCalendar, from_ms: int, until_ms: int, pauses: Iterable[Pause] = ()) -> int:
    """Return the milliseconds that count between two instants: worked time outside pauses.

    Pauses may overlap each other and reach beyond the interval. Only what a pause shares with working time is left out.
    """
    paused_ms = sum(calendar.worked_between(*pause) for pause in merged_pauses(pauses, from_ms, until_ms))
    return calendar.worked_between(from_ms, until_ms) - paused_ms


def calendar_for(within: Within, calendar: WorkCalendar) -> WorkCalendar:
    """Return what counts for a target: the calendar, or all time if the target is of elapsed time."""
    target = _target(within, calendar, DeadlineAt.CLOSE)
    return _register(target, calendar).calendar_of(target)


def deadline_of(
    within: Within,
    calendar: WorkCalendar,
    start_ms: int,
    pauses: Iterable[Pause] = (),
    deadline_at: DeadlineAt = DeadlineAt.CLOSE,
) -> EpochMs:
    """Return the instant at which a target is used up that starts at an instant and stands during pauses.

    Parameters
    ----------
    within : Within
        The target; if it counts elapsed time, pauses take elapsed time out of it.
    calendar : WorkCalendar
        The calendar of business time.
    pauses : iterable of (from_ms, until_ms)
        They may overlap each other. A pause moves the deadline by the working time it covers, if it begins before it.
        A deadline never lies inside a pause: it is at its begin or earlier, or at its end or later.
    deadline_at : DeadlineAt
        What a target that is used up exactly at close of business is due at.

    Raises
    ------
    CalendarError
        If the deadline lies outside what calendars cover.
    """
    target = _target(within, calendar, deadline_at)
    counting = _register(target, calendar).calendar_of(target)
    clock = clocks.start_clock(target, counting, 1, start_ms, start_ms=start_ms, consumed_ms=0)
    for begin_ms, end_ms in merged_pauses(pauses, start_ms):
        # What starts in a pause has not run yet, so not even a target of zero is due before the pause ends.
        if begin_ms > start_ms and clock.deadline_ms <= begin_ms:
            break
        clocks.pause(clock, target, counting, begin_ms)
        clocks.resume(clock, target, counting, end_ms)
    return EpochMs(clock.deadline_ms)


def _target(within: Within, calendar: WorkCalendar, deadline_at: DeadlineAt) -> Target:
    return Target(
        id=_NAME,
        contract=_NAME,
        contract_type=ContractType.SLA,
        level=Level.CORPORATE,
        revision=1,
        effective_from_ms=0,
        effective_until_ms=NEVER,
        metric=_NAME,
        applies_to=(),
        calendar=calendar.id,
        start=NEVER_HOLDS,
        stop=NEVER_HOLDS,
        within=within,
        deadline_at=deadline_at,
    )


def _register(target: Target, calendar: WorkCalendar) -> Register:
    return Register([Contract(_NAME, target.contract_type, target.level, "", "", (target,))], {calendar.id: calendar})
