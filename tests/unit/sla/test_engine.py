"""The engine of a partition: declaring, correcting, alerting, counting, keeping. Office hours as in test_clock."""

from __future__ import annotations

import pytest

from sla.buckets import BUCKET_FORMAT
from sla.clock import Clock
from sla.contract import Reopen
from sla.engine import SWEEP_LIMIT, EngineLimits, TicketEngine
from sla.events import LATEST_EVENT_MS, Reason, TicketEvent
from sla.fold import refold
from sla.outcome import AlertKind, AlertState, Result
from sla.register import Register
from sla.row import RowFormatError, decode_row
from sla.ticket import Ticket
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.domain import OFFICE, SETTLE_MS, Monitor, at, by_priority, event, register, target

PLAIN = target(within="8bh", warn=("1/2", "3/4"))
ONE_TARGET = register(PLAIN)
PRIORITIES = register(*by_priority(P1="4bh", P2="8bh"))
CREATED = event("created", "mon 09:00")
CLOCK = "INC-1:resolution:1"
AT_RISK = f"SLATicketAtRisk/{CLOCK}"
BREACHED = f"SLATicketBreached/{CLOCK}"

LIMITS = EngineLimits(settle_ms=SETTLE_MS, retention_ms=35 * DAY_MS, bucket_retention_ms=100 * DAY_MS)


def monitor(of: Register = ONE_TARGET) -> Monitor:
    return Monitor(of, limits=LIMITS)


def minute(when: str) -> tuple[str, int]:
    at_ms = at(when)
    return ("resolution", at_ms - at_ms % MINUTE_MS)


# --- verdicts ------------------------------------------------------------------------------------------------------


def test_ticket_resolved_in_time_is_met_and_counted_where_it_stopped() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, event("resolved", "mon 12:34:56"), now="mon 13:00")
    assert desk.result(CLOCK) is Result.MET
    assert desk.counted == {minute("mon 12:34"): [1, 0]}
    assert desk.counts["verdict:desk:resolution:met"] == 1


def test_breach_is_declared_only_when_settled_but_placed_at_the_deadline() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 17:00:29.999")
    assert desk.result(CLOCK) is None
    desk.passes("mon 17:00:30")
    assert desk.result(CLOCK) is Result.BREACHED
    assert desk.verdict(CLOCK).decided_at_ms == at("mon 17:00")
    assert desk.counted == {minute("mon 17:00"): [0, 1]}


def test_breach_of_a_ticket_that_nobody_touches_needs_no_event() -> None:
    desk = monitor()
    desk.hears("INC-1", CREATED)
    for hour in range(9, 18):
        desk.passes(f"mon {hour:02d}:30")
    assert desk.result(CLOCK) is Result.BREACHED


def test_breach_that_falls_between_two_instants_of_one_step_is_declared_in_that_step() -> None:
    desk = monitor()
    desk.engine.apply("INC-1", CREATED)
    desk.engine.advance_to(at("mon 12:00"))
    desk.engine.advance_to(at("mon 18:00"))
    desk.take(desk.engine.finish())
    assert desk.result(CLOCK) is Result.BREACHED
    assert set(desk.firing) == {AT_RISK, BREACHED}


def test_stop_after_the_breach_keeps_its_bucket_and_is_no_correction() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="tue 09:00")
    desk.knows("INC-1", event("resolved", "tue 10:00"), now="tue 10:00")
    verdict = desk.verdict(CLOCK)
    assert (verdict.result, verdict.decided_at_ms, verdict.stop_ms) == (
        Result.BREACHED,
        at("mon 17:00"),
        at("tue 10:00"),
    )
    assert desk.counted == {minute("mon 17:00"): [0, 1]}
    assert [is_correction for _, is_correction in desk.published] == [False, False]


def test_resolve_dated_before_the_deadline_that_comes_after_the_breach_corrects_it_in_the_original_bucket() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="tue 09:00")
    assert desk.counted == {minute("mon 17:00"): [0, 1]}
    desk.knows("INC-1", event("resolved", "mon 16:00"), now="tue 09:01")
    assert desk.result(CLOCK) is Result.MET
    assert desk.published[-1][1], "published as a correction"
    assert desk.counts["corrections"] == 1
    assert desk.counted == {minute("mon 16:00"): [1, 0]}
    assert desk.firing == {}


def test_late_pause_takes_a_breach_back_and_leaves_the_clock_open() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="tue 09:00")
    desk.knows("INC-1", event("updated", "mon 10:00", waiting_for="customer"), now="tue 09:01")
    assert desk.published[-1][0].result is Result.RETRACTED
    assert desk.published[-1][1]
    assert desk.published[-1][0].deadline_ms == at("mon 17:00")
    assert desk.counts["corrections"] == 1
    assert desk.result(CLOCK) is None
    assert desk.counted == {}
    assert BREACHED not in desk.firing


