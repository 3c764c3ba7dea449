"""Send one ticket event: python examples/send_event.py [bootstrap [topic]]. The key must be the ticket id, in UTF-8."""

import asyncio
import json
import sys
import uuid
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer


async def main(bootstrap: str = "127.0.0.1:9092", topic: str = "sla.tickets") -> None:
    event = {
        "version": 1, "type": "ticket", "id": str(uuid.uuid4()), "ticket": "INC-1", "event": "created",
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),  # noqa: TID251 - a publisher has its own clock
        "fields": {"service": "printing", "priority": "P2", "customer": "acme", "region": "jakarta"},
    }  # fmt: skip
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        record = await producer.send_and_wait(topic, json.dumps(event).encode(), key=event["ticket"].encode())
        print(f"{event['ticket']} is at {record.topic}, partition {record.partition}, offset {record.offset}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
