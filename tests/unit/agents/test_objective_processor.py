"""Rollups become attainment: what was sent again is dropped, what can't be read goes to the dead letters."""

from __future__ import annotations

from typing import Any

import pytest

from agents.objective_processor import ObjectiveProcessor
from export.catalogue import EventResult
from sla.buckets import Rollup
from sla.contract import Contract, ContractType, Level, Window
from sla.events import Reason
from sla.outcome import AlertState
from sla.register import Register
from sla.units import HOUR_MS
from streams.codecs import decode_alert, partition_of
from streams.dead_letters import DETAIL, REASON
from streams.processor import StepResult
from streams.rollups import encode_progress, encode_rollup
from streams.state_rows import Position
from tests.support.domain import at, register, target
from tests.support.fake_kafka import Record
from tests.support.records import PARTITIONS, TOPICS, CountingObserver, made_by, settings, view

ROLLUPS = "sla.rollups"
MONDAY = at("mon 09:00")
OBJECTIVE = register(target(attain="0.9"))
SOURCES = [f"sla.tickets/{partition}" for partition in range(PARTITIONS)]


class Objectives:
    """A processor of partition 0 and the rows its steps have left."""

    def __init__(self, of: Any = OBJECTIVE) -> None:
        self.observer = CountingObserver()
        self.rows: dict[bytes, bytes] = {}
        self.position = Position(register_version=1)
        self.view = view(of)
        self.processor = self._restored()

    def _restored(self) -> ObjectiveProcessor:
        processor = ObjectiveProcessor(0, TOPICS, settings().engine, self.observer)
        processor.restore(self.rows, self.position, self.view)
        return processor

    def restart(self) -> None:
        self.position.ordinals = dict(self.processor.ordinals)
        self.processor = self._restored()

    def step(self, *records: Record) -> StepResult:
        assert self.processor.read(records, 0) == len(records)
        assert not self.processor.advance(None)
        result = self.processor.finish()
        for key, row in result.rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        return result

    @property
    def counts(self) -> tuple[int, int]:
        """(met, breached) in the current window."""
        [state] = self.processor.engine.attainments()
        return state.met, state.breached


def counted(met: int, breached: int, *, minute: int = 0, source: str = SOURCES[0], seq: int, index: int = 0) -> Record:
    value = encode_rollup(Rollup("resolution", MONDAY + minute * 60_000, met, breached))
    return made_by(Record(0, b"key", value), source, seq, index)


def delta(met: int, breached: int, *, seq: int) -> Record:
    value = encode_rollup(Rollup("resolution", MONDAY, met, breached, is_delta=True))
    return made_by(Record(0, b"key", value), SOURCES[0], seq)


def progress(now: str, *, source: str, seq: int, index: int = 9) -> Record:
    return made_by(Record(0, b"key", encode_progress(at(now))), source, seq, index)


def everybody_reports(now: str, seq: int) -> list[Record]:
    return [progress(now, source=source, seq=seq) for source in SOURCES]


def test_counts_of_all_source_partitions_are_added_up() -> None:
    objectives = Objectives()
    objectives.step(counted(3, 1, seq=1), counted(2, 0, source=SOURCES[1], seq=1), counted(1, 1, minute=5, seq=2))
    assert objectives.counts == (6, 2)


def test_absolute_counts_replace_those_of_the_same_minute_and_source() -> None:
    objectives = Objectives()
    objectives.step(counted(3, 1, seq=1))
    objectives.step(counted(4, 0, seq=2))
    assert objectives.counts == (4, 0)


@pytest.mark.parametrize("again", [counted(3, 1, seq=1), counted(9, 9, seq=1), counted(9, 9, seq=0, index=5)])
def test_what_is_not_newer_than_what_was_taken_in_is_dropped(again: Record) -> None:
    """Sent again by a new owner, or late by a former one that was frozen: it must not overwrite what came since."""
    objectives = Objectives()
    objectives.step(counted(3, 1, seq=1))
    result = objectives.step(again)
    assert objectives.counts == (3, 1)
    assert result.rows == {}
    assert objectives.observer.results == {
        (ROLLUPS, EventResult.APPLIED): 1,
        (ROLLUPS, EventResult.DUPLICATE): 1,
    }


def test_a_change_that_is_no_absolute_count_is_never_added_twice() -> None:
    objectives = Objectives()
    objectives.step(counted(3, 1, seq=1), delta(1, -1, seq=2))
    objectives.step(delta(1, -1, seq=2))
    assert objectives.counts == (4, 0)


def test_ordinals_are_kept_for_each_source_and_over_a_restart() -> None:
    objectives = Objectives()
    objectives.step(counted(1, 0, seq=5), counted(1, 0, source=SOURCES[1], seq=2))
    objectives.restart()
    objectives.step(counted(9, 9, seq=4), counted(9, 9, source=SOURCES[1], seq=2))
    assert objectives.counts == (2, 0)
    objectives.step(counted(2, 0, source=SOURCES[1], seq=3))
    assert objectives.counts == (3, 0)


