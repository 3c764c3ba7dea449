"""The watermelon index: what it is made of, and when an objective is one."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sla.experience import Experience
from sla.watermelon import WEIGHTS, Signal, watermelon_index

FINE = Experience(
    None, was_reopened=False, handovers=0, longest_silence_ms=0, target_ms=1000, was_paused_late=False, parties=()
)


def gone_through(**changes: object) -> Experience:
    return Experience(**{**{name: getattr(FINE, name) for name in FINE.__struct_fields__}, **changes})  # type: ignore[arg-type]


def share(found: object, signal: Signal) -> Fraction | None:
    return next(part.share for part in found.signals if part.signal is signal)  # type: ignore[attr-defined]


def test_weights_add_up_to_a_hundred() -> None:
    assert sum(WEIGHTS.values()) == 100
    assert set(WEIGHTS) == set(Signal)


def test_no_feedback_is_not_good_feedback() -> None:
    found = watermelon_index([gone_through(was_reopened=True), FINE])
    assert share(found, Signal.UNHAPPY) is None
    # Reopened weighs 20 of the 60 that are known; half of the clocks were.
    assert found.index == Fraction(20, 60) * Fraction(1, 2)


def test_the_index_is_the_weighted_mean_of_its_signals() -> None:
    clocks = [gone_through(satisfaction=1.0), gone_through(satisfaction=0.25), gone_through(handovers=3), FINE]
    found = watermelon_index(clocks)
    assert found.index == Fraction(40, 100) * Fraction(1, 2) + Fraction(15, 100) * Fraction(1, 4)
    assert found.index == sum((part.weight * part.share for part in found.signals if part.share), Fraction(0))
    assert sum(part.weight for part in found.signals) == 1
    assert found.mean_satisfaction == pytest.approx(0.625)


def test_the_middle_of_the_scale_is_not_unhappy() -> None:
    assert share(watermelon_index([gone_through(satisfaction=0.5)]), Signal.UNHAPPY) == 0
    assert share(watermelon_index([gone_through(satisfaction=0.49)]), Signal.UNHAPPY) == 1


@pytest.mark.parametrize(("silence_ms", "is_silent"), [(499, False), (500, True)])
def test_a_wait_is_silent_from_half_of_the_target_on(silence_ms: int, is_silent: bool) -> None:
    assert share(watermelon_index([gone_through(longest_silence_ms=silence_ms)]), Signal.SILENT) == int(is_silent)


def test_a_ticket_that_is_due_at_once_has_no_silence() -> None:
    assert share(watermelon_index([gone_through(target_ms=0, longest_silence_ms=5)]), Signal.SILENT) == 0


def test_green_and_unhappy_is_a_watermelon_and_few_clocks_are_not() -> None:
    unhappy = watermelon_index([gone_through(satisfaction=0.0)] * 10)
    assert unhappy.is_watermelon(is_green=True)
    assert not unhappy.is_watermelon(is_green=False)
    assert not watermelon_index([gone_through(satisfaction=0.0)] * 9).is_watermelon(is_green=True)
    assert not watermelon_index([gone_through(satisfaction=1.0)] * 10).is_watermelon(is_green=True)


def test_without_clocks_there_is_no_index() -> None:
    found = watermelon_index([])
    assert found.index is None
    assert not found.is_watermelon(is_green=True)
    assert found.document()["signals"]["unhappy"] == {"bad": 0, "of": 0, "share": None, "weight": 0.0}


def test_of_a_service_opinions_are_all_there_is() -> None:
    found = watermelon_index([], [0.0, 0.25, 0.75, 1.0])
    assert (found.index, found.clocks, found.opinions) == (Fraction(1, 2), 0, 4)
    assert [part.of for part in found.signals] == [4, 0, 0, 0, 0]
    assert not found.is_watermelon(is_green=True)
    assert watermelon_index([], [0.0] * 10).is_watermelon(is_green=True)
