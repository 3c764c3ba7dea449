"""Random draws for the simulator: numpy's generator, asked for blocks, because one call per number costs too much."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import numpy as np

_BLOCK = 4096

T = TypeVar("T")


class Choice(Generic[T]):
    """Values with weights that need not add up to one."""

    __slots__ = ("_cumulative", "values")

    def __init__(self, weighted: Sequence[tuple[T, float]]) -> None:
        self.values = tuple(value for value, _ in weighted)
        self._cumulative = tuple(accumulate(weight for _, weight in weighted))

    def at(self, share: float) -> T:
        """Return the value at a share in [0, 1) of the total weight."""
        return self.values[bisect_right(self._cumulative, share * self._cumulative[-1])]


class Draws:
    """A seeded stream of random numbers; the same seed and the same calls give the same numbers."""

    __slots__ = ("_normal", "_uniform")

    def __init__(self, seed: int) -> None:
        # Two streams, so that a call for one kind never shifts the numbers of the other at a block's end.
        uniform_seed, normal_seed = np.random.SeedSequence(seed).spawn(2)
        self._uniform = _uniforms(np.random.Generator(np.random.PCG64(uniform_seed)))
        self._normal = _normals(np.random.Generator(np.random.PCG64(normal_seed)))

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        return next(self._uniform)

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * next(self._uniform)

    def happens(self, probability: float) -> bool:
        """Return True with a probability."""
        return next(self._uniform) < probability

    def exponential(self, mean: float) -> float:
        """Return an exponentially distributed number."""
        return -mean * math.log1p(-next(self._uniform))

    def lognormal(self, median: float, sigma: float) -> float:
        """Return a log-normally distributed number: durations of work and of waiting are."""
        return median * math.exp(sigma * next(self._normal))

    def choose(self, choice: Choice[T]) -> T:
        """Return one value of a choice."""
        return choice.at(next(self._uniform))


def _uniforms(generator: np.random.Generator) -> Iterator[float]:
    while True:
        yield from generator.random(_BLOCK).tolist()


def _normals(generator: np.random.Generator) -> Iterator[float]:
    while True:
        yield from generator.standard_normal(_BLOCK).tolist()
