"""Gauges tell what the owned partitions hold, and nothing that was true once."""

from __future__ import annotations

from typing import Any

import pytest

import sla.telling
from agents.gauges import Gauges
from sla.buckets import Rollup
from sla.contract import Period, Window
from sla.outcome import AlertState
from streams.lane import Watermark
from streams.rollups import encode_progress, encode_rollup
from tests.support.application import NOW_MS, Bench
from tests.support.domain import at, register, target
from tests.support.fake_kafka import Record
from tests.support.records import (
    PARTITIONS,
    alert,
    alert_record,
    event_record,
    heartbeat_record,
    made_by,
    sample_record,
    service_on,
    ticket_on,
    uptime_heartbeat,
)
from tests.support.uptime import objective, register_of

DESK = register(target(within="8bh", warn=("0.5",), attain="0.9"))


@pytest.fixture
def bench() -> Bench:
    return Bench(DESK)


def exposed(family: Any) -> dict[tuple[str, ...], float | None]:
    """Return what a family exposes: label values to value."""
    return {tuple(labels.values()): series.value for labels, series in family.series() if series.value is not None}


def refreshed(bench: Bench, gauges: Gauges | None = None) -> Gauges:
    gauges = gauges or Gauges(bench, lambda: bench.now_ms)  # type: ignore[arg-type]
    gauges.refresh()
    return gauges


def rollups(met: int, breached: int, now: str) -> list[Record]:
    counts = encode_rollup(Rollup("resolution", at("mon 09:00"), met, breached))
    return [
        made_by(Record(0, b"k", counts, NOW_MS), "sla.tickets/0", 1),
        *(
            made_by(Record(1 + number, b"k", encode_progress(at(now)), NOW_MS), f"sla.tickets/{number}", 2)
            for number in range(PARTITIONS)
        ),
    ]


# --- flow --------------------------------------------------------------------------------------------------------------


def test_a_partition_that_is_read_to_its_end_has_no_lag(bench: Bench) -> None:
    runner = bench.own_tickets(0)
    runner.step(event_record(ticket_on(0), offset=9))
    bench.tickets.watermarks[0] = Watermark(NOW_MS, end=10, position=10, handed_out=9)
    refreshed(bench)
    assert exposed(bench.metrics.consumer_lag_messages) == {("sla.tickets", "0"): 0}
    assert exposed(bench.metrics.consumer_lag_seconds) == {("sla.tickets", "0"): 0.0}


def test_a_partition_that_is_behind_tells_by_how_many_records_and_how_old_the_last_one_is(bench: Bench) -> None:
    runner = bench.own_tickets(0)
    runner.step(event_record(ticket_on(0), offset=9))
    runner.last_timestamp_ms = NOW_MS - 90_000
    bench.tickets.watermarks[0] = Watermark(NOW_MS, end=1_010, position=500, handed_out=499)
    refreshed(bench)
    assert exposed(bench.metrics.consumer_lag_messages) == {("sla.tickets", "0"): 1_000}
    assert exposed(bench.metrics.consumer_lag_seconds) == {("sla.tickets", "0"): 90.0}
    assert exposed(bench.metrics.last_event_timestamp_seconds) == {("sla.tickets", "0"): (NOW_MS - 90_000) / 1000}


def test_how_old_the_lag_is_is_unknown_before_the_first_record_was_read(bench: Bench) -> None:
    """A position has no time of its own: 0 would be a lie."""
    bench.own_tickets(0)
    bench.tickets.watermarks[0] = Watermark(NOW_MS, end=10, position=0, handed_out=-1)
    refreshed(bench)
    assert exposed(bench.metrics.consumer_lag_messages) == {("sla.tickets", "0"): 10}
    assert exposed(bench.metrics.consumer_lag_seconds) == {}
    assert exposed(bench.metrics.last_event_timestamp_seconds) == {}
    assert exposed(bench.metrics.partition_now_timestamp_seconds) == {}


