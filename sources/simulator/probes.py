"""Samples of a simulated desk's services: good, and bad from the monitoring's own ticket of an outage to its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from sla.events import CREATED, RESOLVED
from sla.units import SECOND_MS, format_instant
from sources.record import SourceEvent
from sources.simulator import model
from sources.simulator.draws import Draws

SAMPLE_EVERY_MS: Final = 30 * SECOND_MS

PROBES: Final = ("berlin-1", "jakarta-1")

_MONITORING: Final = "monitoring"
_LATENCY_MS: Final = 140.0
_TIMEOUT_MS: Final = 5_000.0

_encode = msgspec.json.Encoder().encode


class SimulatedSample(msgspec.Struct, frozen=True, gc=False):
    """What one probe saw of one service.

    Attributes
    ----------
    wire : bytes
        The public JSON document.
    """

    service: str
    at_ms: int
    id: str
    wire: bytes

    @property
    def key(self) -> bytes:
        """Record key on Kafka."""
        return self.service.encode()


def with_samples(
    events: Iterable[SourceEvent], seed: int, start_ms: int, end_ms: int
) -> Iterator[SourceEvent | SimulatedSample]:
    """Merge the events of a simulated desk with samples of its services, in the order of event time.

    Parameters
    ----------
    events : iterable of SourceEvent
        In ascending order; those before ``start_ms`` tell which outages last.
    start_ms, end_ms : int
        Samples are taken in this time, half open.
    """
    draws = Draws(seed)
    outages: dict[str, str] = {}
    next_ms = -(-start_ms // SAMPLE_EVERY_MS) * SAMPLE_EVERY_MS
    for event in events:
        while next_ms < min(event.at_ms, end_ms):
            yield from _samples(next_ms, set(outages.values()), draws)
            next_ms += SAMPLE_EVERY_MS
        if event.event == CREATED and event.fields.get("channel") == _MONITORING:
            outages[event.ticket] = str(event.fields.get("service", ""))
        elif event.event == RESOLVED:
            outages.pop(event.ticket, None)
        yield event
    while next_ms < end_ms:
        yield from _samples(next_ms, set(outages.values()), draws)
        next_ms += SAMPLE_EVERY_MS


def _samples(at_ms: int, down: set[str], draws: Draws) -> Iterator[SimulatedSample]:
    for service in model.SERVICES:
        for probe in PROBES:
            ok = service.name not in down
            latency_ms = min(_TIMEOUT_MS, draws.lognormal(_LATENCY_MS, 0.3)) if ok else _TIMEOUT_MS
            identity = f"{probe}|{service.name}|{at_ms}"
            document = {
                "version": 1,
                "type": "sample",
                "id": identity,
                "service": service.name,
                "at": format_instant(at_ms),
                "probe": probe,
                "ok": ok,
                "latency_ms": round(latency_ms, 1),
            }
            yield SimulatedSample(service.name, at_ms, identity, _encode(document))
