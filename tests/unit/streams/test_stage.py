"""A stage takes its partitions over, judges losses, follows the register and gives partitions up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from faust.types import TP

from streams import stage as stage_module
from streams.lane import Watermark
from streams.stage import LostRecordsError, RegisterBehindError, RestoreIncompleteError
from streams.state_rows import OWNER_KEY, POSITION_KEY, NewerFormatError, Position, encode_position
from tests.support.fake_kafka import (
    SOURCE,
    STATE,
    Broker,
    Counting,
    Event,
    FakeOwner,
    Process,
    Record,
    View,
    records,
    turns,
)


@asynccontextmanager
async def life(broker: Broker, **options: Any) -> AsyncIterator[Process]:
    """A worker that has not been assigned anything yet."""
    process = Process(broker, **options)
    yield process
    process.sender.gate.set()
    await process.stage.stop()


async def processed(broker: Broker, count: int) -> None:
    """Let a former worker process the first records and die."""
    async with life(broker) as process:
        await process.rebalance()
        await process.feed(0, count)
        await process.settle()
    broker.done.clear()


# --- takeover ----------------------------------------------------------------------------------------------------------


async def test_a_partition_is_taken_before_it_is_restored_and_restored_before_it_runs() -> None:
    broker = Broker(records("a", "b+9", "a"))
    await processed(broker, 3)
    async with life(broker) as process:
        await process.take()
        assert broker.done == ["take", "marker", "marker stored"]
        assert process.stage.runners == {}
        assert not process.stage.is_ready
        await process.restore()
        assert process.stage.is_ready
        assert process.runner.processor.counts == {b"a": 2, b"b": 1}
        assert process.runner.processor.timers == {(9, b"b")}
        assert process.stage.start_offsets() == {TP(SOURCE, 0): 3}
        assert process.observer.taken == [(True, False)]
        assert process.observer.restored == [3]


async def test_rows_deleted_in_the_log_are_gone_after_a_restore() -> None:
    broker = Broker(records("a+9", "T9"))
    await processed(broker, 2)
    async with life(broker) as process:
        await process.rebalance(chunk_records=1)
        assert process.runner.processor.timers == set()


async def test_a_new_partition_starts_where_its_log_does() -> None:
    broker = Broker(records("a", first=40), log_start=40)
    async with life(broker) as process:
        await process.rebalance()
        assert process.stage.start_offsets() == {TP(SOURCE, 0): 40}
        assert process.halted == []


async def test_where_to_go_on_is_told_only_of_partitions_that_are_assigned() -> None:
    async with life(Broker(records("a"))) as process:
        await process.rebalance()
        process.app.assigned = False
        assert process.stage.start_offsets() == {}


async def test_an_owner_restores_from_the_start_unless_its_memory_is_current() -> None:
    broker = Broker(records("a", "b"))
    async with life(broker) as process:
        assert process.stage.restored_offset(0) is None, "not ours"
        await process.take()
        # Not None: Faust would go on where it stopped reading in an earlier restore, whose rows are gone.
        assert process.stage.restored_offset(0) == -1
        await process.restore()
        await process.feed(0, 1)
        await process.settle()
        await process.revoke()
        await process.take()
        assert process.stage.restored_offset(0) == process.owners[0].marker_offset


async def test_memory_outlives_a_rebalance_if_nobody_has_written_meanwhile() -> None:
    broker = Broker(records("a", "a"))
    async with life(broker) as process:
        await process.rebalance()
        await process.feed(0, 1)
        await process.settle()
        runner = process.runner
        await process.rebalance()
        assert process.runner is runner
        assert process.observer.taken[-1] == (False, False)
        await process.feed(1, 2)
        await process.settle()
        assert broker.rows()[b"ca"] == b"2"


async def test_memory_is_dropped_if_somebody_has_written_meanwhile() -> None:
    """Frozen for longer than its session, a worker gets the partition back that another one has moved on."""
    broker = Broker(records("a", "a", "a"))
    async with life(broker) as frozen:
        await frozen.rebalance()
        await frozen.feed(0, 1)
        await frozen.settle()
        before = frozen.runner
        async with life(broker) as other:
            await other.rebalance()
            await other.feed(1, 2)
            await other.settle()
        await frozen.rebalance()
        assert frozen.runner is not before
        assert frozen.observer.taken[-1] == (True, False)
        assert frozen.runner.processor.counts == {b"a": 2}
        assert frozen.stage.start_offsets() == {TP(SOURCE, 0): 2}


async def test_a_marker_alone_of_another_worker_drops_the_memory_too() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.rebalance()
        before = process.runner
        await FakeOwner(broker, "other").take()
        await process.rebalance()
        assert process.runner is not before
        assert process.halted == []


async def test_a_runner_that_is_not_idle_is_stopped_before_the_partition_is_taken_under_a_new_epoch() -> None:
    broker = Broker(records("a", "b"))
    async with life(broker) as process:
        await process.rebalance()
        process.sender.gate.clear()
        await process.feed(0, 1)
        await turns()
        before = process.runner
        await process.take()  # without a revocation that waits for the step
        assert before._tasks == [], "it can't write any more"
        assert process.stage.runners == {}
        process.sender.gate.set()
        await process.restore()
        assert process.runner.processor.counts == {b"a": 1}
        await process.feed(1, 2)
        await process.settle()
        assert process.halted == []


async def test_a_partition_that_goes_to_another_worker_is_given_up_with_all_it_had() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.rebalance()
        process.stage.watermarks[0] = Watermark(1, 1, 1, 0)
        await process.rebalance(assigned=False)
        assert process.stage.runners == {}
        assert process.stage.watermarks == {}
        assert process.owners[0].is_closed
        assert process.observer.given_up == [0]
        assert process.stage.is_ready, "a worker without partitions does all it has to"


async def test_chunks_of_partitions_that_are_not_ours_any_more_are_left_to_their_owner() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.rebalance()
        await process.rebalance(assigned=False)

        class Stream:
            def noack(self) -> Any:
                return self

            async def events(self) -> AsyncIterator[Event]:
                yield process.chunk(0, 1)

        await process.stage._agent(Stream())
        assert broker.done[-1] != "state 1"


async def test_a_rebalance_that_is_out_of_date_takes_nothing() -> None:
    """Taking now could fence those to whom a newer generation has given the partitions."""
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.revoke()
        process.app.consumer_generation_id = 5
        await process.stage.on_rebalance(4)
        assert broker.done == []
        assert process.stage.restored_offset(0) is None
        await process.stage.on_restored({0})
        assert not process.stage.is_ready


async def test_a_fault_while_taking_ends_the_process() -> None:
    async with life(Broker(records("a"))) as process:
        process.app.assignor.assigned_actives = lambda: 1 / 0
        await process.take()
        assert isinstance(process.halted[0], ZeroDivisionError)


# --- restore -----------------------------------------------------------------------------------------------------------


async def test_a_restore_that_ends_before_the_marker_ends_the_process() -> None:
    broker = Broker(records("a"))
    await processed(broker, 1)
    async with life(broker) as process:
        await process.take()
        process.stage.restore_chunk(Event([Record(0, b"ca", b"1")], topic=STATE))
        await process.stage.on_restored({0})
        [error] = process.halted
        assert isinstance(error, RestoreIncompleteError)
        assert "restored to offset 0" in str(error)


async def test_what_recovery_hands_over_by_mistake_is_not_taken_in() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.take()
        process.stage.restore_chunk(Event([Record(99, b"ca", b"7")], topic="another-state"))
        process.stage.restore_chunk(Event([Record(99, b"ca", b"7")], topic=STATE, partition=3))
        assert process.stage.restored_offset(0) == -1


async def test_a_state_of_a_newer_release_is_refused_before_anything_is_written() -> None:
    broker = Broker(records("a"))
    broker.append(0, {POSITION_KEY: b"\x07" + encode_position(Position(offset=0))[1:]})
    async with life(broker) as process:
        await process.rebalance()
        [error] = process.halted
        assert isinstance(error, NewerFormatError)
        assert "upgrade" in str(error)
        assert process.stage.runners == {}


async def test_a_marker_of_a_newer_release_is_refused() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.take()
        # Another release writes its own marker in the meantime; ours is refused from then on.
        broker.append(99, {OWNER_KEY: b"\x07new"})
        await process.restore()
        assert isinstance(process.halted[0], NewerFormatError)


async def test_a_restore_that_is_overtaken_by_a_rebalance_builds_nothing_and_lets_nothing_run() -> None:
    broker = Broker(records("a"))
    await processed(broker, 1)
    async with life(broker) as process:
        await process.take()
        process.read_changelog()

        async def again() -> None:
            await process.revoke()
            await process.take()

        process.app.before_bounds = again
        await process.stage.on_restored({0})
        assert process.stage.runners == {}
        assert not process.stage.is_ready
        assert process.halted == []
        await process.restore()
        assert process.stage.is_ready
        assert process.runner.processor.counts == {b"a": 1}


async def test_a_restore_overtaken_while_it_waits_for_the_register_builds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage_module, "_REGISTER_POLL_SECONDS", 0.001)
    broker = Broker(records("a"))
    view = View({"contracts": 4})
    async with life(broker, register_of=lambda: view) as former:
        await former.rebalance()
        await former.feed(0, 1)
        await former.settle()
    view = View({"contracts": 3})
    async with life(broker, register_of=lambda: view) as process:
        await process.take()
        process.read_changelog()
        building = asyncio.create_task(process.stage.on_restored({0}))
        await asyncio.sleep(0.01)
        await process.rebalance(assigned=False)
        view = View({"contracts": 4})
        await building
        assert process.stage.runners == {}
        assert process.observer.restored == []
        assert process.halted == []


# --- loss --------------------------------------------------------------------------------------------------------------


async def test_records_that_were_deleted_before_they_were_processed_stop_the_worker() -> None:
    broker = Broker(records("a", "b"))
    await processed(broker, 2)
    broker.source, broker.log_start = records("f", first=5), 5
    async with life(broker) as process:
        await process.rebalance()
        [error] = process.halted
        assert isinstance(error, LostRecordsError)
        message = str(error)
        assert "goes on at offset 2, which is before the log's start (5..6)" in message
        assert "slawatch worker --accept-loss source/0" in message
        assert process.stage.runners == {}


async def test_a_topic_that_was_made_again_stops_the_worker() -> None:
    broker = Broker(records(*"abcd"))
    await processed(broker, 4)
    broker.source = records("x")
    async with life(broker) as process:
        await process.rebalance()
        [error] = process.halted
        assert isinstance(error, LostRecordsError)
        assert "goes on at offset 4, which is behind the log's end (0..1)" in str(error)


@pytest.mark.parametrize(("log_start", "count", "goes_on_at"), [(5, 2, 5), (0, 1, 1)])
async def test_a_loss_that_was_accepted_goes_on_at_the_nearest_record(
    log_start: int, count: int, goes_on_at: int
) -> None:
    broker = Broker(records(*"abcd"))
    await processed(broker, 4)
    broker.source, broker.log_start = records(*"x" * count, first=log_start), log_start
    async with life(broker, accept_loss=frozenset({0})) as process:
        await process.rebalance()
        assert process.halted == []
        assert process.stage.start_offsets() == {TP(SOURCE, 0): goes_on_at}


async def test_a_position_at_the_end_of_the_log_has_lost_nothing() -> None:
    broker = Broker(records("a", "b"))
    await processed(broker, 2)
    broker.source, broker.log_start = [], 2
    async with life(broker) as process:
        await process.rebalance()
        assert process.halted == []


# --- register ----------------------------------------------------------------------------------------------------------


async def test_a_partition_waits_for_the_register_it_was_decided_under(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "_REGISTER_POLL_SECONDS", 0.001)
    broker = Broker(records("a"))
    view: View | None = View({"contracts": 4})
    async with life(broker, register_of=lambda: view) as former:
        await former.rebalance()
        await former.feed(0, 1)
        await former.settle()
        version = former.runner.position.register_version
    view = View({"contracts": 3})
    async with life(broker, register_of=lambda: view) as process:
        restoring = asyncio.create_task(process.rebalance())
        await asyncio.sleep(0.01)
        assert process.stage.runners == {}
        view = View({"contracts": 4})
        await restoring
        assert process.runner.processor.restored_view == (view, version)


async def test_a_register_that_never_gets_there_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "_REGISTER_POLLS", 3)
    monkeypatch.setattr(stage_module, "_REGISTER_POLL_SECONDS", 0.001)
    broker = Broker(records("a"))
    broker.append(0, {POSITION_KEY: encode_position(Position(offset=0, register_offsets={"contracts": 9}))})
    async with life(broker, register_of=lambda: View({"contracts": 2})) as process:
        await process.rebalance()
        [error] = process.halted
        assert isinstance(error, RegisterBehindError)
        assert "{'contracts': 9}" in str(error)
        assert "{'contracts': 2}" in str(error)


async def test_a_newer_register_is_in_force_from_the_restore_on_under_a_version_of_its_own() -> None:
    broker = Broker(records("a"))
    view = View({"contracts": 4})
    async with life(broker, register_of=lambda: view) as former:
        await former.rebalance()
        await former.feed(0, 1)
        await former.settle()
        assert former.runner.processor.restored_view == (view, 1)
    view = View({"contracts": 6})
    async with life(broker, register_of=lambda: view) as process:
        await process.rebalance()
        assert process.runner.processor.restored_view == (view, 2)


# --- time --------------------------------------------------------------------------------------------------------------


async def test_watermarks_are_asked_for_what_is_owned_and_runs() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        process.app.watermark = Watermark(5, 1, 1, 0)
        await process.stage.follow()
        assert process.stage.watermarks == {}
        await process.rebalance()
        await process.stage.follow()
        assert process.stage.watermarks == {0: process.app.watermark}


async def test_a_watermark_that_comes_after_its_partition_has_gone_is_not_kept() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.rebalance()
        watermarks = process.app.watermarks

        async def slow(tps: Any) -> Any:
            found = await watermarks(tps)
            await process.rebalance(assigned=False)
            return found

        process.app.watermark = Watermark(5, 1, 1, 0)
        process.app.watermarks = slow  # type: ignore[method-assign]
        await process.stage.follow()
        assert process.stage.watermarks == {}


async def test_partitions_are_taken_again_when_it_is_time_but_never_by_a_worker_the_group_may_have_lost() -> None:
    broker = Broker(records("a"))
    async with life(broker) as process:
        await process.rebalance()
        broker.done.clear()
        process.stage._retake_seconds = 0.0
        process.app.heartbeat_age = 16.0  # of a session of 30 s
        await process.stage.follow()
        await asyncio.sleep(0.01)
        assert broker.done == []
        process.app.heartbeat_age = 1.0
        await process.stage.follow()
        await asyncio.sleep(0.01)
        assert broker.done[:2] == ["take", "marker"]


def test_the_processor_of_the_tests_is_a_function_of_the_records_alone() -> None:
    """Otherwise the tests of delivery would prove nothing."""
    source = records("a+3", "b", "T5", "a+2", "b+9", "T9", "T4")
    results = []
    for cut in range(1, 7):
        processor = Counting(records_a_step=cut, timers_a_step=1)
        processor.restore({}, Position(), None)
        index, outputs = 0, []
        while index < len(source):
            index = processor.read(source, index)
            while processor.advance(None):
                outputs += processor.finish().outputs
            outputs += processor.finish().outputs
        results.append([(output.topic, output.partition, output.key, output.value) for output in outputs])
    assert all(result == results[0] for result in results)
