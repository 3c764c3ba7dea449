"""What the player sends to a real Kafka is there: each event once, on its partition, before the heartbeat that covers it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from sla.events import Heartbeat
from sla.units import parse_instant
from sources.simulator import simulate
from streams.broker import Broker
from streams.codecs import decode_ticket, partition_of

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[2]
START = "2026-11-02T06:00:00Z"
PARTITIONS = 4


def _command(kafka: Broker, prefix: str, *arguments: str, **more: str) -> tuple[list[str], dict[str, str]]:
    environment = {"SLAWATCH_KAFKA__BOOTSTRAP": kafka.bootstrap, "SLAWATCH_TOPICS__PREFIX": prefix, **more}
    return [sys.executable, "-m", "cli.main", "events", *arguments], {**os.environ, "COLUMNS": "200", **environment}


async def _run(kafka: Broker, prefix: str, *arguments: str, **more: str) -> tuple[int, str]:
    command, environment = _command(kafka, prefix, *arguments, **more)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _, stderr = await process.communicate()
    return process.returncode or 0, stderr.decode()


async def _records(kafka: Broker, topic: str) -> dict[int, list[tuple[bytes, bytes]]]:
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    found: dict[int, list[tuple[bytes, bytes]]] = {number: [] for number in range(PARTITIONS)}
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(30):
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[partition.partition] += [(record.key, record.value) for record in records]
    return found


async def test_a_simulated_morning_arrives_whole_in_order_and_with_true_heartbeats(kafka, make_topic, prefix):
    topic = await make_topic("sla.tickets", partitions=PARTITIONS)
    code, said = await _run(kafka, prefix, "simulate", "--seed", "5", "--hours", "6", "--start", START)
    assert code == 0, said

    start_ms = parse_instant(START)
    expected = {event.id: event for event in simulate(5, start_ms, 6 * 3_600_000)}
    seen: set[str] = set()
    for number, records in (await _records(kafka, topic)).items():
        now_ms = 0
        for key, value in records:
            decoded = decode_ticket(value, key)
            if isinstance(decoded, Heartbeat):
                assert decoded.at_ms > now_ms
                now_ms = decoded.at_ms
                continue
            ticket, event = decoded
            assert partition_of(key, PARTITIONS) == number
            assert event.at_ms > now_ms
            uid = json.loads(value)["id"]
            assert uid not in seen
            seen.add(uid)
            assert expected[uid].ticket == ticket
        assert now_ms == start_ms + 6 * 3_600_000
        assert records[-1][0] == b"heartbeat"
    assert seen == expected.keys()
    assert f"{len(expected):,} events and 7 heartbeats" in said


async def test_a_file_that_is_stopped_half_way_ends_in_order_and_says_what_arrived(kafka, make_topic, prefix):
    topic = await make_topic("sla.tickets", partitions=PARTITIONS)
    arguments = ("play", "examples/tickets.csv", "--mapping", "examples/tickets-mapping.yaml", "--speed", "600")
    command, environment = _command(kafka, prefix, *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    async with asyncio.timeout(60):
        while not any((await _records(kafka, topic)).values()):
            assert process.returncode is None
            await asyncio.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = await process.communicate()

    said = stderr.decode()
    assert process.returncode == 1, said
    events = [key for records in (await _records(kafka, topic)).values() for key, _ in records if key != b"heartbeat"]
    assert 0 < len(events) < 13
    assert f"Stopped. {len(events)} events" in said
    assert "the last heartbeat was not sent" in said


async def test_a_topic_that_is_not_there_is_not_made(kafka, admin, prefix):
    code, said = await _run(kafka, prefix, "simulate", "--hours", "1", "--start", START)

    assert code == 1
    assert f"no such topic on {kafka.bootstrap}: {prefix}sla.tickets" in said
    assert f"{prefix}sla.tickets" not in await admin.list_topics()


async def test_an_event_too_large_for_the_topic_is_a_loss_that_nobody_overlooks(kafka, make_topic, prefix, tmp_path):
    await make_topic("sla.tickets", partitions=PARTITIONS, configs={"max.message.bytes": "2000"})
    file = tmp_path / "events.jsonl"
    document = {"version": 1, "id": "a", "ticket": "A", "event": "created", "at": 1_793_584_800_000}
    # Noise, so that compression does not make it small.
    file.write_text(json.dumps({**document, "fields": {"text": os.urandom(4000).hex()}}) + "\n")
    code, said = await _run(kafka, prefix, "play", str(file))

    assert code == 1
    assert "acknowledged are 0 of the 1 events" in said
    assert "Traceback" not in said


async def test_the_example_publisher_sends_an_event_that_the_worker_reads(kafka, make_topic):
    topic = await make_topic("sla.tickets", partitions=PARTITIONS)
    arguments = ("examples/send_event.py", kafka.bootstrap, topic)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=subprocess.PIPE)
    stdout, _ = await process.communicate()
    assert process.returncode == 0

    ((number, (key, value)),) = [
        (number, record) for number, records in (await _records(kafka, topic)).items() for record in records
    ]
    assert isinstance(decode_ticket(value, key), tuple)
    assert partition_of(key, PARTITIONS) == number
    assert f"partition {number}, offset 0" in stdout.decode()
