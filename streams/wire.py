"""What the wire formats of all public topics share: types of their fields, instants, and the reason for a rejection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from sla.events import LATEST_EVENT_MS, Reason, Rejected

VERSION: Final = 1
"""Version of the public schemas this release reads and writes."""

LATEST_AT_MS: Final = LATEST_EVENT_MS
"""The last instant an event may name. The first is the epoch."""

Text = Annotated[str, Meta(min_length=1)]
At = Annotated[datetime, Meta(tz=True)] | Annotated[int, Meta(ge=0, le=LATEST_AT_MS)]
"""RFC 3339 with a zone, or integer epoch ms."""
Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Counts stay exact in every language that reads JSON numbers as doubles."""

BAD_INPUT: Final = (msgspec.MsgspecError, RecursionError, ValueError, OverflowError)
"""What msgspec raises for bytes that are no JSON, don't fit, nest too deeply or hold a number out of range."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""What epoch ms count from."""
_LARGEST_DETAIL_CHARS: Final = 300
SHOWN_CHARS: Final = 60
"""How much of a publisher's text a message shows."""


class _Envelope(msgspec.Struct, gc=False):
    version: Any = None
    type: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class InstantOutOfRangeError(ValueError):
    """An instant before 1970 or after 2299."""


def ms_of_wire(at: datetime | int, path: str = "$.at") -> int:
    """Return an instant of the wire as UTC epoch ms, rounded down.

    Raises
    ------
    InstantOutOfRangeError
        If it lies outside the years 1970 to 2299; the message names ``path``.
    """
    if isinstance(at, int):
        return at
    since_epoch = at - EPOCH
    at_ms = since_epoch.days * 86_400_000 + since_epoch.seconds * 1000 + since_epoch.microseconds // 1000
    if not 0 <= at_ms <= LATEST_AT_MS:
        raise InstantOutOfRangeError(f"Expected an instant in 1970..2299 - at `{path}`")
    return at_ms


def version_fault(value: bytes) -> Rejected | None:
    """Say why a record of the public schema can't be of the version this release reads; None if it is."""
    envelope = _envelope(value)
    return envelope if isinstance(envelope, Rejected) else None


def envelope_type(value: bytes) -> str | Rejected:
    """Return the ``type`` of a record of the public schema, or why it can't be told.

    The version is judged first: what another version means is not known here.
    """
    envelope = _envelope(value)
    if isinstance(envelope, Rejected):
        return envelope
    if envelope.type is None:
        return Rejected(Reason.MALFORMED, "Object missing required field `type` - at `$`")
    if not isinstance(envelope.type, str):
        return Rejected(Reason.MALFORMED, "Expected `str` - at `$.type`")
    return envelope.type


def _envelope(value: bytes) -> _Envelope | Rejected:
    try:
        envelope = _decode_envelope(value)
    except BAD_INPUT as error:
        return malformed(error)
    version = envelope.version
    if version is None:
        return Rejected(Reason.MALFORMED, "Object missing required field `version` - at `$`")
    if not isinstance(version, int) or isinstance(version, bool):
        return Rejected(Reason.MALFORMED, "Expected `int` - at `$.version`")
    if version != VERSION:
        return Rejected(Reason.UNKNOWN_VERSION, f"version {shown(version)}: this release reads version {VERSION}")
    return envelope


def unknown_type(kind: str, known: Collection[str]) -> Rejected:
    """Say that a record's ``type`` does not belong on its topic."""
    return Rejected(Reason.UNKNOWN_TYPE, f"type {shown(kind)}: expected one of {', '.join(known)} - at `$.type`")


def key_mismatch(key: bytes | None, expected: str, field: str) -> Rejected:
    """Say that a record's key is not the id its value names."""
    said = "the record has no key" if key is None else f"the record's key is {shown(key.decode(errors='replace'))}"
    return Rejected(
        Reason.KEY_MISMATCH,
        f"{said}, its `{field}` is {shown(expected)}: the producer must set the key to the {field} id "
        "(UTF-8, StringSerializer, no quotes)",
    )


def malformed(error: BaseException) -> Rejected:
    """Return the rejection of a value that raised one of :data:`BAD_INPUT`."""
    detail = "JSON nested too deeply" if isinstance(error, RecursionError) else str(error)[:_LARGEST_DETAIL_CHARS]
    return Rejected(Reason.MALFORMED, detail)


def shown(value: str | int) -> str:
    """Render a value of a publisher for a message, cut to a readable length."""
    return repr(value[:SHOWN_CHARS] if isinstance(value, str) else value)[: SHOWN_CHARS + 2]


def as_object(pairs: Mapping[str, object]) -> bytes:
    """Return a JSON object of what is not None; equal values give equal bytes."""
    return _encode({name: value for name, value in pairs.items() if value is not None})


_encode = msgspec.json.Encoder().encode
