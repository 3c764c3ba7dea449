"""Publishes uptime samples and survives an outage of the broker: what can't be sent waits, up to a bound."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from config.settings import Settings

MOST_WAITING: Final = 100_000
"""Samples that wait for the broker; beyond it the oldest go, and are counted: missing data is missing."""

_RETRY_SECONDS: Final = 2.0
_BATCH: Final = 500

log = structlog.get_logger(__name__)


class SamplePublisher:
    """A queue of samples in front of Kafka.

    Parameters
    ----------
    settings : Settings
    topic : str
        Full name of sla.uptime.
    most_waiting : int
        Bound of the queue.

    Attributes
    ----------
    delivered, dropped : int
        Samples acknowledged by Kafka, and given up for want of space.
    """

    def __init__(self, settings: Settings, topic: str, most_waiting: int = MOST_WAITING) -> None:
        self._settings = settings
        self._topic = topic
        self._most_waiting = most_waiting
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.delivered = self.dropped = 0

    def __len__(self) -> int:
        """Return the number of samples that wait."""
        return len(self._waiting)

    def put(self, service: str, value: bytes) -> None:
        """Queue a sample."""
        self._waiting.append((service.encode(), value))
        if len(self._waiting) > self._most_waiting:
            self._waiting.popleft()
            self.dropped += 1
        self._empty.clear()
        self._changed.set()

    async def run(self) -> None:
        """Send what waits, until cancelled; the broker may come and go."""
        from streams.connection import CredentialsRefused, KafkaFault, producer_client

        away = False
        while True:
            try:
                async with producer_client(self._settings.kafka) as producer:
                    while True:
                        await self._send_batch(producer)
                        if away:
                            log.info("broker is back", waiting=len(self), dropped=self.dropped)
                        away = False
            except CredentialsRefused:
                raise  # waiting does not help
            except (KafkaFault, KafkaError, TimeoutError) as error:
                if not away:
                    log.warning("broker is away, samples wait", error=str(error), waiting=len(self))
                away = True
            await asyncio.sleep(_RETRY_SECONDS)

    async def drain(self, seconds: float) -> bool:
        """Wait until nothing waits any more; return whether that is so in time. :meth:`run` must be running."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _send_batch(self, producer: object) -> None:
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        batch = [self._waiting[place] for place in range(min(_BATCH, len(self._waiting)))]
        async with asyncio.timeout(self._settings.kafka.request_timeout_seconds):
            futures = [
                await producer.send(self._topic, key=service, value=value)  # type: ignore[attr-defined]
                for service, value in batch
            ]
            await asyncio.gather(*futures)
        self.delivered += len(batch)
        # They left by the front, unless the bound pushed some of them out meanwhile. Sent twice is sent once: each
        # sample has an id.
        sent = set(batch)
        while self._waiting and self._waiting[0] in sent:
            self._waiting.popleft()
        if not self._waiting:
            self._empty.set()
