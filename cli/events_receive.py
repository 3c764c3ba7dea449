"""``slawatch events receive``: takes webhooks of ticket systems over HTTP and publishes what they tell."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aiohttp import web

    from cli.refused_bodies import RefusedBodies
    from cli.webhook_receiver import Endpoint, KeepRefused
    from config.settings import Settings
    from sources.record import SourceEvent
    from sources.webhook_mapping import WebhookMapper

_FINISH_SECONDS = 20.0
"""At shutdown webhooks under way get this long to be acknowledged; orchestrators kill after 30 seconds or so."""
_LEAVE_SECONDS = 5.0
"""The producer then gets this long to close its connections."""


def receive(
    *,
    mapping: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="YAML document `kind: Mapping`; may be repeated. Served at /webhooks/<id>."),
    ],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="TCP port; 0 takes a free one.")] = 6067,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback every mapping needs a secret.")] = (
        "127.0.0.1"
    ),
    secret_file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ID=]FILE",
            help="Secret of the senders: token, user:password or signing key, as the mapping's scheme wants it. One a "
            "line: any of them will do. With ID= for one mapping; may be repeated.",
        ),
    ] = None,
    refused_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Keep bodies that can't be mapped here, one file of JSON lines a mapping, for slawatch events map.",
        ),
    ] = None,
    largest_body_bytes: Annotated[int, typer.Option(min=1024, help="Larger bodies are answered with 413.")] = 1_048_576,
) -> None:
    """Receive webhooks and publish their ticket events to sla.tickets; a 2xx means that Kafka has them."""
    import uvloop

    from cli.webhook_receiver import Endpoint
    from config.mapping_model import load_mapping
    from config.settings import load_settings
    from export.logging_setup import configure_logging
    from export.web import is_loopback
    from sources.webhook_mapping import WebhookMapper

    settings = load_settings()
    mappers = [WebhookMapper(load_mapping(path)) for path in mapping]
    secrets = _secrets(secret_file or [], mappers)
    endpoints: dict[str, Endpoint] = {}
    for path, mapper in zip(mapping, mappers, strict=True):
        name = mapper.model.id
        if name in endpoints:
            raise typer.BadParameter(f"{path}: another mapping has the id {name!r}", param_hint="--mapping")
        if not secrets[name] and not is_loopback(host):
            raise typer.BadParameter(
                f"{host} can be reached by others and {name!r} has no secret: give --secret-file", param_hint="--host"
            )
        endpoints[name] = Endpoint(mapper, secrets[name])
    keep_refused = None if refused_dir is None else _refused_bodies(refused_dir).keep
    configure_logging(settings.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_run(settings, endpoints, host, port, largest_body_bytes, keep_refused))
    raise typer.Exit(code)


def _refused_bodies(folder: Path) -> RefusedBodies:
    from cli.refused_bodies import RefusedBodies

    try:
        return RefusedBodies(folder)
    except OSError as error:
        raise typer.BadParameter(f"{folder}: {error.strerror or error}", param_hint="--refused-dir") from error


def _secrets(options: Sequence[str], mappers: Sequence[WebhookMapper]) -> dict[str, tuple[bytes, ...]]:
    names = [mapper.model.id for mapper in mappers]
    found: dict[str, tuple[bytes, ...]] = dict.fromkeys(names, ())
    # What is said of one mapping wins over what is said of all.
    for option in sorted(options, key=lambda text: text.partition("=")[0] in names):
        name, equals, file = option.partition("=")
        known = bool(equals) and name in names
        if equals and not known and not Path(option).exists():
            raise typer.BadParameter(f"no mapping has the id {name!r}", param_hint="--secret-file")
        path = Path(file if known else option)
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise typer.BadParameter(f"{path}: {error.strerror or error}", param_hint="--secret-file") from error
        secrets = tuple(line.strip() for line in lines if line.strip())
        if not secrets:
            raise typer.BadParameter(f"{path} is empty", param_hint="--secret-file")
        for each in [name] if known else names:
            found[each] = secrets
    return found


async def _run(
    settings: Settings,
    endpoints: dict[str, Endpoint],
    host: str,
    port: int,
    largest_body_bytes: int,
    keep_refused: KeepRefused | None,
) -> int:
    """Serve until a signal (0), or until the producer is beyond recovery (1): a restart gets another one."""
    import structlog
    from aiohttp import web
    from aiokafka.errors import KafkaError

    from cli.webhook_receiver import ReceiverState, create_receiver
    from export.receiver_metrics import ReceiverMetrics
    from sources.record import to_wire
    from streams.codecs import partition_of
    from streams.connection import producer_client, require_topics
    from streams.topics import TICKETS, Topics

    log = structlog.get_logger(__name__)
    topic = Topics(settings).name(TICKETS)
    partitions = (await require_topics(settings.kafka, [topic]))[topic]
    state = ReceiverState()
    stop = asyncio.Event()
    is_broken = False
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as leaving, producer_client(settings.kafka, linger_ms=2) as producer:

            async def publish(events: Sequence[SourceEvent]) -> None:
                nonlocal is_broken
                try:
                    async with asyncio.timeout(settings.kafka.request_timeout_seconds):
                        sent = [
                            await producer.send(
                                topic, to_wire(event), key=event.key, partition=partition_of(event.key, partitions)
                            )
                            for event in events
                        ]
                        # Shielded: the answer may still come, and aiokafka wants to set it.
                        await asyncio.gather(*(asyncio.shield(acknowledged) for acknowledged in sent))
                except KafkaError as error:
                    if not (error.retriable or _is_of_the_moment(error)):
                        # An idempotent producer that lost its place answers every later record with the same error.
                        is_broken = True
                        stop.set()
                        log.exception("producer_broken", topic=topic)
                    raise

            app = create_receiver(
                endpoints,
                publish,
                now_ms=lambda: int(time.time() * 1000),
                metrics=ReceiverMetrics(endpoints),
                state=state,
                keep_refused=keep_refused,
                largest_body_bytes=largest_body_bytes,
                largest_event_bytes=settings.engine.largest_event_bytes,
            )
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_FINISH_SECONDS)
            await runner.setup()
            try:
                await _listen(web.TCPSite(runner, host, port), host, port)
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, stop.set)
                bound = runner.addresses[0][1]
                log.info("receiver_started", host=host, port=bound, topic=topic, mappings=sorted(endpoints))
                if unchecked := sorted(name for name, endpoint in endpoints.items() if not endpoint.secrets):
                    log.warning("receiver_without_secrets", mappings=unchecked)
                await stop.wait()
                state.is_leaving = True
            finally:
                await runner.cleanup()
                # A producer goes on trying while its broker is away; its sender was told and has what it still holds.
                leaving.reschedule(loop.time() + _LEAVE_SECONDS)
    except TimeoutError:
        if not leaving.expired():
            raise
        log.warning("producer_left_unfinished", seconds=_LEAVE_SECONDS)
    log.info("receiver_stopped")
    return 1 if is_broken else 0


async def _listen(site: web.TCPSite, host: str, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        raise typer.BadParameter(f"can't listen on {host}:{port}: {error.strerror}", param_hint="--port") from error


def _is_of_the_moment(error: Exception) -> bool:
    """Tell whether a fault that is not worth trying again is about one record or one wait, not about the producer."""
    from aiokafka import errors

    about_one = (
        errors.KafkaTimeoutError,
        errors.MessageSizeTooLargeError,
        errors.InvalidMessageError,
        errors.RecordListTooLargeError,
    )
    return isinstance(error, about_one)
