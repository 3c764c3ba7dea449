"""Alerts that an error budget is spent, as values."""

from __future__ import annotations

from sla.budget import Budget
from sla.outcome import Alert, AlertKind, AlertState
from sla.promise import Promise
from sla.units import format_instant
from sla.window import window_name


def budget_alert(promise: Promise, budget: Budget, state: AlertState, at_ms: int) -> Alert:
    """Return the alert that the budget of an objective is spent, or not any more."""
    kind = AlertKind.OBJECTIVE_BUDGET_SPENT
    attained = float(budget.attained_ratio or 0)
    verb, noun = ("good", "bad") if promise.is_availability else ("met", "breached")
    labels = {
        "alertname": kind.value,
        "alert_kind": "objective",
        "severity": "warning",
        "sla_id": promise.contract,
        "objective": promise.id,
    }
    if promise.team:
        labels["team"] = promise.team
    return Alert(
        id=f"{kind.value}/{promise.id}",
        kind=kind,
        state=state,
        severity="warning",
        at_ms=at_ms,
        labels=labels,
        annotations={
            "summary": f"{promise.id}: the error budget of the {window_name(promise.window)} is spent",
            "description": (
                f"{attained:.2%} of {budget.events} {verb}, {float(promise.attain):.2%} promised; {budget.bad} "
                f"{noun} since {format_instant(budget.span.start_ms)}."
            ),
        },
    )


def withdrawn_alert(objective_id: str, at_ms: int) -> Alert:
    """Return the resolve of that alert for an objective that is not promised any more."""
    kind = AlertKind.OBJECTIVE_BUDGET_SPENT
    return Alert(
        id=f"{kind.value}/{objective_id}",
        kind=kind,
        state=AlertState.RESOLVED,
        severity="warning",
        at_ms=at_ms,
        labels={"alertname": kind.value, "objective": objective_id},
        annotations={"summary": f"{objective_id}: the objective is not promised any more"},
    )
