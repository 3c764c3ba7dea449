"""The batch lane: one Faust message is one fetched chunk of one partition.

Stock Faust hands over one record at a time and makes four tasks for each: some 5,000 events/s. A topic declared with
``schema=Batches()`` yields one event per fetched chunk instead: ``event.value`` is the list of raw records of exactly
one partition, ``event.message`` stands for the whole chunk (its offset is the last one). Everything downstream of the
fetcher - conductor, channel, stream, acks, wait_empty, commit, rebalance, tables - is Faust's own and runs once per
chunk.

Three modules lean on what faust-streaming, mode and aiokafka don't promise: this one, ``store`` (hooks that Faust's
recovery calls) and ``ownership`` (aiokafka's transaction manager). :data:`PRIVATE_NAMES` and :data:`PRIVATE_ATTRIBUTES`
list all of it, and a contract test (``tests/unit/streams/test_lane_contract.py``) checks it against the installed
release and names what an upgrade has to look at again.

==================================================  ===================================================================
name                                                why
==================================================  ===================================================================
faust Consumer._new_consumer_thread, _thread        install the thread below
faust Consumer._to_message                          a list of records becomes one message
faust Consumer._new_offset, _add_gap                commit the longest acked *prefix of delivered chunks*: no tree of
                                                    gaps, and no commit past an unfinished head (faust#606)
faust Consumer.on_partitions_revoked,               forget acks *after* streams have finished and committed; Faust does
_on_partitions_revoked, _gap, _acked,               it before and replays up to 2.8 s (faust#502)
_acked_index, _read_offset, _committed_offset,
_active_partitions, _paused_partitions
faust Consumer.perform_seek, stop_flow              nothing may be handed out between the seek and
                                                    flow_control.resume() (faust#596); seek to our own positions
faust AIOKafkaConsumerThread._fetch_records,        hand out C records as they are; note what was handed out;
_create_worker_consumer, _ensure_consumer;          read_committed and a shorter long poll; ask for offsets beside the
mode ServiceThread.thread_loop                      fetch, not after it; seek where the fetch is, not beside it
aiokafka AIOKafkaConsumer._fetcher,                 skip one Python object per record (+20-60 %)
Fetcher._records, FetchResult._partition_records,
PartitionRecords._consumer_record
aiokafka AIOKafkaConsumer._coordinator,             know when the group last heard from us: a former owner of an alert
GroupCoordinator._do_heartbeat                      must not push it
aiokafka AIOKafkaConsumer._isolation_level,         settings Faust does not pass on
_fetch_max_wait_ms
aiokafka AIOKafkaConsumer._subscription,            the position of a partition, without waiting for one
Subscription.assignment, Assignment.state_value
faust App._new_transport                            install the transport below
faust App._create_directories                       make none: nothing is kept on disk
faust App._consumer                                 there is none before the start: App.consumer would make it
aiokafka AIOKafkaProducer._txn_manager: its         ownership: bump the epoch, then write without transactions
wait_for_pid, producer_id, producer_epoch;
transactional_id set to None
aiokafka AIOKafkaProducer._sender.sender_task,      ownership: a fenced producer never finishes its stop
client
faust Recovery.on_rebalance after                   store: a partition is taken before the restore asks how far it has
Table.on_rebalance                                  to read
faust Recovery._add                                 store: keeps its own offset where a store names none, so ours
                                                    always names one
==================================================  ===================================================================
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import faust
from faust.exceptions import ImproperlyConfigured
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP, ConsumerMessage
from typing_extensions import override

from streams.system_clock import now_ms

PRIVATE_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "faust.transport.consumer:Consumer": (
        "_add_gap",
        "_new_offset",
        "_to_message",
        "on_partitions_revoked",
        "perform_seek",
        "stop_flow",
    ),
    "faust.transport.drivers.aiokafka:Consumer": ("_new_consumer_thread",),
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread": (
        "_create_worker_consumer",
        "_ensure_consumer",
        "_fetch_records",
    ),
    "faust.app.base:App": ("_create_directories", "_new_transport", "on_rebalance_end", "on_stop"),
    "faust.tables.recovery:Recovery": ("_add", "on_rebalance"),
    "aiokafka.consumer.fetcher:PartitionRecords": ("_consumer_record",),
    "aiokafka.consumer.group_coordinator:GroupCoordinator": ("_do_heartbeat",),
    "aiokafka.consumer.subscription_state:Assignment": ("state_value",),
    "aiokafka.producer.transaction_manager:TransactionManager": ("wait_for_pid",),
}
"""Methods that ``lane``, ``store`` and ``ownership`` override, replace or call, by module and class."""

PRIVATE_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "faust.transport.consumer:Consumer": (
        "_acked",
        "_acked_index",
        "_active_partitions",
        "_committed_offset",
        "_gap",
        "_on_partitions_revoked",
        "_paused_partitions",
        "_read_offset",
        "scheduler",
    ),
    "faust.transport.consumer:ThreadDelegateConsumer": ("_thread",),
    "faust.app.base:App": ("_consumer", "consumer_generation_id"),
    "mode.threads:ServiceThread": ("thread_loop",),
    "aiokafka.consumer.consumer:AIOKafkaConsumer": (
        "_coordinator",
        "_fetch_max_wait_ms",
        "_fetcher",
        "_isolation_level",
        "_subscription",
    ),
    "aiokafka.consumer.fetcher:Fetcher": ("_records",),
    "aiokafka.consumer.fetcher:FetchResult": ("_partition_records",),
    "aiokafka.consumer.subscription_state:Subscription": ("assignment",),
    "aiokafka.consumer.subscription_state:TopicPartitionState": ("has_valid_position", "position"),
    "aiokafka.producer.producer:AIOKafkaProducer": ("_sender", "_txn_manager", "client"),
    "aiokafka.producer.sender:Sender": ("sender_task",),
    "aiokafka.producer.transaction_manager:TransactionManager": ("producer_epoch", "producer_id", "transactional_id"),
}
"""Attributes that they read or set, by module and class."""

FETCH_MAX_WAIT_MS: Final = 500
"""Longest long poll. Faust's 1,500 ms would delay the first record after a quiet spell that has just moved leader."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """What is known of a source partition, for the decision whether everything up to an instant has been read.

    Attributes
    ----------
    asked_at_ms : int
        Wall instant *before* the end offset was asked for: all that was appended until then lies below ``end``.
    end : int
        End offset (last stable offset: transactions still open are not read, either).
    position : int
        Next offset to fetch.
    handed_out : int
        Last offset handed out to the lane, -1 if none since the last seek.
    """

    asked_at_ms: int
    end: int
    position: int
    handed_out: int

    def caught_up_at(self, processed: int) -> int | None:
        """Return the instant up to which everything has been processed, or None if something is missing.

        Parameters
        ----------
        processed : int
            Last offset processed.
        """
        if processed + 1 >= self.end:
            return self.asked_at_ms
        # Transaction markers and compaction leave offsets that never become records: then the fetcher stands behind
        # the end and everything it handed out is processed.
        if self.position >= self.end and processed >= self.handed_out:
            return self.asked_at_ms
        return None


class Batches(faust.Schema):
    """Schema of a topic whose events are lists of at most ``size`` raw records of one partition."""

    def __init__(self, *, size: int = 4096, **kwargs: Any) -> None:
        super().__init__(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", **kwargs)
        self.size = size

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Return the decoder of a message: it hands the list on as it is."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001 - Faust's signature
            return app.create_event(None, message.value, None, message)

        return decode


class Scheduler(DefaultSchedulingStrategy):
    """Round robin over chunks for batch topics, over records for the rest."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Yield (partition, chunk or record) in turn."""
        size_of = self.consumer.batch_size
        return super().iterate(  # type: ignore[no-any-return]
            {
                tp: [rs[i : i + n] for i in range(0, len(rs), n)] if (n := size_of(tp.topic)) else rs
                for tp, rs in records.items()
            }
        )


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Fetches in its own thread; hands out aiokafka's C records as they are."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Upstream may publish in transactions: an aborted event never happened.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Connect; heartbeats are watched from here on, also those of a worker that gets no partition to fetch."""
        await super().on_start()
        consumer = self._ensure_consumer()
        consumer._fetcher._records = _FetchResults(self.consumer.batch_size)
        self._watch_heartbeats(consumer)

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[TP], timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        for tp, fetched in records.items():
            if fetched:
                self.consumer.handed_out[tp] = fetched[-1].offset
        return records

    def _watch_heartbeats(self, consumer: Any) -> None:
        coordinator = consumer._coordinator
        beat = coordinator._do_heartbeat

        async def watched() -> Any:
            answered = await beat()
            if answered:
                self.consumer.heartbeat_at = time.monotonic()
            return answered

        coordinator._do_heartbeat = watched
        self.consumer.heartbeat_at = time.monotonic()

    async def watermarks(self, tps: Iterable[TP]) -> dict[TP, Watermark]:
        """Ask for the end offsets; runs in the consumer's thread, so positions and hand-outs fit each other."""
        return await self._in_thread(self._watermarks(list(tps)))  # type: ignore[no-any-return]

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """Return (log start, end offset) of partitions."""
        return await self._in_thread(self._log_bounds(list(tps)))  # type: ignore[no-any-return]

    async def seek_all(self, offsets: Mapping[TP, int]) -> None:
        """Seek partitions in the consumer's thread.

        A fetch that is just handing out records sets the position behind them when it has finished: a seek from
        another thread meanwhile would be lost, and with it what lies between.
        """
        await self._in_thread(self._seek_all(dict(offsets)))

    async def _seek_all(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            consumer.seek(tp, offset)

    async def _in_thread(self, work: Coroutine[Any, Any, Any]) -> Any:
        # Not call_thread: its queue runs one call after another, and a fetch may wait there for a second.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.thread_loop))

    async def _log_bounds(self, tps: list[TP]) -> dict[TP, tuple[int, int]]:
        consumer = self._ensure_consumer()
        starts = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        return {tp: (starts[tp], ends[tp]) for tp in tps}

    async def _watermarks(self, tps: list[TP]) -> dict[TP, Watermark]:
        consumer = self._ensure_consumer()
        seeks, asked_at_ms = self.consumer.seeks, now_ms()
        ends = await consumer.end_offsets(tps)
        watermarks = {}
        for tp in tps:
            assignment = consumer._subscription.subscription.assignment if consumer._subscription.subscription else None
            state = assignment.state_value(tp) if assignment is not None and tp in assignment.tps else None
            if state is not None and state.has_valid_position and tp in ends:
                watermarks[tp] = Watermark(asked_at_ms, ends[tp], state.position, self.consumer.handed_out.get(tp, -1))
        # Looked at last: where a seek has come between, a position from before it may stand beside a note of what was
        # handed out after it, as if records that were dropped from the queues had never been there.
        return {} if self.consumer.seeking or self.consumer.seeks != seeks else watermarks


class _FetchResults(OrderedDict[TP, Any]):
    """Fetched and not yet handed out, by partition; records of batch topics are handed out as they are.

    It has to happen where they come in: nearly all of them do while a fetch waits for them.
    """

    def __init__(self, batch_size: Callable[[str], int]) -> None:
        super().__init__()
        self._batch_size = batch_size

    @override
    def __setitem__(self, tp: TP, result: Any) -> None:
        parts = getattr(result, "_partition_records", None)  # an error has none
        if parts is not None and self._batch_size(tp.topic):
            parts._consumer_record = _as_is
        super().__setitem__(tp, result)


def _as_is(_: Any, record: Any) -> Any:
    return record


class Consumer(driver.Consumer):
    """Hands out chunks, commits whole chunks, and seeks to the positions our own state holds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._chunks: dict[TP, deque[tuple[int, float]]] = defaultdict(deque)
        """Chunks handed out and not yet committed, in order: last offset and monotonic instant."""
        self._batch_size: dict[str, int | None] = {}
        self.handed_out: dict[TP, int] = {}
        """Last offset handed out since the last seek; written by the consumer's thread."""
        self.seeking = 0
        """Seeks under way."""
        self.seeks = 0
        """Seeks and revocations so far: what was handed out before one is no longer on its way."""
        self.heartbeat_at = float("-inf")
        """Monotonic instant at which the group coordinator last answered a heartbeat."""
        self.scheduler = Scheduler(self)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def watermarks(self, tps: Iterable[TP]) -> dict[TP, Watermark]:
        """Return the watermarks of assigned partitions that have a position; see :class:`Watermark`."""
        return await self._thread.watermarks(tps)  # type: ignore[no-any-return]

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """Return (log start, end offset) of partitions."""
        return await self._thread.log_bounds(tps)  # type: ignore[no-any-return]

    def commit_age_seconds(self, tp: TP) -> float:
        """Return how long the oldest chunk handed out has been waiting for its offset to be committed; 0 for none."""
        chunks = self._chunks.get(tp)
        return time.monotonic() - chunks[0][1] if chunks else 0.0

    def batch_size(self, topic: str) -> int | None:
        """Return the chunk size of a topic of the lane, None for a topic read record by record."""
        try:
            return self._batch_size[topic]
        except KeyError:
            schemas = [channel.schema for channel in self.app.topics if topic in channel.topics]
            sizes = {s.size if isinstance(s, Batches) else None for s in schemas}
            if len(sizes) != 1:
                raise ImproperlyConfigured(f"{topic!r} is read both in batches and by record") from None
            return self._batch_size.setdefault(topic, sizes.pop())

    def _to_message(self, tp: TP, record: Any) -> Any:
        if type(record) is not list:
            return super()._to_message(tp, record)
        last = record[-1]
        read = self._read_offset[tp]
        # What lies before the read offset is dropped by the caller and never acknowledged.
        if (read is None or last.offset >= read) and self.app.topics.acks_enabled_for(tp.topic):
            self._chunks[tp].append((last.offset, time.monotonic()))
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def _new_offset(self, tp: TP) -> int | None:
        if tp not in self._chunks:
            return super()._new_offset(tp)  # type: ignore[no-any-return]
        chunks, acked, last = self._chunks[tp], self._acked_index[tp], None
        committed = self._committed_offset[tp] or 0
        # Faust does not note the ack of what is committed already (a chunk delivered twice): it must not stay in front.
        while chunks and (chunks[0][0] in acked or chunks[0][0] < committed):
            last = chunks.popleft()[0]
            acked.discard(last)
        self._acked[tp].clear()
        return None if last is None else last + 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp not in self._chunks:
            await super()._add_gap(tp, offset_from, offset_to)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let streams finish and commit, then forget the partitions (Faust forgets first: faust#502)."""
        await self.app.suspend_stages()
        await self._on_partitions_revoked(revoked)
        await self.app.drain_stages()
        self.seeks += 1
        self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        for tp in revoked:
            self.handed_out.pop(tp, None)
            for state in (
                self._gap,
                self._acked,
                self._acked_index,
                self._chunks,
                self._read_offset,
                self._committed_offset,
            ):
                state.pop(tp, None)

    async def perform_seek(self) -> None:
        """Seek every source partition to the offset after the one its state holds, else to the committed one.

        Recovery does it when a rebalance ends, and the fetch when it has returned into one. Seeking once too often is
        harmless: what is delivered twice is skipped by its offset.
        """
        # Nothing may be handed out between the seek and flow_control.resume(), which empties the stream queues.
        self.stop_flow()
        self.seeking += 1
        try:
            for tp in self._chunks:
                self._acked[tp].clear()
                self._acked_index[tp].clear()
            self._chunks.clear()
            self.handed_out.clear()
            await super().perform_seek()
            offsets = self.app.start_offsets()
            await self._thread.seek_all(offsets)
            self._read_offset.update({tp: offset or None for tp, offset in offsets.items()})
        finally:
            self.seeking -= 1
            self.seeks += 1


class Transport(driver.Transport):
    """aiokafka transport with the lane's consumer."""

    Consumer = Consumer


class RebalanceObserver(Protocol):
    """What the app tells about rebalances; the metrics implement it."""

    def rebalance_begun(self) -> None:
        """The group takes the partitions back: no step begins any more."""

    def rebalance_done(self, seconds: float) -> None:
        """All partitions are served again, ``seconds`` after the (last) rebalance began."""


class LaneApp(faust.App):
    """A Faust app whose consumer hands out chunks; stages register themselves to be asked at a rebalance."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.stages: list[Any] = []
        self.rebalance_observer: RebalanceObserver | None = None
        self._rebalance_began_at: float | None = None
        super().__init__(*args, **kwargs)

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Nothing is kept on disk: a worker needs Kafka and nothing else."""

    def heartbeat_age_seconds(self) -> float:
        """Return how long ago the group coordinator last answered; infinite before the first answer."""
        consumer = self._consumer
        return float("inf") if consumer is None else time.monotonic() - consumer.heartbeat_at

    def commit_age_seconds(self, tp: TP) -> float:
        """Return how long what was read of a partition has been waiting for its commit; 0 if nothing is."""
        consumer = self._consumer
        return 0.0 if consumer is None else consumer.commit_age_seconds(tp)

    def on_rebalance_end(self) -> None:
        """Faust calls it when streams run again."""
        super().on_rebalance_end()
        began_at, self._rebalance_began_at = self._rebalance_began_at, None
        if self.rebalance_observer is not None and began_at is not None:
            self.rebalance_observer.rebalance_done(time.monotonic() - began_at)

    async def on_stop(self) -> None:
        """Let the streams finish and leave the group, with no step by time meanwhile: the next owner may be quick."""
        for stage in self.stages:
            stage.suspend()
        await super().on_stop()

    async def suspend_stages(self) -> None:
        """Start no step without an event any more: a rebalance has begun."""
        self._rebalance_began_at = time.monotonic()
        if self.rebalance_observer is not None:
            self.rebalance_observer.rebalance_begun()
        for stage in self.stages:
            stage.suspend()

    async def drain_stages(self) -> None:
        """Wait until no step is under way in any stage."""
        for stage in self.stages:
            await stage.drain()

    def start_offsets(self) -> dict[TP, int]:
        """Return, for every source partition owned, the offset to go on at."""
        offsets: dict[TP, int] = {}
        for stage in self.stages:
            offsets.update(stage.start_offsets())
        return offsets

    def stage_of(self, table: str) -> Any:
        """Return the stage a table belongs to."""
        return next(stage for stage in self.stages if stage.name == table)
