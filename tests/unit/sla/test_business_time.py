"""Targets with pauses that are known beforehand: as people ask on the phone."""

from __future__ import annotations

import pytest

from sla.business_time import calendar_for, consumed_between, deadline_of, merged_pauses
from sla.calendar import ElapsedCalendar
from sla.clock import Phase, end, pause, resume, start_clock
from sla.contract import DeadlineAt
from sla.duration import parse_within
from sla.units import HOUR_MS
from tests.support.domain import OFFICE, at, shown, target

NEXT_OPEN = DeadlineAt.NEXT_OPEN


def pauses(*texts: str) -> list[tuple[int, int]]:
    """Return pauses written ``mon 10:00 - mon 11:00``."""
    return [(at(begin), at(end)) for begin, _, end in (text.partition(" - ") for text in texts)]


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        pytest.param([(5, 8), (1, 3)], [(1, 3), (5, 8)], id="ascending"),
        pytest.param([(1, 5), (2, 3), (4, 6)], [(1, 6)], id="overlapping"),
        pytest.param([(1, 2), (2, 3)], [(1, 3)], id="touching"),
        pytest.param([(-5, 1), (9, 20), (15, 30)], [(0, 1), (9, 10)], id="clipped"),
        pytest.param([(4, 4), (20, 30), (-3, 0)], [], id="empty or outside"),
    ],
)
def test_pauses_are_merged_and_clipped(given: list[tuple[int, int]], merged: list[tuple[int, int]]) -> None:
    assert merged_pauses(given, 0, 10) == merged


def test_only_working_time_inside_pauses_is_left_out() -> None:
    night = pauses("mon 16:00 - tue 10:00", "mon 20:00 - tue 08:00")
    assert consumed_between(OFFICE, at("mon 09:00"), at("tue 17:00"), night) == 14 * HOUR_MS
    assert consumed_between(ElapsedCalendar(), at("mon 09:00"), at("tue 17:00"), night) == 14 * HOUR_MS


def test_nothing_is_consumed_in_an_empty_interval() -> None:
    assert consumed_between(OFFICE, at("mon 09:00"), at("mon 09:00"), pauses("mon 08:00 - mon 10:00")) == 0


@pytest.mark.parametrize(
    ("start", "within", "given", "close", "next_open"),
    [
        pytest.param("mon 09:00", "8bh", [], "mon 17:00", "tue 09:00", id="used up at close of business"),
        pytest.param(
            "mon 09:00", "8bh", ["tue 08:00 - tue 10:00"], "mon 17:00", "tue 10:00", id="paused at the opening"
        ),
        pytest.param("mon 09:00", "8bh", ["mon 17:00 - tue 11:00"], "mon 17:00", "tue 11:00", id="paused at the close"),
        pytest.param("mon 09:00", "7bh", ["mon 16:00 - tue 10:00"], "mon 16:00", "mon 16:00", id="paused at the end"),
        pytest.param("mon 09:00", "7bh", ["mon 10:00 - mon 11:00"], "mon 17:00", "tue 09:00", id="moved to the close"),
        pytest.param("mon 09:00", "0bh", ["mon 08:00 - mon 10:00"], "mon 10:00", "mon 10:00", id="zero in a pause"),
        pytest.param("mon 09:00", "0bh", ["mon 10:00 - mon 11:00"], "mon 09:00", "mon 09:00", id="zero before a pause"),
        pytest.param("sat 09:00", "0bh", ["sat 08:00 - mon 12:00 +1w"], "mon 12:00 +1w", "mon 12:00 +1w", id="zero"),
        pytest.param("mon 09:00", "24h", ["mon 12:00 - tue 12:00"], "wed 09:00", "wed 09:00", id="elapsed"),
        pytest.param("mon 09:00", "3h", ["mon 12:00 - tue 12:00"], "mon 12:00", "mon 12:00", id="elapsed, at the end"),
        pytest.param("fri 16:00", "2bh", ["sat 00:00 - mon 00:00 +1w"], "mon 10:00 +1w", "mon 10:00 +1w", id="weekend"),
    ],
)
def test_a_deadline_stands_still_in_pauses(
    start: str, within: str, given: list[str], close: str, next_open: str
) -> None:
    target = parse_within(within)
    for deadline_at, expected in ((DeadlineAt.CLOSE, close), (NEXT_OPEN, next_open)):
        deadline_ms = deadline_of(target, OFFICE, at(start), pauses(*given), deadline_at)
        assert shown(deadline_ms) == shown(at(expected))
        consumed_ms = consumed_between(calendar_for(target, OFFICE), at(start), deadline_ms, pauses(*given))
        assert consumed_ms == target.duration_ms


def test_elapsed_targets_count_all_time_and_business_targets_the_calendar() -> None:
    assert calendar_for(parse_within("4bh"), OFFICE) is OFFICE
    assert isinstance(calendar_for(parse_within("4h"), OFFICE), ElapsedCalendar)


def test_a_deadline_is_the_one_of_a_ticket_with_the_same_pauses() -> None:
    promise = target(within="10bh")
    clock = start_clock(promise, OFFICE, 1, at("mon 10:00"), start_ms=at("mon 10:00"), consumed_ms=0)
    for begin_ms, end_ms in pauses("mon 12:00 - mon 13:00", "tue 08:00 - tue 12:00"):
        pause(clock, promise, OFFICE, begin_ms)
        resume(clock, promise, OFFICE, end_ms)
    end(clock, promise, OFFICE, at("wed 12:00"), Phase.STOPPED)
    asked_ms = deadline_of(
        promise.within, OFFICE, at("mon 10:00"), pauses("tue 08:00 - tue 12:00", "mon 12:00 - mon 13:00")
    )
    assert shown(clock.deadline_ms) == shown(asked_ms) == shown(at("tue 16:00"))
