"""A made-up service desk whose truth is known, and runs of the forecast over it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sla.backtest import Backtest
from sla.engine import EngineLimits
from sla.events import TicketEvent, rank_of
from sla.forecast.forecaster import Forecaster, Prediction
from sla.forecast.run import Decision, PredictionRun
from sla.register import Register
from sla.units import HOUR_MS, MINUTE_MS
from tests.support.domain import SETTLE_MS, at

Told = tuple[str, TicketEvent]


@dataclass
class Played:
    """What a run came to."""

    forecaster: Forecaster
    predictions: list[Prediction] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


def play(
    events: Iterable[Told],
    register: Register,
    *,
    until_ms: int | None = None,
    between: Callable[[int, PredictionRun], None] | None = None,
    forecaster: Forecaster | None = None,
) -> Played:
    """Run the forecast over events in order.

    ``between`` is called before each event with its number, and may exchange the forecaster for another one.
    """
    played = Played(forecaster or Forecaster())
    backtest = Backtest(register, EngineLimits(settle_ms=SETTLE_MS))
    run = PredictionRun(
        register,
        played.forecaster,
        backtest.ticket,
        settle_ms=SETTLE_MS,
        on_prediction=played.predictions.append,
        on_decision=played.decisions.append,
    )
    backtest.observer = run
    last_ms = 0
    for number, (ticket, event) in enumerate(events):
        if between is not None:
            between(number, run)
        backtest.advance_to(max(0, event.at_ms - 1))
        backtest.apply(ticket, event)
        last_ms = event.at_ms
    last_ms = last_ms if until_ms is None else until_ms
    backtest.advance_to(last_ms)
    run.finish(last_ms)
    played.forecaster = run.forecaster
    return played


def desk(
    *, tickets: int, seed: int, slow_team: str = "V30", slow_hours: float = 12.0, fast_hours: float = 3.0
) -> list[Told]:
    """Return the events of a desk, in order: tickets come all the time, one team solves slowly, one fast.

    Hours are the means of the time to solve (elapsed; exponential), so whether a ticket breaches depends on its team.
    """
    draw = random.Random(seed)
    told: list[Told] = []
    now_ms = at("mon 09:00")
    for number in range(tickets):
        now_ms += int(draw.expovariate(1 / (20 * MINUTE_MS)))
        team = draw.choice((slow_team, "D5"))
        hours = slow_hours if team == slow_team else fast_hours
        ticket = f"T-{number}"
        solved_ms = now_ms + int(draw.expovariate(1 / (hours * HOUR_MS))) + 1
        told.append((ticket, _event(number * 3, now_ms, "created", {"team": team, "note": f"unique {number}"})))
        if draw.random() < 0.3:
            seen_ms = now_ms + (solved_ms - now_ms) // 3
            told.append((ticket, _event(number * 3 + 1, seen_ms, "updated", {"waiting_for": None, "seen": "yes"})))
        told.append((ticket, _event(number * 3 + 2, solved_ms, "resolved", {})))
    return sorted(told, key=lambda one: (one[1].at_ms, one[1].uid))


def _event(uid: int, at_ms: int, kind: str, changes: dict[str, str | None]) -> TicketEvent:
    return TicketEvent(at_ms, 0, rank_of(kind), uid, kind, changes)
