"""Alerts about single clocks, as values."""

from __future__ import annotations

import pytest

from sla import clock as clocks
from sla.alerting import clock_alert
from sla.clock import Clock
from sla.outcome import Alert, AlertKind, AlertState
from tests.support.domain import OFFICE, at, target

OF = target("p1-resolution", within="8bh", warn=("1/2", "3/4"), contract="acme-support", team="workplace")
FIELDS = {"priority": "P1", "service": "printing", "customer": "acme", "region": "emea", "title": "a secret"}


def a_clock(level: int = 1) -> Clock:
    clock = clocks.start_clock(OF, OFFICE, 2, at("mon 09:00"), start_ms=at("mon 09:00"), consumed_ms=0)
    clock.alerted_level = level
    return clock


def alert(
    kind: AlertKind = AlertKind.TICKET_AT_RISK, clock: Clock | None = None, fields: dict[str, str] | None = None
) -> Alert:
    fields = FIELDS if fields is None else fields
    return clock_alert(kind, AlertState.FIRING, clock or a_clock(), OF, "INC-1", fields, at("mon 13:00"))


def test_alert_is_identified_by_kind_and_clock() -> None:
    assert alert().id == "SLATicketAtRisk/INC-1:p1-resolution:2"
    assert alert(AlertKind.TICKET_BREACHED).id == "SLATicketBreached/INC-1:p1-resolution:2"


def test_labels_say_who_and_what_and_never_how_much() -> None:
    assert alert().labels == {
        "alertname": "SLATicketAtRisk",
        "alert_kind": "predicted",
        "severity": "warning",
        "sla_id": "acme-support",
        "target": "p1-resolution",
        "ticket_id": "INC-1",
        "team": "workplace",
        "priority": "P1",
        "service": "printing",
        "customer": "acme",
        "region": "emea",
    }
    assert alert(clock=a_clock(level=2)).labels == alert().labels


def test_team_of_the_ticket_goes_before_that_of_the_contract() -> None:
    assert alert(fields={"team": "network"}).labels["team"] == "network"
    assert alert(fields={}).labels["team"] == "workplace"


def test_breach_is_critical() -> None:
    breached = alert(AlertKind.TICKET_BREACHED)
    assert breached.severity == breached.labels["severity"] == "critical"
    assert breached.labels["alert_kind"] == "breached"


def test_annotations_say_how_much_is_used_up_and_when_it_is_due() -> None:
    assert alert(clock=a_clock(level=2)).annotations == {
        "clock_id": "INC-1:p1-resolution:2",
        "started_at": "2026-03-02T08:00:00.000Z",
        "deadline": "2026-03-02T16:00:00.000Z",
        "summary": "INC-1: resolution (p1-resolution) is at risk: 75% of its target is used up",
        "description": "Due 2026-03-02T16:00:00.000Z under contract acme-support.",
    }


def test_paused_clock_at_risk_has_no_deadline() -> None:
    clock = a_clock()
    clocks.pause(clock, OF, OFFICE, at("mon 13:30"))
    annotations = alert(clock=clock).annotations
    assert "deadline" not in annotations
    assert annotations["description"] == "The clock is paused; 50% is used up under contract acme-support."


def test_breach_says_when_it_was_due() -> None:
    annotations = alert(AlertKind.TICKET_BREACHED).annotations
    assert annotations["summary"] == "INC-1: resolution (p1-resolution) has breached its target"
    assert annotations["description"] == "Due 2026-03-02T16:00:00.000Z under contract acme-support; still open."


@pytest.mark.parametrize(("level", "used"), [(0, "part"), (1, "50%"), (2, "75%"), (3, "75%")])
def test_level_that_the_target_does_not_have_any_more_is_its_highest(level: int, used: str) -> None:
    assert f"at risk: {used} of" in alert(clock=a_clock(level)).annotations["summary"]


def test_alert_of_an_ola_names_the_slas_it_endangers() -> None:
    endangers = [("acme-support", "printing-response", 1), ("acme-support", "printing-resolution", 2)]
    named = "INC-1:printing-response:1 of acme-support, INC-1:printing-resolution:2 of acme-support"
    for kind in (AlertKind.TICKET_AT_RISK, AlertKind.TICKET_BREACHED):
        found = clock_alert(kind, AlertState.FIRING, a_clock(), OF, "INC-1", FIELDS, at("mon 13:00"), endangers)
        assert found.annotations["endangers"] == named
        assert found.annotations["description"].endswith(f" Supports {named}.")
        assert "endangers" not in found.labels
    assert "endangers" not in alert().annotations
