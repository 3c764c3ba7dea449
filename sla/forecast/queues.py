"""How many open clocks each team holds, and how many it has stopped lately."""

from __future__ import annotations

from math import inf, log
from typing import Final, NamedTuple

from sla.units import DAY_MS

THROUGHPUT_HALF_LIFE_MS: Final = 7 * DAY_MS
"""A stop counts half after a week: long enough to see weekends, short enough to see holidays begin."""


class QueueState(NamedTuple):
    """The queue of one team at an instant.

    Attributes
    ----------
    open : int
        Clocks of this stratum on tickets that the team holds, waiting ones included.
    stops_per_day : float
        Clocks stopped per day of elapsed time, lately.
    """

    open: int
    stops_per_day: float

    @property
    def load_days(self) -> float:
        """Days it takes the team to stop as many clocks as it holds, at its recent pace."""
        if not self.open:
            return 0.0
        return self.open / self.stops_per_day if self.stops_per_day > 0 else inf


class TeamQueues:
    """Open clocks and recent stops by (stratum, team)."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], int] = {}
        self._stops: dict[tuple[str, str], tuple[float, int]] = {}

    def enter(self, stratum: str, team: str) -> None:
        """Count a clock into a team's queue."""
        key = (stratum, team)
        self._open[key] = self._open.get(key, 0) + 1

    def leave(self, stratum: str, team: str) -> None:
        """Count a clock out of a team's queue."""
        key = (stratum, team)
        left = self._open.get(key, 0) - 1
        if left > 0:
            self._open[key] = left
        else:
            self._open.pop(key, None)

    def stop(self, stratum: str, team: str, at_ms: int) -> None:
        """Note that a team has stopped a clock."""
        key = (stratum, team)
        self._stops[key] = (self._decayed(key, at_ms) + 1.0, at_ms)

    def state(self, stratum: str, team: str, at_ms: int) -> QueueState:
        """Return a team's queue at an instant."""
        key = (stratum, team)
        per_day = self._decayed(key, at_ms) * log(2) * DAY_MS / THROUGHPUT_HALF_LIFE_MS
        return QueueState(self._open.get(key, 0), per_day)

    def _decayed(self, key: tuple[str, str], at_ms: int) -> float:
        stops, since_ms = self._stops.get(key, (0.0, at_ms))
        weight: float = 0.5 ** (max(0, at_ms - since_ms) / THROUGHPUT_HALF_LIFE_MS)
        return stops * weight

    def document(self) -> list[list[tuple[str, str, float, int]]]:
        """Return the queues for storage; see :meth:`restored`."""
        return [
            [(*key, float(number), 0) for key, number in sorted(self._open.items())],
            [(*key, stops, since_ms) for key, (stops, since_ms) in sorted(self._stops.items())],
        ]

    @classmethod
    def restored(cls, document: list[list[tuple[str, str, float, int]]]) -> TeamQueues:
        """Return the queues that :meth:`document` described."""
        queues = cls()
        queues._open = {(stratum, team): int(number) for stratum, team, number, _ in document[0]}
        queues._stops = {(stratum, team): (stops, since_ms) for stratum, team, stops, since_ms in document[1]}
        return queues