def test_without_a_watermark_there_is_no_lag_to_tell(bench: Bench) -> None:
    bench.own_tickets(0)
    refreshed(bench)
    assert exposed(bench.metrics.consumer_lag_messages) == {}


def test_commits_presents_and_partitions_are_told(bench: Bench) -> None:
    for partition in (0, 2):
        bench.own_tickets(partition).step(heartbeat_record("mon 12:00"))
    bench.app.commit_ages["sla.tickets", 2] = 3.5
    refreshed(bench)
    assert exposed(bench.metrics.commit_age_seconds) == {("sla.tickets", "0"): 0.0, ("sla.tickets", "2"): 3.5}
    assert exposed(bench.metrics.partition_now_timestamp_seconds) == {
        ("sla.tickets", "0"): at("mon 12:00") / 1000,
        ("sla.tickets", "2"): at("mon 12:00") / 1000,
    }
    assert exposed(bench.metrics.partitions_assigned) == {
        ("sla.tickets",): 2,
        ("sla.uptime",): 0,
        ("sla.rollups",): 0,
        ("sla.alerts",): 0,
    }


# --- agreements --------------------------------------------------------------------------------------------------------


def test_open_clocks_are_told_by_colour(bench: Bench) -> None:
    runner = bench.own_tickets(0)
    early, late, fresh = (ticket_on(0, number) for number in range(3))
    runner.step(event_record(early, when="mon 09:00"), heartbeat_record("mon 17:00:30"))
    runner.step(event_record(late, when="tue 09:00"), heartbeat_record("tue 13:00"))
    runner.step(event_record(fresh, when="tue 13:00"))
    refreshed(bench)
    place = ("desk", "resolution", "sla.tickets", "0")
    assert exposed(bench.metrics.clocks_open) == {place: 3}
    assert exposed(bench.metrics.clocks_breached_open) == {place: 1}
    assert exposed(bench.metrics.clocks_at_risk) == {place: 1}, "a breached clock is no longer at risk"
    assert exposed(bench.metrics.state_rows) == {("sla.tickets", "0"): 3}


def test_tickets_set_aside_are_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = bench.own_tickets(0)
    monkeypatch.setattr(sla.telling, "clock_alert", None)
    runner.step(event_record(ticket_on(0)), heartbeat_record("mon 17:00:30"))
    refreshed(bench)
    assert exposed(bench.metrics.tickets_set_aside) == {("sla.tickets", "0"): 1}


def test_objectives_are_told_with_their_window(bench: Bench) -> None:
    bench.own_objectives(1).step(*rollups(7, 3, "mon 10:00"))
    refreshed(bench)
    of, place = ("desk", "resolution"), ("sla.rollups", "1")
    assert exposed(bench.metrics.objective_target_ratio) == {(*of, *place): 0.9}
    assert exposed(bench.metrics.objective_attainment_ratio) == {(*of, "month", *place): 0.7}
    assert exposed(bench.metrics.objective_events) == {(*of, "met", *place): 7, (*of, "breached", *place): 3}
    assert exposed(bench.metrics.error_budget_remaining_ratio) == {(*of, *place): pytest.approx(1 - 3 / 743)}
    assert exposed(bench.metrics.error_budget_remaining_events) == {(*of, *place): pytest.approx(740)}
    assert exposed(bench.metrics.error_budget_remaining_seconds) == {(*of, *place): pytest.approx(74 * 3600)}
    rates = exposed(bench.metrics.objective_burn_rate_ratio)
    assert rates[(*of, "1h", *place)] == pytest.approx(3.0), "thirty percent breached, ten may be"
    assert rates.keys() == {(*of, window, *place) for window in ("1h", "6h", "1d", "3d")}
    assert exposed(bench.metrics.objective_coverage_ratio) == {(*of, *place): pytest.approx(1 / 34)}
    assert exposed(bench.metrics.objective_watermark_timestamp_seconds) == {(*of, *place): at("mon 10:00") / 1000}


