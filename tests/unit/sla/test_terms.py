"""Terms beyond a duration, in the fold of a ticket: business days, dates, lead times, repetition, what only counts.

Office hours are Mon-Fri 09:00-17:00 in Berlin, in the week of Monday 2 March 2026.
"""

from __future__ import annotations

import pytest

from sla import clock as clocks
from sla.clock import Clock, Phase
from sla.contract import NEVER_HOLDS, OnChange, Reopen, Target
from sla.errors import ContractError
from sla.events import TicketEvent
from sla.fold import add_event, refold
from sla.outcome import Result
from sla.ticket import Ticket, new_ticket
from sla.units import HOUR_MS, MINUTE_MS, NEVER
from tests.support.domain import OFFICE, SETTLE_MS, Monitor, any_of, at, condition, event, register, shown, target

CREATED = event("created", "mon 10:00")


def fold(of: Target | tuple[Target, ...], *events: TicketEvent) -> Ticket:
    ticket, terms = new_ticket(1), register(*(of if isinstance(of, tuple) else (of,)))
    for each in events:
        add_event(ticket, each, terms, [])
    again = Ticket(ticket.history, {}, [], 1)
    refold(again, terms)
    assert again.clocks == ticket.clocks, "the fold from the start gives the same"
    return ticket


def clock_of(of: Target, *events: TicketEvent) -> Clock:
    (clock,) = fold(of, *events).clocks
    return clock


def warnings(clock: Clock, of: Target) -> list[str]:
    """Return the instants at which the warn level of a running clock rises."""
    instants, now_ms = [], clock.resumed_ms
    while (instant_ms := clocks.warn_level_at(clock, of, OFFICE, now_ms)[1]) != NEVER:
        instants.append(shown(instant_ms))
        now_ms = instant_ms
    return instants


def verdict(clock: Clock, of: Target) -> tuple[Result, int, int]:
    """Return (result, target, consumed), both in hours."""
    told = clocks.verdict_of(clock, "INC-1", of, at("fri 23:00 +9w"), SETTLE_MS)
    assert told is not None
    return told.result, told.target_ms // HOUR_MS, told.consumed_ms // HOUR_MS


# --- business days and close of business ---------------------------------------------------------------------------

TWO_DAYS = target(within="2bd", warn=("1/2",), warn_before_ms=(HOUR_MS,))
END_OF_DAY = target(within="eod")


def test_business_days_are_an_allowance_of_the_working_time_up_to_them() -> None:
    clock = clock_of(TWO_DAYS, CREATED)
    assert clock.deadline_ms == at("wed 10:00")
    assert clock.allowance_ms == 16 * HOUR_MS
    assert warnings(clock, TWO_DAYS) == [shown(at("tue 10:00")), shown(at("tue 17:00"))], "an hour is left at the close"
    stopped = clock_of(TWO_DAYS, CREATED, event("resolved", "wed 10:00"))
    assert verdict(stopped, TWO_DAYS) == (Result.MET, 16, 16)
    late = clock_of(TWO_DAYS, CREATED, event("resolved", "wed 10:00:00.001"))
    assert verdict(late, TWO_DAYS)[0] is Result.BREACHED


def test_business_days_that_end_at_an_opening_are_due_then_and_not_at_the_close_before() -> None:
    clock = clock_of(target(within="1bd"), event("created", "mon 09:00"))
    assert clock.deadline_ms == at("tue 09:00")
    assert clock.allowance_ms == 8 * HOUR_MS


def test_pause_moves_business_days_by_the_working_time_it_covers() -> None:
    waits = event("updated", "mon 12:00", waiting_for="customer")
    paused = clock_of(TWO_DAYS, CREATED, waits)
    assert (paused.phase, paused.deadline_ms, paused.consumed_ms) == (Phase.PAUSED, NEVER, 2 * HOUR_MS)
    resumed = clock_of(TWO_DAYS, CREATED, waits, event("updated", "mon 14:00", waiting_for=None))
    assert resumed.deadline_ms == at("wed 12:00")
    overnight = clock_of(
        TWO_DAYS,
        CREATED,
        event("updated", "mon 18:00", waiting_for="customer"),
        event("updated", "tue 08:00", waiting_for=None),
    )
    assert overnight.deadline_ms == at("wed 10:00")


