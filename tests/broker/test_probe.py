"""A real probe, a real service and a real Kafka: samples arrive once, also those of a time without a broker."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typing_extensions import override

from config.settings import Settings
from sla.uptime_events import ProbeSample
from streams.child_process import ChildProcess
from streams.codecs import partition_of
from streams.connection import read_to_end
from streams.local_broker import LocalBroker
from streams.topic_admin import apply
from streams.uptime_codec import decode_uptime

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 3


class Portal(BaseHTTPRequestHandler):
    """A service that can be switched off."""

    is_up = True

    def do_GET(self) -> None:
        self.send_response(200 if Portal.is_up else 500)
        self.end_headers()

    @override
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def portal() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Portal.is_up = True
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


async def samples(settings: Settings) -> list[ProbeSample]:
    found = []
    async for record in read_to_end(settings.kafka, [f"{settings.topics.prefix}sla.uptime"]):
        decoded = decode_uptime(record.value, record.key)
        assert isinstance(decoded, ProbeSample), decoded
        assert record.partition == partition_of(record.key, PARTITIONS)
        found.append(decoded)
    return found


async def test_samples_arrive_also_those_of_a_time_without_a_broker(make_broker, portal, prefix, tmp_path, eventually):
    broker: LocalBroker = make_broker()
    settings = Settings(kafka={"bootstrap": broker.bootstrap}, topics={"prefix": prefix, "partitions": PARTITIONS})
    await apply(settings)
    history = tmp_path / "history.jsonl"
    command = [sys.executable, "-m", "cli.main", "events", "probe", f"portal={portal}", "--every", "0.2s"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SLAWATCH_KAFKA__BOOTSTRAP": broker.bootstrap,
        "SLAWATCH_KAFKA__REQUEST_TIMEOUT_SECONDS": "5",
        "SLAWATCH_TOPICS__PREFIX": prefix,
    }
    probe = ChildProcess(
        [*command, "--name", "fra-1", "--out", str(history)], log_file=tmp_path / "probe.log", environment=environment
    )
    probe.start()
    try:

        async def some_arrived() -> bool:
            return len(await samples(settings)) >= 5

        await eventually(some_arrived)
        broker.pause()
        Portal.is_up = False
        await asyncio.sleep(2)
        seen = len(history.read_bytes().splitlines())
        Portal.is_up = True
        broker.resume()
        await asyncio.sleep(1)
        await asyncio.to_thread(probe.stop)
        print(probe.log_tail(20))
        assert probe.exit_code == 0
    finally:
        probe.kill()
    told = history.read_bytes().splitlines()
    arrived = await samples(settings)
    assert len(told) > seen > 5
    # Sent again is not there twice for a reader: each has its identity.
    assert len({sample.uid for sample in arrived}) == len(told)
    assert {sample.probe for sample in arrived} == {"fra-1"}
    assert {sample.good for sample in arrived} == {0, 1}
