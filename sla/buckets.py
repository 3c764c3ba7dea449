"""Counts of decided clocks per target and minute: what objectives are computed from.

A verdict is counted in the minute in which it was decided, however late it comes; a corrected one is taken out of its
minute and counted in another. A bucket goes out in absolute numbers, so that its readers may see it twice. It is
forgotten after a time; what changes in it later goes out as a difference.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from sla.outcome import Result
from sla.row import RowFormatError
from sla.units import DAY_MS, MINUTE_MS

BUCKET_PREFIX: Final = b"b"

BUCKET_FORMAT: Final = 1
_BUCKET = struct.Struct(">BII")
_BUCKET_MINUTE = struct.Struct(">q")

EXPIRY_LIMIT: Final = 2_000
"""Most buckets one step forgets: a step must stay small enough for one record batch."""

_COLUMN: Final = {Result.MET.value: 0, Result.BREACHED.value: 1}


class Rollup(NamedTuple):
    """Counts of one target in one minute: absolute, or a change to a bucket that is no longer kept.

    Of an availability objective: good and bad slices (in the minute the slice begins with), or requests.

    Attributes
    ----------
    target : str
        Id of the target, or of the availability objective.
    known_minutes, expected_minutes : int
        Of an availability objective: of how many minutes data is promised here (service hours without what is
        excluded), and how many of them are known. Tickets have neither.
    """

    target: str
    minute_ms: int
    met: int
    breached: int
    is_delta: bool = False
    known_minutes: int = 0
    expected_minutes: int = 0


class Buckets:
    """The buckets of one partition.

    Parameters
    ----------
    retention_ms : int
        Buckets are kept this long.
    """

    def __init__(self, retention_ms: int) -> None:
        self._retention_ms = retention_ms
        self._counts: dict[tuple[str, int], list[int]] = {}
        self._moved: set[tuple[str, int]] = set()
        self._deltas: dict[tuple[str, int], list[int]] = {}
        self._next_expiry_ms = 0
        self._expired: list[tuple[str, int]] = []

    def load(self, key: bytes, row: bytes) -> None:
        """Take one restored row over.

        Raises
        ------
        RowFormatError
            If a newer release wrote it.
        """
        if row[0] != BUCKET_FORMAT:
            raise RowFormatError(f"bucket format {row[0]}, this release reads {BUCKET_FORMAT}")
        _, met, breached = _BUCKET.unpack(row)
        self._counts[_bucket_of(key)] = [met, breached]

    def add(self, target_id: str, result: str, decided_at_ms: int, sign: int, now_ms: int) -> None:
        """Count one verdict in (``sign`` 1) or out (-1); a result other than met and breached does not count."""
        column = _COLUMN.get(result)
        if column is None:
            return
        bucket = (target_id, decided_at_ms - decided_at_ms % MINUTE_MS)
        if bucket[1] < now_ms - self._retention_ms and bucket not in self._counts:
            self._deltas.setdefault(bucket, [0, 0])[column] += sign
            return
        self._counts.setdefault(bucket, [0, 0])[column] += sign
        self._moved.add(bucket)

    def expire(self, now_ms: int, rows: dict[bytes, bytes | None]) -> None:
        """Forget old buckets: looked for once a day, removed a few at a time.

        Parameters
        ----------
        rows : dict
            Receives None under the key of each bucket that goes.
        """
        if now_ms >= self._next_expiry_ms:
            horizon_ms = now_ms - self._retention_ms
            self._expired = [bucket for bucket in self._counts if bucket[1] < horizon_ms]
            self._next_expiry_ms = now_ms + DAY_MS
        if not self._expired:
            return
        batch = self._expired[-EXPIRY_LIMIT:]
        del self._expired[-EXPIRY_LIMIT:]
        for bucket in batch:
            if bucket not in self._moved:  # else it is told in absolute numbers once more, and goes tomorrow
                del self._counts[bucket]
                rows[_key_of(bucket)] = None

    def finish(self, rows: dict[bytes, bytes | None]) -> list[Rollup]:
        """End the step: put the row of every bucket it changed into ``rows`` and return what goes out."""
        rollups: list[Rollup] = []
        if self._moved:
            for bucket in sorted(self._moved):
                met, breached = self._counts[bucket]
                rows[_key_of(bucket)] = _BUCKET.pack(BUCKET_FORMAT, met, breached)
                rollups.append(Rollup(bucket[0], bucket[1], met, breached))
            self._moved = set()
        if self._deltas:
            for bucket, (met, breached) in sorted(self._deltas.items()):
                rollups.append(Rollup(bucket[0], bucket[1], met, breached, is_delta=True))
            self._deltas = {}
        return rollups


def _key_of(bucket: tuple[str, int]) -> bytes:
    return BUCKET_PREFIX + _BUCKET_MINUTE.pack(bucket[1]) + bucket[0].encode()


def _bucket_of(key: bytes) -> tuple[str, int]:
    (minute_ms,) = _BUCKET_MINUTE.unpack_from(key, 1)
    return key[1 + _BUCKET_MINUTE.size :].decode(), minute_ms
