"""Wire format of ``sla.uptime``: bytes to what is told of a service.

Public events (JSON; the record's key is the service id)::

    {"version": 1, "type": "sample", "service": "portal", "at": "2026-03-02T09:15:27Z", "probe": "fra-1", "ok": true,
     "latency_ms": 182.4}
    {"version": 1, "type": "sample", "service": "portal", "at": "...", "probe": "lb-7", "good": 9981, "total": 10000}
    {"version": 1, "type": "status", "service": "portal", "at": "...", "status": "down", "cause": "INC-4711"}
    {"version": 1, "type": "feedback", "service": "portal", "at": "...", "score": 4, "worst": 1, "best": 5}
    {"version": 1, "type": "heartbeat", "at": "..."}

``at``, ``id``, ``sequence`` and unknown fields as in ticket events. Decoding never raises: bad input is an outcome.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Final, Literal, assert_never

import msgspec
from msgspec import Meta

from sla.events import Heartbeat, Reason, Rejected
from sla.uptime_events import ProbeSample, ServiceFeedback, ServiceStatus, StatusChange, UptimeEvent
from streams.codecs import uid_of
from streams.wire import (
    BAD_INPUT,
    At,
    Count,
    Sequence,
    Text,
    envelope_type,
    key_mismatch,
    malformed,
    ms_of_wire,
    unknown_type,
)

UPTIME_TYPES: Final = ("sample", "status", "feedback", "heartbeat")
"""Types of the public events of ``sla.uptime``."""

_Latency = Annotated[float, Meta(ge=0)]


class SampleWire(msgspec.Struct, tag_field="type", tag="sample", gc=False):
    """What one probe saw: one check (``ok``), or the requests it counted (``good`` of ``total``)."""

    version: Literal[1]
    service: Text
    at: At
    probe: Text
    ok: bool | None = None
    good: Count | None = None
    total: Count | None = None
    latency_ms: _Latency | None = None
    id: Text | None = None
    sequence: Sequence = 0


class StatusWire(msgspec.Struct, tag_field="type", tag="status", gc=False):
    """A service was declared to be in a state; it lasts until the next declaration."""

    version: Literal[1]
    service: Text
    at: At
    status: ServiceStatus
    cause: str | None = None
    id: Text | None = None
    sequence: Sequence = 0


class ServiceFeedbackWire(msgspec.Struct, tag_field="type", tag="feedback", gc=False):
    """What a user said of a service, on a scale from ``worst`` to ``best``."""

    version: Literal[1]
    service: Text
    at: At
    score: float
    worst: float = 1.0
    best: float = 5.0
    id: Text | None = None
    sequence: Sequence = 0


class HeartbeatWire(msgspec.Struct, tag_field="type", tag="heartbeat", gc=False):
    """A player's word that every event up to ``at`` has been sent to this partition."""

    version: Literal[1]
    at: At


_decode = msgspec.json.Decoder(SampleWire | StatusWire | ServiceFeedbackWire | HeartbeatWire).decode


def decode_uptime(
    value: bytes | None, key: bytes | None, largest_bytes: int = 65_536
) -> UptimeEvent | Heartbeat | Rejected:
    """Decode one record of ``sla.uptime``.

    Parameters
    ----------
    value, key
        As Kafka holds them. A heartbeat may have any key; that of every other record must be the service id in UTF-8.
    largest_bytes
        Values longer than this are rejected unread.

    Returns
    -------
    UptimeEvent
        A :class:`ProbeSample`, :class:`StatusChange` or :class:`ServiceFeedback`.
    Heartbeat
        The player's word that time has reached an instant.
    Rejected
        With the reason and a detail that names the path and what is expected there. Never raises.

    Notes
    -----
    Whether a contract knows the service is not looked at here.
    """
    if value is None:
        return Rejected(Reason.MALFORMED, "the record has no value: an event is a JSON object")
    if len(value) > largest_bytes:
        return Rejected(Reason.OVERSIZED, f"{len(value)} bytes, an event may have {largest_bytes}")
    event: UptimeEvent | Rejected
    try:
        match _decode(value):
            case SampleWire() as sample:
                event = _sample(sample, value)
            case StatusWire() as status:
                event = _status(status, value)
            case ServiceFeedbackWire() as feedback:
                event = _feedback(feedback, value)
            case HeartbeatWire(at=at):
                return Heartbeat(ms_of_wire(at))
            case never:
                assert_never(never)
    except BAD_INPUT as error:
        return _rejection(value, error)
    if not isinstance(event, Rejected) and key != event.service.encode():
        return key_mismatch(key, event.service, "service")
    return event


def _rejection(value: bytes, error: BaseException) -> Rejected:
    match envelope_type(value):
        case Rejected() as rejected:
            return rejected
        case kind if kind not in UPTIME_TYPES:
            return unknown_type(kind, UPTIME_TYPES)
        case _:
            return malformed(error)


def _identity(id_: str | None, value: bytes) -> int:
    """Return the identity of an event; without an id it is what it says, so that a record delivered twice is one."""
    return uid_of(value if id_ is None else id_.encode())


def _sample(wire: SampleWire, value: bytes) -> ProbeSample | Rejected:
    counted = wire.good is not None or wire.total is not None
    if (wire.ok is None) == (not counted):
        return Rejected(Reason.MALFORMED, "Expected either `ok`, or `good` and `total` - at `$`")
    if wire.ok is not None:
        good, total = int(wire.ok), 1
    elif wire.good is None or wire.total is None:
        missing = "good" if wire.good is None else "total"
        return Rejected(Reason.MALFORMED, f"Object missing required field `{missing}` - at `$`")
    else:
        good, total = wire.good, wire.total
    if good > total:
        return Rejected(Reason.MALFORMED, "Expected at most `total` - at `$.good`")
    return ProbeSample(
        wire.service,
        ms_of_wire(wire.at),
        wire.sequence,
        _identity(wire.id, value),
        wire.probe,
        good,
        total,
        wire.latency_ms,
        counted,
    )


def _status(wire: StatusWire, value: bytes) -> StatusChange:
    at_ms = ms_of_wire(wire.at)
    return StatusChange(wire.service, at_ms, wire.sequence, _identity(wire.id, value), wire.status, wire.cause)


def _feedback(wire: ServiceFeedbackWire, value: bytes) -> ServiceFeedback | Rejected:
    low, high = wire.worst, wire.best
    span = high - low
    if not (span and isfinite(span)):
        return Rejected(Reason.MALFORMED, "Expected another number than `worst` - at `$.best`")
    satisfaction = (wire.score - low) / span
    if not 0 <= satisfaction <= 1:
        return Rejected(Reason.MALFORMED, "Expected a number from `worst` to `best` - at `$.score`")
    at_ms = ms_of_wire(wire.at)
    return ServiceFeedback(wire.service, at_ms, wire.sequence, _identity(wire.id, value), satisfaction)
