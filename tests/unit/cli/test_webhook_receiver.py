"""A 2xx of the receiver means that Kafka has the events; everything else is told to the sender and counted."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiokafka.errors import KafkaTimeoutError
from typer.testing import CliRunner

from cli.main import app
from cli.refused_bodies import RefusedBodies
from cli.webhook_receiver import Endpoint, ReceiverState, create_receiver
from config.mapping_model import MappingModel, load_mapping
from export.receiver_metrics import ReceiverMetrics
from sources.record import SourceEvent
from sources.webhook_mapping import WebhookMapper

ROOT = Path(__file__).parents[3]
JIRA = (ROOT / "examples" / "webhooks" / "jira-issue-updated.json").read_bytes()
SECRET = b"s3cret"


class Kafka:
    """Takes what is published, or fails, or makes wait, as told."""

    def __init__(self) -> None:
        self.events: list[SourceEvent] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, events: Sequence[SourceEvent]) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.events += events


def a_mapper(**fields: object) -> WebhookMapper:
    document = {"kind": "Mapping", "id": "open", "ticket": "key", "at": "at", "otherwise": "updated", **fields}
    return WebhookMapper(MappingModel.model_validate(document))


@asynccontextmanager
async def receiver(kafka: Kafka, state: ReceiverState | None = None, **options: Any):
    jira = WebhookMapper(load_mapping(ROOT / "config" / "mappings" / "jira.yaml"))
    endpoints = {
        "jira": Endpoint(jira, (b"old", SECRET)),
        "open": Endpoint(a_mapper(ignore=["ping"]), ()),
    }
    application = create_receiver(
        endpoints,
        kafka.publish,
        now_ms=lambda: 0,
        metrics=ReceiverMetrics(endpoints),
        state=state or ReceiverState(),
        **options,
    )
    async with TestClient(TestServer(application)) as client:
        yield client


def signed(body: bytes = JIRA, secret: bytes = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()}


async def counted(client: TestClient) -> dict[str, float]:
    text = await (await client.get("/metrics")).text()
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("slawatch_webhook"))
    return {name: float(value) for name, _, value in lines if "_bucket" not in name and "_created" not in name}


async def test_a_webhook_is_answered_once_kafka_has_its_events():
    kafka = Kafka()
    kafka.gate.clear()
    async with receiver(kafka) as client:
        request = asyncio.ensure_future(client.post("/webhooks/jira", data=JIRA, headers=signed()))
        await asyncio.sleep(0.05)
        assert not request.done()
        kafka.gate.set()
        response = await request
        assert (response.status, await response.json()) == (200, {"events": 1})
        assert [(event.ticket, event.event) for event in kafka.events] == [("DESK-22", "resolved")]
        values = await counted(client)
        assert values['slawatch_webhooks_total{mapping="jira",result="published"}'] == 1
        assert values['slawatch_webhook_events_total{mapping="jira"}'] == 1


async def test_a_sender_is_told_to_come_again_when_kafka_does_not_take_its_events():
    kafka, state = Kafka(), ReceiverState()
    async with receiver(kafka, state) as client:
        for error in (KafkaTimeoutError(), TimeoutError()):
            kafka.error = error
            response = await client.post("/webhooks/jira", data=JIRA, headers=signed())
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            ready = await client.get("/health/ready")
            assert ready.status == 503
            assert (await ready.json())["reasons"][0].startswith("kafka: ")
            assert (await client.get("/health/live")).status == 200
        kafka.error = None
        assert (await client.post("/webhooks/jira", data=JIRA, headers=signed())).status == 200
        assert (await client.get("/health/ready")).status == 200
        assert (await counted(client))['slawatch_webhooks_total{mapping="jira",result="failed"}'] == 2


@pytest.mark.parametrize("headers", [{}, signed(secret=b"guessed"), signed(JIRA + b" ")])
async def test_a_webhook_of_somebody_else_is_not_even_read_as_json(headers):
    kafka = Kafka()
    async with receiver(kafka) as client:
        response = await client.post("/webhooks/jira", data=JIRA, headers=headers)
        assert response.status == 401
        assert not kafka.events
        assert (await counted(client))['slawatch_webhooks_total{mapping="jira",result="unauthentic"}'] == 1


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "rebound.example"}])
async def test_without_a_secret_no_web_page_can_make_a_browser_send_events(headers):
    kafka = Kafka()
    async with receiver(kafka) as client:
        body = {"key": "A", "at": "2026-01-01T00:00:00Z"}
        assert (await client.post("/webhooks/open", json=body, headers=headers)).status == 403
        assert not kafka.events


async def test_a_secret_that_is_about_to_go_is_still_taken():
    kafka = Kafka()
    async with receiver(kafka) as client:
        response = await client.post("/webhooks/jira", data=JIRA, headers=signed(secret=b"old"))
        assert response.status == 200


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "no JSON: "),
        (b"", 400, "no JSON: "),
        (b"[" * 100_000, 400, "no JSON: "),
        (b"{}", 422, "the mapping can't be applied to this body"),
        (b'{"key": "A", "at": "yesterday"}', 422, "the mapping can't be applied to this body"),
        (
            b'{"key": "%s", "at": "2026-01-01T00:00:00Z"}' % (b"A" * 70_000),
            422,
            "the mapping can't be applied to this body",
        ),
    ],
)
async def test_a_body_that_cannot_be_used_is_told_why(body, status, told):
    kafka = Kafka()
    async with receiver(kafka) as client:
        response = await client.post("/webhooks/open", data=body)
        document = await response.json()
        assert response.status == status
        assert document["error"].startswith(told)
        assert bool(document.get("faults")) == (status == 422), document
        assert not kafka.events


async def test_a_refused_body_is_kept_for_a_mapping_that_is_corrected(tmp_path):
    kafka = Kafka()
    folder = tmp_path / "refused"
    async with receiver(kafka, keep_refused=RefusedBodies(folder).keep) as client:
        for sent in ({"key": "A", "at": "yesterday"}, {"key": "B"}, ["C"]):
            response = await client.post("/webhooks/open?event=reopened", json=sent)
            assert (await response.json())["error"] == "the mapping can't be applied to this body; it is kept"
        assert (await client.post("/webhooks/open", json={"key": "A", "at": "2026-01-01T00:00:00Z"})).status == 200

    mapping = tmp_path / "m.yaml"
    mapping.write_text("""\
