"""The fold of a ticket's history into clocks. Office hours are Mon-Fri 09:00-17:00 in Berlin."""

from __future__ import annotations

from itertools import permutations

import pytest

from sla.clock import Clock, Phase, Published
from sla.contract import OnChange, Reopen, Target
from sla.events import TicketEvent
from sla.fold import Added, add_event, refold
from sla.register import Register
from sla.ticket import Ticket, new_ticket
from sla.units import HOUR_MS, NEVER
from tests.support.domain import any_of, at, by_priority, condition, event, register, target

ONE_TARGET = register(target(within="8bh"))
PRIORITIES = register(*by_priority(P1="4bh", P2="8bh", P3="16bh"))


def fold(of: Register, *events: TicketEvent) -> Ticket:
    ticket = new_ticket(1)
    for each in events:
        add_event(ticket, each, of, [])
    return ticket


def clock_of(of: Register, *events: TicketEvent) -> Clock:
    """Return the only clock."""
    (clock,) = fold(of, *events).clocks
    return clock


def story(ticket: Ticket) -> list[tuple[str, int, Phase]]:
    return [(clock.target_id, clock.cycle, Phase(clock.phase)) for clock in ticket.clocks]


CREATED = event("created", "mon 09:00")
CREATED_P2 = event("created", "mon 09:00", priority="P2")
RESOLVED = event("resolved", "mon 16:00")

# --- one clock -----------------------------------------------------------------------------------------------------


def test_clock_starts_pauses_resumes_and_stops_as_the_events_say() -> None:
    clock = clock_of(
        ONE_TARGET,
        CREATED,
        event("updated", "mon 10:00", waiting_for="customer"),
        event("updated", "mon 12:00", waiting_for=None),
        event("resolved", "mon 15:00"),
    )
    assert clock.phase == Phase.STOPPED
    assert clock.consumed_ms == 4 * HOUR_MS
    assert clock.deadline_ms == at("tue 11:00")


def test_ticket_that_no_target_applies_to_has_no_clock_and_keeps_its_history() -> None:
    ticket = fold(PRIORITIES, CREATED, RESOLVED)
    assert ticket.clocks == []
    assert ticket.is_closed
    assert ticket.history == [CREATED, RESOLVED]


def test_clock_does_not_start_without_its_event() -> None:
    assert fold(ONE_TARGET, event("updated", "mon 09:00"), RESOLVED).clocks == []


def test_ticket_created_in_waiting_starts_paused() -> None:
    clock = clock_of(ONE_TARGET, event("created", "mon 09:00", waiting_for="customer"))
    assert clock.phase == Phase.PAUSED
    assert clock.consumed_ms == 0


@pytest.mark.parametrize(
    ("at_once", "phase"),
    [
        ({"status": "solved"}, Phase.STOPPED),
        ({"status": "void"}, Phase.CANCELLED),
        ({"status": "merged"}, Phase.MERGED),
    ],
)
def test_ticket_that_is_ended_as_it_is_created_has_an_ended_clock(at_once: dict[str, str], phase: Phase) -> None:
    of = register(
        target(stop=condition(status="solved"), cancel=condition(status="void"), merge=condition(status="merged"))
    )
    assert clock_of(of, event("created", "mon 09:00", **at_once)).phase == phase


def test_pause_that_is_an_event_ends_with_the_next_one() -> None:
    of = register(target(within="8bh", pause=condition("parked")))
    events = (CREATED, event("parked", "mon 10:00"), event("note", "mon 12:00"))
    assert clock_of(of, *events[:2]).phase == Phase.PAUSED
    clock = clock_of(of, *events)
    assert clock.phase == Phase.RUNNING
    assert clock.deadline_ms == at("tue 11:00")


def test_event_after_the_deadline_finds_the_clock_breached() -> None:
    assert not clock_of(ONE_TARGET, CREATED, event("note", "mon 17:00")).breached
    assert clock_of(ONE_TARGET, CREATED, event("note", "mon 17:00:00.001")).breached


# --- several conditions in one event -------------------------------------------------------------------------------


def test_event_that_replies_and_sets_waiting_stops_the_clock() -> None:
    of = register(target(stop=condition("responded")))
    clock = clock_of(of, CREATED, event("responded", "mon 10:00", waiting_for="customer"))
    assert clock.phase == Phase.STOPPED