def test_close_of_business_moves_on_to_the_next_day_by_the_working_time_of_a_pause() -> None:
    assert clock_of(END_OF_DAY, CREATED).deadline_ms == at("mon 17:00")
    waited = clock_of(
        END_OF_DAY,
        CREATED,
        event("updated", "mon 15:00", waiting_for="customer"),
        event("updated", "mon 16:00", waiting_for=None),
    )
    assert waited.deadline_ms == at("tue 10:00")
    assert verdict(waited, END_OF_DAY) == (Result.BREACHED, 7, 7)


def test_clock_on_business_days_that_stops_while_paused_shows_the_deadline_it_would_have_had() -> None:
    clock = clock_of(
        TWO_DAYS, CREATED, event("updated", "mon 12:00", waiting_for="customer"), event("resolved", "tue 12:00")
    )
    assert (clock.deadline_ms, clock.breached) == (at("thu 10:00"), False)


def test_change_to_business_days_counts_them_from_the_start_of_the_clock() -> None:
    by_priority = (
        target("p1", within="4bh", applies_to={"priority": "P1"}),
        target("p2", within="1bd", applies_to={"priority": "P2"}),
    )
    ticket = fold(
        by_priority, event("created", "mon 10:00", priority="P1"), event("updated", "mon 12:00", priority="P2")
    )
    assert [(clock.target_id, clock.phase) for clock in ticket.clocks] == [
        ("p1", Phase.SUPERSEDED),
        ("p2", Phase.RUNNING),
    ]
    assert ticket.clocks[1].deadline_ms == at("tue 10:00")
    assert ticket.clocks[1].consumed_ms == 2 * HOUR_MS


@pytest.mark.parametrize(
    ("within", "deadline"), [("0bd", "mon 09:00 +1w"), ("0bh", "mon 09:00 +1w"), ("0h", "sat 12:00")]
)
def test_target_of_nothing_is_due_at_the_next_open_moment(within: str, deadline: str) -> None:
    assert clock_of(target(within=within), event("created", "sat 12:00")).deadline_ms == at(deadline)


# --- a date of the ticket ------------------------------------------------------------------------------------------

LAST_DAY = target(within="by last_day", pause=NEVER_HOLDS, warn=("1/2",), warn_before_ms=(HOUR_MS,))
AT_SIX = target(within="by last_day at 18:00", pause=NEVER_HOLDS)
STARTED = event("created", "mon 10:00", last_day="2026-03-06")


def test_date_of_the_ticket_is_due_at_close_of_business_of_that_date() -> None:
    clock = clock_of(LAST_DAY, STARTED)
    assert clock.deadline_ms == at("fri 17:00")
    assert clock.allowance_ms == 39 * HOUR_MS
    assert warnings(clock, LAST_DAY) == [shown(at("wed 13:30")), shown(at("fri 16:00"))]
    assert clock_of(AT_SIX, STARTED).deadline_ms == at("fri 18:00")
    on_time = clock_of(AT_SIX, STARTED, event("resolved", "fri 18:00"))
    assert verdict(on_time, AT_SIX) == (Result.MET, 39, 39)
    late = clock_of(AT_SIX, STARTED, event("resolved", "fri 18:00:01"))
    assert (verdict(late, AT_SIX)[0], late.deadline_ms) == (Result.BREACHED, at("fri 18:00"))


@pytest.mark.parametrize("unset", [{}, {"last_day": "at the end of the month"}])
def test_there_is_no_clock_until_the_field_holds_a_date(unset: dict[str, str]) -> None:
    created = event("created", "mon 10:00", **unset)  # type: ignore[arg-type]
    assert fold(LAST_DAY, created).clocks == []
    dated = event("updated", "tue 10:00", last_day="2026-03-06")
    clock = clock_of(LAST_DAY, created, dated)
    assert (clock.start_ms, clock.deadline_ms) == (at("mon 10:00"), at("fri 17:00"))
    assert clock.consumed_ms == 8 * HOUR_MS
    assert fold(LAST_DAY, created, event("resolved", "mon 12:00"), dated).clocks == []


def test_event_that_brings_the_date_and_resolves_is_measured() -> None:
    created = event("created", "mon 10:00")
    clock = clock_of(LAST_DAY, created, event("resolved", "tue 10:00", last_day="2026-03-06"))
    assert (clock.phase, clock.deadline_ms, clock.breached) == (Phase.STOPPED, at("fri 17:00"), False)


