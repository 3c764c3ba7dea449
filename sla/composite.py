"""Composite objectives: several objectives as one, with weights, by their events.

A part with the weight 3 counts each of its events three times. What results is again a count of good and bad events by
the minute, so windows, budgets and burn rates need no rule of their own, and a part with much traffic is not drowned by
an average of ratios. A corporate statement is the composite of its parts with equal weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sla.minute_counts import NOTHING, MinuteSums, Sums


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a composite.

    Attributes
    ----------
    weight : int
        How often each of its events counts, 1 or more.
    counts : MinuteSums
        Its good and bad events by minute.
    """

    weight: int
    counts: MinuteSums

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError(f"a weight of {self.weight}: a part counts at least once, or it is no part")


class CompositeSums:
    """The counts of a composite.

    Parameters
    ----------
    parts : iterable of Part
        One at least.
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = tuple(parts)
        if not self._parts:
            raise ValueError("a composite without parts")

    def sums(self, start_ms: int, end_ms: int) -> Sums:
        """Return the weighted sums of the minutes that begin in ``[start, end)``.

        Of as many minutes something is known as of the part of which the least is: a part that is silent must not be
        made up for by another.
        """
        good = bad = 0
        minutes: list[int] = []
        for part in self._parts:
            found = part.counts.sums(start_ms, end_ms)
            good += part.weight * found.good
            bad += part.weight * found.bad
            minutes.append(found.minutes)
        return Sums(good, bad, min(minutes)) if minutes else NOTHING
