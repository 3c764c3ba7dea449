"""Revisions that apply to open tickets, and contracts that end with them. Office hours as in test_clock."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from sla.clock import Clock, Phase
from sla.contract import NEVER_HOLDS, OnChange, Reopen
from sla.events import TicketEvent
from sla.fold import add_event, pass_time
from sla.register import Register
from sla.ticket import Ticket, new_ticket
from sla.units import HOUR_MS, NEVER
from tests.support.domain import at, condition, event, register, target

CREATED = event("created", "mon 09:00", priority="P1")
NOTE = event("note", "fri 12:00")
WED = "wed 09:00"


def fold(of: Register, *events: TicketEvent) -> Ticket:
    ticket = new_ticket(1)
    for each in events:
        add_event(ticket, each, of, [])
    return ticket


def revised(
    before: str = "24bh", after: str = "40bh", *, first: dict[str, Any] | None = None, **terms: Any
) -> Register:
    """Return a target whose second revision takes the open clocks on Wednesday 09:00, with 16 of 24 hours consumed."""
    letting_go: dict[str, Any] = {"open_until_ms": at(WED), "open_then": 2, **(first or {})}
    return register(
        target(within=before, until=WED, **letting_go),
        target(within=after, revision=2, since=WED, **terms),
    )


def terminated(**terms: Any) -> Register:
    return register(target(within="24bh", until=WED, open_until_ms=at(WED), **terms))


def only(ticket: Ticket) -> Clock:
    (clock,) = ticket.clocks
    return clock


# --- a revision applies to open tickets ----------------------------------------------------------------------------


def test_open_clock_goes_on_under_the_new_revision_from_its_effective_instant_with_the_time_consumed() -> None:
    clock = only(fold(revised(), CREATED, NOTE))
    assert (clock.revision, clock.cycle, clock.start_ms) == (2, 1, at("mon 09:00"))
    assert clock.deadline_ms == at("fri 17:00"), "16 hours under the old one, 24 of 40 are left on Wednesday"
    stopped = only(fold(revised(), CREATED, event("resolved", "thu 12:00")))
    assert (stopped.consumed_ms, stopped.breached) == (27 * HOUR_MS, False)


def test_open_clock_keeps_its_revision_if_the_new_one_does_not_apply_to_it() -> None:
    keeps = {"open_until_ms": NEVER, "open_then": None}
    assert only(fold(revised(first=keeps), CREATED, NOTE)).revision == 1


def test_clock_that_consumed_more_than_the_new_revision_allows_is_breached_at_its_effective_instant() -> None:
    clock = only(fold(revised(after="8bh"), CREATED, NOTE))
    assert (clock.breached, clock.deadline_ms) == (True, at(WED))


def test_breach_before_the_revision_stays_one() -> None:
    clock = only(fold(revised(before="8bh"), CREATED, NOTE))
    assert (clock.revision, clock.breached, clock.deadline_ms) == (2, True, at("mon 17:00"))


def test_closed_cycle_is_not_rewritten_and_the_next_one_is_of_the_new_revision() -> None:
    ticket = fold(revised(), CREATED, event("resolved", "tue 12:00"), event("reopened", "thu 09:00"))
    assert [(clock.revision, clock.cycle, clock.phase) for clock in ticket.clocks] == [
        (1, 1, Phase.STOPPED),
        (2, 2, Phase.RUNNING),
    ]
    assert ticket.clocks[0].deadline_ms == at("wed 17:00")


def test_event_at_the_effective_instant_finds_the_new_terms_in_force() -> None:
    clock = only(fold(revised(), CREATED, event("resolved", WED)))
    assert (clock.revision, clock.deadline_ms, clock.breached) == (2, at("fri 17:00"), False)
    before = only(fold(revised(), CREATED, event("resolved", "wed 08:59:59.999")))
    assert (before.revision, before.deadline_ms) == (1, at("wed 17:00"))


def test_paused_clock_goes_on_paused_and_has_the_new_deadline_when_it_resumes() -> None:
    waits = event("updated", "tue 09:00", waiting_for="customer")
    paused = only(fold(revised(), CREATED, waits, event("note", "wed 12:00")))
    assert (paused.revision, paused.phase, paused.consumed_ms) == (2, Phase.PAUSED, 8 * HOUR_MS)
    resumed = only(fold(revised(), CREATED, waits, event("updated", "thu 09:00", waiting_for=None)))
    assert resumed.deadline_ms == at("tue 17:00 +1w")


def test_new_revision_decides_from_its_effective_instant_on_whether_the_clock_stands() -> None:
    waits = event("updated", "tue 09:00", waiting_for="customer")
    runs = only(fold(revised(pause=NEVER_HOLDS), CREATED, waits, NOTE))
    assert (runs.phase, runs.deadline_ms) == (Phase.RUNNING, at("mon 17:00 +1w"))
    stands = only(fold(revised(pause=condition(priority="P1")), CREATED, NOTE))
    assert (stands.phase, stands.consumed_ms) == (Phase.PAUSED, 16 * HOUR_MS)


def test_calendar_of_the_new_revision_counts_from_its_effective_instant() -> None:
    clock = only(fold(revised(after="24h"), CREATED, NOTE))
    assert clock.deadline_ms == at("wed 17:00"), "16 business hours consumed, 8 elapsed hours left"


def test_revision_in_business_days_counts_them_from_the_start() -> None:
    clock = only(fold(revised(after="4bd"), CREATED, NOTE))
    assert clock.deadline_ms == at("fri 09:00")


def test_revision_due_on_a_date_takes_the_date_of_the_ticket() -> None:
    of = revised(after="by last_day", pause=NEVER_HOLDS)
    dated = event("created", "mon 09:00", last_day="2026-03-05")
    assert only(fold(of, dated, NOTE)).deadline_ms == at("thu 17:00")
    assert only(fold(of, CREATED, NOTE)).phase == Phase.SUPERSEDED


def test_time_alone_hands_a_clock_over_to_the_date_of_its_ticket() -> None:
    of = revised(after="by last_day", pause=NEVER_HOLDS)
    ticket = fold(of, event("created", "mon 09:00", last_day="2026-03-05"))
    pass_time(ticket, of, at("fri 12:00"))
    clock = only(ticket)
    assert (clock.revision, clock.phase, clock.deadline_ms) == (2, Phase.RUNNING, at("thu 17:00"))


def split(**terms: Any) -> Register:
    """Return a promise that the second revision makes in two, by priority."""
    return register(
        target("all", within="24bh", until=WED, open_until_ms=at(WED), open_then=2),
        *(
            target(f"of-{name}", within=within, revision=2, since=WED, applies_to={"priority": name}, **terms)
            for name, within in (("P1", "20bh"), ("P2", "40bh"))
        ),
    )


def test_promise_that_the_new_revision_makes_in_other_words_goes_on_under_those() -> None:
    old, new = fold(split(), CREATED, NOTE).clocks
    assert (old.phase, old.ended_ms) == (Phase.SUPERSEDED, at(WED))
    assert (new.target_id, new.start_ms, new.consumed_ms) == ("of-P1", at("mon 09:00"), 16 * HOUR_MS)
    assert new.deadline_ms == at("wed 13:00")
    restarted = fold(split(on_change=OnChange.RESTART), CREATED, NOTE).clocks[1]
    assert (restarted.start_ms, restarted.deadline_ms) == (at(WED), at("fri 13:00"))


def test_promise_that_the_new_revision_does_not_make_to_this_ticket_ends() -> None:
    assert only(fold(split(), event("created", "mon 09:00", priority="P3"), NOTE)).phase == Phase.TERMINATED


def test_fields_before_the_effective_instant_decide_what_the_clock_goes_to() -> None:
    changed = event("updated", "fri 12:00", priority="P2")
    ticket = fold(split(), CREATED, changed)
    assert [(clock.target_id, clock.phase) for clock in ticket.clocks] == [
        ("all", Phase.SUPERSEDED),
        ("of-P1", Phase.SUPERSEDED),
        ("of-P2", Phase.RUNNING),
    ]
    assert ticket.clocks[1].breached


def test_stopped_clock_that_goes_on_after_the_revision_does_so_under_it() -> None:
    of = revised(first={"reopen": Reopen.RESUME}, reopen=Reopen.RESUME)
    clock = only(fold(of, CREATED, event("resolved", "tue 09:00"), event("reopened", "thu 09:00")))
    assert (clock.revision, clock.phase, clock.consumed_ms) == (2, Phase.RUNNING, 8 * HOUR_MS)
    assert clock.deadline_ms == at("tue 17:00 +1w")


def test_priority_set_after_the_revision_counts_under_both() -> None:
    of = register(
        target("p1", within="24bh", until=WED, open_until_ms=at(WED), open_then=2, applies_to={"priority": "P1"}),
        target("p1", within="40bh", revision=2, since=WED, applies_to={"priority": "P1"}),
    )
    clock = only(fold(of, event("created", "mon 09:00"), event("updated", "thu 09:00", priority="P1")))
    assert (clock.revision, clock.start_ms, clock.deadline_ms) == (2, at("mon 09:00"), at("fri 17:00"))


# --- a contract ends with its open tickets -------------------------------------------------------------------------


def test_contract_that_ends_with_its_open_tickets_terminates_their_clocks_at_its_end() -> None:
    clock = only(fold(terminated(), CREATED, NOTE))
    assert (clock.phase, clock.ended_ms, clock.breached) == (Phase.TERMINATED, at(WED), False)
    assert clock.consumed_ms == 16 * HOUR_MS


def test_promise_broken_before_the_end_stays_broken() -> None:
    of = register(target(within="8bh", until=WED, open_until_ms=at(WED)))
    assert only(fold(of, CREATED, NOTE)).breached


def test_what_was_resolved_before_the_end_is_met_and_what_is_opened_after_it_has_no_clock() -> None:
    assert only(fold(terminated(), CREATED, event("resolved", "tue 12:00"))).phase == Phase.STOPPED
    assert fold(terminated(), event("created", "wed 09:00")).clocks == []


def test_terminated_ticket_that_is_reopened_stays_so() -> None:
    ticket = fold(terminated(), CREATED, event("reopened", "thu 12:00"))
    assert only(ticket).phase == Phase.TERMINATED


# --- without an event ----------------------------------------------------------------------------------------------


def test_time_alone_hands_clocks_over() -> None:
    ticket = fold(revised(), CREATED)
    assert pass_time(ticket, revised(), at("tue 12:00")) == at(WED)
    assert (only(ticket).revision, ticket.passed_ms) == (1, 0)
    assert pass_time(ticket, revised(), at("wed 12:00")) == NEVER
    assert (only(ticket).revision, only(ticket).deadline_ms, ticket.passed_ms) == (2, at("fri 17:00"), at(WED))


def test_time_alone_terminates() -> None:
    ticket = fold(terminated(), CREATED)
    assert pass_time(ticket, terminated(), at("fri 12:00")) == NEVER
    assert (only(ticket).phase, only(ticket).ended_ms) == (Phase.TERMINATED, at(WED))


@pytest.mark.parametrize("of", [revised(), terminated(), split()], ids=["revised", "terminated", "split"])
@pytest.mark.parametrize("looked", [0, 1, 2, 3])
def test_event_from_before_a_hand_over_that_time_has_made_already_gives_the_same_clocks(
    of: Register, looked: int
) -> None:
    events = (
        CREATED,
        event("updated", "tue 12:00", waiting_for="customer"),
        event("updated", "tue 16:00", waiting_for=None, priority="P2"),
        event("note", "thu 12:00"),
    )
    expected = fold(of, *events).clocks
    for order in permutations(events):
        ticket = new_ticket(1)
        for number, each in enumerate(order):
            if number == looked:
                pass_time(ticket, of, at("fri 12:00"))
            add_event(ticket, each, of, [])
        assert ticket.clocks == expected


def test_clock_that_time_alone_has_brought_is_not_taken_back_by_a_fold_from_the_start() -> None:
    ticket = fold(split(), CREATED)
    pass_time(ticket, split(), at("fri 12:00"))
    dropped: list[Clock] = []
    add_event(ticket, event("note", "tue 12:00"), split(), dropped)
    assert dropped == []
    assert [(clock.target_id, clock.phase) for clock in ticket.clocks] == [
        ("all", Phase.SUPERSEDED),
        ("of-P1", Phase.RUNNING),
    ]


def test_revisions_that_let_go_twice_hand_over_twice() -> None:
    of = register(
        target(within="24bh", until="tue 09:00", open_until_ms=at("tue 09:00"), open_then=2),
        target(within="20bh", revision=2, since="tue 09:00", until=WED, open_until_ms=at(WED), open_then=3),
        target(within="40bh", revision=3, since=WED),
    )
    clock = only(fold(of, CREATED, NOTE))
    assert (clock.revision, clock.breached, clock.deadline_ms) == (3, False, at("fri 17:00"))
