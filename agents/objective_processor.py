"""Rollups in, objective alerts out: the objective engine behind the stage's seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.observer import RecordObserver
from agents.statement_issuer import StatementIssuer
from config.burn_policy import load_burn_policy
from config.settings import EngineSettings
from export.catalogue import EventResult
from sla.contract_watch import ContractWatch
from sla.events import Reason, Rejected
from sla.objective import ObjectiveEngine
from sla.register import Register
from sla.units import DAY_MS
from streams.codecs import encode_alert, partition_of
from streams.dead_letters import dead_letter
from streams.processor import StepResult
from streams.rollups import Counted, Progress, decode_rollup
from streams.state_rows import Output, Position, provenance_of
from streams.topics import ALERTS, DEAD_LETTERS, ROLLUPS, TICKETS, UPTIME, Topics

_UNPROVEN = Rejected(Reason.MALFORMED, "a rollup without the headers that say which step made it")


class ObjectiveProcessor:
    """One partition of sla.rollups.

    Parameters
    ----------
    observer : RecordObserver
    """

    def __init__(self, partition: int, topics: Topics, engine: EngineSettings, observer: RecordObserver) -> None:
        self.partition = partition
        self._source = topics.name(ROLLUPS)
        self._alerts = topics.name(ALERTS)
        self._alert_partitions = topics[ALERTS].partitions
        self._dead_letters = topics.name(DEAD_LETTERS)
        self._sources = _partitions_of(topics, TICKETS)
        self._uptime_sources = _partitions_of(topics, UPTIME)
        self._policy = load_burn_policy(engine.burn_policy_file)
        self._settle_ms = int(engine.settle_seconds * 1000)
        self._retention_ms = int(engine.retention_days * DAY_MS) + 7 * DAY_MS
        self._notice_ms = int(engine.contract_notice_days * DAY_MS)
        self._partitions = topics[ROLLUPS].partitions
        self._observer = observer
        self._ordinals: dict[str, int] = {}
        self._outputs: list[Output] = []
        self.engine = self._new_engine(Register())
        self.contracts = self._new_watch()
        self.statements = StatementIssuer(partition, topics, engine, self._retention_ms)

    def restore(self, rows: Mapping[bytes, bytes], position: Position, view: Any) -> None:
        """Take over restored rows."""
        self.engine = self._new_engine(view.register)
        self.engine.load(rows.items())
        self.contracts = self._new_watch()
        self.contracts.load(rows.items())
        self.contracts.set_register(view.register)
        self.statements.restore(rows.items(), view.register)
        self._ordinals = dict(position.ordinals)

    @property
    def now_ms(self) -> int:
        """Watermark over all sources."""
        return self.engine.now_ms

    @property
    def ordinals(self) -> dict[str, int]:
        """Highest ordinal taken in, per source partition."""
        return self._ordinals

    def put_register(self, snapshot: Any, version: int) -> None:  # noqa: ARG002 - rows do not depend on it
        """Put a compiled register in force."""
        self.engine.set_register(snapshot.register)
        self.contracts.set_register(snapshot.register)
        self.statements.set_register(snapshot.register)

    def read(self, records: Sequence[Any], start: int) -> int:
        """Take in all records; rows are small, so a chunk always fits into a step."""
        engine, ordinals = self.engine, self._ordinals
        applied = heartbeats = duplicates = 0
        for index in range(start, len(records)):
            record = records[index]
            provenance = provenance_of(record.headers)
            if provenance is None:
                self._to_dead_letters(record, _UNPROVEN)
                continue
            source, ordinal = provenance
            if ordinal <= ordinals.get(source, -1):
                duplicates += 1  # sent again by a new owner, or by a former one that did not know
                continue
            rollup = decode_rollup(record.value)
            match rollup:
                case Counted():
                    engine.count(
                        rollup.target,
                        rollup.minute_ms,
                        source,
                        rollup.met,
                        rollup.breached,
                        is_delta=rollup.is_delta,
                        known_minutes=rollup.known_minutes,
                        expected_minutes=rollup.expected_minutes,
                    )
                    applied += 1
                case Progress():
                    engine.progress(source, rollup.now_ms)
                    heartbeats += 1
                case Rejected():
                    self._to_dead_letters(record, rollup)
            ordinals[source] = ordinal
        for result, count in (
            (EventResult.APPLIED, applied),
            (EventResult.HEARTBEAT, heartbeats),
            (EventResult.DUPLICATE, duplicates),
        ):
            if count:
                self._observer.events(self._source, result, count)
        return len(records)

    def advance(self, now_ms: int | None) -> bool:  # noqa: ARG002 - its time is the watermark
        """Nothing to do: time passes by progress records."""
        return False

    def finish(self) -> StepResult:
        """End the step."""
        outcome = self.engine.finish()
        outputs, self._outputs = self._outputs, []
        watermark_ms = self.engine.watermark_ms
        if watermark_ms is not None:
            rows, alerts = self.contracts.judge(watermark_ms)
            outcome.rows |= rows
            outcome.alerts += alerts
        rows, statements = self.statements.finish(self.engine)
        outcome.rows |= rows
        outputs += statements
        for alert in outcome.alerts:
            key = alert.id.encode()
            outputs.append(Output(self._alerts, partition_of(key, self._alert_partitions), key, encode_alert(alert)))
        return StepResult(outcome.rows, outputs)

    def _new_engine(self, register: Register) -> ObjectiveEngine:
        return ObjectiveEngine(
            register,
            self._sources,
            self._retention_ms,
            policy=self._policy,
            uptime_sources=self._uptime_sources,
            settle_ms=self._settle_ms,
        )

    def _new_watch(self) -> ContractWatch:
        return ContractWatch(
            lambda contract_id: partition_of(contract_id.encode(), self._partitions) == self.partition, self._notice_ms
        )

    def _to_dead_letters(self, record: Any, rejected: Rejected) -> None:
        self._observer.events(self._source, EventResult.REJECTED, 1)
        self._observer.dead_letter(rejected.reason)
        self._outputs.append(
            dead_letter(self._dead_letters, rejected, record, topic=self._source, partition=self.partition)
        )


def _partitions_of(topics: Topics, logical: str) -> frozenset[str]:
    topic = topics[logical]
    return frozenset(f"{topic.name}/{number}" for number in range(topic.partitions))
