"""What a slice of time is to an availability objective: good, bad, unknown or left out. Pure; no state.

A slice is judged by its minutes that count: those in the service hours that no adjustment leaves out. A minute is what
its first instant is: hours and adjustments never split one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from sla.adjustment import Adjustment, AdjustmentKind, CountsAs, covers
from sla.availability import Availability, AvailabilityKind, IdlePolicy, MaintenancePolicy, ProbePolicy, StatusUse
from sla.units import HOUR_MS, MINUTE_MS
from sla.uptime_events import ServiceStatus

Counts = Mapping[str, tuple[int, int]]
"""What each probe saw in a minute: (good, total)."""


class SliceState(IntEnum):
    """State of one slice."""

    GOOD = 0
    BAD = 1
    UNKNOWN = 2
    """Nobody saw it."""
    OUT = 3
    """Outside the service hours, or left out."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice, judged.

    Attributes
    ----------
    good, bad : int
        What it counts: slices (0 or 1), or requests.
    known_minutes, expected_minutes : int
        Minutes that are promised in it, and those of them that somebody told of.
    """

    start_ms: int
    state: SliceState
    good: int
    bad: int
    known_minutes: int
    expected_minutes: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one service.

    Attributes
    ----------
    counts : callable
        Instant of a minute to what each probe saw in it, under the objective's limit of latency.
    declared : callable
        (from_ms, until_ms) to the declared states in that time, each with how long it held in it (ms).
    is_open : callable
        Instant of a minute to whether it lies in the service hours.
    decree : callable
        Instant of a minute to the adjustment that says how it counts, or None.
    """

    counts: Callable[[int], Counts]
    declared: Callable[[int, int], Iterable[tuple[ServiceStatus, int]]]
    is_open: Callable[[int], bool]
    decree: Callable[[int], Adjustment | None]


def decree_at(adjustments: Sequence[tuple[int, int, Adjustment]], minute_ms: int) -> Adjustment | None:
    """Return the adjustment that says how a minute counts; of several the last one of the sequence."""
    for start_ms, end_ms, adjustment in reversed(adjustments):
        if covers(start_ms, end_ms, minute_ms):
            return adjustment
    return None


def judge(objective: Availability, start_ms: int, evidence: Evidence) -> Slice:
    """Judge the slice that begins at an instant."""
    if objective.kind is AvailabilityKind.REQUEST_RATIO:
        return _requests(objective, start_ms, evidence)
    judged = _judge_time(objective, start_ms, evidence)
    if judged.state != SliceState.UNKNOWN or objective.idle is not IdlePolicy.HOLD or not judged.known_minutes:
        return judged
    # Idle: what the slices before it were, as far as this hour goes.
    before_ms = start_ms - objective.slice_ms
    while before_ms >= start_ms - start_ms % HOUR_MS:
        before = _judge_time(objective, before_ms, evidence)
        if before.state in {SliceState.GOOD, SliceState.BAD}:
            return _told(start_ms, before.state, judged.known_minutes, judged.expected_minutes)
        if not before.known_minutes:
            break  # nobody saw it: there is nothing to hold
        before_ms -= objective.slice_ms
    return Slice(start_ms, SliceState.UNKNOWN, 0, 0, 0, judged.expected_minutes)


def _requests(objective: Availability, minute_ms: int, evidence: Evidence) -> Slice:
    if not evidence.is_open(minute_ms):
        return _out(minute_ms)
    counts_as = _counts_as(objective, evidence.decree(minute_ms))
    if counts_as is CountsAs.EXCLUDED:
        return _out(minute_ms)
    counts = evidence.counts(minute_ms)
    total = sum(seen for _, seen in counts.values())
    good = sum(went_well for went_well, _ in counts.values())
    if counts_as is not None:
        good = total if counts_as is CountsAs.UP else 0
    if not counts:
        state = SliceState.UNKNOWN
    elif total and not good:
        state = SliceState.BAD
    else:
        state = SliceState.GOOD
    return Slice(minute_ms, state, good, total - good, 1 if counts else 0, 1)


