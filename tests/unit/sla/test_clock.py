"""One clock: consumption, deadline, end. Office hours are Mon-Fri 09:00-17:00 in Berlin."""

from __future__ import annotations

import pytest

from sla import clock as clocks
from sla.calendar import ElapsedCalendar
from sla.clock import Clock, Phase
from sla.contract import DeadlineAt, Target
from sla.outcome import Result
from sla.units import HOUR_MS, MINUTE_MS, NEVER
from tests.support.domain import OFFICE, SETTLE_MS, at, target

EIGHT_HOURS = target(within="8bh", warn=("1/2", "3/4"))


def started(when: str, of: Target = EIGHT_HOURS, consumed_ms: int = 0) -> Clock:
    at_ms = at(when)
    return clocks.start_clock(of, OFFICE, 1, at_ms, start_ms=at_ms, consumed_ms=consumed_ms)


def ended(clock: Clock, when: str, phase: Phase = Phase.STOPPED, of: Target = EIGHT_HOURS) -> Result:
    clocks.end(clock, of, OFFICE, at(when), phase)
    verdict = clocks.verdict_of(clock, "INC-1", of, at(when), SETTLE_MS)
    assert verdict is not None
    return verdict.result


# --- start ---------------------------------------------------------------------------------------------------------


def test_start_outside_hours_counts_from_the_next_opening() -> None:
    clock = started("sat 12:00")
    assert clock.start_ms == at("sat 12:00")
    assert clock.consumed_ms == 0
    assert clock.deadline_ms == at("mon 17:00 +1w")
    assert clocks.consumed_at(clock, OFFICE, at("mon 09:00 +1w")) == 0
    assert clocks.consumed_at(clock, OFFICE, at("mon 09:01 +1w")) == MINUTE_MS


def test_deadline_at_close_of_business_is_the_close_by_default() -> None:
    assert started("mon 09:00").deadline_ms == at("mon 17:00")


def test_deadline_at_close_of_business_can_be_the_next_opening() -> None:
    next_open = target(within="8bh", deadline_at=DeadlineAt.NEXT_OPEN)
    assert started("mon 09:00", next_open).deadline_ms == at("tue 09:00")
    assert started("fri 09:00", next_open).deadline_ms == at("mon 09:00 +1w")


def test_target_zero_is_due_at_the_next_opening() -> None:
    at_once = target(within="0s")
    clock = clocks.start_clock(at_once, ElapsedCalendar(), 1, at("sat 12:00"), start_ms=at("sat 12:00"), consumed_ms=0)
    assert clock.deadline_ms == at("sat 12:00")
    assert started("sat 12:00", target(within="0bh")).deadline_ms == at("mon 09:00 +1w")


# --- pause ---------------------------------------------------------------------------------------------------------


def test_pause_over_a_weekend_consumes_nothing() -> None:
    clock = started("fri 15:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("fri 17:00"))
    clocks.resume(clock, EIGHT_HOURS, OFFICE, at("mon 09:00 +1w"))
    assert clock.consumed_ms == 2 * HOUR_MS
    assert clock.deadline_ms == at("mon 15:00 +1w")


def test_pause_outside_hours_moves_no_deadline() -> None:
    clock = started("mon 15:00")
    undisturbed_ms = clock.deadline_ms
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 18:00"))
    clocks.resume(clock, EIGHT_HOURS, OFFICE, at("tue 08:00"))
    assert clock.deadline_ms == undisturbed_ms == at("tue 15:00")


def test_only_the_overlap_of_pause_and_hours_moves_the_deadline() -> None:
    clock = started("mon 15:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 16:00"))
    clocks.resume(clock, EIGHT_HOURS, OFFICE, at("tue 10:00"))
    # 18 hours of pause, two of them in office hours: one hour on Monday, one on Tuesday.
    assert clock.deadline_ms == at("wed 09:00") - 16 * HOUR_MS + 0
    assert clock.deadline_ms == at("tue 17:00")


def test_paused_clock_has_no_deadline_and_can_not_breach() -> None:
    clock = started("mon 09:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 10:00"))
    assert clock.deadline_ms == NEVER
    assert not clocks.has_breached(clock, at("fri 17:00 +9w"), SETTLE_MS)
    assert clocks.consumed_at(clock, OFFICE, at("fri 17:00")) == HOUR_MS


def test_second_pause_and_second_resume_change_nothing() -> None:
    clock = started("mon 09:00")
    clocks.resume(clock, EIGHT_HOURS, OFFICE, at("mon 10:00"))
    assert (clock.resumed_ms, clock.consumed_ms) == (at("mon 09:00"), 0)
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 11:00"))
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 12:00"))
    assert (clock.resumed_ms, clock.consumed_ms) == (at("mon 11:00"), 2 * HOUR_MS)


