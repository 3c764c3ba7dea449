"""The work: a stream of tickets with two clocks each, as JSON of about 200 bytes, written ahead into sla.tickets.

Five events a ticket (created, responded, waiting, resumed, resolved) in global order of event time, some 20,000 tickets
open at once, four priorities, business hours in Berlin. A heartbeat per partition and minute of event time moves the
clocks, as a player does: a log of the past appended now would otherwise be judged as of now.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer

from config.settings import Settings
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS
from streams.codecs import partition_of
from streams.connection import client_options
from streams.register_topics import DocumentKind, publish
from streams.topics import TICKETS, Topics

CALENDAR = (
    b'{"format":1,"kind":"Calendar","id":"bench-office","timezone":"Europe/Berlin","hours":{"mon":["08:00-18:00"],'
    b'"tue":["08:00-18:00"],"wed":["08:00-18:00"],"thu":["08:00-18:00"],"fri":["08:00-18:00"]}}'
)
_WITHIN = {"P1": ("1bh", "4bh"), "P2": ("2bh", "8bh"), "P3": ("4bh", "16bh"), "P4": ("8bh", "24bh")}


def contract_yaml(*, roomy: bool = False) -> dict[str, Any]:
    """Return the contract: response and resolution per priority, each with an objective and two warn levels.

    Parameters
    ----------
    roomy : bool
        Targets so long that nothing comes near them: tickets that stay open raise no alerts.
    """
    targets = []
    for priority, (response, resolution) in _WITHIN.items():
        if roomy:
            response, resolution = "1000bh", "2000bh"  # noqa: PLW2901
        common = {
            "applies_to": {"priority": priority},
            "start": {"event": "created"},
            "pause": {"waiting_for": ["customer"]},
            "objective": {"attain": "95%", "over": "30d"},
            "warn": {"consumed": ["50%", "90%"]},
        }
        low = priority.lower()
        targets.append({"id": f"bench-response-{low}", "metric": "response", "within": response, **common})
        targets[-1]["stop"] = {"event": ["responded", "resolved"]}
        targets.append({"id": f"bench-resolution-{low}", "metric": "resolution", "within": resolution, **common})
        targets[-1]["stop"] = {"event": "resolved"}
    return {
        "kind": "Contract",
        "id": "bench",
        "type": "sla",
        "level": "corporate",
        "provider": "desk",
        "owner": "bench@example.org",
        "revisions": [
            {
                "revision": 1,
                "status": "signed",
                "effective_from": "2020-01-01T00:00:00Z",
                "calendar": "bench-office",
                "targets": targets,
            }
        ],
    }


async def publish_register(settings: Settings, *, roomy: bool = False) -> None:
    """Put the benchmark's contract and calendar on the register."""
    import json

    contract = json.dumps({"format": 1, **contract_yaml(roomy=roomy)}).encode()
    documents = {(DocumentKind.CALENDAR, "bench-office"): CALENDAR, (DocumentKind.CONTRACT, "bench"): contract}
    await publish(settings, documents)


