"""The register: contracts, calendars and adjustments as documents on compacted topics, read whole by every worker.

The topics have one partition each, so that an offset stands for everything before it: "the register as it was at these
offsets" is the same on every worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from config.settings import Settings
from streams.connection import (
    BrokerUnreachable,
    KafkaFault,
    consumer_client,
    producer_client,
    read_to_end,
    require_topics,
)
from streams.topics import ADJUSTMENTS, CALENDARS, CONTRACTS, Topics

_log = structlog.get_logger(__name__)

_POLL_MS: Final = 500
"""Longest wait of one poll; a change arrives at once, this only bounds how long stopping takes."""
_LARGEST_REQUEST_BYTES: Final = 4 * 1024 * 1024


class DocumentKind(StrEnum):
    """Kinds of register documents; the value is their ``kind:`` in YAML."""

    CONTRACT = "Contract"
    CALENDAR = "Calendar"
    ADJUSTMENT = "Adjustment"


TOPIC_OF: Final[Mapping[DocumentKind, str]] = MappingProxyType(
    # In the order of publication: a contract that refers to a new calendar is published after it.
    {DocumentKind.CALENDAR: CALENDARS, DocumentKind.CONTRACT: CONTRACTS, DocumentKind.ADJUSTMENT: ADJUSTMENTS}
)
"""Logical topic of each kind of document."""

DocumentKey = tuple[DocumentKind, str]

_Partitions = Mapping[TopicPartition, DocumentKind]


@dataclass(frozen=True, slots=True)
class RegisterSnapshot:
    """The register as it is after all records before some offsets. Never changes; a change makes another snapshot.

    Attributes
    ----------
    documents : mapping of (kind, id) to bytes
        Newest document of each id, as on the topic; deleted ones are absent.
    offsets : mapping of str to int
        Per logical topic the offset of the next record: everything before it is in the documents.
    document_offsets : mapping of (kind, id) to int
        Offset of each document's record.
    """

    documents: Mapping[DocumentKey, bytes] = field(default_factory=dict)
    offsets: Mapping[str, int] = field(default_factory=dict)
    document_offsets: Mapping[DocumentKey, int] = field(default_factory=dict)

    def of_kind(self, kind: DocumentKind) -> dict[str, bytes]:
        """Return the documents of one kind by id."""
        return {identity: value for (found, identity), value in self.documents.items() if found is kind}

    def with_records(
        self, records: Iterable[tuple[DocumentKind, ConsumerRecord]], positions: Mapping[str, int]
    ) -> RegisterSnapshot:
        """Return the snapshot after more records: an older record never replaces a newer one, None deletes.

        Parameters
        ----------
        records
            Each with the kind of its topic.
        positions
            Per logical topic the offset of the next record.
        """
        documents = dict(self.documents)
        document_offsets = dict(self.document_offsets)
        for kind, record in records:
            key = _key(kind, record)
            if key is None or record.offset < document_offsets.get(key, -1):
                continue
            if record.value is None:
                documents.pop(key, None)
                document_offsets.pop(key, None)
            else:
                documents[key] = record.value
                document_offsets[key] = record.offset
        return RegisterSnapshot(documents, {**self.offsets, **positions}, document_offsets)


class RegisterReader:
    """Follows the register in the background.

    Examples
    --------
    ::

        reader = RegisterReader(settings)
        await reader.start()                    # everything published so far is read
        seen = reader.snapshot()
        seen = await reader.next_change(seen)   # waits for a newer one
        await reader.stop()

    Notes
    -----
    While the broker is away the newest snapshot stays in force; reading goes on when it is back. Any other failure ends
    the reader: :meth:`snapshot`, :meth:`next_change` and :meth:`join` raise it. Supervise :meth:`join`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        topics = Topics(settings)
        self._kinds = {topics.name(logical): kind for kind, logical in TOPIC_OF.items()}
        self._snapshot = RegisterSnapshot()
        self._changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Read everything up to the end the topics have now, then go on in the background.

        Raises
        ------
        TopicMissing
            If a register topic does not exist.
        BrokerUnreachable
            If the broker can't be reached, or stops answering meanwhile.
        """
        if self._task is not None:
            raise RuntimeError("the register reader is started once")
        self._task = asyncio.create_task(self._follow(), name="register-reader")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        self._raise_if_failed()

    async def stop(self) -> None:
        """Stop reading; the last snapshot stays readable. Does not raise the reader's own failure."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def join(self) -> None:
        """Return when the reader is stopped; raise what ended it otherwise."""
        if self._task is None:
            raise RuntimeError("the register reader is not started")
        await asyncio.wait({self._task})
        self._raise_if_failed()

    def snapshot(self) -> RegisterSnapshot:
        """Return the newest snapshot.

        Raises
        ------
        Exception
            Whatever ended the reader: its snapshot would only get older.
        """
        self._raise_if_failed()
        return self._snapshot

    async def next_change(self, seen: RegisterSnapshot) -> RegisterSnapshot:
        """Return the newest snapshot as soon as it is another one than ``seen``; several may wait.

        Raises
        ------
        Exception
            Whatever ended the reader.
        """
        while self.snapshot() is seen:
            if self._task is not None and self._task.done():
                raise RuntimeError("the register reader is stopped")
            await self._changed.wait()
        return self._snapshot

    async def published_offsets(self) -> dict[str, int]:
        """Ask the broker up to where the register is published by now: per logical topic the offset of the next record.

        Raises
        ------
        KafkaError
            If the broker does not answer.
        Exception
            Whatever ended the reader.
        """
        self._raise_if_failed()
        if self._consumer is None:
            raise RuntimeError("the register reader is not started")
        partitions = {TopicPartition(name, 0): kind for name, kind in self._kinds.items()}
        ends = await self._consumer.end_offsets(list(partitions))
        return {TOPIC_OF[kind]: ends[partition] for partition, kind in partitions.items()}

    def _raise_if_failed(self) -> None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            failure = self._task.exception()
            if failure is not None:
                raise failure

    async def _follow(self) -> None:
        try:
            await self._read()
        finally:
            self._notify()  # who waits for a change learns of the failure

    async def _read(self) -> None:
        kafka = self._settings.kafka
        for name, count in (await require_topics(kafka, list(self._kinds))).items():
            if count != 1:
                raise KafkaFault(f"{name}: has {count} partitions, a register topic has one: slawatch topics check")
        async with consumer_client(kafka, max_poll_records=None, fetch_max_wait_ms=_POLL_MS) as consumer:
            partitions = {TopicPartition(name, 0): kind for name, kind in self._kinds.items()}
            consumer.assign(list(partitions))
            self._consumer = consumer
            for partition, offset in (await consumer.beginning_offsets(list(partitions))).items():
                consumer.seek(partition, offset)
            ends = await consumer.end_offsets(list(partitions))
            self._snapshot = await self._catch_up(consumer, partitions, ends)
            _log.info("register read", documents=len(self._snapshot.documents), offsets=dict(self._snapshot.offsets))
            self._ready.set()
            while True:
                await self._take_in_changes(consumer, partitions)

    async def _catch_up(
        self, consumer: AIOKafkaConsumer, partitions: _Partitions, ends: Mapping[TopicPartition, int]
    ) -> RegisterSnapshot:
        """Return the register as it is at the ends; nobody sees half of it."""
        limit_seconds = self._settings.kafka.request_timeout_seconds
        loop = asyncio.get_running_loop()
        wanted = {TOPIC_OF[kind]: ends[partition] for partition, kind in partitions.items()}
        snapshot = RegisterSnapshot(
            offsets={TOPIC_OF[kind]: await consumer.position(p) for p, kind in partitions.items()}
        )
        last_progress = loop.time()
        while any(snapshot.offsets[topic] < end for topic, end in wanted.items()):
            former, (snapshot, _) = snapshot, await _poll(consumer, partitions, snapshot)
            if snapshot.offsets != former.offsets:
                last_progress = loop.time()
            elif loop.time() - last_progress > limit_seconds:
                raise BrokerUnreachable(
                    f"{self._settings.kafka.bootstrap} sent nothing of the register for {limit_seconds:g} s"
                )
        return snapshot

    async def _take_in_changes(self, consumer: AIOKafkaConsumer, partitions: _Partitions) -> None:
        former, (self._snapshot, touched) = self._snapshot, await _poll(consumer, partitions, self._snapshot)
        if touched:
            documents = [f"{kind}/{identity}" for kind, identity in touched]
            _log.info("register changed", documents=documents, offsets=dict(self._snapshot.offsets))
        if self._snapshot is not former:
            self._notify()

    def _notify(self) -> None:
        # Wake all who wait now; who waits later waits for the next change.
        self._changed.set()
        self._changed = asyncio.Event()


