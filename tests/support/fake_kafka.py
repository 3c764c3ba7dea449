"""A small Kafka for the delivery rule: one source and one state partition, outputs, and a crash at any point.

What it has in common with the real one, and the tests rely on: a batch is stored whole or not at all; batches of an
owner are stored and acknowledged one after another; an owner whose successor has written is refused; outputs keep their
order in each destination, and destinations do not wait for each other. ``tests/broker/test_ownership.py`` and
``tests/unit/streams/test_sender.py`` hold the real ones to it.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka.errors import ProducerFenced
from faust.types import TP

from streams.lane import Watermark
from streams.processor import StepResult
from streams.stage import Stage
from streams.state_rows import OWNER_KEY, SYSTEM_PREFIX, Marker, Output, Position, encode_marker, provenance_of

SOURCE, STATE = "source", "state"


class Crashed(BaseException):
    """The process is dead: whatever it does from here on has no effect."""


@dataclass
class Record:
    """A record as the lane hands it out, as far as anything looks at it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    timestamp_type: int = 1
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Event:
    """A chunk as Faust hands it out."""

    value: list[Record]
    topic: str = SOURCE
    partition: int = 0
    on_ack: Callable[[int], None] = lambda _offset: None
    acked: bool = False

    @property
    def message(self) -> Any:
        return SimpleNamespace(topic=self.topic, partition=self.partition, offset=self.value[-1].offset)

    def ack(self) -> None:
        self.acked = True
        self.on_ack(self.value[-1].offset)


@dataclass
class Broker:
    """What survives a process.

    Attributes
    ----------
    state : list of (key, value, batch)
        The log of the state partition: takeover markers and steps, each record with the number of its batch.
    sent : dict
        Per destination (topic, partition), the outputs in the order in which the broker has them.
    done : list of str
        Everything that happened, in order: ``take``, ``state 3``, ``sent 3``, ``ack 17``; numbers of steps, offsets.
    crash_at : int, optional
        The how many-th thing that would happen kills the process instead.
    """

    source: list[Record] = field(default_factory=list)
    log_start: int = 0
    state: list[tuple[bytes, bytes | None, int]] = field(default_factory=list)
    sent: dict[tuple[str, int], list[Output]] = field(default_factory=lambda: defaultdict(list))
    committed: int = 0
    done: list[str] = field(default_factory=list)
    crash_at: int | None = None
    happened: int = 0
    epoch: int = 0
    marker_epoch: int = 0
    is_dead: asyncio.Event = field(default_factory=asyncio.Event)
    batches: int = 0

    def happens(self, what: str) -> None:
        """Let something happen, unless the process dies right before it."""
        if self.is_dead.is_set():
            raise Crashed
        self.happened += 1
        if self.happened == self.crash_at:
            self.is_dead.set()
            raise Crashed
        self.done.append(what)

    def restart(self, crash_at: int | None = None) -> None:
        """Begin the life of another process."""
        self.is_dead = asyncio.Event()
        self.happened, self.crash_at = 0, crash_at

    def append(self, epoch: int, rows: Mapping[bytes, bytes | None]) -> int:
        """Store a batch; return the offset of its first record."""
        if epoch < self.marker_epoch:
            raise ProducerFenced
        if OWNER_KEY in rows:
            self.marker_epoch = epoch
        base = len(self.state)
        self.batches += 1
        self.state += [(key, value, self.batches) for key, value in rows.items()]
        return base

    def rows(self, *, system: bool = False) -> dict[bytes, bytes]:
        """Return the newest row of each key, as a restore finds them."""
        rows: dict[bytes, bytes] = {}
        for key, value, _ in self.state:
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        return rows if system else {key: row for key, row in rows.items() if key[:1] != SYSTEM_PREFIX}

    def seen(self) -> dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]]:
        """Return what a consumer of each destination takes in that drops what is not newer."""
        taken: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = {}
        for destination, outputs in self.sent.items():
            highest: dict[str, int] = {}
            taken[destination] = []
            for output in outputs:
                provenance = provenance_of(output.headers)
                assert provenance is not None
                source, ordinal = provenance
                if ordinal > highest.get(source, -1):
                    highest[source] = ordinal
                    taken[destination].append((output.key, output.value))
        return taken


