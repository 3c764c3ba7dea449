"""The model of one stratum: a fast base rate per consumed share, corrected by what slowly learned factors say.

**Base.** For each 5 % of the target: the share of clocks that breached among those still running there, of the last few
hundred verdicts. It follows drift. Events have base rates of their own: that something happens to a ticket at all, late
in its target, is good news.

**Factors.** Each factor value has a log odds ratio with its uncertainty, relative to the base, learned by online
Bayesian logistic regression with independent posteriors (assumed-density filtering): at each verdict the error of the
whole prediction is divided among the factors of the row in proportion to their uncertainty. So a factor that says the
same as another one gets half of it, and nothing has to be damped by hand. Before anything is known a factor is 0, give
or take; with time, counted in verdicts, its value goes back there.

**Weights.** A clock that lasts tells its outcome at every step. A row of step k weighs ``1 / (k + 1)`` of the first
one, and a row of an event a part of that: by the step, not by how many rows the clock has, because that number depends
on the outcome.

**Two learners.** A solved ticket tells its outcome early, a breach late: one who learns at once learns that tickets are
solved. One learner therefore learns a verdict when the *deadline* has passed, as if the stopped clock had run on; but
it reacts late to drift. The other one learns at once. The prediction is the mean of their log odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import exp, log, pi
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sla.forecast.factors import Factor

STEPS: Final = 20
"""Steps of 5 % of the target: 0, 5, ... 95 % consumed."""

_PLACES: Final = 2 * STEPS + 1
"""Places with a base rate of their own, see :func:`place_of`."""

_NEUTRAL: Final = 0
"""Slot of every factor that is not known: it says nothing and learns nothing."""

_FIRST_CAPACITY: Final = 1024
_FURTHEST_LOGIT: Final = 30.0
_DECAY_FLOOR: Final = 1e-12

Slots = NDArray[np.int32]


class Pace(IntEnum):
    """When a learner learns of a verdict."""

    AT_ONCE = 0
    AT_DEADLINE = 1


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a model learns and forgets. Half-lives are counted in verdicts: a quiet desk forgets as slowly as it learns.

    Attributes
    ----------
    base_half_life, factor_half_life : float
        Verdicts after which what was learned counts half.
    doubt : float
        Variance of the sum of all factors' log odds before anything is known; divided among them, however many there
        are.
    first_weight : float
        Weight of a clock's first row.
    event_weight : float
        Weight of a row of an event, as a part of that of the step it falls in.
    base_prior : (float, float)
        Breaches and clocks that a base rate starts from.
    most_factors : int
        Factor values kept; above it the half that tells least is forgotten.
    """

    base_half_life: float = 500.0
    factor_half_life: float = 6_000.0
    doubt: float = 2.0
    first_weight: float = 0.5
    event_weight: float = 0.3
    base_prior: tuple[float, float] = (1.0, 2.0)
    most_factors: int = 100_000


class Row(NamedTuple):
    """What a clock looked like at a step or an event: learned from once its outcome is known.

    Attributes
    ----------
    place : int
        See :func:`place_of`.
    """

    place: int
    slots: Slots


def place_of(share: float, *, at_event: bool) -> int:
    """Return which base rate applies at a consumed share (0 to 1) of the target.

    Steps are 0 to 19. Events are 20 before anything is consumed, then 21 to 40 by 5 %.
    """
    step = min(max(int(share * STEPS + 1e-9), 0), STEPS - 1)
    if not at_event:
        return step
    return STEPS + 1 + step if share > 0 else STEPS


class Effect(NamedTuple):
    """What one factor adds to the log odds of a prediction, and how sure that is (0: not known, 1: certain)."""

    factor: Factor
    log_odds: float
    certainty: float