def events(count: int, end_ms: int, *, seed: int = 7, open_only: bool = False) -> Iterator[tuple[str, bytes, int]]:
    """Yield (ticket, value, instant) of ``count`` events in order of event time, the last one at about ``end_ms``.

    Parameters
    ----------
    open_only : bool
        Two events a ticket (created, updated): all tickets stay open.
    """
    kinds = ("created", "updated") if open_only else ("created", "responded", "updated", "updated", "resolved")
    per_ticket = len(kinds)
    tickets = count // per_ticket
    span_ms = max(DAY_MS * count // 1_000_000, 6 * HOUR_MS)
    rng = np.random.default_rng(seed)
    life = (2.4 * HOUR_MS * (0.2 + 1.6 * rng.random(tickets))).astype(np.int64)
    start = (rng.random(tickets) * max(span_ms - int(life.max(initial=0)), MINUTE_MS)).astype(np.int64)
    share = np.sort(rng.random((tickets, per_ticket - 1)), axis=1)
    share[:, -1] = 1.0
    at = np.empty((tickets, per_ticket), np.int64)
    at[:, 0] = start
    at[:, 1:] = start[:, None] + (share * life[:, None]).astype(np.int64)
    order = np.argsort(at.ravel(), kind="stable")
    instants = (at + (end_ms - span_ms)).ravel()
    priority, service = rng.integers(1, 5, tickets), rng.integers(0, 80, tickets)
    customer, region = rng.integers(0, 125, tickets), rng.integers(0, 4, tickets)
    waiting = ('"waiting_for":"customer","status":"on hold"', '"waiting_for":null,"status":"in work"')
    for number, place in enumerate(order.tolist()):
        ticket, kind = divmod(place, per_ticket)
        name = f"INC{ticket:08d}"
        second, ms = divmod(int(instants[place]), 1000)
        stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        if kind == 0:
            fields = (
                f'"customer":"cust-{customer[ticket]:04d}","service":"svc-{service[ticket]:04d}",'
                f'"priority":"P{priority[ticket]}","region":"eu-{region[ticket]}","team":"team-{service[ticket] % 12}"'
            )
        elif kinds[kind] == "updated":
            fields = waiting[kind % 2 if not open_only else 1]
        else:
            fields = f'"status":"{kinds[kind]}","assignee":"agent-{ticket % 97:03d}"'
        yield (
            name,
            f'{{"version":1,"id":"ev-{number:010d}","ticket":"{name}","event":"{kinds[kind]}",'
            f'"at":"{stamp}.{ms:03d}Z","fields":{{{fields}}}}}'.encode(),
            int(instants[place]),
        )


async def fill(settings: Settings, count: int, *, open_only: bool = False) -> tuple[int, float]:
    """Write ``count`` events; return (records written, mean bytes of a value)."""
    topics = Topics(settings)
    topic, partitions = topics.name(TICKETS), topics[TICKETS].partitions
    producer = AIOKafkaProducer(
        **client_options(settings.kafka), acks="all", compression_type="lz4", max_batch_size=500_000, linger_ms=5
    )
    await producer.start()
    try:
        batches: dict[int, Any] = {number: producer.create_batch() for number in range(partitions)}
        place: dict[str, int] = {}
        sent, size = 0, 0
        pending: dict[int, asyncio.Future[Any]] = {}

        async def flush(number: int) -> None:
            if number in pending:
                await pending[number]
            batches[number].close()
            pending[number] = await producer.send_batch(batches[number], topic, partition=number)
            batches[number] = producer.create_batch()

        end_ms = int(time.time() * 1000) - HOUR_MS
        beat_ms = 0

        async def beat(at_ms: int) -> None:
            value = b'{"version":1,"type":"heartbeat","at":%d}' % at_ms
            for number in range(partitions):
                if batches[number].append(key=b"heartbeat", value=value, timestamp=None) is None:
                    await flush(number)
                    batches[number].append(key=b"heartbeat", value=value, timestamp=None)

        for ticket, value, at_ms in events(count, end_ms, open_only=open_only):
            if at_ms >= beat_ms:
                if beat_ms:
                    await beat(beat_ms)
                beat_ms = at_ms - at_ms % MINUTE_MS + MINUTE_MS
            number = place.get(ticket)
            key = ticket.encode()
            if number is None:
                number = place[ticket] = partition_of(key, partitions)
            if batches[number].append(key=key, value=value, timestamp=None) is None:
                await flush(number)
                batches[number].append(key=key, value=value, timestamp=None)
            sent += 1
            size += len(value)
        await beat(beat_ms)
        for number in range(partitions):
            if batches[number].record_count():
                await flush(number)
        await asyncio.gather(*pending.values())
    finally:
        await producer.stop()
    return sent, size / max(1, sent)
