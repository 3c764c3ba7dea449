"""The runner of one partition: steps, one after another, from one queue; and the delivery rule.

State changes by steps only: a chunk of records, a sweep by time, a change of the register. A step is computed in
memory, written as one record batch, and only then told to the world. See :meth:`PartitionRunner._deliver`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from aiokafka.errors import ProducerFenced

from streams.ownership import Owner
from streams.processor import Processor, StepResult
from streams.sender import OutputSender
from streams.state_rows import (
    OUTBOX_SLOTS,
    POSITION_KEY,
    Output,
    Position,
    encode_outbox,
    encode_position,
    outbox_key,
    stamp,
)

log = structlog.get_logger(__name__)

_QUEUED_CHUNKS: Final = 4
"""Chunks waiting for a runner: enough to keep it busy, few enough to keep what is read ahead small."""


class LostOwnershipError(Exception):
    """Another process has written our state partition: our memory is not current."""


class RegisterView(Protocol):
    """Newest register a worker has read, and what tells it from another."""

    @property
    def offsets(self) -> Mapping[str, int]:
        """Per register topic, the offset of the next record."""


def is_newer(view: RegisterView, offsets: Mapping[str, int]) -> bool:
    """Whether a view has documents beyond ``offsets``; a worker that lags behind is not newer."""
    return any(offset > offsets.get(topic, -1) for topic, offset in view.offsets.items())


def has_reached(view: RegisterView, offsets: Mapping[str, int]) -> bool:
    """Whether a view has everything up to ``offsets``."""
    return all(view.offsets.get(topic, -1) >= offset for topic, offset in offsets.items())


class Observer(Protocol):
    """What a runner tells about itself; the metrics implement it."""

    def step_done(
        self, kind: str, seconds: float, write_seconds: float, state_bytes: int, outputs: Sequence[Output]
    ) -> None:
        """A step (``chunk``, ``sweep``, ``register``) was computed in ``seconds``, stored in ``write_seconds``, told.

        ``state_bytes`` were written to the state topic, before compression; ``outputs`` are acknowledged.
        """

    def chunk_done(self, topic: str, first_timestamp_ms: int) -> None:
        """All outputs of a chunk of a source topic are acknowledged; its first record has this Kafka timestamp."""

    def producer_id_changed(self, topic: str, partition: int) -> None:
        """The broker had forgotten the producer id of a state partition's owner: a former one was not fenced."""


@dataclass(slots=True)
class _Step:
    """A step on its way: written, not yet told."""

    kind: str
    written: asyncio.Future[Any] | None
    outputs: list[Output]
    event: Any | None
    first_timestamp_ms: int = -1
    handed_over: float = 0.0
    seconds: float = 0.0
    state_bytes: int = 0


