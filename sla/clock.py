"""One clock of one ticket: what it has consumed, when it is due, how it ended.

The arithmetic is the field's hard-won rule: a pause is never added to a deadline. Consumption is the sum of worked time
over the running intervals, ``consumed = sum(W(b) - W(a))``, and while the clock runs
``deadline = W^-1(W(resumed_at) + target - consumed)``. Instants are compared, never rounded shares: a stop exactly at
the deadline is met.

A target whose deadline is no duration (``2bd``, ``eod``, a date of the ticket) gives each clock an *allowance* when it
starts: the working time up to the deadline. From then on it is consumed and warned about like a duration, and moved by
pauses like one; only a date of the ticket stays where it is.

Whether a running clock has breached depends on ``now``; everything else is a function of the ticket's events alone. So
``now`` is an argument of the questions (:func:`verdict_of`, :func:`warn_level_at`) and never stored.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum
from typing import Final

import msgspec

from sla.calendar import WorkCalendar
from sla.contract import BusinessDays, DeadlineAt, RiskLevel, Target
from sla.due_dates import days_deadline
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


_RESULT_OF_END: Final[dict[int, Result]] = {
    Phase.STOPPED: Result.MET,
    Phase.CANCELLED: Result.CANCELLED,
    Phase.MERGED: Result.MERGED,
    Phase.SUPERSEDED: Result.SUPERSEDED,
    Phase.TERMINATED: Result.TERMINATED,
}


# Members of an IntEnum are slow to get at, and these two are compared several times per clock and event.
_RUNNING: Final = int(Phase.RUNNING)
_PAUSED: Final = int(Phase.PAUSED)


class Published(msgspec.Struct, array_like=True, gc=False):
    """What the outside was last told about a clock: everything of a verdict that its target does not say.

    So a verdict that differs in any word from the one told before is told again, and one that was taken back can be
    named and taken out of its bucket.
    """

    result: str
    deadline_ms: int
    stop_ms: int | None
    consumed_ms: int
    start_ms: int
    revision: int
    attribution: int = 0
    """CRC-32 of who held the ticket and of what the clock endangers, see :attr:`~sla.outcome.Verdict.attribution`."""

    @property
    def decided_at_ms(self) -> int:
        """What placed the verdict in its bucket: the deadline if it was breached, else the stop."""
        return self.deadline_ms if self.stop_ms is None or self.result == Result.BREACHED else self.stop_ms


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
    allowance_ms : int or None
        What it may consume in all, of a target whose deadline is no duration; None: the target's duration.
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
    allowance_ms: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether the clock runs or is paused."""
        return self.phase <= _PAUSED


def start_clock(
    target: Target,
    calendar: WorkCalendar,
    cycle: int,
    at_ms: int,
    *,
    start_ms: int,
    consumed_ms: int,
    due_ms: int | None = None,
) -> Clock:
    """Start a clock at ``at_ms``.

    Parameters
    ----------
    start_ms : int
        Where the clock's history begins: ``at_ms``, or earlier if it carries the time of a superseded clock.
    consumed_ms : int
        What it brings along, in its own calendar's time.
    due_ms : int or None
        When the ticket's date is due, of a target that is due on one; None: not known yet, the clock has no deadline.
    """
    clock = Clock(
        target.id, target.revision, cycle, _RUNNING, start_ms, at_ms, None, consumed_ms, NEVER, False, NEVER, 0
    )
    if target.rule is not None:
        _allow(clock, target, calendar, at_ms, due_ms)
    _run(clock, target, calendar, at_ms)
    return clock


def pause(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int) -> None:
    """Pause a running clock; it stays as it is if it is paused."""
    if clock.phase != _RUNNING:
        return
    observe(clock, at_ms)
    clock.consumed_ms += calendar.worked_between(clock.resumed_ms, at_ms)
    clock.resumed_ms = at_ms
    _stand(clock, target)


def resume(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int) -> None:
    """Let a paused clock run on; it stays as it is if it runs."""
    if clock.phase != _PAUSED:
        return
    clock.phase = _RUNNING
    _run(clock, target, calendar, at_ms)


def end(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int, phase: Phase) -> None:
    """Stop, cancel, merge, supersede or terminate an active clock."""
    if clock.phase == _RUNNING:
        observe(clock, at_ms)
        clock.consumed_ms += calendar.worked_between(clock.resumed_ms, at_ms)
    elif not clock.breached:
        # Paused: shown is the deadline it would have had, were it resumed at the stop.
        remaining_ms = max(0, allowance_of(clock, target) - clock.consumed_ms)
        clock.deadline_ms = calendar.deadline(at_ms, remaining_ms, _deadline_at(target))
    clock.resumed_ms = at_ms
    clock.ended_ms = at_ms
    clock.phase = int(phase)
    thresholds_ms = target.warn_thresholds_ms if target.rule is None else _thresholds(clock, target)
    clock.level = bisect_right(thresholds_ms, clock.consumed_ms)
    clock.warn_ms = NEVER


