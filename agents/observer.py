"""Ties what the app, stages, runners and processors tell about themselves to the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Protocol

from export.catalogue import EventResult, StepKind
from export.metrics import Metrics
from export.series import Exemplar
from sla.events import Reason
from streams.state_rows import Output


class RecordObserver(Protocol):
    """What a processor tells about the records it reads; the metrics implement it."""

    def events(self, topic: str, result: EventResult, count: int) -> None:
        """``count`` records of a source topic became this."""

    def dead_letter(self, reason: Reason) -> None:
        """A record went to the dead letters."""


class TicketObserver(RecordObserver, Protocol):
    """What the processor of tickets tells beyond that."""

    def engine_counts(self, counts: Mapping[str, int]) -> None:
        """Counters of a step: ``out-of-order``, ``unmatched``, ``corrections``, ``verdict:contract:target:result``."""


class UptimeObserver(RecordObserver, Protocol):
    """What the processor of uptime events tells beyond that."""

    def uptime_counts(self, counts: Mapping[str, int]) -> None:
        """Counters of a step: ``late``, ``rejudged``, ``feedback``."""


class MetricsObserver:
    """Observer of the app, of stages, runners and processors.

    Parameters
    ----------
    metrics : Metrics
    tickets_topic, uptime_topic : str
        Topics whose events the engines' counters are about.
    now_ms : callable
        The wall clock, for latencies against Kafka's timestamps.
    verdicts_topic : str
        Topic whose records have the ticket as key: one of a chunk is the exemplar of its latency.
    """

    def __init__(
        self,
        metrics: Metrics,
        tickets_topic: str,
        now_ms: Callable[[], int],
        uptime_topic: str = "sla.uptime",
        verdicts_topic: str = "sla.verdicts",
    ) -> None:
        self._metrics = metrics
        self._tickets = tickets_topic
        self._uptime = uptime_topic
        self._now_ms = now_ms
        self._verdicts = verdicts_topic
        self._ticket: str | None = None

    # --- the app ---------------------------------------------------------------------------------------------------

    def rebalance_begun(self) -> None:
        """Count a rebalance."""
        self._metrics.rebalances_total.inc()

    def rebalance_done(self, seconds: float) -> None:
        """Observe how long the partitions were not served."""
        self._metrics.rebalance_duration_seconds.observe(seconds)

    # --- stages and runners ----------------------------------------------------------------------------------------

    def step_done(
        self, kind: str, seconds: float, write_seconds: float, state_bytes: int, outputs: Sequence[Output]
    ) -> None:
        """Count a step, what it wrote and what it sent."""
        metrics = self._metrics
        metrics.steps_total.labels(kind=kind).inc()
        metrics.step_duration_seconds.labels(kind=kind).observe(seconds)
        metrics.state_write_seconds.observe(write_seconds)
        metrics.state_write_bytes_total.inc(state_bytes)
        for topic, count in Counter(map(attrgetter("topic"), outputs)).items():
            metrics.outputs_total.labels(topic=topic).inc(count)
        # The chunk of these outputs is done next, if it is done at all.
        verdicts = (output.key for output in outputs if output.topic == self._verdicts)
        key = next(verdicts, None) if kind == StepKind.CHUNK else None
        self._ticket = None if key is None else key.decode(errors="replace")

    def chunk_done(self, topic: str, first_timestamp_ms: int) -> None:
        """Observe the latency of a chunk."""
        # Two clocks are compared; where the broker's is ahead of ours there is no negative time.
        now_ms = self._now_ms()
        seconds = max(0, now_ms - first_timestamp_ms) / 1000
        ticket, self._ticket = self._ticket, None
        exemplar = None if ticket is None else Exemplar({"ticket_id": ticket}, now_ms / 1000)
        self._metrics.event_latency_seconds.labels(topic=topic).observe(seconds, exemplar=exemplar)

    def producer_id_changed(self, topic: str, partition: int) -> None:  # noqa: ARG002
        """Count that a fence had lapsed."""
        self._metrics.takeovers_total.labels(reason="producer-id-changed").inc()

    def partition_taken(self, stage: str, partition: int, *, restored: bool, producer_id_changed: bool) -> None:  # noqa: ARG002
        """Count a takeover."""
        reason = "producer-id-changed" if producer_id_changed else ("restored" if restored else "kept")
        self._metrics.takeovers_total.labels(reason=reason).inc()

    def partition_given_up(self, stage: str, partition: int) -> None:
        """Nothing: the app forgets the partition's gauges, it knows the topics."""

    def restore_done(self, stage: str, partition: int, rows: int, seconds: float) -> None:  # noqa: ARG002
        """Observe a restore."""
        self._metrics.restore_seconds.observe(seconds)

    # --- processors ------------------------------------------------------------------------------------------------

    def events(self, topic: str, result: EventResult, count: int) -> None:
        """Count records."""
        self._metrics.events_total.labels(topic=topic, result=result.value).inc(count)

    def dead_letter(self, reason: Reason) -> None:
        """Count a dead letter."""
        self._metrics.dead_letters_total.labels(reason=reason.value).inc()

    def engine_counts(self, counts: Mapping[str, int]) -> None:
        """Count what a step of the ticket engine found."""
        for name, count in counts.items():
            kind, _, rest = name.partition(":")
            match kind:
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

    def uptime_counts(self, counts: Mapping[str, int]) -> None:
        """Count what a step of the availability engine found."""
        for name, count in counts.items():
            match name:
                case "late":
                    self._metrics.out_of_order_events_total.labels(topic=self._uptime).inc(count)
                case "rejudged":
                    self._metrics.availability_corrections_total.inc(count)
                case "feedback":
                    pass  # taken in, and not looked at by availability
                case _:
                    raise ValueError(f"the availability engine counts {name!r}, which no metric knows")