def test_an_objective_without_events_has_no_attainment(bench: Bench) -> None:
    """No data is not good data."""
    bench.own_objectives(1).step(*rollups(0, 0, "mon 10:00"))
    refreshed(bench)
    assert exposed(bench.metrics.objective_attainment_ratio) == {}
    assert exposed(bench.metrics.error_budget_remaining_ratio) == {}
    assert set(exposed(bench.metrics.objective_events).values()) == {0}


def test_alerts_that_fire_are_told_by_name_and_fall_back_to_zero(bench: Bench) -> None:
    runner = bench.own_alerts(0)
    runner.step(alert_record(alert(1)), alert_record(alert(2)))
    gauges = refreshed(bench)
    assert exposed(bench.metrics.alerts_firing)["SLATicketAtRisk", "sla.alerts", "0"] == 2
    for number in (1, 2):
        runner.step(alert_record(alert(number, AlertState.RESOLVED)))
    refreshed(bench, gauges)
    assert exposed(bench.metrics.alerts_firing)["SLATicketAtRisk", "sla.alerts", "0"] == 0


# --- what is no longer so ----------------------------------------------------------------------------------------------


def test_a_partition_that_moved_away_takes_all_its_gauges(bench: Bench) -> None:
    for partition in (0, 1):
        bench.own_tickets(partition).step(event_record(ticket_on(partition)), heartbeat_record("mon 12:00"))
        bench.tickets.watermarks[partition] = Watermark(NOW_MS, 1, 1, 0)
    gauges = refreshed(bench)
    del bench.tickets.runners[0]
    refreshed(bench, gauges)
    for family in bench.metrics.families():
        if family.spec.partition_owned:
            assert {labels["partition"] for labels, _ in family.series()} <= {"1"}, family.spec.name
    assert exposed(bench.metrics.partitions_assigned)[("sla.tickets",)] == 1


def test_a_partition_that_comes_back_is_told_again(bench: Bench) -> None:
    runner = bench.own_tickets(0)
    runner.step(event_record(ticket_on(0)))
    gauges = refreshed(bench)
    del bench.tickets.runners[0]
    refreshed(bench, gauges)
    bench.tickets.runners[0] = runner
    refreshed(bench, gauges)
    assert exposed(bench.metrics.clocks_open) == {("desk", "resolution", "sla.tickets", "0"): 1}


def test_a_target_that_left_the_register_takes_its_series_and_leaves_the_others(bench: Bench) -> None:
    both = register(target("resolution"), target("response", metric="response"))
    bench = Bench(both)
    bench.own_tickets(0).step(event_record(ticket_on(0)))
    gauges = refreshed(bench)
    assert len(exposed(bench.metrics.clocks_open)) == 2
    bench.change_register(register(target("response", metric="response")), 2)
    refreshed(bench, gauges)
    assert exposed(bench.metrics.clocks_open) == {("desk", "response", "sla.tickets", "0"): 1}
    assert {labels["target"] for labels, _ in bench.metrics.clocks_at_risk.series()} == {"response"}


def test_a_window_that_was_changed_takes_its_series(bench: Bench) -> None:
    bench.own_objectives(1).step(*rollups(7, 3, "mon 10:00"))
    gauges = refreshed(bench)
    quarter = Window(rolling_ms=None, period=Period.QUARTER, timezone="Europe/Berlin")
    bench.change_register(register(target(attain="0.9", over=quarter)), 2)
    refreshed(bench, gauges)
    assert {labels["window"] for labels, _ in bench.metrics.objective_attainment_ratio.series()} == {"quarter"}


def test_a_contract_that_left_the_register_takes_every_series_counters_too(bench: Bench) -> None:
    both = register(target("resolution"), target("repair", contract="garage", attain="0.5"))
    bench = Bench(both)
    for contract, of in (("desk", "resolution"), ("garage", "repair")):
        bench.metrics.watch_target(contract, of)
    bench.own_tickets(0).step(event_record(ticket_on(0)))
    gauges = refreshed(bench)
    bench.change_register(register(target("resolution")), 2)
    refreshed(bench, gauges)
    for family in bench.metrics.families():
        if "contract" in family.spec.labels:
            assert {labels["contract"] for labels, _ in family.series()} <= {"desk"}, family.spec.name
    assert exposed(bench.metrics.verdicts_total)


