"""Objectives of a whole log: per month they are a plain group-by of the verdicts, whatever is late, repeated or restarted.

The log is the one that ``SLAWATCH_TEST_INCIDENT_LOG`` names (BPI Challenge 2013, incidents), else a made-up one.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agents.objective_processor import ObjectiveProcessor
from config.settings import Settings
from sla.budget import closed_budget
from sla.window import Span
from streams.state_rows import Output, Position, provenance
from streams.topics import ROLLUPS, Topics
from tests.support.records import CountingObserver
from tests.support.replay import Record, example_register, records_of, replay
from tests.support.synthetic_log import write_log

pytestmark = pytest.mark.property

ZONE = ZoneInfo("Europe/Stockholm")
PARTITIONS = 3
Month = tuple[int, int]
NAMED = os.environ.get("SLAWATCH_TEST_INCIDENT_LOG")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(NAMED) if NAMED else write_log(tmp_path_factory.mktemp("log") / "log.xes.gz", seed=23, cases=700)


def by_month(verdicts: list[dict[str, Any]]) -> Counter[tuple[str, Month, str]]:
    """``SELECT target, month(decided_at), outcome, count(*) ... GROUP BY 1, 2, 3``, met and breached only."""
    counts: Counter[tuple[str, Month, str]] = Counter()
    for verdict in verdicts:
        if verdict["outcome"] in {"met", "breached"}:
            local = datetime.fromisoformat(verdict["decided_at"]).astimezone(ZONE)
            counts[verdict["target"], (local.year, local.month), verdict["outcome"]] += 1
    return counts


def span_of(month: Month) -> Span:
    first = datetime(*month, 1, tzinfo=ZONE)
    following = (first + timedelta(days=32)).replace(day=1)
    return Span(*(round(bound.timestamp()) * 1000 for bound in (first, following)))


def delayed(records: list[Record], draw: random.Random, share: float) -> list[Record]:
    """Return the records with some of them hours to weeks later, and some a second time; the last heartbeat is last."""
    keyed = []
    for place, record in enumerate(records[:-1]):
        is_late = record.key != b"heartbeat" and draw.random() < share
        keyed.append((place + (draw.randrange(400) if is_late else 0), place, record))
        if draw.random() < share / 4:
            keyed.append((place + draw.randrange(200), place, record))
    ordered = [record for *_, record in sorted(keyed, key=lambda item: item[:2])]
    return [*ordered, records[-1]]


class Objectives:
    """All partitions of sla.rollups, with their rows."""

    def __init__(self, settings: Settings, view: Any) -> None:
        self.settings, self.view, self.topics = settings, view, Topics(settings)
        self.observer = CountingObserver()
        self.rows: list[dict[bytes, bytes]] = [{} for _ in range(PARTITIONS)]
        self.processors = [self._processor(number, {}) for number in range(PARTITIONS)]

    def _processor(self, number: int, ordinals: dict[str, int]) -> ObjectiveProcessor:
        processor = ObjectiveProcessor(number, self.topics, self.settings.engine, self.observer)
        processor.restore(self.rows[number], Position(ordinals=ordinals), self.view)
        return processor

    def restart(self, number: int) -> None:
        self.processors[number] = self._processor(number, dict(self.processors[number].ordinals))

    def take(self, number: int, records: list[Record]) -> None:
        processor = self.processors[number]
        assert processor.read(records, 0) == len(records)
        for key, row in processor.finish().rows.items():
            self.rows[number].pop(key, None) if row is None else self.rows[number].__setitem__(key, row)


def rollups_of(source: int, outputs: list[Output], topics: Topics) -> list[list[Record]]:
    """Return the records of sla.rollups that one source partition wrote, by their partition, with their provenance."""
    found: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    for seq, output in enumerate(outputs):
        if output.topic == topics.name(ROLLUPS):
            headers = provenance(f"sla.tickets/{source}", seq, 0)
            found[output.partition].append(Record(0, output.key, output.value, 0, headers))
    return found


@pytest.mark.parametrize("late", [0.0, 0.1])
def test_a_month_is_a_group_by_of_its_verdicts(log: Path, late: float) -> None:
    draw = random.Random(5)
    view = example_register()
    settings = Settings(engine={"clock": "event", "retention_days": 1_200}, topics={"partitions": PARTITIONS})
    objectives = Objectives(settings, view)
    verdicts: list[dict[str, Any]] = []
    queues: list[list[list[Record]]] = []
    for source, records in enumerate(records_of(log, PARTITIONS)):
        mine = delayed(records, draw, late) if late else records
        others = [mine if number == source else [] for number in range(PARTITIONS)]
        replayed = replay(others, view, draw=draw, largest_chunk=500, retention_days=1_200)
        verdicts += [json.loads(line) for line in replayed.verdicts.values()]
        assert not replayed.rejected
        queues.append(rollups_of(source, replayed.outputs, objectives.topics))
    for partition in range(PARTITIONS):
        waiting = [queue[partition] for queue in queues]
        sent = [0] * PARTITIONS
        while any(sent[source] < len(waiting[source]) for source in range(PARTITIONS)):
            source = draw.choice([number for number in range(PARTITIONS) if sent[number] < len(waiting[number])])
            end = sent[source] + draw.randint(1, 2_000)
            # A new owner of the source sends its last outputs again.
            again = max(0, sent[source] - draw.choice([0, 0, 50]))
            objectives.take(partition, waiting[source][again:end])
            sent[source] = end
            if draw.random() < 0.1:
                objectives.restart(partition)
        objectives.restart(partition)
    expected = by_month(verdicts)
    assert len({month for _, month, _ in expected}) >= 2
    found: Counter[tuple[str, Month, str]] = Counter()
    attained = 0
    for processor in objectives.processors:
        for state in processor.engine.attainments():
            target = state.promise.counted_as
            for month in {month for _, month, _ in expected}:
                budget = closed_budget(Fraction(9, 10), span_of(month), processor.engine.counts(target))
                found[target, month, "met"] += budget.good
                found[target, month, "breached"] += budget.bad
                attained += not budget.is_overspent
    assert +found == expected
    assert attained
