"""The metrics of a process."""

import pytest

from export.catalogue import CATALOGUE
from export.metrics import Metrics
from sla.events import Reason
from sla.outcome import Result


def test_every_entry_of_the_catalogue_has_a_handle_of_its_name_in_the_same_order() -> None:
    metrics = Metrics(version="1")
    assert [family.spec.name for family in metrics.families()] == list(CATALOGUE)
    for name, spec in CATALOGUE.items():
        handle = getattr(metrics, name.removeprefix("slawatch_").removeprefix("sla_"))
        assert handle.spec is spec


def test_two_workers_in_one_process_do_not_see_each_other() -> None:
    one, other = Metrics(version="1"), Metrics(version="1")
    one.rebalances_total.inc()
    assert other.rebalances_total.labels().value == 0


def test_dead_letters_start_at_zero_for_every_reason() -> None:
    reasons = [labels["reason"] for labels, _ in Metrics(version="1").dead_letters_total.series()]
    assert reasons == [reason.value for reason in Reason]


def test_a_watched_topic_starts_its_counters_at_zero() -> None:
    metrics = Metrics(version="1", topics=["sla.tickets"])
    assert {labels["topic"] for labels, _ in metrics.events_total.series()} == {"sla.tickets"}
    assert all(series.value == 0 for _, series in metrics.events_total.series())
    assert metrics.partitions_assigned.labels("sla.tickets").value == 0
    assert metrics.event_latency_seconds.labels("sla.tickets").count == 0


def test_a_watched_target_starts_its_verdicts_at_zero() -> None:
    metrics = Metrics(version="1")
    metrics.watch_target("acme", "response")
    assert [labels["result"] for labels, _ in metrics.verdicts_total.series()] == [result.value for result in Result]


def test_a_partition_that_moves_away_takes_its_gauges_and_leaves_its_counters() -> None:
    metrics = Metrics(version="1", topics=["sla.tickets"])
    for partition in (1, 2):
        metrics.state_rows.labels("sla.tickets", partition).set(10)
        metrics.clocks_open.labels(contract="c", target="t", topic="sla.tickets", partition=partition).set(5)
    metrics.state_rows.labels("sla.uptime", 1).set(3)
    metrics.events_total.labels("sla.tickets", "applied").inc(7)

    assert metrics.forget_partition("sla.tickets", 1) == 2

    assert [labels for labels, _ in metrics.state_rows.series()] == [
        {"topic": "sla.tickets", "partition": "2"},
        {"topic": "sla.uptime", "partition": "1"},
    ]
    assert [labels["partition"] for labels, _ in metrics.clocks_open.series()] == ["2"]
    assert metrics.events_total.labels("sla.tickets", "applied").value == 7


def test_a_contract_that_has_ended_takes_all_its_series() -> None:
    metrics = Metrics(version="1")
    metrics.watch_target("ended", "response")
    metrics.watch_target("kept", "response")
    metrics.objective_target_ratio.labels(contract="ended", objective="o", topic="sla.rollups", partition=0).set(0.9)
    assert metrics.forget_contract("ended") == len(Result) + 1
    assert {labels["contract"] for labels, _ in metrics.verdicts_total.series()} == {"kept"}


def test_a_failing_source_of_metrics_is_counted_and_stops_no_other() -> None:
    metrics = Metrics(version="1")

    def fail() -> None:
        raise RuntimeError("no")

    metrics.before_exposition(fail)
    metrics.before_exposition(lambda: metrics.ready.set(1))
    metrics.refresh()
    assert metrics.exposition_errors_total.labels().value == 1
    assert metrics.ready.labels().value == 1


def test_the_version_is_exposed() -> None:
    [(labels, series)] = list(Metrics(version="1.2.3").build_info.series())
    assert labels["version"] == "1.2.3"
    assert series.value == 1


@pytest.mark.parametrize("version", [None, ""])
def test_without_a_version_the_installed_one_is_told(version: str | None) -> None:
    [(labels, _)] = list(Metrics(version=version).build_info.series())
    assert labels["version"]