def test_clock_that_a_late_event_shows_never_was_is_retracted_and_its_alerts_resolve() -> None:
    desk = monitor(register(*by_priority(P1="1bh"), *by_priority(P2="8bh")))
    desk.knows(
        "INC-1",
        event("created", "mon 09:00", priority="P2"),
        event("updated", "mon 11:00", priority="P1"),
        now="mon 12:00",
    )
    assert desk.result("INC-1:resolution-P1:1") is Result.BREACHED
    assert set(desk.firing) == {"SLATicketBreached/INC-1:resolution-P1:1"}
    desk.knows("INC-1", event("resolved", "mon 10:00"), now="mon 12:01")
    assert desk.result("INC-1:resolution-P1:1") is None
    assert desk.result("INC-1:resolution-P2:1") is Result.MET
    assert desk.firing == {}
    assert desk.alerts[-1].severity == "critical", "as it was when it fired"
    assert desk.totals("resolution-P1") == (0, 0)
    retracted = [verdict for verdict, _ in desk.published if verdict.result is Result.RETRACTED]
    assert [verdict.clock_id for verdict in retracted] == ["INC-1:resolution-P1:1"]


def test_nothing_is_told_twice() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="tue 09:00")
    told = len(desk.published), len(desk.alerts), len(desk.rollups)
    desk.knows("INC-1", CREATED, event("note", "tue 09:30"), now="wed 09:00")
    assert (len(desk.published), len(desk.alerts), len(desk.rollups)) == told
    assert desk.counts["duplicate"] == 1


def test_verdict_that_differs_in_its_deadline_only_is_told_again() -> None:
    """A late pause at the very instant of the stop moves nothing but the deadline shown."""
    desk = monitor()
    desk.knows("INC-1", CREATED, event("resolved", "mon 17:00"), now="mon 17:00")
    assert desk.verdict(CLOCK).deadline_ms == at("mon 17:00")
    desk.knows("INC-1", event("updated", "mon 17:00", waiting_for="customer"), now="mon 17:01")
    in_order = monitor()
    in_order.knows(
        "INC-1",
        CREATED,
        event("updated", "mon 17:00", waiting_for="customer"),
        event("resolved", "mon 17:00"),
        now="mon 17:01",
    )
    assert desk.last == in_order.last
    assert desk.counted == in_order.counted == {minute("mon 17:00"): [1, 0]}
    assert not desk.published[-1][1], "result and bucket stay: no correction"


def test_stop_of_a_breached_clock_that_consumed_nothing_more_is_told() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 17:01")
    desk.knows("INC-1", event("resolved", "mon 17:30"), now="mon 17:30")
    assert desk.verdict(CLOCK).stop_ms == at("mon 17:30")


def test_consumption_that_a_late_pause_changes_is_told_though_the_breach_stays() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, event("resolved", "wed 09:00"), now="wed 09:00")
    assert desk.verdict(CLOCK).consumed_ms == 16 * HOUR_MS
    desk.knows("INC-1", event("updated", "tue 09:00", waiting_for="customer"), now="wed 09:01")
    assert desk.verdict(CLOCK).consumed_ms == 8 * HOUR_MS
    assert desk.counted == {minute("mon 17:00"): [0, 1]}


def test_start_that_a_late_event_moves_is_told_though_no_business_time_was_consumed() -> None:
    desk = monitor()
    desk.knows("INC-1", event("created", "sun 12:00"), event("resolved", "mon 12:00 +1w"), now="mon 12:00 +1w")
    desk.knows("INC-1", event("created", "sat 12:00"), now="mon 12:00 +1w")
    assert desk.verdict(CLOCK).start_ms == at("sat 12:00")


@pytest.mark.parametrize("ending", ["cancelled", "merged"])
def test_cancelled_and_merged_tickets_do_not_count(ending: str) -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, event(ending, "mon 10:00"), now="fri 17:00")
    assert desk.result(CLOCK) is Result(ending)
    assert desk.counted == {}


def test_superseded_clock_does_not_count_and_the_one_that_goes_on_does() -> None:
    desk = monitor(PRIORITIES)
    desk.knows(
        "INC-1",
        event("created", "mon 09:00", priority="P2"),
        event("updated", "mon 10:00", priority="P1"),
        now="tue 09:00",
    )
    assert desk.result("INC-1:resolution-P2:1") is Result.SUPERSEDED
    assert desk.result("INC-1:resolution-P1:1") is Result.BREACHED
    assert desk.totals("resolution-P1") == (0, 1)
    assert desk.totals("resolution-P2") == (0, 0)


def test_reopened_clock_that_goes_on_takes_its_verdict_back() -> None:
    desk = monitor(register(target(within="8bh", reopen=Reopen.RESUME)))
    desk.knows("INC-1", CREATED, event("resolved", "mon 12:00"), now="mon 12:00")
    assert desk.totals("resolution") == (1, 0)
    desk.knows("INC-1", event("reopened", "tue 09:00"), now="tue 09:00")
    assert desk.result(CLOCK) is None
    assert desk.totals("resolution") == (0, 0)
    desk.passes("wed 09:00")
    assert desk.verdict(CLOCK).decided_at_ms == at("tue 14:00")
    assert desk.totals("resolution") == (0, 1)


