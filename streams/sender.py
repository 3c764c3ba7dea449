"""Sends the outputs of steps: in order per source, acknowledged by all replicas, through one idempotent producer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from streams.ownership import WRITE_TIMEOUT_MS
from streams.state_rows import Output

_LARGEST_BATCH_BYTES: Final = 900_000
"""Below the default max.message.bytes (1 MiB) of public topics."""


class OutputSender:
    """The process's producer for everything that is not state.

    Records of one call go out in their order within each destination partition; calls for one source must follow one
    another (the runner of a partition does). A failed send raises: the worker stops, and the next owner sends the
    outbox again.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._options = {**client, "request_timeout_ms": WRITE_TIMEOUT_MS}
        self._producer: Any = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=_LARGEST_BATCH_BYTES,
            max_request_size=4 * _LARGEST_BATCH_BYTES,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def send(self, outputs: Iterable[Output]) -> list[asyncio.Future[Any]]:
        """Queue outputs; the futures resolve when the broker has them."""
        producer = self._producer
        batches: dict[tuple[str, int], Any] = {}
        futures: list[asyncio.Future[Any]] = []
        for output in outputs:
            destination = (output.topic, output.partition)
            batch = batches.get(destination)
            if batch is None:
                batch = batches[destination] = producer.create_batch()
            headers = list(output.headers)
            if batch.append(key=output.key, value=output.value, timestamp=None, headers=headers) is None:
                if not batch.record_count():
                    # Larger than a batch: let the broker judge it by the topic's own limit.
                    futures.append(
                        await producer.send(output.topic, output.value, output.key, output.partition, headers=headers)
                    )
                    continue
                futures.append(await self._send_batch(batch, destination))
                batch = batches[destination] = producer.create_batch()
                if batch.append(key=output.key, value=output.value, timestamp=None, headers=headers) is None:
                    raise ValueError(f"an output of {len(output.value or b'')} bytes does not fit into a batch")
        for destination, batch in batches.items():
            if batch.record_count():
                futures.append(await self._send_batch(batch, destination))
        return futures

    async def _send_batch(self, batch: Any, destination: tuple[str, int]) -> asyncio.Future[Any]:
        batch.close()
        topic, partition = destination
        return await self._producer.send_batch(batch, topic, partition=partition)  # type: ignore[no-any-return]