def everything_at_once(**terms: object) -> Register:
    """Every condition is a value of the field `now`: a list of them holds at once."""
    return register(
        target(
            stop=condition(stop="yes"),
            cancel=condition(cancel="yes"),
            merge=condition(merge="yes"),
            pause=condition(pause="yes"),
            applies_to={"priority": "P1"},
            **terms,  # type: ignore[arg-type]
        ),
        target("other", applies_to={"priority": "P2"}, stop=condition(other="yes"), cancel=condition(other="void")),
    )


@pytest.mark.parametrize(
    ("holds", "phase"),
    [
        ({"stop", "cancel", "merge", "priority", "pause"}, Phase.STOPPED),
        ({"cancel", "merge", "priority", "pause"}, Phase.CANCELLED),
        ({"merge", "priority", "pause"}, Phase.MERGED),
        ({"priority", "pause"}, Phase.SUPERSEDED),
        ({"pause"}, Phase.PAUSED),
        (set(), Phase.RUNNING),
    ],
)
def test_stop_wins_over_cancel_over_merge_over_change_over_pause(holds: set[str], phase: Phase) -> None:
    changes = {name: "P2" if name == "priority" else "yes" for name in holds}
    ticket = fold(
        everything_at_once(), event("created", "mon 09:00", priority="P1"), event("updated", "mon 10:00", **changes)
    )
    assert ticket.clocks[0].phase == phase


def test_stop_wins_over_reopening() -> None:
    of = register(target(stop=condition(status="resolved"), reopen_when=condition("reopened")))
    ticket = fold(
        of,
        CREATED,
        event("resolved", "mon 10:00", status="resolved"),
        event("reopened", "mon 11:00"),
    )
    assert story(ticket) == [("resolution", 1, Phase.STOPPED)], "its status still says resolved: no second cycle"


@pytest.mark.parametrize("policy", list(Reopen))
def test_event_that_reopens_and_stops_leaves_the_clock_stopped(policy: Reopen) -> None:
    of = register(target(stop=any_of(condition("resolved"), condition(status="resolved")), reopen=policy))
    ticket = fold(of, CREATED, RESOLVED, event("reopened", "tue 10:00", status="resolved"))
    assert story(ticket) == [("resolution", 1, Phase.STOPPED)]
    assert ticket.clocks[0].ended_ms == at("mon 16:00")


# --- cancel, merge -------------------------------------------------------------------------------------------------


def test_cancelled_ticket_ends_its_clock_and_a_merged_one_too() -> None:
    assert clock_of(ONE_TARGET, CREATED, event("cancelled", "mon 10:00")).phase == Phase.CANCELLED
    assert clock_of(ONE_TARGET, CREATED, event("merged", "mon 10:00")).phase == Phase.MERGED


# --- reopening -----------------------------------------------------------------------------------------------------


def reopened(policy: Reopen, **at_reopening: str | None) -> Ticket:
    of = register(target(within="8bh", reopen=policy))
    return fold(of, CREATED, event("resolved", "mon 12:00"), event("reopened", "tue 09:00", **at_reopening))


def test_reopening_starts_a_new_cycle() -> None:
    ticket = reopened(Reopen.NEW_CYCLE)
    assert story(ticket) == [("resolution", 1, Phase.STOPPED), ("resolution", 2, Phase.RUNNING)]
    assert ticket.clocks[1].start_ms == at("tue 09:00")
    assert ticket.clocks[1].deadline_ms == at("tue 17:00")


def test_reopening_lets_the_clock_go_on_and_the_closed_time_is_a_pause() -> None:
    ticket = reopened(Reopen.RESUME)
    assert story(ticket) == [("resolution", 1, Phase.RUNNING)]
    assert ticket.clocks[0].deadline_ms == at("tue 14:00")


def test_reopening_into_waiting_leaves_the_clock_paused() -> None:
    for policy in (Reopen.NEW_CYCLE, Reopen.RESUME):
        assert reopened(policy, waiting_for="customer").clocks[-1].phase == Phase.PAUSED


def test_reopening_is_ignored_if_the_target_says_so() -> None:
    assert story(reopened(Reopen.IGNORE)) == [("resolution", 1, Phase.STOPPED)]


def test_reopened_cancelled_ticket_starts_a_new_cycle_under_either_policy() -> None:
    for policy in (Reopen.NEW_CYCLE, Reopen.RESUME):
        of = register(target(reopen=policy))
        ticket = fold(of, CREATED, event("cancelled", "mon 12:00"), event("reopened", "tue 09:00"))
        assert story(ticket) == [("resolution", 1, Phase.CANCELLED), ("resolution", 2, Phase.RUNNING)]


