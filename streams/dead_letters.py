"""Dead letters: records that could not be taken in, kept as received with the reason and the origin in headers.

Headers of a dead letter, beside those the record came with:

====================== ==========================================================================================
``slawatch-reason``    a word of :class:`sla.events.Reason`
``slawatch-detail``    prose for the publisher
``slawatch-topic``     where it came from, with ``slawatch-partition`` and ``slawatch-offset``
``slawatch-timestamp`` its Kafka timestamp there, epoch ms
``slawatch-replays``   how often it has been replayed, with ``slawatch-replayed-from``; absent: never
``slawatch-cut``       its size in bytes, if it was too large to be kept whole: then the beginnings of key and value
                       are here, and none of its own headers
====================== ==========================================================================================

A replay sends key and value to the topic they came from, with ``slawatch-replayed-from`` (the dead letter's id) and
``slawatch-replays`` one higher. If the record fails again it becomes a new dead letter that carries the count on: that
is how a loop is seen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from config.settings import Settings
from sla.events import Reason, Rejected
from streams.connection import (
    BrokerUnreachable,
    KafkaFault,
    consumer_client,
    producer_client,
    read_to_end,
    require_topics,
)
from streams.state_rows import Output, provenance_of
from streams.topics import DEAD_LETTERS, Kind, Topics

REASON: Final = "slawatch-reason"
DETAIL: Final = "slawatch-detail"
TOPIC: Final = "slawatch-topic"
PARTITION: Final = "slawatch-partition"
OFFSET: Final = "slawatch-offset"
TIMESTAMP: Final = "slawatch-timestamp"
REPLAYS: Final = "slawatch-replays"
REPLAYED_FROM: Final = "slawatch-replayed-from"
CUT: Final = "slawatch-cut"

MOST_REPLAYS: Final = 3
"""A record that has failed again after so many replays is not replayed any more unless it is forced."""

LARGEST_KEPT_BYTES: Final = 1_500_000
"""Key, value and headers of a record that is kept whole: above Kafka's default limit of a record (1 MiB), below that of
the dead-letter topic (2 MiB). Limits are about compressed records, so there are larger ones; one that could not be put
here would stop its partition for ever."""

KEPT_OF_A_CUT_BYTES: Final = 65_536
"""Bytes of key and of value that are kept of a larger record."""

OUR_FAULTS: Final = frozenset({Reason.INTERNAL_ERROR, Reason.UNKNOWN_VERSION})
"""Reasons that speak of this release rather than of one publisher."""

_PREFIX: Final = "slawatch-"
_OF_A_REPLAY: Final = frozenset({REPLAYS, REPLAYED_FROM})

Headers = Sequence[tuple[str, bytes]]


class DeadLetterError(Exception):
    """A dead letter that can't be found, read or replayed; the message is for the user."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic.

    Attributes
    ----------
    id : str
        ``partition:offset`` in the dead-letter topic.
    reason, detail : str
        As written; ``reason`` may be a word that this release does not know.
    topic, partition, offset, timestamp_ms
        Where the record came from, by its full topic name.
    dead_at_ms : int
        When it was put here (broker's clock).
    replays : int
        How often it had been replayed before.
    replayed_from : str or None
        Id of the dead letter whose replay this record was; None if it was not replayed.
    key, value : bytes or None
        As received.
    headers : tuple
        Those of the record itself, without slawatch's.
    cut_from_bytes : int or None
        Size of the record if only its beginning is here.
    """

    id: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    dead_at_ms: int
    replays: int
    replayed_from: str | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    cut_from_bytes: int | None = None


def dead_letter(letters: str, rejected: Rejected, record: Any, *, topic: str, partition: int) -> Output:
    """Return the output that puts a record to the dead letters: as it was received, cut if it is too large.

    Parameters
    ----------
    letters
        Full name of the dead-letter topic.
    record
        Of Kafka: key, value, headers, offset and timestamp (ms).
    topic, partition
        Where it was read.
    """
    key, value, own = record.key, record.value, record.headers or ()
    size = len(key or b"") + len(value or b"") + sum(len(name) + len(text or b"") for name, text in own)
    cut: tuple[tuple[str, bytes], ...] = ()
    if size > LARGEST_KEPT_BYTES:
        key = key and key[:KEPT_OF_A_CUT_BYTES]
        value = value and value[:KEPT_OF_A_CUT_BYTES]
        own = ()
        cut = ((CUT, b"%d" % size),)
    headers = dead_letter_headers(
        rejected.reason,
        rejected.detail,
        topic=topic,
        partition=partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        headers=own,
    )
    return Output(letters, 0, key, value, (*headers, *cut))


def dead_letter_headers(
    reason: Reason,
    detail: str,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    headers: Headers | None = (),
) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter: the record's own, then why and where from.

    Parameters
    ----------
    topic, partition, offset, timestamp_ms
        Of the record that could not be taken in.
    headers
        The record's own headers; of slawatch's among them only those of a replay are carried on.
    """
    kept = [(name, value) for name, value in headers or () if not name.startswith(_PREFIX) or name in _OF_A_REPLAY]
    return [
        *kept,
        (REASON, reason.value.encode()),
        (DETAIL, detail.encode("utf-8", "replace")),
        (TOPIC, topic.encode()),
        (PARTITION, b"%d" % partition),
        (OFFSET, b"%d" % offset),
        (TIMESTAMP, b"%d" % timestamp_ms),
    ]


def dead_letter_of(record: ConsumerRecord) -> DeadLetter:
    """Read a record of the dead-letter topic.

    Raises
    ------
    DeadLetterError
        If a header is missing or unreadable: someone else wrote it.
    """
    found = dict(record.headers)  # the last of a name: slawatch's own are behind the record's
    identity = f"{record.partition}:{record.offset}"
    try:
        return DeadLetter(
            id=identity,
            reason=found[REASON].decode(),
            detail=found[DETAIL].decode(),
            topic=found[TOPIC].decode(),
            partition=int(found[PARTITION]),
            offset=int(found[OFFSET]),
            timestamp_ms=int(found[TIMESTAMP]),
            dead_at_ms=record.timestamp,
            replays=replays_of(record.headers),
            replayed_from=found[REPLAYED_FROM].decode() if found.get(REPLAYED_FROM) else None,
            key=record.key,
            value=record.value,
            headers=tuple((name, value) for name, value in record.headers if not name.startswith(_PREFIX)),
            cut_from_bytes=int(found[CUT]) if found.get(CUT) else None,
        )
    except KeyError as error:
        raise DeadLetterError(f"{identity}: no header {error.args[0]}: not written by slawatch") from error
    except (ValueError, AttributeError, TypeError) as error:  # no number, no UTF-8, no value at all
        raise DeadLetterError(f"{identity}: a header can't be read: {error}") from error


def replays_of(headers: Headers) -> int:
    """Return how often a record has been replayed, 0 if its headers don't say."""
    for name, value in headers:
        if name == REPLAYS and value and value.isdigit():  # Kafka allows a header without a value
            return int(value)
    return 0


def replay_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """Return the headers of a replay: the record's own, where it comes from, and the count for the loop guard."""
    return [
        *letter.headers,
        (REPLAYED_FROM, letter.id.encode()),
        (REPLAYS, b"%d" % (letter.replays + 1)),
    ]


class Limit:
    """Share of the last records that failed in our own code: what makes a worker stop instead of diverting everything.

    Only :data:`OUR_FAULTS` count; one publisher's garbage never stops anyone. Pure: the caller counts and asks.

    Parameters
    ----------
    ratio : float
        Share in 0..1 above which :attr:`exceeded` is true.
    window : int
        Number of records looked back on. Until so many have been seen the missing ones count as taken in, so that one
        bad record at the start stops nobody.

    Examples
    --------
    >>> limit = Limit(0.5, window=4)
    >>> for _ in range(3):
    ...     limit.rejected(Reason.INTERNAL_ERROR)
    >>> limit.exceeded
    True
    >>> limit.accepted(2)
    >>> limit.ratio, limit.exceeded
    (0.5, False)
    """

    __slots__ = ("_faults", "_largest_ratio", "_runs", "_seen", "_window")

    def __init__(self, ratio: float, window: int = 1000) -> None:
        self._largest_ratio = ratio
        self._window = window
        # Runs of [is ours, length]: a chunk of thousands of good records is one entry.
        self._runs: deque[list[int]] = deque()
        self._seen = 0
        self._faults = 0

    def accepted(self, records: int = 1) -> None:
        """Count records that were taken in."""
        self._count(is_fault=False, records=records)

    def rejected(self, reason: Reason) -> None:
        """Count one record that was not."""
        self._count(is_fault=reason in OUR_FAULTS, records=1)

    @property
    def ratio(self) -> float:
        """Share of our own faults in the window, 0..1."""
        return self._faults / self._window

    @property
    def exceeded(self) -> bool:
        """Whether the share is above the limit."""
        return self.ratio > self._largest_ratio

    def _count(self, *, is_fault: bool, records: int) -> None:
        if records <= 0:
            return
        records = min(records, self._window)
        if self._runs and self._runs[-1][0] == is_fault:
            self._runs[-1][1] += records
        else:
            self._runs.append([is_fault, records])
        self._seen += records
        self._faults += records * is_fault
        while (surplus := self._seen - self._window) > 0:
            oldest = self._runs[0]
            dropped = min(surplus, oldest[1])
            oldest[1] -= dropped
            self._seen -= dropped
            self._faults -= dropped * oldest[0]
            if not oldest[1]:
                self._runs.popleft()


async def read_dead_letters(
    settings: Settings, *, reason: str | None = None, since_ms: int | None = None
) -> AsyncIterator[DeadLetter | DeadLetterError]:
    """Yield the dead letters there are when the reading begins, oldest first, each once.

    A worker that takes a partition over sends the outputs of its last steps again; those are passed over.

    Parameters
    ----------
    reason
        Only those of this reason.
    since_ms
        Only those put there at this instant or later.

    Yields
    ------
    DeadLetter or DeadLetterError
        The error for a record that slawatch did not write; left out when a reason is asked for.
    """
    topic = Topics(settings).name(DEAD_LETTERS)
    newest: dict[str, int] = {}
    async for record in read_to_end(settings.kafka, [topic], since_ms=since_ms):
        if (made_by := provenance_of(record.headers)) is not None:
            source, ordinal = made_by
            if ordinal <= newest.get(source, -1):
                continue
            newest[source] = ordinal
        try:
            letter = dead_letter_of(record)
        except DeadLetterError as error:
            if reason is None:
                yield error
        else:
            if reason is None or letter.reason == reason:
                yield letter


async def replayable(settings: Settings, reason: str, *, since_ms: int | None = None) -> list[DeadLetter]:
    """Return the dead letters of a reason, oldest first, without those whose replay has failed again.

    A replay that failed left a newer dead letter of the same record: sending both would double them each time.
    """
    letters = [
        letter async for letter in read_dead_letters(settings, since_ms=since_ms) if isinstance(letter, DeadLetter)
    ]
    superseded = {letter.replayed_from for letter in letters}
    return [letter for letter in letters if letter.reason == reason and letter.id not in superseded]


async def find_dead_letters(settings: Settings, ids: Iterable[str]) -> list[DeadLetter]:
    """Return the dead letters of some ids (``partition:offset``), in that order.

    Raises
    ------
    DeadLetterError
        For an id that is none, one that is not (any more) there, and one that slawatch did not write.
    """
    places = [place_of(identity) for identity in ids]
    topic = Topics(settings).name(DEAD_LETTERS)
    counts = await require_topics(settings.kafka, [topic])
    async with consumer_client(settings.kafka, fetch_max_wait_ms=100) as consumer:
        letters: list[DeadLetter] = []
        for number, offset in places:
            if number >= counts[topic]:
                raise DeadLetterError(f"{number}:{offset}: the topic has {counts[topic]} partition(s), counted from 0")
            try:
                async with asyncio.timeout(settings.kafka.request_timeout_seconds):
                    letters.append(await _find(consumer, TopicPartition(topic, number), offset))
            except TimeoutError as error:
                raise BrokerUnreachable(
                    f"{settings.kafka.bootstrap} does not send {number}:{offset} of {topic}"
                ) from error
        return letters


async def _find(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> DeadLetter:
    consumer.assign([partition])
    first = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    if first <= offset < end:
        consumer.seek(partition, offset)
        while await consumer.position(partition) <= offset:
            for record in (await consumer.getmany(partition, timeout_ms=500, max_records=1)).get(partition, []):
                if record.offset == offset:
                    return dead_letter_of(record)
    held = f"{partition.partition}:{first} to {partition.partition}:{end - 1}" if first < end else "nothing"
    raise DeadLetterError(f"{partition.partition}:{offset}: not there; partition {partition.partition} holds {held}")


def place_of(identity: str) -> tuple[int, int]:
    """Return (partition, offset) of a dead letter's id.

    Raises
    ------
    DeadLetterError
        If it is no id.
    """
    partition, colon, offset = identity.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        raise DeadLetterError(f"{identity}: an id is partition:offset, for example 0:17")
    return int(partition), int(offset)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What happened to one dead letter that was to be replayed; exactly one of the two is set, unless it was a dry run.

    Attributes
    ----------
    to : str or None
        ``topic/partition@offset`` where it is now.
    refused : str or None
        Why it was not sent.
    """

    letter: DeadLetter
    to: str | None = None
    refused: str | None = None


async def replay(
    settings: Settings,
    letters: Sequence[DeadLetter],
    *,
    dry_run: bool = False,
    force: bool = False,
    on_each: Callable[[Replayed], None] = lambda _replayed: None,
) -> list[Replayed]:
    """Send dead letters to the topics they came from, one after another in the order given.

    The key chooses the partition again (murmur2), so a record that was on a wrong one gets to its own. Events carry
    their identity: what was taken in meanwhile is not counted twice.

    Parameters
    ----------
    dry_run
        Send nothing; what would be sent has neither ``to`` nor ``refused``.
    force
        Also send what has been replayed :data:`MOST_REPLAYS` times.
    on_each
        Called when a letter's fate is known.

    Raises
    ------
    KafkaFault
        If a record can't be sent. What was sent before is told by ``on_each``.
    """
    topics = Topics(settings)
    done: list[Replayed] = []
    async with AsyncExitStack() as stack:
        producer = None
        for letter in letters:
            refused = _why_not(topics, letter, force=force)
            if refused or dry_run:
                outcome = Replayed(letter, refused=refused)
            else:
                if producer is None:
                    client = producer_client(settings.kafka, max_request_size=_LARGEST_REQUEST_BYTES)
                    producer = await stack.enter_async_context(client)
                outcome = Replayed(letter, to=await _send(producer, letter))
            done.append(outcome)
            on_each(outcome)
    return done


async def _send(producer: AIOKafkaProducer, letter: DeadLetter) -> str:
    try:
        sent = await producer.send_and_wait(
            letter.topic,
            value=letter.value,
            key=letter.key,
            # Without a key the producer would choose any partition; keep the one it came from.
            partition=letter.partition if letter.key is None else None,
            headers=replay_headers(letter),
        )
    except (KafkaError, AssertionError) as error:  # aiokafka asserts that the partition exists
        raise KafkaFault(f"{letter.id}: could not be sent to {letter.topic}: {error!r}") from error
    return f"{sent.topic}/{sent.partition}@{sent.offset}"


_LARGEST_REQUEST_BYTES: Final = 4 * 1024 * 1024
"""Above the largest record of any input topic."""


def _why_not(topics: Topics, letter: DeadLetter, *, force: bool) -> str | None:
    origin = topics.of_name(letter.topic)
    # The header says where to; whoever can write a dead letter must not be able to write anywhere by it.
    if origin is None or origin.kind is not Kind.EVENTS:
        inputs = ", ".join(topic.name for topic in topics.all if topic.kind is Kind.EVENTS)
        return f"its origin {letter.topic} is no input topic ({inputs})"
    if letter.cut_from_bytes is not None:
        return f"only its beginning is kept, it had {letter.cut_from_bytes} bytes; its publisher has to send it again"
    if letter.replays >= MOST_REPLAYS and not force:
        return f"replayed {letter.replays} times already and failed each time; --force sends it again"
    return None
