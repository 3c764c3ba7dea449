"""Latency from the producer's clock to the arrival of the alert record the event causes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer

from config.settings import Settings
from sla.units import HOUR_MS
from streams.codecs import partition_of
from streams.connection import client_options, consumer_client
from streams.topics import ALERTS, TICKETS, Topics

_EVERY = 50
"""Every so many events is one that raises an alert; the others are ordinary updates."""


async def measure_latency(settings: Settings, rate: int, seconds: float) -> dict[str, float]:
    """Offer ``rate`` events a second; return quantiles of the time until the alert record is read, in ms.

    The probing event opens a ticket whose clock started long enough ago to be at risk at once.
    """
    topics = Topics(settings)
    sent_at: dict[str, float] = {}
    found: list[tuple[float, float]] = []
    started = time.time()
    counted_from = started + seconds / 3
    producer = AIOKafkaProducer(**client_options(settings.kafka), acks=1, linger_ms=2, compression_type="lz4")
    await producer.start()
    async with consumer_client(settings.kafka, auto_offset_reset="latest", fetch_max_wait_ms=50) as consumer:
        consumer.subscribe([topics.name(ALERTS)])
        await consumer.getmany(timeout_ms=2000)

        async def read() -> None:
            async for record in consumer:
                now = time.time()
                ticket = (record.key or b"").split(b"/", 1)[-1].split(b":", 1)[0].decode()
                begun = sent_at.pop(ticket, None)
                if begun is not None and begun >= counted_from:
                    found.append((begun, (now - begun) * 1000))

        reader = asyncio.create_task(read())
        started = time.time()
        counted_from = started + seconds / 3
        offered = await _offer(producer, topics, rate, seconds, sent_at)
        took = time.time() - started
        await asyncio.sleep(2)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    await producer.stop()
    delays = sorted(delay for _, delay in found)
    if not delays:
        raise SystemExit("no alert came back")
    return {
        "reached_per_s": offered / took,
        "alerts": float(len(delays)),
        "p50_ms": delays[len(delays) // 2],
        "p99_ms": delays[int(len(delays) * 0.99)],
        "max_ms": delays[-1],
    }


async def _offer(producer: Any, topics: Topics, rate: int, seconds: float, sent_at: dict[str, float]) -> int:
    topic, partitions = topics.name(TICKETS), topics[TICKETS].partitions
    names = [f"LAT{number:06d}" for number in range(5_000)]
    places = [partition_of(name.encode(), partitions) for name in names]
    begun = time.time()
    sent = probes = 0
    while (elapsed := time.time() - begun) < seconds:
        while sent < rate * elapsed:
            now = time.time()
            if sent % _EVERY == 0:
                # 30 elapsed days ago: used up whatever the calendar, yet within the retention.
                at, name = now - 30 * 24 * HOUR_MS / 1000, f"PROBE{probes:07d}"
                probes += 1
                place = partition_of(name.encode(), partitions)
                body = '"event":"created","fields":{"priority":"P4","team":"team-1","service":"svc-1"}'
                sent_at[name] = now
            else:
                at, name, place = now, names[sent % len(names)], places[sent % len(names)]
                body = '"event":"created","fields":{"priority":"P4","team":"team-2","status":"in work"}'
            stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
            value = f'{{"version":1,"id":"{name}-{sent}","ticket":"{name}","at":"{stamp}",{body}}}'.encode()
            await producer.send(topic, value, name.encode(), place)
            sent += 1
        await asyncio.sleep(0.001)
    await producer.flush()
    return sent
