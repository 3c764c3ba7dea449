"""Whether a model may page: it has to have seen enough, and its pages have to have been right lately.

While it may not, the share of the target consumed pages instead, and the reason is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Final

FEWEST_VERDICTS: Final = 200
"""Verdicts past their deadline before a model is trusted: before, only the quickly solved have told their outcome."""

LEAST_PRECISION: Final = 0.6
"""Share of recent pages that has to come true. Trust is lost when it is below this beyond chance, and returns when it
is back: a model at the edge must not come and go."""

_BEYOND_CHANCE: Final = 1.645
"""Standard deviations: one time in twenty by chance."""

_PAGES_TO_JUDGE: Final = 20.0
"""Weighted pages before their precision means anything."""

_PAGE_HALF_LIFE: Final = 50.0
"""Pages after which one counts half: a sudden drift must show within a shift, not within a month."""

_PAGE_HALF_LIFE_VERDICTS: Final = 500.0
"""Verdicts learned since a page was sent after which it counts half: as the base rates forget."""

_FORGETTING: Final = 0.5 ** (1 / _PAGE_HALF_LIFE_VERDICTS)


class TrustReason(StrEnum):
    """Why a model is trusted or not; the words are public."""

    TRUSTED = "trusted"
    COLD_START = "cold-start"
    """Fewer than 200 verdicts past their deadline."""
    IMPRECISE = "imprecise"
    """Fewer than 60 % of its recent pages came true: something has changed that it has not learned yet."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether a model may page, and why.

    Attributes
    ----------
    verdicts : int
        Verdicts past their deadline so far.
    precision : float or None
        Share of recent pages that came true; None: too few.
    """

    reason: TrustReason
    verdicts: int
    precision: float | None

    @property
    def is_trusted(self) -> bool:
        """Whether the model's probability pages."""
        return self.reason is TrustReason.TRUSTED

    def in_words(self) -> str:
        """Return the state of trust as one sentence."""
        match self.reason:
            case TrustReason.TRUSTED:
                return "the forecast is trusted"
            case TrustReason.COLD_START:
                return f"paged by time consumed: {self.verdicts} of {FEWEST_VERDICTS} verdicts needed for a forecast"
            case TrustReason.IMPRECISE:
                share = f"{self.precision:.0%}" if self.precision is not None else "too few"
                return f"paged by time consumed: {share} of the forecast's recent pages came true"


class TrustGate:
    """Follows the pages a model would have sent, also while it may not send them."""

    def __init__(self) -> None:
        self._verdicts = 0
        self._pages = 0.0
        self._true_pages = 0.0
        self._is_imprecise = False
        self._decay = 0.5 ** (1 / _PAGE_HALF_LIFE)

    @property
    def verdicts(self) -> int:
        """Verdicts past their deadline so far."""
        return self._verdicts

    def learn(self, *, paged_at: int | None, breached: bool) -> None:
        """Take the outcome of a clock whose deadline has passed.

        Parameters
        ----------
        paged_at : int or None
            :attr:`verdicts` when the model would have paged for it; None: it would not have. A page counts less the
            longer ago that was: a ticket that waited for weeks says little about what the model knows today.
        """
        self._verdicts += 1
        self._pages *= _FORGETTING
        self._true_pages *= _FORGETTING
        if paged_at is None:
            return
        weight = _FORGETTING ** (self._verdicts - paged_at)
        decay = self._decay**weight  # a stale page pushes no fresh one out
        self._pages = self._pages * decay + weight
        self._true_pages = self._true_pages * decay + weight * breached
        precision = self._precision()
        if precision is None:
            return
        if self._is_imprecise:
            self._is_imprecise = precision < LEAST_PRECISION
        else:
            chance = _BEYOND_CHANCE * sqrt(LEAST_PRECISION * (1 - LEAST_PRECISION) / self._pages)
            self._is_imprecise = precision < LEAST_PRECISION - chance

    @property
    def is_trusted(self) -> bool:
        """Whether the model may page."""
        return self._verdicts >= FEWEST_VERDICTS and not self._is_imprecise

    def state(self) -> Trust:
        """Return whether the model may page, and why."""
        if self._verdicts < FEWEST_VERDICTS:
            reason = TrustReason.COLD_START
        else:
            reason = TrustReason.IMPRECISE if self._is_imprecise else TrustReason.TRUSTED
        return Trust(reason, self._verdicts, self._precision())

    def _precision(self) -> float | None:
        return self._true_pages / self._pages if self._pages >= _PAGES_TO_JUDGE else None

    def document(self) -> tuple[int, float, float, bool]:
        """Return the gate for storage; see :meth:`restored`."""
        return (self._verdicts, self._pages, self._true_pages, self._is_imprecise)

    @classmethod
    def restored(cls, document: tuple[int, float, float, bool]) -> TrustGate:
        """Return the gate that :meth:`document` described."""
        gate = cls()
        gate._verdicts, gate._pages, gate._true_pages, gate._is_imprecise = document
        return gate
