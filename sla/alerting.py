"""Alerts about single clocks, as values: identity, labels that never change, prose with the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sla.clock import Clock, risk_level_of
from sla.contract import Target, TimeBase
from sla.duration import format_duration
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
    endangers: Sequence[tuple[str, str, int]] = (),
) -> Alert:
    """Return the alert of a kind about one clock.

    Labels identify: who, what, which ticket. Nothing in them changes while the alert fires (its reader pins those it
    saw first); share consumed, deadline and time left are annotations.

    Parameters
    ----------
    endangers : sequence of (contract, target, cycle)
        Of an OLA or UC: the ticket's clocks of the SLAs it supports; the annotation ``endangers`` names them.
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
        risk = risk_level_of(clock, target, clock.alerted_level)
        if risk is not None and risk.lead_ms is not None:
            left = format_duration(risk.lead_ms, target.within.base is TimeBase.BUSINESS)
            used = of_target = f"at most {left} is left"
        else:
            share = "part" if risk is None or risk.share is None else f"{float(risk.share):.0%}"
            used, of_target = f"{share} is used up", f"{share} of its target is used up"
        annotations["summary"] = f"{subject} is at risk: {of_target}"
        annotations["description"] = (
            f"Due {annotations['deadline']} under contract {target.contract}."
            if "deadline" in annotations
            else f"The clock is paused; {used} under contract {target.contract}."
        )
    if endangers:
        named = ", ".join(f"{ticket}:{of}:{cycle} of {contract}" for contract, of, cycle in endangers)
        annotations["endangers"] = named
        annotations["description"] += f" Supports {named}."
    return Alert(
        id=f"{kind.value}/{annotations['clock_id']}",
        kind=kind,
        state=state,
        severity=labels["severity"],
        at_ms=at_ms,
        labels=labels,
        annotations=annotations,
    )
