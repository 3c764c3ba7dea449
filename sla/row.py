"""Rows of a ticket partition as bytes: what is kept in memory and written to the state topic.

A row is a fixed header that can be read without decoding the rest, then MessagePack::

    format u8 | clocks u8 | register version u32 | due i64 | length of the body u32
    | clocks x (target CRC-32 u32, state u8) | body | events of the history, one after another

Rows stay bytes until they are touched: a restore of a million tickets reads headers only. A row that is touched decodes
its body; its history stays encoded until something wants to read it, see :mod:`sla.history`.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from typing import Final
from zlib import crc32

import msgspec

from sla.clock import AT_RISK_FIRING, BREACHED_FIRING, Clock, Phase
from sla.history import History
from sla.ticket import Ticket

ROW_FORMAT: Final = 1
"""Format of the rows this release writes; it reads the one before as well, once there is one."""

LARGEST_ROW_BYTES: Final = 256 * 1024
"""A ticket's row may not grow beyond this; further events go to dead letters as ``history-full``."""

PAUSED_BIT: Final = 1
AT_RISK_BIT: Final = 2
BREACHED_BIT: Final = 4

_HEAD = struct.Struct(">BBIqI")
_CLOCK = struct.Struct(">IB")
_LONGEST_CLOCK_LIST: Final = 255
_PAUSED: Final = int(Phase.PAUSED)


class _Body(msgspec.Struct, array_like=True, gc=False):
    """A ticket without its events. New fields go to the end and have a default."""

    attributes: dict[str, str]
    clocks: list[Clock]
    register_version: int
    events: int
    last_ms: int
    passed_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


class RowFormatError(Exception):
    """A row of a format this release does not read: a newer worker wrote it."""


def encode_row(ticket: Ticket, due_ms: int) -> bytes:
    """Encode a ticket with the instant at which it needs attention next."""
    states = [_packed(clock.target_id, clock.phase, clock.alerts) for clock in ticket.clocks if clock.phase <= _PAUSED]
    del states[_LONGEST_CLOCK_LIST:]
    history = ticket.history
    body = _encode(
        _Body(
            ticket.attributes,
            ticket.clocks,
            ticket.register_version,
            len(history),
            history.last_ms,
            ticket.passed_ms,
        )
    )
    head = _HEAD.pack(ROW_FORMAT, len(states), ticket.register_version, due_ms, len(body))
    return b"".join((head, *states, body, history.encoded))


def decode_row(row: bytes) -> Ticket:
    """Decode a ticket.

    Raises
    ------
    RowFormatError
        If the row's format byte is not one this release reads.
    """
    _check(row)
    start = _HEAD.size + row[1] * _CLOCK.size
    end = start + _HEAD.unpack_from(row)[4]
    body = _decode(row[start:end])
    history = History(encoded=row[end:], count=body.events, last_ms=body.last_ms)
    return Ticket(history, body.attributes, body.clocks, body.register_version, body.passed_ms)


def due_of(row: bytes) -> tuple[int, int]:
    """Return (register version, due instant) from the header."""
    _check(row)
    _, _, version, due_ms, _ = _HEAD.unpack_from(row)
    return version, due_ms


def clock_section(row: bytes) -> bytes:
    """Return the states of all active clocks as bytes: two rows with equal ones count the same."""
    return row[_HEAD.size : _HEAD.size + row[1] * _CLOCK.size]


def clock_states(row: bytes) -> tuple[tuple[int, int], ...]:
    """Return (target hash, state bits) of every active clock, from the header."""
    _check(row)
    return _states_of(clock_section(row))


@lru_cache(maxsize=10_000)  # thousands of tickets have the same clocks in the same states
def _states_of(section: bytes) -> tuple[tuple[int, int], ...]:
    return tuple(_CLOCK.iter_unpack(section))


def _check(row: bytes) -> None:
    if row[0] != ROW_FORMAT:
        raise RowFormatError(f"row format {row[0]}, this release reads {ROW_FORMAT}: a newer worker wrote it")


@cache  # a few per target
def _packed(target_id: str, phase: int, alerts: int) -> bytes:
    """Return the state of a clock as it stands in the header."""
    state = (
        (PAUSED_BIT if phase == _PAUSED else 0)
        | (AT_RISK_BIT if alerts & AT_RISK_FIRING else 0)
        | (BREACHED_BIT if alerts & BREACHED_FIRING else 0)
    )
    return _CLOCK.pack(crc32(target_id.encode()), state)