kind: Mapping
id: open
ticket: key
at: at || '2026-01-01T00:00:00Z'
events:
  - {event: reopened, when: _request.query.event == 'reopened'}
""")
    done = CliRunner().invoke(app, ["events", "map", str(mapping), str(folder / "open.jsonl"), "--skip-faults"])
    assert done.exit_code == 0
    assert [json.loads(line)["ticket"] for line in done.stdout.splitlines()] == ["B"]
    assert "2 bodies refused" in done.stderr


async def test_refused_bodies_never_fill_the_disk(tmp_path):
    bodies = RefusedBodies(tmp_path, largest_file_bytes=150)
    kept = [await bodies.keep("m", {"a": "x" * 20}, {}) for _ in range(4)]
    assert kept == [True, True, False, False]
    assert len((tmp_path / "m.jsonl").read_bytes()) <= 150


async def test_a_body_that_cannot_be_kept_is_still_answered(tmp_path):
    bodies = RefusedBodies(tmp_path)
    (tmp_path / "open.jsonl").mkdir()
    async with receiver(Kafka(), keep_refused=bodies.keep) as client:
        response = await client.post("/webhooks/open", json={"key": "A"})
        assert (response.status, (await response.json())["error"]) == (422, "the mapping can't be applied to this body")


async def test_a_body_that_is_ignored_is_taken_without_events():
    kafka = Kafka()
    async with receiver(kafka) as client:
        response = await client.post("/webhooks/open", json={"ping": True})
        assert (response.status, await response.json()) == (200, {"events": 0})
        assert (await counted(client))['slawatch_webhooks_total{mapping="open",result="ignored"}'] == 1


async def test_the_query_reaches_the_mapping():
    kafka = Kafka()
    async with receiver(kafka) as client:
        response = await client.post("/webhooks/open?ping=1", json={"key": "A", "at": "2026-01-01T00:00:00Z"})
        assert await response.json() == {"events": 1}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_however_it_is_sent(chunked):
    async def pieces():
        for _ in range(4):
            yield b" " * 1_000

    kafka = Kafka()
    async with receiver(kafka, largest_body_bytes=2_000) as client:
        response = await client.post("/webhooks/open", data=pieces() if chunked else b" " * 2_001)
        assert response.status == 413
        assert (await response.json())["error"] == "a body may have 2000 bytes"


async def test_too_many_webhooks_at_once_are_told_to_come_again():
    kafka = Kafka()
    kafka.gate.clear()
    async with receiver(kafka, most_under_way=1) as client:
        body = {"key": "A", "at": "2026-01-01T00:00:00Z"}
        first = asyncio.ensure_future(client.post("/webhooks/open", json=body))
        await asyncio.sleep(0.05)
        second = await client.post("/webhooks/open", json=body)
        assert (second.status, (await second.json())["error"]) == (503, "too many webhooks under way")
        kafka.gate.set()
        assert (await first).status == 200
        assert (await client.post("/webhooks/open", json=body)).status == 200


async def test_a_receiver_that_is_leaving_takes_nothing_new():
    state = ReceiverState(is_leaving=True)
    async with receiver(Kafka(), state) as client:
        assert (await client.post("/webhooks/open", json={})).status == 503
        assert (await client.get("/health/ready")).status == 503


async def test_other_paths_and_methods_are_not_there():
    async with receiver(Kafka()) as client:
        response = await client.post("/webhooks/gitlab", json={})
        assert (response.status, await response.json()) == (404, {"error": "no mapping 'gitlab' here"})
        assert (await client.get("/webhooks/jira")).status == 405
        assert (await client.post("/", json={})).status == 404


async def test_series_of_every_mapping_start_at_zero():
    async with receiver(Kafka()) as client:
        values = await counted(client)
        assert values['slawatch_webhooks_total{mapping="open",result="failed"}'] == 0
        assert json.dumps(sorted(values)).count("slawatch_webhook_events_total") == 2