def test_changed_date_moves_the_deadline() -> None:
    later = clock_of(LAST_DAY, STARTED, event("updated", "wed 10:00", last_day="2026-03-09"))
    assert (later.deadline_ms, later.allowance_ms) == (at("mon 17:00 +1w"), 47 * HOUR_MS)
    sooner = clock_of(LAST_DAY, STARTED, event("updated", "wed 10:00", last_day="2026-03-04"))
    assert sooner.deadline_ms == at("wed 17:00")
    assert sooner.consumed_ms == 16 * HOUR_MS


def test_date_moved_after_it_was_missed_stays_missed() -> None:
    clock = clock_of(LAST_DAY, STARTED, event("updated", "mon 10:00 +1w", last_day="2026-03-20"))
    assert (clock.breached, clock.deadline_ms) == (True, at("fri 17:00"))


@pytest.mark.parametrize(("known", "due"), [("wed 10:00", "wed 10:00"), ("wed 18:00", "thu 09:00")])
def test_date_that_has_passed_when_it_becomes_known_is_due_at_the_next_open_moment(known: str, due: str) -> None:
    moved = clock_of(LAST_DAY, STARTED, event("updated", known, last_day="2026-03-03"))
    assert (moved.deadline_ms, moved.breached) == (at(due), False)
    created = clock_of(LAST_DAY, event("created", known, last_day="2026-03-03"))
    assert (created.deadline_ms, created.breached) == (at(due), False)


def test_field_that_holds_no_date_any_more_ends_the_clock_until_it_does() -> None:
    gone = event("updated", "tue 10:00", last_day=None)
    assert clock_of(LAST_DAY, STARTED, gone).phase == Phase.SUPERSEDED
    again = event("updated", "wed 10:00", last_day="2026-03-05")
    ticket = fold(LAST_DAY, STARTED, gone, again, event("resolved", "thu 17:00"))
    assert [(clock.cycle, clock.phase, clock.deadline_ms) for clock in ticket.clocks] == [
        (1, Phase.SUPERSEDED, at("fri 17:00")),
        (2, Phase.STOPPED, at("thu 17:00")),
    ]


def test_reopened_clock_goes_on_to_the_date_for_a_date_does_not_wait() -> None:
    resumes = target(within="by last_day", pause=NEVER_HOLDS, reopen=Reopen.RESUME)
    closed = (STARTED, event("resolved", "tue 10:00"))
    clock = clock_of(resumes, *closed, event("reopened", "wed 10:00"))
    assert (clock.deadline_ms, clock.consumed_ms) == (at("fri 17:00"), 16 * HOUR_MS)


@pytest.mark.parametrize("policy", OnChange)
def test_target_that_is_due_on_a_date_takes_a_clock_over(policy: OnChange) -> None:
    hr = (
        target("usual", within="4bh", applies_to={"reason": "usual"}),
        target("leaver", within="by last_day", pause=NEVER_HOLDS, applies_to={"reason": "leaver"}, on_change=policy),
    )
    ticket = fold(
        hr,
        event("created", "mon 10:00", reason="usual", last_day="2026-03-06"),
        event("updated", "mon 12:00", reason="leaver"),
    )
    restarted = policy is OnChange.RESTART
    assert ticket.clocks[1].deadline_ms == at("fri 17:00")
    assert ticket.clocks[1].start_ms == at("mon 12:00" if restarted else "mon 10:00")
    assert ticket.clocks[1].consumed_ms == (0 if restarted else 2 * HOUR_MS)


def test_target_due_on_a_date_can_not_be_paused() -> None:
    with pytest.raises(ContractError, match="which no pause moves"):
        target(within="by last_day")
    with pytest.raises(ContractError, match="which no pause moves"):
        target(within="by last_day", pause=NEVER_HOLDS, only_while=condition(status="open"))


# --- lead times ----------------------------------------------------------------------------------------------------


def test_lead_time_counts_business_time_where_the_target_does() -> None:
    of = target(within="8bh", warn_before_ms=(2 * HOUR_MS, 30 * MINUTE_MS))
    clock = clock_of(of, event("created", "mon 16:00"))
    assert clock.deadline_ms == at("tue 16:00")
    assert warnings(clock, of) == [shown(at("tue 14:00")), shown(at("tue 15:30"))]
    overnight = clock_of(of, event("created", "mon 10:00"))
    assert overnight.deadline_ms == at("tue 10:00")
    assert warnings(overnight, of) == [shown(at("mon 16:00")), shown(at("tue 09:30"))]


