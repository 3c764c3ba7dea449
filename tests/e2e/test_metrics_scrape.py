"""The metrics page before a real ``promtool`` and a real Prometheus."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cli.local_servers import find_prometheus, find_promtool, run_prometheus
from config.settings import WebSettings
from export.catalogue import CATALOGUE, HistogramSpec
from export.exposition import Exposition
from export.health import CheckResult, Health
from export.metrics import Metrics
from export.series import Counter, Gauge
from export.web import WebServer, create_web
from tests.support.servers import eventually, get_json, need

pytestmark = pytest.mark.e2e


def full_metrics() -> Metrics:
    """Metrics with a value in every family."""
    metrics = Metrics(version="1", topics=["sla.tickets"])
    for family in metrics.families():
        labels = {name: "3" if name == "partition" else f"some {name}" for name in family.spec.labels}
        if isinstance(family, Counter):
            family.labels(**labels).inc(3)
        elif isinstance(family, Gauge):
            family.labels(**labels).set(0.25)
        else:
            family.labels(**labels).observe(0.3)
    return metrics


async def promtool_check(page: bytes) -> tuple[int | None, str]:
    promtool = need(find_promtool(), "promtool")
    process = await asyncio.create_subprocess_exec(
        promtool,
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(page)
    return process.returncode, output.decode()


async def test_promtool_has_nothing_to_say_about_the_page() -> None:
    page = await Exposition(full_metrics()).page()
    assert await promtool_check(page.body) == (0, "")


async def test_promtool_would_say_so() -> None:
    status, output = await promtool_check(b"# HELP requests Requests.\n# TYPE requests counter\nrequests 1\n")
    assert status != 0
    assert "_total" in output


def scrape_config(target: str) -> str:
    return f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: slawatch
    static_configs: [{{targets: ["{target}"]}}]
"""


async def query(url: str, expression: str) -> list[dict[str, Any]]:
    answer = await get_json(f"{url}/api/v1/query", query=expression)
    assert answer["status"] == "success"
    return answer["data"]["result"]


async def test_prometheus_scrapes_every_metric_of_the_catalogue_with_its_type(tmp_path: Path) -> None:
    need(find_prometheus(), "prometheus")
    metrics = full_metrics()
    health = Health(metrics)
    health.add("kafka", lambda: CheckResult(ok=True, detail="connected"))
    settings = WebSettings(port=0)
    server = WebServer(create_web(metrics, health, settings=settings), settings)
    await server.start()
    try:
        with run_prometheus(scrape_config(f"127.0.0.1:{server.port}"), tmp_path / "prometheus") as prometheus:
            [up] = await eventually(
                lambda: query(prometheus.url, "up"),
                lambda found: bool(found) and found[0]["value"][1] == "1",
                seconds=30,
            )
            assert up["metric"]["job"] == "slawatch"
            [target] = (await get_json(f"{prometheus.url}/api/v1/targets"))["data"]["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            types = (await get_json(f"{prometheus.url}/api/v1/metadata"))["data"]
            for spec in CATALOGUE.values():
                name = f"{spec.name}_bucket" if isinstance(spec, HistogramSpec) else spec.name
                series = await query(prometheus.url, name)
                assert series, name
                assert set(series[0]["metric"]) - {"le"} == {"__name__", "instance", "job", *spec.labels}
                # Prometheus 2 keeps OpenMetrics' name of a counter's family, Prometheus 3 the sample's.
                [metadata] = types.get(spec.family) or types[spec.name]
                assert (metadata["type"], metadata["unit"]) == (spec.type, spec.unit)
            [ready] = await query(prometheus.url, "slawatch_ready")
            assert ready["value"][1] == "1"
    finally:
        await server.stop()


async def test_a_partition_on_two_workers_is_counted_once_and_gone_when_forgotten(tmp_path: Path) -> None:
    """The sum of the reference page, right after a partition has moved."""
    need(find_prometheus(), "prometheus")
    workers, servers = [Metrics(version="1") for _ in range(2)], []
    for metrics, partitions in zip(workers, ((0, 1), (1, 2)), strict=True):
        for partition in partitions:
            metrics.clocks_open.labels(contract="c", target="t", topic="sla.tickets", partition=partition).set(10)
        settings = WebSettings(port=0)
        server = WebServer(create_web(metrics, Health(), settings=settings), settings)
        await server.start()
        servers.append(server)
    targets = '", "'.join(f"127.0.0.1:{server.port}" for server in servers)
    total = "sum by (contract) (max without (instance, job) (sla_clocks_open))"
    try:
        with run_prometheus(scrape_config(targets), tmp_path / "prometheus") as prometheus:
            await eventually(
                lambda: query(prometheus.url, "sla_clocks_open"), lambda found: len(found) == 4, seconds=30
            )
            assert [row["value"][1] for row in await query(prometheus.url, total)] == ["30"]
            workers[0].forget_partition("sla.tickets", 1)
            await eventually(lambda: query(prometheus.url, "sla_clocks_open"), lambda found: len(found) == 3)
            assert [row["value"][1] for row in await query(prometheus.url, total)] == ["30"]
    finally:
        for server in servers:
            await server.stop()
