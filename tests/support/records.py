"""Records of the public topics as the lane hands them to the agents, and an observer that counts."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from agents.register_view import RegisterView
from config.settings import Settings
from export.catalogue import EventResult
from sla.events import Reason
from sla.outcome import Alert, AlertKind, AlertState
from sla.register import Register
from sla.units import MINUTE_MS
from streams.codecs import encode_alert, partition_of
from streams.state_rows import provenance
from streams.topics import Topics
from tests.support.domain import at
from tests.support.fake_kafka import Record
from tests.support.uptime import T0

PARTITIONS = 4
"""Partitions of every topic in the tests of the agents."""


def settings(**sections: Any) -> Settings:
    """Return settings with the clock of replays and few partitions."""
    engine = {"clock": "event", **sections.pop("engine", {})}
    return Settings(engine=engine, topics={"partitions": PARTITIONS}, **sections)


TOPICS = Topics(settings())


def view(register: Register, version: int = 1) -> RegisterView:
    """Return a register view."""
    return RegisterView({"sla.contracts": version}, register)


def tickets_on(partition: int, count: int) -> list[str]:
    """Return the first ticket ids that belong on a partition."""
    mine = (
        ticket
        for ticket in map("INC-{}".format, itertools.count())
        if partition_of(ticket.encode(), PARTITIONS) == partition
    )
    return list(itertools.islice(mine, count))


def ticket_on(partition: int, number: int = 0) -> str:
    """Return the ``number``-th ticket id that belongs on a partition."""
    return tickets_on(partition, number + 1)[-1]


def event_record(
    ticket: str,
    event: str = "created",
    when: str | int = "mon 09:00",
    *,
    offset: int = 0,
    arrived: str | int | None = None,
    key: str | None = None,
    version: int = 1,
    headers: tuple[tuple[str, bytes], ...] = (),
    **fields: Any,
) -> Record:
    """Return a ticket event; it arrives when it happens unless ``arrived`` says otherwise."""
    document = {"version": version, "ticket": ticket, "event": event, "at": at(when), "fields": fields}
    timestamp = at(when if arrived is None else arrived)
    return Record(offset, (key or ticket).encode(), json.dumps(document).encode(), timestamp, 1, headers)


def heartbeat_record(when: str | int, *, offset: int = 0) -> Record:
    """Return a player's word that it is now ``when``."""
    document = {"version": 1, "type": "heartbeat", "at": at(when)}
    return Record(offset, b"heartbeat", json.dumps(document).encode(), at(when), 1)


def service_on(partition: int, prefix: str = "portal") -> str:
    """Return a service that belongs on a partition."""
    names = map(f"{prefix}-{{}}".format, itertools.count())
    return next(name for name in names if partition_of(name.encode(), PARTITIONS) == partition)


def sample_record(minute: float, service: str, *, arrived: float | None = None, **fields: Any) -> Record:
    """Return a good check, ``minute`` minutes after ``T0``; it arrives then unless ``arrived`` says otherwise."""
    at_ms = T0 + round(minute * MINUTE_MS)
    document = {"version": 1, "type": "sample", "service": service, "at": at_ms, "probe": "fra", "ok": True, **fields}
    timestamp = at_ms if arrived is None else T0 + round(arrived * MINUTE_MS)
    return Record(0, service.encode(), json.dumps(document).encode(), timestamp, 1)


def uptime_heartbeat(minute: float) -> Record:
    """Return a player's word that it is now ``minute`` minutes after ``T0``."""
    return heartbeat_record(T0 + round(minute * MINUTE_MS))


def made_by(record: Record, source: str, seq: int, index: int = 0) -> Record:
    """Return the record with the headers of the step that made it."""
    record.headers = (*record.headers, *provenance(source, seq, index))
    return record


def alert(
    number: int = 1, state: AlertState = AlertState.FIRING, *, when: str | int = "mon 12:00", **labels: str
) -> Alert:
    """Return the state of the alert that ticket ``number`` is at risk."""
    return Alert(
        id=f"SLATicketAtRisk/INC-{number}:resolution:1",
        kind=AlertKind.TICKET_AT_RISK,
        state=state,
        severity="warning",
        at_ms=at(when),
        labels={"alertname": "SLATicketAtRisk", "ticket_id": f"INC-{number}", "team": "desk", **labels},
        annotations={"summary": f"INC-{number} is at risk"},
    )


def alert_record(of: Alert, *, offset: int = 0) -> Record:
    """Return an alert as it is on sla.alerts."""
    return Record(offset, of.id.encode(), encode_alert(of), of.at_ms, 1)


class CountingObserver:
    """An observer of records that counts."""

    def __init__(self) -> None:
        self.results: Counter[tuple[str, EventResult]] = Counter()
        self.dead_letters: Counter[Reason] = Counter()
        self.counts: Counter[str] = Counter()

    def events(self, topic: str, result: EventResult, count: int) -> None:
        assert count > 0
        self.results[topic, result] += count

    def dead_letter(self, reason: Reason) -> None:
        self.dead_letters[reason] += 1

    def engine_counts(self, counts: Mapping[str, int]) -> None:
        self.counts.update(counts)

    def uptime_counts(self, counts: Mapping[str, int]) -> None:
        self.counts.update(counts)
