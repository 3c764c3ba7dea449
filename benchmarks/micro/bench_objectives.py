"""What a minute of objectives costs: counts in, budgets and burn rates judged, rows out; no Kafka.

``pytest benchmarks/micro -k objectives``; for 10,000 of them and their memory see ``benchmarks.memory.objectives``.
"""

from __future__ import annotations

import itertools

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.memory.objectives import END_MS, EVENTS, KINDS, SOURCES, minute, register, rows_of
from config.burn_policy import load_burn_policy
from sla.objective import ObjectiveEngine
from sla.units import MINUTE_MS

OBJECTIVES = 50


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [0, 1], ids=["healthy", "burning"])
def test_cost_of_a_minute(benchmark: BenchmarkFixture, kind: str, bad: int) -> None:
    sources = frozenset(f"sla.uptime/{source}" for source in range(SOURCES))
    engine = ObjectiveEngine(register(OBJECTIVES), frozenset(), policy=load_burn_policy(), uptime_sources=sources)
    engine.load(rows_of(kind, OBJECTIVES))
    instants = itertools.count(END_MS, MINUTE_MS)
    for _ in range(30):
        minute(engine, OBJECTIVES, next(instants), bad, EVENTS[kind])
    benchmark.pedantic(lambda: minute(engine, OBJECTIVES, next(instants), bad, EVENTS[kind]), rounds=10)
    assert any(state.burning for state in engine.attainments()) or not bad