def test_start_event_after_the_stop_is_no_reopening() -> None:
    ticket = fold(ONE_TARGET, CREATED, RESOLVED, event("created", "tue 09:00"))
    assert story(ticket) == [("resolution", 1, Phase.STOPPED)]


def test_reopening_at_the_instant_of_the_stop_starts_a_new_cycle() -> None:
    ticket = fold(ONE_TARGET, CREATED, RESOLVED, event("reopened", "mon 16:00"))
    assert story(ticket) == [("resolution", 1, Phase.STOPPED), ("resolution", 2, Phase.RUNNING)]


def test_clock_that_goes_on_does_so_under_the_target_that_applies_since_it_stopped() -> None:
    of = register(
        target("p1", within="4bh", applies_to={"priority": "P1"}, reopen=Reopen.RESUME),
        target("p2", within="8bh", applies_to={"priority": "P2"}, reopen=Reopen.RESUME),
    )
    ticket = fold(
        of,
        CREATED_P2,
        event("resolved", "mon 12:00"),
        event("updated", "mon 13:00", priority="P1"),
        event("reopened", "tue 09:00"),
    )
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.RUNNING)]
    assert ticket.clocks[1].consumed_ms == 3 * HOUR_MS
    assert ticket.clocks[1].deadline_ms == at("tue 10:00")


# --- change of the matching target ---------------------------------------------------------------------------------


def changed(policy: OnChange, *, within: str = "4bh", when: str = "mon 11:00", **changes: str | None) -> Clock:
    """A P2 ticket created on Monday at 09:00 and waiting from 09:30 to 10:00 becomes P1."""
    of = register(
        target("p1", within=within, applies_to={"priority": "P1"}, on_change=policy),
        target("p2", within="8bh", applies_to={"priority": "P2"}),
    )
    ticket = fold(
        of,
        CREATED_P2,
        event("updated", "mon 09:30", waiting_for="customer"),
        event("updated", "mon 10:00", waiting_for=None),
        event("updated", when, priority="P1", **changes),
    )
    assert story(ticket)[0] == ("p2", 1, Phase.SUPERSEDED)
    assert len(ticket.clocks) == 2
    return ticket.clocks[1]


def test_change_carries_the_time_consumed() -> None:
    clock = changed(OnChange.CARRY)
    assert clock.start_ms == at("mon 09:00")
    assert clock.consumed_ms == 90 * 60_000
    assert clock.deadline_ms == at("mon 13:30")


def test_change_restarts() -> None:
    clock = changed(OnChange.RESTART)
    assert clock.start_ms == at("mon 11:00")
    assert clock.consumed_ms == 0
    assert clock.deadline_ms == at("mon 15:00")


def test_change_applies_retroactively_with_the_pauses_of_the_new_target() -> None:
    clock = changed(OnChange.RETROACTIVE)
    assert clock.start_ms == at("mon 09:00")
    assert clock.deadline_ms == at("mon 13:30")
    without_pause = register(
        target("p1", within="4bh", applies_to={"priority": "P1"}, on_change=OnChange.RETROACTIVE, pause=None),
        target("p2", within="8bh", applies_to={"priority": "P2"}),
    )
    ticket = fold(
        without_pause,
        CREATED_P2,
        event("updated", "mon 09:30", waiting_for="customer"),
        event("updated", "mon 11:00", priority="P1"),
    )
    assert ticket.clocks[1].deadline_ms == at("mon 13:00")


@pytest.mark.parametrize("policy", list(OnChange))
def test_change_into_waiting_pauses_the_new_clock(policy: OnChange) -> None:
    clock = changed(policy, waiting_for="customer")
    assert clock.phase == Phase.PAUSED
    assert clock.consumed_ms == (0 if policy is OnChange.RESTART else 90 * 60_000)


def test_change_to_a_smaller_target_already_overspent_is_breached_at_the_change() -> None:
    clock = changed(OnChange.CARRY, within="1bh")
    assert clock.breached
    assert clock.deadline_ms == at("mon 11:00")


def test_retroactive_change_to_a_target_already_overspent_is_breached_at_its_own_deadline() -> None:
    clock = changed(OnChange.RETROACTIVE, within="1bh")
    assert clock.breached
    assert clock.deadline_ms == at("mon 10:30")


@pytest.mark.parametrize("policy", list(OnChange))
def test_change_that_stops_the_clock_as_the_new_target_sees_it_stops_it(policy: OnChange) -> None:
    of = register(
        target("p1", applies_to={"priority": "P1"}, stop=condition("resolved"), on_change=policy),
        target("p2", applies_to={"priority": "P2"}, stop=condition("closed")),
    )
    ticket = fold(of, CREATED_P2, event("resolved", "mon 10:00", priority="P1"))
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.STOPPED)]


