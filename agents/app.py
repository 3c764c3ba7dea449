"""The composition root: settings in, a Faust app with its four stages out. Nothing is built at import."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import mode

from agents.alert_processor import AlertProcessor
from agents.objective_processor import ObjectiveProcessor
from agents.observer import MetricsObserver
from agents.register_view import RegisterView
from agents.ticket_processor import TicketProcessor
from agents.uptime_processor import UptimeProcessor
from agents.wall_present import WallPresent
from config.burn_policy import load_burn_policy
from config.settings import ClockMode, Settings
from export.metrics import Metrics
from streams.connection import client_options, faust_brokers, faust_credentials
from streams.lane import LaneApp, Watermark
from streams.sender import OutputSender
from streams.stage import Stage
from streams.state_rows import Position
from streams.system_clock import now_ms
from streams.topics import (
    ALERTS,
    ALERTS_STATE,
    OBJECTIVES_STATE,
    ROLLUPS,
    TICKETS,
    TICKETS_STATE,
    UPTIME,
    UPTIME_STATE,
    VERDICTS,
    Topics,
)


@dataclass(slots=True)
class RegisterHolder:
    """The newest compiled register of the process; stages ask it before every step."""

    view: RegisterView | None = None
    bring_up_to_date: Callable[[], Awaitable[None]] | None = None
    """Returns when ``view`` has everything that is published by now; None without a reader."""

    async def newest(self) -> None:
        """Wait until ``view`` has everything that is published by now."""
        if self.bring_up_to_date is not None:
            await self.bring_up_to_date()


@dataclass(slots=True)
class Application:
    """Everything a worker runs.

    Attributes
    ----------
    app : LaneApp
    tickets, uptime, objectives, alerts : Stage
    """

    app: LaneApp
    topics: Topics
    tickets: Stage
    uptime: Stage
    objectives: Stage
    alerts: Stage
    sender: OutputSender
    metrics: Metrics
    register: RegisterHolder = field(default_factory=RegisterHolder)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages."""
        return (self.tickets, self.uptime, self.objectives, self.alerts)


def create_app(
    settings: Settings,
    *,
    metrics: Metrics,
    halt: Callable[[BaseException], None],
    accept_loss: frozenset[tuple[str, int]] = frozenset(),
    worker: str | None = None,
) -> Application:
    """Build the Faust app and its stages.

    Parameters
    ----------
    halt : callable
        Ends the process at a durability fault; must not return.
    accept_loss : frozenset of (topic, partition)
        Source partitions whose lost records the operator accepts.
    worker : str, optional
        Name of this process; host and pid by default.
    """
    topics = Topics(settings)
    # Read here, and not when the first partition comes: a fault in it is told before anything runs.
    load_burn_policy(settings.engine.burn_policy_file)
    kafka, engine = settings.kafka, settings.engine
    client = client_options(kafka)
    app = LaneApp(
        topics.group,
        broker=faust_brokers(kafka),
        broker_credentials=faust_credentials(kafka),
        version=1,
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.topics.partitions,
        broker_commit_interval=1.0,
        broker_session_timeout=kafka.session_timeout_seconds,
        broker_heartbeat_interval=max(1.0, kafka.session_timeout_seconds / 10),
        broker_request_timeout=max(90.0, kafka.request_timeout_seconds),
        broker_rebalance_timeout=60.0,
        broker_check_crcs=True,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * 1024 * 1024,
        producer_acks=-1,
        producer_request_timeout=60.0,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        agent_supervisor=mode.CrashingSupervisor,
        cython_optimizations=True,
    )
    observer = MetricsObserver(
        metrics, topics.name(TICKETS), now_ms, topics.name(UPTIME), verdicts_topic=topics.name(VERDICTS)
    )
    app.rebalance_observer = observer
    sender = OutputSender(client)
    register = RegisterHolder()
    name = worker or f"{socket.gethostname()}:{os.getpid()}"

    settle_ms = int(engine.settle_seconds * 1000)
    of_wall_clock = engine.clock is ClockMode.WALL
    common: dict[str, Any] = {
        "partitions": settings.topics.partitions,
        "chunk_records": engine.chunk_records,
        "client": client,
        "sender": sender,
        "worker": name,
        "register_of": lambda: register.view,
        "halt": halt,
        "observer": observer,
        "retake_seconds": engine.retake_hours * 3600,
    }
    return Application(
        app=app,
        topics=topics,
        tickets=Stage(
            app,
            name="tickets",
            source_topic=topics.name(TICKETS),
            state_topic=topics.name(TICKETS_STATE),
            make_processor=lambda partition: TicketProcessor(partition, topics, engine, observer),
            now_of=WallPresent(settle_ms, now_ms) if of_wall_clock else _moved_by_records,
            tick_seconds=engine.sweep_interval_seconds,
            needs_watermarks=True,
            accept_loss=_accepted(accept_loss, topics.name(TICKETS)),
            **common,
        ),
        uptime=Stage(
            app,
            name="uptime",
            source_topic=topics.name(UPTIME),
            state_topic=topics.name(UPTIME_STATE),
            make_processor=lambda partition: UptimeProcessor(partition, topics, engine, observer),
            # A present of its own: how long the broker was silent is told by each stage's watermarks.
            now_of=WallPresent(settle_ms, now_ms) if of_wall_clock else _moved_by_records,
            tick_seconds=engine.sweep_interval_seconds,
            needs_watermarks=True,
            accept_loss=_accepted(accept_loss, topics.name(UPTIME)),
            newest_register=register.newest,
            **common,
        ),
        objectives=Stage(
            app,
            name="objectives",
            source_topic=topics.name(ROLLUPS),
            state_topic=topics.name(OBJECTIVES_STATE),
            make_processor=lambda partition: ObjectiveProcessor(partition, topics, engine, observer),
            now_of=_moved_by_records,
            tick_seconds=1.0,
            needs_watermarks=True,
            accept_loss=_accepted(accept_loss, topics.name(ROLLUPS)),
            **common,
        ),
        alerts=Stage(
            app,
            name="alerts",
            source_topic=topics.name(ALERTS),
            state_topic=topics.name(ALERTS_STATE),
            make_processor=lambda partition: AlertProcessor(
                partition, topics, settings.alertmanager, observer, now_ms, settings.web
            ),
            now_of=_moved_by_records,
            tick_seconds=0.5,
            needs_watermarks=True,
            accept_loss=_accepted(accept_loss, topics.name(ALERTS)),
            **common,
        ),
        sender=sender,
        metrics=metrics,
        register=register,
    )


def _moved_by_records(_timestamp_ms: int, _position: Position, _watermark: Watermark | None) -> None:
    """Know no present but the one that the records themselves tell the processor."""


def _accepted(accept_loss: frozenset[tuple[str, int]], topic: str) -> frozenset[int]:
    return frozenset(partition for name, partition in accept_loss if name == topic)
