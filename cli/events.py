"""``slawatch events``: plays real logs and simulated desks to Kafka, and converts logs to ticket events."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.console import console as make_console
from sla.errors import UnitError
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, format_instant, parse_instant

if TYPE_CHECKING:
    from rich.console import Console

    from cli.player import Taker
    from config.settings import Settings
    from sources.reading import Reading
    from sources.record import SourceEvent
    from sources.schedule import Beat, Pace
    from sources.simulator.probes import SimulatedSample

app = typer.Typer(no_args_is_help=True, help="Ticket events: play a log, simulate a service desk, convert files.")

_UNITS_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_STDOUT = Path("-")
_LEAVE_SECONDS = 5.0
"""A producer that could not deliver gets this long to close its connections."""

File = Annotated[Path, typer.Argument(help="XES, CSV or JSON lines (.xes .csv .jsonl .ndjson), also with .gz.")]
Mapping = Annotated[
    Path | None, typer.Option("--mapping", dir_okay=False, help="YAML file: which column is what (XES, CSV).")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=COLUMN,...", help="CSV: ticket, at, event, id, sequence or a field name."),
]
Timezone = Annotated[str | None, typer.Option(help="CSV: zone of times that have none, e.g. Asia/Jakarta.")]
Constants = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Field of every ticket; may be repeated.")
]
SkipFaults = Annotated[bool, typer.Option("--skip-faults", help="Leave faulty rows out and count them.")]
Speed = Annotated[str, typer.Option(metavar="N|max", help="Seconds of event time per second, or max.")]
HeartbeatEvery = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Event time between heartbeats (60s; 1h at --speed max)."),
]


@app.command("play")
def play_file(
    file: File,
    *,
    speed: Speed = "max",
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Leave later events out; the last heartbeat is here.")
    ] = None,
    mapping: Mapping = None,
    columns: Columns = None,
    timezone: Timezone = None,
    constants: Constants = None,
    skip_faults: SkipFaults = False,
    heartbeat_every: HeartbeatEvery = None,
) -> None:
    """Send a log to the topic sla.tickets, in the order of event time, with heartbeats.

    For workers that run with SLAWATCH_ENGINE__CLOCK=event. Every event is acknowledged by Kafka before the last
    heartbeat is sent; exit code 1 and the counts otherwise.
    """
    from config.settings import load_settings
    from sources.faults import SourceError
    from sources.schedule import Pace

    settings = load_settings()
    pace_speed = _speed(speed)
    every_ms = _heartbeat_every_ms(heartbeat_every, pace_speed)
    until_ms = None if until is None else instant_of(until, "--until")
    reading = read_events(file, mapping, columns, timezone, constants, skip_faults=skip_faults)
    if not reading.events:
        raise SourceError(file, ["holds no events"])
    first_ms, newest_ms = reading.events[0].at_ms, reading.events[-1].at_ms
    if until_ms is not None and until_ms < first_ms:
        raise typer.BadParameter(f"the first event is later: {format_instant(first_ms)}", param_hint="--until")
    _play(
        settings,
        reading.events,
        Pace(first_ms, pace_speed),
        from_ms=first_ms,
        until_ms=newest_ms if until_ms is None else until_ms,
        every_ms=every_ms,
    )


@app.command("simulate")
def simulate_desk(
    *,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same events.")] = 1,
    start: Annotated[
        str, typer.Option(metavar="INSTANT", help="First instant; events of tickets open then are older.")
    ] = "now",
    hours: Annotated[float, typer.Option(help="Hours of event time.")] = 24.0,
    tickets_per_day: Annotated[
        float, typer.Option(help="Tickets of a working day, not counting those that outages cause.")
    ] = 600.0,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write JSON lines here (- is standard output), not to Kafka.")
    ] = None,
    speed: Speed = "max",
    heartbeat_every: HeartbeatEvery = None,
    with_probes: Annotated[
        bool, typer.Option("--with-probes", help="Also send samples of the services to sla.uptime, bad in outages.")
    ] = False,
) -> None:
    """Simulate a service desk: synthetic tickets with a daily rhythm, queues, waits and an outage a day.

    Sends them to the topic sla.tickets with heartbeats, or writes them to a file.
    """
    from config.settings import load_settings
    from sources.schedule import Pace
    from sources.simulator import TICKETS_PER_WORKDAY, simulate
    from sources.simulator.probes import with_samples

    if hours <= 0:
        raise typer.BadParameter("must be positive", param_hint="--hours")
    if tickets_per_day <= 0:
        raise typer.BadParameter("must be positive", param_hint="--tickets-per-day")
    start_ms = int(time.time()) * 1000 if start == "now" else instant_of(start, "--start")
    duration_ms = round(hours * HOUR_MS)
    events = simulate(seed, start_ms, duration_ms, tickets_per_day / TICKETS_PER_WORKDAY)
    if out is not None and with_probes:
        raise typer.BadParameter("a file holds ticket events only: leave --out out", param_hint="--with-probes")
    if out is not None:
        _report_written(_write_lines(out, events), out)
        return
    settings = load_settings()
    pace_speed = _speed(speed)
    every_ms = _heartbeat_every_ms(heartbeat_every, pace_speed)
    _play(
        settings,
        with_samples(events, seed, start_ms, start_ms + duration_ms) if with_probes else events,
        Pace(start_ms, pace_speed),
        from_ms=start_ms,
        until_ms=start_ms + duration_ms,
        every_ms=every_ms,
        with_probes=with_probes,
    )


@app.command("export")
def export_file(
    file: File,
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="File to write; - is standard output, .gz compresses.")],
    mapping: Mapping = None,
    columns: Columns = None,
    timezone: Timezone = None,
    constants: Constants = None,
    skip_faults: SkipFaults = False,
) -> None:
    """Convert a log to JSON lines of ticket events, in the order of event time."""
    reading = read_events(file, mapping, columns, timezone, constants, skip_faults=skip_faults)
    _report_written(_write_lines(out, reading.events), out)


# --- reading ---


def read_events(
    file: Path,
    mapping: Path | None,
    columns: list[str] | None,
    timezone: str | None,
    constants: list[str] | None,
    *,
    skip_faults: bool,
) -> Reading:
    """Read a log as the options of a command say, telling on standard error what was left out."""
    from sources.reading import ReadOptions, read_source

    console = make_console(stderr=True)
    options = ReadOptions(
        mapping=mapping,
        columns=_pairs([pair for option in columns or [] for pair in option.split(",")], "--map"),
        timezone=timezone,
        constants=_pairs(constants or [], "--set"),
        skip_faults=skip_faults,
    )
    with console.status(f"reading {file}"):
        reading = read_source(file, options)
    if reading.faults.total:
        console.print(str(reading.faults.error()), markup=False, highlight=False, soft_wrap=True)
        console.print(f"{reading.faults.total:,} faulty rows left out, {len(reading.events):,} events read")
    return reading


def _pairs(options: list[str], hint: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not (name.strip() and equals):
            raise typer.BadParameter(f"{option!r} is not NAME=VALUE", param_hint=hint)
        pairs[name.strip()] = value.strip()
    return pairs


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a number nor max", param_hint="--speed") from error
    if not 0 < speed < float("inf"):
        raise typer.BadParameter("must be positive; max is as fast as possible", param_hint="--speed")
    return speed


def _heartbeat_every_ms(text: str | None, speed: float | None) -> int:
    from sources.schedule import HEARTBEAT_EVERY_MS, HEARTBEAT_EVERY_MS_AT_FULL_SPEED

    if text is None:
        return HEARTBEAT_EVERY_MS_AT_FULL_SPEED if speed is None else HEARTBEAT_EVERY_MS
    match = _DURATION.fullmatch(text.strip())
    every_ms = round(float(match[1]) * _UNITS_MS[match[2]]) if match else 0
    if every_ms < 1:
        raise typer.BadParameter(f"{text!r} is no duration such as 60s, 5m or 1h", param_hint="--heartbeat-every")
    return every_ms


def instant_of(text: str, hint: str) -> int:
    """Return the instant an option names; a text that is none is wrong input."""
    try:
        return parse_instant(text)
    except UnitError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from error


# --- writing ---


def _write_lines(out: Path, events: Iterable[SourceEvent]) -> int:
    """Write events as JSON lines and return their number; a file appears when it is complete."""
    if out == _STDOUT:
        return _write_to(sys.stdout.buffer, events)
    partial = out.with_name(f"{out.name}.partial")
    try:
        with gzip.open(partial, "wb") if out.suffix == ".gz" else partial.open("wb") as stream:
            count = _write_to(cast("BinaryIO", stream), events)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write_to(stream: BinaryIO, events: Iterable[SourceEvent]) -> int:
    from sources.record import to_wire

    count = 0
    for event in events:
        stream.write(to_wire(event) + b"\n")
        count += 1
    stream.flush()
    return count


def _report_written(count: int, out: Path) -> None:
    make_console(stderr=True).print(
        f"{count:,} events written" + ("" if out == _STDOUT else f" to {out}"), markup=False
    )


# --- playing ---


def _play(
    settings: Settings,
    events: Iterable[SourceEvent | SimulatedSample],
    pace: Pace,
    *,
    from_ms: int,
    until_ms: int,
    every_ms: int,
    with_probes: bool = False,
) -> None:
    from sources.schedule import schedule

    items = schedule(events, heartbeat_every_ms=every_ms, from_ms=from_ms, until_ms=until_ms)
    sending = _send(settings, items, pace, from_ms=from_ms, until_ms=until_ms, with_probes=with_probes)
    if not asyncio.run(sending):
        raise typer.Exit(1)


async def _send(
    settings: Settings,
    items: Iterator[SourceEvent | SimulatedSample | Beat],
    pace: Pace,
    *,
    from_ms: int,
    until_ms: int,
    with_probes: bool = False,
) -> bool:
    from cli.player import PRODUCER_OPTIONS, DeliveryError, Publisher, play
    from streams.connection import producer_client, require_topics
    from streams.topics import TICKETS, UPTIME, Topics

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # this command says itself what failed
    console = make_console(stderr=True)
    topic = Topics(settings).name(TICKETS)
    samples = Topics(settings).name(UPTIME)
    counts = await require_topics(settings.kafka, [topic, samples] if with_probes else [topic])
    partitions = counts[topic]
    stop = asyncio.Event()
    began = time.monotonic()
    failure: DeliveryError | None = None
    try:
        async with (
            asyncio.timeout(None) as leaving,
            producer_client(settings.kafka, **PRODUCER_OPTIONS) as producer,
        ):
            seconds = settings.kafka.request_timeout_seconds
            publisher: Taker = Publisher(producer, topic, partitions, timeout_seconds=seconds)
            if with_probes:
                from cli.routed_publisher import RoutedPublisher

                of_samples = Publisher(producer, samples, counts[samples], timeout_seconds=seconds)
                publisher = RoutedPublisher(publisher, of_samples)
            with _signals_set(stop), progress_bar(console) as progress:
                bar = progress.add_task("", total=max(1, until_ms - from_ms), events=0, rate=0, at="")

                def tell(taken: int, at_ms: int) -> None:
                    rate = taken / max(1e-3, time.monotonic() - began)
                    done = max(0, at_ms - from_ms)
                    progress.update(bar, completed=done, events=taken, rate=rate, at=format_instant(at_ms))

                try:
                    complete = await play(items, publisher, pace, stop=stop, tell=tell)
                except DeliveryError as error:
                    failure = error
                    # Closing the producer would go on trying to send what Kafka does not take.
                    leaving.reschedule(asyncio.get_running_loop().time() + _LEAVE_SECONDS)
                    raise
    except TimeoutError:
        if failure is not None:
            raise failure from None
        raise
    seconds = time.monotonic() - began
    console.print(
        f"{'' if complete else 'Stopped. '}{publisher.acknowledged_events:,} events and "
        f"{publisher.acknowledged_beats // partitions:,} heartbeats to {partitions} partitions of {topic} "
        f"acknowledged in {seconds:.1f} s ({publisher.acknowledged_events / max(1e-3, seconds):,.0f} events/s)"
        + (f"; it is now {format_instant(until_ms)}" if complete else "; the last heartbeat was not sent"),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return complete


def progress_bar(console: Console) -> Progress:
    """Return the progress of a run over events: its task has the fields ``events``, ``rate`` and ``at``."""
    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TextColumn("{task.fields[at]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def _signals_set(stop: asyncio.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the playing in order: what is under way is awaited and counted."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def end() -> None:
        stop.set()
        forget()  # the second one ends at once

    def forget() -> None:
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        forget()
