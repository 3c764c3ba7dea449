"""Service down and up again, with hysteresis: decided on the last slices of one objective."""

from __future__ import annotations

from typing import Final

from sla.availability import Availability
from sla.outcome import Alert, AlertKind, AlertState
from sla.service_state import Tail
from sla.slices import SliceState
from sla.units import MINUTE_MS, format_instant

DOWN_AFTER_SLICES: Final = 2
"""So many bad slices one after another make a service down: one bad minute pages nobody."""

UP_AFTER_SLICES: Final = 2
"""So many good ones make it up again."""

LONG_SLICE_MS: Final = 10 * MINUTE_MS
"""From this length on one slice is enough."""

_KEPT_SLICES: Final = 8


def note(tail: Tail, start_ms: int, state: SliceState, *, is_new: bool = True) -> bool:
    """Note the state of a slice; one that is not new only if it is kept. Return whether that changes anything."""
    slices = tail.slices
    for place, (known_ms, known) in enumerate(slices):
        if known_ms == start_ms:
            if known == state:
                return False
            slices[place] = (start_ms, int(state))
            return True
    if not is_new:
        return False
    tail.slices = sorted([*slices, (start_ms, int(state))])[-_KEPT_SLICES:]
    return True


def last_known(tail: Tail) -> SliceState | None:
    """Return the state of the last slice; None if it is unknown or left out, or there is none."""
    if not tail.slices:
        return None
    state = SliceState(tail.slices[-1][1])
    return state if state in {SliceState.GOOD, SliceState.BAD} else None


def decide(tail: Tail, objective: Availability, cause: str, now_ms: int) -> Alert | None:
    """Return the alert that the last slices call for, if it is another one than was told last.

    Unknown slices decide nothing: an outage of the probes neither fires nor resolves. Time that is left out ends an
    outage: nothing is promised then.
    """
    if not tail.slices:
        return None
    needed = 1 if objective.slice_ms >= LONG_SLICE_MS else DOWN_AFTER_SLICES
    if tail.firing_since_ms >= 0:
        if tail.slices[-1][1] == SliceState.OUT:
            return _resolved(tail, objective.id, now_ms, "the time is outside its service hours, or left out")
        known = [state for _, state in tail.slices if state in {SliceState.GOOD, SliceState.BAD}]
        needed = min(needed, UP_AFTER_SLICES)
        if len(known) >= needed and all(state == SliceState.GOOD for state in known[-needed:]):
            return _resolved(tail, objective.id, now_ms, "it is good again")
        return None
    known_slices = [(at_ms, state) for at_ms, state in tail.slices if state != SliceState.UNKNOWN]
    if len(known_slices) < needed or any(state != SliceState.BAD for _, state in known_slices[-needed:]):
        return None
    since_ms = now_ms
    for at_ms, state in reversed(known_slices):
        if state != SliceState.BAD:
            break
        since_ms = at_ms
    tail.firing_since_ms = since_ms
    return _firing(tail, objective, cause, now_ms)


def withdraw(tail: Tail, objective_id: str, now_ms: int) -> Alert | None:
    """Return the resolve of an alert whose objective is no longer in force; None if none fires."""
    if tail.firing_since_ms < 0:
        return None
    return _resolved(tail, objective_id, now_ms, "the objective is no longer in force")


def _firing(tail: Tail, objective: Availability, cause: str, now_ms: int) -> Alert:
    kind = AlertKind.SERVICE_DOWN
    labels = {
        "alertname": kind.value,
        "alert_kind": "service",
        "severity": "critical",
        "sla_id": objective.contract,
        "objective": objective.id,
        "service": objective.service,
    }
    if objective.team:
        labels["team"] = objective.team
    tail.labels = labels
    since = format_instant(tail.firing_since_ms)
    why = f" Declared: {cause}." if cause else ""
    annotations = {
        "summary": f"{objective.service} is down ({objective.id})",
        "description": f"Bad since {since} under contract {objective.contract}.{why}",
        "started_at": since,
    }
    return Alert(f"{kind.value}/{objective.id}", kind, AlertState.FIRING, "critical", now_ms, labels, annotations)


def _resolved(tail: Tail, objective_id: str, now_ms: int, why: str) -> Alert:
    kind = AlertKind.SERVICE_DOWN
    labels, since = tail.labels, format_instant(tail.firing_since_ms)
    tail.firing_since_ms, tail.labels = -1, {}
    annotations = {
        "summary": f"{labels.get('service', objective_id)} is not down any more ({objective_id}): {why}",
        "started_at": since,
    }
    return Alert(f"{kind.value}/{objective_id}", kind, AlertState.RESOLVED, "critical", now_ms, labels, annotations)