def test_lead_time_counts_elapsed_time_where_the_target_does() -> None:
    of = target(within="24h", warn_before_ms=(30 * MINUTE_MS,))
    assert clock_of(of, CREATED).warn_ms == at("tue 09:30")


def test_shares_and_lead_times_are_levels_in_the_order_they_are_reached() -> None:
    of = target(within="8bh", warn=("1/2", "15/16"), warn_before_ms=(HOUR_MS,))
    assert [level.lead_ms for level in of.risk_levels] == [None, HOUR_MS, None]
    desk = Monitor(register(of))
    desk.hears("INC-1", event("created", "mon 09:00"))
    told = []
    for instant in ("mon 13:00", "mon 16:00", "mon 16:30"):
        desk.passes(instant)
        told.append(desk.firing["SLATicketAtRisk/INC-1:resolution:1"].annotations["summary"])
    assert told == [
        "INC-1: resolution (resolution) is at risk: 50% of its target is used up",
        "INC-1: resolution (resolution) is at risk: at most 1bh is left",
        "INC-1: resolution (resolution) is at risk: 94% of its target is used up",
    ]


def test_lead_time_longer_than_what_business_days_leave_warns_at_once() -> None:
    of = target(within="eod", warn_before_ms=(4 * HOUR_MS,))
    assert clock_of(of, event("created", "mon 10:00")).level == 0
    assert clock_of(of, event("created", "mon 14:00")).level == 1


# --- repetition, and what only counts ------------------------------------------------------------------------------

UPDATES = target(within="4bh", repeat=condition("note"), metric="update")


def test_periodic_update_is_a_cycle_per_update_until_the_ticket_is_resolved() -> None:
    desk = Monitor(register(UPDATES))
    desk.knows(
        "INC-1",
        event("created", "mon 09:00"),
        event("note", "mon 12:00"),
        event("note", "mon 16:30"),
        event("resolved", "tue 09:30"),
        now="tue 12:00",
    )
    told = {cycle: desk.verdict(f"INC-1:resolution:{cycle}") for cycle in (1, 2, 3)}
    assert [each.result for each in told.values()] == [Result.MET, Result.BREACHED, Result.MET]
    assert [shown(each.deadline_ms) for each in told.values()] == [
        shown(at("mon 13:00")),
        shown(at("mon 16:00")),
        shown(at("tue 12:30")),
    ]
    assert told[2].stop_ms == told[3].start_ms == at("mon 16:30")
    assert len(desk.last) == 3


def test_update_while_waiting_starts_a_paused_cycle() -> None:
    ticket = fold(
        UPDATES,
        event("created", "mon 09:00"),
        event("note", "mon 10:00", waiting_for="customer"),
        event("updated", "mon 12:00", waiting_for=None),
    )
    assert [clock.phase for clock in ticket.clocks] == [Phase.STOPPED, Phase.RUNNING]
    assert ticket.clocks[1].deadline_ms == at("mon 16:00")


def test_event_that_updates_and_resolves_ends_the_repetition() -> None:
    resolves = target(within="4bh", repeat=condition("resolved", "note"))
    ticket = fold(resolves, event("created", "mon 09:00"), event("resolved", "mon 10:00"))
    assert [clock.phase for clock in ticket.clocks] == [Phase.STOPPED]


def test_next_cycle_is_of_the_target_that_applies_then() -> None:
    by_priority = tuple(
        target(
            f"update-{name}", within=within, metric="update", repeat=condition("note"), applies_to={"priority": name}
        )
        for name, within in (("P1", "1bh"), ("P2", "4bh"))
    )
    ticket = fold(by_priority, event("created", "mon 09:00", priority="P2"), event("note", "mon 10:00", priority="P1"))
    assert [(c.target_id, c.phase, c.deadline_ms) for c in ticket.clocks] == [
        ("update-P2", Phase.STOPPED, at("mon 13:00")),
        ("update-P1", Phase.RUNNING, at("mon 11:00")),
    ]


