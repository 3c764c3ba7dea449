"""Alerts about single clocks, as values: identity, labels that never change, prose with the numbers."""

from __future__ import annotations

from sla.clock import Clock
from sla.contract import Target
from sla.outcome import Alert, AlertKind, AlertState
from sla.units import NEVER, format_instant

_LABEL_FIELDS = ("team", "service", "priority", "customer", "region")

SEVERITY = {AlertKind.TICKET_AT_RISK: "warning", AlertKind.TICKET_BREACHED: "critical"}
"""Severity of the alerts about a clock."""


def clock_alert(
    kind: AlertKind,
    state: AlertState,
    clock: Clock,
    target: Target,
    ticket: str,
    attributes: dict[str, str],
    at_ms: int,
) -> Alert:
    """Return the alert of a kind about one clock.

    Labels identify: who, what, which ticket. Nothing in them changes while the alert fires (its reader pins those it
    saw first); share consumed, deadline and time left are annotations.
    """
    labels = {
        "alertname": kind.value,
        "alert_kind": "breached" if kind is AlertKind.TICKET_BREACHED else "predicted",
        "severity": SEVERITY[kind],
        "sla_id": target.contract,
        "target": target.id,
        "ticket_id": ticket,
    }
    for name in _LABEL_FIELDS:
        value = attributes.get(name) or (target.team if name == "team" else None)
        if value:
            labels[name] = value
    # A refold may have put the clock under a revision with fewer levels than were told.
    level = min(clock.alerted_level, len(target.warn_consumed))
    share = target.warn_consumed[level - 1] if level else None
    subject = f"{ticket}: {target.metric} ({target.id})"
    annotations = {
        "clock_id": f"{ticket}:{target.id}:{clock.cycle}",
        "started_at": format_instant(clock.start_ms),
    }
    if clock.deadline_ms != NEVER:
        annotations["deadline"] = format_instant(clock.deadline_ms)
    if kind is AlertKind.TICKET_BREACHED:
        annotations["summary"] = f"{subject} has breached its target"
        annotations["description"] = (
            f"Due {annotations.get('deadline', 'at once')} under contract {target.contract}; still open."
        )
    else:
        used = f"{float(share):.0%}" if share is not None else "part"
        annotations["summary"] = f"{subject} is at risk: {used} of its target is used up"
        annotations["description"] = (
            f"Due {annotations['deadline']} under contract {target.contract}."
            if "deadline" in annotations
            else f"The clock is paused; {used} is used up under contract {target.contract}."
        )
    return Alert(
        id=f"{kind.value}/{annotations['clock_id']}",
        kind=kind,
        state=state,
        severity=labels["severity"],
        at_ms=at_ms,
        labels=labels,
        annotations=annotations,
    )
