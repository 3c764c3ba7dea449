"""A stage: one source topic, one state topic, one runner per partition owned; ownership and takeover.

Takeover, in this order: take ownership (bump the producer epoch, write the marker), restore at least up to the marker,
send the outbox slots again, bring the register up to date, go on at the position found in the state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from faust.types import TP

from streams.lane import Batches, LaneApp, Watermark
from streams.ownership import Owner
from streams.partition import Observer, PartitionRunner, RegisterView, has_reached, is_newer
from streams.processor import Processor
from streams.sender import OutputSender
from streams.state_rows import (
    OWNER_KEY,
    POSITION_KEY,
    SYSTEM_PREFIX,
    Position,
    decode_marker,
    decode_outbox,
    decode_position,
)
from streams.store import STORE_URL

log = structlog.get_logger(__name__)


class LostRecordsError(Exception):
    """Records of the source are gone that the state has not processed; a person has to decide."""


class RegisterBehindError(Exception):
    """The register topics end before what the state was decided under."""


class RestoreIncompleteError(Exception):
    """The restore ended before the takeover marker."""


_REGISTER_POLLS = 300
_REGISTER_POLL_SECONDS = 0.1
"""A reader catches up within milliseconds; 30 s covers a broker that is being restarted."""


@dataclass(slots=True)
class _Partition:
    """One partition owned: restored rows until the runner has them."""

    owner: Owner
    rows: dict[bytes, bytes] = field(default_factory=dict)
    restored_offset: int | None = None
    runner: PartitionRunner | None = None
    log_start: int = 0


class StageObserver(Observer, Protocol):
    """What a stage tells about itself, beside its runners."""

    def partition_taken(self, stage: str, partition: int, *, restored: bool, producer_id_changed: bool) -> None:
        """A partition was taken; ``restored`` tells whether memory had to be built from the changelog."""

    def partition_given_up(self, stage: str, partition: int) -> None:
        """A partition went to another worker."""

    def restore_done(self, stage: str, partition: int, rows: int, seconds: float) -> None:
        """A partition's rows were built into its processor."""


