"""One worker process: starts everything in order, serves, and stops in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from typing import NoReturn

import structlog
from aiokafka.errors import KafkaError
from yarl import URL

from agents.api import Api
from agents.app import Application, create_app
from agents.gauges import Gauges
from agents.peers import Peers
from agents.pusher import Pusher
from agents.register_view import RegisterView, compile_register
from config.settings import Settings
from export.alertmanager import AlertmanagerClient
from export.health import CheckResult, EventLoopProbe, Health
from export.metrics import Metrics
from export.web import WebServer, create_web
from streams.partition import has_reached
from streams.register_topics import RegisterReader
from streams.system_clock import now_ms
from streams.topic_admin import require_no_differences

log = structlog.get_logger(__name__)

EXIT_DURABILITY = 70
"""Exit code after a step could not be made durable: start again, nothing is lost."""

_FOLLOW_SECONDS = 0.25
_REGISTER_POLL_SECONDS = 0.02


def halt(error: BaseException) -> NoReturn:
    """End the process at once: a step could not be made durable and nothing may go on from here.

    Not an exception: whatever would catch it (Faust logs and goes on) might write or acknowledge more.
    """
    log.critical("worker stops", reason=f"{type(error).__name__}: {error}", exit_code=EXIT_DURABILITY, exc_info=error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_DURABILITY)


async def run_worker(settings: Settings, accept_loss: frozenset[tuple[str, int]] = frozenset()) -> int:
    """Run a worker until SIGTERM or SIGINT; return its exit code.

    Raises
    ------
    KafkaFault
        If the broker can't be reached or topics are missing or differ from what the settings want.
    """
    await require_no_differences(settings)
    metrics = Metrics()
    application = create_app(settings, metrics=metrics, halt=halt, accept_loss=accept_loss)
    for stage in application.stages:
        metrics.watch_topic(stage.source_topic)
    health = Health(metrics)
    probe = EventLoopProbe(metrics=metrics)
    _add_checks(health, application, probe)
    app = application.app
    peers = Peers(app.router.external_topics_metadata, lambda: str(app.conf.canonical_url), settings.web.bearer_token())
    api = Api(application, settings.engine, peers)
    web = WebServer(create_web(metrics, health, api.routes(), settings=settings.web), settings.web)
    metrics.before_exposition(Gauges(application, now_ms).refresh)
    client = AlertmanagerClient(settings.alertmanager, metrics=metrics)
    # First: a port that is taken is found before there is anything to be put away again.
    await web.start()
    # Told to the group with the subscription: whoever is asked for a ticket of this worker's passes it on to here.
    app.conf.canonical_url = URL(settings.web.advertised_url or web.url)
    reader = RegisterReader(settings)
    await reader.start()
    application.register.bring_up_to_date = lambda: _newest_register(application, reader)
    _put_register(application, compile_register(reader.snapshot()), metrics)
    pusher = Pusher(application.alerts, client, app.heartbeat_age_seconds, settings.kafka.session_timeout_seconds)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await application.sender.start()
    probe.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    serving = asyncio.create_task(app.start(), name="faust")
    serving.add_done_callback(_halt_if_failed)
    background = [
        asyncio.create_task(_follow_watermarks(application), name="watermarks"),
        asyncio.create_task(_follow_register(application, reader, metrics), name="register"),
        asyncio.create_task(pusher.run(), name="pusher"),
        asyncio.create_task(reader.join(), name="register-reader"),
    ]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    crashed = asyncio.create_task(app.wait_until_stopped(), name="crash")
    exit_code = 0
    done, _ = await asyncio.wait({stopping, crashed, *background}, return_when=asyncio.FIRST_COMPLETED)
    if stopping not in done:
        failed = next((task for task in done if not task.cancelled() and task.exception() is not None), None)
        error = failed.exception() if failed is not None else app.crash_reason
        if error is not None:
            halt(error)
        exit_code = 1
    log.info("worker stopping")
    for task in (*background, crashed, stopping):
        task.cancel()
    await asyncio.gather(*background, crashed, stopping, return_exceptions=True)
    # Faust lets the streams finish and commits; only then may partitions be given up.
    await app.stop()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    for stage in application.stages:
        await stage.stop()
    await application.sender.stop()
    await reader.stop()
    await client.close()
    await probe.stop()
    await web.stop()
    log.info("worker stopped")
    return exit_code


def _halt_if_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        halt(error)


async def _follow_watermarks(application: Application) -> None:
    away = False
    while True:
        await asyncio.sleep(_FOLLOW_SECONDS)
        if application.app.rebalancing:
            continue
        try:
            for stage in application.stages:
                await stage.follow()
        except KafkaError as error:
            # Without watermarks the present stands still and nothing is judged: safe, so wait for the broker.
            if not away:
                log.warning("broker does not tell its end offsets", error=f"{type(error).__name__}: {error}")
            away = True
        else:
            if away:
                log.info("broker tells its end offsets again")
            away = False


async def _follow_register(application: Application, reader: RegisterReader, metrics: Metrics) -> None:
    seen = reader.snapshot()
    while True:
        seen = await reader.next_change(seen)
        _put_register(application, compile_register(seen), metrics)


async def _newest_register(application: Application, reader: RegisterReader) -> None:
    """Return when the register in force has everything that is published by now."""
    while True:
        try:
            published = await reader.published_offsets()
        except KafkaError as error:
            # Nothing may be refused for want of a contract meanwhile: wait for the broker.
            log.warning("broker does not tell the end of the register", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_FOLLOW_SECONDS)
            continue
        # The reader has it within milliseconds; a service that nobody knows is rare.
        while application.register.view is None or not has_reached(application.register.view, published):  # noqa: ASYNC110
            await asyncio.sleep(_REGISTER_POLL_SECONDS)
        return


def _put_register(application: Application, view: RegisterView, metrics: Metrics) -> None:
    for fault in view.faults:
        log.error("register document left out", fault=fault)
    application.register.view = view
    metrics.register_documents.labels(kind="contract").set(len(view.register.contracts))
    metrics.register_documents.labels(kind="calendar").set(len(view.register.calendars))
    for target in view.register.targets:
        metrics.watch_target(target.contract, target.id)
    log.info("register in force", contracts=len(view.register.contracts), targets=len(view.register))


def _add_checks(health: Health, application: Application, probe: EventLoopProbe) -> None:
    def partitions() -> CheckResult:
        if application.app.rebalancing:
            return CheckResult(ok=False, detail="the consumer group is rebalancing")
        waiting = [stage.name for stage in application.stages if not stage.is_ready]
        return CheckResult(ok=not waiting, detail=f"restoring: {', '.join(waiting)}" if waiting else "all restored")

    def register() -> CheckResult:
        view = application.register.view
        faults = view.faults if view is not None else ()
        return CheckResult(ok=not faults, detail="; ".join(faults) or "every document is in force")

    def membership() -> CheckResult:
        age = application.app.heartbeat_age_seconds()
        limit = application.app.conf.broker_session_timeout
        return CheckResult(ok=age <= limit, detail=f"last heartbeat answered {age:.0f} s ago, limit {limit:.0f} s")

    health.add("event-loop", probe.check, live=True)
    health.add("partitions", partitions)
    health.add("register", register)
    health.add("broker", membership)