def test_now_never_goes_back() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="tue 09:00")
    desk.passes("mon 09:00")
    assert desk.engine.now_ms == at("tue 09:00")
    assert desk.result(CLOCK) is Result.BREACHED


def test_event_of_the_future_does_not_move_now() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 10:00")
    desk.hears("INC-2", event("created", "fri 09:00"))
    assert desk.engine.now_ms == at("mon 10:00")
    assert desk.result(CLOCK) is None


# --- alerts --------------------------------------------------------------------------------------------------------


def test_clock_at_risk_fires_rises_and_resolves_with_the_stop() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 12:59:59.999")
    assert desk.firing == {}
    desk.passes("mon 13:00")
    assert set(desk.firing) == {AT_RISK}
    assert "50%" in desk.firing[AT_RISK].annotations["summary"]
    desk.passes("mon 14:59")
    assert len(desk.alerts) == 1
    desk.passes("mon 15:00")
    assert [alert.state for alert in desk.alerts] == [AlertState.FIRING, AlertState.FIRING]
    assert "75%" in desk.firing[AT_RISK].annotations["summary"]
    desk.knows("INC-1", event("resolved", "mon 15:30"), now="mon 15:30")
    assert desk.firing == {}
    assert desk.alerts[-1].state is AlertState.RESOLVED


def test_clock_at_risk_stays_so_while_paused() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 13:00")
    desk.knows("INC-1", event("updated", "mon 13:30", waiting_for="customer"), now="fri 13:30")
    assert set(desk.firing) == {AT_RISK}
    assert len(desk.alerts) == 1
    desk.knows("INC-1", event("updated", "fri 14:00", waiting_for=None), now="fri 15:29")
    assert len(desk.alerts) == 1
    desk.passes("fri 15:30")
    assert "75%" in desk.firing[AT_RISK].annotations["summary"]


def test_breached_clock_fires_until_it_stops_or_the_ticket_is_cancelled() -> None:
    for ending in ("resolved", "cancelled"):
        desk = monitor()
        desk.knows("INC-1", CREATED, now="mon 17:00:30")
        assert set(desk.firing) == {AT_RISK, BREACHED}
        assert desk.firing[BREACHED].severity == "critical"
        desk.knows("INC-1", event("updated", "tue 09:30", waiting_for="customer"), now="tue 09:30")
        assert set(desk.firing) == {AT_RISK, BREACHED}, "waiting mends no broken promise"
        desk.knows("INC-1", event(ending, "tue 10:00"), now="tue 10:00")
        assert desk.firing == {}
        assert {alert.kind for alert in desk.alerts[-2:]} == {AlertKind.TICKET_AT_RISK, AlertKind.TICKET_BREACHED}


def test_late_event_that_changes_nothing_about_the_risk_does_not_alert_again() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 15:00")
    told = len(desk.alerts)
    desk.knows("INC-1", event("note", "mon 08:00"), now="mon 15:01")
    assert desk.counts["out-of-order"] == 1
    assert len(desk.alerts) == told


def test_late_event_that_shows_less_consumption_resolves_the_alert_and_it_can_fire_anew() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 15:00")
    desk.knows(
        "INC-1",
        event("updated", "mon 09:30", waiting_for="customer"),
        event("updated", "mon 14:30", waiting_for=None),
        now="mon 15:01",
    )
    assert desk.firing == {}
    desk.passes("tue 10:00")
    assert "50%" in desk.firing[AT_RISK].annotations["summary"]


def test_alert_of_a_changed_target_resolves_with_its_clock() -> None:
    desk = monitor(register(*(target(f"p{n}", within=f"{n}bh", applies_to={"priority": f"P{n}"}) for n in (1, 8))))
    desk.knows("INC-1", event("created", "mon 09:00", priority="P1"), now="mon 12:00")
    assert set(desk.firing) == {"SLATicketBreached/INC-1:p1:1"}
    desk.knows("INC-1", event("updated", "mon 12:30", priority="P8"), now="mon 12:30")
    assert desk.firing == {}
    assert desk.result("INC-1:p1:1") is Result.BREACHED


# --- contracts in force --------------------------------------------------------------------------------------------


def test_unmatched_ticket_is_kept_and_counted_once() -> None:
    desk = monitor(PRIORITIES)
    desk.knows("INC-1", CREATED, event("note", "mon 10:00"), event("resolved", "mon 11:00"), now="mon 12:00")
    assert desk.counts["unmatched"] == 1
    assert len(desk.ticket("INC-1").history) == 3
    assert desk.published == []
    desk.hears("INC-1", event("updated", "mon 13:00", priority="P1"))
    assert desk.counts["unmatched"] == 1