def test_retroactive_change_takes_closed_time_as_a_pause_where_the_clock_went_on() -> None:
    of = register(
        *(
            target(
                f"p{n}",
                within="8bh",
                applies_to={"priority": f"P{n}"},
                reopen=Reopen.RESUME,
                on_change=OnChange.RETROACTIVE,
            )
            for n in (1, 2)
        )
    )
    ticket = fold(
        of,
        CREATED_P2,
        event("resolved", "mon 10:00"),
        event("reopened", "wed 10:00"),
        event("updated", "wed 11:00", priority="P1"),
    )
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.RUNNING)]
    assert ticket.clocks[1].deadline_ms == at("wed 17:00"), "one hour on Monday, seven from Wednesday at 10:00"


def test_retroactive_change_stops_where_the_new_target_would_have_stopped() -> None:
    of = register(
        target("p1", applies_to={"priority": "P1"}, stop=condition("responded"), on_change=OnChange.RETROACTIVE),
        target("p2", applies_to={"priority": "P2"}),
    )
    ticket = fold(of, CREATED_P2, event("responded", "mon 10:00"), event("updated", "mon 12:00", priority="P1"))
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.STOPPED)]
    assert ticket.clocks[1].ended_ms == at("mon 10:00")


def test_retroactive_change_of_a_reopened_ticket_counts_the_current_cycle() -> None:
    of = register(
        target(
            "p1",
            within="8bh",
            applies_to={"priority": "P1"},
            stop=condition("responded"),
            on_change=OnChange.RETROACTIVE,
        ),
        target("p2", within="8bh", applies_to={"priority": "P2"}, stop=condition("resolved")),
    )
    ticket = fold(
        of,
        CREATED_P2,
        event("responded", "mon 10:00"),
        event("reopened", "mon 12:00"),
        event("updated", "mon 13:00", priority="P1"),
    )
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.RUNNING)]
    assert ticket.clocks[1].start_ms == at("mon 12:00")


def test_retroactive_change_of_a_new_cycle_reaches_back_to_its_own_beginning() -> None:
    of = register(
        target("p1", within="4bh", applies_to={"priority": "P1"}, on_change=OnChange.RETROACTIVE),
        target("p2", within="8bh", applies_to={"priority": "P2"}),
    )
    ticket = fold(
        of,
        CREATED_P2,
        event("resolved", "mon 12:00"),
        event("reopened", "tue 09:00"),
        event("updated", "tue 10:00", priority="P1"),
    )
    assert story(ticket)[-1] == ("p1", 1, Phase.RUNNING)
    assert ticket.clocks[-1].start_ms == at("tue 09:00")
    assert ticket.clocks[-1].deadline_ms == at("tue 13:00")


def test_changing_back_and_again_keeps_cycle_numbers_unique() -> None:
    ticket = fold(
        PRIORITIES,
        CREATED_P2,
        *(event("updated", f"mon {hour:02d}:00", priority=p) for hour, p in enumerate(("P1", "P2", "P1", "P2"), 10)),
    )
    assert story(ticket) == [
        ("resolution-P2", 1, Phase.SUPERSEDED),
        ("resolution-P1", 1, Phase.SUPERSEDED),
        ("resolution-P2", 2, Phase.SUPERSEDED),
        ("resolution-P1", 2, Phase.SUPERSEDED),
        ("resolution-P2", 3, Phase.RUNNING),
    ]
    assert ticket.clocks[-1].consumed_ms == 4 * HOUR_MS
    assert ticket.clocks[-1].deadline_ms == at("mon 17:00"), "as if nothing had happened"


def test_change_of_a_field_that_no_target_matches_by_changes_nothing() -> None:
    ticket = fold(PRIORITIES, CREATED_P2, event("updated", "mon 10:00", region="emea"))
    assert story(ticket) == [("resolution-P2", 1, Phase.RUNNING)]


def test_event_before_the_end_finds_the_clock_of_its_time() -> None:
    """A late change refolds: the clocks are those of the true order."""
    in_order = (CREATED_P2, event("updated", "mon 10:00", priority="P1"), event("resolved", "mon 16:00"))
    expected = fold(PRIORITIES, *in_order)
    assert story(expected) == [("resolution-P2", 1, Phase.SUPERSEDED), ("resolution-P1", 1, Phase.STOPPED)]
    for order in permutations(in_order):
        assert fold(PRIORITIES, *order) == expected


