"""Records of sla.rollups: absolute counts of a source partition, and its progress.

Internal: MessagePack with a leading format byte.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sla.buckets import Rollup
from sla.events import Reason, Rejected

ROLLUP_FORMAT: Final = 1


class Counted(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="c"):
    """Counts of one target, or of one availability objective, in one minute; see :class:`sla.buckets.Rollup`."""

    target: str
    minute_ms: int
    met: int
    breached: int
    is_delta: bool
    known_minutes: int = 0
    expected_minutes: int = 0


class Progress(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="p"):
    """The source partition has told everything up to ``now_ms``."""

    now_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Counted | Progress).decode
_HEAD: Final = bytes((ROLLUP_FORMAT,))


def encode_rollup(rollup: Rollup) -> bytes:
    """Encode counts."""
    return _HEAD + _encode(Counted(*rollup))


def encode_progress(now_ms: int) -> bytes:
    """Encode progress."""
    return _HEAD + _encode(Progress(now_ms))


def decode_rollup(value: bytes | None) -> Counted | Progress | Rejected:
    """Decode a record of sla.rollups; a record that something else wrote is rejected."""
    if not value:
        return Rejected(Reason.MALFORMED, "a rollup without a value")
    if value[0] != ROLLUP_FORMAT:
        return Rejected(Reason.UNKNOWN_VERSION, f"rollup format {value[0]}, this release reads {ROLLUP_FORMAT}")
    try:
        decoded: Counted | Progress = _decode(value[1:])
    except msgspec.MsgspecError as error:
        return Rejected(Reason.MALFORMED, f"rollup: {error}")
    return decoded