def changed_register(now: str, *events: TicketEvent, before: Register, after: Register, tickets: int = 1) -> Monitor:
    desk = monitor(before)
    for number in range(tickets):
        desk.hears(f"INC-{number}", *events)
    desk.passes(now)
    desk.is_governed_by(after, 2)
    desk.passes(now)
    fresh = Monitor(after, version=2, limits=LIMITS)
    for number in range(tickets):
        fresh.hears(f"INC-{number}", *events)
    fresh.passes(now)
    assert desk.last == fresh.last
    assert desk.counted == fresh.counted
    assert desk.firing.keys() == fresh.firing.keys()
    assert desk.engine.open_counts == {
        name: counts for name, counts in fresh.engine.open_counts.items() if any(counts)
    } | dict.fromkeys(desk.engine.open_counts.keys() - fresh.engine.open_counts.keys(), (0, 0, 0))
    return desk


def test_new_register_folds_every_ticket_again_in_slices() -> None:
    longer = register(target("resolution", within="16bh", warn=("1/2", "3/4")))
    desk = monitor()
    tickets = SWEEP_LIMIT + 500
    for number in range(tickets):
        desk.engine.apply(f"INC-{number}", CREATED)
    desk.passes("tue 10:00")
    assert desk.totals("resolution") == (0, tickets)
    desk.engine.set_register(longer, 2)
    assert desk.engine.advance_to(at("tue 10:00")), "more than one step can take"
    first = desk.take(desk.engine.finish())
    assert sum(key[:1] == b"t" for key in first.rows) == SWEEP_LIMIT
    assert not desk.engine.advance_to(at("tue 10:00"))
    second = desk.take(desk.engine.finish())
    assert sum(key[:1] == b"t" for key in second.rows) == 500
    assert desk.totals("resolution") == (0, 0)
    assert {decode_row(row).register_version for key, row in desk.state.items() if key[:1] == b"t"} == {2}


def test_new_register_gives_what_a_fresh_fold_gives() -> None:
    changed_register(
        "tue 10:00", CREATED, event("resolved", "tue 09:30"), before=ONE_TARGET, after=register(target(within="16bh"))
    )


def test_new_register_without_a_target_retracts_its_clocks() -> None:
    desk = changed_register("tue 10:00", CREATED, before=ONE_TARGET, after=register(), tickets=3)
    assert desk.last == {}
    assert desk.firing == {}
    retracted = [verdict for verdict, _ in desk.published if verdict.result is Result.RETRACTED]
    assert len(retracted) == 3
    assert {(each.contract, each.metric, each.target_ms) for each in retracted} == {("desk", "resolution", 8 * HOUR_MS)}


def test_verdict_that_is_taken_back_bears_the_time_its_own_clock_had() -> None:
    desk = monitor(register(target("setup", within="2bd")))
    desk.knows("INC-1", CREATED, now="thu 09:00")
    assert desk.verdict("INC-1:setup:1").target_ms == 16 * HOUR_MS
    desk.engine.register, desk.engine.register_version = register(), 2
    desk.restarts()
    desk.passes("thu 09:02")
    verdict, _ = desk.published[-1]
    assert (verdict.result, verdict.target_ms) == (Result.RETRACTED, 16 * HOUR_MS)


def test_verdict_that_is_taken_back_bears_the_names_it_was_published_with_also_after_a_restart() -> None:
    desk = monitor(register(target("answer", metric="response", within="4bh", contract="acme", revision=3)))
    desk.knows("INC-1", CREATED, now="mon 13:01")
    told = desk.verdict("INC-1:answer:1")
    desk.engine.register, desk.engine.register_version = register(), 2
    desk.restarts()
    desk.passes("mon 13:02")
    verdict, is_correction = desk.published[-1]
    assert (verdict.result, is_correction) == (Result.RETRACTED, True)
    names = ("contract", "target", "metric", "revision", "cycle", "target_ms")
    assert [getattr(verdict, name) for name in names] == [getattr(told, name) for name in names]


def test_what_a_target_was_called_is_stored_once() -> None:
    desk = monitor()
    rows = [desk.hears(f"INC-{number}", CREATED, event("resolved", "mon 10:00")).rows for number in range(2)]
    assert [sum(key[:1] == b"n" for key in each) for each in rows] == [1, 0]


def test_open_clocks_of_a_target_that_went_and_came_back_are_counted_once() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 10:00")
    desk.is_governed_by(register(), 2)
    assert desk.engine.open_counts == {}
    desk.is_governed_by(ONE_TARGET, 3)
    assert desk.engine.open_counts == {"resolution": (1, 0, 0)}
    desk.passes("mon 10:00")
    assert desk.engine.open_counts == {"resolution": (1, 0, 0)}
    desk.is_governed_by(register(), 4)
    desk.passes("mon 10:00")
    desk.is_governed_by(ONE_TARGET, 5)
    assert desk.engine.open_counts == {"resolution": (0, 0, 0)}


def test_new_register_with_a_revision_dated_back_tells_the_verdict_again() -> None:
    both = register(
        target("resolution", within="8bh", until="mon 08:00"),
        target("resolution", within="9bh", revision=2, since="mon 08:00"),
    )
    desk = changed_register(
        "tue 10:00", CREATED, event("resolved", "mon 12:00"), before=register(target(within="8bh")), after=both
    )
    assert desk.verdict("INC-0:resolution:1").revision == 2


