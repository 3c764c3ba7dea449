"""The rows of one partition with the instant each needs attention next, as a column that is swept in bulk."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np

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

    def due(self, now_ms: int, limit: int) -> list[bytes]:
        """Return at most ``limit`` keys that are due at ``now_ms``, earliest first, ties by key (deterministic)."""
        if now_ms < self._earliest_ms:
            return []
        column = np.frombuffer(self._due, dtype=np.int64)
        slots = np.flatnonzero(column <= now_ms)
        if not len(slots):
            self._earliest_ms = int(column.min()) if len(column) else NEVER
            return []
        found = sorted((int(column[slot]), self._keys[slot] or b"") for slot in slots.tolist())
        del column  # an exported buffer can't grow
        return [key for _, key in found[:limit]]

    def make_all_due(self) -> None:
        """Make every row due at once: they have to be folded again."""
        for slot, key in enumerate(self._keys):
            if key is not None:
                self._due[slot] = -1
        self._earliest_ms = -1

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, row) of every row."""
        for key, slot in self._slot_of.items():
            yield key, self._rows[slot]
