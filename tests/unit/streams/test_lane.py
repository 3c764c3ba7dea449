"""The lane's own decisions: what has been read, what may be committed, how chunks are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from faust.exceptions import ImproperlyConfigured
from faust.types import TP

from streams.lane import Batches, LaneApp, Scheduler, Watermark
from tests.support.fake_kafka import Record

PLACE = TP("events", 0)


@pytest.fixture
async def app() -> LaneApp:
    return LaneApp("lane-test", broker="kafka://127.0.0.1:1", store="memory://", topic_disable_leader=True)


@pytest.fixture
async def consumer(app: LaneApp) -> AsyncIterator[Any]:
    """The consumer as Faust makes it; nothing is connected."""
    app.topics.add(app.topic("events", schema=Batches(size=3)))
    app.topics.add(app.topic("words"))
    consumer = app.transport.create_consumer(
        callback=lambda _message: None, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
    )
    app.topics.acks_enabled_for = lambda _topic: True
    thread = consumer._thread
    yield consumer
    thread.thread_loop.close()


async def _nothing(*_: Any) -> None: ...


def chunk(*offsets: int) -> list[Record]:
    return [Record(offset, b"k", b"v", timestamp=1_000 + offset) for offset in offsets]


# --- watermarks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "position", "handed_out", "processed", "is_caught_up"),
    [
        pytest.param(0, 0, -1, -1, True, id="an empty log is read"),
        pytest.param(10, 10, 9, 9, True, id="all is processed"),
        pytest.param(10, 10, 9, 8, False, id="the last one is still under way"),
        pytest.param(10, 0, -1, -1, False, id="nothing is fetched yet"),
        pytest.param(10, 5, 4, 4, False, id="all that was fetched is processed, but there is more"),
        pytest.param(10, 5, 4, 12, True, id="the state is further than this fetch"),
        pytest.param(12, 12, 9, 9, True, id="what follows are markers of transactions"),
        pytest.param(12, 12, 9, 8, False, id="markers follow what is still under way"),
        pytest.param(12, 11, 9, 9, False, id="the fetch may still bring the one before the marker"),
        pytest.param(12, 12, -1, 9, True, id="only markers since the last seek"),
        pytest.param(10, 10, -1, 9, True, id="nothing came since the last seek"),
    ],
)
def test_an_instant_counts_as_read_when_everything_before_it_is(
    end: int, position: int, handed_out: int, processed: int, is_caught_up: bool
) -> None:
    watermark = Watermark(asked_at_ms=77, end=end, position=position, handed_out=handed_out)
    assert watermark.caught_up_at(processed) == (77 if is_caught_up else None)


# --- chunks and commits ------------------------------------------------------------------------------------------------


def deliver(consumer: Any, *offsets: int) -> Any:
    """Hand a chunk out as the consumer's fetch does, up to the stream."""
    message = consumer._to_message(PLACE, chunk(*offsets))
    read = consumer._read_offset[PLACE]
    if read is not None and message.offset < read:
        return None  # Faust drops it here
    consumer.track_message(message)
    consumer._read_offset[PLACE] = message.offset
    return message


def commit(consumer: Any) -> int | None:
    """Do what Faust's commit does with the offset it asks for."""
    offset: int | None = consumer._new_offset(PLACE)
    if offset is None or not consumer._should_commit(PLACE, offset):
        return None
    consumer._committed_offset[PLACE] = offset
    return offset


async def test_a_message_stands_for_its_whole_chunk(consumer: Any) -> None:
    message = consumer._to_message(PLACE, chunk(4, 5, 9))
    assert (message.tp, message.offset, message.timestamp) == (PLACE, 9, 1.009)
    assert [record.offset for record in message.value] == [4, 5, 9]


async def test_the_longest_acknowledged_prefix_of_chunks_is_committed(consumer: Any) -> None:
    first, second, third = (deliver(consumer, *offsets) for offsets in ((0, 1, 2), (3, 4), (7, 9)))
    consumer.ack(second)
    assert commit(consumer) is None
    consumer.ack(first)
    assert commit(consumer) == 5
    consumer.ack(third)
    assert commit(consumer) == 10, "gaps within and between chunks are no hindrance"
    assert commit(consumer) is None


async def test_the_oldest_chunk_that_waits_for_its_commit_has_an_age(consumer: Any) -> None:
    assert consumer.commit_age_seconds(PLACE) == 0.0
    first, second = deliver(consumer, 0, 1), deliver(consumer, 2)
    await asyncio.sleep(0.01)
    age = consumer.commit_age_seconds(PLACE)
    assert age >= 0.01
    consumer.ack(second)
    commit(consumer)
    assert consumer.commit_age_seconds(PLACE) >= age
    consumer.ack(first)
    commit(consumer)
    assert consumer.commit_age_seconds(PLACE) == 0.0


async def test_a_chunk_that_is_dropped_because_it_was_read_already_does_not_stop_commits(consumer: Any) -> None:
    consumer.ack(deliver(consumer, 0, 1, 2))
    assert deliver(consumer, 0, 1) is None
    consumer.ack(deliver(consumer, 3, 4))
    assert commit(consumer) == 5


async def test_a_chunk_delivered_twice_does_not_stop_commits(consumer: Any) -> None:
    """After a seek back while its first copy was under way; Faust notes no ack of what is committed by then."""
    first = deliver(consumer, 0, 1, 2)
    consumer._read_offset[PLACE] = 0  # the seek
    again = deliver(consumer, 0, 1, 2)
    consumer.ack(first)
    assert commit(consumer) == 3
    consumer.ack(again)
    consumer.ack(deliver(consumer, 3))
    assert commit(consumer) == 4