async def _poll(
    consumer: AIOKafkaConsumer, partitions: _Partitions, snapshot: RegisterSnapshot
) -> tuple[RegisterSnapshot, list[DocumentKey]]:
    """Return the snapshot after what one poll brought (the same one if nothing), and the documents it touched."""
    batches = await consumer.getmany(*partitions, timeout_ms=_POLL_MS)
    # The position, not the last record: markers of transactions have offsets too.
    positions = {TOPIC_OF[kind]: await consumer.position(partition) for partition, kind in partitions.items()}
    if not batches and positions == snapshot.offsets:
        return snapshot, []
    for topic, position in positions.items():
        if position < snapshot.offsets[topic]:
            raise KafkaFault(
                f"{topic}: went back from offset {snapshot.offsets[topic]} to {position}: the topic was deleted and "
                "created again; publish the register (slawatch contracts apply) and restart the workers"
            )
    records = [(partitions[partition], record) for partition, batch in batches.items() for record in batch]
    return snapshot.with_records(records, positions), [key for kind, r in records if (key := _key(kind, r))]


def _key(kind: DocumentKind, record: ConsumerRecord) -> DocumentKey | None:
    # A compacted topic refuses records without a key.
    return None if record.key is None else (kind, record.key.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did, or would do: keys in the order of publication.

    Attributes
    ----------
    created, changed, unchanged : tuple of (kind, id)
        Of the documents given.
    removed : tuple of (kind, id)
        Deleted from the register.
    kept : tuple of (kind, id)
        On the register, not among the documents given, and left alone.
    """

    created: tuple[DocumentKey, ...] = ()
    changed: tuple[DocumentKey, ...] = ()
    unchanged: tuple[DocumentKey, ...] = ()
    removed: tuple[DocumentKey, ...] = ()
    kept: tuple[DocumentKey, ...] = ()


async def read_register(settings: Settings) -> RegisterSnapshot:
    """Return the register as it is now, read once.

    Raises
    ------
    KafkaFault
        If it can't be read.
    """
    topics = Topics(settings)
    kinds = {topics.name(logical): kind for kind, logical in TOPIC_OF.items()}
    records: list[tuple[DocumentKind, Any]] = []
    positions: dict[str, int] = {}
    async for record in read_to_end(settings.kafka, list(kinds)):
        kind = kinds[record.topic]
        records.append((kind, record))
        positions[TOPIC_OF[kind]] = record.offset + 1
    return RegisterSnapshot().with_records(records, positions)


def compare(
    current: Mapping[DocumentKey, bytes], documents: Mapping[DocumentKey, bytes], *, remove: Iterable[DocumentKey] = ()
) -> Published:
    """Return what publishing documents would do to a register, as :func:`publish` would."""
    removed = tuple(key for key in _ordered(remove) if key in current and key not in documents)
    return Published(
        created=tuple(key for key in _ordered(documents) if key not in current),
        changed=tuple(key for key in _ordered(documents) if key in current and current[key] != documents[key]),
        unchanged=tuple(key for key in _ordered(documents) if current.get(key) == documents[key]),
        removed=removed,
        kept=tuple(key for key in _ordered(current) if key not in documents and key not in removed),
    )


async def publish(
    settings: Settings,
    documents: Mapping[DocumentKey, bytes],
    *,
    remove: Iterable[DocumentKey] = (),
    dry_run: bool = False,
) -> Published:
    """Put documents on the register: those that differ from what is there, byte by byte. Idempotent.

    Calendars go first and are acknowledged by all in-sync replicas before a contract that may refer to them is sent.

    Parameters
    ----------
    documents
        Register documents as ``config.documents`` writes them (canonical, so that equal agreements are equal bytes).
    remove
        Documents to delete; those not there are passed over, those also given are published.
    dry_run
        Publish nothing, only say what would be done.

    Raises
    ------
    KafkaFault
        If the register can't be read or a document can't be written; a second run goes on where this one stopped.
    """
    done = compare((await read_register(settings)).documents, documents, remove=remove)
    if dry_run or not (done.created or done.changed or done.removed):
        return done
    topics = Topics(settings)
    async with producer_client(settings.kafka, max_request_size=_LARGEST_REQUEST_BYTES) as producer:
        for kind, logical in TOPIC_OF.items():
            keys = [key for key in (*done.created, *done.changed) if key[0] is kind]
            await _send(producer, topics.name(logical), {identity: documents[kind, identity] for _, identity in keys})
        # The other way round: no contract refers to a calendar that is gone.
        for kind, logical in reversed(list(TOPIC_OF.items())):
            gone = [key for key in done.removed if key[0] is kind]
            await _send(producer, topics.name(logical), dict.fromkeys((identity for _, identity in gone), None))
    return done


async def _send(producer: Any, topic: str, values: Mapping[str, bytes | None]) -> None:
    futures = {}
    for identity, value in values.items():
        try:
            futures[identity] = await producer.send(topic, key=identity.encode(), value=value)
        except KafkaError as error:
            raise KafkaFault(f"{topic}: {identity} could not be published: {error!r}") from error
    for identity, future in futures.items():
        try:
            await future
        except KafkaError as error:
            raise KafkaFault(f"{topic}: {identity} could not be published: {error!r}") from error


def _ordered(keys: Iterable[DocumentKey]) -> list[DocumentKey]:
    order = list(TOPIC_OF)
    return sorted(set(keys), key=lambda key: (order.index(key[0]), key[1]))
