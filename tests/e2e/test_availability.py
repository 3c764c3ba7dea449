"""Availability before a real Kafka: samples in; counts, alerts and dead letters out; corrections; a worker that dies."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.documents import contract_document
from config.loader import load_agreements
from sla.units import MINUTE_MS, format_instant
from streams.broker import Broker
from streams.codecs import partition_of
from streams.connection import producer_client, read_to_end
from streams.register_topics import DocumentKind, publish
from streams.rollups import Counted, decode_rollup
from streams.state_rows import provenance_of
from streams.topics import ALERTS, ROLLUPS, UPTIME
from tests.support.desk import CALENDAR, Desk

pytestmark = pytest.mark.e2e

T0 = 1_772_438_400_000
"""2026-03-02T08:00:00Z."""

CONTRACT = """
kind: Contract
id: {id}
type: sla
level: corporate
provider: it
owner: slm@it.example
team: web
revisions:
  - revision: 1
    status: signed
    effective_from: 2020-01-01T00:00:00Z
    availability:
      - {{id: {service}-availability, service: {service}, attain: 99.9%, over: 30d, good_when: {{latency_ms: {{below: 800}}}}}}
"""

Counts = dict[int, tuple[int, int, int, int]]


class Probes(Desk):
    """A desk that looks after services."""

    def send_uptime(self, *documents: dict[str, Any]) -> None:
        """Publish uptime events; a heartbeat goes to every partition."""

        async def run() -> None:
            async with producer_client(self.settings.kafka) as producer:
                for document in documents:
                    value = json.dumps({"version": 1, **document}).encode()
                    service = document.get("service")
                    places = range(self.partitions) if service is None else [self.place(service)]
                    for place in places:
                        key = (service or "heartbeat").encode()
                        await (await producer.send(self.topics.name(UPTIME), value, key, place))

        asyncio.run(run())

    def place(self, service: str) -> int:
        return partition_of(service.encode(), self.partitions)

    def minutes(self, first: int, last: int, *, bad: frozenset[int] = frozenset(), service: str = "portal") -> None:
        """Publish a good sample a minute, and after each that it is a minute later."""
        self.send_uptime(*self.samples(first, last, bad=bad, service=service))

    @staticmethod
    def samples(first: int, last: int, *, bad: frozenset[int], service: str) -> Iterator[dict[str, Any]]:
        for minute in range(first, last):
            at_ms = T0 + minute * MINUTE_MS + 20_000
            yield {"type": "sample", "service": service, "at": at_ms, "probe": "fra", "ok": minute not in bad}
            yield {"type": "heartbeat", "at": T0 + (minute + 1) * MINUTE_MS}

    def counts(self, objective: str = "portal-availability") -> Counts:
        """Return what a reader of the rollups holds that drops repetitions."""
        newest: dict[tuple[int, str], int] = {}
        found: Counts = {}
        for record in self.outputs(ROLLUPS):
            provenance = provenance_of(record.headers)
            assert provenance is not None
            source, ordinal = provenance
            if ordinal <= newest.get((record.partition, source), -1):
                continue
            newest[record.partition, source] = ordinal
            of = decode_rollup(record.value)
            if isinstance(of, Counted) and of.target == objective:
                counts = (of.met, of.breached, of.known_minutes, of.expected_minutes)
                found[(of.minute_ms - T0) // MINUTE_MS] = counts
        return found

    def wait_counts(self, expected: Counts, objective: str = "portal-availability") -> None:
        found: Counts = {}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self.counts(objective)
            if found == expected:
                return
            time.sleep(0.2)
        assert found == expected

    def alerts(self) -> list[tuple[str, str]]:
        """Return the states of service alerts, as a reader sees them that drops repetitions."""

        async def run() -> list[Any]:
            return [record async for record in read_to_end(self.settings.kafka, [self.topics.name(ALERTS)])]

        told = []
        newest: dict[str, int] = {}
        for record in asyncio.run(run()):
            provenance = provenance_of(record.headers)
            if not record.value or provenance is None or provenance[1] <= newest.get(provenance[0], -1):
                continue
            newest[provenance[0]] = provenance[1]
            alert = json.loads(record.value)
            if alert["kind"] == "SLAServiceDown":
                told.append((alert["id"], alert["state"]))
        return told


GOOD, BAD, OUT = (1, 0, 1, 1), (0, 1, 1, 1), (0, 0, 0, 0)


def test_services_are_judged_corrected_and_taken_over(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    documents = {"calendar.yaml": CALENDAR, "contract.yaml": CONTRACT.format(id="web", service="portal")}
    clock = {"SLAWATCH_ENGINE__CLOCK": "event", "SLAWATCH_ENGINE__SETTLE_SECONDS": "30"}
    with Probes(kafka.bootstrap, prefix, tmp_path, documents=documents, **clock) as desk:
        worker = desk.start_worker()
        desk.wait_until("the worker is ready", lambda: worker.is_ready)
        desk.minutes(0, 10, bad=frozenset({4, 5, 6}))
        # A heartbeat at the end of a minute is earlier than its end and the settling time.
        expected = {minute: BAD if minute in {4, 5, 6} else GOOD for minute in range(9)}
        desk.wait_counts(expected)
        desk.wait_until("the outage is over", lambda: len(desk.alerts()) >= 2)
        assert desk.alerts() == [
            ("SLAServiceDown/portal-availability", "firing"),
            ("SLAServiceDown/portal-availability", "resolved"),
        ]

        # A service of a contract that is published and used within milliseconds.
        agreements = tmp_path / "more"
        agreements.mkdir()
        (agreements / "shop.yaml").write_text(CONTRACT.format(id="shop", service="shop"), encoding="utf-8")
        shop = load_agreements([agreements]).contracts["shop"]
        asyncio.run(publish(desk.settings, {(DocumentKind.CONTRACT, "shop"): contract_document(shop)}))
        desk.minutes(10, 12, service="shop")
        # Nobody promised this one.
        desk.minutes(12, 13, service="shpo")
        desk.wait_until("an unknown service is refused", lambda: "shpo" in desk.ask("dead-letters", "list").stdout)
        assert "did you mean 'shop'" in desk.ask("dead-letters", "list").stdout
        desk.wait_until("the new service is judged", lambda: desk.counts("shop-availability").get(10) == GOOD)

        # Two of the bad minutes were agreed work that nobody had announced.
        times = ["--start", format_instant(T0 + 4 * MINUTE_MS), "--for", "2m"]
        why = ["--service", "portal", "--reason", "database", "--by", "ops"]
        refused = desk.ask("adjust", "add", "CHG-1", *times, *why)
        assert refused.returncode == 2
        assert "--retroactive" in refused.stderr
        done = desk.ask("adjust", "add", "CHG-1", *times, *why, "--retroactive")
        assert (done.returncode, done.stderr) == (0, "")
        unseen = dict.fromkeys(range(10, 12), (0, 0, 0, 1))
        seen = {9: GOOD, **unseen}
        desk.wait_counts({**expected, **seen, 4: OUT, 5: OUT})

        # A worker that dies: the next one goes on with the same numbers.
        worker.kill()
        second = desk.start_worker()
        desk.wait_until("the second worker is ready", lambda: second.is_ready)
        desk.minutes(13, 15)
        more = {12: (0, 0, 0, 1), 13: GOOD}
        desk.wait_counts({**expected, **seen, **more, 4: OUT, 5: OUT})
        assert desk.ask("adjust", "withdraw", "CHG-1", "--reason", "was none", "--by", "ops").returncode == 0
        desk.wait_counts({**expected, **seen, **more})
        listed = desk.ask("adjust", "list").stdout
        assert "CHG-1" in listed
        assert "withdrawn" in listed
        assert len(desk.alerts()) == 2
