"""``slawatch events map`` and ``check``: webhook bodies to ticket events, and what a worker would say of events."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from config.settings import Settings
    from sla.events import Rejected
    from sources.record import SourceEvent

WRONG_INPUT = 2
"""Exit code for input that its author has to change."""

_LINES = frozenset({".jsonl", ".ndjson"})
_STDIN = Path("-")
_LARGEST_BODY_BYTES = 16 * 1024 * 1024
_SHOWN_REFUSALS = 50

MappingFile = Annotated[Path, typer.Argument(metavar="MAPPING", help="YAML document `kind: Mapping`.")]
Bodies = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Bodies of webhooks: one JSON value a file, in .jsonl and .ndjson one a line; - is stdin.",
    ),
]


def map_files(
    mapping: MappingFile,
    files: Bodies,
    *,
    query: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Parameter of the URL; may be repeated.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Header of the request; may be repeated.")
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Send the events to sla.tickets, print none.")] = False,
    skip_faults: Annotated[
        bool, typer.Option("--skip-faults", help="Leave out bodies that can't be mapped; without it nothing is sent.")
    ] = False,
) -> None:
    """Turn webhook bodies into ticket events, as JSON lines in the order of the bodies.

    Exit code 2 if a body can't be mapped, with all that is wrong with it; then nothing is published.
    """
    from config.mapping_model import load_mapping
    from sources.record import to_wire
    from sources.webhook_mapping import BodyRefused, Request, WebhookMapper

    mapper = WebhookMapper(load_mapping(mapping))
    request = Request(
        headers={name.lower(): value for name, value in _pairs(header, "--header")},
        query=dict(_pairs(query, "--query")),
    )
    events: list[SourceEvent] = []
    refused = ignored = 0
    for place, body in _bodies(files):
        found = BodyRefused((str(body),)) if isinstance(body, _NoJsonError) else mapper.map_body(body, request)
        if isinstance(found, BodyRefused):
            refused += 1
            for fault in found.faults:
                typer.echo(f"{place}: {fault}", err=True)
            continue
        ignored += not found.events
        events += found.events
        if not publish:
            for event in found.events:
                sys.stdout.buffer.write(to_wire(event) + b"\n")
    sys.stdout.flush()
    summary = f"{len(events):,} events, {refused:,} bodies refused, {ignored:,} ignored"
    if refused and not skip_faults:
        typer.echo(summary + ("; nothing was published" if publish else ""), err=True)
        raise typer.Exit(WRONG_INPUT)
    if publish:
        summary += f"; {publish_events(events):,} acknowledged by Kafka"
    typer.echo(summary, err=True)


def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="JSON lines of public events, also .gz; - is stdin.")
    ],
    *,
    topic: Annotated[
        str | None,
        typer.Option(help="sla.tickets or sla.uptime. Without it the topic is told by the fields of each event."),
    ] = None,
) -> None:
    """Tell which public events a worker would refuse, and why. The record's key is taken to be right.

    Exit code 2 if any would be refused. What depends on a worker's state (too late, full history) is not looked at;
    of the present only whether an event is dated after it.
    """
    from config.settings import load_settings

    if topic not in (None, "sla.tickets", "sla.uptime"):
        raise typer.BadParameter(f"{topic!r} is neither sla.tickets nor sla.uptime", param_hint="--topic")
    settings = load_settings()
    total = refused = 0
    identities: dict[tuple[str, int], tuple[str, Any]] = {}
    for place, line in _lines(files):
        total += 1
        fault = _fault_of(line, topic, settings, place, identities)
        if fault is not None:
            refused += 1
            if refused <= _SHOWN_REFUSALS:
                typer.echo(f"{place}: {fault}")
    if refused > _SHOWN_REFUSALS:
        typer.echo(f"... and {refused - _SHOWN_REFUSALS:,} more")
    typer.echo(f"{total:,} events, {refused:,} would be refused", err=True)
    if refused:
        raise typer.Exit(WRONG_INPUT)


def publish_events(events: Iterable[SourceEvent]) -> int:
    """Send ticket events to ``sla.tickets`` and return how many Kafka has acknowledged: all of them.

    Raises
    ------
    KafkaFault, DeliveryError
        If Kafka can't be reached, or did not take everything.
    """
    from config.settings import load_settings

    return asyncio.run(_publish(load_settings(), events))


async def _publish(settings: Settings, events: Iterable[SourceEvent]) -> int:
    from aiokafka.errors import KafkaError

    from cli.player import PRODUCER_OPTIONS, DeliveryError, Publisher
    from streams.connection import producer_client, require_topics
    from streams.topics import TICKETS, Topics

    topic = Topics(settings).name(TICKETS)
    partitions = (await require_topics(settings.kafka, [topic]))[topic]
    async with producer_client(settings.kafka, **PRODUCER_OPTIONS) as producer:
        publisher = Publisher(producer, topic, partitions, timeout_seconds=settings.kafka.request_timeout_seconds)
        try:
            for event in events:
                await publisher.send(event)
            await publisher.drain()
        except (KafkaError, TimeoutError) as error:
            await publisher.settle()
            raise DeliveryError(
                f"Kafka did not take everything: {str(error) or 'no answer in time'}; acknowledged are "
                f"{publisher.acknowledged_events:,} of {publisher.taken_events:,} events. Send them again: events that "
                "arrived already are recognised by their ids."
            ) from error
    return publisher.acknowledged_events


# --- judging ---


def _fault_of(
    line: bytes,
    topic: str | None,
    settings: Settings,
    place: str,
    identities: dict[tuple[str, int], tuple[str, Any]],
) -> str | None:
    """Return why an event would be refused, or None. Events of one id that differ are told too: one would be lost."""
    import msgspec

    from config.settings import ClockMode
    from sla.events import Heartbeat, Reason, Rejected
    from sla.units import format_instant
    from streams.codecs import decode_ticket
    from streams.uptime_codec import decode_uptime

    largest = settings.engine.largest_event_bytes
    try:
        seen = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        seen = None
    named = seen if isinstance(seen, dict) else {}
    is_uptime = topic == "sla.uptime" if topic else "service" in named and "ticket" not in named
    owner = str(named.get("service" if is_uptime else "ticket", ""))
    decoded: Any = (decode_uptime if is_uptime else decode_ticket)(line, owner.encode(errors="replace"), largest)
    if isinstance(decoded, Rejected):
        return _said(decoded)
    event = decoded[1] if isinstance(decoded, tuple) else decoded
    now_ms = int(time.time() * 1000)
    skew_ms = round(settings.engine.future_skew_seconds * 1000)
    if settings.engine.clock is ClockMode.WALL and event.at_ms > now_ms + skew_ms:
        detail = f"`at` is {format_instant(event.at_ms)}, it is now {format_instant(now_ms)} - at `$.at`"
        return _said(Rejected(Reason.FROM_THE_FUTURE, detail))
    if isinstance(event, Heartbeat):
        return None
    first, same = identities.setdefault((owner, event.uid), (place, event))
    if same != event:
        return f"id {named.get('id')!r} is taken by {first}, which says something else: one of the two would count"
    return None


def _said(rejected: Rejected) -> str:
    return f"{rejected.reason.value}: {rejected.detail}"


# --- reading ---


class _NoJsonError(ValueError):
    """A body that is no JSON; the message is for the user."""


def _bodies(files: Iterable[Path]) -> Iterator[tuple[str, object]]:
    """Yield every body with its place; one that is no JSON comes as a :class:`_NoJsonError`."""
    for file in files:
        if file.suffix in _LINES:
            for place, line in _lines([file]):
                yield place, _parsed(line)
        else:
            yield str(file), _parsed(_read(file))


def _parsed(text: bytes) -> object:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return _NoJsonError(f"no JSON: {str(error) or 'nested too deeply'}")


def _lines(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    from sources.files import open_source

    for file in files:
        if file == _STDIN:
            yield from _numbered("-", sys.stdin.buffer)
        else:
            with open_source(file) as stream:
                yield from _numbered(str(file), stream)


def _numbered(name: str, stream: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(stream, start=1):
        if text := line.strip():
            yield f"{name}: line {number}", text


def _read(file: Path) -> bytes:
    from sources.faults import SourceError

    try:
        if file == _STDIN:
            return sys.stdin.buffer.read(_LARGEST_BODY_BYTES)
        return file.read_bytes()
    except OSError as error:
        raise SourceError(file, [f"can't be read: {error.strerror or error}"]) from error


def _pairs(options: list[str] | None, hint: str) -> Iterator[tuple[str, str]]:
    for option in options or ():
        name, equals, value = option.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{option!r} is not NAME=VALUE", param_hint=hint)
        yield name, value
