"""Records of sla.uptime become steps: what is applied, what is refused and why, what goes out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.uptime_processor import UptimeProcessor
from export.catalogue import EventResult
from sla.events import Reason
from sla.register import Register
from sla.units import MINUTE_MS
from streams.codecs import partition_of
from streams.dead_letters import DETAIL, REASON
from streams.processor import StepResult
from streams.rollups import Counted, Progress, decode_rollup
from streams.state_rows import Output, Position
from tests.support.fake_kafka import Record
from tests.support.records import (
    PARTITIONS,
    TOPICS,
    CountingObserver,
    sample_record,
    service_on,
    settings,
    uptime_heartbeat,
    view,
)
from tests.support.uptime import T0, objective, register_of

UPTIME = "sla.uptime"


PORTAL = service_on(0)
NEW = service_on(0, "new")
OF_PORTAL = register_of(objective(service=PORTAL))
OF_BOTH = register_of(objective(service=PORTAL), objective("new-availability", NEW))


def record(minute: float, service: str = PORTAL, *, arrived: float | None = None, **fields: Any) -> Record:
    return sample_record(minute, service, arrived=arrived, **fields)


class Watch:
    """A processor of partition 0, its observer, and the rows its steps have left."""

    def __init__(self, of: Register = OF_PORTAL, **engine: Any) -> None:
        self.observer = CountingObserver()
        self.settings = settings(engine=engine)
        self.rows: dict[bytes, bytes] = {}
        self.position = Position(register_version=1)
        self.register = of
        self.processor = self._restored()

    def _restored(self) -> UptimeProcessor:
        processor = UptimeProcessor(0, TOPICS, self.settings.engine, self.observer)
        processor.restore(self.rows, self.position, view(self.register))
        return processor

    def restart(self) -> None:
        self.position.now_ms = self.processor.now_ms
        self.processor = self._restored()

    def put(self, of: Register) -> None:
        self.register = of
        self.position.register_version += 1
        self.processor.put_register(view(of), self.position.register_version)

    def step(self, *records: Record, newest: Register | None = None) -> StepResult:
        """Let one step read all of these; where it asks for the newest register it gets ``newest``."""
        index = 0
        while index < len(records):
            before, index = index, self.processor.read(records, index)
            if index == before:
                assert self.processor.wants_newest_register
                if newest is not None:
                    self.put(newest)
                self.processor.has_newest_register()
        result = self.processor.finish()
        for key, row in result.rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        return result


def outputs_to(result: StepResult, topic: str) -> list[Output]:
    return [output for output in result.outputs if output.topic == topic]


def rollups(result: StepResult) -> list[Any]:
    return [decode_rollup(output.value) for output in outputs_to(result, "sla.rollups")]


def counted(result: StepResult) -> dict[int, tuple[int, int, int, int]]:
    return {
        (of.minute_ms - T0) // MINUTE_MS: (of.met, of.breached, of.known_minutes, of.expected_minutes)
        for of in rollups(result)
        if isinstance(of, Counted)
    }


def refused(result: StepResult) -> list[tuple[str, str]]:
    found = []
    for output in outputs_to(result, "sla.dead-letters"):
        headers = dict(output.headers)
        found.append(((headers[REASON] or b"").decode(), (headers[DETAIL] or b"").decode()))
    return found


def test_a_slice_is_told_when_a_heartbeat_has_passed_its_end_by_the_settling_time() -> None:
    watch = Watch()
    assert counted(watch.step(record(0.5), uptime_heartbeat(1.25))) == {}
    assert counted(watch.step(uptime_heartbeat(1.5))) == {0: (1, 0, 1, 1)}


def test_a_minute_nobody_saw_is_neither_good_nor_bad() -> None:
    watch = Watch()
    assert counted(watch.step(record(0.5), uptime_heartbeat(3.6))) == {
        0: (1, 0, 1, 1),
        1: (0, 0, 0, 1),
        2: (0, 0, 0, 1),
    }


def test_a_service_that_never_sends_anything_is_missing_too() -> None:
    watch = Watch()
    assert counted(watch.step(uptime_heartbeat(0))) == {}
    assert counted(watch.step(uptime_heartbeat(2.5))) == {0: (0, 0, 0, 1), 1: (0, 0, 0, 1)}


def test_rollups_of_an_objective_go_to_one_partition_and_progress_to_all() -> None:
    result = Watch().step(record(0.5), uptime_heartbeat(2.6))
    places = {output.partition for output in outputs_to(result, "sla.rollups") if output.key[:8] != b"progress"}  # type: ignore[index]
    assert places == {partition_of(b"portal-availability", PARTITIONS)}
    progress = [of.now_ms for of in rollups(result) if isinstance(of, Progress)]
    assert progress == [T0 + 2 * MINUTE_MS] * PARTITIONS


def test_progress_is_what_has_been_judged_and_not_the_present() -> None:
    watch = Watch()
    watch.step(record(0.5), uptime_heartbeat(2.6))
    result = watch.step(uptime_heartbeat(3.45))
    assert [of for of in rollups(result) if isinstance(of, Progress)] == []
    assert watch.processor.now_ms == T0 + round(3.45 * MINUTE_MS)


def test_a_late_sample_corrects_its_minute_in_absolute_counts() -> None:
    watch = Watch()
    watch.step(record(0.5), uptime_heartbeat(5))
    assert counted(watch.step(record(2.5, ok=False))) == {2: (0, 1, 1, 1)}
    assert watch.observer.counts["late"] == 1


def test_a_sample_beyond_the_bound_is_too_late() -> None:
    watch = Watch(uptime_lateness_minutes=10)
    watch.step(record(0.5), uptime_heartbeat(30))
    assert refused(watch.step(record(19.9)))[0][0] == Reason.TOO_LATE
    assert refused(watch.step(record(20.1))) == []


def test_the_same_sample_again_is_counted_as_a_duplicate() -> None:
    watch = Watch()
    watch.step(record(0.5), record(0.5))
    assert watch.observer.results[UPTIME, EventResult.DUPLICATE] == 1
    assert watch.observer.results[UPTIME, EventResult.APPLIED] == 1


def test_an_unknown_service_is_refused_with_a_hint_after_a_look_at_the_newest_register() -> None:
    watch = Watch()
    typo = service_on(0, PORTAL[:-1])
    known = record(0.5)
    assert watch.processor.read([known, record(0.6, typo)], 0) == 1
    assert watch.processor.wants_newest_register
    assert watch.processor.read([record(0.6, typo)], 0) == 0
    result = watch.step(record(0.6, typo))
    assert refused(result) == [
        ("unknown-service", f"no availability objective names service {typo!r}: did you mean {PORTAL!r}?")
    ]


def test_a_service_of_a_contract_that_has_just_been_published_is_taken_in() -> None:
    watch = Watch()
    result = watch.step(record(0.5), record(0.6, NEW), newest=OF_BOTH)
    assert refused(result) == []
    assert watch.processor.engine.services == tuple(sorted((PORTAL, NEW)))


def test_many_unknown_services_of_one_chunk_ask_once_each() -> None:
    watch = Watch()
    names = [service_on(0, f"unknown{number}") for number in range(3)]
    chunk = [record(0.1 * number, name) for number, name in enumerate(names * 5)]
    asked = index = 0
    while index < len(chunk):
        index = watch.processor.read(chunk, index)
        asked += watch.processor.wants_newest_register
        watch.processor.has_newest_register()
    assert asked == len(names)
    assert len(refused(watch.processor.finish())) == len(chunk)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Record(0, b"x", b"{", T0, 1), Reason.MALFORMED),
        (Record(0, b"other", record(0).value, T0, 1), Reason.KEY_MISMATCH),
        (record(0, service_on(1)), Reason.WRONG_PARTITION),
    ],
)
def test_bad_records_go_to_the_dead_letters(given: Record, reason: Reason) -> None:
    watch = Watch()
    assert refused(watch.step(given))[0][0] == reason
    assert watch.observer.dead_letters == {reason: 1}


def test_by_the_wall_clock_a_sample_from_the_future_is_refused_and_heartbeats_do_nothing() -> None:
    watch = Watch(clock="wall")
    assert refused(watch.step(record(10, arrived=1)))[0][0] == Reason.FROM_THE_FUTURE
    watch.step(uptime_heartbeat(60))
    assert watch.processor.now_ms == 0
    watch.processor.advance(T0)
    assert watch.processor.now_ms == T0


def test_an_outage_fires_one_alert_and_a_restart_neither_repeats_nor_resolves_it() -> None:
    watch = Watch()
    states = []
    for minute in range(8):
        ok = minute not in {2, 3, 4}
        result = watch.step(record(minute + 0.5, ok=ok), uptime_heartbeat(minute + 1.6))
        states += [json.loads(output.value or b"")["state"] for output in outputs_to(result, "sla.alerts")]
        watch.restart()
    assert states == ["firing", "resolved"]


def test_a_restored_partition_goes_on_where_it_was() -> None:
    watch = Watch()
    watch.step(record(0.5), record(0.7, probe="sin", ok=False), uptime_heartbeat(0.9))
    watch.restart()
    assert counted(watch.step(record(0.8, probe="nyc", ok=False), uptime_heartbeat(1.6))) == {0: (0, 1, 1, 1)}
