"""Faults of a source: gathered and shown together, or counted and left out where the user says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SHOWN_FAULTS = 20
"""Faults listed one by one; the rest is a number. More than this is one mistake made in every row."""


class SourceError(Exception):
    """A source that can't be read as it stands.

    Attributes
    ----------
    path : Path
        The file.
    faults : tuple of str
        The first faults (at most ``SHOWN_FAULTS``), each with its place in the file.
    total : int
        All faults.
    """

    def __init__(self, path: Path, faults: Sequence[str], total: int | None = None) -> None:
        self.path = path
        self.faults = tuple(faults[:SHOWN_FAULTS])
        self.total = len(faults) if total is None else total
        super().__init__(self._message())

    def _message(self) -> str:
        if self.total == 1:
            return f"{self.path}: {self.faults[0]}"
        lines = [f"{self.path}: {self.total} faults", *(f"  {fault}" for fault in self.faults)]
        if self.total > len(self.faults):
            lines.append(f"  ... and {self.total - len(self.faults)} more")
        return "\n".join(lines)


@dataclass(slots=True)
class FaultLog:
    """Gathers the faults of the rows of one file; memory is bounded by ``SHOWN_FAULTS``."""

    path: Path
    total: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        """Note one fault; ``where`` names its place ("line 7")."""
        self.total += 1
        if len(self.shown) < SHOWN_FAULTS:
            self.shown.append(f"{where}: {text}")

    def error(self) -> SourceError:
        """Return the error that tells all faults noted so far."""
        return SourceError(self.path, self.shown, self.total)