class _Pump:
    """Does things one after another, each after a while; what is behind one that failed fails, too."""

    def __init__(self, delay: Callable[[], int]) -> None:
        self._delay = delay
        self._queue: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._queue.append((work, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        while self._queue:
            work, future = self._queue.popleft()
            for _ in range(self._delay()):
                await asyncio.sleep(0)
            await self.gate.wait()
            try:
                result = work()
            except Crashed:
                return  # nobody is told
            except Exception as error:  # noqa: BLE001 - told to who waits
                if not future.cancelled():
                    future.set_exception(error)
                continue
            if not future.cancelled():
                future.set_result(result)


class FakeOwner:
    """Writes the state partition as :class:`streams.ownership.Owner` does."""

    def __init__(self, broker: Broker, name: str = "worker", delay: Callable[[], int] = lambda: 0) -> None:
        self.broker = broker
        self.topic, self.partition, self.name = STATE, 0, name
        self.marker_offset = self.last_offset = -1
        self.producer_id = -1
        self.next_producer_id = 7
        self.last_batch_bytes = 0
        self.epoch = 0
        self.fails: Exception | None = None
        """What the next write fails with."""
        self.is_closed = False
        self._delay = delay
        self.pump = _Pump(delay)

    async def take(self) -> int:
        self.broker.happens("take")
        self.broker.epoch += 1
        self.epoch, self.producer_id = self.broker.epoch, self.next_producer_id
        marker = Marker(self.name, self.producer_id, self.epoch)
        future = await self.write({OWNER_KEY: encode_marker(marker)})
        self.marker_offset = self.last_offset = await future
        return self.marker_offset

    async def write(self, rows: Mapping[bytes, bytes | None]) -> asyncio.Future[Any]:
        assert not self.is_closed, "written after it was closed"
        epoch, rows, broker = self.epoch, dict(rows), self.broker
        self.last_batch_bytes = sum(len(key) + len(value or b"") for key, value in rows.items())
        is_marker = OWNER_KEY in rows

        def store() -> int:
            if self.fails is not None:
                raise self.fails
            broker.happens("marker" if is_marker else f"state {_seq(rows)}")
            base = broker.append(epoch, rows)
            broker.happens("marker stored" if is_marker else f"stored {_seq(rows)}")  # stored, and the answer is lost
            self.last_offset = base + len(rows) - 1
            return base

        await asyncio.sleep(0)
        return self.pump.put(store)

    async def close(self) -> None:
        self.is_closed = True


class FakeSender:
    """Sends outputs as :class:`streams.sender.OutputSender` does."""

    def __init__(self, broker: Broker, delay: Callable[[], int] = lambda: 0) -> None:
        self.broker = broker
        self.fails: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self._delay = delay
        self._pumps: dict[tuple[str, int], _Pump] = {}

    def send(self, outputs: Iterable[Output]) -> asyncio.Future[Any]:
        futures = []
        for output in outputs:
            destination = (output.topic, output.partition)
            pump = self._pumps.get(destination)
            if pump is None:
                pump = self._pumps[destination] = _Pump(self._delay)
                pump.gate = self.gate
            futures.append(pump.put(lambda output=output, destination=destination: self._store(output, destination)))  # type: ignore[misc]
        return asyncio.gather(*futures)

    def _store(self, output: Output, destination: tuple[str, int]) -> None:
        if self.fails is not None:
            raise self.fails
        provenance = provenance_of(output.headers)
        assert provenance is not None
        self.broker.happens(f"sent {provenance[1] >> 24}")
        self.broker.sent[destination].append(msgspec.structs.replace(output))


def _seq(rows: Mapping[bytes, bytes | None]) -> int:
    from streams.state_rows import POSITION_KEY, decode_position

    position = rows[POSITION_KEY]
    assert position is not None
    return decode_position(position).seq


class Counting:
    """A processor that counts records per key, with timers that a record can set and a record ``T`` lets run out.

    ``a`` counts ``a``; ``a+9`` sets a timer of ``a`` to instant 9, too; ``T9`` says that it is 9. Every count and every
    timer that ran out is an output. What it does is a function of the records and their order alone, however they are
    cut into chunks and steps.
    """

    def __init__(self, records_a_step: int = 1_000, timers_a_step: int = 1_000) -> None:
        self.records_a_step = records_a_step
        self.timers_a_step = timers_a_step
        self.now_ms = 0
        self.ordinals: dict[str, int] = {}
        self.counts: dict[bytes, int] = {}
        self.timers: set[tuple[int, bytes]] = set()
        self.views: list[tuple[Any, int]] = []
        self.restored_view: Any = None
        self.asked_now: list[int | None] = []
        self._result = StepResult()
        self._swept = 0

    def restore(self, rows: Mapping[bytes, bytes], position: Position, view: Any) -> None:
        self.restored_view = (view, position.register_version)
        self.now_ms = position.now_ms
        for key, row in rows.items():
            if key[:1] == b"c":
                self.counts[key[1:]] = int(row)
            else:
                due_ms, _, name = row.partition(b" ")
                self.timers.add((int(due_ms), name))

    def read(self, records: Sequence[Any], start: int) -> int:
        index = start
        while index < len(records) and index - start < self.records_a_step:
            text = records[index].value
            index += 1
            if text[:1] == b"T":
                self.now_ms = max(self.now_ms, int(text[1:]))
                if self._sweep():
                    break
                continue
            key, _, due = text.partition(b"+")
            self.counts[key] = self.counts.get(key, 0) + 1
            self._row(b"c" + key, b"%d" % self.counts[key])
            self._out(key, b"%d" % self.counts[key])
            if due and int(due) <= self.now_ms:
                self._out(key, b"ran out at %s" % due)
            elif due:
                self.timers.add((int(due), key))
                self._row(b"t%s %s" % (due, key), b"%s %s" % (due, key))
        return index

    def advance(self, now_ms: int | None) -> bool:
        self.asked_now.append(now_ms)
        if now_ms is not None:
            self.now_ms = max(self.now_ms, now_ms)
        return self._sweep()

    def _sweep(self) -> bool:
        for due_ms, key in sorted(self.timers):
            if due_ms > self.now_ms:
                return False
            if self._swept == self.timers_a_step:
                return True
            self._swept += 1
            self.timers.discard((due_ms, key))
            self._row(b"t%d %s" % (due_ms, key), None)
            self._out(key, b"ran out at %d" % due_ms)
        return False

    def put_register(self, snapshot: Any, version: int) -> None:
        self.views.append((snapshot, version))
        self._row(b"cregister", b"%d" % version)

    def finish(self) -> StepResult:
        result, self._result, self._swept = self._result, StepResult(), 0
        return result

    def _row(self, key: bytes, row: bytes | None) -> None:
        self._result.rows[key] = row

    def _out(self, key: bytes, value: bytes) -> None:
        # Two topics, and partitions chosen by the key: destinations that acknowledge at different times.
        self._result.outputs.append(Output("counts" if value.isdigit() else "timers", key[0] % 2, key, value))


class Steps:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.chunks: list[int] = []
        self.taken: list[tuple[bool, bool]] = []
        self.given_up: list[int] = []
        self.restored: list[int] = []
        self.changed_producer_ids = 0

    def step_done(
        self, kind: str, seconds: float, write_seconds: float, state_bytes: int, outputs: Sequence[Output]
    ) -> None:
        assert seconds >= 0
        assert write_seconds >= 0
        self.steps.append((kind, state_bytes, len(outputs)))

    def chunk_done(self, topic: str, first_timestamp_ms: int) -> None:
        self.chunks.append(first_timestamp_ms)

    def producer_id_changed(self, topic: str, partition: int) -> None:
        self.changed_producer_ids += 1

    def partition_taken(self, stage: str, partition: int, *, restored: bool, producer_id_changed: bool) -> None:
        self.taken.append((restored, producer_id_changed))

    def partition_given_up(self, stage: str, partition: int) -> None:
        self.given_up.append(partition)

    def restore_done(self, stage: str, partition: int, rows: int, seconds: float) -> None:
        self.restored.append(rows)


@dataclass(frozen=True)
class View:
    """A register view."""

    offsets: Mapping[str, int]


class FakeApp:
    """As much of the Faust app as a stage asks for: one worker that is assigned partition 0, or nothing."""

    def __init__(self, broker: Broker) -> None:
        self.stages: list[Any] = []
        self.broker = broker
        self.consumer_generation_id = 0
        self.assigned = True
        self.heartbeat_age = 0.0
        self.watermark: Watermark | None = None
        self.before_bounds: Callable[[], Awaitable[None]] | None = None
        """Something that happens while a restore asks for the bounds of the log."""
        self.conf = SimpleNamespace(broker_session_timeout=30.0)
        self.assignor = SimpleNamespace(assigned_actives=lambda: {TP(STATE, 0)} if self.assigned else set())
        self.consumer = self

    def Table(self, *_: Any, **__: Any) -> Any:
        return None

    def topic(self, *_: Any, **__: Any) -> Any:
        return None

    def agent(self, *_: Any, **__: Any) -> Any:
        return lambda function: function

    def heartbeat_age_seconds(self) -> float:
        return self.heartbeat_age

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        if self.before_bounds is not None:
            interruption, self.before_bounds = self.before_bounds, None
            await interruption()
        return {tp: (self.broker.log_start, self.broker.log_start + len(self.broker.source)) for tp in tps}

    async def watermarks(self, tps: Iterable[TP]) -> dict[TP, Watermark]:
        return {} if self.watermark is None else dict.fromkeys(tps, self.watermark)

    def assignment(self) -> set[TP]:
        return {TP(SOURCE, 0)} if self.assigned else set()


class Process:
    """One life of a worker: a stage on the fake broker.

    Parameters
    ----------
    draw : random.Random, optional
        Makes everything take a random number of turns of the event loop.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        processor: Callable[[], Counting] = Counting,
        draw: random.Random | None = None,
        register_of: Callable[[], View | None] = lambda: None,
        now_of: Callable[[int, Position, Watermark | None], int | None] = lambda *_: None,
        tick_seconds: float = 0.001,
        accept_loss: frozenset[int] = frozenset(),
        newest_register: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.broker = broker
        self.delay: Callable[[], int] = (lambda: draw.randint(0, 4)) if draw else (lambda: 0)
        self.sender = FakeSender(broker, self.delay)
        self.observer = Steps()
        self.halted: list[BaseException] = []
        self.app = FakeApp(broker)
        self.owners: list[FakeOwner] = []
        self.stage = Stage(
            self.app,  # type: ignore[arg-type]
            name="counting",
            source_topic=SOURCE,
            state_topic=STATE,
            partitions=1,
            chunk_records=100,
            client={},
            sender=self.sender,  # type: ignore[arg-type]
            worker="worker",
            make_processor=lambda _partition: processor(),
            now_of=now_of,
            register_of=register_of,
            halt=self._halt,
            observer=self.observer,
            tick_seconds=tick_seconds,
            retake_seconds=3600,
            needs_watermarks=True,
            accept_loss=accept_loss,
            make_owner=self._make_owner,  # type: ignore[arg-type]
            newest_register=newest_register,
        )

    def _halt(self, error: BaseException) -> None:
        self.halted.append(error)

    def _make_owner(self, _client: Any, _topic: str, _partition: int, name: str) -> FakeOwner:
        owner = FakeOwner(self.broker, name, self.delay)
        self.owners.append(owner)
        return owner

    @property
    def runner(self) -> Any:
        return self.stage.runners[0]

    async def rebalance(self, *, assigned: bool = True, chunk_records: int = 3) -> None:
        """Go through a whole rebalance, as the app and Faust's recovery do."""
        await self.revoke()
        await self.take(assigned=assigned)
        await self.restore(chunk_records=chunk_records)

    async def revoke(self) -> None:
        self.stage.suspend()
        await self.stage.drain()

    async def take(self, *, assigned: bool = True) -> None:
        self.app.assigned = assigned
        self.app.consumer_generation_id += 1
        await self.stage.on_rebalance(self.app.consumer_generation_id)

    async def restore(self, *, chunk_records: int = 3) -> None:
        self.read_changelog(chunk_records=chunk_records)
        await self.stage.on_restored({0} if self.app.assigned else set())

    def read_changelog(self, *, chunk_records: int = 3) -> None:
        """Hand the changelog from where the stage says to its end to the stage."""
        restored = self.stage.restored_offset(0)
        if restored is None:
            return
        log = [Record(offset, key, value) for offset, (key, value, _) in enumerate(self.broker.state)]
        for start in range(restored + 1, len(log), chunk_records):
            self.stage.restore_chunk(Event(log[start : start + chunk_records], topic=STATE))

    def chunk(self, start: int, stop: int) -> Event:
        """Return records ``start <= offset < stop`` of the source as a chunk."""
        first = self.broker.log_start
        return Event(self.broker.source[start - first : stop - first], on_ack=self._ack)

    def _ack(self, offset: int) -> None:
        self.broker.happens(f"ack {offset}")
        self.broker.committed = offset + 1

    async def feed(self, start: int, stop: int) -> Event:
        """Hand a chunk to the runner."""
        event = self.chunk(start, stop)
        await self.runner.put(event)
        return event

    async def settle(self) -> None:
        """Wait until everything handed over is processed, written, told and acknowledged.

        Timers that a former process left due are swept by the ticks of this one.
        """
        async with asyncio.timeout(5):
            await self.stage.drain()
            while self.stage.is_ready and self._is_behind():
                await asyncio.sleep(0.0005)
                await self.stage.drain()

    def _is_behind(self) -> bool:
        return any(
            isinstance(runner.processor, Counting)
            and any(due_ms <= runner.processor.now_ms for due_ms, _ in runner.processor.timers)
            for runner in self.stage.runners.values()
        )


def records(*values: str, first: int = 0) -> list[Record]:
    """Return records of the source with these values, one ms after another."""
    return [
        Record(offset, b"k", value.encode(), timestamp=1_000 + offset) for offset, value in enumerate(values, first)
    ]


async def turns(count: int = 50) -> None:
    """Let the event loop do what it can without time passing."""
    for _ in range(count):
        await asyncio.sleep(0)