def test_event_that_starts_one_promise_does_nothing_to_the_others() -> None:
    of = register(
        target("resolution"), target("hold", metric="hold", start=condition("assigned"), reopen_when=condition("x"))
    )
    ticket = fold(of, CREATED, RESOLVED, event("assigned", "tue 09:00"))
    assert story(ticket) == [("resolution", 1, Phase.STOPPED), ("hold", 1, Phase.RUNNING)]


def test_reopening_of_what_never_began_starts_nothing() -> None:
    assert fold(ONE_TARGET, event("reopened", "mon 09:00")).clocks == []


# --- out of all targets and back -----------------------------------------------------------------------------------


def left_and_back(*between: TicketEvent, policy: Reopen = Reopen.NEW_CYCLE, **at_return: str) -> Ticket:
    """A P2 ticket of Monday 09:00 has no priority from 11:00 on and is P1 from Tuesday 09:00 on."""
    of = register(
        *(
            target(
                f"p{n}",
                within=f"{4 * n}bh",
                applies_to={"priority": f"P{n}"},
                reopen=policy,
                stop=condition("resolved"),
            )
            for n in (1, 2)
        )
    )
    return fold(
        of,
        CREATED_P2,
        event("updated", "mon 11:00", priority=None),
        *between,
        event(at_return.pop("kind", "updated"), "tue 09:00", priority="P1", **at_return),
    )


def test_clock_of_a_ticket_that_leaves_all_targets_ends() -> None:
    ticket = fold(PRIORITIES, CREATED_P2, event("updated", "mon 11:00", priority=None), event("updated", "tue 09:00"))
    assert story(ticket) == [("resolution-P2", 1, Phase.SUPERSEDED)]
    assert ticket.is_closed


def test_clock_of_a_ticket_that_comes_back_goes_on_and_the_time_outside_does_not_count() -> None:
    ticket = left_and_back()
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.RUNNING)]
    assert ticket.clocks[1].consumed_ms == 2 * HOUR_MS
    assert ticket.clocks[1].deadline_ms == at("tue 11:00")


def test_clock_of_a_reopened_ticket_that_comes_back_goes_on_too() -> None:
    """What ended an earlier cycle has nothing to do with it."""
    ticket = fold(
        PRIORITIES,
        CREATED_P2,
        event("resolved", "mon 09:30"),
        event("reopened", "mon 10:00"),
        event("updated", "mon 11:00", priority=None),
        event("updated", "tue 09:00", priority="P2"),
    )
    assert story(ticket)[1:] == [("resolution-P2", 2, Phase.SUPERSEDED), ("resolution-P2", 3, Phase.RUNNING)]
    assert ticket.clocks[-1].consumed_ms == HOUR_MS


def test_ticket_that_comes_back_resolved_is_stopped() -> None:
    ticket = left_and_back(kind="resolved")
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.STOPPED)]


def test_ticket_that_comes_back_waiting_is_paused() -> None:
    assert left_and_back(waiting_for="customer").clocks[1].phase == Phase.PAUSED


def test_ticket_that_was_resolved_outside_all_targets_gets_no_clock_when_it_comes_back() -> None:
    assert story(left_and_back(event("resolved", "mon 12:00"))) == [("p2", 1, Phase.SUPERSEDED)]


@pytest.mark.parametrize(
    ("policy", "expected"), [(Reopen.NEW_CYCLE, 0), (Reopen.RESUME, 2 * HOUR_MS), (Reopen.IGNORE, None)]
)
@pytest.mark.parametrize("outside", [True, False])
def test_ticket_reopened_after_it_was_resolved_outside_follows_the_policy(
    policy: Reopen, expected: int | None, outside: bool
) -> None:
    resolved, again = event("resolved", "mon 12:00"), event("reopened", "mon 13:00")
    ticket = (
        left_and_back(resolved, again, policy=policy)
        if outside
        else left_and_back(resolved, policy=policy, kind="reopened")
    )
    consumed = [clock.consumed_ms for clock in ticket.clocks[1:]]
    assert consumed == ([] if expected is None else [expected])


# --- triage: a target that applies only since a change -------------------------------------------------------------


def triaged(*between: TicketEvent, kind: str = "updated", within: str = "8bh", **terms: object) -> Ticket:
    of = register(target("p1", within=within, applies_to={"priority": "P1"}, **terms))  # type: ignore[arg-type]
    return fold(of, CREATED, *between, event(kind, "mon 12:00", priority="P1"))


