"""Statements leave the objectives agent with its steps."""

from __future__ import annotations

import json
from typing import Any

from agents.objective_processor import ObjectiveProcessor
from sla.buckets import Rollup
from streams.codecs import partition_of
from streams.rollups import encode_progress, encode_rollup
from streams.state_rows import Position
from tests.support.domain import at, register, target
from tests.support.fake_kafka import Record
from tests.support.records import PARTITIONS, TOPICS, CountingObserver, made_by, settings, view

OF = register(target(attain="0.9"))
OWN = partition_of(b"resolution", PARTITIONS)
SOURCES = [f"sla.tickets/{partition}" for partition in range(PARTITIONS)]


class Agent:
    """The processor of one partition of the rollups, its rows, and the statements it has sent."""

    def __init__(self, partition: int = OWN) -> None:
        self.partition = partition
        self.rows: dict[bytes, bytes] = {}
        self.position = Position(register_version=1)
        self.seq = 0
        self.restarts()

    def restarts(self) -> None:
        former = getattr(self, "processor", None)
        self.position.ordinals = dict(former.ordinals) if former else {}
        self.processor = ObjectiveProcessor(self.partition, TOPICS, settings().engine, CountingObserver())
        self.processor.restore(self.rows, self.position, view(OF))

    def hears(self, now: str, *rollups: Rollup) -> list[dict[str, Any]]:
        self.seq += 1
        values = [encode_rollup(rollup) for rollup in rollups]
        records = [made_by(Record(0, b"k", value), SOURCES[0], self.seq, index) for index, value in enumerate(values)]
        records += [made_by(Record(0, b"k", encode_progress(at(now))), source, self.seq, 99) for source in SOURCES]
        self.processor.read(records, 0)
        result = self.processor.finish()
        for key, row in result.rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        found = [output for output in result.outputs if output.topic == "sla.statements"]
        for output in found:
            assert output.partition == partition_of(output.key, PARTITIONS)
            assert output.key.startswith(b"resolution|2026-")
        return [json.loads(output.value) for output in found]


def decided(when: str, met: int, breached: int) -> Rollup:
    return Rollup("resolution", at(when), met, breached)


def shown(documents: list[dict[str, Any]]) -> list[tuple[str, str, int, int, int]]:
    return [tuple(found[name] for name in ("period", "state", "revision", "good", "bad")) for found in documents]  # type: ignore[misc]


def test_a_month_ends_as_a_final_statement_and_a_correction_as_its_next_revision() -> None:
    agent = Agent()
    assert shown(agent.hears("mon 11:00", decided("mon 10:00", 9, 1))) == [("2026-03", "provisional", 0, 9, 1)]
    final = agent.hears("mon 10:00 +5w")  # 6 April: the grace is over
    assert ("2026-03", "final", 1, 9, 1) in shown(final)
    assert final[0]["version"] == 1
    corrected = agent.hears("mon 12:00 +5w", decided("mon 10:00", 10, 0))
    assert shown(corrected) == [("2026-03", "final", 2, 10, 0)]


def test_a_restart_sends_nothing_again() -> None:
    agent = Agent()
    agent.hears("mon 11:00", decided("mon 10:00", 9, 1))
    agent.restarts()
    assert agent.hears("mon 13:00") == []
    assert shown(agent.hears("mon 15:00", decided("mon 14:00", 1, 0))) == [("2026-03", "provisional", 0, 10, 1)]


def test_another_partition_sends_nothing_of_it() -> None:
    agent = Agent((OWN + 1) % PARTITIONS)
    assert agent.hears("mon 11:00") == []