class PartitionRunner:
    """Runs the steps of one partition of a stage.

    Parameters
    ----------
    source : str
        Source topic.
    owner : Owner
        The right to write the state partition.
    now_of : callable
        Returns the present instant of the partition as far as the outside knows it, or None; see ``Stage``.
    register_of : callable
        Returns the newest register view, or None for a stage that needs none.
    halt : callable
        Ends the process: a step could not be made durable, and nothing may go on from here.
    newest_register : callable, optional
        Returns when ``register_of`` gives everything that is published by now; for processors that may ask for it.
    """

    def __init__(
        self,
        *,
        source: str,
        owner: Owner,
        sender: OutputSender,
        processor: Processor,
        position: Position,
        now_of: Callable[[int, Position], int | None],
        register_of: Callable[[], RegisterView | None],
        halt: Callable[[BaseException], None],
        observer: Observer,
        tick_seconds: float,
        newest_register: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.owner = owner
        self.processor = processor
        self.position = position
        self.partition = owner.partition
        self._source = source
        self._label = f"{source}/{owner.partition}"
        self._sender = sender
        self._now_of = now_of
        self._register_of = register_of
        self._newest_register = newest_register
        self._halt = halt
        self._observer = observer
        self._tick_seconds = tick_seconds
        self.last_timestamp_ms = -1
        """Kafka timestamp of the last record processed, -1 before the first."""
        self._chunks: asyncio.Queue[Any] = asyncio.Queue(maxsize=_QUEUED_CHUNKS)
        self._chunks_open = 0
        """Chunks handed over and not yet processed."""
        self._under_way = asyncio.Semaphore(OUTBOX_SLOTS)
        self._steps: asyncio.Queue[_Step] = asyncio.Queue()
        self._steps_open = 0
        self._suspended = False
        self._busy = False
        self._is_failed = False
        self._progressed = asyncio.Event()
        """Set whenever a step was told or an iteration ended: whoever drains looks again."""
        self._retake = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, outbox: list[tuple[int, list[Output]]]) -> None:
        """Start: first the outputs of the last steps are sent again, in order.

        Parameters
        ----------
        outbox : list of (seq, outputs)
            What the restored outbox slots hold.
        """
        slots = sorted(outbox, key=lambda slot: slot[0])
        self._busy = True  # until the outbox is told: whoever drains waits for it, too
        self._tasks = [
            asyncio.create_task(self._guard(lambda: self._run(slots)), name=f"{self._label} steps"),
            asyncio.create_task(self._guard(self._tell), name=f"{self._label} outputs"),
        ]

    async def put(self, event: Any) -> None:
        """Hand over a chunk; waits while four are queued."""
        self._chunks_open += 1
        try:
            await self._chunks.put(event)
        except BaseException:
            self._chunks_open -= 1
            self._progressed.set()
            raise

    def suspend(self) -> None:
        """Make no more steps than the chunks in the queue need: a rebalance has begun."""
        self._suspended = True

    def resume(self) -> None:
        """Make steps by time again."""
        self._suspended = False

    async def drain(self) -> None:
        """Wait until the queue is empty and every step has been told."""
        while not self.is_idle:
            self._progressed.clear()
            await self._progressed.wait()

    def retake(self) -> None:
        """Take the partition again, as soon as no step is under way."""
        self._retake = True

    async def stop(self) -> None:
        """Stop at once; steps under way are left to the next owner."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def is_idle(self) -> bool:
        """Whether every chunk has been processed and every step has been written and told."""
        return not self._steps_open and not self._chunks_open and not self._busy

    # --- steps -----------------------------------------------------------------------------------------------------

    async def _run(self, outbox: list[tuple[int, list[Output]]]) -> None:
        for _, outputs in outbox:
            await self._sender.send(outputs)
        await self._sweep_what_was_left()
        self._busy = False
        self._progressed.set()
        more = False
        while True:
            chunk = await self._next_chunk(0.0 if more else self._tick_seconds)
            self._busy = True
            try:
                if self._retake and not self._suspended:
                    await self._take_again()
                if not self._suspended:
                    await self._follow_register()
                if chunk is not None:
                    await self._process(chunk)
                elif not self._suspended:
                    more = await self._tick()
            finally:
                self._busy = False
                if chunk is not None:
                    self._chunks_open -= 1
                self._progressed.set()

    async def _sweep_what_was_left(self) -> None:
        """Finish the sweeps of the instant at which a former owner ended, before anything new is read."""
        more = True
        while more:
            started = time.perf_counter()
            more = self.processor.advance(None)
            if result := self.processor.finish():
                await self._deliver(result, "sweep", started)

    async def _take_again(self) -> None:
        while self._steps_open:
            self._progressed.clear()
            await self._progressed.wait()
        self._retake = False
        before, producer_id = self.owner.last_offset, self.owner.producer_id
        marker_offset = await self.owner.take()
        if marker_offset != before + 1:
            raise LostOwnershipError(
                f"{self._label}: another process wrote up to offset {marker_offset - 1}, our last write was {before}"
            )
        if self.owner.producer_id != producer_id:
            log.warning("producer id changed", partition=self._label, before=producer_id, now=self.owner.producer_id)
            self._observer.producer_id_changed(self._source, self.partition)

    async def _next_chunk(self, wait_seconds: float) -> Any | None:
        if not self._chunks.empty():
            return self._chunks.get_nowait()
        if wait_seconds <= 0:
            await asyncio.sleep(0)
            return None
        try:
            async with asyncio.timeout(wait_seconds):
                return await self._chunks.get()
        except TimeoutError:
            return None

    async def _process(self, event: Any) -> None:
        """Process a chunk in as many steps as its size needs; the last one acknowledges it."""
        records = event.value
        position = self.position
        index = 0
        while index < len(records) and records[index].offset <= position.offset:
            index += 1  # redelivered: the state has it
        if index == len(records):
            await self._under_way.acquire()  # no outbox slot is needed, but what waits to be told stays bounded
            self._steps_open += 1
            self._steps.put_nowait(_Step("chunk", None, [], event))
            return
        first_timestamp_ms = records[index].timestamp
        while index < len(records):
            started = time.perf_counter()
            before, index = index, self.processor.read(records, index)
            if index == before:
                await self._look_at_newest_register()
                continue
            position.offset = records[index - 1].offset
            self.last_timestamp_ms = records[index - 1].timestamp
            complete = index == len(records)
            more = self.processor.advance(self._now_of(records[index - 1].timestamp, position) if complete else None)
            last = event if complete and not more else None
            await self._deliver(self.processor.finish(), "chunk", started, last, first_timestamp_ms)
            while more:
                started = time.perf_counter()
                more = self.processor.advance(None)
                last = event if complete and not more else None
                await self._deliver(self.processor.finish(), "sweep", started, last, first_timestamp_ms)

    async def _look_at_newest_register(self) -> None:
        """Bring the register up to date: the processor will not read a record before that."""
        if not getattr(self.processor, "wants_newest_register", False):
            raise RuntimeError(f"{self._label}: the processor read no record")
        if self._newest_register is not None:
            await self._newest_register()
            await self._follow_register()
        self.processor.has_newest_register()  # type: ignore[attr-defined]

    async def _tick(self) -> bool:
        """Let time pass without an event; returns whether more is due at once."""
        started = time.perf_counter()
        more = self.processor.advance(self._now_of(-1, self.position))
        result = self.processor.finish()
        if result:
            await self._deliver(result, "sweep", started)
        return more

    async def _follow_register(self) -> None:
        view = self._register_of()
        if view is None or not is_newer(view, self.position.register_offsets):
            return
        started = time.perf_counter()
        self.position.register_version += 1
        self.position.register_offsets = dict(view.offsets)
        self.processor.put_register(view, self.position.register_version)
        await self._deliver(self.processor.finish(), "register", started)

    async def _deliver(
        self, result: StepResult, kind: str, started: float, event: Any | None = None, first_timestamp_ms: int = -1
    ) -> None:
        """Deliver a step: the one rule by which anything becomes durable and visible.

        1. At most eight steps of a partition are under way, so the outbox slot of this one is free.
        2. Number the step and its outputs.
        3. Write one record batch: every row the step touched, its outbox slot with the exact outputs, the position
           with the offset, ``now`` and the number. Kafka stores it whole or not at all.
        4. When the broker has acknowledged the batch, send the outputs, in the order of the steps (:meth:`_tell`).
        5. When those are acknowledged, acknowledge the chunk: Faust commits its offset.

        A crash before 3 repeats the step; between 3 and 5 the next owner sends the outbox again, and consumers drop
        what they have by (source, ordinal). A refused or failed write ends the process.
        """
        await self._under_way.acquire()
        position = self.position
        position.seq += 1
        position.now_ms = self.processor.now_ms
        position.ordinals = self.processor.ordinals
        outputs = result.outputs
        stamp(outputs, self._label, position.seq)
        rows = result.rows
        rows[outbox_key(position.seq)] = encode_outbox(position.seq, outputs)
        rows[POSITION_KEY] = encode_position(position)
        seconds = time.perf_counter() - started
        self._steps_open += 1
        written = await self.owner.write(rows)
        written.add_done_callback(self._stop_if_failed)
        size = self.owner.last_batch_bytes
        self._steps.put_nowait(
            _Step(kind, written, outputs, event, first_timestamp_ms, time.perf_counter(), seconds, size)
        )

    def _stop_if_failed(self, written: asyncio.Future[Any]) -> None:
        # At once: the step's turn to be told may come much later, when the outputs of those before it are acknowledged.
        if not written.cancelled() and (error := written.exception()) is not None:
            self._stop_process(error)

    async def _tell(self) -> None:
        """Steps 4 and 5 of the delivery rule, in the order of the steps."""
        while True:
            step = await self._steps.get()
            if step.written is not None:
                await step.written
                write_seconds = time.perf_counter() - step.handed_over
                if step.outputs:
                    await self._sender.send(step.outputs)
                self._observer.step_done(step.kind, step.seconds, write_seconds, step.state_bytes, step.outputs)
            if step.event is not None:
                step.event.ack()
                if step.first_timestamp_ms >= 0:
                    self._observer.chunk_done(self._source, step.first_timestamp_ms)
            self._under_way.release()
            self._steps_open -= 1
            self._progressed.set()

    async def _guard(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # we are stopped
            # What we waited for was cancelled, such as a write whose producer was closed.
            self._stop_process(error)
        except BaseException as error:  # noqa: BLE001 - whatever it is, nothing may go on from here
            self._stop_process(error)

    def _stop_process(self, error: BaseException) -> None:
        if self._is_failed:
            return
        self._is_failed = True
        if isinstance(error, ProducerFenced):
            lost = LostOwnershipError(
                f"{self._label}: another worker has taken the partition (this one was frozen, cut off, or too slow for "
                "its session), and our write was refused; nothing is lost"
            )
            lost.__cause__ = error
            error = lost
        self._halt(error)