async def test_topics_read_record_by_record_are_committed_as_faust_does(consumer: Any) -> None:
    words = TP("words", 0)
    for offset in (0, 1):
        record = SimpleNamespace(
            topic="words", partition=0, offset=offset, timestamp=1, timestamp_type=0, headers=(), key=b"", value=b"",
            checksum=None, serialized_key_size=0, serialized_value_size=0,
        )  # fmt: skip
        message = consumer._to_message(words, record)
        consumer.track_message(message)
        consumer.ack(message)
    assert consumer._new_offset(words) == 2


async def test_seeking_forgets_what_was_handed_out_and_goes_where_the_state_says(
    consumer: Any, app: LaneApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    app.stages = [SimpleNamespace(start_offsets=lambda: {PLACE: 42, TP("events", 1): 0})]

    async def seek_to_committed() -> dict[TP, int]:
        assert not consumer.flow_active, "nothing may be handed out meanwhile"
        assert consumer.seeking == 1
        done.append("committed")
        return {PLACE: 40}

    async def seek_all(offsets: dict[TP, int]) -> None:
        done.append(dict(offsets))

    consumer._thread = SimpleNamespace(seek_to_committed=seek_to_committed, seek_all=seek_all)
    consumer.ack(deliver(consumer, 0, 1))
    consumer.handed_out[PLACE] = 1
    await consumer.perform_seek()
    assert done == ["committed", {PLACE: 42, TP("events", 1): 0}]
    assert consumer._read_offset[PLACE] == 42
    assert consumer._read_offset[TP("events", 1)] is None, "Faust's sign for the beginning"
    assert consumer.handed_out == {}
    assert consumer._new_offset(PLACE) is None
    assert (consumer.seeking, consumer.seeks) == (0, 1)


async def test_a_failed_seek_is_not_taken_for_one_that_goes_on(consumer: Any, app: LaneApp) -> None:
    async def seek_to_committed() -> dict[TP, int]:
        raise OSError("gone")

    consumer._thread = SimpleNamespace(seek_to_committed=seek_to_committed)
    with pytest.raises(OSError, match="gone"):
        await consumer.perform_seek()
    assert (consumer.seeking, consumer.seeks) == (0, 1)


async def test_partitions_are_forgotten_after_the_streams_have_finished(consumer: Any, app: LaneApp) -> None:
    order: list[str] = []

    class Stage:
        def suspend(self) -> None:
            order.append("suspend")

        async def drain(self) -> None:
            order.append("drain")
            assert commit(consumer) == 2, "what was acknowledged can still be committed"

    async def revoked(_: Any) -> None:
        order.append("streams finish")

    app.stages = [Stage()]
    consumer._on_partitions_revoked = revoked
    consumer.ack(deliver(consumer, 0, 1))
    consumer.handed_out[PLACE] = 1
    await consumer.on_partitions_revoked({PLACE})
    assert order == ["suspend", "streams finish", "drain"]
    assert commit(consumer) is None
    assert consumer.handed_out == {}
    assert consumer.seeks == 1


# --- cutting chunks ----------------------------------------------------------------------------------------------------


async def test_what_was_fetched_is_cut_into_chunks_that_take_turns(consumer: Any) -> None:
    other = TP("events", 1)
    fetched = {PLACE: chunk(*range(7)), other: chunk(0, 1)}
    turns = [(tp, [record.offset for record in records]) for tp, records in Scheduler(consumer).iterate(fetched)]
    assert sorted(turns) == [(PLACE, [0, 1, 2]), (PLACE, [3, 4, 5]), (PLACE, [6]), (other, [0, 1])]
    assert [offsets for tp, offsets in turns if tp == PLACE] == [[0, 1, 2], [3, 4, 5], [6]]
    assert {tp for tp, _ in turns[:2]} == {PLACE, other}, "no partition waits for another to be done"


async def test_a_topic_can_not_be_read_both_in_batches_and_by_record(consumer: Any, app: LaneApp) -> None:
    assert consumer.batch_size("events") == 3
    assert consumer.batch_size("words") is None
    app.topics.add(app.topic("both", schema=Batches(size=3)))
    app.topics.add(app.topic("both"))
    with pytest.raises(ImproperlyConfigured, match="'both' is read both in batches and by record"):
        consumer.batch_size("both")


# --- the app -----------------------------------------------------------------------------------------------------------


async def test_rebalances_are_told_from_their_beginning_to_the_moment_streams_run_again(app: LaneApp) -> None:
    told: list[Any] = []

    class Observer:
        def rebalance_begun(self) -> None:
            told.append("begun")

        def rebalance_done(self, seconds: float) -> None:
            told.append(seconds)

    app.rebalance_observer = Observer()
    app.on_rebalance_start()
    await app.suspend_stages()
    await asyncio.sleep(0.01)
    app.on_rebalance_end()
    app.on_rebalance_start()
    app.on_rebalance_end()
    assert told[0] == "begun"
    assert told[1] >= 0.01
    assert len(told) == 2, "an end without a beginning is none"


async def test_stages_make_no_steps_by_time_while_the_app_stops(app: LaneApp) -> None:
    suspended: list[str] = []
    app.stages = [SimpleNamespace(suspend=lambda: suspended.append("stage"))]
    await app.on_stop()
    assert suspended == ["stage"]


async def test_a_worker_that_never_joined_has_no_heartbeat_and_nothing_to_commit(app: LaneApp) -> None:
    assert app.heartbeat_age_seconds() == float("inf")
    assert app.commit_age_seconds(PLACE) == 0.0
