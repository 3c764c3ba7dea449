"""Faults of our own: one costs one ticket, for a time; nothing of it is lost, and everybody else goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sla import engine as engines
from sla import telling
from sla.engine import FAULT_RETRY_MS, EngineLimits
from sla.events import Reason, Rejected
from sla.outcome import AlertState, Result
from sla.units import DAY_MS
from tests.support.domain import SETTLE_MS, Monitor, at, event, register, target

PLAIN = register(target(within="8bh", warn=("1/2",)))
STRICTER = register(target(within="4bh", warn=("1/2",)))
CREATED = event("created", "mon 09:00")
GOOD, BAD = "INC-1", "INC-2"
LIMITS = EngineLimits(settle_ms=SETTLE_MS, retention_ms=35 * DAY_MS)


class Curse:
    """Lets a function of the engine fail for the ticket ``BAD``."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str, concerns: Callable[..., bool]) -> None:
        module = telling if hasattr(telling, name) else engines
        original = getattr(module, name)
        self.is_lifted = False
        self.text = "division by zero"

        def cursed(*arguments: Any) -> Any:
            if not self.is_lifted and concerns(*arguments):
                raise ZeroDivisionError(self.text)
            return original(*arguments)

        patch.setattr(module, name, cursed)


def is_bad(ticket: Any, *_: Any) -> bool:
    return any(each.changes.get("name") == "bad" for each in ticket.history)


@pytest.fixture
def desk() -> Monitor:
    monitor = Monitor(PLAIN, limits=LIMITS)
    monitor.hears(GOOD, CREATED)
    monitor.hears(BAD, event("created", "mon 09:00", name="bad"))
    return monitor


def swept(desk: Monitor, when: str | int) -> list[tuple[str, str, bool]]:
    """Return the faults of the sweep at an instant."""
    assert not desk.engine.advance_to(at(when))
    outcome = desk.take(desk.engine.finish())
    return [(fault.ticket, str(fault.error), fault.is_new) for fault in outcome.faults]


