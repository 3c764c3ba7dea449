"""A service desk by the wall clock: publishes ticket events to a cluster, and reads everything that came of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata, TopicPartition
from typing_extensions import override

from config.documents import calendar_document, contract_document
from config.loader import load_agreements
from sla.units import parse_instant
from streams.codecs import partition_of
from streams.connection import admin_client, consumer_client, producer_client
from streams.dead_letters import DeadLetter, DeadLetterError, read_dead_letters
from streams.register_topics import DocumentKind, publish
from streams.system_clock import now_ms
from streams.topic_admin import apply
from streams.topics import ALERTS, TICKETS, VERDICTS
from tests.support.cluster import ROOT, Cluster, Worker

CALENDAR = """
kind: Calendar
id: always
timezone: UTC
hours: {mon: [00:00-24:00], tue: [00:00-24:00], wed: [00:00-24:00], thu: [00:00-24:00], fri: [00:00-24:00],
        sat: [00:00-24:00], sun: [00:00-24:00]}
"""

CONTRACT = """
kind: Contract
id: quick
type: sla
level: corporate
provider: desk
owner: slm@desk.example
team: desk
revisions:
  - revision: 1
    status: signed
    effective_from: 2020-01-01T00:00:00Z
    calendar: always
    targets:
      - id: quick-resolution
        metric: resolution
        applies_to: {priority: P1}
        start: {event: created}
        stop: {event: resolved}
        within: 4s
        objective: {attain: 90%, over: 30d}
      - id: hour-resolution
        metric: resolution
        applies_to: {priority: P2}
        start: {event: created}
        stop: {event: resolved}
        within: 1h
        objective: {attain: 90%, over: 30d}
      - id: warned-resolution
        metric: resolution
        applies_to: {priority: P3}
        start: {event: created}
        stop: {event: resolved}
        within: 1h
        warn: {consumed: [50%]}
      - id: escalating-resolution
        metric: resolution
        applies_to: {priority: P4}
        start: {event: created}
        stop: {event: resolved}
        within: 6s
        warn: {consumed: [20%]}