def test_pause_after_the_deadline_keeps_the_breach_and_its_deadline() -> None:
    clock = started("mon 09:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("tue 10:00"))
    assert clock.breached
    assert clock.deadline_ms == at("mon 17:00")
    clocks.resume(clock, EIGHT_HOURS, OFFICE, at("wed 10:00"))
    assert clock.deadline_ms == at("mon 17:00")


def test_pause_exactly_at_the_deadline_breaks_no_promise() -> None:
    clock = started("mon 09:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 17:00"))
    assert not clock.breached
    clocks.resume(clock, EIGHT_HOURS, OFFICE, at("wed 12:00"))
    assert clock.deadline_ms == at("wed 12:00"), "used up: due at the next open moment"


# --- end -----------------------------------------------------------------------------------------------------------


def test_stop_exactly_at_the_deadline_is_met() -> None:
    assert ended(started("mon 09:00"), "mon 17:00") is Result.MET


def test_stop_one_millisecond_after_the_deadline_is_breached() -> None:
    clock = started("mon 09:00")
    assert ended(clock, "mon 17:00:00.001") is Result.BREACHED
    verdict = clocks.verdict_of(clock, "INC-1", EIGHT_HOURS, at("mon 17:00:00.001"), SETTLE_MS)
    assert verdict is not None
    assert verdict.decided_at_ms == at("mon 17:00"), "a breach is placed at the deadline"
    assert verdict.stop_ms == at("mon 17:00:00.001")


@pytest.mark.parametrize(
    ("deadline_at", "due", "result"),
    [(DeadlineAt.CLOSE, "mon 17:00", Result.BREACHED), (DeadlineAt.NEXT_OPEN, "tue 09:00", Result.MET)],
)
def test_stop_after_the_close_that_used_up_the_target_is_judged_by_the_deadline_that_was_promised(
    deadline_at: DeadlineAt, due: str, result: Result
) -> None:
    of = target(within="8bh", deadline_at=deadline_at)
    clock = started("mon 09:00", of)
    assert ended(clock, "mon 20:00", of=of) is result
    verdict = clocks.verdict_of(clock, "INC-1", of, at("mon 20:00"), SETTLE_MS)
    assert verdict is not None
    assert verdict.consumed_ms == verdict.target_ms == 8 * HOUR_MS, "the same under either"
    assert verdict.deadline_ms == at(due)


def test_stop_one_millisecond_after_the_close_is_met_if_due_at_the_next_opening() -> None:
    next_open = target(within="8bh", deadline_at=DeadlineAt.NEXT_OPEN)
    clock = started("mon 09:00", next_open)
    assert ended(clock, "mon 17:00:00.001", of=next_open) is Result.MET


def test_verdict_keeps_business_and_elapsed_time() -> None:
    clock = started("mon 16:00")
    assert ended(clock, "tue 10:00") is Result.MET
    verdict = clocks.verdict_of(clock, "INC-1", EIGHT_HOURS, at("tue 10:00"), SETTLE_MS)
    assert verdict is not None
    assert verdict.consumed_ms == 2 * HOUR_MS
    assert verdict.elapsed_ms == 18 * HOUR_MS
    assert verdict.decided_at_ms == verdict.stop_ms == at("tue 10:00")
    assert verdict.clock_id == "INC-1:resolution:1"


def test_clock_that_stops_while_paused_shows_the_deadline_it_would_have_had() -> None:
    clock = started("mon 09:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 10:00"))
    assert ended(clock, "wed 10:00") is Result.MET
    assert clock.deadline_ms == at("wed 17:00")
    assert clock.consumed_ms == HOUR_MS


@pytest.mark.parametrize(
    ("phase", "result"),
    [
        (Phase.CANCELLED, Result.CANCELLED),
        (Phase.MERGED, Result.MERGED),
        (Phase.SUPERSEDED, Result.SUPERSEDED),
        (Phase.TERMINATED, Result.TERMINATED),
    ],
)
def test_other_ends_are_neither_met_nor_breached_and_count_where_they_end(phase: Phase, result: Result) -> None:
    clock = started("mon 09:00")
    assert ended(clock, "mon 12:00", phase) is result
    verdict = clocks.verdict_of(clock, "INC-1", EIGHT_HOURS, at("fri 17:00"), SETTLE_MS)
    assert verdict is not None
    assert verdict.decided_at_ms == at("mon 12:00")


@pytest.mark.parametrize("phase", [Phase.CANCELLED, Phase.MERGED, Phase.SUPERSEDED, Phase.TERMINATED])
def test_promise_broken_before_a_cancellation_stays_broken(phase: Phase) -> None:
    assert ended(started("mon 09:00"), "tue 12:00", phase) is Result.BREACHED