def test_new_register_with_the_same_terms_as_another_revision_tells_the_verdict_again() -> None:
    both = register(target(within="8bh", until="mon 08:00"), target(within="8bh", revision=2, since="mon 08:00"))
    desk = changed_register(
        "tue 10:00", CREATED, event("resolved", "mon 12:00"), before=register(target(within="8bh")), after=both
    )
    assert desk.verdict("INC-0:resolution:1").revision == 2


def test_new_register_with_fewer_levels_of_risk_keeps_the_alert() -> None:
    desk = changed_register("mon 16:00", CREATED, before=ONE_TARGET, after=register(target(warn=("1/2",))))
    desk.passes("mon 17:01")
    assert "SLATicketBreached/INC-0:resolution:1" in desk.firing
    desk.hears("INC-0", event("resolved", "mon 17:02"))
    desk.passes("mon 17:02")
    assert desk.firing == {}


def test_new_register_in_the_middle_of_a_step_holds_for_what_the_step_has_touched() -> None:
    desk = monitor()
    desk.engine.apply("INC-1", CREATED)
    desk.engine.set_register(register(target("other", within="4bh")), 2)
    desk.engine.apply("INC-1", event("note", "mon 10:00"))
    desk.take(desk.engine.finish())
    assert [clock.target_id for clock in desk.ticket("INC-1").clocks] == ["other"]
    assert desk.ticket("INC-1").register_version == 2


def test_new_register_in_the_middle_of_a_step_holds_for_what_was_judged_already() -> None:
    desk = monitor()
    desk.engine.apply("INC-1", CREATED)
    desk.engine.advance_to(at("mon 12:00"))
    desk.engine.set_register(register(target("other", within="1bh")), 2)
    desk.take(desk.engine.finish())
    assert desk.result("INC-1:other:1") is Result.BREACHED


def test_row_of_another_register_is_folded_again_when_an_event_touches_it() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 10:00")
    desk.engine.set_register(register(target("other", within="4bh")), 2)
    desk.hears("INC-1", event("resolved", "mon 11:00"))
    assert desk.result("INC-1:other:1") is Result.MET


def test_rows_of_another_register_are_folded_again_after_a_restart() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 10:00")
    after = TicketEngine(register(target("other", within="1bh")), 2, LIMITS)
    after.load(desk.state.items(), at("mon 10:00"))
    desk.engine = after
    desk.passes("mon 10:00:30")
    assert desk.result("INC-1:other:1") is Result.BREACHED


# --- too late, too much, too old -----------------------------------------------------------------------------------


def test_ticket_as_old_as_the_retention_and_without_a_clock_is_not_even_kept() -> None:
    desk = monitor()
    desk.passes(at("mon 09:00") + LIMITS.retention_ms)
    outcome = desk.hears("INC-1", event("note", "mon 09:00"))
    assert outcome.rows == {b"tINC-1": None}
    assert not desk.engine.knows("INC-1")


def test_rows_of_other_kinds_are_left_alone() -> None:
    desk = monitor()
    desk.engine.load([(b"\x00position", b"whatever")], 0)
    assert len(desk.engine) == 0


def test_event_of_an_unknown_ticket_older_than_the_retention_is_too_late() -> None:
    desk = monitor()
    desk.passes("mon 09:00 +6w")
    desk.hears("INC-1", CREATED)
    assert [rejected.reason for rejected in desk.rejected] == [Reason.TOO_LATE]
    assert "35 days" in desk.rejected[0].detail
    assert not desk.engine.knows("INC-1")
    desk.hears("INC-2", event("created", at("mon 09:00 +1w")))
    assert desk.engine.knows("INC-2"), "exactly as old as the retention"


def test_late_event_of_a_ticket_that_is_kept_is_never_too_late() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now="mon 09:00 +9w")
    desk.knows("INC-1", event("resolved", "mon 12:00"), now="mon 09:00 +9w")
    assert desk.rejected == []
    assert desk.result(CLOCK) is Result.MET


def test_closed_ticket_is_kept_for_the_retention_after_its_last_event_and_then_removed() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, event("resolved", "mon 10:00"), now="mon 11:00")
    desk.hears("INC-2", CREATED)
    end_ms = at("mon 10:00") + LIMITS.retention_ms
    desk.passes(end_ms - 1)
    assert desk.engine.knows("INC-1")
    desk.passes(end_ms)
    assert not desk.engine.knows("INC-1")
    assert [key for key in desk.state if key[:1] == b"t"] == [b"tINC-2"], "an open ticket is kept for ever"
    assert len(desk.engine) == 1
    assert desk.result(CLOCK) is Result.MET, "its verdict stands"
    assert desk.totals("resolution")[0] == 1


def test_open_ticket_that_a_very_late_stop_closes_is_counted_out_as_it_is_removed() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, now=at("mon 12:00") + LIMITS.retention_ms)
    assert desk.engine.open_counts == {"resolution": (1, 0, 1)}
    outcome = desk.hears("INC-1", event("resolved", "mon 10:00"))
    assert outcome.rows[b"tINC-1"] is None
    assert desk.engine.open_counts == {"resolution": (0, 0, 0)}
    assert desk.result(CLOCK) is Result.MET


