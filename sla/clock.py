"""One clock of one ticket: what it has consumed, when it is due, how it ended.

The arithmetic is the field's hard-won rule: a pause is never added to a deadline. Consumption is the sum of worked time
over the running intervals, ``consumed = sum(W(b) - W(a))``, and while the clock runs
``deadline = W^-1(W(resumed_at) + target - consumed)``. Instants are compared, never rounded shares: a stop exactly at
the deadline is met.

Whether a running clock has breached depends on ``now``; everything else is a function of the ticket's events alone. So
``now`` is an argument of the questions (:func:`verdict_of`, :func:`warn_level_at`) and never stored.
"""

from __future__ import annotations

from enum import IntEnum
from math import ceil
from typing import Final

import msgspec

from sla.calendar import WorkCalendar
from sla.contract import Target
from sla.outcome import Result, Verdict
from sla.units import NEVER

AT_RISK_FIRING: Final = 1
BREACHED_FIRING: Final = 2


class Phase(IntEnum):
    """What a clock does. Ended phases keep how it ended."""

    RUNNING = 0
    PAUSED = 1
    STOPPED = 2
    CANCELLED = 3
    MERGED = 4
    SUPERSEDED = 5
    TERMINATED = 6


_ACTIVE: Final = frozenset({Phase.RUNNING, Phase.PAUSED})
_RESULT_OF_END: Final = {
    Phase.CANCELLED: Result.CANCELLED,
    Phase.MERGED: Result.MERGED,
    Phase.SUPERSEDED: Result.SUPERSEDED,
    Phase.TERMINATED: Result.TERMINATED,
}


class Published(msgspec.Struct, array_like=True, gc=False):
    """What the outside was last told about a clock: enough to see that something changed and to move a bucket."""

    result: str
    decided_at_ms: int
    stop_ms: int | None
    consumed_ms: int
    start_ms: int


class Clock(msgspec.Struct, array_like=True, gc=False):
    """State of one clock after the last folded event.

    Attributes
    ----------
    target_id, revision, cycle
        Which promise, and which run of it on this ticket (cycles of one target count from 1).
    phase : int
        A :class:`Phase`.
    start_ms : int
        When the clock started (an event's instant, also outside hours).
    resumed_ms : int
        Since when it runs; the instant of the pause while paused.
    ended_ms : int or None
        When it stopped, was cancelled, merged or superseded.
    consumed_ms : int
        Consumed up to ``resumed_ms`` (while running), or in all.
    deadline_ms : int
        While running, or once breached: the deadline. NEVER while paused within its target. Of a stopped clock: the
        deadline it met or missed.
    breached : bool
        An event later than the deadline was folded while the clock ran. Never set by ``now``.
    warn_ms : int
        The next instant of a higher warn level; NEVER if there is none while it runs like this.
    level : int
        Warn level reached by the consumption at ``resumed_ms``.
    published : Published or None
        Last verdict told to the outside.
    alerts : int
        Bits AT_RISK_FIRING, BREACHED_FIRING: alerts told to the outside as firing.
    alerted_level : int
        Warn level last told to the outside.
    """

    target_id: str
    revision: int
    cycle: int
    phase: int
    start_ms: int
    resumed_ms: int
    ended_ms: int | None
    consumed_ms: int
    deadline_ms: int
    breached: bool
    warn_ms: int
    level: int
    published: Published | None = None
    alerts: int = 0
    alerted_level: int = 0

    @property
    def is_active(self) -> bool:
        """Whether the clock runs or is paused."""
        return self.phase <= Phase.PAUSED


def start_clock(target: Target, calendar: WorkCalendar, cycle: int, at_ms: int, *, start_ms: int, consumed_ms: int) -> Clock:
    """Start a clock at ``at_ms``.

    Parameters
    ----------
    start_ms : int
        Where the clock's history begins: ``at_ms``, or earlier if it carries the time of a superseded clock.
    consumed_ms : int
        What it brings along, in its own calendar's time.
    """
    clock = Clock(target.id, target.revision, cycle, Phase.RUNNING, start_ms, at_ms, None, consumed_ms, NEVER, False, NEVER, 0)
    _run(clock, target, calendar, at_ms)
    return clock


def pause(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int) -> None:
    """Pause a running clock; it stays as it is if it is paused."""
    if clock.phase != Phase.RUNNING:
        return
    observe(clock, at_ms)
    clock.consumed_ms += calendar.worked_between(clock.resumed_ms, at_ms)
    clock.resumed_ms = at_ms
    clock.phase = Phase.PAUSED
    clock.level = _level_of(clock.consumed_ms, target)
    clock.warn_ms = NEVER
    if not clock.breached:
        clock.deadline_ms = NEVER


def resume(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int) -> None:
    """Let a paused clock run on; it stays as it is if it runs."""
    if clock.phase != Phase.PAUSED:
        return
    clock.phase = Phase.RUNNING
    _run(clock, target, calendar, at_ms)


def end(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int, phase: Phase) -> None:
    """Stop, cancel, merge, supersede or terminate an active clock."""
    if clock.phase == Phase.RUNNING:
        observe(clock, at_ms)
        clock.consumed_ms += calendar.worked_between(clock.resumed_ms, at_ms)
    elif not clock.breached:
        # Paused: shown is the deadline it would have had, were it resumed at the stop.
        clock.deadline_ms = calendar.deadline(at_ms, max(0, target.within.duration_ms - clock.consumed_ms), target.deadline_at)
    clock.resumed_ms = at_ms
    clock.ended_ms = at_ms
    clock.phase = phase
    clock.level = _level_of(clock.consumed_ms, target)
    clock.warn_ms = NEVER


