"""The availability engine: steps stay small, what is old goes, outages are told once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from sla.availability import AvailabilityKind, IdlePolicy, StatusUse
from sla.buckets import Rollup
from sla.events import Reason, Rejected
from sla.outcome import Alert, AlertState
from sla.register import Register
from sla.row import RowFormatError
from sla.slices import SliceState
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS
from sla.uptime_engine import JUDGED_LIMIT, MOST_SAMPLES, UptimeEngine
from sla.uptime_events import ProbeSample
from tests.support.uptime import LIMITS, T0, Buckets, adjustment, drain, finish, objective, register_of, sample, status


def now(minute: float) -> int:
    return T0 + round(minute * MINUTE_MS) + LIMITS.settle_ms


def watched(of: Register | None = None) -> UptimeEngine:
    engine = UptimeEngine(register_of(objective()) if of is None else of, 1, LIMITS)
    engine.advance_to(T0)
    return engine


def told(engine: UptimeEngine, minutes: range, bad: set[int] | None = None, **fields: Any) -> list[Alert]:
    """Let samples of minutes come in, each minute judged at once; return the alerts."""
    alerts: list[Alert] = []
    for minute in minutes:
        good = 0 if bad and minute in bad else 1
        assert engine.apply(sample(minute + 0.5, 1000 + minute, good=good, **fields)) is None
        alerts += drain(engine, now(minute + 1), Buckets())
    return alerts


def test_one_bad_minute_pages_nobody() -> None:
    assert told(watched(), range(10), bad={3, 6}) == []


def test_an_outage_is_told_from_its_first_bad_slice_and_ends_after_two_good_ones() -> None:
    firing, resolved = told(watched(), range(10), bad={3, 4, 5})
    assert (firing.id, firing.state) == ("SLAServiceDown/portal-availability", AlertState.FIRING)
    assert firing.at_ms == now(5)
    assert firing.annotations["started_at"] == "2026-03-02T08:03:00.000Z"
    assert firing.labels == {
        "alertname": "SLAServiceDown",
        "alert_kind": "service",
        "severity": "critical",
        "sla_id": "acme",
        "objective": "portal-availability",
        "service": "portal",
        "team": "web",
    }
    assert (resolved.id, resolved.state, resolved.labels) == (firing.id, AlertState.RESOLVED, firing.labels)
    assert resolved.at_ms == now(8)


def test_silence_of_the_probes_neither_fires_nor_resolves() -> None:
    engine = watched()
    assert len(told(engine, range(5), bad={3, 4})) == 1
    assert drain(engine, now(60), Buckets()) == []
    (state,) = engine.states()
    assert (state.state, state.is_down) == (None, True)
    assert [alert.state for alert in told(engine, range(60, 62))] == [AlertState.RESOLVED]


def test_one_long_slice_is_enough() -> None:
    engine = watched(register_of(objective(slice_ms=15 * MINUTE_MS)))
    assert len(told(engine, range(15), bad={3})) == 1


def test_maintenance_that_begins_ends_an_outage() -> None:
    engine = watched(register_of(objective(), adjustments=[adjustment(6, 20)]))
    assert [alert.state.value for alert in told(engine, range(8), bad=set(range(8)))] == ["firing", "resolved"]


def test_a_declared_outage_names_its_cause() -> None:
    engine = watched()
    engine.apply(status(2, 1, "down", "INC-4711"))
    (alert,) = drain(engine, now(4), Buckets())
    assert "Declared: INC-4711." in alert.annotations["description"]


def test_an_objective_that_leaves_the_register_takes_its_alert_along() -> None:
    engine = watched()
    told(engine, range(5), bad={3, 4})
    engine.set_register(register_of(), 2)
    (alert,) = finish(engine, Buckets())
    assert (alert.state, alert.labels["team"]) == (AlertState.RESOLVED, "web")
    assert engine.apply(sample(6, 1)) is None or not engine.knows("portal")


def test_an_old_correction_pages_nobody() -> None:
    engine = watched()
    told(engine, range(60))
    for uid, minute in enumerate(range(10, 20)):
        engine.apply(sample(minute + 0.2, uid, good=0))
    assert drain(engine, now(60), Buckets()) == []


def test_a_step_judges_a_bounded_number_of_slices_and_progress_waits_for_all() -> None:
    objectives = [objective(f"o{number}", f"s{number}") for number in range(40)]
    engine = watched(register_of(*objectives))
    assert engine.advance_to(now(24 * 60))
    outcome = engine.finish()
    assert JUDGED_LIMIT <= len(outcome.rollups) < JUDGED_LIMIT + 60
    assert T0 < engine.judged_ms < now(24 * 60) - HOUR_MS
    buckets = Buckets()
    buckets.take(outcome.rollups)
    drain(engine, now(24 * 60), buckets)
    assert engine.judged_ms == T0 + DAY_MS
    assert buckets.sums("o7") == (0, 0, 0, 24 * 60)


def test_steps_of_a_long_correction_stay_bounded_and_are_taken_up_after_a_restart() -> None:
    engine, rows = watched(register_of(objective())), dict[bytes, bytes]()
    told(engine, range(3))
    drain(engine, now(5 * 24 * 60), Buckets(), rows)
    engine.set_register(register_of(objective(), adjustments=[adjustment(0, 5 * 24 * 60)]), 2)
    assert engine.advance_to(now(5 * 24 * 60))
    first, buckets = engine.finish(), Buckets()
    for key, row in first.rows.items():
        rows.pop(key, None) if row is None else rows.__setitem__(key, row)
    buckets.take(first.rollups)
    assert len(first.rollups) < JUDGED_LIMIT + 60
    restored = UptimeEngine(engine.register, 2, LIMITS)
    restored.load(rows.items(), engine.now_ms)
    drain(restored, engine.now_ms, buckets)
    assert len(buckets._counts) == 5 * 24 * 60
    assert buckets.counts == {}


def test_what_is_older_than_the_retention_goes() -> None:
    engine, rows = watched(), dict[bytes, bytes]()
    told(engine, range(3))
    drain(engine, now(0) + 2 * DAY_MS, Buckets(), rows)
    assert sum(key[:1] == b"h" for key in rows) == 1
    drain(engine, now(0) + 13 * DAY_MS, Buckets(), rows)
    assert {key[:1] for key in rows} == {b"s"}


def test_a_service_of_no_contract_is_forgotten_with_its_last_rows() -> None:
    engine, rows = watched(), dict[bytes, bytes]()
    told(engine, range(3))
    engine.set_register(register_of(), 2)
    drain(engine, now(0) + 13 * DAY_MS, Buckets(), rows)
    drain(engine, now(0) + 15 * DAY_MS, Buckets(), rows)
    assert rows == {}
    assert engine.services == ()


def test_requests_are_counted_and_a_minute_in_which_none_went_well_is_down() -> None:
    engine, buckets = watched(register_of(objective(kind=AvailabilityKind.REQUEST_RATIO))), Buckets()
    for uid, (minute, good, total) in enumerate(
        [(0.4, 99, 100), (0.6, 50, 50), (1.5, 0, 0), (2.5, 0, 10), (3.5, 0, 9)]
    ):
        engine.apply(sample(minute, uid, good=good, total=total, is_count=True))
    (alert,) = drain(engine, now(4), buckets)
    assert buckets.sums() == (149, 20, 4, 4)
    assert alert.state is AlertState.FIRING


def test_a_count_belongs_to_the_minute_it_ends_in() -> None:
    engine, buckets = watched(register_of(objective(kind=AvailabilityKind.REQUEST_RATIO))), Buckets()
    engine.apply(sample(1, 1, good=10, total=10, is_count=True))
    drain(engine, now(2), buckets)
    assert buckets.counts == {
        ("portal-availability", T0): (10, 0, 1, 1),
        ("portal-availability", T0 + MINUTE_MS): (0, 0, 0, 1),
    }


@pytest.mark.parametrize(("idle", "counts"), [("hold", (2, 1)), ("good", (2, 1)), ("no_data", (1, 1))])
def test_an_idle_slice_is_what_the_policy_says_and_a_missing_one_never(idle: str, counts: tuple[int, int]) -> None:
    engine, buckets = watched(register_of(objective(idle=IdlePolicy(idle)))), Buckets()
    for uid, (minute, good, total) in enumerate([(0.5, 0, 9), (1.5, 9, 9), (2.5, 0, 0)]):
        engine.apply(sample(minute, uid, good=good, total=total, is_count=True))
    drain(engine, now(5), buckets)
    assert buckets.sums()[:2] == counts


def test_samples_without_number_are_refused() -> None:
    engine = watched()
    refused = [engine.apply(sample(0.5, uid)) for uid in range(MOST_SAMPLES + 1)]
    assert refused[:-1] == [None] * MOST_SAMPLES
    assert isinstance(refused[-1], Rejected)
    assert refused[-1].reason is Reason.HISTORY_FULL


def test_a_declared_state_from_before_the_retention_is_too_late() -> None:
    engine = watched()
    engine.advance_to(now(0) + 20 * DAY_MS)
    refused = engine.apply(status(0, 1, "down"))
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.TOO_LATE


def test_a_revision_that_only_begins_later_judges_nothing_again() -> None:
    of = objective()
    engine = watched(register_of(of))
    told(engine, range(10))
    later_ms = T0 + DAY_MS
    revisions = (
        replace(of, effective_until_ms=later_ms),
        replace(of, revision=2, effective_from_ms=later_ms, slice_ms=5 * MINUTE_MS),
    )
    engine.set_register(register_of(*revisions), 2)
    assert not engine.advance_to(engine.now_ms)
    assert engine.finish().rollups == []


def test_the_state_of_a_service_is_its_last_slice() -> None:
    engine = watched()
    told(engine, range(3), bad={2})
    (state,) = engine.states()
    assert (state.state, state.is_down) == (SliceState.BAD, False)


def test_a_row_of_a_newer_release_is_refused() -> None:
    engine, rows = watched(), dict[bytes, bytes]()
    told(engine, range(1))
    drain(engine, now(0) + 3 * HOUR_MS, Buckets(), rows)
    engine.apply(sample(180.5, 77))
    finish(engine, Buckets(), rows)
    assert {key[:1] for key in rows} == {b"s", b"m", b"h"}
    for key, row in rows.items():
        UptimeEngine(engine.register, 1, LIMITS).load([(key, row)], engine.now_ms)
        with pytest.raises(RowFormatError, match="a newer worker wrote it"):
            UptimeEngine(engine.register, 1, LIMITS).load([(key, b"\x09" + row[1:])], engine.now_ms)


def test_a_rollup_goes_out_once_a_step_with_its_last_word() -> None:
    engine = watched()
    told(engine, range(3))
    engine.apply(sample(1.1, 5, good=0))
    engine.apply(sample(1.2, 6, probe="sin"))
    engine.apply(sample(1.3, 7, probe="nyc"))
    engine.advance_to(engine.now_ms)
    assert engine.finish().rollups == [
        Rollup("portal-availability", T0 + MINUTE_MS, 1, 0, known_minutes=1, expected_minutes=1)
    ]


def test_a_sample_of_years_ago_has_no_years_judged() -> None:
    engine, buckets = UptimeEngine(register_of(objective()), 1, LIMITS), Buckets()
    engine.apply(replace_at(sample(0, 1), 0))
    engine.apply(replace_at(sample(0, 2), 1_000))
    engine.apply(sample(-10, 3))
    assert drain(engine, now(0), buckets) == []
    first_minute = (T0 + LIMITS.settle_ms - LIMITS.lateness_ms) // MINUTE_MS * MINUTE_MS
    assert min(minute_ms for _, minute_ms in buckets.counts) == first_minute
    assert buckets.sums() == (1, 0, 1, LIMITS.lateness_ms // MINUTE_MS)


def test_a_state_declared_long_ago_holds_now_and_lets_nothing_before_be_missing() -> None:
    engine, buckets = UptimeEngine(register_of(objective(statuses=StatusUse.ONLY)), 1, LIMITS), Buckets()
    engine.advance_to(now(0))
    assert engine.apply(status(-5 * 24 * 60, 1, "up")) is None
    drain(engine, now(10), buckets)
    assert buckets.sums() == (LIMITS.lateness_ms // MINUTE_MS + 10, 0, LIMITS.lateness_ms // MINUTE_MS + 10, 130)


def replace_at(of: ProbeSample, at_ms: int) -> ProbeSample:
    return msgspec.structs.replace(of, at_ms=at_ms, is_count=True)