def test_event_after_the_retention_begins_a_ticket_anew_whether_or_not_a_sweep_came_between() -> None:
    late = event("created", at("mon 10:00") + LIMITS.retention_ms)
    swept, unswept = monitor(), monitor()
    for desk in (swept, unswept):
        desk.hears("INC-1", CREATED, event("resolved", "mon 10:00"))
    swept.passes(late.at_ms)
    for desk in (swept, unswept):
        desk.hears("INC-1", late)
    assert swept.ticket("INC-1") == unswept.ticket("INC-1")
    assert len(swept.ticket("INC-1").history) == 1


@pytest.mark.parametrize("one_step", [True, False])
def test_history_is_full_before_its_row_is_too_large_for_kafka(one_step: bool) -> None:
    desk = monitor()
    notes = [event("note", at("mon 09:00") + n, text="x" * 1000, uid=n + 1) for n in range(300)]
    if one_step:
        desk.hears("INC-1", CREATED, *notes)
    else:
        for note in [CREATED, *notes]:
            desk.hears("INC-1", note)
    assert {rejected.reason for rejected in desk.rejected} == {Reason.HISTORY_FULL}
    assert len(desk.rejected) > 20
    assert desk.engine.row_bytes("INC-1") < 256 * 1024 + 16 * 1100
    assert desk.engine.row_bytes("INC-2") == 0
    assert desk.counts["unmatched"] == 0
    assert "INC-1" in desk.rejected[0].detail


def test_sweep_ends_before_its_rows_outgrow_a_record_batch() -> None:
    desk = monitor()
    for number in range(40):
        desk.hears(
            f"INC-{number:02d}", CREATED, *(event("note", "mon 09:30", text="x" * 10_000, uid=n + 1) for n in range(12))
        )
    assert desk.engine.advance_to(at("tue 09:00"))
    steps = [desk.take(desk.engine.finish())]
    while desk.engine.advance_to(at("tue 09:00")):
        steps.append(desk.take(desk.engine.finish()))
    desk.take(desk.engine.finish())
    assert desk.totals("resolution") == (0, 40)
    for step in steps:
        assert sum(len(row) for row in step.rows.values() if row) < 2_500_000


def test_sweeps_of_one_step_share_its_limit() -> None:
    desk = monitor()
    for number in range(30):
        desk.hears(f"INC-{number}", event("created", at("mon 09:00") + number * MINUTE_MS))
    assert not desk.engine.advance_to(at("mon 13:09"), limit=15)  # ten are at risk
    assert desk.engine.advance_to(at("mon 13:19"), limit=15), "ten more would make twenty"
    assert len(desk.take(desk.engine.finish()).rows) == 15
    assert not desk.engine.advance_to(at("mon 13:19"), limit=15)
    desk.take(desk.engine.finish())
    assert len(desk.firing) == 20


# --- buckets -------------------------------------------------------------------------------------------------------


def test_bucket_holds_what_was_decided_in_its_minute_in_absolute_numbers() -> None:
    desk = monitor()
    for number in range(3):
        desk.knows(f"INC-{number}", CREATED, event("resolved", f"mon 12:00:{number:02d}"), now="mon 12:01")
    assert [(rollup.met, rollup.breached, rollup.is_delta) for rollup in desk.rollups] == [
        (1, 0, False),
        (2, 0, False),
        (3, 0, False),
    ]


def test_bucket_survives_a_restart() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, event("resolved", "mon 12:00"), now="mon 12:01")
    desk.restarts()
    desk.knows("INC-2", CREATED, event("resolved", "mon 12:00"), now="mon 12:01")
    assert desk.counted == {minute("mon 12:00"): [2, 0]}


def test_bucket_that_expired_is_removed_and_what_still_moves_it_goes_out_as_a_change() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, event("resolved", "mon 12:00"), now="mon 13:00")
    desk.knows("INC-2", CREATED, now="mon 17:01")
    assert sum(key[:1] == b"b" for key in desk.state) == 2
    desk.passes(at("mon 18:00") + LIMITS.bucket_retention_ms + DAY_MS)
    assert sum(key[:1] == b"b" for key in desk.state) == 0
    desk.knows("INC-2", event("resolved", "mon 16:00"), now=desk.engine.now_ms)
    assert [(r.minute_ms, r.met, r.breached, r.is_delta) for r in desk.rollups[-2:]] == [
        (at("mon 16:00"), 1, 0, True),
        (at("mon 17:00"), 0, -1, True),
    ]
    assert desk.totals("resolution") == (2, 0)
    assert sum(key[:1] == b"b" for key in desk.state) == 0


