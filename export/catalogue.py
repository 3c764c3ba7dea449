"""The catalogue: every metric of slawatch as data. Nothing else invents a metric name.

Two families of names: ``sla_*`` tells about agreements, ``slawatch_*`` about the monitor itself. The rules, which a
test enforces: base units and the unit in the name, ``_total`` for counters and only for them, labels from a small
fixed vocabulary with bounded values (never a ticket id), and labels ``topic`` and ``partition`` on every gauge that
belongs to a partition. The latter makes sums over workers right: right after a partition has moved, its old and its
new owner may both be scraped, and ``sum by (contract) (max without (instance, job) (sla_clocks_open))`` counts it once.

``python -m export.catalogue`` prints the reference page, ``docs/reference/metrics.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from sla.events import Reason
from sla.outcome import AlertKind, Result

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds for work inside a worker: a millisecond to a minute."""

RECOVERY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds in seconds for restores and rebalances: a tenth of a second to ten minutes."""


class EventResult(StrEnum):
    """What became of a record read from a source topic (label ``result``)."""

    APPLIED = "applied"
    """It became part of the state."""
    DUPLICATE = "duplicate"
    """Its event was known already."""
    HEARTBEAT = "heartbeat"
    """It told the time only."""
    REJECTED = "rejected"
    """It went to the dead letters."""


class StepKind(StrEnum):
    """What a step of a partition worked on (label ``kind``)."""

    CHUNK = "chunk"
    SWEEP = "sweep"
    REGISTER = "register"


class PushResult(StrEnum):
    """What became of one alert in one push (label ``result``)."""

    ACCEPTED = "accepted"
    """At least one Alertmanager took it."""
    REJECTED = "rejected"
    """Every Alertmanager that answered refused this alert."""
    FAILED = "failed"
    """No Alertmanager could be reached; it is tried again."""
    DROPPED = "dropped"
    """Not sent: the decision was too old, or this worker may no longer own the alert."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric.

    Attributes
    ----------
    name : str
        As in queries; counters end in ``_total``.
    help : str
        One sentence for the reader of a dashboard.
    labels : tuple of str
        Label names, in order.
    unit : str
        Base unit at the end of the name (before ``_total``): ``seconds``, ``bytes``, ``ratio``, ...; empty for
        counts of things that the name itself says.
    values : mapping of str to tuple of str
        All values of labels that are known beforehand; used to start counters at zero.
    """

    type: ClassVar[str]
    """The type as the exposition formats call it."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """Name of the metric family in OpenMetrics: without ``_total``."""
        return self.name.removesuffix("_total")

    @property
    def partition_owned(self) -> bool:
        """Whether its series belong to a partition and go when that goes."""
        return self.type == "gauge" and "partition" in self.labels


@dataclass(frozen=True, slots=True)
class CounterSpec(MetricSpec):
    """A number that only grows while the process lives."""

    type: ClassVar[str] = "counter"


@dataclass(frozen=True, slots=True)
class GaugeSpec(MetricSpec):
    """A number that goes up and down; not exposed while unknown (no data is neither 0 nor 100 %)."""

    type: ClassVar[str] = "gauge"


@dataclass(frozen=True, slots=True)
class HistogramSpec(MetricSpec):
    """A distribution; ``buckets`` are ascending upper bounds, ``+Inf`` is implied."""

    type: ClassVar[str] = "histogram"

    buckets: tuple[float, ...] = LATENCY_BUCKETS


_PARTITION = ("topic", "partition")
_TARGET = ("contract", "target")
_OBJECTIVE = ("contract", "objective")
_RESULTS = tuple(result.value for result in Result)
_REASONS = tuple(reason.value for reason in Reason)

# --- sla_*: about agreements -----------------------------------------------------------------------------------------

CLOCKS_OPEN = GaugeSpec(
    "sla_clocks_open", "Clocks that run or are paused, breached ones included.", (*_TARGET, *_PARTITION)
)
CLOCKS_AT_RISK = GaugeSpec(
    "sla_clocks_at_risk", "Open clocks that are at risk and not breached yet.", (*_TARGET, *_PARTITION)
)
CLOCKS_BREACHED_OPEN = GaugeSpec(
    "sla_clocks_breached_open", "Open clocks that are past their deadline.", (*_TARGET, *_PARTITION)
)
VERDICTS_TOTAL = CounterSpec(
    "sla_verdicts_total",
    "Verdicts published, corrections included, by outcome of the clock.",
    (*_TARGET, "result"),
    values={"result": _RESULTS},
)
OBJECTIVE_TARGET_RATIO = GaugeSpec(
    "sla_objective_target_ratio",
    "Share of events that must be good, as the contract in force says.",
    (*_OBJECTIVE, *_PARTITION),
    "ratio",
)
OBJECTIVE_ATTAINMENT_RATIO = GaugeSpec(
    "sla_objective_attainment_ratio",
    "Share of events that were good in the window; absent without events.",
    (*_OBJECTIVE, "window", *_PARTITION),
    "ratio",
)
OBJECTIVE_EVENTS = GaugeSpec(
    "sla_objective_events",
    "Events that count, in the objective's current window, by result.",
    (*_OBJECTIVE, "result", *_PARTITION),
    values={"result": (Result.MET.value, Result.BREACHED.value)},
)
ERROR_BUDGET_REMAINING_RATIO = GaugeSpec(
    "sla_error_budget_remaining_ratio",
    "Share of the current window's error budget that is left; negative when overspent.",
    (*_OBJECTIVE, *_PARTITION),
    "ratio",
)
ERROR_BUDGET_REMAINING_EVENTS = GaugeSpec(
    "sla_error_budget_remaining_events",
    "Bad events that the current window still allows; negative when overspent.",
    (*_OBJECTIVE, *_PARTITION),
)
ERROR_BUDGET_REMAINING_SECONDS = GaugeSpec(
    "sla_error_budget_remaining_seconds",
    "The error budget that is left as time in which everything may fail; negative when overspent.",
    (*_OBJECTIVE, *_PARTITION),
    "seconds",
)
OBJECTIVE_BURN_RATE_RATIO = GaugeSpec(
    "sla_objective_burn_rate_ratio",
    "Error budget spent within the window before now, in multiples of what would just use it up: 1 is on course.",
    (*_OBJECTIVE, "window", *_PARTITION),
    "ratio",
)
OBJECTIVE_COVERAGE_RATIO = GaugeSpec(
    "sla_objective_coverage_ratio",
    "Share of the current window that has been observed.",
    (*_OBJECTIVE, *_PARTITION),
    "ratio",
)
OBJECTIVE_WATERMARK_TIMESTAMP_SECONDS = GaugeSpec(
    "sla_objective_watermark_timestamp_seconds",
    "Event time up to which all sources of the objective have reported.",
    (*_OBJECTIVE, *_PARTITION),
    "seconds",
)
TARGET_INFO = GaugeSpec(
    "sla_target_info",
    "Always 1; what a target is about, as its newest revision says. Empty labels: nothing single.",
    (*_TARGET, "metric", "type", "service", "team"),
)
OBJECTIVE_INFO = GaugeSpec(
    "sla_objective_info",
    "Always 1; what an objective is about, as its newest revision says. Empty labels: nothing single.",
    (*_OBJECTIVE, "kind", "target", "type", "service", "team"),
)
OBJECTIVE_WINDOW_SECONDS = GaugeSpec(
    "sla_objective_window_seconds",
    "Length of the objective's window; of a calendar period its mean length.",
    _OBJECTIVE,
    "seconds",
)
TEAM_ALERTS_FIRING = GaugeSpec(
    "sla_team_alerts_firing",
    "Alerts that fire, by whose work they are about; the rarest are summed up without contract and team.",
    ("alert", "contract", "team", *_PARTITION),
)

SERVICE_UP = GaugeSpec(
    "sla_service_up",
    "1 when the last slice of time was good, 0 when it was bad; absent while that is unknown or nothing is promised.",
    ("contract", "objective", "service", *_PARTITION),
)

# --- slawatch_*: about the monitor -----------------------------------------------------------------------------------

BUILD_INFO = GaugeSpec("slawatch_build_info", "Always 1; the version of the worker.", ("version", "python_version"))
READY = GaugeSpec("slawatch_ready", "1 when the worker is ready to serve, else 0.")
HEALTH_CHECK_OK = GaugeSpec(
    "slawatch_health_check_ok", "1 when the named check of the worker passes, else 0.", ("check",)
)
EVENT_LOOP_LAG_SECONDS = GaugeSpec(
    "slawatch_event_loop_lag_seconds",
    "Longest time the event loop was late in the last seconds.",
    unit="seconds",
)
EXPOSITION_DURATION_SECONDS = GaugeSpec(
    "slawatch_exposition_duration_seconds", "Time the previous rendering of this page took.", unit="seconds"
)
EXPOSITION_ERRORS_TOTAL = CounterSpec(
    "slawatch_exposition_errors_total", "Times a source of metrics failed while this page was prepared."
)

EVENTS_TOTAL = CounterSpec(
    "slawatch_events_total",
    "Records read from source topics, by what became of them.",
    ("topic", "result"),
    values={"result": tuple(result.value for result in EventResult)},
)
DEAD_LETTERS_TOTAL = CounterSpec(
    "slawatch_dead_letters_total", "Records sent to the dead letters.", ("reason",), values={"reason": _REASONS}
)
OUT_OF_ORDER_EVENTS_TOTAL = CounterSpec(
    "slawatch_out_of_order_events_total", "Events older than the newest of their ticket.", ("topic",)
)
UNMATCHED_TICKETS_TOTAL = CounterSpec("slawatch_unmatched_tickets_total", "Tickets that no contract applies to.")
CORRECTIONS_TOTAL = CounterSpec("slawatch_corrections_total", "Verdicts changed by a late event, published again.")
AVAILABILITY_CORRECTIONS_TOTAL = CounterSpec(
    "slawatch_availability_corrections_total",
    "Minutes of services judged again: late samples, declared states, adjustments and new terms.",
)

CONSUMER_LAG_MESSAGES = GaugeSpec(
    "slawatch_consumer_lag_messages", "Records behind the end of the partition.", _PARTITION, "messages"
)
CONSUMER_LAG_SECONDS = GaugeSpec(
    "slawatch_consumer_lag_seconds",
    "Time since the last processed record came to Kafka while behind the end of the partition, else 0.",
    _PARTITION,
    "seconds",
)
COMMIT_AGE_SECONDS = GaugeSpec(
    "slawatch_commit_age_seconds",
    "Time for which the oldest record read from the partition has waited for its offset to be committed, else 0.",
    _PARTITION,
    "seconds",
)
PARTITION_NOW_TIMESTAMP_SECONDS = GaugeSpec(
    "slawatch_partition_now_timestamp_seconds",
    "The instant the partition is decided at (event time).",
    _PARTITION,
    "seconds",
)
LAST_EVENT_TIMESTAMP_SECONDS = GaugeSpec(
    "slawatch_last_event_timestamp_seconds",
    "Kafka timestamp of the last record of the partition that was processed; absent before the first.",
    _PARTITION,
    "seconds",
)

STEPS_TOTAL = CounterSpec(
    "slawatch_steps_total",
    "Steps of partitions, by what they worked on.",
    ("kind",),
    values={"kind": tuple(kind.value for kind in StepKind)},
)
STEP_DURATION_SECONDS = HistogramSpec(
    "slawatch_step_duration_seconds",
    "Time of one step in the engine, without its writes.",
    ("kind",),
    "seconds",
    values={"kind": tuple(kind.value for kind in StepKind)},
)
STATE_WRITE_SECONDS = HistogramSpec(
    "slawatch_state_write_seconds", "Time until the broker acknowledged the state of one step.", unit="seconds"
)
STATE_WRITE_BYTES_TOTAL = CounterSpec(
    "slawatch_state_write_bytes_total", "Bytes of state written, before compression.", unit="bytes"
)
OUTPUTS_TOTAL = CounterSpec("slawatch_outputs_total", "Records sent to output topics and acknowledged.", ("topic",))
EVENT_LATENCY_SECONDS = HistogramSpec(
    "slawatch_event_latency_seconds",
    "Time from the Kafka timestamp of the first record of a chunk until all outputs of the chunk were acknowledged.",
    ("topic",),
    "seconds",
)
STATE_ROWS = GaugeSpec("slawatch_state_rows", "Rows of state held for the partition.", _PARTITION)
TICKETS_SET_ASIDE = GaugeSpec(
    "slawatch_tickets_set_aside",
    "Tickets that failed in slawatch's own code: kept as they are, not watched, and tried again every hour.",
    _PARTITION,
)
RESTORE_SECONDS = HistogramSpec(
    "slawatch_restore_seconds", "Time to restore the state of one partition.", unit="seconds", buckets=RECOVERY_BUCKETS
)
TAKEOVERS_TOTAL = CounterSpec(
    "slawatch_takeovers_total",
    "Partitions taken over: with the state kept in memory, restored, or under a new producer id.",
    ("reason",),
    values={"reason": ("kept", "restored", "producer-id-changed")},
)
REBALANCES_TOTAL = CounterSpec("slawatch_rebalances_total", "Rebalances of the consumer group seen by the worker.")
REBALANCE_DURATION_SECONDS = HistogramSpec(
    "slawatch_rebalance_duration_seconds",
    "Time from the start of a rebalance until the worker's partitions were served again.",
    unit="seconds",
    buckets=RECOVERY_BUCKETS,
)
PARTITIONS_ASSIGNED = GaugeSpec(
    "slawatch_partitions_assigned", "Partitions of the topic that the worker owns.", ("topic",)
)
PARTITIONS = GaugeSpec("slawatch_partitions", "Partitions that the topic has, owned or not.", ("topic",))
REGISTER_DOCUMENTS = GaugeSpec(
    "slawatch_register_documents", "Documents of the register in force at the worker.", ("kind",)
)

ALERTS_FIRING = GaugeSpec(
    "slawatch_alerts_firing",
    "Alerts that fire, by what they are about.",
    ("alert", *_PARTITION),
    values={"alert": tuple(kind.value for kind in AlertKind)},
)
ALERTS_PUSHED_TOTAL = CounterSpec(
    "slawatch_alerts_pushed_total",
    "Alerts handed to Alertmanager, resends included, by what became of them.",
    ("result",),
    values={"result": tuple(result.value for result in PushResult)},
)
ALERT_PUSH_DURATION_SECONDS = HistogramSpec(
    "slawatch_alert_push_duration_seconds", "Time of one push to all Alertmanagers.", unit="seconds"
)
ALERTMANAGER_UP = GaugeSpec(
    "slawatch_alertmanager_up", "1 when the Alertmanager answered the last push, else 0.", ("url",)
)


def _collect(scope: Mapping[str, object]) -> dict[str, MetricSpec]:
    return {spec.name: spec for spec in scope.values() if isinstance(spec, MetricSpec)}


CATALOGUE: Mapping[str, MetricSpec] = _collect(dict(globals()))
"""Every metric by name, in the order of this file."""

LABEL_MEANINGS: Mapping[str, str] = {
    "alert": "Kind of alert, as its Alertmanager `alertname`.",
    "check": "Name of a health check.",
    "contract": "Contract id.",
    "kind": "Kind of step (`chunk`, `sweep`, `register`), of register document, "
    "or of objective (`occurrence`, `availability`).",
    "metric": "What a target measures, such as `response`.",
    "objective": "Objective id; unique over all contracts.",
    "partition": "Partition of `topic`.",
    "python_version": "Version of Python.",
    "reason": "Why, as a word of a closed list.",
    "result": "What became of it, as a word of a closed list.",
    "service": "Service id.",
    "target": "Target id; unique over all contracts.",
    "team": "Team that does the work.",
    "topic": "Kafka topic.",
    "type": "Type of contract (`sla`, `ola`, `uc`).",
    "url": "Base URL of an Alertmanager, without credentials.",
    "version": "Version of slawatch.",
    "window": "Window over which it is measured, such as `30d` or `1h`.",
}
"""The whole vocabulary of label names. All values are bounded by the register, the topics or a closed list."""


def markdown() -> str:
    """Return the reference page of all metrics."""
    lines = [
        "# Prometheus metrics",
        "",
        "Generated by `python -m export.catalogue`; don't edit.",
        "",
        "A worker serves these on `/metrics`, as Prometheus text or OpenMetrics, whichever the scraper asks for.",
        "Counters start at 0 with the process; gauges are absent while their value is unknown.",
        "",
        "**Sums over workers.** Right after a partition has moved, its old and its new owner may both be scraped.",
        "Take the maximum over instances before any sum of a gauge, and sums of rates for counters:",
        "",
        "```promql",
        "sum by (contract) (max without (instance, job) (sla_clocks_open))",
        "sum by (contract, result) (rate(sla_verdicts_total[5m]))",
        "```",
        "",
        "## Agreements (`sla_*`)",
        "",
        *_table(spec for spec in CATALOGUE.values() if spec.name.startswith("sla_")),
        "",
        "## The monitor (`slawatch_*`)",
        "",
        *_table(spec for spec in CATALOGUE.values() if spec.name.startswith("slawatch_")),
        "",
        "The usual `process_*` and `python_*` metrics of the Prometheus client are there too.",
        "",
        "## Labels",
        "",
        "| label | meaning |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in sorted(LABEL_MEANINGS.items())),
        "",
        "## Known values",
        "",
        "These series exist from the start (counters at 0) as far as their other labels are known.",
        "",
        "| metric | label | values |",
        "|---|---|---|",
        *(
            f"| `{spec.name}` | `{label}` | {', '.join(f'`{value}`' for value in values)} |"
            for spec in CATALOGUE.values()
            for label, values in spec.values.items()
        ),
        "",
    ]
    return "\n".join(lines)


def _table(specs: Iterable[MetricSpec]) -> list[str]:
    rows = ["| metric | type | labels | unit | meaning |", "|---|---|---|---|---|"]
    for spec in specs:
        labels = ", ".join(f"`{label}`" for label in spec.labels) or "-"
        rows.append(f"| `{spec.name}` | {spec.type} | {labels} | {spec.unit or '-'} | {spec.help} |")
    return rows


if __name__ == "__main__":
    sys.stdout.write(markdown())
