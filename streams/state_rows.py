r"""System rows of a state partition: position, outbox slots, ownership marker. First byte: the format.

They share the key prefix ``\\x00``; every other key belongs to the stage's processor.
"""

from __future__ import annotations

from typing import Final

import msgspec

SYSTEM_PREFIX: Final = b"\x00"
POSITION_KEY: Final = b"\x00position"
OWNER_KEY: Final = b"\x00owner"
OUTBOX_SLOTS: Final = 8
"""Most steps of one partition under way; a slot is overwritten only after its step's outputs are acknowledged."""

STATE_FORMAT: Final = 1

_encoder = msgspec.msgpack.Encoder()


class NewerFormatError(Exception):
    """A row was written by a newer release; this worker must not take the partition."""


class Output(msgspec.Struct, array_like=True, gc=False):
    """One record a step sends once its state is safe.

    Attributes
    ----------
    topic : str
        Full name of the topic.
    partition : int
        Chosen when the step is made: a re-sent output goes to the same place.
    headers : tuple
        Names and values; those of a dead letter are the publisher's, and Kafka allows a header without a value.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Position(msgspec.Struct, array_like=True):
    """How far one state partition is.

    Attributes
    ----------
    offset : int
        Last source offset processed; -1 before the first.
    seq : int
        Number of steps of this partition so far; linear, because only one owner can write.
    now_ms : int
        Present of the partition; never goes back.
    register_offsets : dict
        Newest offset per register topic that is in force.
    register_version : int
        Grows with each change of the register.
    ordinals : dict
        Per source of inputs (``topic/partition`` of the writer), the highest ordinal taken in.
    """

    offset: int = -1
    seq: int = 0
    now_ms: int = 0
    register_offsets: dict[str, int] = {}
    register_version: int = 0
    ordinals: dict[str, int] = {}


class Marker(msgspec.Struct, array_like=True):
    """Takeover marker: who took the partition, with which producer id and epoch."""

    owner: str
    producer_id: int
    epoch: int


_position = msgspec.msgpack.Decoder(Position)
_outputs = msgspec.msgpack.Decoder(list[Output])
_marker = msgspec.msgpack.Decoder(Marker)


def outbox_key(seq: int) -> bytes:
    """Return the key of the outbox slot of a step."""
    return b"\x00outbox%d" % (seq % OUTBOX_SLOTS)


def encode_position(position: Position) -> bytes:
    """Encode a position row."""
    return bytes((STATE_FORMAT,)) + _encoder.encode(position)


def decode_position(row: bytes) -> Position:
    """Decode a position row; NewerFormatError if a newer release wrote it."""
    return _position.decode(_body(row))


def encode_outbox(seq: int, outputs: list[Output]) -> bytes:
    """Encode the exact outputs of a step."""
    return bytes((STATE_FORMAT,)) + seq.to_bytes(8, "big") + _encoder.encode(outputs)


def decode_outbox(row: bytes) -> tuple[int, list[Output]]:
    """Return (seq, outputs) of an outbox slot."""
    body = _body(row)
    return int.from_bytes(body[:8], "big"), _outputs.decode(body[8:])


def encode_marker(marker: Marker) -> bytes:
    """Encode a takeover marker."""
    return bytes((STATE_FORMAT,)) + _encoder.encode(marker)


def decode_marker(row: bytes) -> Marker:
    """Decode a takeover marker."""
    return _marker.decode(_body(row))


def _body(row: bytes) -> bytes:
    if row[0] != STATE_FORMAT:
        raise NewerFormatError(
            f"state format {row[0]}, this release reads {STATE_FORMAT}: a newer worker wrote it; upgrade this one"
        )
    return row[1:]


ORDINAL_BITS: Final = 24
"""An ordinal is seq << 24 | index: a step has less than 2**24 outputs; seq may reach 2**39, 17 years at 1,000/s."""

_ORDINAL_DIGITS: Final = len(str(2**63 - 1))

SOURCE_HEADER: Final = "slawatch-source"
ORDINAL_HEADER: Final = "slawatch-ordinal"


def provenance(source: str, seq: int, index: int) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that let a consumer drop what it has already seen.

    Parameters
    ----------
    source : str
        ``topic/partition`` whose step made the output.
    seq, index : int
        Step, and place among its outputs. Ordinals of one source only grow in every partition they are sent to.
    """
    return ((SOURCE_HEADER, source.encode()), (ORDINAL_HEADER, b"%d" % (seq << ORDINAL_BITS | index)))


def stamp(outputs: list[Output], source: str, seq: int) -> None:
    """Add its provenance to every output of a step, in place: one step may have thousands."""
    origin = (SOURCE_HEADER, source.encode())
    first = seq << ORDINAL_BITS
    for index, output in enumerate(outputs):
        output.headers = (*output.headers, origin, (ORDINAL_HEADER, b"%d" % (first + index)))


def provenance_of(headers: tuple[tuple[str, bytes], ...] | list[tuple[str, bytes]]) -> tuple[str, int] | None:
    """Return (source, ordinal) of a record, or None if it carries none (written by something else)."""
    source: bytes | None = None
    ordinal: bytes | None = None
    for name, value in headers:
        if name == SOURCE_HEADER:
            source = value
        elif name == ORDINAL_HEADER:
            ordinal = value
    # Anybody may write to a topic: a strange header must not stop the worker that reads it.
    if source is None or ordinal is None or not ordinal.isdigit() or len(ordinal) > _ORDINAL_DIGITS:
        return None
    try:
        return source.decode(), int(ordinal)
    except UnicodeDecodeError:
        return None
