"""What a change of the register does to open tickets, told before it is published."""

from __future__ import annotations

import copy
import random

import pytest

from sla.change_impact import Effect, TicketImpact, impact_on
from sla.contract import OnChange
from sla.events import TicketEvent
from sla.fold import add_event
from sla.register import Register
from sla.ticket import new_ticket
from tests.support.domain import SETTLE_MS, Monitor, at, by_priority, event, register, target

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


def taking_open_clocks(instant: str, within: str = "4bh") -> Register:
    return register(
        target(within="8bh", until=instant, open_until_ms=at(instant), open_then=2),
        target(within=within, revision=2, since=instant),
    )


def test_a_revision_that_took_open_clocks_before_now_moves_them_without_any_event() -> None:
    [moved] = impact(taking_open_clocks("mon 10:00"), CREATED, now="mon 11:00").moved
    assert moved.after is not None
    assert (moved.effect, moved.after.due_ms, moved.at_ms) == (Effect.EARLIER, at("mon 13:00"), None)


def test_a_revision_that_will_take_open_clocks_is_told_with_the_instant_at_which_it_does() -> None:
    [moved] = impact(taking_open_clocks("mon 12:00"), CREATED, now="mon 10:00").moved
    assert moved.after is not None
    assert (moved.effect, moved.after.due_ms, moved.at_ms) == (Effect.EARLIER, at("mon 13:00"), at("mon 12:00"))
    assert impact(taking_open_clocks("mon 12:00"), CREATED, event("resolved", "mon 09:30"), now="mon 10:00").moved == ()


def test_taking_back_a_revision_that_was_announced_to_take_open_clocks_is_told_too() -> None:
    announced = taking_open_clocks("mon 12:00")
    [moved] = impact(EIGHT_HOURS, CREATED, now="mon 10:00", before=announced).moved
    assert (moved.effect, moved.at_ms) == (Effect.LATER, at("mon 12:00"))
    assert impact(announced, CREATED, now="mon 10:00", before=announced) == TicketImpact(open_clocks=1)


def test_the_end_of_a_contract_with_its_open_tickets_is_told() -> None:
    ends = register(target(within="8bh", until="mon 12:00", open_until_ms=at("mon 12:00")))
    [moved] = impact(ends, CREATED, now="mon 10:00").moved
    assert (moved.effect, moved.after, moved.at_ms) == (Effect.ENDS, None, at("mon 12:00"))


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


def _some_events(draw: random.Random) -> list[TicketEvent]:
    kinds = ["updated", "updated", "updated", "responded", "resolved", "reopened", "cancelled"]
    events = [event("created", at("mon 08:00") + draw.randrange(8 * 60) * 60_000, priority=draw.choice(["P1", "P2"]))]
    for number in range(draw.randrange(6)):
        changes: dict[str, str | None] = {}
        if draw.random() < 0.5:
            changes["waiting_for"] = draw.choice(["customer", None])
        if draw.random() < 0.2:
            changes["priority"] = draw.choice(["P1", "P2", "P3"])
        at_ms = at("mon 08:00") + draw.randrange(3 * 24 * 60) * 60_000
        events.append(event(draw.choice(kinds), at_ms, uid=number, **changes))
    return events


@pytest.mark.parametrize("seed", range(60))
def test_what_is_told_is_what_the_engine_does_when_the_change_is_published(seed: int) -> None:
    draw = random.Random(seed)
    before = register(*by_priority(P1="4bh", P2="8bh"), target("answer", metric="response", within="2bh"))
    after = register(
        *by_priority(P1="3bh", P2="12h", P3="16bh"),
        target("answer", metric="response", within="2bh", until="mon 12:00"),
        target("answer", metric="response", within="1bh", revision=2, since="mon 12:00"),
    )
    events, now = _some_events(draw), at("thu 12:00")
    monitor = Monitor(before)
    monitor.knows("INC-1", *events, now=now)
    told = impact_on("INC-1", copy.deepcopy(monitor.ticket("INC-1")), before, after, now, SETTLE_MS)
    verdicts = dict(monitor.last)
    was = {c.target_id: c.deadline_ms for c in monitor.ticket("INC-1").clocks if c.is_active}
    monitor.is_governed_by(after, 2)
    monitor.passes(now)
    clocks = {c.target_id: c for c in monitor.ticket("INC-1").clocks if c.is_active}
    moved = {m.after.target: m for m in told.moved if m.after is not None}
    for name, clock in clocks.items():
        if clock.deadline_ms != was.get(name):
            assert name in moved
        if name in moved and not moved[name].after.paused:  # type: ignore[union-attr]
            assert moved[name].after.due_ms == clock.deadline_ms  # type: ignore[union-attr]
            assert moved[name].after.breached == clock.breached or now > clock.deadline_ms  # type: ignore[union-attr]
    ended = {m.before.target for m in told.moved if m.after is None and m.before is not None}
    assert not ended & clocks.keys()
    if told == TicketImpact(told.open_clocks):
        assert monitor.last == verdicts, "nothing was told to change, so nothing was corrected"