def test_stopped_clock_goes_on_and_the_time_it_stood_is_a_pause() -> None:
    clock = started("mon 09:00")
    clocks.end(clock, EIGHT_HOURS, OFFICE, at("mon 12:00"), Phase.STOPPED)
    clocks.reactivate(clock, EIGHT_HOURS, OFFICE, at("wed 09:00"))
    assert clock.ended_ms is None
    assert clock.deadline_ms == at("wed 14:00")
    assert ended(clock, "wed 14:00") is Result.MET


# --- breach by the passing of time ---------------------------------------------------------------------------------


def test_breach_is_declared_when_settled_and_placed_at_the_deadline() -> None:
    clock = started("mon 09:00")
    assert clocks.verdict_of(clock, "INC-1", EIGHT_HOURS, at("mon 17:00:29.999"), SETTLE_MS) is None
    verdict = clocks.verdict_of(clock, "INC-1", EIGHT_HOURS, at("mon 17:00:30"), SETTLE_MS)
    assert verdict is not None
    assert verdict.result is Result.BREACHED
    assert verdict.decided_at_ms == verdict.deadline_ms == at("mon 17:00")
    assert verdict.stop_ms is None
    assert verdict.consumed_ms == 8 * HOUR_MS
    assert verdict.elapsed_ms == 8 * HOUR_MS


def test_verdict_of_an_open_breached_clock_does_not_grow_with_time() -> None:
    clock = started("mon 09:00")
    first = clocks.verdict_of(clock, "INC-1", EIGHT_HOURS, at("tue 09:00"), SETTLE_MS)
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("wed 12:00"))
    assert clocks.verdict_of(clock, "INC-1", EIGHT_HOURS, at("fri 17:00"), SETTLE_MS) == first


def test_clock_that_brings_more_than_its_target_allows_is_breached_where_it_starts() -> None:
    clock = started("mon 12:00", consumed_ms=8 * HOUR_MS + 1)
    assert clock.breached
    assert clock.deadline_ms == at("mon 12:00")


def test_clock_that_brings_exactly_what_its_target_allows_is_due_at_once() -> None:
    clock = started("sat 12:00", consumed_ms=8 * HOUR_MS)
    assert not clock.breached
    assert clock.deadline_ms == at("mon 09:00 +1w")


# --- thresholds of risk --------------------------------------------------------------------------------------------


def test_risk_levels_rise_with_consumption() -> None:
    clock = started("mon 09:00")
    level_at = lambda when: clocks.warn_level_at(clock, EIGHT_HOURS, OFFICE, at(when))  # noqa: E731
    assert level_at("mon 12:59:59.999") == (0, at("mon 13:00"))
    assert level_at("mon 13:00") == (1, at("mon 15:00"))
    assert level_at("mon 15:00") == (2, NEVER)
    assert level_at("fri 15:00") == (2, NEVER)


def test_share_that_is_no_whole_millisecond_is_reached_at_the_next_one() -> None:
    third = target(within="1s", warn=("1/3",))
    clock = clocks.start_clock(third, ElapsedCalendar(), 1, 0, start_ms=0, consumed_ms=0)
    assert third.warn_thresholds_ms == (334,)
    assert clocks.warn_level_at(clock, third, ElapsedCalendar(), 333) == (0, 334)
    assert clocks.warn_level_at(clock, third, ElapsedCalendar(), 334) == (1, NEVER)


def test_clock_that_is_paused_exactly_at_a_threshold_is_at_risk() -> None:
    clock = started("mon 09:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 13:00"))
    assert clocks.warn_level_at(clock, EIGHT_HOURS, OFFICE, at("mon 13:00")) == (1, NEVER)


def test_risk_level_stays_while_paused() -> None:
    clock = started("mon 09:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 14:00"))
    assert clocks.warn_level_at(clock, EIGHT_HOURS, OFFICE, at("fri 17:00")) == (1, NEVER)
    clocks.resume(clock, EIGHT_HOURS, OFFICE, at("tue 09:00"))
    assert clocks.warn_level_at(clock, EIGHT_HOURS, OFFICE, at("tue 09:00")) == (1, at("tue 10:00"))


def test_next_change_of_a_running_clock_is_the_earlier_of_risk_and_settled_deadline() -> None:
    clock = started("mon 09:00")
    change = lambda when, warn_ms: clocks.next_change_ms(clock, at(when), SETTLE_MS, warn_ms)  # noqa: E731
    assert change("mon 09:00", clock.warn_ms) == at("mon 13:00")
    assert change("mon 15:00", NEVER) == at("mon 17:00:30")
    assert change("mon 17:00:30", NEVER) == NEVER, "the breach is known"
    assert change("mon 17:00:30", at("tue 09:00")) == at("tue 09:00")
    clocks.pause(clock, EIGHT_HOURS, OFFICE, at("mon 12:00"))
    assert change("mon 12:00", NEVER) == NEVER
