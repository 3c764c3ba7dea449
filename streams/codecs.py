"""Wire formats of the public topics: bytes to events that come in, verdicts and alerts to bytes.

The public event (JSON, ``sla.tickets``)::

    {"version": 1, "type": "ticket", "id": "7f3a", "ticket": "INC-17", "event": "updated",
     "at": "2026-03-02T09:15:27.123+07:00", "sequence": 4, "fields": {"priority": "P2", "vip": true, "group": null}}

``type`` is ``ticket`` (default), ``feedback`` or ``heartbeat``; ``at`` is RFC 3339 with a zone or integer epoch ms;
``id`` defaults to the value itself, so a record delivered twice byte for byte is one event. Unknown fields of the
envelope are tolerated, wrong types are rejected. Decoding never raises: bad input is an outcome.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

from sla.events import FEEDBACK, Heartbeat, Reason, Rejected, TicketEvent, rank_of
from sla.outcome import Alert, AlertKind, AlertState, Verdict
from sla.units import format_instant
from streams.wire import (
    BAD_INPUT,
    EPOCH,
    LATEST_AT_MS,
    SHOWN_CHARS,
    VERSION,
    At,
    Sequence,
    Text,
    key_mismatch,
    malformed,
    ms_of_wire,
    shown,
    unknown_type,
)

_OUT_OF_RANGE: Final = "Expected an instant in 1970..2299 - at `$.at`"
_INT_OUT_OF_RANGE: Final = re.compile(r"Expected `int` [<>]= \d+ - at `\$\.at`")

_Scalar = str | int | float | bool | None


class _TicketWire(msgspec.Struct, gc=False):
    """The shape nearly every record has; what does not fit is looked at again, slowly, for the reason."""

    version: Literal[1]
    ticket: Text
    at: At
    event: Text | None = None
    fields: dict[str, _Scalar] = {}
    id: Text | None = None
    sequence: Sequence = 0
    type: Literal["ticket", "feedback"] = "ticket"


class _HeartbeatWire(msgspec.Struct, gc=False):
    version: Literal[1]
    at: At


class _Envelope(msgspec.Struct, gc=False):
    version: Any = None
    type: Any = "ticket"
    fields: Any = None


TICKET_WIRE: Final[type[msgspec.Struct]] = _TicketWire
"""What ticket events and feedback are decoded into; their public JSON Schemas are generated from it."""

_decode_ticket_wire = msgspec.json.Decoder(_TicketWire).decode
_decode_heartbeat_wire = msgspec.json.Decoder(_HeartbeatWire).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_encode_json = msgspec.json.Encoder().encode

_MASK_32: Final = 0xFFFF_FFFF
_MURMUR_SEED: Final = 0x9747_B28C
_MURMUR_FACTOR: Final = 0x5BD1_E995

_EMPTY_HASH: Final = blake2b(digest_size=8)


def decode_ticket(
    value: bytes | None, key: bytes | None, largest_bytes: int = 65_536
) -> tuple[str, TicketEvent] | Heartbeat | Rejected:
    """Decode one record of ``sla.tickets``.

    Parameters
    ----------
    value, key
        As Kafka holds them. A heartbeat may have any key; that of every other record must be the ticket id in UTF-8,
        because the key chooses the partition and a ticket's state lives in one partition.
    largest_bytes
        Values longer than this are rejected unread.

    Returns
    -------
    tuple of str and TicketEvent
        The ticket id and what happened to it.
    Heartbeat
        The player's word that time has reached an instant.
    Rejected
        With the reason and a detail that names the path and what is expected there. Never raises.

    Notes
    -----
    Whether the key belongs on the record's partition is not checked here: :func:`partition_of` costs more than the rest
    and is needed once a ticket only.
    """
    if value is None:
        return Rejected(Reason.MALFORMED, "the record has no value: an event is a JSON object")
    if len(value) > largest_bytes:
        return Rejected(Reason.OVERSIZED, f"{len(value)} bytes, an event may have {largest_bytes}")
    try:
        wire = _decode_ticket_wire(value)
    except BAD_INPUT as error:
        return _heartbeat_or_rejection(value, error)
    ticket = wire.ticket
    if key != ticket.encode():
        return key_mismatch(key, ticket, "ticket")
    event = wire.event
    if wire.type == "feedback":
        event = FEEDBACK
    elif event is None:
        return Rejected(Reason.MALFORMED, "Object missing required field `event` - at `$`")
    at: Any = wire.at
    if at.__class__ is int:  # isinstance costs more
        at_ms: int = at
    else:
        # Floor division of a timedelta would say the same; this is quicker. Only dates such as
        # 0001-01-01 and 9999-12-31, which stand for "none" in some source systems, are left to refuse.
        since_epoch = at - EPOCH
        at_ms = since_epoch.days * 86_400_000 + since_epoch.seconds * 1000 + since_epoch.microseconds // 1000
        if not 0 <= at_ms <= LATEST_AT_MS:
            return Rejected(Reason.MALFORMED, _OUT_OF_RANGE)
    fields: dict[str, Any] = wire.fields
    for field in fields.values():
        if field.__class__ is not str and field is not None:
            fields = _as_text(fields)
            break
    identity = _EMPTY_HASH.copy()
    identity.update(value if wire.id is None else wire.id.encode())
    uid = int.from_bytes(identity.digest(), "big") >> 1
    return ticket, TicketEvent(at_ms, wire.sequence, rank_of(event), uid, event, fields)


def uid_of(identity: bytes) -> int:
    """Return the 63-bit hash that identifies an event: of its id in UTF-8, or of its whole value where it has none."""
    return int.from_bytes(blake2b(identity, digest_size=8).digest(), "big") >> 1


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition on which Java's and aiokafka's default partitioner (murmur2) puts a key.

    Parameters
    ----------
    key
        As on the record; never None, a record without a key has no partition of its own.
    partitions
        Number of partitions of the topic, at least 1.
    """
    return (_murmur2(key) & 0x7FFF_FFFF) % partitions


