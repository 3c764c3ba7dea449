"""``python -m benchmarks``: the worker on one core, the broker on the other, beside stock Faust in the same run.

Parts: ``throughput`` (slawatch and stock Faust in turn), ``restore`` (10^6 open tickets: restore time and memory),
``latency`` (produce to alert record at 1,000 and 10,000 events/s). Absolute figures are this machine's; ratios hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.pipeline.latency import measure_latency
from benchmarks.pipeline.workload import fill, publish_register
from config.settings import Settings, load_settings
from streams.broker import obtain_broker
from streams.kafka_jars import user_cache_dir
from streams.local_broker import BrokerOptions
from streams.topic_admin import apply

PARTITIONS = 4
BROKER_CORE, WORKER_CORE = "0", "1"
_TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the parts asked for and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["throughput", "restore", "latency", []], default=[])
    parser.add_argument("--events", type=int, default=600_000, help="events of a slawatch run")
    parser.add_argument("--stock-events", type=int, default=30_000, help="events of a stock Faust run")
    parser.add_argument("--tickets", type=int, default=1_000_000, help="open tickets of the restore")
    parser.add_argument("--runs", type=int, default=3, help="runs of each engine, in turn")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a latency run")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    parts = options.parts or ["throughput", "restore", "latency"]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    print(_machine())
    figures: dict[str, object] = {"machine": _machine()}
    with obtain_broker(
        BrokerOptions(port=0, cpus=BROKER_CORE, heap="1g"),
        cache_dir=user_cache_dir(os.environ),
        say=lambda line: print(f"  {line}"),
        allow_docker=False,
    ) as broker:
        if "throughput" in parts:
            figures["throughput"] = throughput(broker.bootstrap, options)
        if "restore" in parts:
            figures["restore"] = restore(broker.bootstrap, options.tickets)
        if "latency" in parts:
            figures["latency"] = latency(broker.bootstrap, options.seconds)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def throughput(bootstrap: str, options: argparse.Namespace) -> dict[str, object]:
    """Events per second of both engines, in turn on the same kind of topic."""
    print(
        f"\nthroughput: slawatch {options.events:,} events, stock Faust {options.stock_events:,}, {options.runs} runs"
    )
    ours, stock, cpu = [], [], []
    for run in range(options.runs):
        settings = _prepared(bootstrap)
        written, mean = asyncio.run(fill(settings, options.events))
        rate, cpu_us, rss = _run_worker(settings, written)
        ours.append(rate)
        cpu.append(cpu_us)
        settings = _prepared(bootstrap)
        asyncio.run(fill(settings, options.stock_events))
        stock.append(_run_stock(settings, options.stock_events))
        print(
            f"  run {run + 1}: slawatch {rate:,.0f}/s ({cpu_us:.1f} us CPU an event, RSS {rss:.0f} MB, "
            f"{mean:.0f} B an event); stock Faust {stock[-1]:,.0f}/s; ratio {rate / stock[-1]:.1f}"
        )
    ratios = [a / b for a, b in zip(ours, stock, strict=True)]
    print(f"  slawatch    median {statistics.median(ours):,.0f}/s  ({min(ours):,.0f} .. {max(ours):,.0f})")
    print(f"  stock Faust median {statistics.median(stock):,.0f}/s  ({min(stock):,.0f} .. {max(stock):,.0f})")
    print(f"  ratio       median {statistics.median(ratios):.1f}  ({min(ratios):.1f} .. {max(ratios):.1f})")
    return {"slawatch_per_s": ours, "stock_per_s": stock, "ratio": ratios, "cpu_us": cpu}


def restore(bootstrap: str, tickets: int) -> dict[str, object]:
    """Open tickets with two clocks each: memory while running, then restore of a fresh process."""
    print(f"\nrestore: {tickets:,} open tickets with two clocks each, {PARTITIONS} partitions")
    settings = _prepared(bootstrap, roomy=True)
    written, _ = asyncio.run(fill(settings, 2 * tickets, open_only=True))
    rate, cpu_us, rss = _run_worker(settings, written)
    print(
        f"  filled at {rate:,.0f} events/s ({cpu_us:.1f} us CPU an event); RSS of the worker that filled {rss:.0f} MB"
    )
    with _worker(settings) as (process, url, log, started):
        _wait_ready(process, url, log)
        ready = time.monotonic() - started
        rss = _status_mb(process.pid, "VmRSS")
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        build = next(line for line in lines if line["event"] == "partitions restored" and line["stage"] == "tickets")
        taken = next(line for line in lines if line["event"] == "partitions taken" and line["stage"] == "alerts")
        seconds = _epoch(build["timestamp"]) - _epoch(taken["timestamp"])
        rows = build["rows"]
    print(
        f"  {rows:,} rows restored in {seconds:.2f} s = {rows / seconds:,.0f} rows/s (of which building the index "
        f"{build['seconds']:.2f} s); start of the process to ready {ready:.1f} s; RSS {rss:.0f} MB"
    )
    return {"rows": rows, "seconds": seconds, "ready_seconds": ready, "rss_mb": rss}


def latency(bootstrap: str, seconds: float) -> dict[str, object]:
    """Produce to alert record, at two rates, on a worker that is caught up."""
    print(f"\nlatency from produce to alert record ({seconds:.0f} s each, the first third not counted)")
    figures = {}
    for rate in (1_000, 10_000):
        settings = _prepared(bootstrap)
        with _worker(settings, "wall") as (process, url, log, _):
            _wait_ready(process, url, log)
            result = asyncio.run(measure_latency(settings, rate, seconds))
        figures[str(rate)] = result
        print(
            f"  {rate:>6,}/s offered, {result['reached_per_s']:,.0f} reached: p50 {result['p50_ms']:.0f} ms, "
            f"p99 {result['p99_ms']:.0f} ms, max {result['max_ms']:.0f} ms over {result['alerts']:,} alerts"
        )
    return figures


def _prepared(bootstrap: str, *, roomy: bool = False) -> Settings:
    settings = load_settings(
        {},
        kafka={"bootstrap": bootstrap},
        topics={"prefix": f"bench-{uuid.uuid4().hex[:6]}.", "partitions": PARTITIONS},
    )
    asyncio.run(apply(settings))
    asyncio.run(publish_register(settings, roomy=roomy))
    return settings


def _environment(settings: Settings, clock: str = "event") -> dict[str, str]:
    return {
        "SLAWATCH_ENGINE__CLOCK": clock,
        **os.environ,
        "SLAWATCH_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "SLAWATCH_TOPICS__PREFIX": settings.topics.prefix,
        "SLAWATCH_TOPICS__PARTITIONS": str(PARTITIONS),
        "SLAWATCH_WEB__PORT": "0",
        "SLAWATCH_LOG__FORMAT": "json",
    }


@contextmanager
def _worker(settings: Settings, clock: str = "event") -> Iterator[tuple[subprocess.Popen[bytes], str, Path, float]]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "worker.log"
        started = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["taskset", "-c", WORKER_CORE, sys.executable, "-m", "cli.main", "worker"],
                env=_environment(settings, clock),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process, _url(process, log), log, started
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"web_started"' in line:
                return str(json.loads(line)["url"])
        time.sleep(0.05)
    raise SystemExit(f"the worker did not start:\n{log.read_text()}")


def _wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/health/ready", timeout=10):
            return
        time.sleep(0.1)
    raise SystemExit(f"the worker is not ready:\n{log.read_text()[-3000:]}")


def _run_worker(settings: Settings, count: int) -> tuple[float, float, float]:
    """Return (events/s from the first tenth to the end, CPU us per event, RSS in MB)."""
    with _worker(settings) as (process, url, log, _):
        marks: list[tuple[float, float, float]] = []
        while True:
            done = _applied(url)
            marks.append((time.monotonic(), done, _cpu_seconds(process.pid)))
            if done >= count:
                break
            if process.poll() is not None:
                raise SystemExit(f"the worker has ended:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        rss = _status_mb(process.pid, "VmRSS")
    first = next(mark for mark in marks if mark[1] >= count / 10)
    last = marks[-1]
    events = last[1] - first[1]
    return events / (last[0] - first[0]), (last[2] - first[2]) / events * 1e6, rss


def _applied(url: str) -> float:
    with suppress(OSError), urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("slawatch_events_total") and 'result="applied"' in line:
                return float(line.rsplit(" ", 1)[1])
    return 0.0


def _run_stock(settings: Settings, count: int) -> float:
    """Return events/s of stock Faust from the first tenth to the end."""
    process = subprocess.Popen(
        ["taskset", "-c", WORKER_CORE, sys.executable, "-m", "benchmarks.pipeline.stock_faust"],
        env=_environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    marks: list[tuple[float, int]] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("COUNT"):
                marks.append((time.monotonic(), int(line.split()[1])))
                if marks[-1][1] >= count - 1000:
                    break
    finally:
        process.kill()
        process.wait()
    first = next(mark for mark in marks if mark[1] >= count / 10)
    return (marks[-1][1] - first[1]) / (marks[-1][0] - first[0])


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _status_mb(pid: int, name: str) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def _epoch(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()


def _machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"


if __name__ == "__main__":
    main()