def test_a_contract_that_comes_back_is_told_again(bench: Bench) -> None:
    bench.own_tickets(0).step(event_record(ticket_on(0)))
    gauges = refreshed(bench)
    bench.change_register(register(), 2)
    refreshed(bench, gauges)
    assert exposed(bench.metrics.clocks_open) == {}
    bench.change_register(DESK, 3)
    refreshed(bench, gauges)
    assert exposed(bench.metrics.clocks_open) == {("desk", "resolution", "sla.tickets", "0"): 1}


def test_a_processor_without_gauges_is_a_fault_that_is_seen(bench: Bench) -> None:
    runner = bench.own_tickets(0)
    runner.processor = object()
    with pytest.raises(TypeError, match="no gauges for object"):
        refreshed(bench)


# --- what is promised --------------------------------------------------------------------------------------------------


def test_targets_and_objectives_tell_what_they_are_about(bench: Bench) -> None:
    refreshed(bench)
    assert exposed(bench.metrics.target_info) == {("desk", "resolution", "resolution", "sla", "", ""): 1}
    assert exposed(bench.metrics.objective_info) == {
        ("desk", "resolution", "occurrence", "resolution", "sla", "", ""): 1
    }
    assert exposed(bench.metrics.objective_window_seconds) == {("desk", "resolution"): 365.2425 / 12 * 86_400}


def test_what_a_register_no_longer_promises_is_told_no_more(bench: Bench) -> None:
    gauges = refreshed(bench)
    month = Window(rolling_ms=30 * 86_400_000, period=None)
    bench.change_register(register(target("response", metric="response", attain="0.9", over=month)), 2)
    refreshed(bench, gauges)
    assert {labels["target"] for labels, _ in bench.metrics.target_info.series()} == {"response"}
    assert exposed(bench.metrics.objective_window_seconds) == {("desk", "response"): 30 * 86_400}


def test_alerts_are_told_by_team_and_are_gone_when_none_fires(bench: Bench) -> None:
    runner = bench.own_alerts(0)
    runner.step(alert_record(alert(1)), alert_record(alert(2)))
    gauges = refreshed(bench)
    told = exposed(bench.metrics.team_alerts_firing)
    assert list(told.values()) == [2]
    [(name, _, _, topic, partition)] = told
    assert (name, topic, partition) == ("SLATicketAtRisk", "sla.alerts", "0")
    for number in (1, 2):
        runner.step(alert_record(alert(number, AlertState.RESOLVED)))
    refreshed(bench, gauges)
    assert exposed(bench.metrics.team_alerts_firing) == {}


def test_the_partitions_a_topic_should_have_are_told(bench: Bench) -> None:
    refreshed(bench)
    assert exposed(bench.metrics.partitions) == {
        (topic,): PARTITIONS for topic in ("sla.tickets", "sla.uptime", "sla.rollups", "sla.alerts")
    }


# --- services ----------------------------------------------------------------------------------------------------------


def test_a_service_is_up_or_down_by_its_last_slice_and_absent_while_that_is_unknown() -> None:
    portal = service_on(1)
    bench = Bench(register_of(objective(service=portal)))
    runner = bench.own_uptime(1)
    gauges = refreshed(bench)
    labels = ("acme", "portal-availability", portal, "sla.uptime", "1")
    runner.step(sample_record(0.5, portal), uptime_heartbeat(1.6))
    refreshed(bench, gauges)
    assert exposed(bench.metrics.service_up) == {labels: 1.0}
    runner.step(sample_record(1.5, portal, ok=False), uptime_heartbeat(2.6))
    refreshed(bench, gauges)
    assert exposed(bench.metrics.service_up) == {labels: 0.0}
    runner.step(uptime_heartbeat(10))
    refreshed(bench, gauges)
    assert exposed(bench.metrics.service_up) == {}
