"""The watermelon index of an objective: green outside, red inside.

It says how much of what the requesters went through was bad, from 0 (nothing known speaks against it) to 1 (everything
does), as the weighted mean of the shares of five *signals*. A signal without data is left out, and the weights of the
others count as much more: no feedback is not good feedback. What an index is made of always stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from sla.experience import Experience

UNHAPPY_BELOW: Final = 0.5
"""A requester is unhappy who gives less than the middle of the scale: 1 or 2 of 5."""

BOUNCES_FROM: Final = 3
"""A ticket bounced if it was handed to another team at least this often."""

SILENT_FROM: Final = Fraction(1, 2)
"""A wait is silent if it used up at least this share of the target without a word."""

RED_FROM: Final = Fraction(1, 5)
"""From this index on an objective that is attained is a watermelon."""

LEAST_CLOCKS: Final = 10
"""With fewer clocks (of a service: opinions) than this nothing is called a watermelon."""


class Signal(StrEnum):
    """What an index is made of."""

    UNHAPPY = "unhappy"
    """Feedback below the middle of its scale, of all feedback."""
    REOPENED = "reopened"
    """Clocks whose work was taken up again, of all."""
    BOUNCED = "bounced"
    """Clocks in which the ticket went from team to team, of all."""
    SILENT = "silent"
    """Clocks with a silent wait, of all."""
    PAUSED_LATE = "paused_late"
    """Clocks that were paused just before their deadline, of all."""


WEIGHTS: Final = {
    Signal.UNHAPPY: 40,
    Signal.REOPENED: 20,
    Signal.BOUNCED: 15,
    Signal.SILENT: 15,
    Signal.PAUSED_LATE: 10,
}
"""What people say weighs most; the others are what usually makes them say it."""


@dataclass(frozen=True, slots=True)
class SignalShare:
    """One signal of an index.

    Attributes
    ----------
    bad, of : int
        How many clocks (or opinions) show it, and of how many that is known.
    weight : Fraction
        Its weight in this index; 0 without data. Those of all signals add up to 1.
    """

    signal: Signal
    bad: int
    of: int
    weight: Fraction

    @property
    def share(self) -> Fraction | None:
        """Share that shows it; None without data."""
        return Fraction(self.bad, self.of) if self.of else None


@dataclass(frozen=True, slots=True)
class WatermelonIndex:
    """The index with all it is made of.

    Attributes
    ----------
    clocks : int
        Decided clocks whose events are known; 0 of a service, which has none.
    index : Fraction or None
        0..1; None without any clock.
    mean_satisfaction : float or None
        Mean of the feedback, 0..1; None without any.
    """

    clocks: int
    signals: tuple[SignalShare, ...]
    index: Fraction | None
    mean_satisfaction: float | None

    def is_watermelon(self, *, is_green: bool) -> bool:
        """Tell whether an objective that is attained (green) looks better than it feels."""
        is_known = max(self.clocks, self.opinions) >= LEAST_CLOCKS
        return is_green and is_known and self.index is not None and self.index >= RED_FROM

    @property
    def opinions(self) -> int:
        """Pieces of feedback."""
        return next(part.of for part in self.signals if part.signal is Signal.UNHAPPY)

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "index": None if self.index is None else float(self.index),
            "clocks": self.clocks,
            "mean_satisfaction": self.mean_satisfaction,
            "signals": {
                part.signal.value: {
                    "bad": part.bad,
                    "of": part.of,
                    "share": None if part.share is None else float(part.share),
                    "weight": float(part.weight),
                }
                for part in self.signals
            },
        }


def watermelon_index(found: Iterable[Experience], service_opinions: Iterable[float] = ()) -> WatermelonIndex:
    """Return the index over what was gone through around some decided clocks.

    Parameters
    ----------
    service_opinions : iterable of float
        Feedback on a service as such, 0 worst and 1 best.
    """
    clocks = list(found)
    opinions = [each.satisfaction for each in clocks if each.satisfaction is not None]
    opinions += service_opinions
    counts = {
        Signal.UNHAPPY: (sum(opinion < UNHAPPY_BELOW for opinion in opinions), len(opinions)),
        Signal.REOPENED: (sum(each.was_reopened for each in clocks), len(clocks)),
        Signal.BOUNCED: (sum(each.handovers >= BOUNCES_FROM for each in clocks), len(clocks)),
        Signal.SILENT: (sum(_is_silent(each) for each in clocks), len(clocks)),
        Signal.PAUSED_LATE: (sum(each.was_paused_late for each in clocks), len(clocks)),
    }
    known = sum(WEIGHTS[signal] for signal, (_, number) in counts.items() if number)
    signals = tuple(
        SignalShare(signal, bad, number, Fraction(WEIGHTS[signal], known) if number else Fraction(0))
        for signal, (bad, number) in counts.items()
    )
    index = sum((part.weight * part.share for part in signals if part.share is not None), Fraction(0))
    return WatermelonIndex(
        clocks=len(clocks),
        signals=signals,
        index=index if known else None,
        mean_satisfaction=sum(opinions) / len(opinions) if opinions else None,
    )


def _is_silent(experience: Experience) -> bool:
    return experience.target_ms > 0 and experience.longest_silence_ms >= SILENT_FROM * experience.target_ms
