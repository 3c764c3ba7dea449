"""State rows of the objectives: what their keys and values are. The first byte of a value is its format."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

import msgspec

from sla.burn_rate import Firing
from sla.minute_codec import HOURS_A_DAY
from sla.minute_counts import MinuteRing
from sla.row import RowFormatError

ALERT_PREFIX: Final = b"a"
"""Key: what an objective is counted as; value: the objective whose budget is told to be spent."""
BURN_PREFIX: Final = b"u"
"""Key: as above; value: the objective and the pairs of windows that fire."""
PROGRESS_PREFIX: Final = b"p"
"""Key: source partition; value: up to which instant it has told everything."""
WATCH_KEY: Final = b"w"
"""Value: since when there are watermarks, and up to where burn rates are judged."""
CELL_PREFIX: Final = b"c"
"""A minute of a target and a source, as a former release kept them; read, and never written."""

ROW_FORMAT: Final = 1

_HEAD: Final = bytes((ROW_FORMAT,))
_CELL = struct.Struct(">Bii")
_NUMBER = struct.Struct(">q")
_INSTANT = struct.Struct(">Bq")
_WATCH = struct.Struct(">Bqqqq")


class PieceKind(Enum):
    """What a piece of counts holds; the value is the first byte of its key."""

    COUNTS_HOUR = b"h"
    COUNTS_DAY = b"y"
    KNOWN_HOUR = b"k"
    KNOWN_DAY = b"l"

    @property
    def day(self) -> PieceKind:
        """The kind of a sealed day of the same."""
        return PieceKind.KNOWN_DAY if self.is_known else PieceKind.COUNTS_DAY

    @property
    def is_known(self) -> bool:
        """Whether it says which minutes are known, and not how many events there were."""
        return self in (PieceKind.KNOWN_HOUR, PieceKind.KNOWN_DAY)

    @property
    def is_day(self) -> bool:
        """Whether it is a sealed day."""
        return self in (PieceKind.COUNTS_DAY, PieceKind.KNOWN_DAY)


_KINDS: Final = {kind.value: kind for kind in PieceKind}


class Piece(NamedTuple):
    """One hour, or one sealed day, of the counts of an objective from one source partition.

    Attributes
    ----------
    number : int
        Of the hour, or of the day, since the epoch.
    source : str
        Source partition, ``topic/partition``; empty for what is known.
    """

    kind: PieceKind
    number: int
    source: str
    counted_as: str

    @property
    def key(self) -> bytes:
        """Key of its row."""
        return self.kind.value + _NUMBER.pack(self.number) + self.source.encode() + b"\x00" + self.counted_as.encode()


def piece_of(key: bytes) -> Piece | None:
    """Return the piece that a key names, None if it is the key of something else."""
    kind = _KINDS.get(key[:1])
    if kind is None:
        return None
    (number,) = _NUMBER.unpack_from(key, 1)
    source, _, counted_as = key[1 + _NUMBER.size :].partition(b"\x00")
    return Piece(kind, number, source.decode(), counted_as.decode())


def counts_in(key: bytes, row: bytes) -> Iterator[tuple[str, int, str, int, int]]:
    """Yield (counted as, minute_ms, source, good, bad) of a row of counts; nothing for other rows."""
    piece = piece_of(key)
    if piece is None or piece.kind.is_known:
        return
    ring = MinuteRing()
    load = ring.load_day if piece.kind.is_day else ring.load_hour
    load(piece.number, require_format(row))
    first = piece.number * (HOURS_A_DAY if piece.kind.is_day else 1)
    for minute_ms, good, bad in ring.minutes(first * 3_600_000, (first + HOURS_A_DAY) * 3_600_000):
        yield piece.counted_as, minute_ms, piece.source, good, bad


def require_format(row: bytes) -> bytes:
    """Return the row without its format.

    Raises
    ------
    RowFormatError
        If a newer release wrote it.
    """
    if row[0] != ROW_FORMAT:
        raise RowFormatError(f"row format {row[0]}, this release reads {ROW_FORMAT}: a newer worker wrote it")
    return row[1:]


def encode_text(body: bytes) -> bytes:
    """Return a row of bytes as they are."""
    return _HEAD + body


def encode_instant(instant_ms: int) -> bytes:
    """Return the row of an instant."""
    return _INSTANT.pack(ROW_FORMAT, instant_ms)


def decode_instant(row: bytes) -> int:
    """Return the instant of a row; RowFormatError if a newer release wrote it."""
    require_format(row)
    instant_ms: int = _INSTANT.unpack(row)[1]
    return instant_ms


def encode_watch(watch: list[int]) -> bytes:
    """Return the row of four instants."""
    return _WATCH.pack(ROW_FORMAT, *watch)


def decode_watch(row: bytes) -> list[int]:
    """Return the four instants of a row; RowFormatError if a newer release wrote it."""
    require_format(row)
    return list(_WATCH.unpack(row)[1:])


def encode_firing(objective: str, firing: Firing) -> bytes:
    """Return the row of the pairs that fire for an objective."""
    return _HEAD + msgspec.msgpack.encode([objective, *sorted(firing)])


def decode_firing(row: bytes) -> tuple[str, Firing]:
    """Return (objective, pairs) of a row; RowFormatError if a newer release wrote it."""
    objective, *names = msgspec.msgpack.decode(require_format(row), type=list[str])
    return objective, frozenset(names)


def decode_cell(key: bytes, row: bytes) -> tuple[str, int, str, int, int]:
    """Return (counted as, minute_ms, source, good, bad) of a minute as a former release kept it."""
    require_format(row)
    _, good, bad = _CELL.unpack(row)
    (minute_ms,) = _NUMBER.unpack_from(key, 1)
    source, _, counted_as = key[1 + _NUMBER.size :].partition(b"\x00")
    return counted_as.decode(), minute_ms, source.decode(), good, bad
