"""``slawatch events probe``: looks at services over HTTP and TCP and publishes what it sees to sla.uptime."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Self

import typer
from rich.table import Table

from cli.console import console as make_console
from sla.units import SECOND_MS, format_instant

if TYPE_CHECKING:
    from cli.sample_publisher import SamplePublisher
    from config.settings import Settings
    from sources.prober import Checks, Look, ProbeTarget

_FINISH_SECONDS = 10.0
"""At the end samples that wait get this long to be acknowledged."""


def probe(
    targets: Annotated[
        list[str], typer.Argument(metavar="[SERVICE=]URL...", help="https://host/path or tcp://host:port.")
    ],
    *,
    every: Annotated[str, typer.Option(metavar="DURATION", help="Time from one look to the next.")] = "10s",
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="A check that takes longer has failed.")] = "5s",
    jitter: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the interval by which looks are spread at random.")
    ] = 0.1,
    name: Annotated[str | None, typer.Option("--name", help="Name of this probe. Default: the host name.")] = None,
    status: Annotated[str, typer.Option(metavar="FROM-TO", help="HTTP status codes that are good.")] = "200-399",
    via: Annotated[
        str | None, typer.Option(metavar="URL", help="Let this blackbox_exporter look, at http://host:9115.")
    ] = None,
    module: Annotated[str, typer.Option(help="Module of the blackbox_exporter.")] = "http_2xx",
    once: Annotated[
        bool, typer.Option("--once", help="Look once at each and end: exit code 1 if one is not good.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Also append every sample here as a JSON line; - prints, without Kafka."),
    ] = None,
) -> None:
    """Look at services again and again and publish samples to sla.uptime.

    The probe's own failures (no network, no resolver, a process that stood still) are no samples. While the broker is
    away samples wait, up to a bound. A service may be looked at by several probes: give each a name.
    """
    from config.settings import load_settings
    from export.logging_setup import configure_logging
    from sources.prober import Blackbox, Checks, TargetError, parse_target
    from streams.topics import UPTIME, Topics

    settings = load_settings()
    faults: list[str] = []
    parsed: list[ProbeTarget] = []
    for text in targets:
        try:
            parsed.append(parse_target(text))
        except TargetError as error:
            faults.append(str(error))
    every_seconds, timeout_seconds = _seconds(every, "--every", faults), _seconds(timeout, "--timeout", faults)
    statuses = _statuses(status, faults)
    if faults:
        for fault in faults:
            print(fault, file=sys.stderr)
        raise typer.Exit(2)
    checks = Checks(timeout_seconds, statuses, None if via is None else Blackbox(via, module))
    configure_logging(settings.log)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the command says itself what does not answer
    to_kafka = str(out) != "-"
    run = _Probing(settings, parsed, checks, name or socket.gethostname(), every_seconds, jitter, out)
    if once:
        raise typer.Exit(asyncio.run(run.once(Topics(settings).name(UPTIME) if to_kafka else None)))
    raise typer.Exit(asyncio.run(run.forever(Topics(settings).name(UPTIME) if to_kafka else None)))


class _Probing:
    """One run of the command."""

    def __init__(
        self,
        settings: Settings,
        targets: list[ProbeTarget],
        checks: Checks,
        name: str,
        every_seconds: float,
        jitter: float,
        out: Path | None,
    ) -> None:
        self._settings = settings
        self._targets = targets
        self._checks = checks
        self._name = name
        self._every_seconds = every_seconds
        self._jitter = jitter
        self._out = out
        self._last: dict[str, bool | None] = {}

    async def once(self, topic: str | None) -> int:
        """Look once at everything; return the exit code."""
        async with self._session() as session:
            looks = await asyncio.gather(*(self._look(session, target) for target in self._targets))
        delivered = True
        with _History(self._out) as history:
            values = [(seen, value) for seen in looks if (value := seen.sample(self._name)) is not None]
            for _, value in values:
                history.write(value)
            if topic is not None and values:
                delivered = await self._deliver(topic, [(seen.target.service, value) for seen, value in values])
        if topic is not None:
            _print(looks)
        return 0 if delivered and all(seen.ok for seen in looks) else 1

    async def forever(self, topic: str | None) -> int:
        """Look until SIGTERM or SIGINT; return the exit code."""
        from cli.sample_publisher import SamplePublisher

        publisher = None if topic is None else SamplePublisher(self._settings, topic)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        delivered = True
        try:
            with _History(self._out) as history:
                async with self._session() as session, asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._watch(session, target, publisher, history)) for target in self._targets
                    ]
                    if publisher is not None:
                        tasks.append(group.create_task(publisher.run()))
                    await stop.wait()
                    delivered = publisher is None or await publisher.drain(_FINISH_SECONDS)
                    for task in tasks:
                        task.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        if publisher is not None:
            left = len(publisher)
            print(
                f"{publisher.delivered} samples delivered, {publisher.dropped} dropped, {left} not sent",
                file=sys.stderr,
            )
        return 0 if delivered and not (publisher and publisher.dropped) else 1

    @staticmethod
    def _session() -> _SessionContext:
        return _SessionContext()

    async def _watch(
        self, session: object, target: ProbeTarget, publisher: SamplePublisher | None, history: _History
    ) -> None:
        # Not all at once: targets that share a cause would be looked at in bursts.
        await asyncio.sleep(random.uniform(0, self._every_seconds))
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            seen = await self._look(session, target)
            value = seen.sample(self._name)
            if value is not None:
                history.write(value)
                if publisher is not None:
                    publisher.put(target.service, value)
            self._tell_change(seen)
            due = max(due + self._every_seconds, loop.time())
            spread = random.uniform(-self._jitter, self._jitter) * self._every_seconds / 2
            await asyncio.sleep(max(0.0, due + spread - loop.time()))

    async def _look(self, session: object, target: ProbeTarget) -> Look:
        from sources.prober import look
        from streams.system_clock import now_ms

        return await look(session, target, self._checks, now_ms)  # type: ignore[arg-type]

    def _tell_change(self, seen: Look) -> None:
        """Say on standard error when a target changes: it works, it fails, or the probe can't tell."""
        before = self._last.get(seen.target.url, True)
        self._last[seen.target.url] = seen.ok
        if seen.ok != before:
            state = {True: "good again", False: "bad", None: "not looked at, the probe's own fault"}[seen.ok]
            print(f"{format_instant(seen.at_ms)} {seen.target.service} {state}: {seen.detail}", file=sys.stderr)

    async def _deliver(self, topic: str, samples: list[tuple[str, bytes]]) -> bool:
        from streams.connection import producer_client

        async with producer_client(self._settings.kafka) as producer:
            futures = [await producer.send(topic, key=service.encode(), value=value) for service, value in samples]
            await asyncio.gather(*futures)
        return True


