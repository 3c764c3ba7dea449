"""Runs the demo: starts the parts in order, plays the day, shows what is seen, ends everything in reverse order."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

import config
from cli.demo_view import AlertLine, Seen, render, summary_line
from cli.local_servers import LocalServer, find_alertmanager, find_prometheus, run_alertmanager, run_prometheus
from config.settings import ClockMode, Settings, load_settings
from sla.outcome import AlertState
from sla.units import parse_instant
from streams.broker import obtain_broker
from streams.child_process import ChildProcess
from streams.codecs import decode_alert
from streams.connection import consumer_client
from streams.kafka_jars import user_cache_dir
from streams.local_broker import BrokerOptions
from streams.loopback_ports import HOST, reserve_port
from streams.topics import ALERTS, Topics

CONFIG = Path(config.__file__).parent
_READY_SECONDS = 90.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 1.0
_LINE_EVERY_SECONDS = 10.0
"""Without a terminal: one line of state this often."""
_LOG_WIDTH = 132
_MOST_ALERT_LINES = 2
"""Without a terminal: most alerts told per poll; the board at the end shows the last ones."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for."""

    speed: float
    hours: float
    tickets_per_day: float
    seed: int
    start: str
    workers: int
    port: int
    folder: Path
    wait: bool


@dataclass(slots=True)
class _Parts:
    """What runs."""

    bootstrap: str = ""
    prometheus: LocalServer | None = None
    alertmanager: LocalServer | None = None
    workers: list[tuple[ChildProcess, str]] = field(default_factory=list)
    player: ChildProcess | None = None


class DemoError(Exception):
    """A part of the demo did not start or ended by itself; the message says where its log is."""


