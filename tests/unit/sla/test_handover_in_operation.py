"""Hand-overs of a partition in operation: told without any event, kept over restarts. Office hours as in test_clock."""

from __future__ import annotations

from sla.contract import Target
from sla.outcome import Result
from tests.support.domain import Monitor, at, event, register, target

CREATED = event("created", "mon 09:00")
CLOCK = "INC-1:resolution:1"
WED = "wed 09:00"


def revised(after: str) -> tuple[Target, Target]:
    return (
        target(within="24bh", until=WED, open_until_ms=at(WED), open_then=2),
        target(within=after, revision=2, since=WED),
    )


def test_clock_of_a_contract_that_ends_with_its_tickets_is_told_terminated_without_an_event() -> None:
    desk = Monitor(register(target(within="24bh", until=WED, open_until_ms=at(WED), warn=("1/4",))))
    desk.knows("INC-1", CREATED, now="wed 08:59")
    assert desk.result(CLOCK) is None
    assert list(desk.firing) == [f"SLATicketAtRisk/{CLOCK}"]
    desk.passes(WED)
    verdict = desk.verdict(CLOCK)
    assert (verdict.result, verdict.stop_ms) == (Result.TERMINATED, at(WED))
    assert desk.firing == {}
    assert desk.counted == {}
    assert not any(any(counts) for counts in desk.engine.open_counts.values())


def test_breach_under_the_new_revision_is_told_without_an_event() -> None:
    desk = Monitor(register(*revised("20bh")))
    desk.knows("INC-1", CREATED, now="wed 13:00:30")
    verdict = desk.verdict(CLOCK)
    assert (verdict.result, verdict.revision, verdict.deadline_ms) == (Result.BREACHED, 2, at("wed 13:00"))


def test_deadline_of_the_old_revision_is_no_breach_under_a_longer_new_one() -> None:
    desk = Monitor(register(*revised("40bh")))
    desk.knows("INC-1", CREATED, now="fri 17:00:29")
    assert desk.result(CLOCK) is None
    desk.passes("fri 17:00:30")
    assert desk.result(CLOCK) is Result.BREACHED


def test_late_event_from_before_the_end_of_a_contract_takes_the_termination_back_after_a_restart_too() -> None:
    desk = Monitor(register(target(within="24bh", until=WED, open_until_ms=at(WED))))
    desk.knows("INC-1", CREATED, now="thu 12:00")
    assert desk.result(CLOCK) is Result.TERMINATED
    desk.restarts()
    desk.hears("INC-1", event("resolved", "tue 12:00"))
    desk.passes("thu 12:01")
    assert desk.verdict(CLOCK).stop_ms == at("tue 12:00")
    assert desk.result(CLOCK) is Result.MET
