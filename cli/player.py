"""Plays ticket events to Kafka: in order, in batches, every acknowledgement awaited and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka.errors import KafkaError

from sources.record import HEARTBEAT_KEY, SourceEvent, heartbeat_to_wire, to_wire
from sources.schedule import Beat, Pace
from sources.simulator.probes import SimulatedSample
from streams.codecs import partition_of

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

PRODUCER_OPTIONS: Final[dict[str, Any]] = {
    # Few large batches: at full speed some thousand events each. One is filled while the one before is under way.
    "max_batch_size": 512 * 1024,
    "max_request_size": 1024 * 1024,
    "compression_type": "lz4",
}

_KEPT_PARTITIONS: Final = 200_000
"""Tickets whose partition is remembered: murmur2 in Python costs more than the rest of sending an event."""

_LONGEST_SLEEP_SECONDS: Final = 0.05
"""A paced player looks this often whether events wait in a batch that can go: the longest delay it adds to an event."""

_TOLD_EVERY_SECONDS: Final = 0.1

_SETTLE_SECONDS: Final = 5.0
"""After one batch has failed, the others under way get this long to be acknowledged and counted."""


class DeliveryError(Exception):
    """Kafka did not take everything: the message says what was acknowledged."""


class _Lane:
    """One partition: the batch being filled, and the one under way."""

    __slots__ = ("batch", "beats", "events", "pending", "pending_beats", "pending_events", "pending_since")

    def __init__(self) -> None:
        self.batch: Any = None
        self.events = 0
        self.beats = 0
        self.pending: asyncio.Future[Any] | None = None
        self.pending_events = 0
        self.pending_beats = 0
        self.pending_since = 0.0


class Taker(Protocol):
    """What a schedule is played to; see :class:`Publisher`."""

    @property
    def taken_events(self) -> int:
        """Events given so far."""

    @property
    def acknowledged_events(self) -> int:
        """Events that Kafka has acknowledged."""

    @property
    def acknowledged_beats(self) -> int:
        """Heartbeats of single partitions that Kafka has acknowledged."""

    async def send(self, event: SourceEvent | SimulatedSample) -> None:
        """Take one event."""

    async def beat(self, at_ms: int) -> None:
        """Take a heartbeat for every partition."""

    async def submit_waiting(self) -> None:
        """Send what waits, without waiting."""

    async def drain(self) -> None:
        """Return when everything was acknowledged."""

    async def settle(self) -> None:
        """After a failure: count what arrives of what is under way."""


class Publisher:
    """Writes events and heartbeats to one topic and counts what Kafka has acknowledged.

    A partition has at most one batch under way, and the next goes only when that was acknowledged: a heartbeat can
    never be in the topic without the events before it.

    Parameters
    ----------
    producer : AIOKafkaProducer
        Started, idempotent, ``acks=all``.
    partitions : int
        Partitions of the topic.
    timeout_seconds : float
        Longest wait for one acknowledgement. An idempotent aiokafka producer retries for ever by itself.

    Attributes
    ----------
    taken_events, acknowledged_events, acknowledged_beats : int
        Events given so far; events, and heartbeats of single partitions, that Kafka has acknowledged.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int, *, timeout_seconds: float) -> None:
        self.taken_events = 0
        self.acknowledged_events = 0
        self.acknowledged_beats = 0
        self._producer = producer
        self._topic = topic
        self._timeout_seconds = timeout_seconds
        self._lanes = [_Lane() for _ in range(partitions)]
        self._partition_of = lru_cache(_KEPT_PARTITIONS)(lambda key: partition_of(key, partitions))

    async def send(self, event: SourceEvent | SimulatedSample) -> None:
        """Take one event; waits while its partition is full.

        Raises
        ------
        KafkaError, TimeoutError
            If Kafka refused an earlier batch, or did not answer in time.
        """
        key = event.key
        number = self._partition_of(key)
        self.taken_events += 1
        await self._append(number, key, event.wire if isinstance(event, SimulatedSample) else to_wire(event))
        self._lanes[number].events += 1

    async def beat(self, at_ms: int) -> None:
        """Take a heartbeat for every partition. Raises as :meth:`send`."""
        value = heartbeat_to_wire(at_ms)
        for number, lane in enumerate(self._lanes):
            await self._append(number, HEARTBEAT_KEY, value)
            lane.beats += 1

    async def submit_waiting(self) -> None:
        """Send what waits in partitions that have nothing under way, without waiting. Raises as :meth:`send`."""
        for number, lane in enumerate(self._lanes):
            if lane.pending is not None and (lane.pending.done() or self._patience(lane) <= 0):
                await self._acknowledged(lane)
            if lane.batch is not None and lane.pending is None:
                await self._submit(number)

    async def drain(self) -> None:
        """Send all that waits and return when everything was acknowledged. Raises as :meth:`send`."""
        for number, lane in enumerate(self._lanes):
            if lane.batch is not None:
                await self._submit(number)
        for lane in self._lanes:
            await self._acknowledged(lane)

    async def settle(self) -> None:
        """After a failure: wait a little for what is under way and count what arrived; send nothing more."""
        under_way = [lane.pending for lane in self._lanes if lane.pending is not None]
        if under_way:
            await asyncio.wait(under_way, timeout=_SETTLE_SECONDS)
        for lane in self._lanes:
            if lane.pending is not None and lane.pending.done() and lane.pending.exception() is None:
                await self._acknowledged(lane)

    async def _append(self, number: int, key: bytes, value: bytes) -> None:
        lane = self._lanes[number]
        if lane.batch is None:
            lane.batch = self._producer.create_batch()
        if lane.batch.append(timestamp=None, key=key, value=value) is None:
            await self._submit(number)
            lane.batch = self._producer.create_batch()
            # An empty batch takes any record; one that the broker finds too large comes back as its refusal.
            lane.batch.append(timestamp=None, key=key, value=value)

    async def _submit(self, number: int) -> None:
        lane = self._lanes[number]
        await self._acknowledged(lane)
        lane.pending_events, lane.pending_beats = lane.events, lane.beats
        batch, lane.batch, lane.events, lane.beats = lane.batch, None, 0, 0
        lane.pending_since = asyncio.get_running_loop().time()
        lane.pending = await self._producer.send_batch(batch, self._topic, partition=number)
        await asyncio.sleep(0)  # the producer's own task sends: let it, while the next batch is filled

    async def _acknowledged(self, lane: _Lane) -> None:
        if lane.pending is not None:
            if not lane.pending.done():
                # Shielded: the answer may still come, and then it counts.
                await asyncio.wait_for(asyncio.shield(lane.pending), self._patience(lane))
            lane.pending.result()
            lane.pending = None
            self.acknowledged_events += lane.pending_events
            self.acknowledged_beats += lane.pending_beats

    def _patience(self, lane: _Lane) -> float:
        """Return the seconds that a batch under way still has to be acknowledged."""
        return lane.pending_since + self._timeout_seconds - asyncio.get_running_loop().time()


