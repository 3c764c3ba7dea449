"""Which target would have been reached: from how long clocks ran on a log, with those still open counted honestly.

A clock that is still open has run for at least so long. Leaving it out, or taking it for ended, would promise too
much; so the share of clocks that end within a time is estimated as in survival analysis (Kaplan and Meier), where such
a clock takes part for as long as it is known. Intervals are Wilson's, with the effective number of clocks that
Greenwood's variance amounts to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import sqrt
from statistics import NormalDist
from typing import Final

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Run:
    """How long one clock ran, in the time its target counts.

    Attributes
    ----------
    consumed_ms : int
        At its stop, or so far.
    stopped : bool
        False: it is still open, or was cut off by something that is no end of the work.
    """

    consumed_ms: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Point:
    """The estimate from one time on: the share of clocks that stop within it, and its confidence interval."""

    within_ms: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reachable:
    """The shortest ``within`` that would have been met often enough.

    Attributes
    ----------
    within_ms : int or None
        Estimated; None if no time on the log was long enough.
    low_ms, high_ms : int or None
        Confidence interval: what shorter and what longer ``within`` the log does not rule out; None: it is open there.
    stopped, open : int
        Clocks the estimate rests on.
    """

    within_ms: int | None
    low_ms: int | None
    high_ms: int | None
    stopped: int
    open: int


def wilson(share: float, number: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's confidence interval of a share.

    Parameters
    ----------
    share : float
        Observed, in 0..1.
    number : float
        How many it was observed on; may be no whole number. Without any the interval is all there is: (0, 1).
    """
    if number <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = share + z * z / (2 * number)
    half = z * sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    scale = 1 + z * z / number
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def stopped_within(runs: Iterable[Run], confidence: float = CONFIDENCE) -> list[Point]:
    """Return the share of clocks that stop within a time, for every time at which one did, ascending."""
    ordered = sorted(runs, key=lambda run: run.consumed_ms)
    number = at_risk = len(ordered)
    remaining = 1.0
    greenwood = 0.0
    points = []
    for within_ms, group in groupby(ordered, key=lambda run: run.consumed_ms):
        runs_here = list(group)
        stops = sum(run.stopped for run in runs_here)
        if stops:
            remaining *= 1 - stops / at_risk
            if stops < at_risk:
                greenwood += stops / (at_risk * (at_risk - stops))
            share = 1 - remaining
            # share (1 - share) / variance; at a share of 1 there is no variance, and the last known one is kept.
            effective = share / (remaining * greenwood) if remaining > 0 and greenwood > 0 else number
            low, high = wilson(share, min(effective, number), confidence)
            points.append(Point(within_ms, share, low, high))
        at_risk -= len(runs_here)
    return points


def reachable_within(runs: Iterable[Run], attain: Fraction, confidence: float = CONFIDENCE) -> Reachable:
    """Return the shortest ``within`` under which the share ``attain`` of the clocks would have been met.

    Parameters
    ----------
    runs : iterable of Run
        Of one target; consumption does not depend on ``within``.
    attain : Fraction
        What the objective promises, above 0.
    """
    given = list(runs)
    stopped = sum(run.stopped for run in given)
    wanted = float(attain) - 1e-12  # shares are sums of floats: 0.95 may come out as 0.9499999999999998
    points = stopped_within(given, confidence)
    return Reachable(
        within_ms=next((point.within_ms for point in points if point.share >= wanted), None),
        low_ms=next((point.within_ms for point in points if point.high >= wanted), None),
        high_ms=next((point.within_ms for point in points if point.low >= wanted), None),
        stopped=stopped,
        open=len(given) - stopped,
    )


def share_within(points: list[Point], within_ms: int) -> Point | None:
    """Return the estimate that holds at a time, or None before the first clock stopped."""
    index = bisect_right(points, within_ms, key=lambda point: point.within_ms)
    return points[index - 1] if index else None