def reactivate(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int) -> None:
    """Go on with a stopped clock (reopen policy ``resume``): the time it was stopped counts as a pause."""
    clock.ended_ms = None
    clock.phase = Phase.RUNNING
    _run(clock, target, calendar, at_ms)


def observe(clock: Clock, at_ms: int) -> None:
    """Note that an event at ``at_ms`` found the clock running: past its deadline it has breached, whatever comes."""
    if clock.phase == Phase.RUNNING and at_ms > clock.deadline_ms:
        clock.breached = True


def consumed_at(clock: Clock, calendar: WorkCalendar, at_ms: int) -> int:
    """Return what the clock has consumed at an instant not before its last event, in its calendar's milliseconds."""
    if clock.phase != Phase.RUNNING:
        return clock.consumed_ms
    return clock.consumed_ms + calendar.worked_between(clock.resumed_ms, max(at_ms, clock.resumed_ms))


def has_breached(clock: Clock, now_ms: int, settle_ms: int) -> bool:
    """Tell whether the clock has breached, as of ``now_ms``.

    A breach is declared ``settle_ms`` after its deadline (a resolve may be on its way) and placed at the deadline.
    """
    return clock.breached or (clock.phase == Phase.RUNNING and now_ms >= clock.deadline_ms + settle_ms)


def warn_level_at(clock: Clock, target: Target, calendar: WorkCalendar, now_ms: int) -> tuple[int, int]:
    """Return (warn level, instant of the next level) of a clock as of ``now_ms``.

    Level n means that n of the target's ``warn_consumed`` shares are used up. The instant is NEVER for a clock that
    does not run or has no higher level.
    """
    if clock.phase != Phase.RUNNING:
        return clock.level, NEVER
    if now_ms < clock.warn_ms:
        return clock.level, clock.warn_ms
    level = clock.level
    for share in target.warn_consumed[level:]:
        instant_ms = _instant_of(ceil(share * target.within.duration_ms), clock, calendar)
        if instant_ms > now_ms:
            return level, instant_ms
        level += 1
    return level, NEVER


def next_change_ms(clock: Clock, now_ms: int, settle_ms: int, next_warn_ms: int) -> int:
    """Return the next instant at which this clock changes colour without any event; NEVER if none."""
    if clock.phase != Phase.RUNNING:
        return NEVER
    if has_breached(clock, now_ms, settle_ms):
        return next_warn_ms
    return min(next_warn_ms, clock.deadline_ms + settle_ms)


def verdict_of(clock: Clock, ticket: str, target: Target, now_ms: int, settle_ms: int) -> Verdict | None:
    """Return the clock's verdict as of ``now_ms``, or None while it is open and has not breached."""
    if clock.phase == Phase.STOPPED:
        breached = clock.breached or _ended(clock) > clock.deadline_ms
        result = Result.BREACHED if breached else Result.MET
        decided_at_ms = clock.deadline_ms if breached else _ended(clock)
    elif clock.phase in _ACTIVE:
        if not has_breached(clock, now_ms, settle_ms):
            return None
        result, decided_at_ms = Result.BREACHED, clock.deadline_ms
    else:
        # A breach before the cancellation or the change stays a breach: the promise was broken.
        result = Result.BREACHED if clock.breached else _RESULT_OF_END[Phase(clock.phase)]
        decided_at_ms = clock.deadline_ms if clock.breached else _ended(clock)
    upto_ms = clock.ended_ms if clock.ended_ms is not None else clock.deadline_ms
    # A breached clock that still runs or waits has used its target up; more would grow with every event and with now.
    consumed_ms = clock.consumed_ms if clock.ended_ms is not None else target.within.duration_ms
    return Verdict(
        ticket=ticket,
        contract=target.contract,
        target=target.id,
        metric=target.metric,
        revision=target.revision,
        cycle=clock.cycle,
        result=result,
        start_ms=clock.start_ms,
        deadline_ms=clock.deadline_ms,
        stop_ms=clock.ended_ms,
        decided_at_ms=decided_at_ms,
        target_ms=target.within.duration_ms,
        consumed_ms=consumed_ms,
        elapsed_ms=max(0, upto_ms - clock.start_ms),
    )


def _ended(clock: Clock) -> int:
    assert clock.ended_ms is not None
    return clock.ended_ms


def _run(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int) -> None:
    clock.resumed_ms = at_ms
    clock.level = _level_of(clock.consumed_ms, target)
    if not clock.breached:
        remaining_ms = target.within.duration_ms - clock.consumed_ms
        if remaining_ms < 0:
            # It brings more than the new target allows: due, and missed, at the change itself.
            clock.breached = True
            clock.deadline_ms = at_ms
        else:
            clock.deadline_ms = calendar.deadline(at_ms, remaining_ms, target.deadline_at)
    clock.warn_ms = NEVER
    if clock.level < len(target.warn_consumed):
        threshold_ms = ceil(target.warn_consumed[clock.level] * target.within.duration_ms)
        clock.warn_ms = _instant_of(threshold_ms, clock, calendar)


def _level_of(consumed_ms: int, target: Target) -> int:
    return sum(consumed_ms >= ceil(share * target.within.duration_ms) for share in target.warn_consumed)


def _instant_of(threshold_ms: int, clock: Clock, calendar: WorkCalendar) -> int:
    return calendar.deadline(clock.resumed_ms, max(0, threshold_ms - clock.consumed_ms))
