"""Webhooks reach a real Kafka: on the ticket's partition, before the sender is told so, once however often they come."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sla.events import Rejected
from streams.broker import Broker
from streams.codecs import decode_ticket, partition_of

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[2]
WEBHOOKS = ROOT / "examples" / "webhooks"
PARTITIONS = 4
SECRET = "a-shared-secret"


async def _create_topic(kafka: Broker, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    finally:
        await admin.close()


def _environment(kafka: Broker, prefix: str) -> dict[str, str]:
    ours = {"SLAWATCH_KAFKA__BOOTSTRAP": kafka.bootstrap, "SLAWATCH_TOPICS__PREFIX": prefix, "COLUMNS": "200"}
    return {**os.environ, **ours, "SLAWATCH_KAFKA__REQUEST_TIMEOUT_SECONDS": "5"}


async def _start(kafka: Broker, prefix: str, *arguments: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "events", *map(str, arguments)),
        cwd=ROOT,
        env=_environment(kafka, prefix),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _records(kafka: Broker, topic: str) -> list[tuple[int, bytes, bytes]]:
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    found: list[tuple[int, bytes, bytes]] = []
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(30):
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                    found += [(partition.partition, record.key, record.value) for record in records]
    return found


def _judged(records: list[tuple[int, bytes, bytes]]) -> list[tuple[str, str]]:
    """Ticket and event of every record, each looked at as a worker would."""
    told = []
    for partition, key, value in records:
        decoded = decode_ticket(value, key)
        assert not isinstance(decoded, Rejected), decoded
        assert partition == partition_of(key, PARTITIONS)
        told.append((decoded[0], decoded[1].event))
    return told


async def test_mapped_bodies_are_published(kafka, make_topic, prefix):
    topic = await make_topic("sla.tickets", partitions=PARTITIONS)
    bodies = sorted(WEBHOOKS.glob("servicenow-*.json"))
    process = await _start(kafka, prefix, "map", "config/mappings/servicenow.yaml", *bodies, "--publish")
    out, err = await process.communicate()
    assert (process.returncode, out) == (0, b""), err.decode()
    assert b"3 events, 0 bodies refused, 0 ignored; 3 acknowledged by Kafka" in err
    assert _judged(await _records(kafka, topic)) == [
        ("INC0010021", "created"),
        ("INC0010021", "responded"),
        ("INC0010021", "resolved"),
    ]


@asynccontextmanager
async def _receiver(kafka: Broker, prefix: str, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--mapping", "config/mappings/jira.yaml", "--secret-file", secret, "--port", str(port)]
    options += ["--refused-dir", tmp_path / "refused"]
    process = await _start(kafka, prefix, "receive", *options)
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(url) as session, asyncio.timeout(60):
            while True:
                assert process.returncode is None, (await process.communicate())[1].decode()
                try:
                    if (await session.get("/health/ready")).status == 200:
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
            yield process, session
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _signed(body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}


async def test_a_webhook_that_was_answered_is_in_kafka_and_the_receiver_leaves_in_order(
    kafka, make_topic, prefix, tmp_path
):
    topic = await make_topic("sla.tickets", partitions=PARTITIONS)
    async with _receiver(kafka, prefix, tmp_path) as (process, session):
        for name in ("issue-created", "comment-created", "issue-updated", "issue-updated"):
            body = (WEBHOOKS / f"jira-{name}.json").read_bytes()
            async with session.post("/webhooks/jira", data=body, headers=_signed(body)) as response:
                assert (response.status, await response.json()) == (200, {"events": 1})
        async with session.post("/webhooks/jira", data=body, headers=_signed(b"other")) as response:
            assert response.status == 401
        async with session.post("/webhooks/jira", data=b"{}", headers=_signed(b"{}")) as response:
            assert response.status == 422
            assert "ticket: gives nothing, expected the ticket id" in (await response.json())["faults"]
        kept = (tmp_path / "refused" / "jira.jsonl").read_text(encoding="utf-8")
        assert json.loads(kept) == {"_request": {"query": {}}}

        records = await _records(kafka, topic)
        assert _judged(records) == [("DESK-22", word) for word in ("created", "responded", "resolved", "resolved")]
        # The webhook that was sent twice is one event.
        assert len({json.loads(value)["id"] for _, _, value in records}) == 3

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0


async def test_while_kafka_is_away_senders_are_told_to_come_again_and_nothing_is_lost(
    make_broker, prefix, tmp_path, eventually
):
    kafka = make_broker()
    topic = f"{prefix}sla.tickets"
    await _create_topic(kafka, topic)
    body = (WEBHOOKS / "jira-issue-created.json").read_bytes()
    async with _receiver(kafka, prefix, tmp_path) as (process, session):
        kafka.pause()
        async with session.post("/webhooks/jira", data=body, headers=_signed(body)) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert (await session.get("/health/ready")).status == 503
        kafka.resume()

        async def is_taken() -> bool:
            return (await session.post("/webhooks/jira", data=body, headers=_signed(body))).status == 200

        await eventually(is_taken, within_seconds=60)
        assert (await session.get("/health/ready")).status == 200
        records = await _records(kafka, topic)
        assert set(_judged(records)) == {("DESK-22", "created")}
        assert len({json.loads(value)["id"] for _, _, value in records}) == 1

        kafka.pause()
        unanswered = asyncio.ensure_future(session.post("/webhooks/jira", data=body, headers=_signed(body)))
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(40):
            assert (await unanswered).status == 503
            assert await process.wait() == 0
        kafka.resume()
