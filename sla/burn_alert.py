"""Burn-rate alerts as values: identity, labels that never change, prose with the numbers."""

from __future__ import annotations

from typing import Final

from sla.budget import Budget
from sla.burn_rate import Severity
from sla.outcome import Alert, AlertKind, AlertState
from sla.units import format_instant

SEVERITY_LABEL: Final = {Severity.PAGE: "critical", Severity.TICKET: "warning"}
"""What routes look at: a page is critical, a ticket is a warning."""


def burn_alert_id(objective: str, severity: Severity) -> str:
    """Return the id of the alert that an objective burns: ``SLAObjectiveBurning/portal-availability/page``."""
    return f"{AlertKind.OBJECTIVE_BURNING.value}/{objective}/{severity.value}"


def burn_alert(
    objective: str,
    severity: Severity,
    state: AlertState,
    at_ms: int,
    *,
    contract: str | None,
    team: str | None,
    window: str,
    budget: Budget | None,
) -> Alert:
    """Return the alert that the error budget of an objective is burning, or not any more.

    Parameters
    ----------
    contract : str or None
        None if the objective is not promised any more.
    window : str
        Name of the objective's window, such as ``30d``.
    budget : Budget or None
        At the decision; None if the objective is not promised any more.
    """
    kind = AlertKind.OBJECTIVE_BURNING
    labels = {
        "alertname": kind.value,
        "alert_kind": "objective",
        "severity": SEVERITY_LABEL[severity],
        "burn": severity.value,
        "objective": objective,
    }
    if contract is not None:
        labels["sla_id"] = contract
    if team:
        labels["team"] = team
    if budget is None:
        annotations = {"summary": f"{objective}: the objective is not promised any more"}
    elif state is AlertState.RESOLVED:
        annotations = {
            "summary": f"{objective}: the error budget of the {window} is not burning any more",
            "description": _numbers(budget),
        }
    else:
        annotations = {
            "summary": f"{objective}: the error budget of the {window} is burning ({severity.value})",
            "description": _numbers(budget),
        }
    return Alert(
        id=burn_alert_id(objective, severity),
        kind=kind,
        state=state,
        severity=labels["severity"],
        at_ms=at_ms,
        labels=labels,
        annotations=annotations,
    )


def _numbers(budget: Budget) -> str:
    since = format_instant(budget.span.start_ms)
    spent, minutes = budget.spent_ratio, budget.remaining_minutes
    bad = f"{budget.bad} of {budget.events} bad since {since}"
    if spent is None or minutes is None:
        return f"{bad}; none is allowed."
    about = "about " if budget.is_estimated else ""
    left = f"{float(abs(minutes)):.1f} minutes {'left' if minutes >= 0 else 'over it'}"
    return f"{bad}: {about}{float(spent):.1%} of the budget is spent, {left} at {float(budget.attain):.4g} promised."
