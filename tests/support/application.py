"""An application whose stages are filled by hand: what serves, exports and pushes is tested without Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agents.alert_processor import AlertProcessor
from agents.app import RegisterHolder
from agents.objective_processor import ObjectiveProcessor
from agents.register_view import RegisterView
from agents.ticket_processor import TicketProcessor
from agents.uptime_processor import UptimeProcessor
from config.settings import AlertmanagerSettings, WebSettings
from export.metrics import Metrics
from sla.register import Register
from streams.lane import Watermark
from streams.state_rows import Position
from tests.support.fake_kafka import Record
from tests.support.records import TOPICS, CountingObserver, settings, view

NOW_MS = 1_772_500_000_000


@dataclass
class Runner:
    """A runner as far as others look at it."""

    processor: Any
    position: Position = field(default_factory=Position)
    last_timestamp_ms: int = -1

    def step(self, *records: Record) -> Any:
        """Let the processor read records, and return what the step did."""
        assert self.processor.read(records, 0) == len(records)
        self.processor.advance(None)
        result = self.processor.finish()
        if records:
            self.position.offset = records[-1].offset
            self.last_timestamp_ms = records[-1].timestamp
        self.position.now_ms = self.processor.now_ms
        return result


@dataclass
class FilledStage:
    """A stage as far as others look at it."""

    name: str
    source_topic: str
    runners: dict[int, Runner] = field(default_factory=dict)
    watermarks: dict[int, Watermark] = field(default_factory=dict)
    is_ready: bool = True


class FakeLane:
    """The Faust app as far as the gauges ask it."""

    def __init__(self) -> None:
        self.commit_ages: dict[tuple[str, int], float] = {}

    def commit_age_seconds(self, tp: Any) -> float:
        return self.commit_ages.get((tp.topic, tp.partition), 0.0)


class Bench:
    """An application on which partitions are put by hand.

    Attributes
    ----------
    now_ms : int
        The wall clock.
    """

    def __init__(self, of: Register) -> None:
        self.now_ms = NOW_MS
        self.observer = CountingObserver()
        self.app = FakeLane()
        self.topics = TOPICS
        self.metrics = Metrics(version="1")
        self.tickets = FilledStage("tickets", "sla.tickets")
        self.uptime = FilledStage("uptime", "sla.uptime")
        self.objectives = FilledStage("objectives", "sla.rollups")
        self.alerts = FilledStage("alerts", "sla.alerts")
        self.register = RegisterHolder(view(of))

    @property
    def stages(self) -> tuple[FilledStage, ...]:
        return (self.tickets, self.uptime, self.objectives, self.alerts)

    @property
    def view(self) -> RegisterView:
        assert self.register.view is not None
        return self.register.view

    def own_tickets(self, partition: int) -> Runner:
        processor = TicketProcessor(partition, TOPICS, settings().engine, self.observer)
        return self._own(self.tickets, partition, processor)

    def own_uptime(self, partition: int) -> Runner:
        processor = UptimeProcessor(partition, TOPICS, settings().engine, self.observer)
        return self._own(self.uptime, partition, processor)

    def own_objectives(self, partition: int) -> Runner:
        return self._own(
            self.objectives, partition, ObjectiveProcessor(partition, TOPICS, settings().engine, self.observer)
        )

    def own_alerts(self, partition: int, **alertmanager: Any) -> Runner:
        processor = AlertProcessor(
            partition, TOPICS, AlertmanagerSettings(**alertmanager), self.observer, lambda: self.now_ms, WebSettings()
        )
        return self._own(self.alerts, partition, processor)

    def _own(self, stage: FilledStage, partition: int, processor: Any) -> Runner:
        processor.restore({}, Position(register_version=1), self.view)
        runner = stage.runners[partition] = Runner(processor)
        return runner

    def change_register(self, of: Register, version: int) -> None:
        """Put a register in force everywhere, with the sweeps that follow."""
        self.register.view = view(of, version)
        for stage in self.stages:
            for runner in stage.runners.values():
                runner.processor.put_register(self.view, version)
                runner.step()
