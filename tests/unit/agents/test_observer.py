"""What stages, runners and processors tell becomes the metrics of the catalogue."""

from __future__ import annotations

import pytest

from agents.observer import MetricsObserver
from export.catalogue import EventResult
from export.metrics import Metrics
from sla.events import Reason
from streams.state_rows import Output

NOW_MS = 1_772_500_000_000


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1", topics=["sla.tickets"])


@pytest.fixture
def observer(metrics: Metrics) -> MetricsObserver:
    return MetricsObserver(metrics, "sla.tickets", lambda: NOW_MS)


def test_a_step_counts_what_it_wrote_and_what_it_sent(metrics: Metrics, observer: MetricsObserver) -> None:
    outputs = [
        Output("sla.verdicts", 0, b"k", b"v"),
        Output("sla.alerts", 1, b"k", b"v"),
        Output("sla.verdicts", 2, b"", b""),
    ]
    observer.step_done("chunk", 0.02, 0.005, 12_000, outputs)
    observer.step_done("sweep", 0.01, 0.004, 3_000, [])
    assert metrics.steps_total.labels(kind="chunk").value == 1
    assert metrics.step_duration_seconds.labels(kind="sweep").sum == 0.01
    assert metrics.state_write_seconds.labels().count == 2
    assert metrics.state_write_bytes_total.labels().value == 15_000
    assert metrics.outputs_total.labels(topic="sla.verdicts").value == 2
    assert metrics.outputs_total.labels(topic="sla.alerts").value == 1


def test_a_chunk_takes_as_long_as_its_first_record_has_waited(metrics: Metrics, observer: MetricsObserver) -> None:
    observer.chunk_done("sla.tickets", NOW_MS - 250)
    latency = metrics.event_latency_seconds.labels(topic="sla.tickets")
    assert (latency.count, latency.sum) == (1, 0.25)


def test_the_latency_of_a_chunk_names_a_ticket_that_it_decided(metrics: Metrics, observer: MetricsObserver) -> None:
    latency = metrics.event_latency_seconds.labels(topic="sla.tickets")
    verdict = Output("sla.verdicts", 0, b"INC-1", b"v")
    observer.step_done("sweep", 0.01, 0.004, 3_000, [verdict])
    observer.chunk_done("sla.tickets", NOW_MS - 250)
    assert not latency.has_exemplars, "the sweep is not the chunk"
    observer.step_done("chunk", 0.01, 0.004, 3_000, [Output("sla.alerts", 0, b"a", b"v"), verdict])
    observer.chunk_done("sla.tickets", NOW_MS - 250)
    assert f' # {{ticket_id="INC-1"}} 0.25 {NOW_MS / 1000:.3f}\n' in latency.lines_with_exemplars()


def test_a_broker_whose_clock_is_ahead_makes_no_negative_latency(metrics: Metrics, observer: MetricsObserver) -> None:
    observer.chunk_done("sla.tickets", NOW_MS + 3_000)
    assert metrics.event_latency_seconds.labels(topic="sla.tickets").sum == 0.0


@pytest.mark.parametrize(
    ("restored", "changed", "reason"),
    [(False, False, "kept"), (True, False, "restored"), (True, True, "producer-id-changed")],
)
def test_a_takeover_is_counted_by_how_it_went(
    metrics: Metrics, observer: MetricsObserver, restored: bool, changed: bool, reason: str
) -> None:
    observer.partition_taken("tickets", 0, restored=restored, producer_id_changed=changed)
    counts = {labels["reason"]: series.value for labels, series in metrics.takeovers_total.series()}
    assert counts == {"kept": 0, "restored": 0, "producer-id-changed": 0, reason: 1}


def test_a_fence_that_lapsed_while_the_partition_was_held_is_counted(
    metrics: Metrics, observer: MetricsObserver
) -> None:
    observer.producer_id_changed("sla.tickets", 3)
    assert metrics.takeovers_total.labels(reason="producer-id-changed").value == 1


def test_restores_and_rebalances_are_observed(metrics: Metrics, observer: MetricsObserver) -> None:
    observer.restore_done("tickets", 0, 1_000, 1.5)
    observer.rebalance_begun()
    observer.rebalance_begun()
    observer.rebalance_done(4.0)
    observer.partition_given_up("tickets", 0)
    assert metrics.restore_seconds.labels().sum == 1.5
    assert metrics.rebalances_total.labels().value == 2, "the first was overtaken by the second"
    assert metrics.rebalance_duration_seconds.labels().count == 1


def test_records_are_counted_by_topic_and_result(metrics: Metrics, observer: MetricsObserver) -> None:
    observer.events("sla.tickets", EventResult.APPLIED, 4_096)
    observer.events("sla.rollups", EventResult.DUPLICATE, 2)
    observer.dead_letter(Reason.KEY_MISMATCH)
    assert metrics.events_total.labels(topic="sla.tickets", result="applied").value == 4_096
    assert metrics.events_total.labels(topic="sla.rollups", result="duplicate").value == 2
    assert metrics.dead_letters_total.labels(reason="key-mismatch").value == 1


def test_counts_of_the_engine_have_metrics_of_their_own(metrics: Metrics, observer: MetricsObserver) -> None:
    observer.engine_counts(
        {"out-of-order": 3, "unmatched": 2, "corrections": 1, "verdict:acme-support:printing-response:met": 5}
    )
    assert metrics.out_of_order_events_total.labels(topic="sla.tickets").value == 3
    assert metrics.unmatched_tickets_total.labels().value == 2
    assert metrics.corrections_total.labels().value == 1
    assert metrics.verdicts_total.labels("acme-support", "printing-response", "met").value == 5


def test_a_count_that_no_metric_knows_is_a_fault_and_not_lost_in_silence(observer: MetricsObserver) -> None:
    with pytest.raises(ValueError, match="'surprise'"):
        observer.engine_counts({"surprise": 1})
