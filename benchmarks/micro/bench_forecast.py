"""What a forecast costs: one look at a clock, one verdict learned, a sweep over all open clocks, and memory.

Run with ``.venv/bin/python -m pytest benchmarks/micro/bench_forecast.py -q``. Looks and verdicts are of ``CALLS``
calls: milliseconds here are microseconds a call.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sla.forecast.factors import Situation, TicketTrace, Viewpoint, factors_at, situation_of
from sla.forecast.forecaster import Forecaster
from sla.forecast.model import STEPS, BreachModel, Pace, Row
from sla.forecast.queues import QueueState
from sla.units import MINUTE_MS
from tests.support.domain import at, event, register, target

CALLS = 1_000
FIELDS = 7
VALUES = 300
TARGET = target("resolution", within="8bh")
REGISTER = register(TARGET)
VIEWPOINT = Viewpoint.of(TARGET, REGISTER)
START_MS = at("mon 09:00")


def situations(count: int, seed: int = 1) -> list[Situation]:
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        fields = {f"field {number}": f"value {int(draw.expovariate(5 / VALUES))}" for number in range(FIELDS - 1)}
        trace = TicketTrace()
        trace.take(event("created", START_MS + draw.randrange(10**8), team=f"V{draw.randrange(60)}", **fields))
        found.append(situation_of(trace, VIEWPOINT, is_paused=draw.random() < 0.3, waits=draw.randrange(3)))
    return found


@pytest.fixture(scope="module")
def learned() -> Forecaster:
    """Return a forecaster that has learned 1,000 verdicts and looks at 1,000 open clocks."""
    forecaster = Forecaster()
    for number, situation in enumerate(situations(2 * CALLS)):
        at_ms = START_MS + number * MINUTE_MS
        clock_id = f"T-{number}:resolution:1"
        forecaster.score(clock_id, situation, 0.0, at_ms)
        if number < CALLS:
            forecaster.decide(clock_id, at_ms, breached=number % 3 == 0, deadline_ms=at_ms)
    return forecaster


def test_a_look_at_a_clock(benchmark: BenchmarkFixture, learned: Forecaster) -> None:
    of_clock = situations(CALLS, seed=2)
    instants = itertools.count(START_MS + 10**9, MINUTE_MS)

    def look() -> None:
        at_ms = next(instants)
        for situation in of_clock:
            learned.probability(situation, 0.35, at_ms)

    benchmark(look)


def test_a_verdict_of_twelve_rows_learned_by_one_learner(benchmark: BenchmarkFixture, learned: Forecaster) -> None:
    model = learned.model(VIEWPOINT.stratum)
    queue = QueueState(5, 3.0)
    verdicts = [
        [Row(step, model.slots(factors_at(situation, START_MS + step, queue), add=True)) for step in range(12)]
        for situation in situations(CALLS // 10)
    ]

    def learn() -> None:
        for rows in verdicts:
            model.learn(Pace.AT_ONCE, rows, breached=False)

    benchmark.extra_info["verdicts"] = len(verdicts)
    benchmark(learn)


@pytest.mark.parametrize("clocks", [100_000, 1_000_000])
def test_a_sweep_over_all_open_clocks(benchmark: BenchmarkFixture, learned: Forecaster, clocks: int) -> None:
    model = learned.model(VIEWPOINT.stratum)
    draw = np.random.default_rng(1)
    width = len(factors_at(situations(1)[0], START_MS, QueueState(5, 3.0)))
    slots = draw.integers(1, model.factors, size=(clocks, width), dtype=np.int32)
    used = np.full(clocks, width, dtype=np.int32)
    shares = draw.integers(0, STEPS, size=clocks) / STEPS
    probabilities = benchmark.pedantic(model.log_odds_of_many, (shares, slots, used), rounds=3, iterations=1)
    assert len(probabilities) == clocks


def test_state_to_bytes(benchmark: BenchmarkFixture, learned: Forecaster) -> None:
    data = benchmark(learned.to_bytes)
    benchmark.extra_info["bytes"] = len(data)
    benchmark.extra_info["bytes of numbers"] = learned.model(VIEWPOINT.stratum).state_bytes


def test_the_model_stays_within_its_limit() -> None:
    model = BreachModel()
    assert model.state_bytes < 100_000
