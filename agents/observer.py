"""Ties what stages, runners and processors tell about themselves to the metrics."""

from __future__ import annotations

from collections.abc import Mapping

from export.metrics import Metrics
from sla.events import Reason


class MetricsObserver:
    """Observer of stages, runners and processors.

    Parameters
    ----------
    metrics : Metrics
    tickets_topic : str
        Topic whose events the ticket counters are about.
    """

    def __init__(self, metrics: Metrics, tickets_topic: str) -> None:
        self._metrics = metrics
        self._tickets = tickets_topic

    def chunk_read(self, topic: str, partition: int, records: int) -> None:
        """Count nothing: the processors know what became of the records."""

    def step_done(self, kind: str, seconds: float, write_seconds: float, rows: int, outputs: int) -> None:  # noqa: ARG002
        """Count a step."""
        self._metrics.steps_total.labels(kind=kind).inc()
        self._metrics.step_duration_seconds.labels(kind=kind).observe(seconds)
        self._metrics.state_write_seconds.observe(write_seconds)

    def partition_taken(self, stage: str, partition: int, *, restored: bool, producer_id_changed: bool) -> None:  # noqa: ARG002
        """Count a takeover."""
        reason = "producer-id-changed" if producer_id_changed else ("restored" if restored else "kept")
        self._metrics.takeovers_total.labels(reason=reason).inc()

    def partition_given_up(self, stage: str, partition: int) -> None:
        """Nothing: the app forgets the partition's gauges, it knows the topics."""

    def restore_done(self, stage: str, partition: int, rows: int, seconds: float) -> None:  # noqa: ARG002
        """Observe a restore."""
        self._metrics.restore_seconds.observe(seconds)

    def events(self, result: str, count: int) -> None:
        """Count events."""
        self._metrics.events_total.labels(topic=self._tickets, result=result).inc(count)

    def dead_letter(self, reason: Reason) -> None:
        """Count a dead letter."""
        self._metrics.dead_letters_total.labels(reason=reason.value).inc()

    def engine_counts(self, counts: Mapping[str, int]) -> None:
        """Count what a step of the ticket engine found."""
        for name, count in counts.items():
            kind, _, rest = name.partition(":")
            match kind:
                case "duplicate":
                    self._metrics.duplicate_events_total.labels(topic=self._tickets).inc(count)
                case "out-of-order":
                    self._metrics.out_of_order_events_total.labels(topic=self._tickets).inc(count)
                case "unmatched":
                    self._metrics.unmatched_tickets_total.inc(count)
                case "corrections":
                    self._metrics.corrections_total.inc(count)
                case "verdict":
                    contract, target, result = rest.split(":", 2)
                    self._metrics.verdicts_total.labels(contract=contract, target=target, result=result).inc(count)
                case _:
                    raise ValueError(f"the engine counts {name!r}, which no metric knows")