def test_next_reply_is_a_clock_per_customer_message() -> None:
    reply = target(
        "next-reply",
        within="2bh",
        metric="next-reply",
        start=condition("customer_message"),
        stop=any_of(condition("agent_reply"), condition("resolved")),
        reopen_when=condition("customer_message"),
    )
    ticket = fold(
        reply,
        event("created", "mon 09:00"),
        event("customer_message", "mon 10:00"),
        event("customer_message", "mon 11:00"),  # the first one is still unanswered
        event("agent_reply", "mon 11:30"),
        event("customer_message", "mon 16:00"),
        event("agent_reply", "tue 10:30"),
        event("resolved", "tue 11:00"),
    )
    assert [(c.cycle, c.start_ms, c.deadline_ms, c.ended_ms, c.breached) for c in ticket.clocks] == [
        (1, at("mon 10:00"), at("mon 12:00"), at("mon 11:30"), False),
        (2, at("mon 16:00"), at("tue 10:00"), at("tue 10:30"), True),
    ]


def test_waiting_time_counts_only_while_the_ticket_waits() -> None:
    waiting = target("waits", within="8bh", metric="waiting", pause=NEVER_HOLDS, only_while=condition(status="waiting"))
    clock = clock_of(
        waiting,
        event("created", "mon 09:00", status="open"),
        event("updated", "mon 10:00", status="waiting"),
        event("updated", "mon 12:00", status="open"),
        event("updated", "tue 09:00", status="waiting"),
        event("resolved", "tue 12:00"),
    )
    assert clock.consumed_ms == 5 * HOUR_MS
    assert verdict(clock, waiting)[0] is Result.MET


def test_agent_work_time_stands_while_nobody_works_and_while_the_customer_is_waited_for() -> None:
    work = target("work", within="4bh", metric="work", only_while=condition(status="in progress"))
    clock = clock_of(
        work,
        event("created", "mon 09:00", status="new"),
        event("updated", "mon 10:00", status="in progress"),
        event("updated", "mon 11:00", waiting_for="customer"),
        event("updated", "mon 14:00", waiting_for=None),
    )
    assert clock.consumed_ms == HOUR_MS
    assert clock.deadline_ms == at("mon 17:00")


# --- the earliest start of tickets that were merged ----------------------------------------------------------------

MERGED_INTO = target(within="8bh", earliest_start="first_created_at")


def test_ticket_that_another_one_is_merged_into_counts_from_the_earlier_start() -> None:
    merged = event("updated", "tue 10:00", first_created_at="2026-03-02T09:00:00+01:00")
    clock = clock_of(MERGED_INTO, event("created", "tue 09:00"), merged)
    assert (clock.start_ms, clock.deadline_ms) == (at("mon 09:00"), at("mon 17:00"))
    assert clock.breached, "it was due before the tickets were merged"
    in_time = clock_of(
        MERGED_INTO,
        event("created", "mon 15:00"),
        event("updated", "mon 15:30", first_created_at="2026-03-02T13:00:00+01:00"),
    )
    assert (in_time.start_ms, in_time.deadline_ms, in_time.breached) == (at("mon 13:00"), at("tue 13:00"), False)


@pytest.mark.parametrize("text", ["2026-03-02T11:00:00+01:00", "yesterday", "2026-03-02"])
def test_later_start_or_one_that_is_no_instant_changes_nothing(text: str) -> None:
    clock = clock_of(MERGED_INTO, CREATED, event("updated", "mon 12:00", first_created_at=text))
    assert clock.start_ms == at("mon 10:00")


def test_earlier_start_keeps_the_pauses_since() -> None:
    clock = clock_of(
        MERGED_INTO,
        CREATED,
        event("updated", "mon 11:00", waiting_for="customer"),
        event("updated", "mon 12:00", waiting_for=None),
        event("updated", "mon 13:00", first_created_at="2026-03-02T09:00:00+01:00"),
    )
    assert clock.deadline_ms == at("tue 10:00")


def test_start_that_the_first_event_names_counts() -> None:
    clock = clock_of(MERGED_INTO, event("created", "mon 10:00", first_created_at="2026-03-02T09:00:00+01:00"))
    assert (clock.start_ms, clock.deadline_ms) == (at("mon 09:00"), at("mon 17:00"))


def test_source_of_a_merge_ends_as_merged() -> None:
    desk = Monitor(register(MERGED_INTO))
    desk.knows("INC-2", CREATED, event("merged", "mon 11:00"), now="fri 12:00")
    assert desk.result("INC-2:resolution:1") is Result.MERGED
    assert desk.counted == {}
