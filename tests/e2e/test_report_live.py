"""A report from running workers, and one from the log beside it: the same numbers, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from streams.broker import Broker
from tests.support.cluster import ROOT, Cluster
from tests.support.incident_log import expect
from tests.support.synthetic_log import write_log

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SET = ("--set", "source=bpi2013")
OF_THE_MOMENT = ("as_of", "state", "revision", "budget", "open_clocks")
"""What depends on when it is asked, on whether anything is published, and on whether open clocks are known."""


def numbers(report: str) -> dict[str, Any]:
    return {
        objective["objective"]: {name: value for name, value in objective.items() if name not in OF_THE_MOMENT}
        for contract in json.loads(report)["contracts"]
        for objective in contract["objectives"]
    }


def statements(cluster: Cluster) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in cluster.outputs("sla.statements")]


def test_live_and_log_report_the_same_and_statements_survive_a_kill(kafka: Broker, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.xes.gz", seed=9, cases=250)
    now_ms = expect(log).now_ms
    contracts = ("--contracts", str(ROOT / "config" / "contracts"))
    asked = ("report", "--contract", "incident-log", "--format", "json")
    with Cluster(kafka.bootstrap, f"r{os.getpid()}-", tmp_path, partitions=2) as cluster:
        worker = cluster.start_worker()
        cluster.wait_ready(worker)
        cluster.wait_finished(cluster.start_playing(log, "--speed", "max", *SET), now_ms)
        cluster.wait_until("statements of the log's objectives", lambda: len(statements(cluster)) >= 4)
        for period in ("2012-04", "2012-05"):
            live = cluster.run(*asked, "--period", period)
            from_log = cluster.run(*asked, "--period", period, *contracts, "--events", str(log), *SET)
            for objective, of_log in numbers(from_log).items():
                assert {
                    n: (found, of_log[n]) for n, found in numbers(live)[objective].items() if found != of_log[n]
                } == {}
            assert sum(found["good"] + found["bad"] for found in numbers(live).values()) > 50
            assert all(found["issued_matches"] for found in numbers(live).values())
        newest = {(found["objective"], found["period"]): found for found in statements(cluster)}
        assert {state["state"] for state in newest.values()} >= {"provisional"}
        before = statements(cluster)
        worker.kill()
        again = cluster.start_worker()
        cluster.wait_ready(again)
        cluster.wait_until_idle()
        after = {json.dumps(found, sort_keys=True) for found in statements(cluster)}
        assert after == {json.dumps(found, sort_keys=True) for found in before}
        assert again.stop() == 0, again.process.log_tail()
