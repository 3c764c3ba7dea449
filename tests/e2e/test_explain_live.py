"""Tickets explained by running workers, and a backtest beside them: the same events, the same words."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from streams.broker import Broker
from streams.codecs import partition_of
from tests.support.cluster import ROOT, Cluster, Worker
from tests.support.incident_log import expect
from tests.support.synthetic_log import write_log

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PARTITIONS = 4
ATTRIBUTED = ("parties", "parties_counted", "parties_paused", "endangers")
SET = ("--set", "source=bpi2013")


def ask(worker: Worker, path: str) -> Any:
    with urllib.request.urlopen(f"{worker.url}{path}", timeout=10) as answer:
        return json.load(answer)


def without_attribution(lines: bytes) -> list[dict[str, Any]]:
    documents = [json.loads(line) for line in lines.splitlines()]
    found = [{name: value for name, value in each.items() if name not in ATTRIBUTED} for each in documents]
    return sorted((each for each in found if each["outcome"] != "open"), key=lambda each: str(each["clock_id"]))


def test_any_worker_explains_any_ticket_as_the_log_does(kafka: Broker, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.xes.gz", seed=4, cases=300)
    now_ms = expect(log).now_ms
    contracts = ("--contracts", str(ROOT / "config" / "contracts"))
    with Cluster(kafka.bootstrap, f"x{os.getpid()}-", tmp_path, partitions=PARTITIONS) as cluster:
        workers = [cluster.start_worker() for _ in range(2)]
        cluster.wait_ready(*workers)
        assert all(cluster.partitions_of(worker) for worker in workers)
        cluster.wait_finished(cluster.start_playing(log, "--speed", "max", *SET), now_ms)
        lines = cluster.verdict_lines()
        out = tmp_path / "backtest.jsonl"
        cluster.run("backtest", *contracts, "--events", str(log), *SET, "--out", str(out))
        assert without_attribution(out.read_bytes()) == without_attribution(lines)
        tickets = sorted({json.loads(line)["ticket"] for line in lines.splitlines()})
        owners = {partition: worker for worker in workers for partition in cluster.partitions_of(worker)}
        asked = set()
        for ticket in tickets[:8]:
            first, second = (ask(worker, f"/v1/tickets/{ticket}") for worker in workers)
            assert first == second
            asked.add(owners[partition_of(ticket.encode(), PARTITIONS)].name)
            told = cluster.run("explain", ticket, *contracts, "--events", str(log), *SET, "--json")
            assert json.loads(told) == first
        assert asked == {worker.name for worker in workers}
        live = cluster.run("explain", tickets[0], "--url", workers[1].url, "--json")
        assert json.loads(live) == ask(workers[0], f"/v1/tickets/{tickets[0]}")
        assert {contract["id"] for contract in ask(workers[0], "/v1/contracts")} >= {"incident-log"}
        for worker in workers:
            assert worker.stop() == 0, worker.process.log_tail()
