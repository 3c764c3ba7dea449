"""What is known about a clock, as factors."""

from __future__ import annotations

import pytest

from sla.contract import Contract, ContractType, Level, PartyRules
from sla.forecast.factors import (
    LONGEST_VALUE,
    MOST_ATTRIBUTES,
    Factor,
    Situation,
    TicketTrace,
    Viewpoint,
    factors_at,
    minutes_class,
    situation_of,
)
from sla.forecast.queues import QueueState
from sla.register import Register
from sla.units import HOUR_MS, MINUTE_MS
from tests.support.domain import OFFICE, at, condition, event, register, target

TARGET = target("resolution", within="8bh", pause=condition(waiting_for="customer"))
VIEWPOINT = Viewpoint.of(TARGET, register(TARGET))
QUEUE = QueueState(12, 3.0)


def trace_of(*events: object) -> TicketTrace:
    return TicketTrace.of(events)  # type: ignore[arg-type]


def situation(*events: object, is_paused: bool = False, waits: int = 0) -> Situation:
    return situation_of(trace_of(*events), VIEWPOINT, is_paused=is_paused, waits=waits)


def value(of: Situation, name: str, when: str = "mon 10:00", queue: QueueState = QUEUE) -> str:
    found = {factor.name: factor.value for factor in factors_at(of, at(when), queue)}
    return found[name]


def test_every_attribute_of_a_ticket_is_a_factor_alone_and_with_the_state() -> None:
    created = event("created", "mon 09:00", printer="HP-7", team="V30")
    factors = factors_at(situation(created), at("mon 10:00"), QUEUE)
    assert Factor("printer", "HP-7") in factors
    assert Factor("printer, state", "HP-7, running/") in factors
    assert Factor("team", "V30") in factors
    names = [factor.name for factor in factors]
    assert len(names) == len(set(names))


def test_the_state_is_what_the_agreement_looks_at() -> None:
    created = event("created", "mon 09:00", printer="HP-7")
    asked = event("updated", "mon 09:30", waiting_for="customer")
    waiting = situation(created, asked, is_paused=True, waits=1)
    assert waiting.state == "waiting/customer"
    assert "waiting_for" not in {factor.name for factor in waiting.settled}
    assert value(waiting, "waits") == "1"
    assert value(waiting, "time in state", "mon 10:30") == f"{minutes_class(HOUR_MS)}, waiting/customer"


def test_hand_overs_are_changes_of_the_field_that_names_the_team() -> None:
    created = event("created", "mon 09:00", squad="A")
    moves = [event("updated", f"mon 09:{minute}", squad=squad) for minute, squad in ((10, "B"), (20, "C"), (30, "B"))]
    contract = Contract(
        "desk", ContractType.SLA, Level.CORPORATE, "p", "o", (TARGET,), parties=PartyRules(None, None, "squad")
    )
    viewpoint = Viewpoint.of(TARGET, Register([contract], {"office": OFFICE}))
    moved = situation_of(trace_of(created, *moves), viewpoint, is_paused=False, waits=0)
    assert moved.team == "B"
    assert value(moved, "state, hand-overs") == "running/, 3"


def test_prose_and_the_hundredth_attribute_are_left_out() -> None:
    many = {f"field{number:03}": "x" for number in range(100)}
    created = event("created", "mon 09:00", a_text="y" * (LONGEST_VALUE + 1), **many)
    names = {factor.name for factor in situation(created).settled}
    assert "a_text" not in names
    assert sum(name.startswith("field") and "," not in name for name in names) == MOST_ATTRIBUTES


def test_a_removed_attribute_is_no_factor_any_more() -> None:
    created = event("created", "mon 09:00", printer="HP-7")
    assert "printer" not in {
        factor.name for factor in situation(created, event("updated", "mon 09:10", printer=None)).settled
    }


def test_time_is_that_of_the_calendars_zone() -> None:
    created = event("created", "mon 09:00")
    assert value(situation(created), "hour of day", "mon 09:30") == "9"
    assert value(situation(created), "weekday", "mon 00:30") == "0"
    assert value(situation(created), "weekday", "sun 23:30") == "6"
    assert value(situation(created), "hours", "mon 08:59") == "closed"
    assert value(situation(created), "hours", "mon 09:00") == "open"


def test_the_queue_and_the_pace_of_the_team_are_factors() -> None:
    held = situation(event("created", "mon 09:00", team="V30"))
    assert value(held, "queue", queue=QueueState(0, 1.0)) == "0"
    assert value(held, "queue", queue=QueueState(40, 1.0)) > value(held, "queue", queue=QueueState(2, 1.0))
    assert value(held, "queue of team", queue=QueueState(0, 1.0)) == "V30, 0"
    assert value(held, "days of work queued", queue=QueueState(10, 100.0)) != value(
        held, "days of work queued", queue=QueueState(10, 1.0)
    )


@pytest.mark.parametrize(
    ("duration_ms", "expected"),
    [(-5, 0), (0, 0), (59_999, 0), (MINUTE_MS, 1), (2 * MINUTE_MS, 2), (HOUR_MS, 6), (64 * MINUTE_MS, 7)],
)
def test_durations_double_from_class_to_class(duration_ms: int, expected: int) -> None:
    assert minutes_class(duration_ms) == expected


def test_a_trace_counts_changes_not_repetitions() -> None:
    trace = trace_of(
        event("created", "mon 09:00", team="A"),
        event("updated", "mon 09:10", team="A"),
        event("updated", "mon 09:20", team="B", note="n"),
    )
    assert trace.changes == {"team": 1}
    assert trace.changed_ms == {"team": at("mon 09:20"), "note": at("mon 09:20")}
    assert (trace.first_ms, trace.last_ms, trace.events, trace.word) == (at("mon 09:00"), at("mon 09:20"), 3, "updated")
