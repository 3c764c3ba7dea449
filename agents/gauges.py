"""Gauges read from the stages when a page of metrics is prepared."""

from __future__ import annotations

from collections.abc import Callable

from faust.types import TP

from agents.alert_processor import AlertProcessor
from agents.app import Application
from agents.objective_processor import ObjectiveProcessor
from agents.promises import Promises
from agents.ticket_processor import TicketProcessor
from agents.uptime_processor import UptimeProcessor
from export.series import Gauge
from sla.outcome import Result
from sla.slices import SliceState
from streams.partition import PartitionRunner
from streams.stage import Stage

_Place = tuple[str, int]
"""Topic and partition."""

_Key = tuple[Gauge, tuple[str, ...]]
"""A gauge of agreements and the label values of one of its series."""


class Gauges:
    """Sets the gauges of every partition this worker owns, and removes those of what it no longer has.

    A partition that moved away, a contract that left the register, a target or a window that is no longer in force:
    each of them takes its series along, or the page would go on telling what was true once.

    Parameters
    ----------
    application : Application
    now_ms : callable
        The wall clock, for ages against Kafka's timestamps.
    """

    def __init__(self, application: Application, now_ms: Callable[[], int]) -> None:
        self._application = application
        self._now_ms = now_ms
        self._places: set[_Place] = set()
        self._contracts: set[str] = set()
        self._former: dict[_Place, set[_Key]] = {}
        self._current: set[_Key] = set()
        self._promises = Promises(application.metrics)

    def refresh(self) -> None:
        """Set all gauges; cheap enough for every scrape."""
        application = self._application
        metrics = application.metrics
        owned: set[_Place] = set()
        for stage in application.stages:
            topic = stage.source_topic
            runners = stage.runners
            metrics.partitions_assigned.labels(topic=topic).set(len(runners))
            described = application.topics.of_name(topic)
            metrics.partitions.labels(topic=topic).set(None if described is None else described.partitions)
            for partition, runner in runners.items():
                owned.add((topic, partition))
                self._flow(stage, topic, partition, runner)
                self._agreements(topic, partition, runner)
        for topic, partition in self._places - owned:
            metrics.forget_partition(topic, partition)
            self._former.pop((topic, partition), None)
        self._places = owned
        self._forget_contracts()

    def _flow(self, stage: Stage, topic: str, partition: int, runner: PartitionRunner) -> None:
        metrics = self._application.metrics
        place: dict[str, str | int] = {"topic": topic, "partition": partition}
        present_ms = runner.position.now_ms
        metrics.partition_now_timestamp_seconds.labels(**place).set(present_ms / 1000 if present_ms else None)
        read_ms = runner.last_timestamp_ms
        metrics.last_event_timestamp_seconds.labels(**place).set(read_ms / 1000 if read_ms >= 0 else None)
        commit_age = self._application.app.commit_age_seconds(TP(topic, partition))
        metrics.commit_age_seconds.labels(**place).set(commit_age)
        watermark = stage.watermarks.get(partition)
        if watermark is None:
            return
        messages = 0
        seconds: float | None = 0.0
        if watermark.caught_up_at(runner.position.offset) is None:
            messages = max(0, watermark.end - runner.position.offset - 1)
            # Unknown until this process has read something: a position has no time of its own.
            seconds = max(0, self._now_ms() - read_ms) / 1000 if read_ms >= 0 else None
        metrics.consumer_lag_messages.labels(**place).set(messages)
        metrics.consumer_lag_seconds.labels(**place).set(seconds)

    def _agreements(self, topic: str, partition: int, runner: PartitionRunner) -> None:
        self._current = set()
        match runner.processor:
            case TicketProcessor() as processor:
                self._tickets(topic, partition, processor)
            case UptimeProcessor() as processor:
                self._services(topic, partition, processor)
            case ObjectiveProcessor() as processor:
                self._objectives(topic, partition, processor)
            case AlertProcessor() as processor:
                for name, count in processor.book.firing_by_name().items():
                    self._set(self._application.metrics.alerts_firing, (name, topic, str(partition)), count)
                for of, count in processor.book.firing_by_team().items():
                    self._set(self._application.metrics.team_alerts_firing, (*of, topic, str(partition)), count)
            case _:
                raise TypeError(f"no gauges for {type(runner.processor).__name__}")
        for gauge, values in self._former.get((topic, partition), set()) - self._current:
            gauge.discard(*values)
        self._former[topic, partition] = self._current

    def _tickets(self, topic: str, partition: int, processor: TicketProcessor) -> None:
        metrics = self._application.metrics
        engine = processor.engine
        metrics.state_rows.labels(topic=topic, partition=partition).set(len(engine))
        metrics.tickets_set_aside.labels(topic=topic, partition=partition).set(len(engine.set_aside))
        contract_of = {target.id: target.contract for target in engine.register.targets}
        for target_id, (is_open, at_risk, breached) in engine.open_counts.items():
            contract = contract_of.get(target_id)
            if contract is None:
                continue
            labels = (contract, target_id, topic, str(partition))
            self._set(metrics.clocks_open, labels, is_open)
            self._set(metrics.clocks_at_risk, labels, at_risk)
            self._set(metrics.clocks_breached_open, labels, breached)

    def _services(self, topic: str, partition: int, processor: UptimeProcessor) -> None:
        metrics = self._application.metrics
        metrics.state_rows.labels(topic=topic, partition=partition).set(len(processor.engine))
        for of in processor.engine.states():
            objective = of.objective
            labels = (objective.contract, objective.id, objective.service, topic, str(partition))
            up = None if of.state is None else float(of.state == SliceState.GOOD)
            self._set(metrics.service_up, labels, up)

    def _objectives(self, topic: str, partition: int, processor: ObjectiveProcessor) -> None:
        metrics = self._application.metrics
        engine = processor.engine
        place = (topic, str(partition))
        metrics.state_rows.labels(topic=topic, partition=partition).set(len(engine))
        for state in engine.attainments():
            promise, budget = state.promise, state.budget
            of = (promise.contract, promise.id)
            self._set(metrics.objective_target_ratio, (*of, *place), float(promise.attain))
            self._set(metrics.objective_attainment_ratio, (*of, state.window, *place), state.attained_ratio)
            self._set(metrics.objective_events, (*of, Result.MET.value, *place), state.met)
            self._set(metrics.objective_events, (*of, Result.BREACHED.value, *place), state.breached)
            self._set(metrics.error_budget_remaining_ratio, (*of, *place), state.budget_remaining_ratio)
            self._set(metrics.error_budget_remaining_events, (*of, *place), float(budget.remaining_events))
            minutes = budget.remaining_minutes
            self._set(
                metrics.error_budget_remaining_seconds, (*of, *place), None if minutes is None else 60 * float(minutes)
            )
            for window, rate in state.burn_rates.items():
                self._set(metrics.objective_burn_rate_ratio, (*of, window, *place), rate)
            self._set(metrics.objective_coverage_ratio, (*of, *place), state.coverage_ratio)
            watermark_ms = state.watermark_ms
            watermark_seconds = None if watermark_ms is None else watermark_ms / 1000
            self._set(metrics.objective_watermark_timestamp_seconds, (*of, *place), watermark_seconds)

    def _set(self, gauge: Gauge, values: tuple[str, ...], value: float | None) -> None:
        gauge.labels(*values).set(value)
        self._current.add((gauge, values))

    def _forget_contracts(self) -> None:
        view = self._application.register.view
        if view is None:
            return
        self._promises.refresh(view)
        contracts = set(view.register.contracts)
        for contract in self._contracts - contracts:
            self._application.metrics.forget_contract(contract)
        self._contracts = contracts
