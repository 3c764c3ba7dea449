"""Statements out: the statement desk of one partition of the objectives, and its records."""

from __future__ import annotations

from collections.abc import Iterable

from config.settings import EngineSettings
from sla.objective import ObjectiveEngine
from sla.register import Register
from sla.statement_desk import StatementDesk
from sla.units import DAY_MS
from streams.codecs import partition_of
from streams.state_rows import Output
from streams.statement_codec import encode_statement
from streams.topics import ROLLUPS, STATEMENTS, Topics


class StatementIssuer:
    """Issues the statements of one partition.

    Parameters
    ----------
    partition : int
        Of sla.rollups: the objectives counted in it are its own.
    retention_ms : int
        That of the objective engine.
    """

    def __init__(self, partition: int, topics: Topics, engine: EngineSettings, retention_ms: int) -> None:
        self._partition = partition
        self._rollup_partitions = topics[ROLLUPS].partitions
        self._statements = topics.name(STATEMENTS)
        self._statement_partitions = topics[STATEMENTS].partitions
        self._grace_ms = int(engine.statement_grace_days * DAY_MS)
        self._retention_ms = retention_ms
        self._desk = self._new_desk()

    def restore(self, rows: Iterable[tuple[bytes, bytes]], register: Register) -> None:
        """Take over restored rows."""
        self._desk = self._new_desk()
        self._desk.load(rows)
        self._desk.set_register(register)

    def set_register(self, register: Register) -> None:
        """Put a register in force."""
        self._desk.set_register(register)

    def finish(self, engine: ObjectiveEngine) -> tuple[dict[bytes, bytes | None], list[Output]]:
        """Return the rows and the records of a step."""
        rows, issued = self._desk.judge(engine.watermark_ms, engine.uptime_watermark_ms, engine.counts)
        outputs = []
        for statement in issued:
            key = statement.key.encode()
            partition = partition_of(key, self._statement_partitions)
            outputs.append(Output(self._statements, partition, key, encode_statement(statement)))
        return rows, outputs

    def _new_desk(self) -> StatementDesk:
        return StatementDesk(self._owns, self._grace_ms, self._retention_ms)

    def _owns(self, counted_as: str) -> bool:
        return partition_of(counted_as.encode(), self._rollup_partitions) == self._partition
