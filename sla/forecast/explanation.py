"""What a breach probability was computed from, for the one who is paged by it."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any, Final

from sla.forecast.cohorts import Cohort
from sla.forecast.model import Effect
from sla.forecast.queues import QueueState
from sla.forecast.trust import Trust

_TOLD_EFFECTS: Final = 4
_WORTH_TELLING: Final = 0.05
"""Log odds below this (5 % in the odds) are noise to a reader."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a breach probability was computed from.

    The log odds of the probability are those of the base rate plus all effects, up to what the two learners differ in.

    Attributes
    ----------
    share : float
        Consumed share of the target.
    base_rate : float
        Share that breaches of all clocks still running there.
    effects : tuple of Effect
        What each factor adds, the strongest first.
    cohort : Cohort or None
        Plain counts of comparable clocks; None: too few yet.
    queue : QueueState
        Of the team that holds the ticket.
    """

    share: float
    probability: float
    base_rate: float
    effects: tuple[Effect, ...]
    cohort: Cohort | None
    team: str
    queue: QueueState
    trust: Trust

    def in_words(self) -> str:
        """Return the explanation as one line of prose."""
        here = f"{self.probability:.0%} at {self.share:.0%} of the target"
        parts = [f"{here}: {self.base_rate:.0%} of all clocks still open there breach"]
        told = [effect for effect in self.effects if abs(effect.log_odds) >= _WORTH_TELLING][:_TOLD_EFFECTS]
        if told:
            effects = ", ".join(f"{one.factor.name} ({one.factor.value}) x{exp(one.log_odds):.2f}" for one in told)
            parts.append(f"odds: {effects}")
        if self.cohort is not None:
            parts.append(_in_words(self.cohort))
        holder = f"queue of {self.team}" if self.team else "queue without a team"
        parts.append(f"{holder}: {self.queue.open}")
        if not self.trust.is_trusted:
            parts.append(self.trust.in_words())
        return "; ".join(parts)

    def document(self) -> dict[str, Any]:
        """Return the explanation as plain values, for an alert's annotations or JSON."""
        cohort = self.cohort
        return {
            "probability": self.probability,
            "consumed": self.share,
            "base_rate": self.base_rate,
            "factors": [
                {
                    "name": e.factor.name,
                    "value": e.factor.value,
                    "odds_ratio": exp(e.log_odds),
                    "certainty": e.certainty,
                }
                for e in self.effects
            ],
            "comparable": None
            if cohort is None
            else {
                "clocks": cohort.clocks,
                "breached": cohort.breached,
                "target": cohort.target,
                "team": cohort.team or None,
                "state": cohort.state or None,
                "consumed": cohort.consumed,
            },
            "team": self.team or None,
            "queue": self.queue.open,
            "stops_per_day": self.queue.stops_per_day,
            "trust": self.trust.reason.value,
        }


def _in_words(cohort: Cohort) -> str:
    of_team = f" of {cohort.team}" if cohort.team else ""
    while_in = f" in state {cohort.state}" if cohort.state else ""
    return (
        f"{cohort.breached:.0f} of {cohort.clocks:.0f} clocks of {cohort.target}{of_team}{while_in} "
        f"at {cohort.consumed:.0%} to {cohort.consumed + 0.1:.0%} breached"
    )
