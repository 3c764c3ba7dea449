"""The rows of one partition with the instant each needs attention next, as a column that is swept in bulk."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sla.units import NEVER


class DueTable:
    """Rows by key, and one int64 column of due instants.

    Looking up and setting a row costs a dict access; finding everything that is due costs one vectorised comparison
    of the column (0.5 ms for a million rows), and nothing at all before the earliest due instant.
    """

    def __init__(self) -> None:
        self._slot_of: dict[bytes, int] = {}
        self._keys: list[bytes | None] = []
        self._rows: list[bytes] = []
        self._due = array("q")
        self._free: list[int] = []
        self._earliest_ms: int = NEVER

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: bytes) -> bool:
        return key in self._slot_of

    def get(self, key: bytes) -> bytes | None:
        """Return the row of a key, or None."""
        slot = self._slot_of.get(key)
        return None if slot is None else self._rows[slot]

    def put(self, key: bytes, row: bytes, due_ms: int) -> None:
        """Set the row of a key and when it is due."""
        slot = self._slot_of.get(key)
        if slot is None:
            if self._free:
                slot = self._free.pop()
                self._keys[slot] = key
                self._rows[slot] = row
                self._due[slot] = due_ms
            else:
                slot = len(self._keys)
                self._keys.append(key)
                self._rows.append(row)
                self._due.append(due_ms)
            self._slot_of[key] = slot
        else:
            self._rows[slot] = row
            self._due[slot] = due_ms
        self._earliest_ms = min(self._earliest_ms, due_ms)

    def remove(self, key: bytes) -> None:
        """Forget a key; nothing happens if it is not there."""
        slot = self._slot_of.pop(key, None)
        if slot is not None:
            self._keys[slot] = None
            self._rows[slot] = b""
            self._due[slot] = NEVER
            self._free.append(slot)

    def postpone(self, key: bytes) -> None:
        """Take a row out of what is due until it is put again."""
        self._due[self._slot_of[key]] = NEVER

    def due(self, now_ms: int, limit: int) -> list[bytes]:
        """Return at most ``limit`` keys that are due at ``now_ms``, earliest first, ties by key (deterministic).

        A row that is due NEVER is never returned.
        """
        now_ms = min(now_ms, NEVER - 1)
        if now_ms < self._earliest_ms:
            return []
        column = np.frombuffer(self._due, dtype=np.int64)
        slots = np.flatnonzero(column <= now_ms)
        if not len(slots):
            self._earliest_ms = int(column.min()) if len(column) else NEVER
            return []
        if len(slots) > limit:
            slots = self._first(column, slots, limit)
        found = sorted((int(column[slot]), self._keys[slot] or b"") for slot in slots.tolist())
        del column  # an exported buffer can't grow
        return [key for _, key in found]

    def _first(self, column: NDArray[np.int64], slots: NDArray[np.intp], limit: int) -> NDArray[np.intp]:
        """Return the ``limit`` slots that are due first, ties by key: sorting all of them in Python takes seconds."""
        due = column[slots]
        last_ms = np.partition(due, limit - 1)[limit - 1]
        before = slots[due < last_ms]
        ties = slots[due == last_ms].tolist()
        keys = self._keys
        first = heapq.nsmallest(limit - len(before), ties, key=lambda slot: keys[slot] or b"")
        return np.concatenate((before, np.array(first, dtype=np.intp)))

    def make_due(self, keys: Iterable[bytes]) -> None:
        """Make rows due at once, before all others, in the order in which they would have been due.

        They have to be folded again, and a million rows take a while: those whose clocks change colour next go first.
        Each gets an instant of its own: rows due at one instant would have to be ordered anew by every sweep.
        """
        self._make_due(np.fromiter((self._slot_of[key] for key in keys), dtype=np.intp))

    def make_all_due(self, but: Iterable[bytes] = ()) -> None:
        """Make all rows due at once, as :meth:`make_due` does, but for those of some keys."""
        is_meant = np.ones(len(self._keys), dtype=np.bool_)
        is_meant[self._free] = False
        is_meant[[slot for key in but if (slot := self._slot_of.get(key)) is not None]] = False
        self._make_due(np.flatnonzero(is_meant))

    def _make_due(self, slots: NDArray[np.intp]) -> None:
        if not len(slots):
            return
        column = np.frombuffer(self._due, dtype=np.int64)
        slots = slots[np.argsort(column[slots], kind="stable")]
        due, keys = column[slots], self._keys
        # Equal instants go by key, as everywhere; there are few of them, but for the rows that are due NEVER.
        bounds = [0, *(np.flatnonzero(np.diff(due)) + 1).tolist(), len(slots)]
        for first, end in pairwise(bounds):
            if end - first > 1:
                slots[first:end] = sorted(slots[first:end].tolist(), key=lambda slot: keys[slot] or b"")
        column[slots] = np.arange(-len(slots), 0)
        del column  # an exported buffer can't grow
        self._earliest_ms = min(self._earliest_ms, -len(slots))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, row) of every row."""
        for key, slot in self._slot_of.items():
            yield key, self._rows[slot]