def test_priority_set_at_triage_counts_from_creation() -> None:
    ticket = triaged()
    assert story(ticket) == [("p1", 1, Phase.RUNNING)]
    assert ticket.clocks[0].start_ms == at("mon 09:00")
    assert ticket.clocks[0].deadline_ms == at("mon 17:00")


def test_priority_set_at_triage_counts_pauses_before_it() -> None:
    ticket = triaged(
        event("updated", "mon 10:00", waiting_for="customer"), event("updated", "mon 11:00", waiting_for=None)
    )
    assert ticket.clocks[0].deadline_ms == at("tue 10:00")


def test_priority_set_at_triage_counts_from_the_change_if_the_target_restarts() -> None:
    clock = triaged(on_change=OnChange.RESTART).clocks[0]
    assert clock.start_ms == at("mon 12:00")
    assert clock.consumed_ms == 0


def test_priority_set_by_the_event_that_resolves_is_measured() -> None:
    ticket = triaged(kind="resolved")
    assert story(ticket) == [("p1", 1, Phase.STOPPED)]
    assert ticket.clocks[0].consumed_ms == 3 * HOUR_MS
    assert triaged(kind="resolved", on_change=OnChange.RESTART).clocks == []


def test_answer_before_triage_is_measured_by_the_target_that_triage_brings() -> None:
    stopped = triaged(event("resolved", "mon 10:00")).clocks[0]
    assert (stopped.phase, stopped.start_ms, stopped.ended_ms) == (Phase.STOPPED, at("mon 09:00"), at("mon 10:00"))
    assert (stopped.consumed_ms, stopped.deadline_ms, stopped.breached) == (HOUR_MS, at("mon 17:00"), False)
    late = triaged(event("resolved", "mon 11:00"), within="1bh").clocks[0]
    assert (late.breached, late.deadline_ms) == (True, at("mon 10:00"))


def test_answer_before_triage_is_not_measured_by_a_target_that_counts_from_the_change() -> None:
    assert triaged(event("resolved", "mon 10:00"), on_change=OnChange.RESTART).clocks == []


@pytest.mark.parametrize("kind", ["cancelled", "merged"])
def test_priority_set_after_the_ticket_was_cancelled_or_merged_starts_no_clock(kind: str) -> None:
    assert triaged(event(kind, "mon 10:00")).clocks == []


def test_target_changed_after_the_answer_does_not_judge_the_answer_again() -> None:
    answered = (CREATED_P2, event("resolved", "mon 10:00"), event("updated", "mon 11:00", priority="P1"))
    assert story(fold(PRIORITIES, *answered)) == [("resolution-P2", 1, Phase.STOPPED)]


@pytest.mark.parametrize(
    ("policy", "phase", "deadline"),
    [
        (Reopen.NEW_CYCLE, Phase.RUNNING, "tue 11:00"),
        (Reopen.RESUME, Phase.RUNNING, "tue 10:00"),
        (Reopen.IGNORE, Phase.STOPPED, "mon 17:00"),
    ],
)
def test_priority_set_after_a_reopening_counts_as_the_policy_says(policy: Reopen, phase: Phase, deadline: str) -> None:
    (clock,) = triaged(event("resolved", "mon 10:00"), event("reopened", "mon 11:00"), reopen=policy).clocks
    assert (clock.phase, clock.deadline_ms) == (phase, at(deadline))


def test_priority_set_on_a_ticket_that_never_started_starts_no_clock() -> None:
    of = register(target("p1", applies_to={"priority": "P1"}))
    assert fold(of, event("updated", "mon 09:00"), event("updated", "mon 12:00", priority="P1")).clocks == []


def test_promise_made_after_the_ticket_began_does_not_reach_back() -> None:
    of = register(target("p1", since="mon 10:00", applies_to={"priority": "P1"}))
    assert fold(of, CREATED, event("updated", "mon 12:00", priority="P1")).clocks == []


def test_priority_set_at_triage_counts_under_the_revision_in_force_at_creation() -> None:
    of = register(
        target("p1", within="4bh", until="mon 10:00", applies_to={"priority": "P1"}),
        target("p1", within="2bh", revision=2, since="mon 10:00", applies_to={"priority": "P1"}),
    )
    clock = clock_of(of, CREATED, event("updated", "mon 11:00", priority="P1"))
    assert clock.revision == 1
    assert clock.deadline_ms == at("mon 13:00")


# --- revisions -----------------------------------------------------------------------------------------------------


def revised(*, second: tuple[Target, ...]) -> Register:
    """Until Wednesday: 8 h for all, 4 h for P1; from then on as `second` says."""
    return register(
        target("all", within="16bh", until="wed 09:00"),
        target("p1", within="4bh", until="wed 09:00", applies_to={"priority": "P1"}),
        *second,
    )