def test_the_present_is_the_slowest_partition_that_reports() -> None:
    objectives = Objectives()
    objectives.step(*everybody_reports("mon 10:00", 1)[1:])
    assert objectives.processor.now_ms == 0, "one has not reported yet"
    objectives.step(progress("mon 09:30", source=SOURCES[0], seq=1))
    assert objectives.processor.now_ms == at("mon 09:30")
    assert objectives.observer.results[ROLLUPS, EventResult.HEARTBEAT] == PARTITIONS


def test_a_budget_that_is_spent_raises_its_alert_once_and_takes_it_back() -> None:
    two_hours = Window(rolling_ms=2 * HOUR_MS, period=None)
    objectives = Objectives(register(target(attain="0.9", over=two_hours)))
    result = objectives.step(counted(7, 3, seq=1), *everybody_reports("mon 10:00", 2))
    [output] = result.outputs
    alert = decode_alert(output.value or b"")
    assert output.topic == "sla.alerts"
    assert output.key == alert.id.encode()  # type: ignore[union-attr]
    assert output.partition == partition_of(output.key, PARTITIONS)
    assert alert.state is AlertState.FIRING  # type: ignore[union-attr]
    assert objectives.step(*everybody_reports("mon 10:01", 3)).outputs == []
    objectives.restart()
    assert objectives.step(*everybody_reports("mon 10:02", 4)).outputs == [], "a restart pages nobody"
    [output] = objectives.step(counted(97, 3, seq=5)).outputs
    assert decode_alert(output.value or b"").state is AlertState.RESOLVED  # type: ignore[union-attr]


MALFORMED = [
    (made_by(Record(7, b"k", b"\x01\xff"), SOURCES[0], 1), Reason.MALFORMED, "rollup"),
    (made_by(Record(7, b"k", None), SOURCES[0], 1), Reason.MALFORMED, "without a value"),
    (made_by(Record(7, b"k", b"\x63abc"), SOURCES[0], 1), Reason.UNKNOWN_VERSION, "rollup format 99"),
    (Record(7, b"k", encode_progress(5)), Reason.MALFORMED, "headers"),
    (
        Record(7, b"k", encode_progress(5), headers=(("slawatch-source", b"\xff"), ("slawatch-ordinal", b"1"))),
        Reason.MALFORMED,
        "headers",
    ),
    (
        Record(7, b"k", encode_progress(5), headers=(("slawatch-source", b"s"), ("slawatch-ordinal", b"many"))),
        Reason.MALFORMED,
        "headers",
    ),
]


@pytest.mark.parametrize(("record", "reason", "detail"), MALFORMED)
def test_what_something_else_wrote_goes_to_the_dead_letters_and_stops_nobody(
    record: Record, reason: Reason, detail: str
) -> None:
    objectives = Objectives()
    result = objectives.step(record, counted(1, 0, source=SOURCES[2], seq=1))
    [letter] = result.outputs
    headers = dict(letter.headers)
    assert letter.topic == "sla.dead-letters"
    assert headers[REASON].decode() == reason  # type: ignore[union-attr]
    assert detail in headers[DETAIL].decode()  # type: ignore[union-attr]
    assert objectives.counts == (1, 0)
    assert objectives.observer.dead_letters == {reason: 1}
    assert objectives.observer.results[ROLLUPS, EventResult.REJECTED] == 1


def test_a_new_register_changes_what_is_promised_not_what_was_counted() -> None:
    objectives = Objectives()
    objectives.step(counted(7, 3, seq=1))
    objectives.processor.put_register(view(register(target(attain="0.5"))), 2)
    [state] = objectives.processor.engine.attainments()
    assert (state.met, state.breached, float(state.promise.attain)) == (7, 3, 0.5)


def test_each_contract_is_told_about_by_the_partition_of_its_id() -> None:
    contract = Contract("acme", ContractType.SLA, Level.CUSTOMER, "desk", "slm@acme.example", review_by_ms=MONDAY)
    owner = partition_of(b"acme", PARTITIONS)
    for partition in range(PARTITIONS):
        processor = ObjectiveProcessor(partition, TOPICS, settings().engine, CountingObserver())
        processor.restore({}, Position(register_version=1), view(Register([contract])))
        reports = everybody_reports("mon 10:00", 1)
        processor.read(reports, 0)
        result = processor.finish()
        assert [output.key for output in result.outputs] == [b"SLAContractReviewDue/acme"] * (partition == owner)
        processor.restore(
            {k: v for k, v in result.rows.items() if v}, Position(register_version=1), view(Register([contract]))
        )
        processor.read(everybody_reports("mon 10:01", 2), 0)
        assert processor.finish().outputs == [], "a restart tells nobody again"