def test_expired_buckets_are_removed_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sla.buckets.EXPIRY_LIMIT", 2)
    desk = monitor()
    for number in range(5):
        desk.hears(f"INC-{number}", CREATED, event("resolved", f"mon 12:{number:02d}"))
    desk.hears("INC-9", CREATED)
    buckets = lambda: sum(key[:1] == b"b" for key in desk.state)  # noqa: E731
    assert buckets() == 5
    later_ms = at("mon 18:00") + LIMITS.bucket_retention_ms
    desk.engine.apply("INC-9", event("resolved", "mon 12:04"))  # one of them moves in that very step
    desk.engine.advance_to(later_ms, limit=100)
    desk.take(desk.engine.finish())
    assert buckets() == 4
    for left in (2, 1, 1):
        desk.engine.advance_to(later_ms, limit=100)
        desk.take(desk.engine.finish())
        assert buckets() == left
    desk.passes(later_ms + DAY_MS)
    assert buckets() == 0
    assert desk.totals("resolution") == (6, 0)


def test_bucket_of_a_newer_format_is_refused() -> None:
    desk = monitor()
    desk.knows("INC-1", CREATED, event("resolved", "mon 12:00"), now="mon 13:00")
    rows = {key: bytes((BUCKET_FORMAT + 1,)) + row[1:] for key, row in desk.state.items() if key[:1] == b"b"}
    with pytest.raises(RowFormatError, match="bucket format 2"):
        desk.engine.load(rows.items(), 0)


# --- what is open --------------------------------------------------------------------------------------------------


def test_open_clocks_are_counted_by_target_and_by_what_they_are() -> None:
    desk = monitor(register(PLAIN, target("response", metric="response", within="4bh")))
    desk.knows("INC-1", CREATED, now="mon 09:00")
    assert desk.engine.open_counts == {"resolution": (1, 0, 0), "response": (1, 0, 0)}
    desk.passes("mon 13:00:30")
    assert desk.engine.open_counts == {"resolution": (1, 1, 0), "response": (1, 0, 1)}
    desk.knows("INC-1", event("resolved", "mon 14:00"), now="mon 14:00")
    assert desk.engine.open_counts == {"resolution": (0, 0, 0), "response": (0, 0, 0)}


def test_clock_counts_as_at_risk_or_as_breached_whether_or_not_its_target_warns() -> None:
    silent = target(within="4bh", until="mon 10:00")
    desk = monitor(register(silent, target(within="8bh", warn=("1/4",), since="mon 10:00", revision=2)))
    desk.hears("INC-1", CREATED)
    desk.knows("INC-2", event("created", "mon 11:00"), now="mon 14:00")
    assert desk.engine.open_counts == {"resolution": (2, 1, 1)}, "INC-1 breached without a warning, INC-2 is at risk"
    desk.passes("tue 11:00:30")
    assert desk.engine.open_counts == {"resolution": (2, 0, 2)}
    desk.restarts()
    assert desk.engine.open_counts == {"resolution": (2, 0, 2)}


def test_tickets_can_be_read() -> None:
    desk = monitor()
    desk.hears("INC-1", CREATED)
    desk.hears("INC-2", CREATED)
    assert [name for name, _ in desk.engine.tickets()] == ["INC-1", "INC-2"]
    assert dict(desk.engine.tickets())["INC-1"] == desk.engine.ticket("INC-1")
    assert desk.engine.ticket("INC-3") is None
    desk.engine.apply("INC-3", CREATED)
    assert desk.ticket("INC-3").history == [CREATED]
    assert desk.engine.knows("INC-3")
    assert len(desk.engine) == 2, "until the step is finished"


# --- faults of ours ------------------------------------------------------------------------------------------------


class FailingRegister(Register):
    """A register whose code fails at one instant."""

    failing_at_ms = -1

    def winners(self, attributes, at_ms):  # type: ignore[no-untyped-def]
        if at_ms == self.failing_at_ms:
            raise ZeroDivisionError("a fault of ours")
        return super().winners(attributes, at_ms)


POISON = event("created", "mon 10:30")


def failing() -> Monitor:
    of = FailingRegister(ONE_TARGET.contracts.values(), {"office": OFFICE})
    of.failing_at_ms = POISON.at_ms
    return monitor(of)


def test_event_our_code_fails_on_costs_the_ticket_no_other_event() -> None:
    desk, healthy = failing(), failing()
    for each in (desk, healthy):
        each.knows("INC-1", CREATED, now="tue 09:00")  # breached: told, counted, alerted
    with pytest.raises(ZeroDivisionError):
        desk.hears("INC-1", POISON)
    for each in (desk, healthy):
        each.knows("INC-1", event("resolved", "tue 10:00"), now="tue 10:00")
    assert desk.ticket("INC-1") == healthy.ticket("INC-1")
    assert desk.published == healthy.published
    assert desk.counted == healthy.counted


def test_event_our_code_fails_on_makes_no_ticket() -> None:
    desk = failing()
    with pytest.raises(ZeroDivisionError):
        desk.hears("INC-1", POISON)
    assert not desk.engine.knows("INC-1")
    assert desk.engine.finish().rows == {}