SHORTER = (
    target("all", within="6bh", since="wed 09:00", revision=2),
    target("p1", within="2bh", since="wed 09:00", revision=2, applies_to={"priority": "P1"}),
)


def test_clock_keeps_the_revision_it_started_under() -> None:
    clock = clock_of(revised(second=SHORTER), CREATED, event("updated", "wed 10:00", region="emea"))
    assert clock.revision == 1
    assert clock_of(revised(second=SHORTER), event("created", "wed 09:00")).revision == 2


def test_clock_keeps_its_revision_when_a_matched_field_changes_and_the_target_stays() -> None:
    of = register(
        *(
            target("both", revision=n, since=since, until=until, applies_to={"priority": ["P1", "P2"]})
            for n, since, until in ((1, 0, "wed 09:00"), (2, "wed 09:00", NEVER))
        )
    )
    clock = clock_of(of, CREATED_P2, event("updated", "wed 10:00", priority="P1"))
    assert (clock.revision, clock.phase) == (1, Phase.RUNNING)


def test_contract_that_ended_runs_off() -> None:
    of = revised(second=())
    ticket = fold(
        of, CREATED, event("updated", "wed 10:00", region="emea"), event("updated", "wed 11:00", priority="P4")
    )
    assert story(ticket) == [("all", 1, Phase.RUNNING)]
    assert fold(of, event("created", "wed 09:00")).clocks == [], "it applies to no new ticket"


def test_contract_that_ended_runs_off_although_a_general_one_applies_now() -> None:
    of = register(
        target("acme", until="wed 09:00", applies_to={"priority": ["P1", "P2"]}, contract="acme"),
        target("general", since="wed 09:00", contract="general"),
    )
    ticket = fold(of, CREATED_P2, event("updated", "wed 10:00", priority="P1"))
    assert story(ticket) == [("acme", 1, Phase.RUNNING)]


def test_clock_stays_although_the_new_revision_names_its_target_anew() -> None:
    of = register(
        target("old", until="wed 09:00", applies_to={"priority": ["P1", "P2"]}),
        target("new", since="wed 09:00", applies_to={"priority": ["P1", "P2"]}, revision=2),
    )
    ticket = fold(of, CREATED_P2, event("updated", "wed 10:00", priority="P1"))
    assert story(ticket) == [("old", 1, Phase.RUNNING)]


def test_announced_target_applies_to_no_change_before_it_is_in_force() -> None:
    of = register(
        target("p1", until="fri 09:00", applies_to={"priority": "P1"}),
        target("p2", until="fri 09:00", applies_to={"priority": "P2"}),
        target("p1-for-acme", since="wed 09:00", applies_to={"priority": "P1", "customer": "acme"}, contract="acme"),
    )
    created = event("created", "mon 09:00", priority="P2", customer="acme")
    ticket = fold(of, created, event("updated", "tue 10:00", priority="P1"))
    assert story(ticket) == [("p2", 1, Phase.SUPERSEDED), ("p1", 1, Phase.RUNNING)]


def test_priority_raised_after_a_revision_came_into_force_applies_the_new_target() -> None:
    ticket = fold(revised(second=SHORTER), CREATED, event("updated", "wed 10:00", priority="P1"))
    assert story(ticket) == [("all", 1, Phase.SUPERSEDED), ("p1", 1, Phase.RUNNING)]
    assert ticket.clocks[1].revision == 2, "of the targets of the contract that of the revision in force"


def test_priority_raised_after_the_contract_ended_applies_its_own_target() -> None:
    general = target("general", since="wed 09:00", contract="general")
    ticket = fold(revised(second=(general,)), CREATED, event("updated", "wed 10:00", priority="P1"))
    assert story(ticket) == [("all", 1, Phase.SUPERSEDED), ("p1", 1, Phase.RUNNING)]
    assert ticket.clocks[1].revision == 1


def test_ticket_that_leaves_the_scope_of_a_contract_that_ended_goes_to_what_applies_now() -> None:
    of = register(
        target("acme", until="wed 09:00", applies_to={"customer": "acme"}, contract="acme"),
        target("bit", since="wed 09:00", applies_to={"customer": "bit"}, contract="bit"),
    )
    created = event("created", "mon 09:00", customer="acme")
    ticket = fold(of, created, event("updated", "wed 10:00", customer="bit"))
    assert story(ticket) == [("acme", 1, Phase.SUPERSEDED), ("bit", 1, Phase.RUNNING)]
    assert story(fold(of, created, event("updated", "wed 10:00", customer="c"))) == [("acme", 1, Phase.SUPERSEDED)]


