"""The runner of one partition keeps the delivery rule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from streams.ownership import BatchTooLargeError
from streams.partition import LostOwnershipError, has_reached, is_newer
from streams.state_rows import OUTBOX_SLOTS, POSITION_KEY, decode_outbox, decode_position, outbox_key
from tests.support.fake_kafka import Broker, Counting, Event, FakeOwner, Process, View, records, turns


@asynccontextmanager
async def running(broker: Broker, **options: Any) -> AsyncIterator[Process]:
    """A worker that owns the partition and waits for chunks."""
    process = Process(broker, **options)
    await process.rebalance()
    broker.done.clear()
    yield process
    process.sender.gate.set()
    for owner in process.owners:
        owner.pump.gate.set()
    await process.stage.stop()


def steps(broker: Broker, *kinds: str) -> list[str]:
    return [what for what in broker.done if what.split()[0] in kinds]


# --- the order of the rule ---------------------------------------------------------------------------------------------


async def test_a_step_is_stored_then_told_then_acknowledged() -> None:
    broker = Broker(records("a", "b"))
    async with running(broker) as process:
        event = await process.feed(0, 2)
        await process.settle()
        assert broker.done == ["state 1", "stored 1", "sent 1", "sent 1", "ack 1"]
        assert event.acked
        assert process.halted == []


async def test_no_output_leaves_before_its_state_is_acknowledged() -> None:
    broker = Broker(records("a"))
    async with running(broker) as process:
        process.owners[0].pump.gate.clear()
        event = await process.feed(0, 1)
        await turns()
        assert broker.done == []
        assert not event.acked
        process.owners[0].pump.gate.set()
        await process.settle()
        assert event.acked


async def test_a_chunk_is_not_acknowledged_before_all_its_outputs_are() -> None:
    broker = Broker(records("a"))
    async with running(broker) as process:
        process.sender.gate.clear()
        event = await process.feed(0, 1)
        await turns()
        assert broker.done == ["state 1", "stored 1"]
        assert not event.acked
        process.sender.gate.set()
        await process.settle()
        assert event.acked


async def test_a_batch_holds_the_rows_the_exact_outputs_and_the_position_of_its_step() -> None:
    broker = Broker(records("a", "b+9", "a"))
    async with running(broker) as process:
        await process.feed(0, 3)
        await process.settle()
        last = broker.state[-1][2]
        batch = {key: value for key, value, number in broker.state if number == last}
        assert batch.keys() == {b"ca", b"cb", b"t9 b", outbox_key(1), POSITION_KEY}
        position_row, slot = batch[POSITION_KEY], batch[outbox_key(1)]
        assert position_row is not None
        assert slot is not None
        position = decode_position(position_row)
        assert (position.offset, position.seq) == (2, 1)
        seq, outputs = decode_outbox(slot)
        sent = [output for destination in broker.sent.values() for output in destination]
        assert seq == 1
        assert sorted(outputs, key=repr) == sorted(sent, key=repr)


async def test_steps_are_told_in_their_order_although_they_are_stored_ahead() -> None:
    broker = Broker(records(*"abcdef"))
    async with running(broker) as process:
        process.sender.gate.clear()
        events = [await process.feed(start, start + 2) for start in (0, 2, 4)]
        await turns()
        assert steps(broker, "state") == ["state 1", "state 2", "state 3"]
        assert not any(event.acked for event in events)
        process.sender.gate.set()
        await process.settle()
        assert steps(broker, "ack") == ["ack 1", "ack 3", "ack 5"]
        assert [int(what.split()[1]) for what in steps(broker, "sent")] == [1, 1, 2, 2, 3, 3]


async def test_at_most_eight_steps_are_under_way_so_that_no_outbox_slot_is_overwritten_before_it_was_told() -> None:
    broker = Broker(records(*"abcdefghijkl"))
    async with running(broker) as process:
        process.sender.gate.clear()
        feeding = asyncio.create_task(_feed_one_by_one(process, 12))
        await turns(200)
        assert steps(broker, "state") == [f"state {seq}" for seq in range(1, OUTBOX_SLOTS + 1)]
        slots = [key for key in broker.rows(system=True) if key.startswith(b"\x00outbox")]
        assert len(slots) == OUTBOX_SLOTS
        process.sender.gate.set()
        await feeding
        await process.settle()
        told = 0
        for what in broker.done:
            kind, number = what.split()
            if kind == "sent":
                told = int(number)
            elif kind == "state":
                assert int(number) <= told + OUTBOX_SLOTS
        assert len(steps(broker, "ack")) == 12


async def _feed_one_by_one(process: Process, count: int) -> None:
    for offset in range(count):
        await process.feed(offset, offset + 1)


async def test_what_is_queued_for_a_runner_is_bounded() -> None:
    broker = Broker(records(*"abcdefghijklmnopqrstuvwxyz"))
    async with running(broker) as process:
        process.sender.gate.clear()
        feeding = asyncio.create_task(_feed_one_by_one(process, 26))
        await turns(200)
        read = process.runner.position.offset + 1
        assert read <= OUTBOX_SLOTS + 1, "eight under way and one that waits"
        assert not feeding.done(), "the lane is held back"
        process.sender.gate.set()
        await feeding
        await process.settle()
        assert broker.committed == 26


# --- chunks ------------------------------------------------------------------------------------------------------------


async def test_a_chunk_delivered_again_is_acknowledged_without_a_step() -> None:
    broker = Broker(records("a", "b"))
    async with running(broker) as process:
        await process.feed(0, 2)
        await process.settle()
        broker.done.clear()
        again = await process.feed(0, 2)
        await process.settle()
        assert broker.done == ["ack 1"]
        assert again.acked
        assert process.runner.processor.counts == {b"a": 1, b"b": 1}


async def test_of_a_chunk_delivered_in_part_only_the_rest_is_processed() -> None:
    broker = Broker(records("a", "b", "c"))
    async with running(broker) as process:
        await process.feed(0, 2)
        await process.feed(1, 3)
        await process.settle()
        assert process.runner.processor.counts == {b"a": 1, b"b": 1, b"c": 1}


async def test_chunks_delivered_again_are_acknowledged_in_turn_and_do_not_pile_up() -> None:
    broker = Broker(records(*"abcdefghijklmnopqrstu"))
    async with running(broker) as process:
        await process.feed(0, 20)
        await process.settle()
        process.sender.gate.clear()
        untold = await process.feed(20, 21)
        feeding = asyncio.create_task(_feed_one_by_one(process, 20))
        await turns(200)
        assert not feeding.done(), "the lane is held back"
        assert not untold.acked
        assert broker.committed == 20
        process.sender.gate.set()
        await feeding
        await process.settle()


async def test_a_chunk_larger_than_a_step_is_acknowledged_by_its_last_step() -> None:
    broker = Broker(records(*"abcde"))
    async with running(broker, processor=lambda: Counting(records_a_step=2)) as process:
        await process.feed(0, 5)
        await process.settle()
        assert steps(broker, "state", "ack") == ["state 1", "state 2", "state 3", "ack 4"]
        offsets = [decode_position(value).offset for key, value, _ in broker.state if key == POSITION_KEY and value]
        assert offsets == [1, 3, 4]


async def test_a_sweep_larger_than_a_step_goes_on_before_the_next_record_is_read() -> None:
    broker = Broker(records("a+1", "b+2", "c+3", "T9", "a"))
    async with running(broker, processor=lambda: Counting(timers_a_step=1)) as process:
        event = await process.feed(0, 5)
        await process.settle()
        assert [kind for kind, _, _ in process.observer.steps] == ["chunk", "sweep", "sweep", "chunk"]
        assert event.acked
        assert steps(broker, "ack") == ["ack 4"]


async def test_the_present_moves_with_the_last_record_of_a_chunk_only() -> None:
    broker = Broker(records(*"abcd"))
    asked: list[int] = []

    def now_of(timestamp_ms: int, *_: Any) -> int | None:
        asked.append(timestamp_ms)
        return timestamp_ms if timestamp_ms >= 0 else None

    async with running(broker, processor=lambda: Counting(records_a_step=2), now_of=now_of, tick_seconds=60) as process:
        asked.clear()
        await process.feed(0, 4)
        await process.settle()
        assert asked == [1_003]
        assert process.runner.position.now_ms == 1_003
        assert process.runner.last_timestamp_ms == 1_003


async def test_observers_learn_of_steps_and_of_chunks_when_they_are_told() -> None:
    broker = Broker(records(*"abc"))
    async with running(broker, processor=lambda: Counting(records_a_step=2)) as process:
        await process.feed(0, 1)
        await process.settle()
        await process.feed(0, 3)
        await process.settle()
        assert [(kind, outputs) for kind, _, outputs in process.observer.steps] == [("chunk", 1), ("chunk", 2)]
        assert all(state_bytes > 0 for _, state_bytes, _ in process.observer.steps)
        # The first record of each chunk that was not known: its latency is the longest of the chunk.
        assert process.observer.chunks == [1_000, 1_001]


# --- time --------------------------------------------------------------------------------------------------------------


async def test_time_alone_makes_steps_and_a_tick_without_effect_makes_none() -> None:
    present = 0
    broker = Broker(records("a+5"))
    async with running(broker, now_of=lambda *_: present) as process:
        await process.feed(0, 1)
        await process.settle()
        await asyncio.sleep(0.02)
        assert steps(broker, "state") == ["state 1"]
        present = 5
        await _until(lambda: bool(broker.sent["timers", 1]))
        await process.settle()
        assert steps(broker, "state") == ["state 1", "state 2"]


async def test_a_suspended_runner_makes_no_sweeps_but_finishes_its_chunks() -> None:
    present = 0
    broker = Broker(records("a+5", "b"))
    async with running(broker, now_of=lambda *_: present) as process:
        await process.feed(0, 1)
        await process.settle()
        process.runner.suspend()
        present = 9
        await asyncio.sleep(0.02)
        assert broker.sent["timers", 1] == []
        event = await process.feed(1, 2)
        await process.settle()
        assert event.acked
        process.runner.resume()
        await _until(lambda: bool(broker.sent["timers", 1]))


# --- drain -------------------------------------------------------------------------------------------------------------


async def test_drain_waits_for_chunks_that_wait_for_steps_and_for_outputs() -> None:
    broker = Broker(records(*"abcd"))
    async with running(broker) as process:
        process.sender.gate.clear()
        for offset in range(4):
            await process.feed(offset, offset + 1)
        draining = asyncio.create_task(process.stage.drain())
        await turns()
        assert not draining.done()
        process.sender.gate.set()
        await asyncio.wait_for(draining, 5)
        assert broker.committed == 4


async def test_drain_waits_until_the_outbox_of_a_former_owner_has_been_sent_again() -> None:
    broker = Broker(records("a"))
    async with running(broker) as former:
        await former.feed(0, 1)
        await former.settle()
    process = Process(broker)
    process.sender.gate.clear()
    await process.rebalance()
    draining = asyncio.create_task(process.stage.drain())
    await turns()
    assert not draining.done()
    process.sender.gate.set()
    await asyncio.wait_for(draining, 5)
    assert len(broker.sent["counts", 1]) == 2
    await process.stage.stop()


async def test_a_chunk_just_handed_over_counts_at_every_turn_of_the_loop() -> None:
    """Between queue and step there is no moment at which nothing seems to be under way."""
    broker = Broker(records(*"ab"))
    async with running(broker, tick_seconds=60) as process:
        await turns()  # the runner waits for a chunk
        event = await process.feed(0, 1)
        while not event.acked:
            assert not process.runner.is_idle
            await asyncio.sleep(0)


async def test_who_gives_up_handing_over_a_chunk_leaves_nothing_behind() -> None:
    broker = Broker(records(*"abcdefghijklmnop"))
    async with running(broker) as process:
        process.sender.gate.clear()
        feeding = asyncio.create_task(_feed_one_by_one(process, 16))
        await turns(200)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        process.sender.gate.set()
        await process.settle()


# --- faults ------------------------------------------------------------------------------------------------------------


async def test_a_refused_write_ends_the_process_and_nothing_is_told_or_acknowledged_after_it() -> None:
    broker = Broker(records(*"ab"))
    async with running(broker) as process:
        process.owners[0].fails = ProducerFenced()
        events = [await process.feed(0, 1), await process.feed(1, 2)]
        await _until(lambda: bool(process.halted))
        await turns()
        [error] = process.halted
        assert isinstance(error, LostOwnershipError)
        assert "source/0" in str(error)
        assert isinstance(error.__cause__, ProducerFenced)
        assert broker.done == []
        assert not any(event.acked for event in events)


async def test_a_refused_write_is_noticed_while_outputs_of_an_earlier_step_are_awaited() -> None:
    broker = Broker(records(*"ab"))
    async with running(broker) as process:
        process.sender.gate.clear()
        await process.feed(0, 1)
        await turns()
        process.owners[0].fails = OSError("the broker is gone")
        await process.feed(1, 2)
        await turns()
        assert [str(error) for error in process.halted] == ["the broker is gone"]


async def test_outputs_that_fail_end_the_process_and_the_chunk_stays_unacknowledged() -> None:
    broker = Broker(records("a"))
    async with running(broker) as process:
        process.sender.fails = OSError("no leader")
        event = await process.feed(0, 1)
        await _until(lambda: bool(process.halted))
        assert [str(error) for error in process.halted] == ["no leader"]
        assert not event.acked


async def test_a_processor_that_fails_ends_the_process() -> None:
    class Failing(Counting):
        def read(self, records: Any, start: int) -> int:
            raise RuntimeError("a fault of ours")

    broker = Broker(records("a"))
    async with running(broker, processor=Failing) as process:
        event = await process.feed(0, 1)
        await _until(lambda: bool(process.halted))
        assert str(process.halted[0]) == "a fault of ours"
        assert not event.acked


async def test_a_write_that_cannot_even_be_queued_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(records("a"))

    async def write(self: FakeOwner, rows: Any) -> Any:
        raise BatchTooLargeError("a step of 9 rows is over 12000000 bytes")

    async with running(broker) as process:
        monkeypatch.setattr(FakeOwner, "write", write)
        await process.feed(0, 1)
        await _until(lambda: bool(process.halted))
        assert isinstance(process.halted[0], BatchTooLargeError)


async def test_a_cancelled_write_ends_the_process_instead_of_leaving_it_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner whose task ended in silence would look as if it had nothing to do."""
    broker = Broker(records("a"))

    async def write(self: FakeOwner, rows: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return future

    async with running(broker) as process:
        monkeypatch.setattr(FakeOwner, "write", write)
        await process.feed(0, 1)
        await _until(lambda: bool(process.halted))
        assert isinstance(process.halted[0], asyncio.CancelledError)


async def test_stopping_a_runner_is_no_fault() -> None:
    broker = Broker(records("a"))
    async with running(broker) as process:
        process.sender.gate.clear()
        await process.feed(0, 1)
        await turns()
        await process.stage.stop()
        assert process.halted == []
        assert process.observer.given_up == [0]


# --- taking the partition again ----------------------------------------------------------------------------------------


async def test_a_partition_is_taken_again_between_steps_and_goes_on() -> None:
    broker = Broker(records(*"ab"))
    async with running(broker) as process:
        process.sender.gate.clear()
        await process.feed(0, 1)
        await turns()
        process.stage.retake()
        await asyncio.sleep(0.02)
        assert "take" not in broker.done, "a step is under way"
        process.sender.gate.set()
        await _until(lambda: "marker stored" in broker.done)
        await process.feed(1, 2)
        await process.settle()
        assert process.halted == []
        assert broker.committed == 2
        assert process.observer.changed_producer_ids == 0


async def test_a_worker_that_finds_a_foreign_write_when_it_takes_again_stops() -> None:
    broker = Broker(records(*"a"))
    async with running(broker) as process:
        await process.feed(0, 1)
        await process.settle()
        other = FakeOwner(broker, "other")
        await other.take()
        process.stage.retake()
        await _until(lambda: bool(process.halted))
        [error] = process.halted
        assert isinstance(error, LostOwnershipError)
        assert f"up to offset {other.last_offset}" in str(error)


async def test_a_producer_id_that_changed_meanwhile_is_told() -> None:
    """The broker had forgotten the old one: a former owner under it would not have been fenced."""
    broker = Broker(records(*"a"))
    async with running(broker) as process:
        process.owners[0].next_producer_id = 8
        process.stage.retake()
        await _until(lambda: process.observer.changed_producer_ids == 1)
        assert process.halted == []


async def test_nothing_is_taken_again_during_a_rebalance() -> None:
    broker = Broker(records(*"a"))
    async with running(broker) as process:
        process.runner.suspend()
        process.stage.retake()
        await asyncio.sleep(0.02)
        assert "take" not in broker.done


# --- the register ------------------------------------------------------------------------------------------------------


async def test_a_newer_register_is_a_step_of_its_own_before_the_next_chunk() -> None:
    view = View({"contracts": 3})
    broker = Broker(records(*"ab"))
    async with running(broker, register_of=lambda: view) as process:
        view = newer = View({"contracts": 4})
        await process.feed(0, 2)
        await process.settle()
        assert process.runner.processor.views == [(newer, 2)]
        assert [kind for kind, _, _ in process.observer.steps] == ["register", "chunk"]
        position = process.runner.position
        assert (position.register_offsets, position.register_version) == ({"contracts": 4}, 2)


async def test_a_processor_that_asks_for_the_newest_register_reads_on_after_a_look_at_it() -> None:
    class Asking(Counting):
        """Reads nothing from the second record on before somebody has looked."""

        wants_newest_register = False
        looks = 0

        def read(self, records: Any, start: int) -> int:
            if self.wants_newest_register:
                return start
            if start == 0 and not self.looks:
                self.wants_newest_register = True
                return super().read(records[:1], 0)
            return super().read(records, start)

        def has_newest_register(self) -> None:
            self.wants_newest_register = False
            self.looks += 1

    broker = Broker(records("a", "b", "c"))
    published = View({"sla.contracts": 0})
    newest = View({"sla.contracts": 7})
    shown = [published]

    async def look() -> None:
        await asyncio.sleep(0)
        shown[0] = newest

    async with running(broker, processor=Asking, register_of=lambda: shown[0], newest_register=look) as process:
        event = await process.feed(0, 3)
        await process.settle()
        assert process.halted == []
        assert event.acked
        processor = process.runner.processor
        assert processor.counts == {b"a": 1, b"b": 1, b"c": 1}
        assert processor.looks == 1
        assert process.runner.position.register_offsets == {"sla.contracts": 7}


async def test_a_processor_that_reads_nothing_and_asks_for_nothing_ends_the_process() -> None:
    class Stuck(Counting):
        def read(self, records: Any, start: int) -> int:
            return start

    broker = Broker(records("a"))
    async with running(broker, processor=Stuck) as process:
        await process.feed(0, 1)
        await turns()
        assert "read no record" in str(process.halted[0])


async def test_a_register_that_is_not_newer_changes_nothing() -> None:
    broker = Broker(records(*"a"))
    async with running(broker, register_of=lambda: View({"contracts": 3})) as process:
        await process.feed(0, 1)
        await process.settle()
        assert process.runner.processor.views == []


@pytest.mark.parametrize(
    ("view", "offsets", "newer", "reached"),
    [
        ({}, {}, False, True),
        ({"contracts": 3}, {}, True, True),
        ({"contracts": 3}, {"contracts": 3}, False, True),
        ({"contracts": 4}, {"contracts": 3}, True, True),
        ({"contracts": 2}, {"contracts": 3}, False, False),
        ({"contracts": 4, "calendars": 1}, {"contracts": 3, "calendars": 2}, True, False),
        ({"contracts": 3}, {"contracts": 3, "calendars": 2}, False, False),
    ],
)
def test_registers_are_compared_by_what_was_read_of_each_topic(
    view: dict[str, int], offsets: dict[str, int], newer: bool, reached: bool
) -> None:
    assert is_newer(View(view), offsets) is newer
    assert has_reached(View(view), offsets) is reached


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.001)


def test_an_event_of_the_fake_stands_for_its_whole_chunk() -> None:
    assert Event(records(*"abc")).message.offset == 2