def test_event_our_code_fails_on_does_not_bring_a_forgotten_ticket_back_to_life() -> None:
    of = FailingRegister(ONE_TARGET.contracts.values(), {"office": OFFICE})
    desk = monitor(of)
    desk.knows("INC-1", CREATED, event("resolved", "mon 10:00"), now="mon 11:00")
    before = desk.ticket("INC-1")
    of.failing_at_ms = at("mon 10:00") + LIMITS.retention_ms
    with pytest.raises(ZeroDivisionError):
        desk.hears("INC-1", event("created", of.failing_at_ms))
    desk.take(desk.engine.finish())
    assert desk.ticket("INC-1") == before


def test_the_latest_event_there_may_be_has_a_deadline() -> None:
    desk = monitor(register(target(within="2000bh"), target("elapsed", metric="elapsed", within="3650d")))
    desk.knows("INC-1", event("created", LATEST_EVENT_MS), now=LATEST_EVENT_MS)
    assert [clock.deadline_ms > LATEST_EVENT_MS for clock in desk.ticket("INC-1").clocks] == [True, True]


# --- folding once ----------------------------------------------------------------------------------------------------


class Folds:
    """Counts how often the engine folds a history from its start, and lets that fail."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fails = False
        patch.setattr("sla.engine.refold", self.refold)

    def refold(self, ticket: Ticket, of: Register) -> list[Clock]:
        self.count += 1
        if self.fails:
            raise ZeroDivisionError("division by zero")
        return refold(ticket, of)


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> Folds:
    return Folds(monkeypatch)


FLOOD = [event("updated", at("mon 09:00") + number * MINUTE_MS, number=str(number)) for number in range(1, 120)]


def test_flood_of_events_out_of_order_on_one_ticket_folds_it_once_a_step(folds: Folds) -> None:
    ordered = monitor()
    ordered.knows("INC-1", CREATED, *FLOOD, event("resolved", "mon 12:00"), now="tue 09:00")
    assert folds.count == 0
    desk = monitor()
    desk.hears("INC-1", CREATED)
    desk.hears("INC-1", event("resolved", "mon 12:00"), *reversed(FLOOD), event("updated", "mon 12:30"), *FLOOD[:5])
    assert folds.count == 1
    desk.hears("INC-1", *FLOOD[:5])
    assert folds.count == 1, "what is known already folds nothing"
    ordered.hears("INC-1", event("updated", "mon 12:30"))
    desk.passes("tue 09:00")
    assert desk.last == ordered.last
    assert desk.counted == ordered.counted
    assert desk.ticket("INC-1").history == ordered.ticket("INC-1").history
    assert desk.counts["out-of-order"] == len(FLOOD)
    assert desk.counts["duplicate"] == 10


def test_what_becomes_due_between_events_out_of_order_of_one_step_is_told(folds: Folds) -> None:
    desk = monitor()
    desk.engine.apply("INC-1", event("updated", "mon 10:00"))
    desk.engine.apply("INC-1", CREATED)
    desk.engine.advance_to(at("mon 18:00"))
    desk.engine.apply("INC-1", event("updated", "mon 09:30"))
    desk.take(desk.engine.finish())
    assert desk.result(CLOCK) is Result.BREACHED
    assert folds.count == 2


def test_ticket_is_shown_as_of_its_newest_event_within_a_step() -> None:
    desk = monitor()
    desk.engine.apply("INC-1", event("resolved", "mon 10:00"))
    desk.engine.apply("INC-1", CREATED)
    assert [clock.cycle for clock in desk.ticket("INC-1").clocks] == [1]


def test_register_that_comes_between_the_events_of_a_step_folds_its_tickets_once(folds: Folds) -> None:
    desk = monitor()
    desk.engine.apply("INC-1", event("updated", "mon 10:00"))
    desk.engine.apply("INC-1", CREATED)
    desk.engine.set_register(register(target(within="4bh")), 2)
    desk.engine.apply("INC-1", event("updated", "mon 09:30"))
    desk.take(desk.engine.finish())
    assert folds.count == 1
    desk.passes("mon 13:00:30")
    assert desk.result(CLOCK) is Result.BREACHED


def test_ticket_that_comes_back_after_its_retention_in_the_step_that_mended_its_order() -> None:
    desk = monitor()
    late = event("created", at("mon 10:00") + LIMITS.retention_ms)
    desk.hears("INC-1", event("resolved", "mon 10:00"), CREATED, late)
    assert [entry.event for entry in desk.ticket("INC-1").history] == ["created"]
    assert desk.result(CLOCK) is Result.MET


def test_events_out_of_order_that_can_not_be_folded_are_kept_with_their_ticket_and_folded_later(folds: Folds) -> None:
    desk = monitor()
    desk.hears("INC-1", CREATED)
    folds.fails = True
    outcome = desk.hears("INC-1", event("resolved", "mon 12:00"), event("updated", "mon 10:00"))
    assert [fault.ticket for fault in outcome.faults] == ["INC-1"]
    assert desk.rejected == []
    desk.restarts()
    assert [entry.event for entry in desk.ticket("INC-1").history] == ["created", "updated", "resolved"]
    folds.fails = False
    desk.passes("mon 13:00")
    assert desk.result(CLOCK) is Result.MET
    assert desk.engine.set_aside == []