"""
"""P1: breached within seconds; P2: after an hour; P3: at risk after half an hour; P4: at risk, then breached."""

QUICK_MS = 4_000
"""Target of P1."""

NO_TICKET = ""
"""Stands for the ticket of an alert about something else."""


@dataclass(frozen=True)
class Told:
    """One record of ``sla.verdicts``: the document, and whether it corrects another one."""

    document: Mapping[str, Any]
    is_correction: bool

    @property
    def outcome(self) -> str:
        return str(self.document["outcome"])

    @property
    def decided_at_ms(self) -> int:
        return parse_instant(self.document["decided_at"])


@dataclass(frozen=True)
class Sent:
    """A record to publish as it is; by default to the partition its key belongs on."""

    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    timestamp_ms: int | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def event(ticket: str, what: str, at_ms: int, *, number: int = 0, **fields: str) -> Sent:
    """Return a ticket event as a publisher writes it."""
    document = {
        "version": 1,
        "id": f"{ticket}-{what}-{number}",
        "ticket": ticket,
        "event": what,
        "at": at_ms,
        "fields": fields,
    }
    return Sent(json.dumps(document).encode(), ticket.encode())


class Desk(Cluster):
    """A cluster whose workers follow the wall clock, with promises of seconds.

    Parameters
    ----------
    documents : mapping of str to str
        Contracts and calendars by file name; by default those above.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        folder: Path,
        *,
        partitions: int = 2,
        documents: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        wall = {
            "SLAWATCH_ENGINE__CLOCK": "wall",
            "SLAWATCH_ENGINE__RETENTION_DAYS": "35",
            "SLAWATCH_ENGINE__SETTLE_SECONDS": "1",
            "SLAWATCH_ENGINE__PROGRESS_INTERVAL_SECONDS": "0.25",
        }
        super().__init__(bootstrap, prefix, folder, partitions=partitions, **{**wall, **settings})
        self.documents = documents or {"calendar.yaml": CALENDAR, "contract.yaml": CONTRACT}
        self.published: dict[int, int] = {}
        """Last offset published outside of transactions, by partition."""

    @override
    def __enter__(self) -> Self:
        agreements = self.folder / "agreements"
        agreements.mkdir(parents=True, exist_ok=True)
        for name, text in self.documents.items():
            (agreements / name).write_text(text, encoding="utf-8")
        # In this process: the commands are tested elsewhere and take seconds to start.
        asyncio.run(apply(self.settings))
        found = load_agreements([agreements])
        documents = {(DocumentKind.CALENDAR, name): calendar_document(of) for name, of in found.calendars.items()}
        documents |= {(DocumentKind.CONTRACT, name): contract_document(of) for name, of in found.contracts.items()}
        asyncio.run(publish(self.settings, documents))
        return self

    def ask(self, *arguments: str, seconds: float = 60.0, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of slawatch, whatever becomes of it."""
        return slawatch(*arguments, seconds=seconds, environment={**self.environment, **settings})

    # --- publishing ------------------------------------------------------------------------------------------------

    def publish(self, *records: Sent) -> list[RecordMetadata]:
        """Send records to ``sla.tickets``, in order; returns where they are."""
        return asyncio.run(self._publish(records))

    def tell(self, ticket: str, what: str, at_ms: int | None = None, **fields: str) -> int:
        """Publish one ticket event, by default of this moment; returns when it happened."""
        at_ms = now_ms() if at_ms is None else at_ms
        self.publish(event(ticket, what, at_ms, **fields))
        return at_ms

    async def _publish(self, records: Sequence[Sent]) -> list[RecordMetadata]:
        async with producer_client(self.settings.kafka) as producer:
            futures = [await self.send(producer, record) for record in records]
            places = [await future for future in futures]
        self.published |= {place.partition: place.offset for place in places}
        return places

    async def send(self, producer: Any, record: Sent) -> asyncio.Future[RecordMetadata]:
        """Send one record with a producer of the test's own."""
        partition = record.partition
        if partition is None and record.key is not None:
            partition = self.partition(record.key.decode())
        future: asyncio.Future[RecordMetadata] = await producer.send(
            self.topics.name(TICKETS),
            record.value,
            record.key,
            partition,
            timestamp_ms=record.timestamp_ms,
            headers=list(record.headers),
        )
        return future

    def partition(self, ticket: str) -> int:
        """Return the partition of a ticket."""
        return partition_of(ticket.encode(), self.partitions)

    def ticket_on(self, partition: int, name: str) -> str:
        """Return a ticket id that belongs on a partition."""
        return next(ticket for n in range(1_000) if self.partition(ticket := f"{name}-{n}") == partition)

    # --- waiting ---------------------------------------------------------------------------------------------------

    def wait_present(self, at_ms: int, seconds: float = 30.0) -> None:
        """Wait until every partition of the tickets has come to an instant and told what it decided until then."""
        self.wait_until(f"it is {at_ms}", lambda: self.event_ms() >= at_ms, seconds)
        # Positions are written before the outputs of their step are sent; a later step proves those of the former.
        after_ms = self.event_ms() + 1
        self.wait_until("its outputs are told", lambda: self.event_ms() >= after_ms, seconds)

    def wait_processed(self, seconds: float = 30.0) -> None:
        """Wait until everything published outside of transactions is processed, told and acknowledged."""
        self.wait_until("everything is processed", lambda: asyncio.run(self._is_acknowledged()), seconds)

    async def _is_acknowledged(self) -> bool:
        topic = self.topics.name(TICKETS)
        partitions = [TopicPartition(topic, number) for number in self.published]
        try:
            async with admin_client(self.settings.kafka) as admin:
                committed = await admin.list_consumer_group_offsets(self.topics.group, partitions=partitions)
        except KafkaError:
            return False  # the broker has just come back
        return all(committed[at].offset > self.published[at.partition] for at in partitions)

    # --- what came of it -------------------------------------------------------------------------------------------

    def told(self, ticket: str) -> list[Told]:
        """Return every record of ``sla.verdicts`` about a ticket, not only the last ones."""
        return self.all_told().get(ticket, [])

    def all_told(self) -> dict[str, list[Told]]:
        """Return every record of ``sla.verdicts`` by ticket, in order; these contracts have one clock a ticket."""
        found: dict[str, list[Told]] = defaultdict(list)
        for record in self.outputs(VERDICTS):
            told = Told(json.loads(record.value), ("slawatch-correction", b"1") in record.headers)
            found[record.key.decode()].append(told)
        return dict(found)

    def outcomes(self, ticket: str) -> list[str]:
        """Return the outcomes of every verdict about a ticket."""
        return [told.outcome for told in self.told(ticket)]

    def alerts(self, ticket: str) -> list[tuple[str, str]]:
        """Return (kind, state) of every record of ``sla.alerts`` about a ticket, in order."""
        return self.all_alerts().get(ticket, [])

    def all_alerts(self) -> dict[str, list[tuple[str, str]]]:
        """Return (kind, state) of every record of ``sla.alerts`` by ticket, in order."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for record in self.outputs(ALERTS):
            if record.value is not None:
                document = json.loads(record.value)
                found[document["labels"].get("ticket_id", NO_TICKET)].append((document["kind"], document["state"]))
        return dict(found)

    def alerts_kept(self, ticket: str) -> set[str]:
        """Return the kinds of a ticket's alerts that compaction keeps: those whose last record is no tombstone."""
        last = {record.key: record.value for record in self.outputs(ALERTS)}
        documents = [json.loads(value) for value in last.values() if value is not None]
        return {document["kind"] for document in documents if document["labels"].get("ticket_id") == ticket}

    def dead_letters(self) -> list[DeadLetter]:
        """Return every dead letter, as their readers see them: one that was sent again by a new owner is there once."""

        async def read() -> list[DeadLetter | DeadLetterError]:
            return [letter async for letter in read_dead_letters(self.settings)]

        letters = asyncio.run(read())
        assert not [letter for letter in letters if isinstance(letter, DeadLetterError)]
        return [letter for letter in letters if isinstance(letter, DeadLetter)]

    def ends(self) -> dict[int, int]:
        """Return the end offset of each partition of ``sla.tickets``."""

        async def ask() -> dict[int, int]:
            topic = self.topics.name(TICKETS)
            partitions = [TopicPartition(topic, number) for number in range(self.partitions)]
            async with consumer_client(self.settings.kafka) as consumer:
                return {at.partition: end for at, end in (await consumer.end_offsets(partitions)).items()}

        return asyncio.run(ask())


class Upstream:
    """A publisher that keeps what it can't deliver and goes on trying, as Kafka's own clients do.

    Parameters
    ----------
    options
        Of aiokafka's producer, for example a ``transactional_id``.
    """

    def __init__(self, desk: Desk, **options: Any) -> None:
        self._desk = desk
        self._transactional = "transactional_id" in options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = producer_client(desk.settings.kafka, **options)
        self._producer = self._run(self._client.__aenter__()).result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._client.__aexit__(None, None, None)).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, record: Sent) -> Future[RecordMetadata]:
        """Send; the result is known when Kafka has it."""

        async def deliver() -> RecordMetadata:
            place = await (await self._desk.send(self._producer, record))
            if not self._transactional:
                self._desk.published[place.partition] = place.offset
            return place

        return self._run(deliver())

    def begin(self) -> None:
        """Begin a transaction."""
        self._run(self._producer.begin_transaction()).result(30)

    def commit(self) -> None:
        """Commit it."""
        self._run(self._producer.commit_transaction()).result(30)

    def abort(self) -> None:
        """Abort it."""
        self._run(self._producer.abort_transaction()).result(30)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def slawatch(
    *arguments: str, seconds: float = 60.0, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of slawatch as a user would, with no other settings than these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLAWATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env={**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        cwd=folder,
    )


def log_lines(worker: Worker, name: str | None = None) -> list[dict[str, Any]]:
    """Return what a worker has logged as documents, all or those of one event; every line must be one."""
    text = worker.process.log_file.read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines()]
    return [line for line in found if name is None or line["event"] == name]


def health(worker: Worker, which: str) -> tuple[int, dict[str, Any]]:
    """Return status and document of ``/health/live`` or ``/health/ready``."""
    try:
        with urllib.request.urlopen(f"{worker.url}/health/{which}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def metric(worker: Worker, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    with urllib.request.urlopen(f"{worker.url}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    total = 0.0
    for line in page.splitlines():
        match = re.fullmatch(rf"{re.escape(name)}(?:\{{(.*)\}})? (\S+)", line)
        if match:
            found = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
            if labels.items() <= found.items():
                total += float(match[2])
    return total