def _murmur2(key: bytes) -> int:
    """Return Kafka's hash of a key: aiokafka's ``partitioner.murmur2``, word by word in a third of its time."""
    length = len(key)
    words = length >> 2
    value = _MURMUR_SEED ^ length
    for word in struct.unpack_from(f"<{words}I", key):
        mixed = word * _MURMUR_FACTOR & _MASK_32
        value = (value * _MURMUR_FACTOR ^ (mixed ^ mixed >> 24) * _MURMUR_FACTOR) & _MASK_32
    if length & 3:
        value = (value ^ int.from_bytes(key[words * 4 :], "little")) * _MURMUR_FACTOR & _MASK_32
    value = (value ^ value >> 13) * _MURMUR_FACTOR & _MASK_32
    return value ^ value >> 15


def encode_verdict(verdict: Verdict) -> bytes:
    """Return the public JSON document of a verdict; equal verdicts give equal bytes."""
    return _encode_json({"version": VERSION, **verdict.document()})


class _AlertWire(msgspec.Struct, gc=False):
    version: Literal[1]
    id: Text
    kind: AlertKind
    state: AlertState
    severity: str
    at: At
    labels: dict[str, str]
    annotations: dict[str, str]


_decode_alert_wire = msgspec.json.Decoder(_AlertWire).decode

ALERT_WIRE: Final[type[msgspec.Struct]] = _AlertWire
"""What records of ``sla.alerts`` are decoded into; the public JSON Schema is generated from it."""


def encode_alert(alert: Alert) -> bytes:
    """Return the public JSON document of an alert's state; the key of its record is the alert's id in UTF-8."""
    document: Mapping[str, Any] = {
        "version": VERSION,
        "id": alert.id,
        "kind": alert.kind.value,
        "state": alert.state.value,
        "severity": alert.severity,
        "at": format_instant(alert.at_ms),
        "labels": alert.labels,
        "annotations": alert.annotations,
    }
    return _encode_json(document)


def decode_alert(value: bytes) -> Alert | Rejected:
    """Decode one record of ``sla.alerts``, tombstones excepted. Never raises."""
    try:
        wire = _decode_alert_wire(value)
        at_ms = ms_of_wire(wire.at)
    except BAD_INPUT as error:
        return _rejection(value, error, types=None)
    return Alert(wire.id, wire.kind, wire.state, wire.severity, at_ms, wire.labels, wire.annotations)


def _as_text(fields: Mapping[str, _Scalar]) -> dict[str, str | None]:
    """Return ticket fields with numbers and booleans as JSON renders them: 3, 1.5, true."""
    return {
        name: field if field is None or isinstance(field, str) else _encode_json(field).decode()
        for name, field in fields.items()
    }


def _heartbeat_or_rejection(value: bytes, error: Exception) -> Heartbeat | Rejected:
    """Read a record that is no ticket event: a heartbeat, or why not."""
    try:
        envelope = _decode_envelope(value)
        is_heartbeat = envelope.type == "heartbeat" and envelope.version == VERSION
        if is_heartbeat:
            return Heartbeat(ms_of_wire(_decode_heartbeat_wire(value).at))
    except BAD_INPUT as envelope_error:
        error = envelope_error
    return _rejection(value, error, types=("ticket", "feedback", "heartbeat"))


def _rejection(value: bytes, error: Exception, types: tuple[str, ...] | None) -> Rejected:
    """Say why a value can't be read. The version is judged first: what another version means is not known here."""
    try:
        envelope = _decode_envelope(value)
    except BAD_INPUT:
        return Rejected(Reason.MALFORMED, _detail(error))
    version = envelope.version
    if isinstance(version, int) and not isinstance(version, bool) and version != VERSION:
        return Rejected(Reason.UNKNOWN_VERSION, f"version {shown(version)}: this release reads version {VERSION}")
    if types is not None and isinstance(envelope.type, str) and envelope.type not in types:
        return unknown_type(envelope.type, types)
    detail = _detail(error)
    if "`$.fields" in detail and isinstance(envelope.fields, dict):
        # msgspec writes `$.fields[...]`; a publisher wants the name.
        for name, field in envelope.fields.items():
            if not isinstance(field, str | int | float | None):
                return Rejected(
                    Reason.MALFORMED,
                    f"Expected `str | number | bool | null`, got `{'array' if isinstance(field, list) else 'object'}` "
                    f"- at `$.fields.{name[:SHOWN_CHARS]}`",
                )
    return Rejected(Reason.MALFORMED, detail)


def _detail(error: Exception) -> str:
    detail = malformed(error).detail
    return _OUT_OF_RANGE if _INT_OUT_OF_RANGE.match(detail) else detail
