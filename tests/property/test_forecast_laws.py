"""Laws of the forecast: only the past counts, a restart changes nothing, a sweep says what each look says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sla.events import TicketEvent
from sla.forecast.factors import Factor
from sla.forecast.forecaster import Forecaster
from sla.forecast.model import BreachModel, ModelSettings, Pace, Row
from sla.forecast.run import PredictionRun
from sla.register import Register
from sla.units import DAY_MS, HOUR_MS
from tests.property.strategies import FIRST_MONDAY_MS, TICKET_DAYS, registers, ticket_histories
from tests.support.domain import register, target
from tests.support.forecast import Told, desk, play

pytestmark = pytest.mark.property

THOROUGH = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
END_MS = FIRST_MONDAY_MS + (TICKET_DAYS + 8) * DAY_MS
EIGHT_HOURS = register(target("resolution", within="8h"))
LONG = desk(tickets=60, seed=1)


def in_order(histories: list[list[TicketEvent]]) -> list[Told]:
    told = [(f"T-{number}", event) for number, history in enumerate(histories) for event in history]
    return sorted(told, key=lambda one: (one[1].order, one[0]))


@THOROUGH
@given(histories=st.lists(ticket_histories(max_size=7), min_size=1, max_size=5), of=registers())
def test_every_clock_is_scored_in_order_and_ends_once(histories: list[list[TicketEvent]], of: Register) -> None:
    played = play(in_order(histories), of, until_ms=END_MS)
    instants = [prediction.at_ms for prediction in played.predictions]
    assert instants == sorted(instants)
    assert all(0 < prediction.probability < 1 and 0 <= prediction.share <= 1 for prediction in played.predictions)
    decided = [decision.clock_id for decision in played.decisions]
    assert len(decided) == len(set(decided))
    steps: dict[str, int] = {}
    for prediction in played.predictions:
        if prediction.step is not None:
            assert prediction.step > steps.get(prediction.clock_id, -1), "a step is reached once"
            steps[prediction.clock_id] = prediction.step


@THOROUGH
@given(
    histories=st.lists(ticket_histories(max_size=7), min_size=1, max_size=5),
    others=st.lists(ticket_histories(max_size=7), max_size=3),
    of=registers(),
    cut=st.integers(0, TICKET_DAYS * 24),
)
def test_another_future_changes_no_prediction_before_it(
    histories: list[list[TicketEvent]], others: list[list[TicketEvent]], of: Register, cut: int
) -> None:
    """What happens from an instant on, and what does not, is unknown before it."""
    cut_ms = FIRST_MONDAY_MS + cut * HOUR_MS
    told = in_order(histories)
    past = [one for one in told if one[1].at_ms < cut_ms]
    future = [one for one in in_order(others) if one[1].at_ms >= cut_ms]
    as_it_was = play(told, of, until_ms=END_MS).predictions
    otherwise = play([*past, *future], of, until_ms=END_MS).predictions
    before = [prediction for prediction in as_it_was if prediction.at_ms < cut_ms]
    assert before == [prediction for prediction in otherwise if prediction.at_ms < cut_ms]


@FEW
@given(seed=st.integers(0, 2**16), shift_hours=st.integers(1, 400), at_event=st.integers(40, 130))
def test_a_future_that_is_shifted_changes_no_prediction_before_it(seed: int, shift_hours: int, at_event: int) -> None:
    told = desk(tickets=60, seed=seed)
    cut_ms = told[min(at_event, len(told) - 1)][1].at_ms
    shifted = [
        (ticket, event if event.at_ms < cut_ms else TicketEvent(event.at_ms + shift_hours * HOUR_MS, *tuple_of(event)))
        for ticket, event in told
    ]
    before = [prediction for prediction in play(told, EIGHT_HOURS).predictions if prediction.at_ms < cut_ms]
    after = play(shifted, EIGHT_HOURS).predictions[: len(before)]
    assert before
    assert before == after


def tuple_of(event: TicketEvent) -> tuple[int, int, int, str, dict[str, str | None]]:
    return event.sequence, event.rank, event.uid, event.event, event.changes


@FEW
@given(restarts=st.sets(st.integers(0, len(LONG) - 1), max_size=4))
def test_a_restart_changes_no_bit_of_any_prediction(restarts: set[int]) -> None:
    def restart(number: int, run: PredictionRun) -> None:
        if number in restarts:
            run.forecaster = Forecaster.from_bytes(run.forecaster.to_bytes())

    through = play(LONG, EIGHT_HOURS)
    restarted = play(LONG, EIGHT_HOURS, between=restart)
    assert restarted.predictions == through.predictions
    assert restarted.forecaster.to_bytes() == through.forecaster.to_bytes()


@FEW
@given(seed=st.integers(0, 2**16), most_factors=st.sampled_from((10_000, 40)))
def test_a_sweep_says_what_each_look_says(seed: int, most_factors: int) -> None:
    draw = np.random.default_rng(seed)
    model = BreachModel(ModelSettings(most_factors=most_factors, factor_half_life=50))
    looks = []
    for number in range(60):
        factors = [Factor(f"field {index}", str(draw.integers(0, 8))) for index in range(int(draw.integers(0, 7)))]
        looks.append((float(draw.random()), factors))
        slots = model.slots(factors, add=True)
        pace = Pace(int(draw.integers(0, 2)))
        model.learn(pace, [Row(int(draw.integers(0, 20)), slots)], breached=bool(draw.integers(0, 2)))
        if number % 7 == 0:
            model.shrink()
    width = max(len(factors) for _, factors in looks)
    matrix = np.zeros((len(looks), width), dtype=np.int32)
    used = np.array([len(factors) for _, factors in looks], dtype=np.int32)
    for row, (_, factors) in enumerate(looks):
        matrix[row, : len(factors)] = model.slots(factors, add=False)
    shares = np.array([share for share, _ in looks])
    swept = model.log_odds_of_many(shares, matrix, used)
    alone = [model.log_odds(share, model.slots(factors, add=False)) for share, factors in looks]
    np.testing.assert_allclose(swept, alone, atol=1e-9)
