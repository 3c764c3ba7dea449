"""Bytes of minute counts: an hour as a few runs of equal minutes, a day as its hours.

A run is a number that says its length and kind, then good events as the difference to the run before, then bad ones.
Numbers have seven bits a byte, so most minutes of a service that works take none or one.
"""

from __future__ import annotations

import struct
from typing import Final

HOURS_A_DAY: Final = 24
MINUTES_AN_HOUR: Final = 60

SUMS: Final = struct.Struct(">qqh")
"""Head of a piece: good, bad, minutes told."""
LENGTHS: Final = struct.Struct(f">{HOURS_A_DAY}H")

_GAP, _EVEN, _EVEN_WITH_BAD, _VARYING = range(4)
"""Kinds of runs: nothing told; one count of good; one count of good and one of bad; good changes by the minute."""

Minute = tuple[int, int]
"""Good and bad events of one minute."""


def encode_hour(minutes: list[Minute | None]) -> bytes:
    """Return the piece of an hour: its sums, then its minutes."""
    return SUMS.pack(*sums_of(minutes)) + encode_minutes(minutes)


def sums_of(minutes: list[Minute | None]) -> tuple[int, int, int]:
    """Return good and bad events of some minutes, and of how many something was told."""
    good = bad = told = 0
    for entry in minutes:
        if entry is not None:
            good += entry[0]
            bad += entry[1]
            told += 1
    return good, bad, told


def encode_day(bodies: list[bytes]) -> bytes:
    """Return the piece of a day: its sums, then how long its hours are, then their minutes."""
    good = bad = told = 0
    for body in bodies:
        of_hour = sums_of(decode_minutes(body)) if body else (0, 0, 0)
        good, bad, told = good + of_hour[0], bad + of_hour[1], told + of_hour[2]
    return SUMS.pack(good, bad, told) + LENGTHS.pack(*map(len, bodies)) + b"".join(bodies)


def lengths_of(piece: bytes) -> tuple[int, ...]:
    """Return how many bytes each hour of a day has."""
    return LENGTHS.unpack_from(piece, SUMS.size)


def bodies_of(piece: bytes | None) -> list[bytes]:
    """Return the minutes of each hour of a day, as they are encoded."""
    assert piece is not None, "the day is sealed"
    bodies, begin = [], SUMS.size + LENGTHS.size
    for length in lengths_of(piece):
        bodies.append(piece[begin : begin + length])
        begin += length
    return bodies


def encode_minutes(minutes: list[Minute | None]) -> bytes:
    """Return an hour as runs: a number that says length and kind, then good (as a difference) and bad."""
    out = bytearray()
    before = 0
    place = 0
    while place < MINUTES_AN_HOUR:
        entry = minutes[place]
        end = place + 1
        while end < MINUTES_AN_HOUR and minutes[end] == entry:
            end += 1
        if entry is None:
            if end < MINUTES_AN_HOUR:
                _write(out, (end - place) << 2 | _GAP)
            place = end
            continue
        if entry[1]:
            _write(out, (end - place) << 2 | _EVEN_WITH_BAD)
            _write_signed(out, entry[0] - before)
            _write_signed(out, entry[1])
            before = entry[0]
        elif end - place > 1:
            _write(out, (end - place) << 2 | _EVEN)
            _write_signed(out, entry[0] - before)
            before = entry[0]
        else:
            goods = _varying(minutes, place)
            end = place + len(goods)
            _write(out, len(goods) << 2 | _VARYING)
            for good in goods:
                _write_signed(out, good - before)
                before = good
        place = end
    return bytes(out)


def _varying(minutes: list[Minute | None], place: int) -> list[int]:
    """Return good of the minutes from a place on that have no bad events, up to where two equal ones begin a run."""
    goods: list[int] = []
    for index in range(place, MINUTES_AN_HOUR):
        entry = minutes[index]
        if entry is None or entry[1] or (index + 1 < MINUTES_AN_HOUR and minutes[index + 1] == entry):
            break
        goods.append(entry[0])
    return goods


def decode_minutes(body: bytes) -> list[Minute | None]:
    """Return the 60 minutes of an hour; None where nothing was told."""
    minutes: list[Minute | None] = []
    place = good = 0
    while place < len(body):
        tag, place = _read(body, place)
        length, kind = tag >> 2, tag & 3
        if kind == _GAP:
            minutes += [None] * length
        elif kind == _VARYING:
            for _ in range(length):
                number = body[place]
                place += 1
                if number >= 0x80:
                    number, place = _read(body, place - 1)
                good += (number >> 1) ^ -(number & 1)
                minutes.append((good, 0))
        else:
            change, place = _read_signed(body, place)
            good += change
            bad = 0
            if kind == _EVEN_WITH_BAD:
                bad, place = _read_signed(body, place)
            minutes += [(good, bad)] * length
    minutes += [None] * (MINUTES_AN_HOUR - len(minutes))
    return minutes


def _write(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


# A sign stands in the lowest bit, so that small numbers of both signs are short.


def _write_signed(out: bytearray, number: int) -> None:
    _write(out, number << 1 if number >= 0 else (-number << 1) - 1)


def _read(body: bytes, place: int) -> tuple[int, int]:
    byte = body[place]
    place += 1
    if byte < 0x80:
        return byte, place
    number, shift = byte & 0x7F, 7
    while True:
        byte = body[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
        shift += 7


def _read_signed(body: bytes, place: int) -> tuple[int, int]:
    number, place = _read(body, place)
    return (number >> 1) ^ -(number & 1), place
