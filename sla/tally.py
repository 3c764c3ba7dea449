"""Counts of one objective by source partition, and sums over all of them: from minute to minute, or in long leaps."""

from __future__ import annotations

from typing import Final

from sla.minute_counts import MinuteColumn, MinuteRing, SlidingSums, Sums

LARGEST_COLUMN: Final = 30_000
"""Running sums are kept from one step of a replay to the next as long as they have at most so many minutes."""


class Tally:
    """Counts of one objective by source partition, and sums over all of them.

    Attributes
    ----------
    by_source : dict
        Counts by source partition.
    known : MinuteRing
        Minutes known (as good) and minutes that should be and are not (as bad); empty where that is not told.
    """

    __slots__ = ("_column", "_column_until_ms", "_known_sums", "_oldest_ms", "_sliding", "by_source", "known")

    def __init__(self) -> None:
        self.by_source: dict[str, MinuteRing] = {}
        self.known = MinuteRing()
        self._sliding = SlidingSums(self.by_source.values())
        self._known_sums = SlidingSums((self.known,))
        self._column: MinuteColumn | None = None
        self._column_until_ms = 0
        self._oldest_ms: int | None = None

    def ring(self, source: str) -> MinuteRing:
        """Return the counts of a source partition, to be written."""
        ring = self.by_source.get(source)
        if ring is None:
            ring = self.by_source[source] = MinuteRing()
        return ring

    def put(self, source: str, minute_ms: int, good: int, bad: int, *, is_delta: bool) -> None:
        """Set the counts of a minute of a source, or add to them."""
        ring = self.ring(source)
        before = ring.get(minute_ms)
        former = before or (0, 0)
        if is_delta:
            good, bad = former[0] + good, former[1] + bad
        ring.put(minute_ms, good, bad)
        self._sliding.moved(minute_ms, good - former[0], bad - former[1], before is None)
        if self._column is not None and minute_ms < self._column_until_ms:
            self._column.adjust(minute_ms, good - former[0], bad - former[1])
        if self._oldest_ms is not None:
            self._oldest_ms = min(self._oldest_ms, minute_ms)

    def put_known(self, minute_ms: int, known: int, expected: int) -> None:
        """Set how many minutes are known, of those that should be, from a minute on."""
        before = self.known.get(minute_ms)
        former = before or (0, 0)
        missing = max(0, expected - known)
        self.known.put(minute_ms, known, missing)
        self._known_sums.moved(minute_ms, known - former[0], missing - former[1], before is None)

    def coverage(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """Return how many minutes are known, and how many should be, of those that begin in ``[start, end)``."""
        sums = self._known_sums.sums(start_ms, end_ms)
        return sums.good, sums.events

    def sums(self, start_ms: int, end_ms: int) -> Sums:
        """Return the sums of the minutes that begin in ``[start, end)``, over all sources."""
        return self._sliding.sums(start_ms, end_ms)

    def running_sums(self, start_ms: int, end_ms: int) -> MinuteColumn:
        """Return running sums of the minutes of ``[start, end)`` at least; kept and added to while they are few."""
        column = self._column
        if column is None or len(column) > LARGEST_COLUMN:
            column = MinuteColumn(self.minutes(start_ms, end_ms))
        else:
            column.extend(self.minutes(self._column_until_ms, end_ms))
        self._column, self._column_until_ms = column, end_ms
        if len(column) > LARGEST_COLUMN:
            self._column = None
        return column

    def minutes(self, start_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
        """Return (minute_ms, good, bad) of the minutes told that begin in ``[start, end)``, ascending."""
        found: dict[int, tuple[int, int]] = {}
        for ring in self.by_source.values():
            for minute_ms, good, bad in ring.minutes(start_ms, end_ms):
                sums = found.get(minute_ms, (0, 0))
                found[minute_ms] = (sums[0] + good, sums[1] + bad)
        return [(minute_ms, *found[minute_ms]) for minute_ms in sorted(found)]

    @property
    def bad_total(self) -> int:
        """Bad events of all that is kept."""
        return sum(ring.bad_total for ring in self.by_source.values())

    @property
    def oldest_ms(self) -> int | None:
        """The oldest minute told, UTC epoch ms."""
        if self._oldest_ms is None:
            told = (ring.oldest_ms for ring in self.by_source.values())
            self._oldest_ms = min((oldest_ms for oldest_ms in told if oldest_ms is not None), default=None)
        return self._oldest_ms

    def forget(self) -> None:
        """Forget what was remembered of sums: old counts are gone."""
        self._oldest_ms = None
        self._column = None
        self._sliding.forget()
        self._known_sums.forget()

    def keep_no_column(self) -> None:
        """Forget running sums: time passes by the minute, or windows have changed."""
        self._column = None

    def __bool__(self) -> bool:
        return any(self.by_source.values())
