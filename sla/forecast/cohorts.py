"""How many comparable clocks breached: the plain counts behind an explanation.

They play no part in the probability: people check a number by counting, and this is the count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sla.forecast.factors import Situation

ENOUGH_CLOCKS: Final = 10
"""A cohort with fewer clocks proves nothing: a wider one is told."""

COHORT_HALF_LIFE: Final = 2_500.0
"""Verdicts after which a clock counts half."""

MOST_COHORTS: Final = 50_000
_TENTHS: Final = 10

CohortKey = tuple[str, str, str, int]
"""Target, team, state and tenths of the target consumed; an empty team or state stands for all."""


class Cohort(NamedTuple):
    """Clocks that were where this one is now, and how many of them breached.

    Attributes
    ----------
    clocks, breached : float
        Weighted: of older verdicts a clock counts less than 1.
    target, team, state : str
        What they have in common with this one; empty: not asked for.
    consumed : float
        Share of the target they had consumed, at least.
    """

    clocks: float
    breached: float
    target: str
    team: str
    state: str
    consumed: float


def cohorts_of(situation: Situation, share: float) -> tuple[CohortKey, ...]:
    """Return the cohorts a clock belongs to, the narrowest first."""
    tenth = min(int(share * _TENTHS + 1e-9), _TENTHS - 1)
    target = situation.viewpoint.target
    return (
        (target, situation.team, situation.state, tenth),
        (target, "", situation.state, tenth),
        (target, "", "", tenth),
    )


class CohortCounts:
    """Clocks and breaches by cohort, older ones counting less."""

    def __init__(self) -> None:
        self._counts: dict[CohortKey, tuple[float, float, int]] = {}
        self._verdicts = 0
        self._decay = 0.5 ** (1 / COHORT_HALF_LIFE)

    def learn(self, keys: Sequence[CohortKey], *, breached: bool) -> None:
        """Count a clock into every cohort it belonged to, once."""
        self._verdicts += 1
        for key in dict.fromkeys(keys):
            clocks, breaches = self._at_present(key)
            self._counts[key] = (clocks + 1, breaches + breached, self._verdicts)
        if len(self._counts) > MOST_COHORTS:
            ranked = sorted(self._counts, key=lambda key: (-self._at_present(key)[0], key))
            self._counts = {key: self._counts[key] for key in sorted(ranked[: MOST_COHORTS // 2])}

    def of(self, situation: Situation, share: float) -> Cohort | None:
        """Return the narrowest cohort with enough clocks; None: there is none."""
        for target, team, state, tenth in cohorts_of(situation, share):
            clocks, breaches = self._at_present((target, team, state, tenth))
            if clocks >= ENOUGH_CLOCKS:
                return Cohort(clocks, breaches, target, team, state, tenth / _TENTHS)
        return None

    def _at_present(self, key: CohortKey) -> tuple[float, float]:
        found = self._counts.get(key)
        if found is None:
            return 0.0, 0.0
        weight = self._decay ** (self._verdicts - found[2])
        return found[0] * weight, found[1] * weight

    def document(self) -> list[object]:
        """Return the counts for storage; see :meth:`restored`."""
        return [self._verdicts, [(*key, *counts) for key, counts in self._counts.items()]]

    @classmethod
    def restored(cls, document: list[object]) -> CohortCounts:
        """Return the counts that :meth:`document` described."""
        counts = cls()
        verdicts, entries = document
        assert isinstance(verdicts, int)
        assert isinstance(entries, list)
        counts._verdicts = verdicts
        counts._counts = {tuple(entry[:4]): tuple(entry[4:]) for entry in entries}
        return counts
