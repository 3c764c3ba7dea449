"""Every query of every dashboard on a real Prometheus, while real workers follow a simulated service desk."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.local_servers import LocalServer, find_alertmanager, find_prometheus, run_alertmanager, run_prometheus
from grafana.boards import ALL
from grafana.lint import FOLDER, queries_of
from grafana.promql import variables_in
from streams.broker import Broker
from streams.connection import producer_client
from streams.loopback_ports import reserve_port
from streams.system_clock import now_ms
from streams.topics import TICKETS
from tests.support.cluster import ROOT, Cluster
from tests.support.servers import ALERTMANAGER_CONFIG, need

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

DAY = "2026-11-02T06:00:00+07:00"
"""A Monday of the simulated desk; its office hours begin within the first hours."""

HOURS = 8
SPEED = 600
"""The eight hours take 48 s."""

RULES = ROOT / "config" / "prometheus" / "rules"


@dataclass(frozen=True)
class Asked:
    """One query, as Grafana would send it, and why it may have no answer."""

    board: str
    where: str
    expr: str
    may_be_empty: str

    def __str__(self) -> str:
        return f"{self.board}, {self.where}: {self.expr}"


def asked() -> list[Asked]:
    """Return the queries of all panels and annotations, from the files that Grafana reads."""
    reasons = {(board.uid, f"panel {panel.title!r}"): panel.may_be_empty for board in ALL for panel in board.panels} | {
        (board.uid, f"annotation {mark.name!r}"): mark.may_be_empty for board in ALL for mark in board.annotations
    }
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for where, expr in queries_of(document):
            if not where.startswith("variable"):
                reason = reasons[document["uid"], re.sub(r" [A-Z]$", "", where)]
                found.append(Asked(document["uid"], where, as_sent(expr), reason))
    return found


def as_sent(expr: str) -> str:
    """Return an expression as Grafana sends it with every choice at All."""
    for name, value in (("$__rate_interval", "15s"), ("$__range", "10m"), ("$__interval", "2s")):
        expr = expr.replace(name, value)
    for name in variables_in(expr):
        expr = re.sub(rf"\$\{{{name}(:\w+)?\}}|\${name}\b", ".*", expr)
    assert "$" not in re.sub(r'"\$\d"', "", expr), expr
    return expr


class Prometheus:
    """The API of a Prometheus, without a proxy."""

    def __init__(self, server: LocalServer) -> None:
        self._url = server.url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(
            [("match[]" if name == "match__" else name, value) for name, value in parameters.items()]
        )
        try:
            with self._opener.open(f"{self._url}/api/v1/{path}?{query}", timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def has_data(self, expr: str, since: float) -> bool:
        """Tell whether a query has had a number at some moment since."""
        end = now_ms() / 1000
        series = self.get("query_range", query=expr, start=f"{since:.3f}", end=f"{end:.3f}", step="2")["result"]
        return any(not math.isnan(float(value)) for one in series for _, value in one["values"])


def config(ports: list[int], alertmanager: str) -> str:
    jobs = [{"job_name": "slawatch", "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}]
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in sorted(RULES.glob("*.yml"))],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]},
            "scrape_configs": jobs,
        }
    )


async def send_garbage(cluster: Cluster) -> None:
    """Send a record that goes to the dead letters: an alert about the monitor fires, too."""
    async with producer_client(cluster.settings.kafka) as producer:
        await producer.send_and_wait(cluster.topics.name(TICKETS), b"no JSON", b"SIM-none")


@dataclass(frozen=True)
class Watched:
    """A desk that was watched, and since when."""

    prometheus: Prometheus
    since: float


@pytest.fixture(scope="module")
def watched(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    need(find_prometheus(), "prometheus")
    need(find_alertmanager(), "Alertmanager")
    folder = tmp_path_factory.mktemp("dashboards")
    with ExitStack() as stack:
        reserved = [reserve_port() for _ in range(2)]
        for reservation in reserved:
            stack.callback(reservation.release)
        ports = [reservation.port for reservation in reserved]
        alertmanager = stack.enter_context(run_alertmanager(ALERTMANAGER_CONFIG, folder / "alertmanager"))
        settings = {"SLAWATCH_ALERTMANAGER__URLS": json.dumps([alertmanager.url])}
        prefix = f"{folder.name}-{now_ms()}-"
        with (
            Cluster(kafka.bootstrap, prefix, folder, partitions=2, **settings) as cluster,
            run_prometheus(
                config(ports, alertmanager.url),
                folder / "prometheus",
                options=["--enable-feature=exemplar-storage"],
            ) as server,
        ):
            since = now_ms() / 1000
            first = cluster.start_worker(SLAWATCH_WEB__PORT=str(ports[0]))
            cluster.wait_ready(first)
            player = cluster.start_simulating(
                *("--start", DAY, "--hours", str(HOURS), "--speed", str(SPEED), "--with-probes")
            )
            asyncio.run(send_garbage(cluster))
            time.sleep(10)
            # While there is state: its partitions are restored and moved.
            second = cluster.start_worker(SLAWATCH_WEB__PORT=str(ports[1]))
            cluster.wait_ready(first, second)
            cluster.wait_until("the day is played", lambda: player.exit_code == 0, 150)
            yield Watched(Prometheus(server), since)


def test_every_query_has_data(watched: Watched) -> None:
    queries = asked()
    assert len(queries) > 100
    empty = [query for query in queries if not watched.prometheus.has_data(query.expr, watched.since)]
    unexpected = [query for query in empty if not query.may_be_empty]
    print("\n".join(f"empty, as may be ({query.may_be_empty}): {query}" for query in empty if query.may_be_empty))
    assert not unexpected, "\n".join(map(str, unexpected))
    # Every board has the annotation of the monitor's alerts: one question, asked many times.
    assert len({query.expr for query in empty}) <= 3, "nearly all that may be empty is not, in this test"


def test_every_choice_offers_something(watched: Watched) -> None:
    for board in ALL:
        for variable in board.variables:
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.query)
            assert found, variable.query
            values = watched.prometheus.get(f"label/{found[2]}/values", match__=as_sent(found[1]))
            assert any(values), (board.uid, variable.name)


def test_the_rules_are_evaluated_without_an_error(watched: Watched) -> None:
    groups = watched.prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 25
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] == "err"] == []


def test_a_latency_names_a_ticket(watched: Watched) -> None:
    found = watched.prometheus.get(
        "query_exemplars",
        query="slawatch_event_latency_seconds_bucket",
        start=f"{watched.since:.3f}",
        end=f"{now_ms() / 1000:.3f}",
    )
    tickets = {exemplar["labels"]["ticket_id"] for series in found for exemplar in series["exemplars"]}
    assert tickets
    assert all(ticket.startswith("SIM-") for ticket in tickets)


def test_an_empty_answer_would_be_noticed(watched: Watched) -> None:
    assert not watched.prometheus.has_data("sla_clocks_open > 1e9", watched.since)
    assert watched.prometheus.has_data("sla_clocks_open", watched.since)


def test_all_folders_of_boards_are_asked() -> None:
    assert {query.board for query in asked()} == {board.uid for board in ALL}
    assert Path(FOLDER).name == "dashboards"
