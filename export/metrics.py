"""The metrics of one process: a typed handle for every entry of the catalogue.

Build one :class:`Metrics` per process in the composition root and pass it down; there is no global registry, so tests
and several workers in one process don't see each other.

Examples
--------
>>> metrics = Metrics(version="1.2.3")
>>> applied = metrics.events_total.labels(topic="sla.tickets", result="applied")  # once, outside the loop
>>> applied.inc(4096)  # per chunk
>>> applied.value
4096.0
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

import structlog

from export import catalogue
from export.series import AnyFamily, Counter, Gauge, Histogram

_log = structlog.get_logger(__name__)


class Metrics:
    """All metrics of a process.

    Attributes are the catalogue's names without their prefix: ``events_total`` is ``slawatch_events_total``,
    ``clocks_open`` is ``sla_clocks_open``.

    Parameters
    ----------
    version : str, optional
        Version for ``slawatch_build_info``; the installed one by default.
    topics : iterable of str
        Source topics whose counters start at zero.
    """

    def __init__(self, *, version: str | None = None, topics: Iterable[str] = ()) -> None:
        self._families: list[AnyFamily] = []
        self._refreshers: list[Callable[[], None]] = []

        self.clocks_open = self._gauge(catalogue.CLOCKS_OPEN)
        self.clocks_at_risk = self._gauge(catalogue.CLOCKS_AT_RISK)
        self.clocks_breached_open = self._gauge(catalogue.CLOCKS_BREACHED_OPEN)
        self.verdicts_total = self._counter(catalogue.VERDICTS_TOTAL)
        self.objective_target_ratio = self._gauge(catalogue.OBJECTIVE_TARGET_RATIO)
        self.objective_attainment_ratio = self._gauge(catalogue.OBJECTIVE_ATTAINMENT_RATIO)
        self.objective_events = self._gauge(catalogue.OBJECTIVE_EVENTS)
        self.error_budget_remaining_ratio = self._gauge(catalogue.ERROR_BUDGET_REMAINING_RATIO)
        self.error_budget_remaining_events = self._gauge(catalogue.ERROR_BUDGET_REMAINING_EVENTS)
        self.error_budget_remaining_seconds = self._gauge(catalogue.ERROR_BUDGET_REMAINING_SECONDS)
        self.objective_burn_rate_ratio = self._gauge(catalogue.OBJECTIVE_BURN_RATE_RATIO)
        self.objective_coverage_ratio = self._gauge(catalogue.OBJECTIVE_COVERAGE_RATIO)
        self.objective_watermark_timestamp_seconds = self._gauge(catalogue.OBJECTIVE_WATERMARK_TIMESTAMP_SECONDS)

        self.target_info = self._gauge(catalogue.TARGET_INFO)
        self.objective_info = self._gauge(catalogue.OBJECTIVE_INFO)
        self.objective_window_seconds = self._gauge(catalogue.OBJECTIVE_WINDOW_SECONDS)
        self.team_alerts_firing = self._gauge(catalogue.TEAM_ALERTS_FIRING)
        self.service_up = self._gauge(catalogue.SERVICE_UP)

        self.build_info = self._gauge(catalogue.BUILD_INFO)
        self.ready = self._gauge(catalogue.READY)
        self.health_check_ok = self._gauge(catalogue.HEALTH_CHECK_OK)
        self.event_loop_lag_seconds = self._gauge(catalogue.EVENT_LOOP_LAG_SECONDS)
        self.exposition_duration_seconds = self._gauge(catalogue.EXPOSITION_DURATION_SECONDS)
        self.exposition_errors_total = self._counter(catalogue.EXPOSITION_ERRORS_TOTAL)

        self.events_total = self._counter(catalogue.EVENTS_TOTAL)
        self.dead_letters_total = self._counter(catalogue.DEAD_LETTERS_TOTAL)
        self.out_of_order_events_total = self._counter(catalogue.OUT_OF_ORDER_EVENTS_TOTAL)
        self.unmatched_tickets_total = self._counter(catalogue.UNMATCHED_TICKETS_TOTAL)
        self.corrections_total = self._counter(catalogue.CORRECTIONS_TOTAL)
        self.availability_corrections_total = self._counter(catalogue.AVAILABILITY_CORRECTIONS_TOTAL)

        self.consumer_lag_messages = self._gauge(catalogue.CONSUMER_LAG_MESSAGES)
        self.consumer_lag_seconds = self._gauge(catalogue.CONSUMER_LAG_SECONDS)
        self.commit_age_seconds = self._gauge(catalogue.COMMIT_AGE_SECONDS)
        self.partition_now_timestamp_seconds = self._gauge(catalogue.PARTITION_NOW_TIMESTAMP_SECONDS)
        self.last_event_timestamp_seconds = self._gauge(catalogue.LAST_EVENT_TIMESTAMP_SECONDS)

        self.steps_total = self._counter(catalogue.STEPS_TOTAL)
        self.step_duration_seconds = self._histogram(catalogue.STEP_DURATION_SECONDS)
        self.state_write_seconds = self._histogram(catalogue.STATE_WRITE_SECONDS)
        self.state_write_bytes_total = self._counter(catalogue.STATE_WRITE_BYTES_TOTAL)
        self.outputs_total = self._counter(catalogue.OUTPUTS_TOTAL)
        self.event_latency_seconds = self._histogram(catalogue.EVENT_LATENCY_SECONDS)
        self.state_rows = self._gauge(catalogue.STATE_ROWS)
        self.tickets_set_aside = self._gauge(catalogue.TICKETS_SET_ASIDE)
        self.restore_seconds = self._histogram(catalogue.RESTORE_SECONDS)
        self.takeovers_total = self._counter(catalogue.TAKEOVERS_TOTAL)
        self.rebalances_total = self._counter(catalogue.REBALANCES_TOTAL)
        self.rebalance_duration_seconds = self._histogram(catalogue.REBALANCE_DURATION_SECONDS)
        self.partitions_assigned = self._gauge(catalogue.PARTITIONS_ASSIGNED)
        self.partitions = self._gauge(catalogue.PARTITIONS)
        self.register_documents = self._gauge(catalogue.REGISTER_DOCUMENTS)

        self.alerts_firing = self._gauge(catalogue.ALERTS_FIRING)
        self.alerts_pushed_total = self._counter(catalogue.ALERTS_PUSHED_TOTAL)
        self.alert_push_duration_seconds = self._histogram(catalogue.ALERT_PUSH_DURATION_SECONDS)
        self.alertmanager_up = self._gauge(catalogue.ALERTMANAGER_UP)

        self.build_info.labels(version=version or _installed_version(), python_version=platform.python_version()).set(1)
        self.ready.set(0)
        for topic in topics:
            self.watch_topic(topic)

    def watch_topic(self, topic: str) -> None:
        """Start the counters of a source topic at zero, so that its first event is seen as an increase."""
        for family in (
            self.events_total,
            self.out_of_order_events_total,
            self.event_latency_seconds,
        ):
            family.start_at_zero(topic=topic)
        self.partitions_assigned.labels(topic=topic).set(0)

    def watch_target(self, contract: str, target: str) -> None:
        """Start the counters of a contract's target at zero."""
        self.verdicts_total.start_at_zero(contract=contract, target=target)

    def forget_partition(self, topic: str, partition: int) -> int:
        """Stop exposing all gauges of a partition that this worker no longer owns; return how many there were.

        Call it when the partition is revoked, before its next owner starts: its counters stay, they say what this
        process did. Series held by callers are dead from here on; ask for them again after a new assignment.
        """
        return sum(
            family.remove(topic=topic, partition=partition) for family in self._families if family.spec.partition_owned
        )

    def forget_contract(self, contract: str) -> int:
        """Stop exposing every series of a contract that has ended; return how many there were."""
        return sum(family.remove(contract=contract) for family in self._families if "contract" in family.spec.labels)

    def before_exposition(self, refresh: Callable[[], None]) -> None:
        """Have ``refresh`` called on the event loop before each rendering, to set gauges that are cheap to compute.

        It must not block; at most one call a second. An exception is logged and counted, and the page is served
        without its update.
        """
        self._refreshers.append(refresh)

    def refresh(self) -> None:
        """Run all that :meth:`before_exposition` registered."""
        for refresher in self._refreshers:
            try:
                refresher()
            except Exception:  # noqa: BLE001
                # A page without one gauge is better than no page: /metrics is how this very fault is seen.
                self.exposition_errors_total.inc()
                _log.exception("metrics_refresh_failed", source=getattr(refresher, "__qualname__", repr(refresher)))

    def families(self) -> Iterator[AnyFamily]:
        """Yield all families, in the catalogue's order."""
        yield from self._families

    def _counter(self, spec: catalogue.CounterSpec) -> Counter:
        family = Counter(spec)
        self._families.append(family)
        return family

    def _gauge(self, spec: catalogue.GaugeSpec) -> Gauge:
        family = Gauge(spec)
        self._families.append(family)
        return family

    def _histogram(self, spec: catalogue.HistogramSpec) -> Histogram:
        family = Histogram(spec)
        self._families.append(family)
        return family


def _installed_version() -> str:
    try:
        return installed_version("slawatch")
    except PackageNotFoundError:
        return "unknown"
