"""Scores running clocks and learns from their verdicts, one pass in event time: prequential, only the past counts.

A prediction at ``t`` uses verdicts that were decided strictly before ``t`` and nothing later; two runs over the same
calls give the same bits, and so does a run that was stored and restored anywhere between.
"""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

import msgspec
import numpy as np

from sla.forecast.cohorts import CohortCounts, CohortKey, cohorts_of
from sla.forecast.explanation import Explanation
from sla.forecast.factors import Situation, factors_at
from sla.forecast.model import STEPS, BreachModel, ModelSettings, Pace, Row, place_of, probability_of
from sla.forecast.quality import CHECKPOINTS, LiveQuality
from sla.forecast.queues import QueueState, TeamQueues
from sla.forecast.trust import Trust, TrustGate

STATE_FORMAT: Final = 1
"""Format of the state this release writes."""

PAGE_PROBABILITY: Final = 0.7
"""From which probability on the trust gate takes a clock for paged."""

_CHECKPOINT_STEPS: Final = frozenset(percent * STEPS // 100 for percent in CHECKPOINTS)


class ForecastFormatError(Exception):
    """A state of a format this release does not read: a newer one wrote it."""


class Prediction(NamedTuple):
    """Breach probability of a clock at an instant.

    Attributes
    ----------
    share : float
        Consumed share of the target, 0 to 1.
    probability : float
    step : int or None
        The 5 % step it was taken at; None: at an event.
    is_first : bool
        The clock has just started: a high probability says something about the queue, not about this clock.
    is_trusted : bool
        Whether the forecast may page, see :mod:`sla.forecast.trust`.
    """

    clock_id: str
    at_ms: int
    share: float
    probability: float
    step: int | None
    is_first: bool
    is_trusted: bool
    stratum: str


class _Clock:
    """What is kept of a clock until it has been learned from."""

    __slots__ = ("cohorts", "paged_at", "rows", "scored", "stratum", "team")

    def __init__(self, stratum: str, team: str) -> None:
        self.stratum = stratum
        self.team = team
        self.rows: list[Row] = []
        self.cohorts: list[CohortKey] = []
        self.scored: list[float] = []
        self.paged_at: int | None = None


class _Stratum:
    """What has been learned about the clocks of one stratum."""

    __slots__ = ("cohorts", "model", "quality", "trust")

    def __init__(self, settings: ModelSettings) -> None:
        self.model = BreachModel(settings)
        self.cohorts = CohortCounts()
        self.trust = TrustGate()
        self.quality = LiveQuality()


class Forecaster:
    """Breach probabilities of all running clocks.

    Parameters
    ----------
    settings : ModelSettings, optional
    """

    def __init__(self, settings: ModelSettings | None = None) -> None:
        self.settings = settings or ModelSettings()
        self._strata: dict[str, _Stratum] = {}
        self._clocks: dict[str, _Clock] = {}
        self._queues = TeamQueues()
        # (when to learn it, number, pace, clock, breached); numbers make it a total order.
        self._pending: list[tuple[int, int, int, _Clock, bool]] = []
        self._number = 0

    def __len__(self) -> int:
        """Return the number of clocks that have no verdict."""
        return len(self._clocks)

    # --- what happens ---

    def score(
        self, clock_id: str, situation: Situation, share: float, at_ms: int, *, step: int | None = None
    ) -> Prediction:
        """Return the breach probability of a running or paused clock, as of an instant not before the last one.

        Parameters
        ----------
        share : float
            Consumed share of the target, 0 to 1.
        step : int or None
            Given when the clock reaches a 5 % step; None: something happened to its ticket. The first call for a clock
            is its start.
        """
        self.learn_until(at_ms)
        stratum_name, team = situation.viewpoint.stratum, situation.team
        clock = self._clocks.get(clock_id)
        is_first = clock is None
        if clock is None:
            clock = self._clocks[clock_id] = _Clock(stratum_name, team)
            self._queues.enter(stratum_name, team)
        elif clock.team != team:
            self._queues.leave(stratum_name, clock.team)
            self._queues.enter(stratum_name, team)
            clock.team = team
        stratum = self._stratum(stratum_name)
        at_event = step is None and not is_first
        factors = factors_at(situation, at_ms, self._queues.state(stratum_name, team, at_ms))
        slots = stratum.model.slots(factors, add=True)
        probability = probability_of(stratum.model.log_odds(share, slots, at_event=at_event))
        place = place_of(share, at_event=at_event)
        clock.rows.append(Row(place, slots))
        if not at_event:
            clock.cohorts += cohorts_of(situation, share)
            if place in _CHECKPOINT_STEPS:
                clock.scored.append(probability)
        if clock.paged_at is None and probability >= PAGE_PROBABILITY and not is_first:
            clock.paged_at = stratum.trust.verdicts
        return Prediction(
            clock_id,
            at_ms,
            share,
            probability,
            None if is_first else step,
            is_first,
            stratum.trust.is_trusted,
            stratum_name,
        )

    def decide(self, clock_id: str, at_ms: int, *, breached: bool | None, deadline_ms: int) -> None:
        """Take the verdict on a clock; nothing happens if the clock is not known or has one.

        Parameters
        ----------
        at_ms : int
            When the verdict is known: the stop, or the instant at which the breach is declared.
        breached : bool or None
            None: the clock ended without an outcome (cancelled, merged, superseded); nothing is learned.
        deadline_ms : int
            The deadline it met or missed.
        """
        clock = self._clocks.pop(clock_id, None)
        if clock is None:
            return
        self._queues.leave(clock.stratum, clock.team)
        if breached is None:
            return
        if not breached:
            self._queues.stop(clock.stratum, clock.team, at_ms)
        for pace, learn_ms in ((Pace.AT_ONCE, at_ms), (Pace.AT_DEADLINE, max(at_ms, deadline_ms))):
            self._number += 1
            heapq.heappush(self._pending, (learn_ms, self._number, int(pace), clock, breached))

    def learn_until(self, at_ms: int) -> None:
        """Learn what was decided strictly before an instant."""
        pending = self._pending
        while pending and pending[0][0] < at_ms:
            _, _, pace, clock, breached = heapq.heappop(pending)
            self._learn(Pace(pace), clock, breached=breached)

    def _learn(self, pace: Pace, clock: _Clock, *, breached: bool) -> None:
        stratum = self._stratum(clock.stratum)
        stratum.model.learn(pace, clock.rows, breached=breached)
        if pace is Pace.AT_DEADLINE:
            stratum.cohorts.learn(clock.cohorts, breached=breached)
            stratum.trust.learn(paged_at=clock.paged_at, breached=breached)
            for probability in clock.scored:
                stratum.quality.take(probability, breached=breached)
        moved = stratum.model.shrink()
        if moved is not None:
            everyone = {id(kept): kept for kept in (*self._clocks.values(), *(entry[3] for entry in self._pending))}
            for kept in everyone.values():
                if kept.stratum == clock.stratum:
                    kept.rows = [Row(place, moved[slots]) for place, slots in kept.rows]

    def _stratum(self, name: str) -> _Stratum:
        stratum = self._strata.get(name)
        if stratum is None:
            stratum = self._strata[name] = _Stratum(self.settings)
        return stratum

    # --- questions ---

    @property
    def strata(self) -> tuple[str, ...]:
        """Names of the strata of which any clock has been seen."""
        return tuple(sorted(self._strata))

    def model(self, stratum: str) -> BreachModel:
        """Return the model of a stratum."""
        return self._stratum(stratum).model

    def trust(self, stratum: str) -> Trust:
        """Return whether the forecast of a stratum may page."""
        return self._stratum(stratum).trust.state()

    def quality(self, stratum: str) -> LiveQuality:
        """Return how good the predictions of a stratum were lately."""
        return self._stratum(stratum).quality

    def queue(self, stratum: str, team: str, at_ms: int) -> QueueState:
        """Return the queue of a team."""
        return self._queues.state(stratum, team, at_ms)

    def probability(self, situation: Situation, share: float, at_ms: int) -> float:
        """Return the probability of a clock as of an instant not before the last one, and keep nothing of it."""
        self.learn_until(at_ms)
        stratum = self._stratum(situation.viewpoint.stratum)
        queue = self._queues.state(situation.viewpoint.stratum, situation.team, at_ms)
        slots = stratum.model.slots(factors_at(situation, at_ms, queue), add=False)
        return probability_of(stratum.model.log_odds(share, slots))

    def explain(self, situation: Situation, share: float, at_ms: int) -> Explanation:
        """Return what the probability of a clock is computed from, at an instant not before the last one."""
        self.learn_until(at_ms)
        stratum = self._stratum(situation.viewpoint.stratum)
        queue = self._queues.state(situation.viewpoint.stratum, situation.team, at_ms)
        factors = factors_at(situation, at_ms, queue)
        slots = stratum.model.slots(factors, add=False)
        return Explanation(
            share=share,
            probability=probability_of(stratum.model.log_odds(share, slots)),
            base_rate=stratum.model.base_rate(share),
            effects=tuple(stratum.model.effects(factors, slots)),
            cohort=stratum.cohorts.of(situation, share),
            team=situation.team,
            queue=queue,
            trust=stratum.trust.state(),
        )

    # --- storage ---

    def to_bytes(self) -> bytes:
        """Return everything that is known as bytes: a format byte, then MessagePack."""
        kept: dict[int, int] = {}
        clocks: list[_Clock] = []
        for clock in (*self._clocks.values(), *(entry[3] for entry in sorted(self._pending, key=_order_of))):
            if id(clock) not in kept:
                kept[id(clock)] = len(clocks)
                clocks.append(clock)
        document = {
            "strata": {
                name: {
                    "model": stratum.model.document(),
                    "cohorts": stratum.cohorts.document(),
                    "trust": stratum.trust.document(),
                    "quality": stratum.quality.document(),
                }
                for name, stratum in self._strata.items()
            },
            "clocks": [_document_of(clock) for clock in clocks],
            "open": {clock_id: kept[id(clock)] for clock_id, clock in self._clocks.items()},
            "pending": [
                (learn_ms, number, pace, kept[id(clock)], breached)
                for learn_ms, number, pace, clock, breached in sorted(self._pending, key=_order_of)
            ],
            "queues": self._queues.document(),
            "number": self._number,
        }
        return bytes((STATE_FORMAT,)) + msgspec.msgpack.encode(document)

    @classmethod
    def from_bytes(cls, data: bytes, settings: ModelSettings | None = None) -> Forecaster:
        """Return the forecaster that :meth:`to_bytes` described.

        Raises
        ------
        ForecastFormatError
            If a newer release wrote it.
        """
        if data[0] != STATE_FORMAT:
            raise ForecastFormatError(f"forecast format {data[0]}, this release reads {STATE_FORMAT}")
        document = msgspec.msgpack.decode(data[1:])
        forecaster = cls(settings)
        for name, parts in document["strata"].items():
            stratum = forecaster._stratum(name)
            stratum.model = BreachModel.restored(parts["model"], forecaster.settings)
            stratum.cohorts = CohortCounts.restored(parts["cohorts"])
            stratum.trust = TrustGate.restored(tuple(parts["trust"]))
            stratum.quality = LiveQuality.restored(parts["quality"])
        clocks = [_restored(parts) for parts in document["clocks"]]
        forecaster._clocks = {clock_id: clocks[place] for clock_id, place in document["open"].items()}
        forecaster._pending = [
            (learn_ms, number, pace, clocks[place], breached)
            for learn_ms, number, pace, place, breached in document["pending"]
        ]
        forecaster._queues = TeamQueues.restored([[tuple(e) for e in part] for part in document["queues"]])
        forecaster._number = document["number"]
        return forecaster


def _order_of(entry: tuple[int, int, int, _Clock, bool]) -> tuple[int, int]:
    return entry[:2]


def _document_of(clock: _Clock) -> list[object]:
    rows = [(place, np.ascontiguousarray(slots, dtype="<i4").tobytes()) for place, slots in clock.rows]
    return [clock.stratum, clock.team, rows, clock.cohorts, clock.scored, clock.paged_at]


def _restored(parts: list[object]) -> _Clock:
    stratum, team, rows, cohorts, scored, paged_at = parts
    assert isinstance(stratum, str)
    assert isinstance(team, str)
    assert isinstance(rows, list)
    assert isinstance(cohorts, list)
    assert isinstance(scored, list)
    clock = _Clock(stratum, team)
    clock.rows = [Row(place, np.frombuffer(slots, dtype="<i4").astype(np.int32)) for place, slots in rows]
    clock.cohorts = [tuple(key) for key in cohorts]
    clock.scored = scored
    assert paged_at is None or isinstance(paged_at, int)
    clock.paged_at = paged_at
    return clock