def reactivate(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int, *, due_ms: int | None = None) -> None:
    """Go on with a stopped clock (reopen policy ``resume``): the time it was stopped counts as a pause.

    A date of the ticket does not wait: ``due_ms`` is when it is due now.
    """
    clock.ended_ms = None
    clock.phase = _RUNNING
    if target.date_field is not None:
        _allow(clock, target, calendar, at_ms, due_ms)
    _run(clock, target, calendar, at_ms)


def redate(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int, due_ms: int) -> None:
    """Move the deadline of an active clock whose ticket's date changed; a breach before the change stays one."""
    if due_ms == clock.deadline_ms:
        return
    observe(clock, at_ms)
    _allow(clock, target, calendar, at_ms, due_ms)
    _run(clock, target, calendar, at_ms)


def change_terms(
    clock: Clock,
    before: tuple[Target, WorkCalendar],
    after: tuple[Target, WorkCalendar],
    at_ms: int,
    *,
    stands: bool,
    due_ms: int | None = None,
) -> None:
    """Let an active clock go on under another revision of its target from ``at_ms``, with the time consumed.

    Parameters
    ----------
    before, after : (Target, WorkCalendar)
    stands : bool
        Whether the pause of the new revision holds.
    due_ms : int or None
        As in :func:`start_clock`.
    """
    observe(clock, at_ms)
    clock.consumed_ms = consumed_at(clock, before[1], at_ms)
    target, calendar = after
    clock.revision = target.revision
    clock.resumed_ms = at_ms
    clock.phase = _RUNNING
    clock.allowance_ms = None
    if target.rule is not None:
        _allow(clock, target, calendar, at_ms, due_ms)
    if stands:
        _stand(clock, target)
    else:
        _run(clock, target, calendar, at_ms)


def observe(clock: Clock, at_ms: int) -> None:
    """Note that an event at ``at_ms`` found the clock running: past its deadline it has breached, whatever comes."""
    if clock.phase == _RUNNING and at_ms > clock.deadline_ms:
        clock.breached = True


def consumed_at(clock: Clock, calendar: WorkCalendar, at_ms: int) -> int:
    """Return what the clock has consumed at an instant not before its last event, in its calendar's milliseconds."""
    if clock.phase != _RUNNING:
        return clock.consumed_ms
    return clock.consumed_ms + calendar.worked_between(clock.resumed_ms, max(at_ms, clock.resumed_ms))


def has_breached(clock: Clock, now_ms: int, settle_ms: int) -> bool:
    """Tell whether the clock has breached, as of ``now_ms``.

    A breach is declared ``settle_ms`` after its deadline and placed at the deadline: a resolve may be on its way, even
    when an event from after the deadline is there already.
    """
    return (clock.breached or clock.phase == _RUNNING) and now_ms >= clock.deadline_ms + settle_ms


def warn_level_at(clock: Clock, target: Target, calendar: WorkCalendar, now_ms: int) -> tuple[int, int]:
    """Return (warn level, instant of the next level) of a clock as of ``now_ms``.

    Level n means that n of the target's ``warn_consumed`` shares are used up. The instant is NEVER for a clock that
    does not run or has no higher level.
    """
    if clock.phase != _RUNNING:
        return clock.level, NEVER
    if now_ms < clock.warn_ms:
        return clock.level, clock.warn_ms
    level = clock.level
    for threshold_ms in _thresholds(clock, target)[level:]:
        instant_ms = _instant_of(threshold_ms, clock, calendar)
        if instant_ms > now_ms:
            return level, instant_ms
        level += 1
    return level, NEVER


def risk_level_of(clock: Clock, target: Target, level: int) -> RiskLevel | None:
    """Return what a warn level of the clock says; None for level 0.

    A level that the target does not have (another revision had more of them) is taken for its highest one.
    """
    levels = target.risk_levels_of(allowance_of(clock, target))
    level = min(level, len(levels))
    return levels[level - 1] if level else None


def next_change_ms(clock: Clock, now_ms: int, settle_ms: int, next_warn_ms: int) -> int:
    """Return the next instant at which this clock changes colour without any event; NEVER if none."""
    if clock.phase != _RUNNING:
        declared_ms = clock.deadline_ms + settle_ms
        return declared_ms if clock.breached and now_ms < declared_ms else NEVER
    if has_breached(clock, now_ms, settle_ms):
        return next_warn_ms
    return min(next_warn_ms, clock.deadline_ms + settle_ms)


def decision_of(clock: Clock, now_ms: int, settle_ms: int) -> tuple[Result, int] | None:
    """Return (result, instant that places it) of a clock as of ``now_ms``, or None while it is open, unbreached."""
    phase = clock.phase
    if phase <= _PAUSED:
        return (Result.BREACHED, clock.deadline_ms) if has_breached(clock, now_ms, settle_ms) else None
    # A breach before the cancellation or the change stays a breach: the promise was broken.
    if clock.breached:
        return Result.BREACHED, clock.deadline_ms
    return _RESULT_OF_END[phase], _ended(clock)


