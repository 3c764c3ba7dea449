"""Gauges read from the stages when a page of metrics is prepared."""

from __future__ import annotations

from agents.alert_processor import AlertProcessor
from agents.app import Application
from agents.objective_processor import ObjectiveProcessor
from agents.ticket_processor import TicketProcessor
from sla.outcome import Result


class Gauges:
    """Sets the gauges of every partition this worker owns, and forgets those it has lost."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._known: set[tuple[str, int]] = set()

    def refresh(self) -> None:
        """Set all gauges; cheap enough for every scrape."""
        application = self._application
        metrics = application.metrics
        owned: set[tuple[str, int]] = set()
        for stage in application.stages:
            topic = stage.source_topic
            runners = stage.runners
            metrics.partitions_assigned.labels(topic=topic).set(len(runners))
            for partition, runner in runners.items():
                owned.add((topic, partition))
                metrics.partition_now_timestamp_seconds.labels(topic=topic, partition=partition).set(
                    runner.position.now_ms / 1000 if runner.position.now_ms else None
                )
                watermark = stage.watermarks.get(partition)
                if watermark is not None:
                    caught_up = watermark.caught_up_at(runner.position.offset) is not None
                    lag = 0 if caught_up else max(0, watermark.end - runner.position.offset - 1)
                    metrics.consumer_lag_messages.labels(topic=topic, partition=partition).set(lag)
                match runner.processor:
                    case TicketProcessor() as processor:
                        self._tickets(topic, partition, processor)
                    case ObjectiveProcessor() as processor:
                        self._objectives(topic, partition, processor)
                    case AlertProcessor() as processor:
                        for name, count in processor.book.firing_by_name().items():
                            metrics.alerts_firing.labels(alert=name, topic=topic, partition=partition).set(count)
                    case _:
                        raise TypeError(f"no gauges for {type(runner.processor).__name__}")
        for topic, partition in self._known - owned:
            metrics.forget_partition(topic, partition)
        self._known = owned

    def _tickets(self, topic: str, partition: int, processor: TicketProcessor) -> None:
        metrics = self._application.metrics
        engine = processor.engine
        metrics.state_rows.labels(topic=topic, partition=partition).set(len(engine))
        contract_of = {target.id: target.contract for target in engine.register.targets}
        for target_id, (is_open, at_risk, breached) in engine.open_counts.items():
            contract = contract_of.get(target_id)
            if contract is None:
                continue
            labels: dict[str, str | int] = {
                "contract": contract,
                "target": target_id,
                "topic": topic,
                "partition": partition,
            }
            metrics.clocks_open.labels(**labels).set(is_open)
            metrics.clocks_at_risk.labels(**labels).set(max(0, at_risk - breached))
            metrics.clocks_breached_open.labels(**labels).set(breached)

    def _objectives(self, topic: str, partition: int, processor: ObjectiveProcessor) -> None:
        metrics = self._application.metrics
        engine = processor.engine
        metrics.state_rows.labels(topic=topic, partition=partition).set(len(engine))
        for attainment in engine.attainments():
            target = attainment.target
            assert target.objective is not None
            labels: dict[str, str | int] = {
                "contract": target.contract,
                "objective": target.objective.id,
                "topic": topic,
                "partition": partition,
            }
            metrics.objective_target_ratio.labels(**labels).set(float(target.objective.attain))
            metrics.objective_attainment_ratio.labels(**labels, window=attainment.window).set(attainment.attained_ratio)
            metrics.objective_events.labels(**labels, result=Result.MET.value).set(attainment.met)
            metrics.objective_events.labels(**labels, result=Result.BREACHED.value).set(attainment.breached)
            metrics.error_budget_remaining_ratio.labels(**labels).set(attainment.budget_remaining_ratio)
            metrics.objective_coverage_ratio.labels(**labels).set(attainment.coverage_ratio)
            if attainment.watermark_ms is not None:
                metrics.objective_watermark_timestamp_seconds.labels(**labels).set(attainment.watermark_ms / 1000)
