"""Sends the outputs of steps: in order per source, acknowledged by all in-sync replicas, through one producer.

Runners of many partitions send to few destinations. Each destination has one queue and one batch on its way; what
arrives meanwhile goes into the next batch together, whichever runner it came from: under load few large requests, at
rest no delay. (aiokafka's ``send_batch`` with several waiters on one partition starves some of them into a timeout.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from streams.ownership import WRITE_TIMEOUT_MS
from streams.state_rows import Output

LARGEST_BATCH_BYTES: Final = 900_000
"""Below the default max.message.bytes (1 MiB) of public topics."""


class _Delivery:
    """The outputs of one call: done when the last of them is acknowledged."""

    __slots__ = ("future", "open")

    def __init__(self, count: int) -> None:
        self.open = count
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self, count: int) -> None:
        self.open -= count
        if not self.open and not self.future.done():
            self.future.set_result(None)

    def failed(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class OutputSender:
    """The process's producer for everything that is not state.

    A failed send raises in every call it concerns: the worker stops, and the next owner sends the outbox again.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._options = {**client, "request_timeout_ms": WRITE_TIMEOUT_MS}
        self._producer: Any = None
        self._queues: dict[tuple[str, int], deque[tuple[Output, _Delivery]]] = {}
        self._pumps: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            compression_type="snappy",  # a ninth of the time of lz4 (aiokafka takes level 9) at 1.2 times the size
            max_batch_size=LARGEST_BATCH_BYTES,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Wait for what is on its way and disconnect."""
        await asyncio.gather(*self._pumps.values(), return_exceptions=True)
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    def send(self, outputs: Iterable[Output]) -> asyncio.Future[None]:
        """Queue outputs; the future resolves when the broker has all of them.

        Outputs of one source must come in calls in their order; they reach each destination in that order.
        """
        outputs = list(outputs)
        delivery = _Delivery(len(outputs))
        if not outputs:
            delivery.future.set_result(None)
        for output in outputs:
            destination = (output.topic, output.partition)
            queue = self._queues.get(destination)
            if queue is None:
                queue = self._queues[destination] = deque()
            queue.append((output, delivery))
            if destination not in self._pumps:
                self._pumps[destination] = asyncio.create_task(self._pump(destination, queue))
        return delivery.future

    async def _pump(self, destination: tuple[str, int], queue: deque[tuple[Output, _Delivery]]) -> None:
        deliveries: dict[_Delivery, int] = {}
        try:
            while queue:
                deliveries = {}
                future = await self._send_some(destination, queue, deliveries)
                await future
                for delivery, count in deliveries.items():
                    delivery.acknowledged(count)
        except BaseException as error:  # noqa: BLE001 - told to every caller concerned
            for delivery in {*deliveries, *(delivery for _, delivery in queue)}:
                delivery.failed(error)
            queue.clear()
        finally:
            del self._pumps[destination]

    async def _send_some(
        self,
        destination: tuple[str, int],
        queue: deque[tuple[Output, _Delivery]],
        deliveries: dict[_Delivery, int],
    ) -> asyncio.Future[Any]:
        """Send as many queued outputs as fit into one batch; ``deliveries`` receives whose they are.

        The first one always fits: one that is larger than a batch goes alone, and the topic's own limit judges it.
        """
        topic, partition = destination
        batch = self._producer.create_batch()
        while queue:
            output, delivery = queue[0]
            headers = list(output.headers)
            if batch.append(key=output.key, value=output.value, timestamp=None, headers=headers) is None:
                break
            queue.popleft()
            deliveries[delivery] = deliveries.get(delivery, 0) + 1
        batch.close()
        return await self._producer.send_batch(batch, topic, partition=partition)  # type: ignore[no-any-return]