class _SessionContext:
    """A client session for probes: every look opens a connection of its own, and redirects are followed."""

    async def __aenter__(self) -> object:
        from aiohttp import ClientSession, TCPConnector

        self._session = ClientSession(
            connector=TCPConnector(force_close=True, limit=0, use_dns_cache=False),
            headers={"User-Agent": "slawatch-probe"},
        )
        return self._session

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()


class _History:
    """The file that samples are appended to, or none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = sys.stdout.buffer if str(self._path) == "-" else self._path.open("ab")
            except OSError as error:
                raise typer.BadParameter(f"{self._path}: {error.strerror or error}", param_hint="--out") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None and self._file is not sys.stdout.buffer:
            self._file.close()

    def write(self, value: bytes) -> None:
        """Append one line, at once."""
        if self._file is not None:
            self._file.write(value + b"\n")
            self._file.flush()


def _print(looks: list[Look]) -> None:
    table = Table("service", "url", "result", "ms", "detail")
    words = {True: "good", False: "bad", None: "not looked at"}
    for seen in looks:
        table.add_row(seen.target.service, seen.target.url, words[seen.ok], f"{seen.latency_ms:.0f}", seen.detail)
    make_console(markup=False).print(table)


def _seconds(text: str, option: str, faults: list[str]) -> float:
    from sla.contract import TimeBase
    from sla.duration import parse_within
    from sla.errors import UnitError

    try:
        within = parse_within(text)
    except UnitError as error:
        faults.append(f"{option}: {error}")
        return 1.0
    if within.base is not TimeBase.ELAPSED or within.rule is not None or within.duration_ms < 100:
        faults.append(f"{option}: {text} is no length of elapsed time of 0.1 s or more: write 10s")
        return 1.0
    return within.duration_ms / SECOND_MS


def _statuses(text: str, faults: list[str]) -> range:
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit() and 100 <= int(first) <= int(last or first) <= 599):
        faults.append(f"--status: {text} are no status codes: write 200-399 or 204")
        return range(200, 400)
    return range(int(first), int(last or first) + 1)