def run_demo(options: DemoOptions) -> int:
    """Run the demo; return the exit code."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_WIDTH)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    kafka = load_settings().kafka
    external = kafka.bootstrap if "SLAWATCH_KAFKA__BOOTSTRAP" in os.environ else None
    options.folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with ExitStack() as stack:
        parts = _Parts()
        try:
            _start(console, stack, parts, options, external)
            asyncio.run(_watch(console, parts, options))
            _where_to_look(console, parts, options)
            if options.wait and sys.stdout.isatty():
                console.print("Everything keeps running until Ctrl-C.")
                signal.pause()
        except KeyboardInterrupt:
            console.print("\nstopping ...")
        except DemoError as error:
            console.print(f"[red]{error}[/red]")
            return 1
    return 0


def _start(console: Console, stack: ExitStack, parts: _Parts, options: DemoOptions, external: str | None) -> None:
    started = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/dim]  {line}")

    broker = stack.enter_context(
        obtain_broker(BrokerOptions(port=0), cache_dir=user_cache_dir(os.environ), bootstrap=external, say=say)
    )
    parts.bootstrap = broker.bootstrap
    say(f"Kafka answers at {broker.bootstrap} ({broker.how})")
    _slawatch(parts, options, "topics", "apply")
    say("topics created")
    _slawatch(parts, options, "contracts", "apply", str(CONFIG / "contracts"))
    say(f"contracts of {CONFIG.name}/contracts published")
    if find_alertmanager() is not None:
        text = (CONFIG / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
        parts.alertmanager = stack.enter_context(run_alertmanager(text, options.folder / "alertmanager"))
        say(f"Alertmanager at {parts.alertmanager.url}")
    else:
        say("Alertmanager is not installed (Debian: apt-get install prometheus-alertmanager): nobody is paged")
    for number in range(options.workers):
        port = options.port if number == 0 and options.port else _reserved_port(stack)
        url = f"http://{HOST}:{port}"
        log = options.folder / f"worker-{number}.log"
        process = _started(stack, parts, log, "worker", SLAWATCH_WEB__PORT=str(port))
        parts.workers.append((process, url))
        _wait_until_ready(process, url)
        say(f"worker {number + 1} is ready at {url}")
    if find_prometheus() is not None:
        parts.prometheus = stack.enter_context(run_prometheus(_prometheus_config(parts), options.folder / "prometheus"))
        say(f"Prometheus at {parts.prometheus.url}")
    else:
        say("Prometheus is not installed (Debian: apt-get install prometheus): see /metrics of the worker")
    parts.player = _started(
        stack,
        parts,
        options.folder / "player.log",
        *("events", "simulate", "--seed", str(options.seed), "--start", options.start),
        *("--hours", str(options.hours), "--tickets-per-day", str(options.tickets_per_day)),
        *("--speed", str(options.speed), "--with-probes"),
    )
    say(
        f"playing {options.hours:g} h of a synthetic service desk from {options.start}, {options.speed:g} x as fast "
        f"({options.hours * 3600 / options.speed:.0f} s)"
    )


def _environment(parts: _Parts, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "SLAWATCH_KAFKA__BOOTSTRAP": parts.bootstrap,
        "SLAWATCH_ENGINE__CLOCK": ClockMode.EVENT.value,
        "SLAWATCH_ALERTMANAGER__URLS": json.dumps([parts.alertmanager.url] if parts.alertmanager else []),
        **more,
    }


def _slawatch(parts: _Parts, options: DemoOptions, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env=_environment(parts),
        capture_output=True,
        text=True,
        check=False,
    )
    (options.folder / f"{'-'.join(arguments[:2])}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise DemoError(f"slawatch {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def _started(stack: ExitStack, parts: _Parts, log: Path, *arguments: str, **more: str) -> ChildProcess:
    """Start a command of ours; it ends with the demo."""
    log.unlink(missing_ok=True)  # of an earlier demo in the same folder
    process = ChildProcess(
        [sys.executable, "-m", "cli.main", *arguments], log_file=log, environment=_environment(parts, **more)
    )
    process.start()
    stack.callback(process.stop, _STOP_SECONDS)
    return process


def _reserved_port(stack: ExitStack) -> int:
    reservation = reserve_port()
    stack.callback(reservation.release)
    return reservation.port


def _wait_until_ready(process: ChildProcess, url: str) -> None:
    import urllib.error
    import urllib.request

    deadline = time.monotonic() + _READY_SECONDS
    while process.is_running and time.monotonic() < deadline:
        with suppress(OSError, urllib.error.HTTPError), urllib.request.urlopen(f"{url}/health/ready", timeout=2):  # noqa: S310 - loopback
            return
        time.sleep(0.2)
    raise DemoError(f"the worker is not ready; the last lines of {process.log_file}:\n{process.log_tail(12)}")


def _prometheus_config(parts: _Parts) -> str:
    import yaml

    document = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(path.resolve()) for path in sorted((CONFIG / "prometheus" / "rules").glob("*.yml"))],
        "scrape_configs": [
            {
                "job_name": "slawatch",
                "static_configs": [{"targets": [url.removeprefix("http://") for _, url in parts.workers]}],
            }
        ],
    }
    if parts.alertmanager is not None:
        target = parts.alertmanager.url.removeprefix("http://")
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [target]}]}]}
    return str(yaml.safe_dump(document, sort_keys=False))


async def _watch(console: Console, parts: _Parts, options: DemoOptions) -> None:
    """Show what is seen until the player has ended and the workers have taken everything in."""
    start_ms = parse_instant(options.start)
    seen = Seen(start_ms=start_ms, end_ms=start_ms + round(options.hours * 3_600_000), alerts=deque(maxlen=12))
    settings = load_settings(kafka={"bootstrap": parts.bootstrap})
    reader = asyncio.create_task(_follow_alerts(settings, seen))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            if console.is_terminal:
                with Live(console=console, refresh_per_second=4, transient=False) as live:
                    await _poll(session, parts, seen, lambda: _update(live, seen))
            else:
                told_at, told_alerts = 0.0, 0

                async def line() -> None:
                    nonlocal told_at, told_alerts
                    new = min(seen.alerts_told - told_alerts, _MOST_ALERT_LINES, len(seen.alerts))
                    told_alerts = seen.alerts_told
                    for alert in list(seen.alerts)[len(seen.alerts) - new :]:
                        console.print(alert.text, soft_wrap=True)
                    if time.monotonic() - told_at >= _LINE_EVERY_SECONDS:
                        told_at = time.monotonic()
                        console.print(summary_line(seen), soft_wrap=True)

                await _poll(session, parts, seen, line)
                console.print(Group(*render(seen)))
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _update(live: Live, seen: Seen) -> None:
    live.update(Group(*render(seen)))


async def _poll(session: aiohttp.ClientSession, parts: _Parts, seen: Seen, show: Callable[[], Awaitable[None]]) -> None:
    player = parts.player
    assert player is not None
    while True:
        for process, url in parts.workers:
            if not process.is_running:
                raise DemoError(f"the worker at {url} has ended with exit code {process.exit_code}; see its log")
        await _ask(session, parts, seen)
        await show()
        if not player.is_running:
            if player.exit_code:
                raise DemoError("the player has failed; see player.log")
            if seen.now_ms >= seen.end_ms and seen.settled():
                return
        await asyncio.sleep(_POLL_SECONDS)


async def _ask(session: aiohttp.ClientSession, parts: _Parts, seen: Seen) -> None:
    clocks, objectives, firing = [], [], []
    for _, url in parts.workers:
        with suppress(aiohttp.ClientError, TimeoutError):
            clocks.append(await _json(session, f"{url}/v1/clocks"))
            objectives += await _json(session, f"{url}/v1/objectives")
    if parts.alertmanager is not None:
        with suppress(aiohttp.ClientError, TimeoutError):
            firing = await _json(session, f"{parts.alertmanager.url}/api/v2/alerts?active=true&inhibited=true")
            seen.at_alertmanager = len(firing)
    seen.take(clocks, objectives)


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url, raise_for_status=True) as response:
        return await response.json()


async def _follow_alerts(settings: Settings, seen: Seen) -> None:
    """Read sla.alerts as any other consumer may."""
    topic = Topics(settings).name(ALERTS)
    async with consumer_client(settings.kafka, auto_offset_reset="latest") as consumer:
        consumer.subscribe([topic])
        async for record in consumer:
            if record.value is None:
                continue
            alert = decode_alert(record.value)
            text = getattr(alert, "annotations", {}).get("summary")
            if text:
                firing = alert.state is AlertState.FIRING  # type: ignore[union-attr]
                seen.alerts.append(AlertLine(alert.at_ms, alert.kind, firing, text))  # type: ignore[union-attr]
                seen.alerts_told += 1


def _where_to_look(console: Console, parts: _Parts, options: DemoOptions) -> None:
    worker = parts.workers[0][1]
    lines = [
        ("metrics", f"{worker}/metrics"),
        ("health", f"{worker}/health/ready"),
        ("objectives", f"{worker}/v1/objectives"),
        ("alerts kept", f"{worker}/v1/alerts"),
    ]
    if parts.alertmanager is not None:
        lines.append(("Alertmanager", f"{parts.alertmanager.url}/api/v2/alerts"))
    if parts.prometheus is not None:
        lines.append(("Prometheus", f"{parts.prometheus.url}/graph?g0.expr=sum%20by%20(target)%20(sla_clocks_open)"))
    lines.append(("Kafka", f"SLAWATCH_KAFKA__BOOTSTRAP={parts.bootstrap} slawatch verdicts"))
    lines.append(("logs", str(options.folder)))
    console.print("\n[bold]Where to look[/bold]")
    for name, place in lines:
        console.print(Text.assemble((f"  {name:<13}", "bold"), place), soft_wrap=True)
