"""Wire format of ``sla.adjustments``: maintenance windows and corrections of outages, with who, why and when.

One JSON object per adjustment; the record's key is its id, the newest record of an id is in force::

    {"version": 1, "id": "CHG-1042", "kind": "maintenance", "service": "portal",
     "start": "2026-03-07T22:00:00+01:00", "end": "2026-03-08T02:00:00+01:00",
     "recorded_at": "2026-03-01T10:00:00+01:00", "recorded_by": "j.meyer", "reason": "database upgrade"}

``"recurrence": {"rule": "FREQ=WEEKLY;BYDAY=SU", "timezone": "Europe/Berlin"}`` lets it happen again. An adjustment is
taken back by the same document with ``revoked``; a record without a value is not one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sla.adjustment import Adjustment, AdjustmentKind, CountsAs, Recurrence, check_rule
from sla.errors import CalendarError, UnitError
from sla.events import Reason, Rejected
from sla.units import format_instant
from sla.zones import CivilZone
from streams.wire import BAD_INPUT, VERSION, At, Text, as_object, key_mismatch, malformed, ms_of_wire, version_fault


class RecurrenceWire(msgspec.Struct, gc=False):
    """When it happens again: an RRULE of RFC 5545 (without DTSTART) over local time."""

    rule: Text
    timezone: Text


class AdjustmentWire(msgspec.Struct, gc=False):
    """How an interval of a service counts, decided by somebody for a reason."""

    version: Literal[1]
    id: Text
    kind: AdjustmentKind
    service: Text
    start: At
    end: At
    recorded_at: At
    recorded_by: Text
    reason: Text
    counts_as: CountsAs | None = None
    reference: Text | None = None
    retroactive: bool = False
    revoked: bool = False
    recurrence: RecurrenceWire | None = None
    revoked_at: At | None = None
    revoked_by: Text | None = None
    revoked_reason: Text | None = None


_decode = msgspec.json.Decoder(AdjustmentWire).decode


def decode_adjustment(value: bytes | None, key: bytes | None, largest_bytes: int = 65_536) -> Adjustment | Rejected:
    """Decode one record of ``sla.adjustments``. Never raises.

    Parameters
    ----------
    value, key
        As Kafka holds them; the key must be the adjustment's id in UTF-8.
    largest_bytes
        Values longer than this are rejected unread.

    Returns
    -------
    Adjustment
        With ``counts_as`` filled in for maintenance.
    Rejected
        With the reason and a detail that names the path and what is expected there.
    """
    if value is None:
        return Rejected(Reason.MALFORMED, "the record has no value: take an adjustment back with `revoked`")
    if len(value) > largest_bytes:
        return Rejected(Reason.OVERSIZED, f"{len(value)} bytes, an adjustment may have {largest_bytes}")
    if (rejected := version_fault(value)) is not None:
        return rejected
    try:
        wire = _decode(value)
        start_ms, end_ms = ms_of_wire(wire.start, "$.start"), ms_of_wire(wire.end, "$.end")
        recorded_at_ms = ms_of_wire(wire.recorded_at, "$.recorded_at")
        revoked_at_ms = None if wire.revoked_at is None else ms_of_wire(wire.revoked_at, "$.revoked_at")
    except BAD_INPUT as error:
        return malformed(error)
    if key != wire.id.encode():
        return key_mismatch(key, wire.id, "id")
    fault = _fault_of(wire, start_ms, end_ms, recorded_at_ms)
    if fault is not None:
        return Rejected(Reason.MALFORMED, fault)
    return Adjustment(
        wire.id,
        wire.kind,
        wire.service,
        start_ms,
        end_ms,
        wire.counts_as or CountsAs.EXCLUDED,
        recorded_at_ms,
        wire.recorded_by,
        wire.reason,
        wire.reference,
        wire.retroactive,
        wire.revoked,
        None if wire.recurrence is None else Recurrence(wire.recurrence.rule, wire.recurrence.timezone),
        revoked_at_ms,
        wire.revoked_by,
        wire.revoked_reason,
    )


def encode_adjustment(adjustment: Adjustment) -> bytes:
    """Return the public JSON document of an adjustment; equal adjustments give equal bytes."""
    return as_object(
        {
            "version": VERSION,
            "id": adjustment.id,
            "kind": adjustment.kind.value,
            "service": adjustment.service,
            "start": format_instant(adjustment.start_ms),
            "end": format_instant(adjustment.end_ms),
            "counts_as": adjustment.counts_as.value,
            "recorded_at": format_instant(adjustment.recorded_at_ms),
            "recorded_by": adjustment.recorded_by,
            "reason": adjustment.reason,
            "reference": adjustment.reference,
            "retroactive": adjustment.retroactive,
            "revoked": adjustment.revoked,
            "recurrence": None
            if adjustment.recurrence is None
            else {"rule": adjustment.recurrence.rule, "timezone": adjustment.recurrence.timezone},
            "revoked_at": None if adjustment.revoked_at_ms is None else format_instant(adjustment.revoked_at_ms),
            "revoked_by": adjustment.revoked_by,
            "revoked_reason": adjustment.revoked_reason,
        }
    )


def _fault_of(wire: AdjustmentWire, start_ms: int, end_ms: int, recorded_at_ms: int) -> str | None:
    if end_ms <= start_ms:
        return "Expected an instant after `start` - at `$.end`"
    match wire.kind:
        case AdjustmentKind.MAINTENANCE:
            if wire.counts_as not in (None, CountsAs.EXCLUDED):
                return "Expected `excluded` or nothing: maintenance is left out - at `$.counts_as`"
        case AdjustmentKind.OUTAGE_CORRECTION:
            if wire.counts_as is None:
                return "Object missing required field `counts_as` (up, down or excluded) - at `$`"
    if start_ms < recorded_at_ms and not wire.retroactive:
        return "Expected an instant not before `recorded_at`, or `retroactive`: true - at `$.start`"
    return None if wire.recurrence is None else _fault_of_recurrence(wire.recurrence)


def _fault_of_recurrence(recurrence: RecurrenceWire) -> str | None:
    try:
        check_rule(recurrence.rule)
    except UnitError as error:
        return f"{error} - at `$.recurrence.rule`"
    try:
        CivilZone(recurrence.timezone)
    except CalendarError as error:
        return f"{error} - at `$.recurrence.timezone`"
    return None
