"""What a change of the register does to open tickets, told before it is published."""

from __future__ import annotations

from sla.change_impact import Effect, TicketImpact, impact_on
from sla.contract import OnChange
from sla.events import TicketEvent
from sla.register import Register
from sla.ticket import add_event, new_ticket
from tests.support.domain import SETTLE_MS, at, event, register, target

CREATED = event("created", "mon 09:00")
EIGHT_HOURS = register(target(within="8bh"))


def impact(after: Register, *events: TicketEvent, now: str, before: Register = EIGHT_HOURS) -> TicketImpact:
    ticket = new_ticket(1)
    for each in events:
        add_event(ticket, each, before, [])
    return impact_on("INC-1", ticket, before, after, at(now), SETTLE_MS)


def test_the_same_register_moves_nothing() -> None:
    assert impact(EIGHT_HOURS, CREATED, now="mon 10:00") == TicketImpact(open_clocks=1)


def test_a_revision_that_is_in_force_since_before_the_start_moves_the_deadline() -> None:
    told = impact(register(target(within="4bh", revision=2)), CREATED, now="mon 10:00")
    [moved] = told.moved
    assert (moved.ticket, moved.metric, moved.effect) == ("INC-1", "resolution", Effect.EARLIER)
    assert moved.before is not None
    assert moved.after is not None
    assert (moved.before.due_ms, moved.after.due_ms) == (at("mon 17:00"), at("mon 13:00"))
    assert moved.shift_ms == -4 * 3_600_000
    assert (moved.before.revision, moved.after.revision) == (1, 2)


def test_a_revision_that_takes_effect_later_moves_no_clock_that_runs() -> None:
    after = register(target(within="8bh", until="tue 00:00"), target(within="4bh", revision=2, since="tue 00:00"))
    assert impact(after, CREATED, now="mon 10:00").moved == ()


def test_a_deadline_that_moves_into_the_past_breaches() -> None:
    [moved] = impact(register(target(within="1bh", revision=2)), CREATED, now="mon 12:00").moved
    assert moved.effect is Effect.BREACHES


def test_more_time_saves_a_clock_that_has_breached() -> None:
    [moved] = impact(register(target(within="16bh", revision=2)), CREATED, now="tue 10:00").moved
    assert moved.effect is Effect.SAVES
    assert moved.shift_ms == 24 * 3_600_000


def test_of_a_paused_clock_the_deadline_is_told_that_it_would_have_now() -> None:
    waiting = event("updated", "mon 11:00", waiting_for="customer")
    [moved] = impact(register(target(within="4bh", revision=2)), CREATED, waiting, now="mon 12:00").moved
    assert moved.before is not None
    assert moved.after is not None
    assert moved.before.paused
    assert (moved.before.due_ms, moved.after.due_ms) == (at("tue 10:00"), at("mon 14:00"))


def test_a_clock_begins_where_a_promise_is_made_and_ends_where_it_is_taken_away() -> None:
    both = register(target(within="8bh"), target("response", metric="response", within="4bh"))
    [moved] = impact(both, CREATED, now="mon 10:00").moved
    assert (moved.metric, moved.effect, moved.shift_ms) == ("response", Effect.BEGINS, None)
    [moved] = impact(EIGHT_HOURS, CREATED, now="mon 10:00", before=both).moved
    assert (moved.metric, moved.effect) == ("response", Effect.ENDS)


def test_the_same_deadline_under_another_revision_is_a_change_of_terms() -> None:
    [moved] = impact(register(target(within="8bh", revision=2, warn=["0.5"])), CREATED, now="mon 10:00").moved
    assert (moved.effect, moved.shift_ms) == (Effect.TERMS, 0)


def test_verdicts_of_ended_clocks_that_would_change_are_counted() -> None:
    resolved = event("resolved", "mon 15:00")
    told = impact(register(target(within="4bh", revision=2)), CREATED, resolved, now="tue 10:00")
    assert told == TicketImpact(open_clocks=0, corrected=1)
    other_number = register(target(within="8bh", revision=2, on_change=OnChange.RESTART))
    assert impact(other_number, CREATED, resolved, now="tue 10:00").corrected == 0
