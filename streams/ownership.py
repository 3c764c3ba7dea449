"""The right to write one state partition: at most one process has it, and the broker enforces it.

Fencing without transactions. A producer with a ``transactional_id`` sends InitProducerId when it starts, which bumps
the producer epoch; from there on it writes as a plain *idempotent* producer with that id and epoch: no transactions, no
control records in the log, no cost per batch. The new owner's first record is a takeover marker; once it is in the
partition, every write of an older epoch is refused by the broker. What the old owner got in before the marker is in
the log before it, is whole (a step is one record batch) and is restored.

The fence lapses when the coordinator forgets an idle transactional id (``transactional.id.expiration.ms``, 7 days by
default): an owner takes its partition again every 12 hours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from streams.state_rows import OWNER_KEY, Marker, encode_marker

LARGEST_BATCH_BYTES: Final = 12_000_000
"""Below the state topics' max.message.bytes (16 MiB) and above what a step may hold (8 MB with its outbox)."""

LARGEST_REQUEST_BYTES: Final = 16_000_000

WRITE_TIMEOUT_MS: Final = 120_000
"""A state write is retried this long (broker restart, leader election) before the worker stops."""

_CLOSE_SECONDS: Final = 5.0


class BatchTooLargeError(Exception):
    """A step does not fit into one record batch; steps are cut long before, so this is a fault of ours."""


class Owner:
    """Writes one state partition.

    Parameters
    ----------
    client : dict
        aiokafka's connection options.
    topic : str
    partition : int
    name : str
        Of this process, for the marker.
    """

    def __init__(self, client: Mapping[str, Any], topic: str, partition: int, name: str) -> None:
        self._client = dict(client)
        self.topic = topic
        self.partition = partition
        self.name = name
        self.marker_offset = -1
        self.last_offset = -1
        """Last offset this owner's acknowledged writes have reached."""
        self.last_batch_bytes = 0
        """Size of the newest batch queued, before compression."""
        self.producer_id = -1
        self._producer: Any = None

    async def take(self) -> int:
        """Take the partition: bump the epoch, write the marker. Returns the marker's offset.

        From here on every older owner is refused. Restore at least up to the marker before the first step.
        """
        options = {**self._client, "request_timeout_ms": WRITE_TIMEOUT_MS}
        producer: Any = AIOKafkaProducer(
            **options,
            transactional_id=f"{self.topic}-{self.partition}",
            acks="all",
            max_batch_size=LARGEST_BATCH_BYTES,
            max_request_size=LARGEST_REQUEST_BYTES,
            compression_type="snappy",  # a ninth of the time of lz4 (aiokafka takes level 9) at 1.2 times the size
        )
        try:
            await producer.start()
            await producer._txn_manager.wait_for_pid()
        except BaseException:
            await producer.stop()
            raise
        transactions = producer._txn_manager
        transactions.transactional_id = None  # from here on idempotent, not transactional
        former, self._producer = self._producer, producer
        self.producer_id = transactions.producer_id
        if former is not None:
            await _close(former)
        marker = Marker(self.name, transactions.producer_id, transactions.producer_epoch)
        written = await self.write({OWNER_KEY: encode_marker(marker)})
        self.marker_offset = (await written).offset
        self.last_offset = self.marker_offset
        return self.marker_offset

    async def write(self, rows: Mapping[bytes, bytes | None]) -> asyncio.Future[Any]:
        """Queue rows as one record batch: Kafka stores it whole or not at all.

        Returns
        -------
        asyncio.Future
            Of the broker's answer (``offset`` of the first record). ``ProducerFenced`` or any other exception: this
            process may not write any more and has to stop.
        """
        batch = self._producer.create_batch()
        append = batch.append
        for key, value in rows.items():
            if append(key=key, value=value, timestamp=None) is None:
                raise BatchTooLargeError(
                    f"{self.topic}/{self.partition}: a step of {len(rows)} rows is over {LARGEST_BATCH_BYTES} bytes"
                )
        batch.close()
        self.last_batch_bytes = batch.size()
        count = len(rows)
        future: asyncio.Future[Any] = await self._producer.send_batch(batch, self.topic, partition=self.partition)

        def acknowledged(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.last_offset = done.result().offset + count - 1

        future.add_done_callback(acknowledged)
        return future

    async def close(self) -> None:
        """Give the partition up; the fence stays until someone takes it."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await _close(producer)


async def _close(producer: Any) -> None:
    # A fenced producer never gets its buffer flushed: don't wait for it for ever.
    try:
        await asyncio.wait_for(producer.stop(), _CLOSE_SECONDS)
    except TimeoutError:
        producer._sender.sender_task.cancel()
        await asyncio.gather(producer._sender.sender_task, return_exceptions=True)
        await producer.client.close()