Tell = Callable[[int, int], None]
"""Called now and then with (events taken, event time reached in epoch ms)."""


async def play(
    items: Iterable[SourceEvent | SimulatedSample | Beat],
    publisher: Taker,
    pace: Pace,
    *,
    stop: asyncio.Event,
    tell: Tell,
) -> bool:
    """Send a schedule at a pace; return True when all of it was acknowledged, False when ``stop`` was set before.

    The last heartbeat goes out when every event has been acknowledged.

    Raises
    ------
    DeliveryError
        If Kafka refused a batch or did not answer in time; everything that was under way has been waited for.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = 0.0
    at_ms = pace.origin_ms
    try:
        for item in items:
            at_ms = item.at_ms
            due = began + pace.due_seconds(at_ms)
            while (wait := due - loop.time()) > 0 and not stop.is_set():
                await publisher.submit_waiting()
                await _sleep(min(wait, _LONGEST_SLEEP_SECONDS), stop)
            if stop.is_set():
                break
            if isinstance(item, Beat):
                if item.is_last:
                    await publisher.drain()
                await publisher.beat(at_ms)
            else:
                await publisher.send(item)
            if loop.time() - told > _TOLD_EVERY_SECONDS:
                told = loop.time()
                tell(publisher.taken_events, at_ms)
        await publisher.drain()
    except (KafkaError, TimeoutError) as error:
        await publisher.settle()
        reason = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
        raise DeliveryError(
            f"Kafka did not take everything: {reason}; acknowledged are "
            f"{publisher.acknowledged_events:,} of the {publisher.taken_events:,} events sent so far. "
            "Play the file again: events that arrived already are recognised by their ids."
        ) from error
    tell(publisher.taken_events, at_ms)
    return not stop.is_set()


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