def _judge_time(objective: Availability, start_ms: int, evidence: Evidence) -> Slice:
    """Judge a slice of time; an idle one that nothing decides is UNKNOWN, with the minutes in which it was idle."""
    measured: list[int] = []
    expected = decreed_up = decreed_down = 0
    for minute_ms in range(start_ms, start_ms + objective.slice_ms, MINUTE_MS):
        if not evidence.is_open(minute_ms):
            continue
        match _counts_as(objective, evidence.decree(minute_ms)):
            case None:
                measured.append(minute_ms)
            case CountsAs.UP:
                decreed_up += 1
            case CountsAs.DOWN:
                decreed_down += 1
            case CountsAs.EXCLUDED:
                continue
        expected += 1
    if not expected:
        return _out(start_ms)
    decreed = decreed_up + decreed_down
    state, known = (SliceState.UNKNOWN, 0) if not measured else _measured(objective, measured, evidence)
    if decreed_down:
        state = SliceState.BAD
    elif decreed_up and state == SliceState.UNKNOWN:
        state = SliceState.GOOD
    return _told(start_ms, state, known + decreed, expected)


def _measured(objective: Availability, minutes: Sequence[int], evidence: Evidence) -> tuple[SliceState, int]:
    """Return the state of the minutes that are measured, and how many of them are known."""
    declared_bad_ms = declared_ms = 0
    declared_minutes = 0
    if objective.statuses is not StatusUse.IGNORE:
        for minute_ms in minutes:
            here_ms = 0
            for status, held_ms in evidence.declared(minute_ms, minute_ms + MINUTE_MS):
                here_ms += held_ms
                if status not in objective.good_statuses:
                    declared_bad_ms += held_ms
            declared_ms += here_ms
            declared_minutes += here_ms > 0
    is_declared_bad = declared_bad_ms > 0 and declared_bad_ms > objective.bad_above * len(minutes) * MINUTE_MS
    if objective.statuses is StatusUse.ONLY:
        if not declared_ms:
            return SliceState.UNKNOWN, 0
        return (SliceState.BAD if is_declared_bad else SliceState.GOOD), declared_minutes
    totals: dict[str, list[int]] = {}
    known = 0
    for minute_ms in minutes:
        counts = evidence.counts(minute_ms)
        known += bool(counts)
        for probe, (good, total) in counts.items():
            of_probe = totals.setdefault(probe, [0, 0])
            of_probe[0] += good
            of_probe[1] += total
    if is_declared_bad:
        return SliceState.BAD, max(known, declared_minutes)
    votes = [total - good > objective.bad_above * total for good, total in totals.values() if total]
    if votes:
        return (SliceState.BAD if _is_bad(objective.probes, sum(votes), len(votes)) else SliceState.GOOD), known
    if totals and objective.idle is IdlePolicy.GOOD:
        return SliceState.GOOD, known
    if totals and objective.idle is IdlePolicy.NO_DATA:
        known = 0
    return SliceState.UNKNOWN, known


def _is_bad(policy: ProbePolicy, bad: int, probes: int) -> bool:
    match policy:
        case ProbePolicy.ANY:
            return bad > 0
        case ProbePolicy.MAJORITY:
            return 2 * bad > probes
        case ProbePolicy.ALL:
            return bad == probes


def _counts_as(objective: Availability, decree: Adjustment | None) -> CountsAs | None:
    if decree is None:
        return None
    if decree.kind is AdjustmentKind.MAINTENANCE:
        counts_good = objective.maintenance is MaintenancePolicy.COUNT_GOOD
        return CountsAs.UP if counts_good else CountsAs.EXCLUDED
    return decree.counts_as


def _out(start_ms: int) -> Slice:
    return Slice(start_ms, SliceState.OUT, 0, 0, 0, 0)


def _told(start_ms: int, state: SliceState, known: int, expected: int) -> Slice:
    good, bad = int(state == SliceState.GOOD), int(state == SliceState.BAD)
    return Slice(start_ms, state, good, bad, known, expected)