def test_ticket_that_can_not_be_folded_again_is_left_as_it_is_and_the_others_are_swept(
    desk: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Curse(monkeypatch, "refold", is_bad)
    before = desk.state[b"tINC-2"]
    desk.engine.set_register(STRICTER, 2)
    assert swept(desk, "mon 13:00:30") == [(BAD, "division by zero", True)]
    assert desk.result(f"{GOOD}:resolution:1") is Result.BREACHED
    assert desk.state[b"tINC-2"] == before
    assert desk.engine.set_aside == [BAD]
    assert len(desk.engine) == 2


def test_ticket_set_aside_is_tried_again_after_an_hour_and_then_nothing_is_missing(
    desk: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    curse = Curse(monkeypatch, "refold", is_bad)
    desk.engine.set_register(STRICTER, 2)
    first_ms = at("mon 13:00:30")
    assert swept(desk, first_ms) == [(BAD, "division by zero", True)]
    assert swept(desk, first_ms + FAULT_RETRY_MS - 1) == []
    assert swept(desk, first_ms + FAULT_RETRY_MS) == [(BAD, "division by zero", False)], "nothing new: no second log"
    curse.text = "modulo by zero"
    assert swept(desk, first_ms + 2 * FAULT_RETRY_MS) == [(BAD, "modulo by zero", True)]
    curse.is_lifted = True
    assert swept(desk, first_ms + 3 * FAULT_RETRY_MS) == []
    assert desk.engine.set_aside == []
    verdict = desk.verdict(f"{BAD}:resolution:1")
    assert (verdict.result, verdict.decided_at_ms) == (Result.BREACHED, at("mon 13:00"))
    assert desk.totals("resolution") == (0, 2)


def test_ticket_set_aside_is_tried_at_once_by_its_next_owner_and_under_a_newer_register(
    desk: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    curse = Curse(monkeypatch, "refold", is_bad)
    desk.engine.set_register(STRICTER, 2)
    swept(desk, "mon 10:00")
    desk.restarts()
    assert swept(desk, "mon 10:00:01") == [(BAD, "division by zero", True)]
    desk.engine.set_register(PLAIN, 3)
    assert swept(desk, "mon 10:00:02") == [(BAD, "division by zero", False)]
    curse.is_lifted = True
    desk.engine.set_register(STRICTER, 4)
    assert swept(desk, "mon 10:00:03") == []
    assert desk.engine.set_aside == []


def test_ticket_that_can_not_be_judged_keeps_the_events_of_the_step(
    desk: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    curse = Curse(monkeypatch, "clock_alert", lambda *given: given[4] == BAD)
    assert swept(desk, "mon 13:00") == [(BAD, "division by zero", True)]
    assert [alert.labels["ticket_id"] for alert in desk.firing.values()] == [GOOD]
    desk.hears(BAD, event("updated", "mon 13:01"))
    assert [entry.event for entry in desk.ticket(BAD).history] == ["created", "updated"]
    assert desk.engine.set_aside == [BAD]
    curse.is_lifted = True
    desk.passes(at("mon 13:00") + FAULT_RETRY_MS)
    assert [alert.labels["ticket_id"] for alert in desk.firing.values()] == [GOOD, BAD], "what failed was not told"
    desk.hears(BAD, event("resolved", "mon 13:02"))
    assert [alert.state for alert in desk.alerts if alert.labels["ticket_id"] == BAD] == [
        AlertState.FIRING,
        AlertState.RESOLVED,
    ]


def test_verdict_told_before_the_ticket_failed_is_not_told_again(
    desk: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    curse = Curse(monkeypatch, "clock_alert", lambda *given: given[4] == BAD)
    assert swept(desk, "mon 17:00:30") == [(BAD, "division by zero", True)]
    assert desk.result(f"{BAD}:resolution:1") is Result.BREACHED
    curse.is_lifted = True
    desk.passes(at("mon 17:00:30") + FAULT_RETRY_MS)
    assert len(desk.published) == 2
    assert desk.totals("resolution") == (0, 2)
    assert len(desk.firing) == 4


def test_register_that_a_ticket_of_the_running_step_fails_under_goes_into_force(
    desk: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Curse(monkeypatch, "refold", is_bad)
    desk.engine.apply(BAD, event("updated", "mon 10:00"))
    desk.engine.set_register(STRICTER, 2)
    outcome = desk.take(desk.engine.finish())
    assert [fault.ticket for fault in outcome.faults] == [BAD]
    assert [entry.event for entry in desk.ticket(BAD).history] == ["created", "updated"]
    assert swept(desk, "mon 13:00:30") == [(BAD, "division by zero", False)]
    assert desk.result(f"{GOOD}:resolution:1") is Result.BREACHED


def test_event_that_begins_a_forgotten_ticket_anew_is_rejected_while_the_former_one_can_not_be_judged(
    desk: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.hears(BAD, event("resolved", "mon 10:00"))
    monkeypatch.setattr(engines.clocks, "decision_of", _raises)
    late = event("created", at("mon 10:00") + LIMITS.retention_ms)
    rejected = desk.engine.apply(BAD, late)
    assert rejected == Rejected(Reason.INTERNAL_ERROR, "ZeroDivisionError: division by zero")
    desk.take(desk.engine.finish())
    assert [entry.event for entry in desk.ticket(BAD).history] == ["created", "resolved"]


def test_step_says_how_many_tickets_were_computed(desk: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    Curse(monkeypatch, "clock_alert", lambda *given: given[4] == BAD)
    for number in range(3, 8):
        desk.engine.apply(f"INC-{number}", CREATED)
    desk.engine.advance_to(at("mon 13:00"))
    outcome = desk.engine.finish()
    assert (outcome.computed, len(outcome.faults)) == (6, 1)


def _raises(*_: Any) -> Any:
    raise ZeroDivisionError("division by zero")
