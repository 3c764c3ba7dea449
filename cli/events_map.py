"""``slawatch events map`` and ``check``: webhook bodies to ticket events, and what a worker would say of events."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from config.settings import Settings
    from sources.record import SourceEvent
    from sources.webhook_mapping import Request

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
    from cli.event_check import fault_of_mapped
    from config.mapping_model import load_mapping
    from config.settings import load_settings
    from sources.record import to_wire
    from sources.webhook_mapping import BodyRefused, Request, WebhookMapper

    largest_bytes = load_settings().engine.largest_event_bytes
    mapper = WebhookMapper(load_mapping(mapping))
    request = Request(
        headers={name.lower(): value for name, value in _pairs(header, "--header")},
        query=dict(_pairs(query, "--query")),
    )
    events: list[SourceEvent] = []
    refused = ignored = 0
    for place, body in _bodies(files):
        found = (
            BodyRefused((str(body),))
            if isinstance(body, _NoJsonError)
            else mapper.map_body(body, _with_kept_query(request, body))
        )
        if isinstance(found, BodyRefused):
            faults = list(found.faults)
        else:
            judged = [fault_of_mapped(event, largest_bytes) for event in found.events]
            faults = [fault for fault in judged if fault is not None]
        if faults:
            refused += 1
            for fault in faults:
                typer.echo(f"{place}: {fault}", err=True)
            continue
        assert not isinstance(found, BodyRefused)
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
        typer.Option(help="sla.tickets, sla.uptime or sla.adjustments. Without it told by the fields of each."),
    ] = None,
) -> None:
    """Tell which public events would be refused, and why. The record's key is taken to be right.

    Exit code 2 if any would be refused. What depends on a worker's state (too late, full history) is not looked at;
    of the present only whether an event is dated after it.
    """
    from cli.event_check import CHECKED_TOPICS, EventCheck
    from config.settings import load_settings

    if topic is not None and topic not in CHECKED_TOPICS:
        raise typer.BadParameter(f"{topic!r} is none of {', '.join(CHECKED_TOPICS)}", param_hint="--topic")
    judge = EventCheck(load_settings(), int(time.time() * 1000), topic)
    total = refused = 0
    for place, line in _lines(files):
        total += 1
        if (fault := judge.fault_of(line, place)) is not None:
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


def _with_kept_query(request: Request, body: object) -> Request:
    """Return the request with the query that the receiver kept beside a body it refused; options win."""
    from sources.webhook_mapping import REQUEST, Request

    kept = body.get(REQUEST) if isinstance(body, dict) else None
    query = kept.get("query") if isinstance(kept, dict) else None
    if not isinstance(query, dict):
        return request
    return Request(request.headers, {str(name): str(value) for name, value in query.items()} | dict(request.query))


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