def is_told(clock: Clock, target: Target, decision: tuple[Result, int]) -> bool:
    """Tell whether the outside knows this decision about the clock, down to the last number.

    Most clocks an engine looks at have not changed: this spares it building a verdict to find that out.
    """
    told = clock.published
    return (
        told is not None
        and told.result == decision[0]
        and told.deadline_ms == clock.deadline_ms
        and told.stop_ms == clock.ended_ms
        and told.consumed_ms == _consumed(clock, target)
        and told.start_ms == clock.start_ms
        and told.revision == clock.revision
    )


def verdict_of(clock: Clock, ticket: str, target: Target, now_ms: int, settle_ms: int) -> Verdict | None:
    """Return the clock's verdict as of ``now_ms``, or None while it is open and has not breached."""
    decision = decision_of(clock, now_ms, settle_ms)
    return None if decision is None else verdict_on(clock, ticket, target, decision)


def verdict_on(clock: Clock, ticket: str, target: Target, decision: tuple[Result, int]) -> Verdict:
    """Return the verdict that a decision about the clock amounts to."""
    result, decided_at_ms = decision
    upto_ms = clock.ended_ms if clock.ended_ms is not None else clock.deadline_ms
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
        target_ms=allowance_of(clock, target),
        consumed_ms=_consumed(clock, target),
        elapsed_ms=max(0, upto_ms - clock.start_ms),
    )


def _consumed(clock: Clock, target: Target) -> int:
    # A breached clock that still runs or waits has used its target up; more would grow with every event and with now.
    return clock.consumed_ms if clock.ended_ms is not None else allowance_of(clock, target)


def _ended(clock: Clock) -> int:
    assert clock.ended_ms is not None
    return clock.ended_ms


def allowance_of(clock: Clock, target: Target) -> int:
    """Return what a clock may consume in all: the target's duration, or its own allowance if that is none."""
    return target.within.duration_ms if target.rule is None else clock.allowance_ms or 0


def _allow(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int, due_ms: int | None) -> None:
    """Work out what a clock may consume whose deadline is no duration."""
    if isinstance(target.rule, BusinessDays):
        nominal_ms = days_deadline(target.rule, calendar, clock.start_ms)
        clock.allowance_ms = calendar.worked_between(clock.start_ms, nominal_ms)
        return
    # Nothing stops a date: what has been worked since the start counts, and what is left is left until the date.
    clock.consumed_ms = calendar.worked_between(clock.start_ms, at_ms)
    if clock.breached and clock.allowance_ms is not None:
        return  # the date that was missed is the one that was promised
    clock.allowance_ms = None
    if due_ms is not None:
        # Nobody can miss a date before it is known: one that has passed is due at once.
        due_ms = due_ms if due_ms > at_ms else calendar.next_open(at_ms)
        clock.allowance_ms = calendar.worked_between(clock.start_ms, due_ms)
    if not clock.breached:
        clock.deadline_ms = NEVER if due_ms is None else due_ms


def _stand(clock: Clock, target: Target) -> None:
    clock.phase = _PAUSED
    thresholds_ms = target.warn_thresholds_ms if target.rule is None else _thresholds(clock, target)
    clock.level = bisect_right(thresholds_ms, clock.consumed_ms)
    clock.warn_ms = NEVER
    if not clock.breached:
        clock.deadline_ms = NEVER


def _run(clock: Clock, target: Target, calendar: WorkCalendar, at_ms: int) -> None:
    # The hottest function of a fold: plain targets ask for nothing that has to be worked out.
    if target.rule is None:
        allowance_ms, deadline_at = target.within.duration_ms, target.deadline_at
        thresholds_ms = target.warn_thresholds_ms
    else:
        allowance_ms, deadline_at = allowance_of(clock, target), _deadline_at(target)
        thresholds_ms = _thresholds(clock, target)
    clock.resumed_ms = at_ms
    clock.level = level = bisect_right(thresholds_ms, clock.consumed_ms)
    if not clock.breached and target.date_field is None:
        remaining_ms = allowance_ms - clock.consumed_ms
        if remaining_ms < 0:
            # It brings more than the new target allows: due, and missed, at the change itself.
            clock.breached = True
            clock.deadline_ms = at_ms
        else:
            clock.deadline_ms = calendar.deadline(at_ms, remaining_ms, deadline_at)
    clock.warn_ms = NEVER
    if level < len(thresholds_ms):
        clock.warn_ms = _instant_of(thresholds_ms[level], clock, calendar)


def _deadline_at(target: Target) -> DeadlineAt:
    if isinstance(target.rule, BusinessDays):
        # Close of business is a closing; any other deadline lies in open hours, see `days_deadline`.
        return DeadlineAt.CLOSE if target.rule.end_of_day else DeadlineAt.NEXT_OPEN
    return target.deadline_at


def _thresholds(clock: Clock, target: Target) -> tuple[int, ...]:
    if target.rule is None:
        return target.warn_thresholds_ms
    allowance_ms = clock.allowance_ms
    if allowance_ms is None:
        return ()
    return tuple(level.threshold_ms(allowance_ms) for level in target.risk_levels_of(allowance_ms))


def _instant_of(threshold_ms: int, clock: Clock, calendar: WorkCalendar) -> int:
    return calendar.deadline(clock.resumed_ms, max(0, threshold_ms - clock.consumed_ms))