# --- history -------------------------------------------------------------------------------------------------------


def test_events_of_one_instant_are_ordered_by_sequence_then_kind_then_identity() -> None:
    events = (
        event("created", "mon 09:00", sequence=0),
        event("updated", "mon 09:00", sequence=0, a="1", uid=1),
        event("note", "mon 09:00", sequence=0, a="2", uid=2),
        event("responded", "mon 09:00", sequence=0),
        event("resolved", "mon 09:00", sequence=0),
        event("updated", "mon 09:00", sequence=1),
    )
    assert fold(ONE_TARGET, *reversed(events)).history == list(events)


def test_second_delivery_is_a_duplicate() -> None:
    ticket = fold(ONE_TARGET, CREATED)
    assert add_event(ticket, CREATED, ONE_TARGET, []) is Added.DUPLICATE
    assert ticket == fold(ONE_TARGET, CREATED)


def test_of_two_events_with_one_identity_the_same_one_stays_whichever_came_first() -> None:
    one, other = event("resolved", "mon 10:00", uid=5), event("resolved", "mon 11:00", uid=5)
    assert fold(ONE_TARGET, CREATED, one, other) == fold(ONE_TARGET, CREATED, other, one)
    assert len(fold(ONE_TARGET, CREATED, one, other).history) == 2


def test_late_event_tells_which_clocks_never_were() -> None:
    ticket = fold(
        PRIORITIES, event("created", "mon 09:00", priority="P3"), event("updated", "mon 12:00", priority="P1")
    )
    (p3, p1) = ticket.clocks
    p3.published, p1.alerts, p1.alerted_level = Published("superseded", 1, 2, 3, 4, 5), 1, 2
    dropped: list[Clock] = []
    late = event("updated", "mon 10:00", priority="P2")
    later = event("updated", "mon 11:00", priority="P3")
    for each in (late, later):
        assert add_event(ticket, each, PRIORITIES, dropped) is Added.OUT_OF_ORDER
    assert dropped == []
    assert [clock.published is not None for clock in ticket.clocks] == [True, False, False, False]
    assert ticket.clocks[-1].alerts == 1
    add_event(ticket, event("cancelled", "mon 09:30"), PRIORITIES, dropped)
    assert [(clock.target_id, clock.cycle) for clock in dropped] == [
        ("resolution-P2", 1),
        ("resolution-P3", 2),
        ("resolution-P1", 1),
    ]


# --- faults of ours ------------------------------------------------------------------------------------------------


class FailingRegister(Register):
    """A register whose code fails at one event."""

    failing_at_ms = -1

    def winners(self, attributes, at_ms):  # type: ignore[no-untyped-def]
        if at_ms == self.failing_at_ms:
            raise ZeroDivisionError("a fault of ours")
        return super().winners(attributes, at_ms)


@pytest.mark.parametrize(
    "poison",
    [
        event("updated", "mon 17:00", priority="P1"),  # in order
        event("updated", "mon 10:00", priority="P1"),  # out of order
        event("updated", "mon 16:15", uid=RESOLVED.uid, priority="P1"),
    ],
    ids=["in order", "out of order", "correction"],
)
def test_fold_that_fails_leaves_the_ticket_as_it_was(poison: TicketEvent) -> None:
    of = FailingRegister(PRIORITIES.contracts.values(), PRIORITIES.calendars)
    ticket = fold(of, CREATED_P2, RESOLVED, event("reopened", "mon 16:30"))
    ticket.clocks[0].published = Published("met", 1, 2, 3, 4, 5)
    ticket.clocks[1].alerts = 3
    before = fold(of, *ticket.history)
    before.clocks[0].published, before.clocks[1].alerts = ticket.clocks[0].published, 3
    of.failing_at_ms = poison.at_ms
    with pytest.raises(ZeroDivisionError):
        add_event(ticket, poison, of, [])
    assert ticket == before, "neither history nor what was told may be lost"


def test_refold_that_fails_leaves_the_ticket_as_it_was() -> None:
    of = FailingRegister(PRIORITIES.contracts.values(), PRIORITIES.calendars)
    ticket, before = fold(of, CREATED_P2, RESOLVED), fold(of, CREATED_P2, RESOLVED)
    of.failing_at_ms = CREATED_P2.at_ms
    with pytest.raises(ZeroDivisionError):
        refold(ticket, of)
    assert ticket == before
