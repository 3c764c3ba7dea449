"""The lane on a real broker: chunks in order, every offset once over rebalances, commits of whole chunks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import mode
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from streams.broker import Broker
from streams.lane import Batches, LaneApp
from streams.partition import LostOwnershipError
from streams.processor import StepResult
from streams.sender import OutputSender
from streams.stage import Stage
from streams.state_rows import Output, Position, provenance_of
from streams.system_clock import now_ms
from tests.support.fake_kafka import Steps

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

Eventually = Callable[..., Awaitable[None]]
MakeTopic = Callable[..., Awaitable[str]]


def lane_app(bootstrap: str, group: str, partitions: int) -> LaneApp:
    return LaneApp(
        group,
        broker=f"kafka://{bootstrap}",
        version=1,
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        broker_commit_interval=0.2,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=0.5,
        broker_request_timeout=30.0,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        agent_supervisor=mode.CrashingSupervisor,
    )


@asynccontextmanager
async def started(app: LaneApp) -> AsyncIterator[None]:
    serving = asyncio.create_task(app.start())
    try:
        yield
    finally:
        await app.stop()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def publish(kafka: Broker) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5)
    await producer.start()

    async def send(topic: str, count: int, partitions: int, *, first: int = 0) -> None:
        """Send ``count`` records to each partition; the value is the offset it will have."""
        await asyncio.gather(
            *[
                await producer.send(topic, b"%d" % number, key=b"k%d" % number, partition=partition)
                for number in range(first, first + count)
                for partition in range(partitions)
            ]
        )

    yield send
    await producer.stop()


async def committed(admin: AIOKafkaAdminClient, group: str, topic: str, partitions: int) -> list[int]:
    """Return the committed offset of each partition, 0 for none."""
    places = [TopicPartition(topic, number) for number in range(partitions)]
    found = await admin.list_consumer_group_offsets(group, partitions=places)
    return [max(0, found[place].offset) for place in places]


# --- without a stage: chunks and commits -------------------------------------------------------------------------------


@dataclass
class Agent:
    """Takes chunks and leaves it to the test to acknowledge them."""

    app: LaneApp
    topic: str
    size: int
    events: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        channel = self.app.topic(self.topic, schema=Batches(size=self.size), maxsize=4)
        self.app.agent(channel, name=f"{self.app.conf.id}.agent")(self._take)

    async def _take(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.events[event.message.partition].append(event)

    def offsets(self, partition: int) -> list[int]:
        return [record.offset for event in self.events[partition] for record in event.value]


async def test_chunks_are_of_one_partition_in_order_and_no_larger_than_asked(
    kafka: Broker, prefix: str, make_topic: MakeTopic, publish: Any, eventually: Eventually
) -> None:
    topic = await make_topic(partitions=3)
    await publish(topic, 500, 3)
    agent = Agent(lane_app(kafka.bootstrap, f"{prefix}lane", 3), topic, size=64)

    async def everything() -> bool:
        for events in list(agent.events.values()):
            for event in events:
                event.ack()
        return all(len(agent.offsets(partition)) == 500 for partition in range(3))

    async with started(agent.app):
        await eventually(everything)
    for partition in range(3):
        assert agent.offsets(partition) == list(range(500))
        for event in agent.events[partition]:
            assert 1 <= len(event.value) <= 64
            assert event.message.offset == event.value[-1].offset
            assert [int(record.value) for record in event.value] == [record.offset for record in event.value]
            assert all(record.timestamp > 1_700_000_000_000 for record in event.value)


async def test_only_the_acknowledged_prefix_of_the_chunks_is_committed(
    kafka: Broker, prefix: str, make_topic: MakeTopic, publish: Any, eventually: Eventually, admin: AIOKafkaAdminClient
) -> None:
    topic, group = await make_topic(), f"{prefix}lane"
    agent = Agent(lane_app(kafka.bootstrap, group, 1), topic, size=10)
    place = TP(topic, 0)

    async with started(agent.app):
        await publish(topic, 35, 1)

        async def all_read() -> bool:
            return len(agent.offsets(0)) == 35

        await eventually(all_read)
        chunks = agent.events[0]
        ends = [event.message.offset + 1 for event in chunks]
        assert len(chunks) >= 4
        assert agent.app.commit_age_seconds(place) > 0
        # Everything but the first: nothing may be committed.
        for event in chunks[1:]:
            event.ack()
        await asyncio.sleep(0.8)
        assert await committed(admin, group, topic, 1) == [0]
        assert agent.app.commit_age_seconds(place) > 0.8

        chunks[0].ack()

        async def is_committed() -> bool:
            return await committed(admin, group, topic, 1) == [ends[-1]]

        await eventually(is_committed)
        assert agent.app.commit_age_seconds(place) == 0.0


async def test_commits_fall_on_ends_of_chunks(
    kafka: Broker, prefix: str, make_topic: MakeTopic, publish: Any, eventually: Eventually, admin: AIOKafkaAdminClient
) -> None:
    topic, group = await make_topic(), f"{prefix}lane"
    agent = Agent(lane_app(kafka.bootstrap, group, 1), topic, size=7)
    seen: set[int] = set()

    async with started(agent.app):
        for start in range(0, 100, 20):
            await publish(topic, 20, 1, first=start)

            async def read_and_acked(so_far: int = start + 20) -> bool:
                for event in agent.events[0]:
                    event.ack()
                    await asyncio.sleep(0)
                seen.update(await committed(admin, group, topic, 1))
                return len(agent.offsets(0)) == so_far and max(seen) == so_far

            await eventually(read_and_acked, every_seconds=0.02)
    ends = {event.message.offset + 1 for event in agent.events[0]}
    assert seen - {0} <= ends
    assert max(seen) == 100


async def test_watermarks_tell_when_everything_was_read(
    kafka: Broker, prefix: str, make_topic: MakeTopic, publish: Any, eventually: Eventually
) -> None:
    topic = await make_topic(partitions=2)
    await publish(topic, 30, 1)
    agent = Agent(lane_app(kafka.bootstrap, f"{prefix}lane", 2), topic, size=10)
    places = [TP(topic, 0), TP(topic, 1)]

    async with started(agent.app):

        async def all_read() -> bool:
            return len(agent.offsets(0)) == 30

        await eventually(all_read)
        before_ms = now_ms()
        marks = await agent.app.consumer.watermarks(places)
        assert (marks[places[0]].end, marks[places[0]].handed_out) == (30, 29)
        assert marks[places[0]].caught_up_at(29) == marks[places[0]].asked_at_ms >= before_ms
        assert marks[places[0]].caught_up_at(28) is None
        assert marks[places[1]].caught_up_at(-1) == marks[places[1]].asked_at_ms, "an empty partition is read"
        # While a seek is under way, positions and what was handed out may not belong together.
        agent.app.consumer.seeking += 1
        assert await agent.app.consumer.watermarks(places) == {}
        agent.app.consumer.seeking -= 1
        assert await agent.app.consumer.log_bounds(places) == {places[0]: (0, 30), places[1]: (0, 0)}
        assert agent.app.heartbeat_age_seconds() < 5
        for event in agent.events[0]:
            event.ack()


async def test_open_and_aborted_transactions_are_neither_read_nor_waited_for(
    kafka: Broker, prefix: str, make_topic: MakeTopic, publish: Any, eventually: Eventually
) -> None:
    topic = await make_topic()
    await publish(topic, 3, 1)
    upstream = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{prefix}upstream")
    await upstream.start()
    await upstream.begin_transaction()
    await upstream.send_and_wait(topic, b"never happened", partition=0)
    agent = Agent(lane_app(kafka.bootstrap, f"{prefix}lane", 1), topic, size=10)
    place = TP(topic, 0)

    async def caught_up(end: int) -> bool:
        if len(agent.offsets(0)) < 3:
            return False
        marks = await agent.app.consumer.watermarks([place])
        return place in marks and marks[place].end == end and marks[place].caught_up_at(2) is not None

    async with started(agent.app):
        await eventually(lambda: caught_up(3))  # what is not committed does not exist
        await upstream.abort_transaction()
        await upstream.stop()
        await eventually(lambda: caught_up(5))  # the log ends behind the aborted record and its marker
        for event in agent.events[0]:
            event.ack()
    assert agent.offsets(0) == [0, 1, 2]


# --- with a stage: rebalances ------------------------------------------------------------------------------------------


class Tracing:
    """A processor that tells each record it reads, once, and remembers how many it has read."""

    ordinals: Mapping[str, int] = {}
    now_ms = 0

    def __init__(self, partition: int, trace: Trace, worker: str) -> None:
        self.partition, self.trace, self.worker = partition, trace, worker
        self.count = 0
        self._result = StepResult()

    def restore(self, rows: Mapping[bytes, bytes], position: Position, view: Any) -> None:
        self.count = int(rows.get(b"count", b"0"))

    def read(self, records: Sequence[Any], start: int) -> int:
        for record in records[start:]:
            self.count += 1
            self.trace.processed[self.partition].append((self.worker, record.offset))
            self._result.outputs.append(Output(self.trace.output, self.partition, record.key, record.value))
        self._result.rows[b"count"] = b"%d" % self.count
        return len(records)

    def advance(self, now_ms: int | None) -> bool:
        return False

    def put_register(self, snapshot: Any, version: int) -> None: ...

    def finish(self) -> StepResult:
        result, self._result = self._result, StepResult()
        return result


@dataclass
class Trace:
    """What the workers of a test did."""

    output: str
    processed: dict[int, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))

    def offsets(self, partition: int) -> list[int]:
        return [offset for _, offset in self.processed[partition]]


@dataclass
class Worker:
    """A lane, a stage and a sender, as a real worker has three of."""

    name: str
    bootstrap: str
    prefix: str
    source: str
    state: str
    partitions: int
    trace: Trace
    observer: Steps = field(default_factory=Steps)
    faults: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        client = {"bootstrap_servers": self.bootstrap}
        self.app = lane_app(self.bootstrap, f"{self.prefix}lane", self.partitions)
        self.sender = OutputSender(client)
        self.stage = Stage(
            self.app,
            name="tracing",
            source_topic=self.source,
            state_topic=self.state,
            partitions=self.partitions,
            chunk_records=20,
            client=client,
            sender=self.sender,
            worker=self.name,
            make_processor=lambda partition: Tracing(partition, self.trace, self.name),  # type: ignore[arg-type,return-value]
            now_of=lambda *_: None,
            register_of=lambda: None,
            halt=self._halt,
            observer=self.observer,
            tick_seconds=0.05,
            retake_seconds=3600,
            needs_watermarks=True,
        )

    def _halt(self, error: BaseException) -> None:
        # A real one ends its process here and now.
        self.faults.append(error)
        self.app.conf.stream_wait_empty = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        await self.sender.start()
        async with started(self.app):
            yield self
        await self.stage.stop()
        await self.sender.stop()


async def test_every_offset_is_processed_once_and_in_order_while_workers_come_and_go(
    kafka: Broker, prefix: str, make_topic: MakeTopic, publish: Any, eventually: Eventually, admin: AIOKafkaAdminClient
) -> None:
    partitions = 4
    source = await make_topic("source", partitions=partitions)
    state = await make_topic("state", partitions=partitions, configs={"cleanup.policy": "compact"})
    output = await make_topic("output", partitions=partitions)
    trace = Trace(output)
    group = f"{prefix}lane"
    published = 0
    going = True

    async def publisher() -> None:
        nonlocal published
        while going:
            await publish(source, 10, partitions, first=published)
            published += 10
            await asyncio.sleep(0.02)

    def worker(name: str) -> Worker:
        return Worker(name, kafka.bootstrap, prefix, source, state, partitions, trace)

    async def runs(*workers: Worker) -> None:
        async def balanced() -> bool:
            owned = [len(one.stage.runners) for one in workers if one.stage.is_ready]
            return sum(owned) == partitions and min(owned) == max(owned) and len(owned) == len(workers)

        await eventually(balanced, within_seconds=40)

    async def works(*workers: Worker) -> None:
        """Wait until each worker has processed more of every partition it has."""
        before = {number: len(steps) for number, steps in trace.processed.items()}

        async def moved() -> bool:
            return all(
                len(trace.processed[number]) > before.get(number, 0) + 40
                for one in workers
                for number in one.stage.runners
            )

        await eventually(moved, within_seconds=40)

    publishing = asyncio.create_task(publisher())
    async with worker("first").running() as first:
        await runs(first)
        async with worker("second").running() as second:
            await runs(first, second)
            await works(first, second)
        await runs(first)
        await works(first)
        going = False
        await publishing

        async def all_told() -> bool:
            return await committed(admin, group, source, partitions) == [published] * partitions

        await eventually(all_told)
        assert all(runner.is_idle for runner in first.stage.runners.values())
        assert all(runner.processor.count == published for runner in first.stage.runners.values())
    assert first.faults == second.faults == []
    for partition in range(partitions):
        assert trace.offsets(partition) == list(range(published)), f"partition {partition}"
    assert {name for steps in trace.processed.values() for name, _ in steps} == {"first", "second"}
    # Some partitions stayed where they were: their memory outlived the rebalance.
    assert (False, False) in first.observer.taken


async def test_a_worker_that_the_group_has_evicted_without_its_knowledge_can_write_nothing_more(
    kafka: Broker, prefix: str, make_topic: MakeTopic, publish: Any, eventually: Eventually
) -> None:
    """Its heartbeats get lost, everything else goes on: it works for partitions that have another owner by then."""
    source = await make_topic("source")
    state = await make_topic("state", configs={"cleanup.policy": "compact"})
    output = await make_topic("output")
    trace = Trace(output)
    evicted, successor = (
        Worker(name, kafka.bootstrap, prefix, source, state, 1, trace) for name in ("evicted", "successor")
    )
    evicted.app.conf.broker_session_timeout = 3.0
    evicted.app.conf.broker_commit_interval = 60.0  # a commit would tell it
    published = 0

    async def publish_some() -> None:
        nonlocal published
        await publish(source, 20, 1, first=published)
        published += 20

    async with evicted.running():

        async def owns() -> bool:
            return bool(evicted.stage.runners) and evicted.stage.is_ready

        await eventually(owns, within_seconds=40)
        await publish_some()
        thread = evicted.app.consumer._thread
        coordinator = thread._consumer._coordinator

        async def lost() -> bool:
            return True  # as if it had been answered

        coordinator._do_heartbeat = lost
        async with successor.running():

            async def has_taken_over() -> bool:
                await publish_some()
                return bool(successor.stage.runners) and successor.stage.is_ready and bool(evicted.faults)

            await eventually(has_taken_over, within_seconds=60)
            [runner] = successor.stage.runners.values()

            async def all_processed() -> bool:
                return runner.position.offset == published - 1 and runner.is_idle

            await eventually(all_processed, within_seconds=40)
            assert runner.processor.count == published, "each record once, whoever processed it"
        await thread._in_thread(thread._consumer.stop())  # Faust can't stop one that has stopped working
    assert successor.faults == []
    assert isinstance(evicted.faults[0], LostOwnershipError)
    assert "another worker has taken the partition" in str(evicted.faults[0])
    assert await told(kafka.bootstrap, output) == list(range(published))


async def told(bootstrap: str, topic: str) -> list[int]:
    """Return what a consumer takes in that drops what is not newer."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        highest, values = -1, []
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    provenance = provenance_of(record.headers)
                    assert provenance is not None
                    if provenance[1] > highest:
                        highest = provenance[1]
                        values.append(int(record.value))
        return values
    finally:
        await consumer.stop()