class Stage:
    """One agent's Kafka side.

    Parameters
    ----------
    app : LaneApp
    name : str
        For tables, metrics and logs: ``tickets``, ``objectives``, ``alerts``.
    source_topic, state_topic : str
        Full names; both have ``partitions`` partitions.
    make_processor : callable
        Partition number to a fresh processor.
    now_of : callable
        (timestamp of the last record of a chunk or -1, position, watermark or None) to the partition's present, or
        None if nothing newer is known.
    accept_loss : set of int
        Source partitions whose lost records the operator has accepted.
    make_owner : callable
        (client, state topic, partition, worker) to the right to write it.
    newest_register : callable, optional
        See :class:`~streams.partition.PartitionRunner`.
    """

    def __init__(
        self,
        app: LaneApp,
        *,
        name: str,
        source_topic: str,
        state_topic: str,
        partitions: int,
        chunk_records: int,
        client: Mapping[str, Any],
        sender: OutputSender,
        worker: str,
        make_processor: Callable[[int], Processor],
        now_of: Callable[[int, Position, Watermark | None], int | None],
        register_of: Callable[[], RegisterView | None],
        halt: Callable[[BaseException], None],
        observer: StageObserver,
        tick_seconds: float,
        retake_seconds: float,
        needs_watermarks: bool,
        accept_loss: frozenset[int] = frozenset(),
        make_owner: Callable[[Mapping[str, Any], str, int, str], Owner] = Owner,
        newest_register: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.app = app
        self.name = name
        self.source_topic = source_topic
        self.state_topic = state_topic
        self._client = client
        self._sender = sender
        self._worker = worker
        self._make_processor = make_processor
        self._now_of = now_of
        self._register_of = register_of
        self._halt = halt
        self._observer = observer
        self._tick_seconds = tick_seconds
        self._retake_seconds = retake_seconds
        self._needs_watermarks = needs_watermarks
        self._accept_loss = accept_loss
        self._make_owner = make_owner
        self._newest_register = newest_register
        self._owned: dict[int, _Partition] = {}
        self.watermarks: dict[int, Watermark] = {}
        self._taken_at = time.monotonic()
        self._suspended = True
        self._rebalances = 0
        """Rebalances that have begun."""
        self._rebalances_taken = 0
        """The newest of them whose assignment has been taken."""
        self.table = app.Table(
            name,
            partitions=partitions,
            store=STORE_URL,
            recovery_buffer_size=2,
            changelog_topic=app.topic(
                state_topic,
                schema=Batches(size=chunk_records),
                partitions=partitions,
                compacting=True,
                acks=False,
                internal=True,
                maxsize=16,
                allow_empty=True,
            ),
        )
        topic = app.topic(source_topic, schema=Batches(size=chunk_records), maxsize=4)
        app.agent(topic, name=f"slawatch.{name}")(self._agent)
        app.stages.append(self)

    @property
    def runners(self) -> dict[int, PartitionRunner]:
        """Runners of the partitions owned and restored."""
        return {partition: owned.runner for partition, owned in self._owned.items() if owned.runner is not None}

    @property
    def is_ready(self) -> bool:
        """Whether every partition owned runs."""
        return not self._suspended and all(owned.runner is not None for owned in self._owned.values())

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            owned = self._owned.get(event.message.partition)
            if owned is None or owned.runner is None:
                continue  # not ours (any more): its owner reads it from its own position
            await owned.runner.put(event)

    # --- rebalance -------------------------------------------------------------------------------------------------

    def suspend(self) -> None:
        """Start no step by time: a rebalance has begun, ownership may move."""
        self._suspended = True
        self._rebalances += 1
        for runner in self.runners.values():
            runner.suspend()

    async def drain(self) -> None:
        """Wait until every step under way has been written and told."""
        await asyncio.gather(*(runner.drain() for runner in self.runners.values()))

    async def on_rebalance(self, generation_id: int) -> None:
        """Give up what went to others and take what is assigned, before the restore."""
        rebalance = self._rebalances
        try:
            if generation_id != self.app.consumer_generation_id:
                return  # a newer generation is on its way: taking now could fence its rightful owners
            mine = {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == self.state_topic}
            lost = sorted(set(self._owned) - mine)
            started = time.perf_counter()
            await asyncio.gather(*(self._give_up(partition) for partition in lost))
            kept = await asyncio.gather(*(self._take(partition) for partition in sorted(mine)))
            self._taken_at = time.monotonic()
            self._rebalances_taken = rebalance
            log.info(
                "partitions taken",
                stage=self.name,
                partitions=sorted(mine),
                kept_in_memory=sum(kept),
                given_up=lost,
                seconds=round(time.perf_counter() - started, 3),
            )
        except Exception as error:  # noqa: BLE001 - Faust would only log it
            self._halt(error)

    async def _take(self, partition: int) -> bool:
        """Take one partition; return whether its memory is still current."""
        owned = self._owned.get(partition)
        if owned is None:
            owner = self._make_owner(self._client, self.state_topic, partition, self._worker)
            owned = self._owned[partition] = _Partition(owner)
        runner, before, former_id = owned.runner, owned.owner.last_offset, owned.owner.producer_id
        if runner is not None and not runner.is_idle:
            # It must not write once more under the new epoch what it computed before another owner may have written.
            await runner.stop()
            owned.runner = runner = None
        marker_offset = await owned.owner.take()
        # Memory is current only if nobody wrote between our last write and our marker, and ours are all in.
        is_current = runner is not None and marker_offset == before + 1
        if is_current:
            owned.restored_offset = marker_offset
        else:
            if runner is not None:
                await runner.stop()
            owned.runner, owned.rows, owned.restored_offset = None, {}, None
        changed = former_id not in {-1, owned.owner.producer_id}
        self._observer.partition_taken(self.name, partition, restored=not is_current, producer_id_changed=changed)
        return is_current

    async def _give_up(self, partition: int) -> None:
        owned = self._owned.pop(partition)
        self.watermarks.pop(partition, None)
        if owned.runner is not None:
            await owned.runner.stop()
        await owned.owner.close()
        self._observer.partition_given_up(self.name, partition)

    # --- restore ---------------------------------------------------------------------------------------------------

    def restored_offset(self, partition: int) -> int | None:
        """Return the changelog offset up to which the partition's memory is current, -1 if it holds nothing.

        Not None for a partition owned: Faust would go on from where it had restored it last, and what it had read
        until then is no longer in memory.
        """
        owned = self._owned.get(partition)
        if owned is None:
            return None
        return -1 if owned.restored_offset is None else owned.restored_offset

    def restore_chunk(self, event: Any) -> None:
        """Take a chunk of the changelog in; rows stay bytes."""
        try:
            # Faust's recovery hands what it does not expect to the table it had in hand last.
            if event.message.topic != self.state_topic:
                return
            owned = self._owned.get(event.message.partition)
            if owned is None or owned.runner is not None:
                return
            rows = owned.rows
            for record in event.value:
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value
            owned.restored_offset = event.message.offset
        except Exception as error:  # noqa: BLE001 - Faust would log it and lose the chunk
            self._halt(error)

    async def on_restored(self, partitions: set[int]) -> None:
        """Build the restored partitions and let them run.

        Another rebalance may begin at any await; then it is its own restore that lets them run.
        """
        try:
            started, rows, rebalance = time.perf_counter(), 0, self._rebalances
            tps = [TP(self.source_topic, partition) for partition in sorted(partitions & set(self._owned))]
            bounds = await self.app.consumer.log_bounds(tps)
            for tp in tps:
                if self._is_overtaken(rebalance):
                    break
                owned = self._owned[tp.partition]
                if owned.runner is None:
                    rows += len(owned.rows)
                    await self._build(tp.partition, owned, bounds[tp], rebalance)
                else:
                    owned.runner.resume()
            if self._is_overtaken(rebalance):
                log.info("restore overtaken by another rebalance", stage=self.name)
                return
            self._suspended = False
            seconds = round(time.perf_counter() - started, 3)
            log.info("partitions restored", stage=self.name, partitions=len(self.runners), rows=rows, seconds=seconds)
        except Exception as error:  # noqa: BLE001 - Faust loses exceptions of this callback
            self._halt(error)

    def _is_overtaken(self, rebalance: int) -> bool:
        """Whether another rebalance has begun since, or the assignment of this one has not been taken."""
        return not self._rebalances == self._rebalances_taken == rebalance

    async def _build(self, partition: int, owned: _Partition, bounds: tuple[int, int], rebalance: int) -> None:
        started = time.perf_counter()
        if owned.restored_offset is None or owned.restored_offset < owned.owner.marker_offset:
            raise RestoreIncompleteError(
                f"{self.state_topic}/{partition}: restored to offset {owned.restored_offset}, "
                f"the takeover marker is at {owned.owner.marker_offset}"
            )
        rows, owned.rows = owned.rows, {}
        marker = rows.pop(OWNER_KEY, None)
        if marker is not None:
            decode_marker(marker)  # a newer format stops us here
        encoded = rows.pop(POSITION_KEY, None)
        position = decode_position(encoded) if encoded else Position()
        outbox = [decode_outbox(rows.pop(key)) for key in [key for key in rows if key[:1] == SYSTEM_PREFIX]]
        owned.log_start = bounds[0]
        self._judge_loss(partition, position, bounds)
        processor = self._make_processor(partition)
        view = await self._register_at_least(position)
        if self._is_overtaken(rebalance):
            return  # the partition may go to another worker; else it is taken and restored again
        if view is not None and is_newer(view, position.register_offsets):
            position.register_version += 1
            position.register_offsets = dict(view.offsets)
        processor.restore(rows, position, view)
        owned.runner = PartitionRunner(
            source=self.source_topic,
            owner=owned.owner,
            sender=self._sender,
            processor=processor,
            position=position,
            now_of=lambda timestamp, of: self._now_of(timestamp, of, self.watermarks.get(partition)),
            register_of=self._register_of,
            halt=self._halt,
            observer=self._observer,
            tick_seconds=self._tick_seconds,
            newest_register=self._newest_register,
        )
        seconds = time.perf_counter() - started
        self._observer.restore_done(self.name, partition, len(rows), seconds)
        owned.runner.start(outbox)

    async def _register_at_least(self, position: Position) -> RegisterView | None:
        """Return a register view that has everything the partition was decided under; our reader may lag a little."""
        for _ in range(_REGISTER_POLLS):
            view = self._register_of()
            if view is None or has_reached(view, position.register_offsets):
                return view
            await asyncio.sleep(_REGISTER_POLL_SECONDS)
        raise RegisterBehindError(
            f"{self.state_topic}: decided under register offsets {position.register_offsets}, this worker has read "
            f"{dict(view.offsets) if view else {}}: were the register topics recreated?"
        )

    def _judge_loss(self, partition: int, position: Position, bounds: tuple[int, int]) -> None:
        """Raise if records between the position and the log are gone and nobody has accepted that."""
        start, end = bounds
        following = position.offset + 1
        if position.offset >= 0 and not start <= following <= end:
            where = "before the log's start" if following < start else "behind the log's end"
            detail = (
                f"{self.source_topic}/{partition}: the state goes on at offset {following}, which is {where} "
                f"({start}..{end}); accept the loss with: slawatch worker --accept-loss {self.source_topic}/{partition}"
            )
            if partition not in self._accept_loss:
                raise LostRecordsError(detail)
            log.warning("lost records accepted", detail=detail)
            position.offset = min(max(following, start), end) - 1

    def start_offsets(self) -> dict[TP, int]:
        """Return where to go on, for every source partition owned and assigned."""
        assignment = self.app.consumer.assignment()
        return {
            tp: owned.runner.position.offset + 1 if owned.runner.position.offset >= 0 else owned.log_start
            for partition, owned in self._owned.items()
            if owned.runner is not None and (tp := TP(self.source_topic, partition)) in assignment
        }

    # --- time ------------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Ask for watermarks and take partitions again when it is time; call it once a tick."""
        if self._suspended or not self._owned:
            return
        if self._needs_watermarks:
            tps = [TP(self.source_topic, partition) for partition in self.runners]
            for tp, watermark in (await self.app.consumer.watermarks(tps)).items():
                if tp.partition in self._owned:
                    self.watermarks[tp.partition] = watermark
        # A worker that was frozen does not know yet that it has been replaced: it must not fence its successor.
        is_member = self.app.heartbeat_age_seconds() < self.app.conf.broker_session_timeout / 2
        if is_member and time.monotonic() - self._taken_at > self._retake_seconds:
            self.retake()

    def retake(self) -> None:
        """Take every partition again, between steps: the broker must not forget our producer ids."""
        self._taken_at = time.monotonic()
        for runner in self.runners.values():
            runner.retake()

    async def stop(self) -> None:
        """Stop the runners and give the partitions up."""
        for partition in list(self._owned):
            await self._give_up(partition)
