"""What probes saw, kept small: samples of the last minutes one by one, sums per minute and probe for all time before.

As long as late samples may still come, a minute is the set of its samples, so that order and repetition don't matter.
Then it is folded into its hour: per probe a few runs of equal minutes. A sum holds one number of good samples for each
limit of latency that an objective of the service has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from sla.row import RowFormatError
from sla.units import MINUTE_MS
from sla.uptime_events import ProbeSample

CELLS_FORMAT: Final = 1
MINUTES_AN_HOUR: Final = 60

Limit = float | None
"""A latency that good samples are below; None: their latency is not looked at."""


class Sample(msgspec.Struct, array_like=True, frozen=True, gc=False, order=True):
    """One sample as a minute keeps it; of two with one identity the smaller one counts."""

    uid: int
    at_ms: int
    sequence: int
    probe: str
    good: int
    total: int
    latency_ms: float


_NOT_MEASURED: Final = -1.0


class Cell(NamedTuple):
    """What one probe saw in one minute.

    Attributes
    ----------
    total : int
        Samples, or requests counted.
    good : tuple of int or None
        How many of them were good, for each limit of the hour; None where that was not counted.
    """

    total: int
    good: tuple[int | None, ...]


def minute_of(sample: ProbeSample) -> int:
    """Return the minute a sample belongs to, UTC epoch ms: a count ends at its instant, a check is made at it."""
    at_ms = sample.at_ms - 1 if sample.is_count else sample.at_ms
    return at_ms - at_ms % MINUTE_MS


class MinuteSamples:
    """The samples of one minute of one service, each once.

    Parameters
    ----------
    samples : iterable of Sample
    """

    __slots__ = ("_by_uid",)

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._by_uid = {sample.uid: sample for sample in samples}

    def __len__(self) -> int:
        return len(self._by_uid)

    def add(self, event: ProbeSample) -> bool:
        """Add a sample; return False if that changes nothing: it is there already."""
        latency_ms = _NOT_MEASURED if event.latency_ms is None else float(event.latency_ms)
        sample = Sample(event.uid, event.at_ms, event.sequence, event.probe, event.good, event.total, latency_ms)
        before = self._by_uid.get(sample.uid)
        if before is not None and before <= sample:
            return False
        self._by_uid[sample.uid] = sample
        return True

    def cells(self, limits: Sequence[Limit]) -> dict[str, Cell]:
        """Return the sums by probe; a sample that is not faster than a limit is bad in full."""
        totals: dict[str, int] = {}
        good: dict[str, list[int]] = {}
        for sample in self._by_uid.values():
            probe = sample.probe
            if probe not in totals:
                totals[probe] = 0
                good[probe] = [0] * len(limits)
            totals[probe] += sample.total
            counts = good[probe]
            for place, limit in enumerate(limits):
                if limit is None or sample.latency_ms < limit:  # one that was not measured is below every limit
                    counts[place] += sample.good
        return {probe: Cell(total, tuple(good[probe])) for probe, total in totals.items()}

    def encode(self) -> bytes:
        """Return the row of the minute; equal sets of samples give equal bytes."""
        return bytes((CELLS_FORMAT,)) + _encode(sorted(self._by_uid.values()))

    @classmethod
    def decode(cls, row: bytes) -> MinuteSamples:
        """Read the row of a minute.

        Raises
        ------
        RowFormatError
            If a newer release wrote it.
        """
        return cls(_decode_samples(_body(row)))


class _HourRow(msgspec.Struct, array_like=True, gc=False):
    """An hour as runs: per probe (how many minutes, total, good by limit); total -1: nothing was seen."""

    limits: list[Limit]
    probes: dict[str, list[tuple[int, int, tuple[int | None, ...]]]]


class HourCells:
    """Sums of one hour of one service, by probe and minute.

    Attributes
    ----------
    limits : tuple of Limit
        What the numbers of a cell's ``good`` stand for.
    """

    __slots__ = ("_minutes", "limits")

    def __init__(self) -> None:
        self.limits: tuple[Limit, ...] = ()
        self._minutes: dict[str, list[Cell | None]] = {}

    def fold(self, place: int, minute: MinuteSamples, limits: Sequence[Limit]) -> None:
        """Take in a minute, the ``place``-th of the hour (0..59); limits that are new to the hour are added."""
        for limit in limits:
            if limit not in self.limits:
                self.limits += (limit,)
                for cells in self._minutes.values():
                    cells[:] = [None if cell is None else Cell(cell.total, (*cell.good, None)) for cell in cells]
        for probe, cell in minute.cells(self.limits).items():
            self._minutes.setdefault(probe, [None] * MINUTES_AN_HOUR)[place] = cell

    def cells(self, place: int) -> dict[str, Cell]:
        """Return the sums of a minute, by probe."""
        return {probe: cell for probe, cells in self._minutes.items() if (cell := cells[place]) is not None}

    def encode(self) -> bytes:
        """Return the row of the hour."""
        probes = {
            probe: [
                (len(list(run)), -1 if cell is None else cell.total, () if cell is None else cell.good)
                for cell, run in groupby(cells)
            ]
            for probe, cells in sorted(self._minutes.items())
        }
        return bytes((CELLS_FORMAT,)) + _encode(_HourRow(list(self.limits), probes))

    @classmethod
    def decode(cls, row: bytes) -> HourCells:
        """Read the row of an hour.

        Raises
        ------
        RowFormatError
            If a newer release wrote it.
        """
        read = _decode_hour(_body(row))
        hour = cls()
        hour.limits = tuple(read.limits)
        for probe, runs in read.probes.items():
            cells: list[Cell | None] = []
            for count, total, good in runs:
                cells += [None if total < 0 else Cell(total, good)] * count
            hour._minutes[probe] = cells
        return hour


def counts_under(cells: Mapping[str, Cell], limits: Sequence[Limit], limit: Limit) -> dict[str, tuple[int, int]]:
    """Return (good, total) by probe under one limit; probes of which that was not counted are left out."""
    if limit not in limits:
        return {}
    place = limits.index(limit)
    return {probe: (good, cell.total) for probe, cell in cells.items() if (good := cell.good[place]) is not None}


def check_format(row: bytes) -> None:
    """Look at the format of a row without reading it.

    Raises
    ------
    RowFormatError
        If a newer release wrote it.
    """
    if row[0] != CELLS_FORMAT:
        raise RowFormatError(f"row format {row[0]}, this release reads {CELLS_FORMAT}: a newer worker wrote it")


def _body(row: bytes) -> bytes:
    check_format(row)
    return row[1:]


_encode = msgspec.msgpack.Encoder().encode
_decode_samples = msgspec.msgpack.Decoder(list[Sample]).decode
_decode_hour = msgspec.msgpack.Decoder(_HourRow).decode
