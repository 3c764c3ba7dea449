"""How good predictions are: sharpness, ranking and honesty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10
"""Bins of calibration, of equal width in probability."""

CHECKPOINTS: Final = (0, 25, 50, 75, 90)
"""Shares of the target, in percent, at which predictions are scored."""

_SMALLEST: Final = 1e-12
_LIVE_HALF_LIFE: Final = 1_000.0
"""Scored predictions after which one counts half, of the live quality."""


class CalibrationBin(NamedTuple):
    """Predictions of similar probability against what came.

    Attributes
    ----------
    predictions : float
        How many; weighted, where old ones count less.
    predicted : float
        Their mean probability.
    observed : float
        Share of them that breached.
    """

    predictions: float
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality of a set of predictions.

    Attributes
    ----------
    log_loss : float
        Mean negative log likelihood, in nats.
    brier : float
        Mean squared error.
    auc : float or None
        Chance that of a breached and a met clock the breached one was given the higher probability; None: all came
        out the same.
    ece : float
        Expected calibration error: mean distance between predicted and observed over the bins, by predictions.
    """

    predictions: int
    breached: int
    log_loss: float
    brier: float
    auc: float | None
    ece: float
    bins: tuple[CalibrationBin, ...]


def quality_of(probabilities: NDArray[np.float64], breached: NDArray[np.bool_]) -> Quality | None:
    """Return the quality of predictions; None: there are none."""
    if not len(probabilities):
        return None
    clipped = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
    log_loss = -np.where(breached, np.log(clipped), np.log1p(-clipped)).mean()
    bins = _bins(probabilities, breached)
    ece = sum(one.predictions * abs(one.predicted - one.observed) for one in bins) / len(probabilities)
    return Quality(
        len(probabilities),
        int(breached.sum()),
        float(log_loss),
        float(((probabilities - breached) ** 2).mean()),
        _auc(probabilities, breached),
        float(ece),
        bins,
    )


def _bins(probabilities: NDArray[np.float64], breached: NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    number = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(number, minlength=BINS)
    predicted = np.bincount(number, weights=probabilities, minlength=BINS)
    observed = np.bincount(number, weights=breached.astype(np.float64), minlength=BINS)
    at_least_one = np.maximum(counts, 1)
    return tuple(
        CalibrationBin(float(count), float(mean), float(share))
        for count, mean, share in zip(counts, predicted / at_least_one, observed / at_least_one, strict=True)
    )


def _auc(probabilities: NDArray[np.float64], breached: NDArray[np.bool_]) -> float | None:
    positives = int(breached.sum())
    negatives = len(breached) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # ties share their mean rank
    above = ranks[breached].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


class LiveQuality:
    """Quality of the predictions made lately, each scored once its clock's deadline has passed.

    Not earlier: whoever scores at the verdict scores the quickly solved first, and looks better than it is.
    """

    def __init__(self) -> None:
        self._weight = np.zeros(BINS)
        self._predicted = np.zeros(BINS)
        self._observed = np.zeros(BINS)
        self._squares = 0.0
        self._decay = 0.5 ** (1 / _LIVE_HALF_LIFE)

    def take(self, probability: float, *, breached: bool) -> None:
        """Score a prediction."""
        self._weight *= self._decay
        self._predicted *= self._decay
        self._observed *= self._decay
        number = min(int(probability * BINS), BINS - 1)
        self._weight[number] += 1
        self._predicted[number] += probability
        self._observed[number] += breached
        self._squares = self._squares * self._decay + (probability - breached) ** 2

    @property
    def brier(self) -> float | None:
        """Mean squared error lately; None: nothing has been scored."""
        total = float(self._weight.sum())
        return self._squares / total if total else None

    @property
    def bins(self) -> tuple[CalibrationBin, ...]:
        """Predicted against observed, lately."""
        at_least = np.where(self._weight > 0, self._weight, 1.0)
        return tuple(
            CalibrationBin(float(weight), float(mean), float(share))
            for weight, mean, share in zip(
                self._weight, self._predicted / at_least, self._observed / at_least, strict=True
            )
        )

    def document(self) -> list[list[float]]:
        """Return the sums for storage; see :meth:`restored`."""
        return [self._weight.tolist(), self._predicted.tolist(), self._observed.tolist(), [self._squares]]

    @classmethod
    def restored(cls, document: list[list[float]]) -> LiveQuality:
        """Return the sums that :meth:`document` described."""
        quality = cls()
        quality._weight, quality._predicted, quality._observed = (np.array(part) for part in document[:3])
        quality._squares = document[3][0]
        return quality