class BreachModel:
    """Breach probability of the clocks of one stratum."""

    def __init__(self, settings: ModelSettings | None = None) -> None:
        self.settings = settings or ModelSettings()
        self.verdicts = [0, 0]
        """Verdicts learned, by :class:`Pace`."""
        self._base_decay = 0.5 ** (1 / self.settings.base_half_life)
        self._decay = 0.5 ** (1 / self.settings.factor_half_life)
        at_steps = [self.settings.first_weight / (1 + step) for step in range(STEPS)]
        at_events = [weight * self.settings.event_weight for weight in (at_steps[0], *at_steps)]
        self._weights = at_steps + at_events
        self._breaches = np.zeros((2, _PLACES))
        self._clocks = np.zeros((2, _PLACES))
        self._slot_of: dict[Factor, int] = {}
        self._size = 1
        self._mean = np.zeros((2, _FIRST_CAPACITY))
        self._doubt = np.ones((2, _FIRST_CAPACITY))  # share of the prior's variance that is left
        self._learned_at = np.zeros((2, _FIRST_CAPACITY))
        self._base_logits: NDArray[np.float64] | None = None

    @property
    def factors(self) -> int:
        """Number of factor values known."""
        return len(self._slot_of)

    @property
    def state_bytes(self) -> int:
        """Bytes of the numbers that are kept; their names come on top."""
        return self._mean.nbytes + self._doubt.nbytes + self._learned_at.nbytes

    # --- prediction ---

    def slots(self, factors: Sequence[Factor], *, add: bool) -> Slots:
        """Return where the factors' numbers are; those that are new get room, or the place of the unknown."""
        known = self._slot_of
        found = [known.get(factor, _NEUTRAL) for factor in factors]
        if add and _NEUTRAL in found:
            found = [slot or self._add(factor) for slot, factor in zip(found, factors, strict=True)]
        return np.array(found, dtype=np.int32)

    def _add(self, factor: Factor) -> int:
        slot = self._size
        if slot == self._mean.shape[1]:
            self._mean, self._learned_at = (
                np.concatenate((column, np.zeros_like(column)), axis=1) for column in (self._mean, self._learned_at)
            )
            self._doubt = np.concatenate((self._doubt, np.ones_like(self._doubt)), axis=1)
        self._slot_of[factor] = slot
        self._size += 1
        return slot

    def log_odds(self, share: float, slots: Slots, *, at_event: bool = False) -> float:
        """Return the log odds of a breach at a consumed share (0 to 1) of the target."""
        if not len(slots):
            return float(self._base_at(share, at_event=at_event).mean())
        left = self._decays(slots)
        mean = (self._mean[:, slots] * left).sum(axis=1)
        doubt = (1 - (1 - self._doubt[:, slots]) * left).mean(axis=1) * self.settings.doubt
        # What is not known pulls towards the base: the expectation over the posterior is less sure than its mean.
        return float((self._base_at(share, at_event=at_event) + mean / np.sqrt(1 + pi / 8 * doubt)).mean())

    def log_odds_of_many(
        self, shares: NDArray[np.float64], slots: NDArray[np.int32], used: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """Return the log odds of many clocks at once; the same as :meth:`log_odds` of each, up to rounding.

        Parameters
        ----------
        shares : (n,) array
            Consumed shares.
        slots : (n, most) array
            A row per clock, filled up with 0.
        used : (n,) array
            How many slots of each row are used.
        """
        size = self._size
        left = self._decay ** (np.array(self.verdicts)[:, None] - self._learned_at[:, :size])
        mean = self._mean[:, :size] * left
        known = (1 - self._doubt[:, :size]) * left
        logits = self._logits()
        position = np.clip(shares * STEPS, 0, STEPS - 1)
        step = np.minimum(position.astype(np.int64), STEPS - 2)
        fraction = position - step
        total = np.zeros(len(shares))
        for pace in Pace:
            base = logits[pace][step] * (1 - fraction) + logits[pace][step + 1] * fraction
            doubt = (1 - known[pace][slots].sum(axis=1) / np.maximum(used, 1)) * self.settings.doubt
            total += base + mean[pace][slots].sum(axis=1) / np.sqrt(1 + pi / 8 * doubt)
        return total / len(Pace)

    def base_rate(self, share: float, *, at_event: bool = False) -> float:
        """Return the breach probability of a clock at a consumed share of which nothing else is known."""
        return probability_of(float(self._base_at(share, at_event=at_event).mean()))

    def effects(self, factors: Sequence[Factor], slots: Slots) -> list[Effect]:
        """Return what each factor says, the strongest first."""
        left = self._decays(slots)
        doubts = 1 - (1 - self._doubt[:, slots]) * left
        scale = 1 / np.sqrt(1 + pi / 8 * doubts.mean(axis=1) * self.settings.doubt) if len(slots) else np.ones(2)
        parts = (self._mean[:, slots] * left * scale[:, None]).mean(axis=0)
        effects = [
            Effect(factor, float(part), float(1 - doubt))
            for factor, part, doubt in zip(factors, parts, doubts.mean(axis=0), strict=True)
        ]
        return sorted(effects, key=lambda effect: (-abs(effect.log_odds), effect.factor))

    def _decays(self, slots: Slots) -> NDArray[np.float64]:
        age = np.array(self.verdicts, dtype=np.float64)[:, None] - self._learned_at[:, slots]
        decays: NDArray[np.float64] = self._decay**age
        return decays

    def _logits(self) -> NDArray[np.float64]:
        if self._base_logits is None:
            breaches, clocks = self.settings.base_prior
            rate = (self._breaches + breaches) / (self._clocks + clocks)
            self._base_logits = np.log(rate / (1 - rate))
        return self._base_logits

    def _base_at(self, share: float, *, at_event: bool) -> NDArray[np.float64]:
        logits = self._logits()
        place = place_of(share, at_event=at_event)
        # A clock scored between two steps, without an event, is between their base rates.
        fraction = 0.0 if at_event or place == STEPS - 1 else share * STEPS - place
        if fraction <= 1e-9:
            return logits[:, place]
        return logits[:, place] * (1 - fraction) + logits[:, place + 1] * fraction

    # --- learning ---

    def learn(self, pace: Pace, rows: Sequence[Row], *, breached: bool) -> None:
        """Learn the outcome of a clock from what it looked like at its steps.

        Both the base and the factors are those of now, not of when the row was taken: what was surprising then and is
        known meanwhile is not learned twice.
        """
        self.verdicts[pace] += 1
        now = self.verdicts[pace]
        mean, doubts, learned_at = self._mean[pace], self._doubt[pace], self._learned_at[pace]
        base = self._logits()[pace]
        for place, slots in rows:
            if not len(slots):
                continue
            weight = self._weights[place]
            prior = self.settings.doubt / len(slots)
            left = self._decay ** (now - learned_at[slots])
            means = mean[slots] * left
            variances = prior * (1 - (1 - doubts[slots]) * left)
            chance = probability_of(float(base[place]) + float(means.sum()))
            curvature = weight * chance * (1 - chance)
            scale = 1 + curvature * float(variances.sum())
            mean[slots] = means + variances * (weight * (breached - chance) / scale)
            doubts[slots] = (variances - variances * variances * (curvature / scale)) / prior
            learned_at[slots] = now
        mean[_NEUTRAL], doubts[_NEUTRAL] = 0.0, 1.0
        places = sorted({row.place for row in rows})  # each once: many events in one place are one clock
        self._breaches[pace, places] += breached
        self._clocks[pace, places] += 1
        self._breaches[pace] *= self._base_decay
        self._clocks[pace] *= self._base_decay
        self._base_logits = None

    # --- size and storage ---

    def shrink(self) -> NDArray[np.int32] | None:
        """Forget the half of the factor values that tells least, if there are too many.

        Returns
        -------
        array or None
            Where each slot has gone (0: forgotten); None if nothing changed.
        """
        if len(self._slot_of) <= self.settings.most_factors:
            return None
        everything = np.arange(self._size, dtype=np.int32)
        known = ((1 - self._doubt[:, : self._size]) * self._decays(everything)).max(axis=0)
        ranked = sorted(self._slot_of.items(), key=lambda item: (-known[item[1]], item[0]))
        kept = sorted(ranked[: self.settings.most_factors // 2], key=lambda item: item[1])
        moved = np.zeros(self._size, dtype=np.int32)
        origin = np.array([_NEUTRAL, *(slot for _, slot in kept)], dtype=np.int32)
        moved[origin] = np.arange(len(origin), dtype=np.int32)
        capacity = max(_FIRST_CAPACITY, 1 << len(origin).bit_length())
        self._mean = _taken(self._mean, origin, capacity, 0.0)
        self._doubt = _taken(self._doubt, origin, capacity, 1.0)
        self._learned_at = _taken(self._learned_at, origin, capacity, 0.0)
        self._slot_of = {factor: number for number, (factor, _) in enumerate(kept, start=1)}
        self._size = len(origin)
        return moved

    def document(self) -> dict[str, object]:
        """Return the model for storage, bit by bit; see :meth:`restored`."""
        size = self._size
        names = sorted(self._slot_of, key=self._slot_of.__getitem__)
        columns = (self._mean, self._doubt, self._learned_at)
        return {
            "verdicts": list(self.verdicts),
            "base": [_packed(self._breaches), _packed(self._clocks)],
            "factors": [part for name in names for part in name],
            "columns": [_packed(column[:, :size]) for column in columns],
        }

    @classmethod
    def restored(cls, document: dict[str, object], settings: ModelSettings) -> BreachModel:
        """Return the model that :meth:`document` described."""
        model = cls(settings)
        verdicts, base, names, columns = (document[name] for name in ("verdicts", "base", "factors", "columns"))
        assert isinstance(verdicts, list)
        assert isinstance(base, list)
        assert isinstance(names, list)
        assert isinstance(columns, list)
        model.verdicts = list(verdicts)
        model._breaches, model._clocks = (_unpacked(part) for part in base)
        pairs = zip(names[::2], names[1::2], strict=True)
        model._slot_of = {Factor(*pair): number for number, pair in enumerate(pairs, start=1)}
        model._size = size = 1 + len(model._slot_of)
        capacity = max(_FIRST_CAPACITY, 1 << size.bit_length())
        origin = np.arange(size, dtype=np.int32)
        model._mean, model._doubt, model._learned_at = (
            _taken(_unpacked(column), origin, capacity, fill)
            for column, fill in zip(columns, (0.0, 1.0, 0.0), strict=True)
        )
        return model


def probability_of(log_odds: float) -> float:
    """Return the probability with these log odds, never quite 0 or 1."""
    return 1 / (1 + exp(-min(max(log_odds, -_FURTHEST_LOGIT), _FURTHEST_LOGIT)))


def log_odds_of(probability: float) -> float:
    """Return the log odds of a probability."""
    probability = min(max(probability, _DECAY_FLOOR), 1 - _DECAY_FLOOR)
    return log(probability / (1 - probability))


def _taken(column: NDArray[np.float64], origin: Slots, capacity: int, fill: float) -> NDArray[np.float64]:
    taken = np.full((2, capacity), fill)
    taken[:, : len(origin)] = column[:, origin]
    return taken


def _packed(array: NDArray[np.float64]) -> bytes:
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def _unpacked(data: bytes) -> NDArray[np.float64]:
    return np.frombuffer(data, dtype="<f8").reshape(2, -1).astype(np.float64)
